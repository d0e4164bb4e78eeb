//! Reading the value of a key as what it means: paths, addresses, numbers, keys.
//!
//! The shapes were checked when the values were gathered; each function here adds the meaning, and its error
//! names key, place and expectation. A relative path in a file is relative to the file's folder.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use printsy_keys::KeySource;

use super::ConfigError;
use super::keys::Key;
use super::layers::{Given, Layers, Source, Value};

impl Layers {
    /// The text given for `key`, if `holds` of it.
    pub(super) fn text_if(
        &self,
        key: &'static Key,
        holds: impl Fn(&str) -> bool,
    ) -> Result<Option<String>, ConfigError> {
        let Some((given, text)) = self.text(key) else { return Ok(None) };
        if holds(text) { Ok(Some(text.to_owned())) } else { Err(bad(key, given, text)) }
    }

    /// The text given for `key`, parsed.
    pub(super) fn parsed<T: FromStr>(&self, key: &'static Key) -> Result<Option<T>, ConfigError> {
        let Some((given, text)) = self.text(key) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| bad(key, given, text))
    }

    /// The path given for `key`.
    pub(super) fn path(&self, key: &'static Key) -> Result<Option<PathBuf>, ConfigError> {
        let Some((given, text)) = self.text(key) else { return Ok(None) };
        if text.is_empty() {
            return Err(bad(key, given, text));
        }
        Ok(Some(beside(&given.place, Path::new(text))))
    }

    /// The source of a key of the chain, given for `key`.
    pub(super) fn key_source(&self, key: &'static Key) -> Result<Option<KeySource>, ConfigError> {
        let Some((given, text)) = self.text(key) else { return Ok(None) };
        if is_secret(text) {
            return Err(bad(key, given, "a secret itself, which belongs into a file of mode 0600"));
        }
        match KeySource::parse(text).map_err(|_| bad(key, given, text))? {
            KeySource::File(path) => Ok(Some(KeySource::File(beside(&given.place, &path)))),
            development @ KeySource::Development(_) => Ok(Some(development)),
        }
    }

    /// The addresses of nodes given for `key`.
    pub(super) fn addresses(&self, key: &'static Key) -> Result<Option<Vec<String>>, ConfigError> {
        let Some(given) = self.get(key) else { return Ok(None) };
        let Value::Texts(addresses) = &given.value else { unreachable!("the shape was checked") };
        match addresses.iter().find(|address| printsy_p2p::check_address(address).is_err()) {
            Some(address) => Err(bad(key, given, address)),
            None => Ok(Some(addresses.clone())),
        }
    }

    /// The texts given for `key`, each read by `read`.
    pub(super) fn texts_parsed<T>(
        &self,
        key: &'static Key,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<Vec<T>>, ConfigError> {
        let Some(given) = self.get(key) else { return Ok(None) };
        let Value::Texts(texts) = &given.value else { unreachable!("the shape was checked") };
        let parsed = texts.iter().map(|text| read(text).ok_or_else(|| bad(key, given, text)));
        parsed.collect::<Result<_, _>>().map(Some)
    }

    /// The number given for `key`, from `least` to `most`.
    pub(super) fn whole(&self, key: &'static Key, least: u64, most: u64) -> Result<Option<u64>, ConfigError> {
        let Some(given) = self.get(key) else { return Ok(None) };
        let Value::Whole(number) = given.value else { unreachable!("the shape was checked") };
        if (least..=most).contains(&number) {
            Ok(Some(number))
        } else {
            Err(bad(key, given, &number.to_string()))
        }
    }

    /// Whether the switch `key` is on, if that was given.
    pub(super) fn switch(&self, key: &'static Key) -> Option<bool> {
        match self.get(key)?.value {
            Value::Switch(on) => Some(on),
            _ => unreachable!("the shape was checked"),
        }
    }

    /// The name of the kernel given for `key`, once it is one that this processor runs.
    pub(super) fn kernel(&self, key: &'static Key) -> Result<Option<&'static str>, ConfigError> {
        let Some((given, name)) = self.text(key) else { return Ok(None) };
        let (needs, runnable) = match printsy_miner::kernel_named(name) {
            Ok(kernel) => return Ok(Some(kernel.name)),
            Err(printsy_miner::Error::KernelNotHere { needs, runnable, .. }) => {
                (format!(", which needs {needs}"), runnable)
            }
            Err(_) => (String::new(), printsy_miner::kernels().iter().map(|kernel| kernel.name).collect()),
        };
        Err(ConfigError::Value {
            key: key.name,
            place: given.place.clone(),
            expected: format!("a kernel that this processor runs ({})", runnable.join(", ")),
            got: format!("{}{needs}", quoted(name)),
        })
    }

    fn text(&self, key: &'static Key) -> Option<(&Given, &str)> {
        let given = self.get(key)?;
        match &given.value {
            Value::Text(text) => Some((given, text)),
            _ => unreachable!("the shape was checked"),
        }
    }
}

fn bad(key: &'static Key, given: &Given, got: &str) -> ConfigError {
    let (place, expected) = (given.place.clone(), key.expects.to_owned());
    ConfigError::Value { key: key.name, place, expected, got: quoted(got) }
}

/// As much of a text as an error shows.
fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(100).collect::<String>())
}

/// Whether a text looks like a secret key rather than the name of where one is: it is then repeated nowhere.
fn is_secret(text: &str) -> bool {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A relative path of a file lies in the file's folder; any other in the process's.
fn beside(place: &Source, path: &Path) -> PathBuf {
    match place {
        Source::File { path: file, .. } => match file.parent() {
            Some(folder) => folder.join(path),
            None => path.to_owned(),
        },
        _ => path.to_owned(),
    }
}
