//! A network's parameters: what its genesis fixes for good (protocol section 7).
//!
//! Plain data with its bytes, in the order of those bytes. Whether values make a network is `genesis`' question (G1 to
//! G10); this file only answers who is a registrar, an issuer, or a development network.

use crate::codec::{Decode, Encode, List};
use crate::key::PublicKey;
use crate::transaction::Name;

/// Prefix of the names of development networks: the well-known keys and the shortcuts work there alone.
pub const DEVELOPMENT_PREFIX: &str = "dev-";

/// Whether any image may be bought, or only those listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Catalogue {
    /// Any image below `max_images`, unlisted ones free of charge.
    Open,
    /// Only what a registrar put on sale.
    Listed,
}

/// Who may take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Anyone: for development.
    Open,
    /// Accounts a registrar admitted, registrars and issuers.
    Registered,
}

/// A miner there from genesis.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct GenesisMiner {
    /// Its key.
    pub key: PublicKey,
    /// What people call it.
    pub name: Name,
}

/// The parameters, in the order of their bytes. Times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Params {
    /// The network's name.
    pub network: List<u8, 32>,
    /// The time of block 0, since 1970.
    pub time: u64,
    /// Images are numbered below this.
    pub max_images: u64,
    /// MAX: the editions of every image that is not listed with fewer.
    pub max_editions: u32,
    /// How many editions of one image an account may hold; 0: no limit.
    pub max_per_account: u32,
    /// Which images may be bought.
    pub catalogue: Catalogue,
    /// Who may take part.
    pub admission: Admission,
    /// The spacing of blocks that difficulty aims at.
    pub target_interval_ms: u64,
    /// The least spacing of blocks.
    pub min_interval_ms: u64,
    /// How fast difficulty follows.
    pub half_life_ms: u64,
    /// The easiest target ever, compact.
    pub bits: u32,
    /// A block this far below the tip is final.
    pub finality_depth: u32,
    /// How far ahead a transaction may expire, in blocks.
    pub max_validity: u32,
    /// The largest block.
    pub max_block_bytes: u32,
    /// How many transactions of one sender a block may hold; 0: no limit.
    pub max_per_sender: u32,
    /// How many blocks a miner pauses after one of its own.
    pub miner_spacing: u32,
    /// How far a block's time may be ahead of a node's clock.
    pub max_future_ms: u64,
    /// Who registers miners, admits accounts and lists images.
    pub registrars: List<PublicKey, 16>,
    /// Who deposits.
    pub issuers: List<PublicKey, 16>,
    /// Who may mine from the first block on.
    pub miners: List<GenesisMiner, 1024>,
}

impl Params {
    /// The network's name as text.
    #[must_use]
    pub fn network_name(&self) -> String {
        String::from_utf8_lossy(&self.network).into_owned()
    }

    /// Whether this is a development network, by its name.
    #[must_use]
    pub fn is_development(&self) -> bool {
        self.network.starts_with(DEVELOPMENT_PREFIX.as_bytes())
    }

    /// Whether `key` is a registrar's.
    #[must_use]
    pub fn is_registrar(&self, key: &PublicKey) -> bool {
        self.registrars.contains(key)
    }

    /// Whether `key` is an issuer's.
    #[must_use]
    pub fn is_issuer(&self, key: &PublicKey) -> bool {
        self.issuers.contains(key)
    }
}

mod wire {
    //! Two enums of two: `u8`, 0 open, 1 not.

    use bincode::de::Decoder;
    use bincode::enc::Encoder;
    use bincode::error::{DecodeError, EncodeError};
    use bincode::{Decode, Encode};

    use super::{Admission, Catalogue};
    use crate::codec::unknown_tag;

    impl Encode for Catalogue {
        fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
            u8::from(*self == Self::Listed).encode(encoder)
        }
    }

    impl<C> Decode<C> for Catalogue {
        fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
            match u8::decode(decoder)? {
                0 => Ok(Self::Open),
                1 => Ok(Self::Listed),
                _ => Err(unknown_tag()),
            }
        }
    }

    bincode::impl_borrow_decode!(Catalogue);

    impl Encode for Admission {
        fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
            u8::from(*self == Self::Registered).encode(encoder)
        }
    }

    impl<C> Decode<C> for Admission {
        fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
            match u8::decode(decoder)? {
                0 => Ok(Self::Open),
                1 => Ok(Self::Registered),
                _ => Err(unknown_tag()),
            }
        }
    }

    bincode::impl_borrow_decode!(Admission);
}
