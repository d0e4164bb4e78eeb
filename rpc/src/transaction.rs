//! A transaction told field by field, for people and for programs without our codec.
//!
//! Only told: what is executed is always the bytes, so these types are made from a transaction and never
//! turned back into one.

use printsy_consensus::{Action, Line, Transaction, codec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::{Address, Amount, HashHex, Hex, SignatureHex, TransactionHex};

/// A transaction, field by field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransactionInfo {
    /// Its id.
    pub tx_id: HashHex,
    /// Who asked.
    pub sender: Address,
    /// What tells it from an equal one.
    pub reference: Hex<16>,
    /// The last height that may include it.
    pub expires_at: u64,
    /// What it asks.
    pub action: ActionInfo,
    /// The sender's signature.
    pub signature: SignatureHex,
}

/// What a transaction asks, with its name in `type`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ActionInfo {
    /// A cart, bought whole or not at all.
    Purchase {
        /// Ascending by image.
        lines: Vec<LineInfo>,
        /// What the buyer agreed to pay.
        total: Amount,
    },
    /// A rating by a buyer.
    Review {
        /// Which image.
        image: u64,
        /// 1 to 5.
        rating: u8,
        /// Possibly empty.
        text: String,
    },
    /// From the sender's balance to another's.
    Transfer {
        /// The account credited.
        to: Address,
        /// How much.
        amount: Amount,
    },
    /// A deposit by an issuer.
    Issue {
        /// The account credited.
        to: Address,
        /// How much.
        amount: Amount,
    },
    /// A withdrawal.
    Redeem {
        /// How much.
        amount: Amount,
    },
    /// An image put on sale, or its terms changed.
    List {
        /// Which image.
        image: u64,
        /// Who is paid.
        seller: Address,
        /// The price of one edition.
        price: Amount,
        /// How many editions there are.
        editions: u32,
    },
    /// A miner registered.
    RegisterMiner {
        /// Its key.
        miner: Address,
        /// What people call it.
        name: String,
    },
    /// A miner revoked.
    RevokeMiner {
        /// Its key.
        miner: Address,
    },
    /// An account admitted.
    Admit {
        /// The account.
        account: Address,
    },
    /// An account expelled.
    Expel {
        /// The account.
        account: Address,
    },
}

/// One line of a cart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineInfo {
    /// Which image.
    pub image: u64,
    /// How many editions of it.
    pub quantity: u32,
}

impl From<&Transaction> for TransactionHex {
    fn from(transaction: &Transaction) -> Self {
        Self::new(codec::encode(transaction)).expect("a transaction is no longer than one may be")
    }
}

impl From<&Transaction> for TransactionInfo {
    fn from(transaction: &Transaction) -> Self {
        let body = &transaction.body;
        Self {
            tx_id: body.txid().into(),
            sender: body.sender.into(),
            reference: body.reference.into(),
            expires_at: body.expires_at,
            action: ActionInfo::from(&body.action),
            signature: transaction.signature.into(),
        }
    }
}

impl From<&Action> for ActionInfo {
    fn from(action: &Action) -> Self {
        match action {
            Action::Purchase { lines, total } => {
                let lines = lines.iter().copied().map(LineInfo::from).collect();
                Self::Purchase { lines, total: Amount(*total) }
            }
            Action::Review { image, rating, text } => {
                Self::Review { image: *image, rating: *rating, text: lossy(text) }
            }
            Action::Transfer { to, amount } => Self::Transfer { to: Address(*to), amount: Amount(*amount) },
            Action::Issue { to, amount } => Self::Issue { to: Address(*to), amount: Amount(*amount) },
            Action::Redeem { amount } => Self::Redeem { amount: Amount(*amount) },
            Action::List { image, seller, price, editions } => Self::List {
                image: *image,
                seller: Address(*seller),
                price: Amount(*price),
                editions: *editions,
            },
            Action::RegisterMiner { miner, name } => {
                Self::RegisterMiner { miner: Address(*miner), name: lossy(name) }
            }
            Action::RevokeMiner { miner } => Self::RevokeMiner { miner: Address(*miner) },
            Action::Admit { account } => Self::Admit { account: Address(*account) },
            Action::Expel { account } => Self::Expel { account: Address(*account) },
        }
    }
}

impl From<Line> for LineInfo {
    fn from(line: Line) -> Self {
        Self { image: line.image, quantity: line.quantity }
    }
}

/// Text that the rules have already found to be UTF-8 wherever it comes from a block.
fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
