//! A token that lets a caller in, as it lies in a file: a lasting token of a node, or the cookie of one run.
//!
//! It is named by a path alone, never written on a command line or into the environment, where other programs could
//! read it; and its file is refused where others than its owner may. It is sent as `Authorization: Bearer` and shown
//! nowhere else: whatever is printed of it hides it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jsonrpsee_http_client::{HeaderMap, HeaderValue};

use crate::client::io_sentence;

/// How many hex digits a token has.
const TOKEN_CHARS: usize = 64;
/// The most bytes of a token's file: the token, and space around it.
const MAX_FILE_BYTES: u64 = 256;

/// Why there is no token. Each says what to do, and none what the file holds.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("cannot read the token file {}: {why}; give one with --token-file PATH", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
    /// Others than the owner may read or write the file.
    #[error("others may read the token file {0} (mode {mode:04o}); run `chmod 600 {0}`", path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file holds something else.
    #[error(
        "{} holds no token: expected {TOKEN_CHARS} hex digits, as `printsyd tokens add` prints them", path.display()
    )]
    NotAToken {
        /// Which file.
        path: PathBuf,
    },
}

/// A token, as it is sent.
#[derive(Clone, Debug)]
pub struct Token(HeaderValue);

impl Token {
    /// The token in the file at `path`, which its owner alone may read.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let failed = |why: String| TokenError::Read { path: path.to_owned(), why };
        let system = |error: io::Error| failed(io_sentence(&error));
        // Looked at before it is opened: to open a pipe would wait for its writer.
        if !fs::metadata(path).map_err(system)?.is_file() {
            return Err(failed("it is not a file".to_owned()));
        }
        let file = File::open(path).map_err(system)?;
        let mode = file.metadata().map_err(system)?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(TokenError::Exposed { path: path.to_owned(), mode });
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(system)?;
        Self::parse(&bytes).ok_or_else(|| TokenError::NotAToken { path: path.to_owned() })
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let token = bytes.trim_ascii();
        if token.len() != TOKEN_CHARS || !token.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut value = HeaderValue::from_bytes(&[b"Bearer ", token].concat()).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }

    /// The headers that show it, or none.
    pub(crate) fn headers(token: Option<&Self>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(Self(value)) = token {
            headers.insert("authorization", value.clone());
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_64_hex_digits_and_hides_itself() {
        let digits = "0123456789abcdef".repeat(4);
        let token = Token::parse(format!("  {digits}\n").as_bytes()).unwrap();
        assert!(!format!("{token:?}").contains("0123"), "{token:?}");
        let headers = Token::headers(Some(&token));
        assert_eq!(headers["authorization"].to_str().unwrap(), format!("Bearer {digits}"));
        assert!(!format!("{headers:?}").contains("0123"), "{headers:?}");
        assert!(Token::headers(None).is_empty());
        for bad in ["", "00", &digits[1..], &format!("{digits}0"), &"x".repeat(64)] {
            assert!(Token::parse(bad.as_bytes()).is_none(), "{bad:?}");
        }
    }
}
