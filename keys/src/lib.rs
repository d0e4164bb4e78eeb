//! Secret keys on disk, and where a key named on a command line comes from.
//!
//! A [`KeySource`] is what a person writes for a key: `dev:NAME` or a file. A [`Keyring`] is a folder of key
//! files with names, as the wallet has one. [`mod@file`] is the form of one key file: plain text for its owner's
//! eyes alone, with a version, so that an encrypted form can come beside it.
//!
//! # Correctness
//! A secret leaves this crate only as a `SecretKey`, which shows itself to nobody. It stands in no error and
//! in no log; the buffers it passes through are wiped.

pub mod file;
mod keyring;
mod source;

use std::io;
use std::path::PathBuf;

pub use printsy_consensus::SecretKey;
use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

pub use keyring::{KeyEntry, Keyring, MAX_NAME_BYTES, check_name};
pub use source::KeySource;

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
