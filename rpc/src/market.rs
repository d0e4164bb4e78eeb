//! The methods of the marketplace: is an image to be had, execute an order, what became of it.
//!
//! Types only; what they promise is the node's to keep. Numbers that only a node writes are plain, those a
//! caller writes are bounded.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::MAX_BATCH_TRANSACTIONS;
use crate::error::{RpcError, RpcReason};
use crate::method::{Method, Scope};
use crate::text::{Address, Amount, HashHex, ImageId, TimeoutMs, TransactionHex};

/// A block of the chain by both its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlockRef {
    /// Its height.
    pub height: u64,
    /// Its id.
    pub hash: HashHex,
}

/// The place of a transaction in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Position {
    /// The block's height.
    pub height: u64,
    /// The index among the block's transactions, from 0.
    pub index: u32,
}

/// `isAvailable {image}`: whether a purchase of one edition would be taken now.
#[derive(Debug, JsonSchema)]
pub struct IsAvailable;

impl Method for IsAvailable {
    const NAME: &'static str = "isAvailable";
    const SCOPE: Scope = Scope::Read;
    const ERRORS: &'static [RpcReason] = RpcReason::OF_IMAGES;
    type Params = ImageParams;
    type Result = Availability;
}

/// The params of a method about one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageParams {
    /// The image.
    pub image: ImageId,
}

/// What `isAvailable` answers. Counts and tip are of one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Availability {
    /// The image.
    pub image: u64,
    /// Whether a purchase of one would be taken now.
    pub available: bool,
    /// Editions left by the chain.
    pub remaining: u32,
    /// Editions there will ever be.
    pub max: u32,
    /// Editions sold on the chain.
    pub sold: u32,
    /// Editions in purchases this node holds and no block has yet.
    pub pending: u32,
    /// The price of one.
    pub price: Amount,
    /// The block that last sold one.
    pub last_block: Option<BlockRef>,
    /// The tip this is said of.
    pub tip: BlockRef,
}

/// How far an order must have come before the call answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Wait {
    /// This node holds it and has sent it on; that survives a clean stop, not a crash.
    Admitted,
    /// A block of the chain contains it.
    #[default]
    Included,
    /// That block is final: no reorganisation can take it out.
    Final,
}

/// How long a call waits when it does not say.
pub const DEFAULT_TIMEOUT_MS: u64 = 60_000;

/// `executeTransaction {transaction, wait?, timeoutMs?}`: admits a signed transaction and waits for it.
///
/// Not there in time is no error: the status as it stands. The same bytes again: their status, never a second sale.
#[derive(Debug, JsonSchema)]
pub struct ExecuteTransaction;

impl Method for ExecuteTransaction {
    const NAME: &'static str = "executeTransaction";
    const SCOPE: Scope = Scope::Submit;
    const ERRORS: &'static [RpcReason] = RpcReason::OF_ORDERS;
    type Params = ExecuteParams;
    type Result = Status;
}

/// The params of `executeTransaction`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecuteParams {
    /// The signed transaction.
    pub transaction: TransactionHex,
    /// How far to wait; by default until included, within a JSON-RPC batch until admitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// How long to wait; by default 60000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<TimeoutMs>,
}

/// `executeTransactions {transactions, wait?, timeoutMs?}`: as `executeTransaction` for each, answers in order.
///
/// Each transaction counts as a call, and all are taken or none (`rateLimited`).
#[derive(Debug, JsonSchema)]
pub struct ExecuteTransactions;

impl Method for ExecuteTransactions {
    const NAME: &'static str = "executeTransactions";
    const SCOPE: Scope = Scope::Submit;
    const ERRORS: &'static [RpcReason] = &[RpcReason::Storage];
    type Params = ExecuteManyParams;
    type Result = Vec<Outcome>;
}

/// The params of `executeTransactions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecuteManyParams {
    /// The signed transactions.
    #[schemars(with = "Vec<TransactionHex>", length(max = MAX_BATCH_TRANSACTIONS))]
    pub transactions: TransactionList,
    /// How far to wait for each; by default until included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// How long to wait for all of them; by default 60000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<TimeoutMs>,
}

/// At most 1000 transactions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<TransactionHex>", into = "Vec<TransactionHex>")]
pub struct TransactionList(Vec<TransactionHex>);

impl TransactionList {
    /// The transactions, without a copy.
    #[must_use]
    pub fn into_inner(self) -> Vec<TransactionHex> {
        self.0
    }
}

impl TryFrom<Vec<TransactionHex>> for TransactionList {
    type Error = String;

    fn try_from(list: Vec<TransactionHex>) -> Result<Self, String> {
        if list.len() > MAX_BATCH_TRANSACTIONS {
            return Err(format!(
                "expected at most {MAX_BATCH_TRANSACTIONS} transactions, got {}",
                list.len()
            ));
        }
        Ok(Self(list))
    }
}

impl From<TransactionList> for Vec<TransactionHex> {
    fn from(list: TransactionList) -> Self {
        list.0
    }
}

/// What became of one of several transactions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Outcome {
    /// It was taken, or known.
    Status(Box<Status>),
    /// It was refused.
    Error(RpcError),
}

/// `validateTransaction {transaction}`: what `executeTransaction` would say now, changing nothing.
#[derive(Debug, JsonSchema)]
pub struct ValidateTransaction;

impl Method for ValidateTransaction {
    const NAME: &'static str = "validateTransaction";
    const SCOPE: Scope = Scope::Submit;
    const ERRORS: &'static [RpcReason] = RpcReason::OF_ORDERS;
    type Params = ValidateParams;
    type Result = Status;
}

/// The params of `validateTransaction`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValidateParams {
    /// The signed transaction.
    pub transaction: TransactionHex,
}

/// `getTransaction {txId}`: what became of a transaction, as far as this node knows.
#[derive(Debug, JsonSchema)]
pub struct GetTransaction;

impl Method for GetTransaction {
    const NAME: &'static str = "getTransaction";
    const SCOPE: Scope = Scope::Read;
    const ERRORS: &'static [RpcReason] = &[RpcReason::NotFound, RpcReason::Storage];
    type Params = GetTransactionParams;
    type Result = Status;
}

/// The params of `getTransaction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GetTransactionParams {
    /// The transaction's id.
    pub tx_id: HashHex,
}

/// The stages a transaction is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TransactionStatus {
    /// Admitted, and in no block of the chain yet.
    Pending,
    /// In a block of the chain; a reorganisation may still take it out.
    Included,
    /// In a final block.
    Final,
    /// A reorganisation took it out, and it is not valid now. It may become included again.
    Displaced,
    /// Refused. A refusal that may pass is judged anew when the same bytes come again.
    Refused,
    /// The chain has passed `expiresAt` without it. Only once that block is final is it certain.
    Expired,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The transaction's id.
    pub tx_id: HashHex,
    /// The stage it is in now.
    pub status: TransactionStatus,
    /// Each change this node saw, oldest first.
    pub history: Vec<StatusChange>,
    /// Where it stands in the chain, while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<InBlock>,
    /// Blocks of the chain from its own to the tip: 1 in the tip, 0 in none.
    pub confirmations: u64,
    /// A confirmed purchase's edition numbers, by line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub editions: Option<Vec<EditionRange>>,
    /// The transaction's bytes.
    pub transaction: TransactionHex,
}

/// A change of a transaction's status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusChange {
    /// The status it changed to.
    pub status: TransactionStatus,
    /// When this node saw it, in milliseconds since 1970.
    pub time: u64,
    /// The block's height, where it is about a block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
    /// The block's id, where it is about a block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<HashHex>,
    /// Why, for `displaced` and `refused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<RpcReason>,
}

/// The place of a transaction in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InBlock {
    /// The block's height.
    pub height: u64,
    /// The block's id.
    pub hash: HashHex,
    /// The index among the block's transactions, from 0.
    pub index: u32,
}

/// Edition numbers of one image, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EditionRange {
    /// The image.
    pub image: u64,
    /// The first edition number, from 1.
    pub from: u32,
    /// The last edition number.
    pub to: u32,
}

/// `getEdition {image}`: all the chain says of an image.
#[derive(Debug, JsonSchema)]
pub struct GetEdition;

impl Method for GetEdition {
    const NAME: &'static str = "getEdition";
    const SCOPE: Scope = Scope::Read;
    const ERRORS: &'static [RpcReason] = &[RpcReason::Malformed];
    type Params = ImageParams;
    type Result = Edition;
}

/// What `getEdition` answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Edition {
    /// The image.
    pub image: u64,
    /// Whether a registrar listed it; if not, it is free and has the network's MAX.
    pub listed: bool,
    /// Editions there will ever be.
    pub editions: u32,
    /// Editions sold.
    pub sold: u32,
    /// Editions left.
    pub remaining: u32,
    /// The price of one.
    pub price: Amount,
    /// Who is paid for it.
    pub seller: Option<Address>,
    /// The hash over the image's whole story; zero before the first sale.
    pub register: HashHex,
    /// Accounts that reviewed it.
    pub reviews: u32,
    /// The mean of their ratings, 1 to 5.
    pub average_rating: Option<f64>,
    /// The last transaction that touched it, but reviews.
    pub last: Option<Position>,
    /// The last review.
    pub last_review: Option<Position>,
}

/// `getAccount {account}`: all the chain says of an account.
#[derive(Debug, JsonSchema)]
pub struct GetAccount;

impl Method for GetAccount {
    const NAME: &'static str = "getAccount";
    const SCOPE: Scope = Scope::Read;
    const ERRORS: &'static [RpcReason] = &[];
    type Params = AccountParams;
    type Result = Account;
}

/// The params of a method about one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountParams {
    /// The account.
    pub account: Address,
}

/// What `getAccount` answers; an account nobody touched has nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// The account.
    pub account: Address,
    /// What it may spend.
    pub balance: Amount,
    /// Transactions that touched it.
    pub transactions: u64,
    /// Whether a registrar admitted it.
    pub admitted: bool,
    /// The last transaction that touched it.
    pub last: Option<Position>,
}
