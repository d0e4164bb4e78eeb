//! The form of a key file that a password protects: JSON whose public part everybody may read.
//!
//! ```text
//! { "format": "printsy key", "version": 2, "name": "alice", "created": 1790000000000, "address": "prt1...",
//!   "holds": "words", "path": "m/44'/7369332'/0'/0/0",
//!   "kdf": { "name": "argon2id", "memoryKib": 262144, "passes": 3, "lanes": 1, "salt": hex, "check": hex },
//!   "cipher": { "name": "xchacha20poly1305", "nonce": hex, "text": hex } }
//! ```
//!
//! `holds` is `words` (the entropy of a key's words is sealed), `secret` (a key without words), or `nothing`: an
//! address to watch, without `path`, `kdf` and `cipher`. Everything before `kdf`, and the costs and the salt in it, is
//! sealed with the secret: a file in which a name, an address or a path was changed does not open. Numbers that a
//! file may set are bounded when it is read, before any work is done for it.

use std::path::Path;

use printsy_consensus::{PublicKey, SecretKey};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::seal::{Cost, SALT_BYTES, SealError, Sealed, TAG_BYTES};
use crate::words::{KeyPath, Words};
use crate::{KeyError, check_name};

/// The version of this form.
pub const VERSION: u32 = 2;

/// What `format` says.
const FORMAT: &str = "printsy key";
const KDF: &str = "argon2id";
const CIPHER: &str = "xchacha20poly1305";

/// A key under a password, or an address without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keystore {
    name: String,
    created: u64,
    address: PublicKey,
    contents: Contents,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Contents {
    Nothing,
    Words { path: KeyPath, sealed: Sealed },
    Secret { sealed: Sealed },
}

/// What a password opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The key.
    pub key: SecretKey,
    /// Its words and where it is below them, if it was made from words.
    pub words: Option<(Words, KeyPath)>,
}

/// What is sealed.
enum Secret<'a> {
    Words(&'a Words, KeyPath),
    Key(&'a SecretKey),
}

impl Keystore {
    /// The key at `path` below `words`, under `password`. `created` is in milliseconds since 1970.
    ///
    /// # Errors
    /// [`KeyError::Name`], [`KeyError::Memory`], [`KeyError::Random`].
    pub fn with_words(
        name: &str,
        created: u64,
        (words, path): (&Words, KeyPath),
        password: &SecretString,
        cost: Cost,
    ) -> Result<Self, KeyError> {
        let address = words.key(path)?.public_key();
        Self::make(name, created, address, &Secret::Words(words, path), password, cost)
    }

    /// A key without words, under `password`.
    ///
    /// # Errors
    /// As [`Keystore::with_words`].
    pub fn with_secret(
        name: &str,
        created: u64,
        key: &SecretKey,
        password: &SecretString,
        cost: Cost,
    ) -> Result<Self, KeyError> {
        Self::make(name, created, key.public_key(), &Secret::Key(key), password, cost)
    }

    /// An address to watch. Nothing is sealed, so nothing tells whether it was changed.
    ///
    /// # Errors
    /// [`KeyError::Name`].
    pub fn watch_only(name: &str, created: u64, address: PublicKey) -> Result<Self, KeyError> {
        check_name(name)?;
        Ok(Self { name: name.to_owned(), created, address, contents: Contents::Nothing })
    }

    fn make(
        name: &str,
        created: u64,
        address: PublicKey,
        secret: &Secret<'_>,
        password: &SecretString,
        cost: Cost,
    ) -> Result<Self, KeyError> {
        check_name(name)?;
        let path = match secret {
            Secret::Words(_, path) => Some(*path),
            Secret::Key(_) => None,
        };
        let bytes = match secret {
            Secret::Words(words, _) => words.entropy(),
            Secret::Key(key) => key.to_bytes().to_vec().into(),
        };
        let public =
            |cost: &Cost, salt: &[u8; SALT_BYTES]| sealed_text(name, created, &address, path, cost, salt);
        let sealed = Sealed::seal(&bytes, public, password, cost).map_err(|error| failed(name, error))?;
        let contents = match path {
            Some(path) => Contents::Words { path, sealed },
            None => Contents::Secret { sealed },
        };
        Ok(Self { name: name.to_owned(), created, address, contents })
    }

    /// The name it was made under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When it was made, in milliseconds since 1970.
    #[must_use]
    pub fn created(&self) -> u64 {
        self.created
    }

    /// The key's address. Whether it is the sealed key's, only the password tells.
    #[must_use]
    pub fn address(&self) -> PublicKey {
        self.address
    }

    /// Where the key is below its words, if it has some.
    #[must_use]
    pub fn path(&self) -> Option<KeyPath> {
        match &self.contents {
            Contents::Words { path, .. } => Some(*path),
            Contents::Secret { .. } | Contents::Nothing => None,
        }
    }

    /// Whether there is only an address.
    #[must_use]
    pub fn is_watch_only(&self) -> bool {
        self.contents == Contents::Nothing
    }

    /// The key, and its words if it has some.
    ///
    /// # Errors
    /// [`KeyError::WrongPassword`]; [`KeyError::Changed`] if the password is right and the file is not what was
    /// written; [`KeyError::WatchOnlyName`] if there is no key in it; [`KeyError::Memory`].
    pub fn open(&self, password: &SecretString) -> Result<Opened, KeyError> {
        let (path, sealed) = match &self.contents {
            Contents::Nothing => return Err(KeyError::WatchOnlyName { name: self.name.clone() }),
            Contents::Words { path, sealed } => (Some(*path), sealed),
            Contents::Secret { sealed } => (None, sealed),
        };
        let public = sealed_text(&self.name, self.created, &self.address, path, &sealed.cost, &sealed.salt);
        let secret = sealed.open(&public, password).map_err(|error| failed(&self.name, error))?;
        let changed = || KeyError::Changed { name: self.name.clone() };
        let opened = match path {
            Some(path) => {
                let words = Words::from_entropy(&secret).ok_or_else(changed)?;
                Opened { key: words.key(path)?, words: Some((words, path)) }
            }
            None => {
                let secret = secret.as_slice().try_into().map_err(|_| changed())?;
                Opened { key: SecretKey::from_bytes(secret).map_err(|_| changed())?, words: None }
            }
        };
        if opened.key.public_key() == self.address { Ok(opened) } else { Err(changed()) }
    }

    /// The same key under another password, or at another cost.
    ///
    /// # Errors
    /// As [`Keystore::open`] for the old password.
    pub fn with_password(
        &self,
        old: &SecretString,
        new: &SecretString,
        cost: Cost,
    ) -> Result<Self, KeyError> {
        let Opened { key, words } = self.open(old)?;
        match words {
            Some((words, path)) => Self::with_words(&self.name, self.created, (&words, path), new, cost),
            None => Self::with_secret(&self.name, self.created, &key, new, cost),
        }
    }

    /// The file's text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let sealed = match &self.contents {
            Contents::Nothing => None,
            Contents::Words { sealed, .. } | Contents::Secret { sealed } => Some(sealed),
        };
        let file = KeystoreFile {
            format: FORMAT.to_owned(),
            version: VERSION,
            name: self.name.clone(),
            created: self.created,
            address: self.address.to_string(),
            holds: match &self.contents {
                Contents::Nothing => Holds::Nothing,
                Contents::Words { .. } => Holds::Words,
                Contents::Secret { .. } => Holds::Secret,
            },
            path: self.path().map(|path| path.to_string()),
            kdf: sealed.map(KdfPart::of),
            cipher: sealed.map(CipherPart::of),
        };
        let mut text = serde_json::to_string_pretty(&file).expect("strings and numbers are always JSON");
        text.push('\n');
        text
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// [`KeyError::NotAKey`], [`KeyError::Version`], [`KeyError::TooCostly`].
    pub(crate) fn from_json(path: &Path, text: &str) -> Result<Self, KeyError> {
        let refused = |why| KeyError::not_a_key(path, why);
        let head: Head =
            serde_json::from_str(text).map_err(|_| refused("it is not the JSON of a key file"))?;
        if head.format != FORMAT {
            return Err(refused("its format is another"));
        }
        if head.version != VERSION {
            return Err(KeyError::Version { path: path.to_owned(), got: head.version, known: VERSION });
        }
        let file: KeystoreFile = serde_json::from_str(text)
            .map_err(|_| refused("a field is missing, unknown or no such value"))?;
        check_name(&file.name).map_err(|_| refused("its name is none"))?;
        let address: PublicKey = file.address.parse().map_err(|_| refused("its address is none"))?;
        let sealed = match (file.kdf, file.cipher) {
            (Some(kdf), Some(cipher)) => Some(read_sealed(path, &kdf, &cipher)?),
            (None, None) => None,
            _ => return Err(refused("it has one of kdf and cipher, and not both")),
        };
        let at = file.path.map(|path| path.parse().map_err(|_| refused("its path is none"))).transpose()?;
        let contents = match (file.holds, at, sealed) {
            (Holds::Nothing, None, None) => Contents::Nothing,
            (Holds::Words, Some(path), Some(sealed)) => Contents::Words { path, sealed },
            (Holds::Secret, None, Some(sealed)) => Contents::Secret { sealed },
            _ => return Err(refused("it does not have what it says it holds")),
        };
        Ok(Self { name: file.name, created: file.created, address, contents })
    }
}

/// The public part as it is sealed: a line for each value, none of which can hold a line's end.
fn sealed_text(
    name: &str,
    created: u64,
    address: &PublicKey,
    path: Option<KeyPath>,
    cost: &Cost,
    salt: &[u8; SALT_BYTES],
) -> String {
    let holds = path.map_or_else(|| "secret".to_owned(), |path| format!("words\n{path}"));
    let Cost { memory_kib, passes, lanes } = cost;
    let salt = hex::encode(salt);
    format!(
        "{FORMAT}\n{VERSION}\n{name}\n{created}\n{address}\n{holds}\n{KDF}\n{memory_kib}\n{passes}\n{lanes}\n{salt}\n{CIPHER}\n"
    )
}

fn failed(name: &str, error: SealError) -> KeyError {
    let name = name.to_owned();
    match error {
        SealError::WrongPassword => KeyError::WrongPassword { name },
        SealError::Changed => KeyError::Changed { name },
        SealError::TooCostly => KeyError::TooCostly { name },
        SealError::NoMemory => KeyError::Memory,
        SealError::Random(why) => KeyError::Random(why),
    }
}

fn read_sealed(path: &Path, kdf: &KdfPart, cipher: &CipherPart) -> Result<Sealed, KeyError> {
    let refused = |why| KeyError::not_a_key(path, why);
    if kdf.name != KDF || cipher.name != CIPHER {
        return Err(refused("its kdf or cipher is one that this program does not know"));
    }
    let cost = Cost { memory_kib: kdf.memory_kib, passes: kdf.passes, lanes: kdf.lanes };
    if !cost.is_bearable() {
        return Err(refused("it asks for more work or memory than any key of ours"));
    }
    let text = hex::decode(&cipher.text).map_err(|_| refused("its text is not hex"))?;
    // The entropy of 12, 15, 18, 21 or 24 words, or a key of 32 bytes.
    let secret = text.len().checked_sub(TAG_BYTES);
    if !secret.is_some_and(|length| matches!(length, 16 | 20 | 24 | 28 | 32)) {
        return Err(refused("its text is not as long as a key's"));
    }
    Ok(Sealed {
        cost,
        salt: fixed(&kdf.salt).ok_or_else(|| refused("its salt is not 16 bytes of hex"))?,
        check: fixed(&kdf.check).ok_or_else(|| refused("its check is not 16 bytes of hex"))?,
        nonce: fixed(&cipher.nonce).ok_or_else(|| refused("its nonce is not 24 bytes of hex"))?,
        text,
    })
}

fn fixed<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok().map(|()| bytes)
}

/// What is read first, of whatever version: a newer file may have other fields.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeystoreFile {
    format: String,
    version: u32,
    name: String,
    created: u64,
    address: String,
    holds: Holds,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kdf: Option<KdfPart>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cipher: Option<CipherPart>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Holds {
    Nothing,
    Words,
    Secret,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KdfPart {
    name: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
    check: String,
}

impl KdfPart {
    fn of(sealed: &Sealed) -> Self {
        let Cost { memory_kib, passes, lanes } = sealed.cost;
        let (salt, check) = (hex::encode(sealed.salt), hex::encode(sealed.check));
        Self { name: KDF.to_owned(), memory_kib, passes, lanes, salt, check }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CipherPart {
    name: String,
    nonce: String,
    text: String,
}

impl CipherPart {
    fn of(sealed: &Sealed) -> Self {
        let (nonce, text) = (hex::encode(sealed.nonce), hex::encode(&sealed.text));
        Self { name: CIPHER.to_owned(), nonce, text }
    }
}
