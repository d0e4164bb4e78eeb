//! Transactions: what an account asks the network to do (protocol section 3).
//!
//! Types, bytes, ids and signing. Whether a transaction is well formed is `check.rs`' question, whether it may
//! happen now is `execute/`'s.

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError as BincodeDecodeError, EncodeError};

use crate::codec::{self, Decode, Encode, List};
use crate::hash::{Hash, Tag, tagged};
use crate::key::{PublicKey, SecretKey, Signature};

/// How many lines a purchase may have.
pub const MAX_LINES: usize = 256;
/// How many bytes a review's text may have.
pub const MAX_TEXT_BYTES: usize = 1024;
/// How many bytes a miner's name may have.
pub const MAX_NAME_BYTES: usize = 32;
/// The largest transaction in bytes: a purchase of [`MAX_LINES`] lines (sender, reference, expiry, tag,
/// count, lines of 12 bytes, total, signature).
pub const MAX_TRANSACTION_BYTES: usize = 32 + 16 + 8 + 1 + 2 + MAX_LINES * 12 + 8 + 64;

/// A miner's name, as bytes; rule T12 says which.
pub type Name = List<u8, MAX_NAME_BYTES>;

/// One line of a cart: some editions of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Line {
    /// Which image.
    pub image: u64,
    /// How many editions of it.
    pub quantity: u32,
}

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Tag 0: a cart, bought whole or not at all, for `total`.
    Purchase {
        /// Strictly ascending by image.
        lines: List<Line, MAX_LINES>,
        /// The sum of price times quantity the buyer agrees to.
        total: u64,
    },
    /// Tag 1: by someone who bought the image.
    Review {
        /// Which image.
        image: u64,
        /// 1 to 5.
        rating: u8,
        /// UTF-8, possibly empty.
        text: List<u8, MAX_TEXT_BYTES>,
    },
    /// Tag 2: from the sender's balance to another's.
    Transfer {
        /// The account credited.
        to: PublicKey,
        /// How much.
        amount: u64,
    },
    /// Tag 3: a deposit, by an issuer.
    Issue {
        /// The account credited.
        to: PublicKey,
        /// How much.
        amount: u64,
    },
    /// Tag 4: a withdrawal by the balance's owner.
    Redeem {
        /// How much.
        amount: u64,
    },
    /// Tag 5: puts an image on sale or changes its terms, by a registrar.
    List {
        /// Which image.
        image: u64,
        /// Who is credited for each sale.
        seller: PublicKey,
        /// The price of one edition.
        price: u64,
        /// How many editions there are.
        editions: u32,
    },
    /// Tag 6: by a registrar.
    RegisterMiner {
        /// The key that may then make blocks.
        miner: PublicKey,
        /// What people call it.
        name: Name,
    },
    /// Tag 7: by a registrar.
    RevokeMiner {
        /// The key that may then make no more blocks.
        miner: PublicKey,
    },
    /// Tag 8: by a registrar.
    Admit {
        /// The account that may then buy, review and hold balances.
        account: PublicKey,
    },
    /// Tag 9: by a registrar.
    Expel {
        /// The account that may then no longer.
        account: PublicKey,
    },
}

impl Action {
    /// The action's tag on the wire.
    #[must_use]
    pub fn tag(&self) -> u8 {
        match self {
            Self::Purchase { .. } => 0,
            Self::Review { .. } => 1,
            Self::Transfer { .. } => 2,
            Self::Issue { .. } => 3,
            Self::Redeem { .. } => 4,
            Self::List { .. } => 5,
            Self::RegisterMiner { .. } => 6,
            Self::RevokeMiner { .. } => 7,
            Self::Admit { .. } => 8,
            Self::Expel { .. } => 9,
        }
    }

    /// What people call the action, in camelCase as JSON-RPC shows it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Purchase { .. } => "purchase",
            Self::Review { .. } => "review",
            Self::Transfer { .. } => "transfer",
            Self::Issue { .. } => "issue",
            Self::Redeem { .. } => "redeem",
            Self::List { .. } => "list",
            Self::RegisterMiner { .. } => "registerMiner",
            Self::RevokeMiner { .. } => "revokeMiner",
            Self::Admit { .. } => "admit",
            Self::Expel { .. } => "expel",
        }
    }

    /// The fields after the tag, with a review's text given as `text` writes it.
    fn encode_fields<E: Encoder>(&self, encoder: &mut E, text: TextAs) -> Result<(), EncodeError> {
        match self {
            Self::Purchase { lines, total } => (lines, total).encode(encoder),
            Self::Review { image, rating, text: bytes } => {
                (image, rating).encode(encoder)?;
                match text {
                    TextAs::Bytes => bytes.encode(encoder),
                    TextAs::Hash => tagged(Tag::Text, &[bytes]).encode(encoder),
                }
            }
            Self::Transfer { to, amount } | Self::Issue { to, amount } => (to, amount).encode(encoder),
            Self::Redeem { amount } => amount.encode(encoder),
            Self::List { image, seller, price, editions } => (image, seller, price, editions).encode(encoder),
            Self::RegisterMiner { miner, name } => (miner, name).encode(encoder),
            Self::RevokeMiner { miner: key }
            | Self::Admit { account: key }
            | Self::Expel { account: key } => key.encode(encoder),
        }
    }
}

/// How a review's text is written: as it is, or as its hash inside a txid.
#[derive(Clone, Copy)]
enum TextAs {
    Bytes,
    Hash,
}

impl Encode for Action {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.tag().encode(encoder)?;
        self.encode_fields(encoder, TextAs::Bytes)
    }
}

impl<C> Decode<C> for Action {
    fn decode<D: Decoder<Context = C>>(d: &mut D) -> Result<Self, BincodeDecodeError> {
        Ok(match u8::decode(d)? {
            0 => Self::Purchase { lines: Decode::decode(d)?, total: Decode::decode(d)? },
            1 => Self::Review {
                image: Decode::decode(d)?,
                rating: Decode::decode(d)?,
                text: Decode::decode(d)?,
            },
            2 => Self::Transfer { to: Decode::decode(d)?, amount: Decode::decode(d)? },
            3 => Self::Issue { to: Decode::decode(d)?, amount: Decode::decode(d)? },
            4 => Self::Redeem { amount: Decode::decode(d)? },
            5 => Self::List {
                image: Decode::decode(d)?,
                seller: Decode::decode(d)?,
                price: Decode::decode(d)?,
                editions: Decode::decode(d)?,
            },
            6 => Self::RegisterMiner { miner: Decode::decode(d)?, name: Decode::decode(d)? },
            7 => Self::RevokeMiner { miner: Decode::decode(d)? },
            8 => Self::Admit { account: Decode::decode(d)? },
            9 => Self::Expel { account: Decode::decode(d)? },
            _ => return Err(codec::unknown_tag()),
        })
    }
}

bincode::impl_borrow_decode!(Action);

/// What a transaction says, before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// Who asks.
    pub sender: PublicKey,
    /// Chosen by the client: tells two otherwise equal orders apart.
    pub reference: [u8; 16],
    /// The last height that may include it.
    pub expires_at: u64,
    /// What is asked.
    pub action: Action,
}

impl Body {
    /// `txid = H("printsy/txid", body)`, in which a review's text (count and bytes) is replaced by
    /// `H("printsy/text", text)`.
    #[must_use]
    pub fn txid(&self) -> Hash {
        tagged(Tag::TxId, &[&codec::encode(&Unsigned(self, TextAs::Hash))])
    }

    /// Signs the body for the network of `genesis`.
    #[must_use]
    pub fn sign(self, genesis: &Hash, key: &SecretKey) -> Transaction {
        let signature = key.sign(&signing_message(genesis, &self.txid()));
        Transaction { body: self, signature }
    }
}

struct Unsigned<'a>(&'a Body, TextAs);

impl Encode for Unsigned<'_> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let Body { sender, reference, expires_at, action } = self.0;
        (sender, reference, expires_at).encode(encoder)?;
        action.tag().encode(encoder)?;
        action.encode_fields(encoder, self.1)
    }
}

/// `message = H("printsy/sign", genesis_hash, txid)`: what a transaction's signature signs.
#[must_use]
pub fn signing_message(genesis: &Hash, txid: &Hash) -> Hash {
    tagged(Tag::Sign, &[&genesis.0, &txid.0])
}

/// A signed request, decoded and bounded, but checked in no way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// What is signed.
    pub body: Body,
    /// BIP-340 over [`signing_message`].
    pub signature: Signature,
}

impl Transaction {
    /// The transaction's leaf in its block's transactions root, `H("printsy/tx", txid, signature)`: it binds
    /// every byte of the transaction, so it also names exactly these bytes.
    #[must_use]
    pub fn leaf(&self, txid: &Hash) -> Hash {
        tagged(Tag::Transaction, &[&txid.0, &self.signature])
    }
}

impl Encode for Transaction {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        Unsigned(&self.body, TextAs::Bytes).encode(encoder)?;
        self.signature.encode(encoder)
    }
}

impl<C> Decode<C> for Transaction {
    fn decode<D: Decoder<Context = C>>(d: &mut D) -> Result<Self, BincodeDecodeError> {
        let body = Body {
            sender: Decode::decode(d)?,
            reference: Decode::decode(d)?,
            expires_at: Decode::decode(d)?,
            action: Decode::decode(d)?,
        };
        Ok(Self { body, signature: Decode::decode(d)? })
    }
}

bincode::impl_borrow_decode!(Transaction);
