//! Secret keys on disk, and where a key named on a command line comes from.
//!
//! A [`KeySource`] is what a person writes for a key: `dev:NAME` or a file. A [`Keyring`] is a folder of key files
//! with names, as the wallet has one. A [`KeyFile`] has one of two forms: plain text for its owner's eyes
//! alone, for programs that run by themselves; and [`Keystore`], which a password protects. A key of a person is
//! made from [`Words`], which make it again on an empty machine. [`disk`] writes files so that a crash leaves them
//! whole.
//!
//! # Correctness
//! A secret leaves this crate only as a `SecretKey`, or as words for the eyes of who asked for them; neither shows
//! itself to anybody else. No secret stands in an error or in a log; the buffers it passes through are wiped.

pub mod disk;
mod key_file;
mod keyring;
mod keystore;
mod plain;
mod seal;
mod source;
mod words;

use std::io;
use std::path::{Path, PathBuf};

pub use printsy_consensus::SecretKey;
use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

pub use key_file::KeyFile;
pub use keyring::{KeyEntry, Keyring, MAX_NAME_BYTES, check_name};
pub use keystore::{Keystore, Opened};
pub use seal::{Cost, MAX_PASSWORD_BYTES};
pub use secrecy::{ExposeSecret, SecretString};
pub use source::KeySource;
pub use words::{COIN_TYPE, KeyPath, MAX_WORDS_BYTES, WordCount, Words};

/// What keeps a key from being read, written or used. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file is not there.
    #[error("no key file at {}; make one with `printsy keys new NAME`", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The system refused to read or write.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Others than the owner may read or write the file.
    #[error("others may read the key file {0} (mode {mode:04o}); run `chmod 600 {0}`", path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// There is a file of that name, and a key is never overwritten.
    #[error("{} is there already, and a key is never overwritten; choose another name", path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// The file is not a key file.
    #[error("{} is not a key file: {why}", path.display())]
    NotAKey {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, never what it says.
        why: &'static str,
    },
    /// The file is of a version this program does not know.
    #[error("{} is a key file of version {got}, and this program reads version {known}", path.display())]
    Version {
        /// Which file.
        path: PathBuf,
        /// Its version.
        got: u32,
        /// Ours.
        known: u32,
    },
    /// The file of a name in a ring holds a key that was made under another.
    #[error("{} holds the key named {name}; give the file that name back, or give the key as a path", path.display())]
    Misnamed {
        /// Which file.
        path: PathBuf,
        /// The name in it.
        name: String,
    },
    /// A password opens it, and there is nobody to ask.
    #[error(
        "{} is protected by a password, and only the wallet asks for it; a program that runs alone needs a key without one (`printsy keys new NAME --plain`)", path.display()
    )]
    Locked {
        /// Which file.
        path: PathBuf,
    },
    /// There is an address and no key.
    #[error("{} holds an address to watch, and no key to sign with", path.display())]
    WatchOnly {
        /// Which file.
        path: PathBuf,
    },
    /// There is an address and no key.
    #[error("{name} is an address to watch, and there is no key to sign with")]
    WatchOnlyName {
        /// The key's name.
        name: String,
    },
    /// The password is another.
    #[error("wrong password for {name}")]
    WrongPassword {
        /// The key's name.
        name: String,
    },
    /// The password is right, and the file is not what was written.
    #[error(
        "the password is right, but the file of {name} was changed since it was written (its name, address, path or secret); do not use it: restore the key from its words or a copy"
    )]
    Changed {
        /// The key's name.
        name: String,
    },
    /// It asks for more than is bearable.
    #[error("{name} asks for more work or memory than any key of ours")]
    TooCostly {
        /// The key's name.
        name: String,
    },
    /// The machine has not the memory that opening a key takes.
    #[error("not enough memory: opening a key takes {} MiB", Cost::STANDARD.memory_kib / 1024)]
    Memory,
    /// Words that are none.
    #[error("these words make no key: {0}")]
    Words(String),
    /// A path that is none of ours.
    #[error("the path of a key is m/44'/{COIN_TYPE}'/ACCOUNT'/0/INDEX, with numbers below 2147483648")]
    Path,
    /// A name that cannot be a key's.
    #[error(
        "a key's name is 1 to {MAX_NAME_BYTES} of a-z, 0-9, - and _, beginning with a letter or digit, got {got:?}"
    )]
    Name {
        /// As given.
        got: String,
    },
    /// A development key on a network that is not one of development.
    #[error(
        "dev:{name} is a key that everybody has, so it works on networks named dev-... alone, and this one is {network}; use a key of your own (`printsy keys new NAME`)"
    )]
    NotDevelopment {
        /// The key's name.
        name: String,
        /// The network's name.
        network: String,
    },
    /// Nothing says where keys are kept.
    #[error("cannot tell where keys are kept: set HOME or XDG_DATA_HOME")]
    NoHome,
    /// The system has no randomness.
    #[error("the system gave no random bytes for a new key: {0}")]
    Random(String),
}

impl KeyError {
    pub(crate) fn not_a_key(path: &Path, why: &'static str) -> Self {
        Self::NotAKey { path: path.to_owned(), why }
    }
}

/// Makes a new secret key from the system's randomness.
///
/// # Errors
/// [`KeyError::Random`] if the system has none.
pub fn generate() -> Result<SecretKey, KeyError> {
    let mut secret = Zeroizing::new([0; 32]);
    loop {
        SysRng.try_fill_bytes(&mut *secret).map_err(|error| KeyError::Random(error.to_string()))?;
        // All but one in 2^127 numbers of 256 bits are keys: in practice this returns at once.
        if let Ok(key) = SecretKey::from_bytes(&secret) {
            return Ok(key);
        }
    }
}

/// Whether `network` is one of development, by its name.
fn is_development(network: &str) -> bool {
    network.starts_with(printsy_consensus::DEVELOPMENT_PREFIX)
}
