//! A key file of either form, told apart by how it begins.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use printsy_consensus::{PublicKey, SecretKey};
use zeroize::Zeroizing;

use crate::disk::{self, SystemFiles, io_error};
use crate::{KeyError, Keystore, plain};

/// The most bytes of a key file: the plain form has 160, the other some 800, and nothing longer is read.
const MAX_FILE_BYTES: u64 = 4096;

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
        let text = read_private(path)?;
        if text.starts_with('{') {
            Keystore::from_json(path, &text).map(Self::Keystore)
        } else {
            plain::parse(path, &text).map(Self::Plain)
        }
    }

    /// Writes it to a new file at `path`, mode 0600, and makes that lasting.
    ///
    /// # Errors
    /// [`KeyError::Exists`] if there is anything at `path`; [`KeyError::Io`] if the system refuses.
    pub fn create(&self, path: &Path) -> Result<(), KeyError> {
        disk::create(&SystemFiles, path, self.render().as_bytes())
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
    fn render(&self) -> Zeroizing<String> {
        match self {
            Self::Plain(key) => plain::render(key),
            Self::Keystore(keystore) => keystore.to_json().into(),
        }
    }
}

/// The file's text, if its owner alone may read it.
fn read_private(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    // Looked at before it is opened: to open a pipe would wait for its writer.
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => KeyError::Missing { path: path.to_owned() },
        _ => io_error("read", path)(error),
    })?;
    if !metadata.is_file() {
        return Err(KeyError::not_a_key(path, "it is not a file"));
    }
    let file = File::open(path).map_err(io_error("read", path))?;
    let mode = file.metadata().map_err(io_error("read", path))?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::with_capacity(8 * 1024));
    match file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(KeyError::not_a_key(path, "it is not text"))
        }
        Err(error) => Err(io_error("read", path)(error)),
        Ok(length) if u64::try_from(length).is_ok_and(|length| length > MAX_FILE_BYTES) => {
            Err(KeyError::not_a_key(path, "it is too long"))
        }
        Ok(_) => Ok(text),
    }
}
