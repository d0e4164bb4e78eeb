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

use std::path::Path;

use printsy_consensus::{PublicKey, SecretKey};
use zeroize::Zeroizing;

use crate::KeyError;

/// The version of the plain form.
const VERSION: u32 = 1;

/// What the first line begins with.
const MAGIC: &str = "printsy key ";

/// The file's text.
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

/// Reads the file's text.
pub(crate) fn parse(path: &Path, text: &str) -> Result<SecretKey, KeyError> {
    let mut lines = text.lines();
    let version = lines.next().and_then(|line| line.strip_prefix(MAGIC));
    let version =
        version.ok_or_else(|| KeyError::not_a_key(path, "its first line is not `printsy key 1`"))?;
    let version = version.parse().map_err(|_| KeyError::not_a_key(path, "its version is not a number"))?;
    if version != VERSION {
        return Err(KeyError::Version { path: path.to_owned(), got: version, known: VERSION });
    }
    let address = lines.next().and_then(|line| line.strip_prefix("address "));
    let address = address.and_then(|text| text.parse::<PublicKey>().ok());
    let address = address.ok_or_else(|| KeyError::not_a_key(path, "its second line is not an address"))?;
    let digits = lines.next().and_then(|line| line.strip_prefix("secret "));
    let digits = digits.ok_or_else(|| KeyError::not_a_key(path, "its third line is not a secret"))?;
    if lines.next().is_some() {
        return Err(KeyError::not_a_key(path, "it has more than three lines"));
    }
    let mut secret = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits, &mut *secret)
        .map_err(|_| KeyError::not_a_key(path, "its secret is not 64 hex digits"))?;
    let key = SecretKey::from_bytes(&secret)
        .map_err(|_| KeyError::not_a_key(path, "its secret is not a valid key"))?;
    if key.public_key() != address {
        return Err(KeyError::not_a_key(path, "its address is not its secret's: the file is damaged"));
    }
    Ok(key)
}
