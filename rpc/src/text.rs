//! The scalars of the wire: how a hash, an address, an amount or a bounded number is
//! written in JSON, and nothing about what it means.
//!
//! Each is a type of its own, so that a param out of its form is refused while it is
//! read, with one sentence that says what was expected. Hex is lower case without `0x`,
//! addresses are bech32m, amounts are decimal strings (a JSON number would lose digits
//! above 2^53 in most clients), everything else countable is a bounded number.

use std::fmt;
use std::str::FromStr;

use printsy_consensus::{Hash, MAX_TRANSACTION_BYTES, ParseAddressError, PublicKey};
use serde::{Deserialize, Serialize};

/// The greatest integer every JSON client holds exactly: 2^53 - 1.
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// The most bytes of one block a param may carry: the greatest `maxBlockBytes` of any genesis.
pub const MAX_BLOCK_BYTES: usize = 67_108_864;

/// `N` bytes as lower-case hex, first byte first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hex<const N: usize>(pub [u8; N]);

/// A hash, a block id, a txid, a register: 64 hex digits.
pub type HashHex = Hex<32>;
/// A signature: 128 hex digits.
pub type SignatureHex = Hex<64>;
/// A header's nonce as its eight bytes stand in the header: 16 hex digits.
pub type NonceHex = Hex<8>;
/// A compact target, most significant byte first, as in genesis.json: 8 hex digits.
pub type BitsHex = Hex<4>;
/// A 256-bit number (`work`, `target`), most significant byte first: 64 hex digits.
pub type NumberHex = Hex<32>;
/// A whole header: 320 hex digits.
pub type HeaderHex = Hex<160>;

/// At most `MAX` bytes as lower-case hex.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HexBytes<const MAX: usize>(Vec<u8>);

/// The most bytes a transaction is given in: twice the largest there is, so that one with a line too many or
/// bytes after its end is refused by the rule it breaks, and not for its length.
pub const MAX_TRANSACTION_HEX_BYTES: usize = 2 * MAX_TRANSACTION_BYTES;

/// A transaction's bytes.
pub type TransactionHex = HexBytes<MAX_TRANSACTION_HEX_BYTES>;
/// A block's bytes.
pub type BlockHex = HexBytes<MAX_BLOCK_BYTES>;

/// An amount or a price in the smallest unit, as a decimal string: `"1250"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Amount(pub u64);

/// A public key in its text form, bech32m: `prt1...`.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(pub PublicKey);

/// A whole number from `MIN` to `MAX`, as a JSON number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Bounded<const MIN: u64, const MAX: u64>(u64);

/// An image's number. Genesis bounds it further.
pub type ImageId = Bounded<0, MAX_SAFE_INTEGER>;
/// A block's height.
pub type Height = Bounded<0, MAX_SAFE_INTEGER>;
/// How long a call may wait: at most ten minutes.
pub type TimeoutMs = Bounded<0, 600_000>;
/// A time in milliseconds since 1970.
pub type TimeMs = Bounded<0, MAX_SAFE_INTEGER>;
/// How many blocks one call may generate: enough for a test of finality, soon done.
pub type BlockCount = Bounded<1, 10_000>;

/// Digits as plain lower-case hex; upper case is another text of the same bytes, so it is refused.
fn decode_hex(text: &str, out: &mut [u8]) -> Result<(), String> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("expected lower-case hex, got upper case".to_owned());
    }
    hex::decode_to_slice(text, out).map_err(|error| format!("expected lower-case hex: {error}"))
}

/// Lower-case hex.
fn encode_hex(bytes: &[u8]) -> String {
    // Not `hex::encode`, which goes through a string's characters one by one.
    let mut digits = vec![0; 2 * bytes.len()];
    hex::encode_to_slice(bytes, &mut digits).expect("there are two digits for each byte");
    String::from_utf8(digits).expect("hex digits are ASCII")
}

impl<const N: usize> FromStr for Hex<N> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = 2 * N;
        if text.len() != digits {
            return Err(format!("expected {digits} hex digits, got {}", text.len()));
        }
        let mut bytes = [0; N];
        decode_hex(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_hex(&self.0))
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const N: usize> TryFrom<String> for Hex<N> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl<const N: usize> From<Hex<N>> for String {
    fn from(hex: Hex<N>) -> Self {
        encode_hex(&hex.0)
    }
}

impl From<Hash> for HashHex {
    fn from(hash: Hash) -> Self {
        Self(hash.0)
    }
}

impl From<HashHex> for Hash {
    fn from(hex: HashHex) -> Self {
        Self(hex.0)
    }
}

impl<const N: usize> From<[u8; N]> for Hex<N> {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes)
    }
}

impl NonceHex {
    /// The nonce as its bytes stand in the header (little-endian).
    #[must_use]
    pub fn from_nonce(nonce: u64) -> Self {
        Self(nonce.to_le_bytes())
    }

    /// The nonce as a number.
    #[must_use]
    pub fn nonce(&self) -> u64 {
        u64::from_le_bytes(self.0)
    }
}

impl BitsHex {
    /// The compact target as it is written: most significant byte first.
    #[must_use]
    pub fn from_bits(bits: u32) -> Self {
        Self(bits.to_be_bytes())
    }

    /// The compact target as a number.
    #[must_use]
    pub fn bits(&self) -> u32 {
        u32::from_be_bytes(self.0)
    }
}

impl<const MAX: usize> HexBytes<MAX> {
    /// Takes `bytes` if they are at most `MAX`.
    ///
    /// # Errors
    /// A sentence with the length and the maximum.
    pub fn new(bytes: Vec<u8>) -> Result<Self, String> {
        if bytes.len() > MAX {
            return Err(format!("expected at most {MAX} bytes, got {}", bytes.len()));
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl<const MAX: usize> TryFrom<String> for HexBytes<MAX> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if !text.len().is_multiple_of(2) {
            return Err(format!("expected an even number of hex digits, got {}", text.len()));
        }
        if text.len() / 2 > MAX {
            return Err(format!("expected at most {MAX} bytes, got {}", text.len() / 2));
        }
        let mut bytes = vec![0; text.len() / 2];
        decode_hex(&text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

impl<const MAX: usize> From<HexBytes<MAX>> for String {
    fn from(bytes: HexBytes<MAX>) -> Self {
        encode_hex(&bytes.0)
    }
}

impl<const MAX: usize> fmt::Debug for HexBytes<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let canonical = !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'));
        if !canonical {
            return Err("expected an amount as decimal digits, without sign or leading zero".to_owned());
        }
        let amount = text.parse().map_err(|_| format!("expected an amount of at most {}", u64::MAX));
        amount.map(Self)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl TryFrom<String> for Amount {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Amount> for String {
    fn from(amount: Amount) -> Self {
        amount.to_string()
    }
}

impl From<u64> for Amount {
    fn from(units: u64) -> Self {
        Self(units)
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error: ParseAddressError| error.to_string())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl Address {
    /// The address of `key`, unless it is the key that stands for nobody.
    #[must_use]
    pub fn unless_none(key: PublicKey) -> Option<Self> {
        (key != PublicKey::NONE).then_some(Self(key))
    }
}

impl From<PublicKey> for Address {
    fn from(key: PublicKey) -> Self {
        Self(key)
    }
}

impl<const MIN: u64, const MAX: u64> Bounded<MIN, MAX> {
    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl<const MIN: u64, const MAX: u64> TryFrom<u64> for Bounded<MIN, MAX> {
    type Error = String;

    fn try_from(number: u64) -> Result<Self, String> {
        if (MIN..=MAX).contains(&number) {
            Ok(Self(number))
        } else {
            Err(format!("expected a number from {MIN} to {MAX}, got {number}"))
        }
    }
}

impl<const MIN: u64, const MAX: u64> From<Bounded<MIN, MAX>> for u64 {
    fn from(number: Bounded<MIN, MAX>) -> Self {
        number.0
    }
}

impl<const MIN: u64, const MAX: u64> fmt::Display for Bounded<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
