//! Who signs: a key named by `--key`, its address known at once, its secret only when it is needed.

use anyhow::{Result, ensure};
use printsy_consensus::{PublicKey, SecretKey};
use printsy_keys::{KeyError, KeyFile, KeySource, Keyring, check_name};

use crate::ask::Person;
use crate::cli::PasswordFrom;
use crate::password;

/// A key that was named, not yet opened.
#[derive(Clone, Debug)]
pub struct Signer {
    text: String,
    file: KeyFile,
    guards_nothing: bool,
}

impl Signer {
    /// The key that `text` names: a name in `ring`, a file, or `dev:NAME` on a development network.
    ///
    /// # Errors
    /// What the key's source says, as it stands.
    pub fn find(text: &str, network: &str, ring: Option<&Keyring>) -> Result<Self> {
        let (file, guards_nothing) = match ring {
            Some(ring) if check_name(text).is_ok() => (ring.read(text)?, false),
            // Without a home there is no ring, but files and development keys work.
            _ => {
                let source = KeySource::parse(text)?;
                (source.read(network)?, matches!(source, KeySource::Development(_)))
            }
        };
        Ok(Self { text: text.to_owned(), file, guards_nothing })
    }

    /// The key's address. No password is needed for it.
    #[must_use]
    pub fn address(&self) -> PublicKey {
        self.file.address()
    }

    /// Whether everybody has this key.
    #[must_use]
    pub fn guards_nothing(&self) -> bool {
        self.guards_nothing
    }

    /// Refuses an address without a key, before anything is asked.
    ///
    /// # Errors
    /// [`KeyError::WatchOnlyName`].
    pub fn must_sign(&self) -> Result<()> {
        match &self.file {
            KeyFile::Keystore(keystore) if keystore.is_watch_only() => {
                Err(KeyError::WatchOnlyName { name: self.text.clone() }.into())
            }
            _ => Ok(()),
        }
    }

    /// The secret key; where a password protects it, `from` or a person tells it.
    ///
    /// # Errors
    /// As [`password::open`].
    pub fn unlock(&self, from: Option<&PasswordFrom>, person: &mut dyn Person) -> Result<SecretKey> {
        let key = match &self.file {
            KeyFile::Plain(key) => key.clone(),
            KeyFile::Keystore(keystore) => password::open(keystore, from, person)?.key,
        };
        ensure!(key.public_key() == self.address(), "the key is not its address's");
        Ok(key)
    }
}
