//! The words a key is made from: BIP-39 in English, then BIP-32 down one path.
//!
//! Words are the copy of a key that a person keeps on paper: with them and nothing else the key is made again, here
//! or by any other program that knows both standards and the path. The path is BIP-44's,
//! `m/44'/7369332'/ACCOUNT'/0/INDEX`: 7369332 is `prt` as a number, registered nowhere and used by nobody else known.
//! BIP-39's optional passphrase is always empty. The key at the end is the private key of BIP-32, and its address the
//! x coordinate of its point, as BIP-340 has it.

use std::fmt;
use std::str::FromStr;

use bip32::{DerivationPath, XPrv};
use bip39::{Error as Bip39Error, Language, Mnemonic};
use printsy_consensus::SecretKey;
use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use crate::KeyError;

/// `prt` as a number: the coin type in every path.
pub const COIN_TYPE: u32 = 0x0070_7274;

/// Accounts and indices are below this: above it BIP-32 has its hardened numbers.
const HARDENED: u32 = 1 << 31;

/// The longest text looked at for words: 24 words of eight letters, with room for a person's spaces.
pub const MAX_WORDS_BYTES: usize = 1024;

/// How many words a new key has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WordCount {
    /// 12: 128 bits, as strong as the curve.
    #[default]
    Twelve,
    /// 24: 256 bits.
    TwentyFour,
}

/// Words with a valid checksum. They are shown nowhere but where they are asked for.
#[derive(Clone)]
pub struct Words(Mnemonic);

impl Words {
    /// New words, from the system's randomness.
    ///
    /// # Errors
    /// [`KeyError::Random`] if the system has none.
    pub fn generate(count: WordCount) -> Result<Self, KeyError> {
        let bytes = match count {
            WordCount::Twelve => 16,
            WordCount::TwentyFour => 32,
        };
        let mut entropy = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(&mut entropy[..bytes]).map_err(|error| KeyError::Random(error.to_string()))?;
        Ok(Self::from_entropy(&entropy[..bytes]).expect("16 and 32 bytes make words"))
    }

    /// Reads words as a person writes them: in any case, with any space between.
    ///
    /// # Errors
    /// [`KeyError::Words`] says which word is wrong by its place, and never what it is.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text.len() > MAX_WORDS_BYTES {
            return Err(KeyError::Words(format!("expected at most {MAX_WORDS_BYTES} bytes of words")));
        }
        let mut plain = Zeroizing::new(String::with_capacity(MAX_WORDS_BYTES));
        for word in text.split_whitespace() {
            if !plain.is_empty() {
                plain.push(' ');
            }
            plain.extend(word.chars().map(|letter| letter.to_ascii_lowercase()));
        }
        let words = Mnemonic::parse_in_normalized(Language::English, &plain);
        words.map(Self).map_err(|error| KeyError::Words(sentence(&error)))
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.word_count()
    }

    /// Each word, first to last.
    pub fn iter(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.words()
    }

    /// All of them, with a space between.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(MAX_WORDS_BYTES));
        for word in self.iter() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        text
    }

    /// The key at `path`.
    ///
    /// # Errors
    /// [`KeyError::Words`] in one case in 2^127, which nobody will ever see.
    pub fn key(&self, path: KeyPath) -> Result<SecretKey, KeyError> {
        let unusable = || KeyError::Words(format!("no key is at {path}; take the next index"));
        let seed = Zeroizing::new(self.0.to_seed_normalized(""));
        let path: DerivationPath = path.to_string().parse().expect("a path of ours is one of BIP-32");
        let extended = XPrv::derive_from_path(&*seed, &path).map_err(|_| unusable())?;
        let secret = Zeroizing::new(extended.to_bytes());
        SecretKey::from_bytes(&secret).map_err(|_| unusable())
    }

    pub(crate) fn from_entropy(entropy: &[u8]) -> Option<Self> {
        Mnemonic::from_entropy_in(Language::English, entropy).ok().map(Self)
    }

    pub(crate) fn entropy(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.to_entropy())
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Words(hidden)")
    }
}

fn sentence(error: &Bip39Error) -> String {
    match error {
        Bip39Error::BadWordCount(count) => format!("expected 12, 15, 18, 21 or 24 words, got {count}"),
        Bip39Error::UnknownWord(at) => {
            format!("word {} is not one of BIP-39's English words", at.saturating_add(1))
        }
        Bip39Error::InvalidChecksum => {
            "one of them is wrong or out of its place: their checksum does not fit".to_owned()
        }
        _ => "they are not BIP-39's English words".to_owned(),
    }
}

/// Where a key is below its words: `m/44'/7369332'/ACCOUNT'/0/INDEX`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyPath {
    account: u32,
    index: u32,
}

impl KeyPath {
    /// The path of key `index` of account `account`.
    ///
    /// # Errors
    /// [`KeyError::Path`] for numbers of 2^31 and more.
    pub fn new(account: u32, index: u32) -> Result<Self, KeyError> {
        if account < HARDENED && index < HARDENED { Ok(Self { account, index }) } else { Err(KeyError::Path) }
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m/44'/{COIN_TYPE}'/{}'/0/{}", self.account, self.index)
    }
}

impl FromStr for KeyPath {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.strip_prefix("m/44'/7369332'/").ok_or(KeyError::Path)?.split('/');
        let account = parts.next().and_then(|part| part.strip_suffix('\'')).ok_or(KeyError::Path)?;
        let account = account.parse().map_err(|_| KeyError::Path)?;
        let (Some("0"), Some(index), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Path);
        };
        let path = Self::new(account, index.parse().map_err(|_| KeyError::Path)?)?;
        // One path has one text: "+1" and "01" are numbers to the parser too.
        if path.to_string() == text { Ok(path) } else { Err(KeyError::Path) }
    }
}
