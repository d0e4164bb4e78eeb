//! One key file: three lines of text, readable and writable by its owner alone.
//!
//! ```text
//! printsy key 1
//! address prt1...
//! secret 64 hex digits
//! ```
//!
//! The version stands in the first line: an encrypted form will be another version, with the same first two
//! lines. A file is written beside its place, synced, then linked to its name, which fails if the name is
//! taken: no reader ever sees half a key, and no key is ever overwritten, even by two writers at once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use printsy_consensus::{PublicKey, SecretKey};
use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use crate::KeyError;

/// The version this program writes and reads.
pub const VERSION: u32 = 1;

/// What the first line begins with.
const MAGIC: &str = "printsy key ";

/// The most bytes of a key file: the three lines are 160 bytes, and nothing longer is read.
const MAX_FILE_BYTES: u64 = 1024;

/// Writes `key` to a new file at `path`, mode 0600, and syncs it and its folder.
///
/// # Errors
/// [`KeyError::Exists`] if there is anything at `path`; [`KeyError::Io`] if the system refuses.
pub fn create(path: &Path, key: &SecretKey) -> Result<(), KeyError> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let temporary = temporary_beside(folder)?;
    let written = write_new(&temporary, &render(key)).map_err(io_error("write", &temporary));
    let linked = written.and_then(|()| link(&temporary, path));
    // Whether it was linked or not, the temporary name must not stay: it holds the secret.
    let removed = match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", &temporary)(error)),
        _ => Ok(()),
    };
    linked.and(removed)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error("sync", folder))
}

/// Reads the key at `path`.
///
/// # Errors
/// [`KeyError::Exposed`] if others than the owner may read or write the file, before anything is read;
/// [`KeyError::Missing`], [`KeyError::NotAKey`], [`KeyError::Version`], [`KeyError::Io`].
pub fn read(path: &Path) -> Result<SecretKey, KeyError> {
    let text = read_private(path)?;
    parse(path, &text)
}

fn temporary_beside(folder: &Path) -> Result<PathBuf, KeyError> {
    let mut random = [0; 8];
    SysRng.try_fill_bytes(&mut random).map_err(|error| KeyError::Random(error.to_string()))?;
    Ok(folder.join(format!(".new-key-{}", hex::encode(random))))
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn link(temporary: &Path, path: &Path) -> Result<(), KeyError> {
    fs::hard_link(temporary, path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyError::Exists { path: path.to_owned() },
        _ => io_error("create", path)(error),
    })
}

fn render(key: &SecretKey) -> Zeroizing<String> {
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
fn read_private(path: &Path) -> Result<Zeroizing<String>, KeyError> {
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
    let mut text = Zeroizing::new(String::with_capacity(2 * 1024));
    match file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(not_a_key(path, "it is not text")),
        Err(error) => Err(io_error("read", path)(error)),
        Ok(length) if u64::try_from(length).is_ok_and(|length| length > MAX_FILE_BYTES) => {
            Err(not_a_key(path, "it is too long"))
        }
        Ok(_) => Ok(text),
    }
}

fn parse(path: &Path, text: &str) -> Result<SecretKey, KeyError> {
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

fn not_a_key(path: &Path, why: &'static str) -> KeyError {
    KeyError::NotAKey { path: path.to_owned(), why }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    move |source| KeyError::Io { action, path: path.to_owned(), source }
}
