//! The JSON-RPC interface of a node as types: every method once, its errors, and a client.
//!
//! A [`Method`] is a name, a type of params and a type of result; server, client and any description of the
//! interface are made from the same types, so they cannot drift apart. This crate serves nothing: the node
//! answers the methods, with [`parse_params`] to read what it is asked and [`RpcError`] to refuse.
//!
//! - [`text`]: how hashes, addresses, amounts and bounded numbers are written
//! - [`market`], [`history`], [`chain`], [`block`], [`mining`], [`admin`]: the methods
//! - [`subscription`]: what a WebSocket session is told as it happens
//! - [`error`]: the reasons, their codes and data
//! - [`client`]: calls over HTTP
//! - [`session`]: calls and subscriptions over one WebSocket

pub mod admin;
pub mod block;
pub mod chain;
pub mod client;
pub mod error;
pub mod history;
pub mod market;
mod method;
pub mod mining;
pub mod session;
pub mod subscription;
pub mod text;
pub mod transaction;

pub use client::{Client, ClientError};
pub use error::{ErrorData, RpcError, RpcReason};
pub use method::{Method, NoParams, parse_params, parse_params_of};
pub use session::{Feed, Session};
pub use subscription::{SUBSCRIPTIONS, Subscription};
pub use text::{Address, Amount, HashHex, Hex, HexBytes, TransactionHex};

/// The port a node serves on and a client asks, when nobody says otherwise.
pub const DEFAULT_PORT: u16 = 8645;

/// The most transactions of one `executeTransactions`.
pub const MAX_BATCH_TRANSACTIONS: usize = 1_000;

/// The names of all methods, in the order of the documentation.
pub const METHODS: [&str; 22] = [
    market::IsAvailable::NAME,
    market::ExecuteTransaction::NAME,
    market::ExecuteTransactions::NAME,
    market::ValidateTransaction::NAME,
    market::GetTransaction::NAME,
    market::GetEdition::NAME,
    history::GetOwners::NAME,
    market::GetAccount::NAME,
    history::GetHoldings::NAME,
    history::GetHistory::NAME,
    history::GetReviews::NAME,
    chain::GetChain::NAME,
    block::GetHeader::NAME,
    block::GetBlock::NAME,
    chain::GetParams::NAME,
    chain::GetPeers::NAME,
    chain::GetMiners::NAME,
    chain::GetMempool::NAME,
    mining::GetBlockTemplate::NAME,
    mining::SubmitBlock::NAME,
    admin::GenerateBlocks::NAME,
    admin::SetClock::NAME,
];
