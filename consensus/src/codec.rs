//! Bytes on the wire and on disk: one value, one encoding (rules C1 to C4).
//!
//! The only file of the project that knows how bincode is configured. Structs derive [`Encode`] and
//! [`Decode`]; what the protocol writes differently from bincode (lists with a `u16` count, enums with a `u8`
//! tag) is written by hand on the same traits, here and beside the enums. Other crates derive with
//! `#[bincode(crate = "printsy_consensus::codec::bincode")]`.
//!
//! bincode is frozen upstream; what keeps us safe from it is that the published vectors freeze every byte.

use std::fmt;
use std::ops::Deref;

pub use bincode;
pub use bincode::{Decode, Encode};

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError as BincodeDecodeError, EncodeError};

use crate::rule::{Fault, Rule};

/// No value of any kind is larger than this many bytes: twice the largest block a genesis may allow.
/// bincode counts claimed bytes against it, so that a lying length cannot make it allocate.
const MAX_VALUE_BYTES: usize = 134_217_728;

type Config = Configuration<LittleEndian, Fixint, Limit<MAX_VALUE_BYTES>>;

const CONFIG: Config = bincode::config::standard()
    .with_little_endian()
    .with_fixed_int_encoding()
    .with_limit::<MAX_VALUE_BYTES>();

/// How our hand-written decoders tell bincode that a count is over its maximum.
const OVER_MAXIMUM: &str = "count over the maximum";
/// How our hand-written decoders tell bincode that a tag is unknown.
const UNKNOWN_TAG: &str = "unknown tag";

/// Bytes that are not a value: whoever sent them is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// C1: the input ends before the value does.
    #[error("C1: truncated: the bytes end before the value does")]
    Truncated,
    /// C2: a list's count, or the value as a whole, is over its maximum.
    #[error("C2: a count is over its maximum")]
    OverMaximum,
    /// C3: an enum's, an optional's or a flag's tag is none of those known.
    #[error("C3: unknown tag")]
    UnknownTag,
    /// C4: bytes follow the value.
    #[error("C4: {extra} bytes follow the value")]
    Trailing {
        /// How many bytes follow.
        extra: usize,
    },
}

impl DecodeError {
    /// The rule of the protocol that was broken.
    #[must_use]
    pub fn rule(self) -> Rule {
        match self {
            Self::Truncated => Rule::C1,
            Self::OverMaximum => Rule::C2,
            Self::UnknownTag => Rule::C3,
            Self::Trailing { .. } => Rule::C4,
        }
    }

    /// Always the sender's: the bytes never were a value.
    #[must_use]
    pub fn fault(self) -> Fault {
        Fault::Sender
    }
}

impl From<BincodeDecodeError> for DecodeError {
    fn from(error: BincodeDecodeError) -> Self {
        match error {
            BincodeDecodeError::Other(OVER_MAXIMUM) | BincodeDecodeError::LimitExceeded => Self::OverMaximum,
            BincodeDecodeError::UnexpectedEnd { .. } => Self::Truncated,
            // All that is left for the types in use: a tag, an optional's byte, a flag.
            _ => Self::UnknownTag,
        }
    }
}

/// The error a hand-written decoder returns for a tag it does not know (rule C3).
#[must_use]
pub fn unknown_tag() -> BincodeDecodeError {
    BincodeDecodeError::Other(UNKNOWN_TAG)
}

/// The error a hand-written decoder returns for a count over its maximum (rule C2).
#[must_use]
pub fn over_maximum() -> BincodeDecodeError {
    BincodeDecodeError::Other(OVER_MAXIMUM)
}

/// The bytes of a value.
///
/// # Panics
/// Never for the protocol's types: writing to a `Vec` cannot fail, and no encoder here refuses a value.
#[must_use]
pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
    bincode::encode_to_vec(value, CONFIG)
        .expect("writing to a Vec cannot fail and no encoder refuses a value")
}

/// The value that all of `bytes` is.
///
/// # Errors
/// C1 to C4, see [`DecodeError`].
pub fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, DecodeError> {
    let (value, used) = decode_prefix(bytes)?;
    match bytes.len().saturating_sub(used) {
        0 => Ok(value),
        extra => Err(DecodeError::Trailing { extra }),
    }
}

/// The value that `bytes` begin with, and how many bytes it took.
///
/// # Errors
/// C1 to C3, see [`DecodeError`].
pub fn decode_prefix<T: Decode<()>>(bytes: &[u8]) -> Result<(T, usize), DecodeError> {
    bincode::decode_from_slice(bytes, CONFIG).map_err(DecodeError::from)
}

/// A list of at most `MAX` items: a `u16` count, then the items (protocol section 1).
///
/// The bound is part of the type: a longer list cannot be made, decoded or pushed to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct List<T, const MAX: usize>(Vec<T>);

/// A list was asked to hold more than its maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a list of at most {max} items was given {got}")]
pub struct TooLong {
    /// The list's maximum.
    pub max: usize,
    /// How many items it was given.
    pub got: usize,
}

impl<T, const MAX: usize> List<T, MAX> {
    /// The empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The items as a plain vector.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const MAX: usize> TryFrom<Vec<T>> for List<T, MAX> {
    type Error = TooLong;

    fn try_from(items: Vec<T>) -> Result<Self, TooLong> {
        if items.len() > MAX || items.len() > usize::from(u16::MAX) {
            return Err(TooLong { max: MAX, got: items.len() });
        }
        Ok(Self(items))
    }
}

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'a, T, const MAX: usize> IntoIterator for &'a List<T, MAX> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: fmt::Debug, const MAX: usize> fmt::Debug for List<T, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Encode, const MAX: usize> Encode for List<T, MAX> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let count = u16::try_from(self.0.len()).expect("a List holds at most u16::MAX items");
        count.encode(encoder)?;
        self.0.iter().try_for_each(|item| item.encode(encoder))
    }
}

impl<C, T: Decode<C>, const MAX: usize> Decode<C> for List<T, MAX> {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, BincodeDecodeError> {
        let count = usize::from(u16::decode(decoder)?);
        if count > MAX {
            return Err(over_maximum());
        }
        // Grows as items really arrive: a count alone allocates nothing.
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(T::decode(decoder)?);
        }
        Ok(Self(items))
    }
}

impl<'de, C, T: Decode<C>, const MAX: usize> bincode::BorrowDecode<'de, C> for List<T, MAX> {
    fn borrow_decode<D: bincode::de::BorrowDecoder<'de, Context = C>>(
        decoder: &mut D,
    ) -> Result<Self, BincodeDecodeError> {
        Self::decode(decoder)
    }
}
