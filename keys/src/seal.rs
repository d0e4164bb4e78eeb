//! A secret under a password: argon2id makes a key of the password, XChaCha20-Poly1305 seals the secret with it.
//!
//! What is sealed together with the secret, and read without the password (`public` below), cannot be changed without
//! being noticed. Half of what argon2id gives is the key; sixteen bytes of the other half stand in the file, so that
//! a wrong password and a changed file are two answers. They help nobody guess: the seal itself tells as much.
//!
//! What a file may ask of this machine is bounded before it is done: a file may come from anybody.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use rand::TryRng;
use rand::rngs::SysRng;
use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// The bytes of a salt.
pub(crate) const SALT_BYTES: usize = 16;
/// The bytes of a nonce.
pub(crate) const NONCE_BYTES: usize = 24;
/// The bytes that tell a wrong password.
pub(crate) const CHECK_BYTES: usize = 16;
/// What the cipher adds to a secret.
pub(crate) const TAG_BYTES: usize = 16;

/// The most memory a file may ask for: four times what this program asks, so that stronger files can be read.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
/// The most passes over it.
const MAX_PASSES: u32 = 16;
/// The most lanes.
const MAX_LANES: u32 = 16;
/// The most of memory times passes: some ten seconds of work, not an evening's.
const MAX_WORK_KIB: u64 = 4 * 1024 * 1024;

/// The longest password, in bytes: a long sentence.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// What one guess of a password costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes, which only those use who have several processors.
    pub lanes: u32,
}

impl Cost {
    /// What keys of people get: 256 MiB, three passes; about a second for its owner, and as much memory for each
    /// guess of a thief. RFC 9106 recommends no less than 64 MiB and three passes.
    pub const STANDARD: Self = Self { memory_kib: 256 * 1024, passes: 3, lanes: 1 };

    /// Whether a file may ask for it.
    #[must_use]
    pub fn is_bearable(&self) -> bool {
        let work = u64::from(self.memory_kib) * u64::from(self.passes);
        self.memory_kib <= MAX_MEMORY_KIB
            && (1..=MAX_PASSES).contains(&self.passes)
            && (1..=MAX_LANES).contains(&self.lanes)
            && work <= MAX_WORK_KIB
            && self.params().is_some()
    }

    fn params(&self) -> Option<Params> {
        Params::new(self.memory_kib, self.passes, self.lanes, Some(KEY_BYTES + CHECK_BYTES)).ok()
    }
}

/// The bytes of the cipher's key.
const KEY_BYTES: usize = 32;

/// A sealed secret, with all it takes to open it but the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) cost: Cost,
    pub(crate) salt: [u8; SALT_BYTES],
    pub(crate) check: [u8; CHECK_BYTES],
    pub(crate) nonce: [u8; NONCE_BYTES],
    pub(crate) text: Vec<u8>,
}

/// What keeps a secret from being sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SealError {
    /// The password is another.
    WrongPassword,
    /// The password is right, and something that was sealed is not what it was.
    Changed,
    /// The file asks for more than is bearable.
    TooCostly,
    /// This machine has not the memory.
    NoMemory,
    /// The system has no randomness.
    Random(String),
}

impl Sealed {
    /// Seals `secret` together with what `public` makes of the cost and the salt.
    pub(crate) fn seal(
        secret: &[u8],
        public: impl FnOnce(&Cost, &[u8; SALT_BYTES]) -> String,
        password: &SecretString,
        cost: Cost,
    ) -> Result<Self, SealError> {
        let (salt, nonce) = (random()?, random()?);
        let (key, check) = stretch(password, &salt, cost)?;
        let public = public(&cost, &salt);
        let payload = Payload { msg: secret, aad: public.as_bytes() };
        let text = cipher(&key).encrypt(&XNonce::from(nonce), payload);
        Ok(Self {
            cost,
            salt,
            check,
            nonce,
            text: text.expect("a secret of 32 bytes is short enough to seal"),
        })
    }

    /// The secret, if the password is right and nothing was changed.
    pub(crate) fn open(
        &self,
        public: &str,
        password: &SecretString,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (key, check) = stretch(password, &self.salt, self.cost)?;
        if check != self.check {
            return Err(SealError::WrongPassword);
        }
        let payload = Payload { msg: &self.text, aad: public.as_bytes() };
        let secret = cipher(&key).decrypt(&XNonce::from(self.nonce), payload);
        secret.map(Zeroizing::new).map_err(|_| SealError::Changed)
    }
}

fn cipher(key: &[u8; KEY_BYTES]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&Key::from(*key))
}

/// The key and the check of a password. It is composed as Unicode's NFKC first, so that the same password typed on
/// another machine is the same bytes.
fn stretch(
    password: &SecretString,
    salt: &[u8; SALT_BYTES],
    cost: Cost,
) -> Result<(Zeroizing<[u8; KEY_BYTES]>, [u8; CHECK_BYTES]), SealError> {
    let params = cost.params().filter(|_| cost.is_bearable()).ok_or(SealError::TooCostly)?;
    let typed = password.expose_secret();
    // Sized first: a string that grows leaves copies behind that nobody wipes. NFKC makes at most eleven bytes of one.
    let mut composed = Zeroizing::new(String::with_capacity(11 * typed.len()));
    composed.extend(typed.nfkc());
    let mut bytes = Zeroizing::new([0; KEY_BYTES + CHECK_BYTES]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(composed.as_bytes(), salt, &mut *bytes)
        .map_err(|_| SealError::NoMemory)?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    key.copy_from_slice(&bytes[..KEY_BYTES]);
    let check = bytes[KEY_BYTES..].try_into().expect("what follows the key");
    Ok((key, check))
}

fn random<const N: usize>() -> Result<[u8; N], SealError> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| SealError::Random(error.to_string()))?;
    Ok(bytes)
}
