//! What a person writes for a key: `dev:NAME`, or the path of a key file.
//!
//! Parsing touches no disk. Loading is told the network's name, because the development keys are known to
//! everybody: they open on development networks and nowhere else.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use printsy_consensus::{PublicKey, SecretKey};

use crate::{KeyError, KeyFile, check_name, is_development};

/// What a development key's text begins with.
const DEVELOPMENT: &str = "dev:";

/// Where a key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The well-known development key of this name.
    Development(String),
    /// The key file at this path.
    File(PathBuf),
}

impl KeySource {
    /// Reads `dev:NAME`, or takes the text for a path.
    ///
    /// # Errors
    /// [`KeyError::Name`] if what follows `dev:` is no name, or the text is empty.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        match text.strip_prefix(DEVELOPMENT) {
            Some(name) => check_name(name).map(|()| Self::Development(name.to_owned())),
            None if text.is_empty() => Err(KeyError::Name { got: String::new() }),
            None => Ok(Self::File(PathBuf::from(text))),
        }
    }

    /// The key, for use on `network` by a program that asks nobody for a password.
    ///
    /// # Errors
    /// [`KeyError::NotDevelopment`] for a development key on any other network; what [`KeyFile::read`] and
    /// [`KeyFile::into_plain`] say of a file.
    pub fn load(&self, network: &str) -> Result<SecretKey, KeyError> {
        let file = self.read(network)?;
        match self {
            Self::File(path) => file.into_plain(path),
            Self::Development(_) => file.into_plain(Path::new("")),
        }
    }

    /// The key's public half, for use on `network`. No password is needed for it.
    ///
    /// # Errors
    /// As [`KeySource::read`].
    pub fn address(&self, network: &str) -> Result<PublicKey, KeyError> {
        Ok(self.read(network)?.address())
    }

    /// The key as it is kept, for use on `network`.
    ///
    /// # Errors
    /// [`KeyError::NotDevelopment`] for a development key on any other network; what [`KeyFile::read`] says of a
    /// file.
    pub fn read(&self, network: &str) -> Result<KeyFile, KeyError> {
        match self {
            Self::File(path) => KeyFile::read(path),
            Self::Development(name) if is_development(network) => {
                Ok(KeyFile::Plain(SecretKey::development(name)))
            }
            Self::Development(name) => {
                Err(KeyError::NotDevelopment { name: name.clone(), network: network.to_owned() })
            }
        }
    }
}

impl FromStr for KeySource {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::parse(text)
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Development(name) => write!(f, "{DEVELOPMENT}{name}"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}
