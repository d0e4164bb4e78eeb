//! Keys, signatures and addresses: BIP-340 Schnorr over secp256k1, bech32m text (protocol section 2).
//!
//! The only file that names k256 and bech32. A [`PublicKey`] is 32 bytes as they came, valid or not: that it
//! is a point of the curve is rule T1, T10 or G7, checked where those rules are checked.

use std::fmt;
use std::str::FromStr;

use bech32::{Bech32m, Hrp};
use k256::elliptic_curve::ops::{LinearCombination, Reduce};
use k256::elliptic_curve::point::DecompactPoint;
use k256::schnorr::signature::hazmat::PrehashVerifier;
use k256::schnorr::{Signature as SchnorrSignature, SigningKey, VerifyingKey};
use k256::{AffinePoint, FieldBytes, NonZeroScalar, ProjectivePoint, Scalar};
use sha2::{Digest, Sha256};

use crate::codec::{Decode, Encode};
use crate::hash::{Hash, Tag, tagged};

/// The human-readable part of an address.
const ADDRESS_PREFIX: &str = "prt";

/// 64 bytes of BIP-340 signature, valid or not.
pub type Signature = [u8; 64];

/// A BIP-340 public key: 32 bytes, the x coordinate. Its text form is its address.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// No key: the miner of genesis, the seller of an image that was never listed.
    pub const NONE: Self = Self([0; 32]);

    /// Whether some point of the curve has this x coordinate.
    #[must_use]
    pub fn is_on_curve(&self) -> bool {
        self.point().is_some()
    }

    /// Whether `signature` is this key's over `message`.
    #[must_use]
    pub fn verify(&self, message: &Hash, signature: &Signature) -> bool {
        self.verify_bytes(&message.0, signature)
    }

    /// As [`PublicKey::verify`], for a message of any length, as BIP-340's own vectors have it.
    #[must_use]
    pub fn verify_bytes(&self, message: &[u8], signature: &Signature) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(&FieldBytes::from(self.0)) else { return false };
        let Ok(signature) = SchnorrSignature::from_bytes(signature) else { return false };
        key.verify_prehash(message, &signature).is_ok()
    }

    fn point(&self) -> Option<AffinePoint> {
        AffinePoint::decompact(&FieldBytes::from(self.0)).into_option()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = Hrp::parse(ADDRESS_PREFIX).expect("three lower-case letters are a human-readable part");
        let text = bech32::encode::<Bech32m>(prefix, &self.0).expect("32 bytes fit an address");
        f.write_str(&text)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an address begins with {ADDRESS_PREFIX}1 and is bech32m of 32 bytes, got {got:?}: {why}")]
pub struct ParseAddressError {
    got: String,
    why: &'static str,
}

impl FromStr for PublicKey {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        let refused = |why| ParseAddressError { got: text.chars().take(100).collect(), why };
        let checked = bech32::primitives::decode::CheckedHrpstring::new::<Bech32m>(text)
            .map_err(|_| refused("a character is wrong or missing"))?;
        if checked.hrp().to_lowercase() != ADDRESS_PREFIX {
            return Err(refused("another prefix"));
        }
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(refused("addresses are lower case"));
        }
        let bytes: Vec<u8> = checked.byte_iter().collect();
        let key = Self(bytes.try_into().map_err(|_| refused("not 32 bytes"))?);
        // 52 letters carry four bits more than 32 bytes: one key has one address only where those are zero.
        if key.to_string() == text { Ok(key) } else { Err(refused("bits follow the 32 bytes")) }
    }
}

/// A secret key. It is shown nowhere: neither `Debug` nor `Display` tells more than that it is one.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

/// Bytes that are no secret key: zero, or not below the order of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret key is a number from 1 to the order of secp256k1 less one")]
pub struct InvalidSecretKey;

impl SecretKey {
    /// The key with this secret number, big-endian.
    ///
    /// # Errors
    /// [`InvalidSecretKey`] for zero and for numbers not below the order.
    pub fn from_bytes(secret: &[u8; 32]) -> Result<Self, InvalidSecretKey> {
        SigningKey::from_bytes(&FieldBytes::from(*secret)).map(Self).map_err(|_| InvalidSecretKey)
    }

    /// The secret number, big-endian, such that its public point has an even y.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes().into()
    }

    /// The well-known development key of `name`: its secret is `H("printsy/dev", name)`.
    ///
    /// Anybody can make it: it guards nothing, and is used on development networks alone.
    ///
    /// # Panics
    /// Never in practice: for a name whose hash is no secret, which nobody will ever find.
    #[must_use]
    pub fn development(name: &str) -> Self {
        let secret = tagged(Tag::Dev, &[name.as_bytes()]);
        Self::from_bytes(&secret.0).expect("a hash above the curve's order is beyond finding")
    }

    /// The public key of this secret.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes().into())
    }

    /// The BIP-340 signature over `message`, without auxiliary randomness: the same message signs the same.
    ///
    /// # Panics
    /// Never in practice: only if a hash that nobody can find made the nonce zero.
    #[must_use]
    pub fn sign(&self, message: &Hash) -> Signature {
        self.sign_bytes(&message.0, &[0; 32])
    }

    /// As [`SecretKey::sign`], for a message of any length and with auxiliary randomness, as BIP-340's own
    /// vectors have it.
    ///
    /// # Panics
    /// As [`SecretKey::sign`].
    #[must_use]
    pub fn sign_bytes(&self, message: &[u8], auxiliary: &[u8; 32]) -> Signature {
        self.0.sign_raw(message, auxiliary).expect("a zero nonce is beyond finding").to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(hidden)")
    }
}

/// One signature to verify: who, over what, which.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The key that is said to have signed.
    pub key: &'a PublicKey,
    /// What is said to be signed.
    pub message: Hash,
    /// The signature.
    pub signature: &'a Signature,
}

/// Whether all of `batch` verify, at about two thirds of the price of one by one (BIP-340, batch
/// verification). `false` says that at least one does not, not which.
///
/// The coefficients come from a hash over the whole batch, so that nobody can choose signatures that cancel
/// one another out, and every node comes to the same answer.
#[must_use]
pub fn verify_batch(batch: &[Signed<'_>]) -> bool {
    let seed = batch.iter().fold(Sha256::new(), |seed, item| {
        seed.chain_update(item.key.0).chain_update(item.message.0).chain_update(item.signature)
    });
    let seed: [u8; 32] = seed.finalize().into();
    let mut terms = Vec::with_capacity(batch.len().saturating_mul(2).saturating_add(1));
    let mut generator = Scalar::ZERO;
    for (item, index) in batch.iter().zip(0u64..) {
        let Some(parts) = BatchItem::parse(item) else { return false };
        let coefficient = if index == 0 { Scalar::ONE } else { coefficient(&seed, index) };
        generator += coefficient * parts.s;
        terms.push((ProjectivePoint::from(parts.nonce), -coefficient));
        terms.push((ProjectivePoint::from(parts.key), -(coefficient * parts.challenge)));
    }
    terms.push((ProjectivePoint::GENERATOR, generator));
    ProjectivePoint::lincomb_vartime(terms.as_slice()) == ProjectivePoint::IDENTITY
}

/// The points and numbers of one signature: `s*G = nonce + challenge*key` is what has to hold.
struct BatchItem {
    nonce: AffinePoint,
    key: AffinePoint,
    s: Scalar,
    challenge: Scalar,
}

impl BatchItem {
    fn parse(item: &Signed<'_>) -> Option<Self> {
        let (r, s) = item.signature.split_at(32);
        let r: [u8; 32] = r.try_into().expect("half of 64 bytes");
        let s = NonZeroScalar::try_from(s).ok()?;
        let challenge = Sha256::digest(b"BIP0340/challenge");
        let challenge = Sha256::new()
            .chain_update(challenge)
            .chain_update(challenge)
            .chain_update(r)
            .chain_update(item.key.0)
            .chain_update(item.message.0)
            .finalize();
        Some(Self {
            nonce: PublicKey(r).point()?,
            key: item.key.point()?,
            s: *s,
            challenge: <Scalar as Reduce<FieldBytes>>::reduce(&challenge),
        })
    }
}

fn coefficient(seed: &[u8; 32], index: u64) -> Scalar {
    let hash = Sha256::new().chain_update(seed).chain_update(index.to_le_bytes()).finalize();
    // 128 bits are enough to make a forged batch hopeless, and halve the work for the nonces.
    let mut half = FieldBytes::default();
    half[16..].copy_from_slice(&hash[16..]);
    <Scalar as Reduce<FieldBytes>>::reduce(&half)
}
