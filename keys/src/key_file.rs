//! A key file of either form, told apart by how it begins.

use std::path::Path;

use printsy_consensus::{PublicKey, SecretKey};
use zeroize::Zeroizing;

use crate::{KeyError, Keystore, file};

/// What a key file holds.
#[derive(Clone, Debug)]
pub enum KeyFile {
    /// A key that nothing but the file's mode protects, or a development key.
    Plain(SecretKey),
    /// A key under a password, or an address to watch.
    Keystore(Keystore),
}

impl KeyFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`KeyError::Exposed`] if others than the owner may read or write the file, before anything is read;
    /// [`KeyError::Missing`], [`KeyError::NotAKey`], [`KeyError::Version`], [`KeyError::Io`].
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let text = file::read_private(path)?;
        if text.starts_with('{') {
            Keystore::from_json(path, &text).map(Self::Keystore)
        } else {
            file::parse(path, &text).map(Self::Plain)
        }
    }

    /// The key's address, for which no password is needed.
    #[must_use]
    pub fn address(&self) -> PublicKey {
        match self {
            Self::Plain(key) => key.public_key(),
            Self::Keystore(keystore) => keystore.address(),
        }
    }

    /// Whether a password opens it.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::Keystore(keystore) if !keystore.is_watch_only())
    }

    /// The key, where no password is needed for it.
    ///
    /// # Errors
    /// [`KeyError::Locked`], [`KeyError::WatchOnly`].
    pub fn into_plain(self, path: &Path) -> Result<SecretKey, KeyError> {
        match self {
            Self::Plain(key) => Ok(key),
            Self::Keystore(keystore) if keystore.is_watch_only() => {
                Err(KeyError::WatchOnly { path: path.to_owned() })
            }
            Self::Keystore(_) => Err(KeyError::Locked { path: path.to_owned() }),
        }
    }

    /// The file's text; it may hold the secret as it is.
    pub(crate) fn render(&self) -> Zeroizing<String> {
        match self {
            Self::Plain(key) => file::render(key),
            Self::Keystore(keystore) => keystore.to_json().into(),
        }
    }
}
