//! The plain form of a key file: three lines of text, readable and writable by its owner alone.
//!
//! ```text
//! printsy key 1
//! address prt1...
//! secret 64 hex digits
//! ```
//!
//! Nothing protects the secret but the file's mode: it is for programs that run alone and have nobody to ask, such as
//! a miner. Keys of people are in the other form, [`Keystore`](crate::Keystore), which is version 2 and is known by
//! its first letter.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use printsy_consensus::{PublicKey, SecretKey};
use zeroize::Zeroizing;

use crate::disk::{self, SystemFiles, io_error};
use crate::{KeyError, KeyFile};

/// The version of the plain form.
pub const VERSION: u32 = 1;

/// What the first line begins with.
const MAGIC: &str = "printsy key ";

/// The most bytes of a key file: the plain form has 160, the other some 800, and nothing longer is read.
const MAX_FILE_BYTES: u64 = 4096;

/// Writes `key` to a new file at `path`, mode 0600, and syncs it and its folder.
///
/// # Errors
/// [`KeyError::Exists`] if there is anything at `path`; [`KeyError::Io`] if the system refuses.
pub fn create(path: &Path, key: &SecretKey) -> Result<(), KeyError> {
    disk::create(&SystemFiles, path, render(key).as_bytes())
}

/// Reads the secret key at `path`, if nothing but the file's mode protects it.
///
/// # Errors
/// [`KeyError::Exposed`] if others than the owner may read or write the file, before anything is read;
/// [`KeyError::Missing`], [`KeyError::NotAKey`], [`KeyError::Version`], [`KeyError::Io`]; [`KeyError::Locked`] and
/// [`KeyError::WatchOnly`] for the other form.
pub fn read(path: &Path) -> Result<SecretKey, KeyError> {
    KeyFile::read(path)?.into_plain(path)
}

pub(crate) fn render(key: &SecretKey) -> Zeroizing<String> {
    let secret = Zeroizing::new(key.to_bytes());
    let digits = Zeroizing::new(hex::encode(*secret));
    // Sized first: a string that grows leaves copies behind that nobody wipes.
    let mut text = Zeroizing::new(String::with_capacity(256));
    text.push_str(&format!("{MAGIC}{VERSION}\naddress {}\nsecret ", key.public_key()));
    text.push_str(&digits);
    text.push('\n');
    text
}

/// The file's text, if its owner alone may read it.
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    // Looked at before it is opened: to open a pipe would wait for its writer.
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => KeyError::Missing { path: path.to_owned() },
        _ => io_error("read", path)(error),
    })?;
    if !metadata.is_file() {
        return Err(not_a_key(path, "it is not a file"));
    }
    let file = File::open(path).map_err(io_error("read", path))?;
    let mode = file.metadata().map_err(io_error("read", path))?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::with_capacity(8 * 1024));
    match file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(not_a_key(path, "it is not text")),
        Err(error) => Err(io_error("read", path)(error)),
        Ok(length) if u64::try_from(length).is_ok_and(|length| length > MAX_FILE_BYTES) => {
            Err(not_a_key(path, "it is too long"))
        }
        Ok(_) => Ok(text),
    }
}

pub(crate) fn parse(path: &Path, text: &str) -> Result<SecretKey, KeyError> {
    let mut lines = text.lines();
    let version = lines.next().and_then(|line| line.strip_prefix(MAGIC));
    let version = version.ok_or_else(|| not_a_key(path, "its first line is not `printsy key 1`"))?;
    let version = version.parse().map_err(|_| not_a_key(path, "its version is not a number"))?;
    if version != VERSION {
        return Err(KeyError::Version { path: path.to_owned(), got: version, known: VERSION });
    }
    let address = lines.next().and_then(|line| line.strip_prefix("address "));
    let address = address.and_then(|text| text.parse::<PublicKey>().ok());
    let address = address.ok_or_else(|| not_a_key(path, "its second line is not an address"))?;
    let digits = lines.next().and_then(|line| line.strip_prefix("secret "));
    let digits = digits.ok_or_else(|| not_a_key(path, "its third line is not a secret"))?;
    if lines.next().is_some() {
        return Err(not_a_key(path, "it has more than three lines"));
    }
    let mut secret = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits, &mut *secret)
        .map_err(|_| not_a_key(path, "its secret is not 64 hex digits"))?;
    let key = SecretKey::from_bytes(&secret).map_err(|_| not_a_key(path, "its secret is not a valid key"))?;
    if key.public_key() != address {
        return Err(not_a_key(path, "its address is not its secret's: the file is damaged"));
    }
    Ok(key)
}

pub(crate) fn not_a_key(path: &Path, why: &'static str) -> KeyError {
    KeyError::NotAKey { path: path.to_owned(), why }
}
