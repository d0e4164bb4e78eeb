//! A folder of key files with names: `NAME.key` each, as the wallet keeps one for its user.
//!
//! It holds no key open and caches nothing; a key copied into the folder is in the ring. Other files in the
//! folder are left alone.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use printsy_consensus::{PublicKey, SecretKey};

use crate::{KeyError, KeySource, file, generate};

/// The longest name of a key: it is a file's name and a column on a screen.
pub const MAX_NAME_BYTES: usize = 32;

const EXTENSION: &str = "key";

/// A folder of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyring {
    folder: PathBuf,
}

/// One key of a ring.
#[derive(Debug)]
pub struct KeyEntry {
    /// Its name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Its public key, or why it cannot be used.
    pub key: Result<PublicKey, KeyError>,
}

impl Keyring {
    /// The ring in `folder`, which need not be there yet.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The user's own ring: `$XDG_DATA_HOME/printsy/keys`, or `~/.local/share/printsy/keys`.
    ///
    /// # Errors
    /// [`KeyError::NoHome`] if neither variable is set.
    pub fn of_user() -> Result<Self, KeyError> {
        Self::of_environment(env::var_os("XDG_DATA_HOME"), env::var_os("HOME"))
    }

    /// The user's own ring, given both variables. A relative `XDG_DATA_HOME` is as good as none, as its
    /// specification has it.
    ///
    /// # Errors
    /// [`KeyError::NoHome`] if neither says where.
    pub fn of_environment(data_home: Option<OsString>, home: Option<OsString>) -> Result<Self, KeyError> {
        let data_home = data_home.map(PathBuf::from).filter(|path| path.is_absolute());
        let home = home.map(PathBuf::from).filter(|path| path.is_absolute());
        let data = data_home.or_else(|| home.map(|home| home.join(".local/share")));
        Ok(Self::new(data.ok_or(KeyError::NoHome)?.join("printsy/keys")))
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of the key `name`, there or not.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.{EXTENSION}"))
    }

    /// Makes a new key, keeps it as `name`, and says where.
    ///
    /// # Errors
    /// [`KeyError::Name`] for a name that cannot be one, [`KeyError::Exists`] if it is taken.
    pub fn create(&self, name: &str) -> Result<(SecretKey, PathBuf), KeyError> {
        check_name(name)?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(self.io_error("create"))?;
        let (key, path) = (generate()?, self.path(name));
        file::create(&path, &key)?;
        Ok((key, path))
    }

    /// All keys, by name. A key that cannot be used is listed with the reason.
    ///
    /// # Errors
    /// [`KeyError::Io`] if the folder is there and cannot be read.
    pub fn list(&self) -> Result<Vec<KeyEntry>, KeyError> {
        let files = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(self.io_error("read"))?,
        };
        let mut entries = Vec::new();
        for file in files {
            let path = file.map_err(self.io_error("read"))?.path();
            if let Some(name) = key_name(&path) {
                let key = file::read(&path).map(|key| key.public_key());
                entries.push(KeyEntry { name, path, key });
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// What `text` means to a user of this ring: `dev:NAME`, the name of a key in the ring, or a file.
    /// A file named like a key is given as `./NAME`.
    ///
    /// # Errors
    /// As [`KeySource::parse`].
    pub fn source(&self, text: &str) -> Result<KeySource, KeyError> {
        if check_name(text).is_ok() {
            return Ok(KeySource::File(self.path(text)));
        }
        KeySource::parse(text)
    }

    fn io_error(&self, action: &'static str) -> impl Fn(io::Error) -> KeyError {
        move |source| KeyError::Io { action, path: self.folder.clone(), source }
    }
}

/// Whether `name` can be a key's name.
///
/// # Errors
/// [`KeyError::Name`] if not.
pub fn check_name(name: &str) -> Result<(), KeyError> {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    let begins_well = name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    if begins_well && name.len() <= MAX_NAME_BYTES && name.bytes().all(allowed) {
        Ok(())
    } else {
        Err(KeyError::Name { got: name.chars().take(2 * MAX_NAME_BYTES).collect() })
    }
}

/// The name of the key in the file at `path`, if it is a key's file.
fn key_name(path: &Path) -> Option<String> {
    let name = path.file_stem()?.to_str()?;
    let is_key = path.extension()?.to_str()? == EXTENSION && check_name(name).is_ok();
    is_key.then(|| name.to_owned())
}
