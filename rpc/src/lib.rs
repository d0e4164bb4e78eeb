//! The JSON-RPC interface of a node as types: every method once, its errors, and a client.
//!
//! A [`Method`] is a name, a type of params and a type of result; server, client and any description of the
//! interface are made from the same types, so they cannot drift apart. This crate serves nothing: the node
//! answers the methods, with [`parse_params`] to read what it is asked and [`RpcError`] to refuse. What it
//! answers with a proof is checked here too ([`proof::verify`]), for callers that believe no node.
//!
//! - [`text`]: how hashes, addresses, amounts and bounded numbers are written
//! - [`market`], [`history`], [`chain`], [`block`], [`mining`], [`proof`], [`admin`]: the methods
//! - [`subscription`]: what a WebSocket session is told as it happens
//! - [`registry`]: all of them in one table; [`openrpc`]: the table as an OpenRPC document
//! - [`error`]: the reasons, their codes and data
//! - [`client`]: calls over HTTP
//! - [`session`]: calls and subscriptions over one WebSocket
//! - [`token`]: what either shows to be let in

pub mod admin;
pub mod block;
pub mod chain;
pub mod client;
pub mod error;
pub mod history;
pub mod market;
mod method;
pub mod mining;
pub mod openrpc;
pub mod proof;
pub mod registry;
mod schema;
pub mod session;
pub mod subscription;
pub mod text;
pub mod token;
pub mod transaction;

pub use client::{Client, ClientError};
pub use error::{ErrorData, RpcError, RpcReason};
pub use method::{Method, NoParams, Scope, parse_params, parse_params_of};
pub use registry::METHODS;
pub use session::{Feed, Session};
pub use subscription::{SUBSCRIPTIONS, Subscription};
pub use text::{Address, Amount, HashHex, Hex, HexBytes, TransactionHex};
pub use token::{Token, TokenError};

/// The port a node serves on and a client asks, when nobody says otherwise.
pub const DEFAULT_PORT: u16 = 8645;

/// The most transactions of one `executeTransactions`.
pub const MAX_BATCH_TRANSACTIONS: usize = 1_000;
