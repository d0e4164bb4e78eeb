//! A folder of key files with names: `NAME.key` each, as the wallet keeps one for its user.
//!
//! It holds no key open and caches nothing; a key copied into the folder is in the ring. Other files in the
//! folder are left alone.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use printsy_consensus::SecretKey;

use crate::disk::{self, SystemFiles};
use crate::{KeyError, KeyFile, Keystore, generate};

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
    /// The key as it is kept, or why it cannot be used.
    pub key: Result<KeyFile, KeyError>,
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

    /// Makes a new key that nothing but its file's mode protects, keeps it as `name`, and says where.
    ///
    /// # Errors
    /// [`KeyError::Name`] for a name that cannot be one, [`KeyError::Exists`] if it is taken.
    pub fn create_plain(&self, name: &str) -> Result<(SecretKey, PathBuf), KeyError> {
        let key = generate()?;
        let path = self.add(name, &KeyFile::Plain(key.clone()))?;
        Ok((key, path))
    }

    /// Keeps a keystore under its own name, and says where.
    ///
    /// # Errors
    /// [`KeyError::Exists`] if the name is taken; [`KeyError::Io`].
    pub fn keep(&self, keystore: &Keystore) -> Result<PathBuf, KeyError> {
        self.add(keystore.name(), &KeyFile::Keystore(keystore.clone()))
    }

    /// Puts a keystore in the place of the key of its name. The old one is there until the new one is, whole.
    ///
    /// # Errors
    /// [`KeyError::Missing`] if there is none; [`KeyError::Io`].
    pub fn replace(&self, keystore: &Keystore) -> Result<PathBuf, KeyError> {
        check_name(keystore.name())?;
        let path = self.path(keystore.name());
        let _lock = disk::lock(&self.folder)?;
        KeyFile::read(&path)?;
        disk::replace(&SystemFiles, &path, keystore.to_json().as_bytes())?;
        Ok(path)
    }

    /// Removes the key `name` for good.
    ///
    /// # Errors
    /// [`KeyError::Missing`] if there is none; [`KeyError::Io`].
    pub fn remove(&self, name: &str) -> Result<(), KeyError> {
        check_name(name)?;
        disk::remove(&SystemFiles, &self.path(name))
    }

    /// The key `name`, as it is kept.
    ///
    /// # Errors
    /// As [`KeyFile::read`]; [`KeyError::Misnamed`] if the file is another key's, put in this one's place.
    pub fn read(&self, name: &str) -> Result<KeyFile, KeyError> {
        check_name(name)?;
        let path = self.path(name);
        match KeyFile::read(&path)? {
            KeyFile::Keystore(keystore) if keystore.name() != name => {
                Err(KeyError::Misnamed { path, name: keystore.name().to_owned() })
            }
            file => Ok(file),
        }
    }

    fn add(&self, name: &str, key: &KeyFile) -> Result<PathBuf, KeyError> {
        check_name(name)?;
        let path = self.path(name);
        let _lock = disk::lock(&self.folder)?;
        key.create(&path)?;
        Ok(path)
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
                let key = self.read(&name);
                entries.push(KeyEntry { name, path, key });
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
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
