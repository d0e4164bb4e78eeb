//! The errors of the API: each reason once, with its code and whether trying again can help.
//!
//! A `reason` never changes once shipped: programs match on it, people read the message. The server
//! makes every error object here and the client reads every error object here, so that both tell the
//! same story; nothing else in the project names a code.

use std::fmt;

use jsonrpsee::types::ErrorObjectOwned;
use jsonrpsee::types::error::{INTERNAL_ERROR_CODE, INVALID_PARAMS_CODE, METHOD_NOT_FOUND_CODE};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::text::{Amount, HashHex};

/// Why a call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RpcReason {
    /// The image has fewer editions left than wanted (S4): `image`, `max`, `sold`, `requested`.
    SoldOut,
    /// The rest of the image is in other pending purchases: `image`, `max`, `sold`, `pending`, `requested`.
    HeldByPending,
    /// The signature is not the sender's over this transaction on this network (T2).
    BadSignature,
    /// `expiresAt` is below the next block's height (S1): `height`, `expiresAt`.
    Expired,
    /// `expiresAt` is further ahead than `maxValidity` allows now (S1): `height`, `expiresAt`.
    NotYet,
    /// `expiresAt` is so near that the order might never be mined: `height`, `expiresAt`.
    ExpiresTooSoon,
    /// The catalogue is closed and the image is not in it (S6): `image`.
    NotListed,
    /// The total is not the sum of the prices (S7): `total`, as it is now.
    PriceChanged,
    /// The account would hold more of the image than it may (S5): `image`, `held`, `max`, `requested`.
    AccountLimit,
    /// The balance does not cover it (S8): `balance`, `total`.
    InsufficientBalance,
    /// The sender, or who receives, has not the role it needs (S3, S10, S12).
    NotAuthorized,
    /// Only who bought the image reviews it (S9): `image`.
    NotPurchased,
    /// The bytes or a field break a rule that needs no chain (C and T rules).
    Malformed,
    /// The registry says no, or nothing would change (S11, S13 to S17).
    RefusedByRegistry,
    /// The node holds as many pending transactions as it may, in all or of this account.
    MempoolFull,
    /// No such template, or not any more: ask for a new one.
    UnknownTemplate,
    /// A peer has proved more header work: the node takes no orders yet.
    Syncing,
    /// Not known to this node; that is not to say never. Of a proof's height: `height`, `lowestHeight`, `highestHeight`.
    NotFound,
    /// The node stopped taking orders: disk full, failing, or the index too far behind.
    Storage,
    /// A cookie or token is needed, or was wrong; or the network is not one of development.
    Unauthorized,
    /// Too many calls, or large answers that are not read yet: `retryAfterMs`.
    RateLimited,
    /// A subscription's reader did not take what it was told in time.
    SlowReader,
    /// A subscription has nothing more to tell.
    Ended,
}

impl RpcReason {
    /// Every reason, in the order of the codes.
    pub const ALL: [Self; 23] = [
        Self::SoldOut,
        Self::HeldByPending,
        Self::BadSignature,
        Self::Expired,
        Self::NotYet,
        Self::ExpiresTooSoon,
        Self::NotListed,
        Self::PriceChanged,
        Self::AccountLimit,
        Self::InsufficientBalance,
        Self::NotAuthorized,
        Self::NotPurchased,
        Self::Malformed,
        Self::RefusedByRegistry,
        Self::MempoolFull,
        Self::UnknownTemplate,
        Self::Syncing,
        Self::NotFound,
        Self::Storage,
        Self::Unauthorized,
        Self::RateLimited,
        Self::SlowReader,
        Self::Ended,
    ];

    /// Why an order is refused, or cannot be taken or told of.
    pub const OF_ORDERS: &[Self] = &[
        Self::SoldOut,
        Self::HeldByPending,
        Self::BadSignature,
        Self::Expired,
        Self::NotYet,
        Self::ExpiresTooSoon,
        Self::NotListed,
        Self::PriceChanged,
        Self::AccountLimit,
        Self::InsufficientBalance,
        Self::NotAuthorized,
        Self::NotPurchased,
        Self::Malformed,
        Self::RefusedByRegistry,
        Self::MempoolFull,
        Self::Syncing,
        Self::NotFound,
        Self::Storage,
    ];

    /// Why an image's own data is not told: the network has no such image, or the disk fails.
    pub const OF_IMAGES: &[Self] = &[Self::Malformed, Self::Storage];

    /// The JSON-RPC error code.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::SoldOut => 1001,
            Self::HeldByPending => 1002,
            Self::BadSignature => 1003,
            Self::Expired | Self::NotYet | Self::ExpiresTooSoon => 1004,
            Self::NotListed | Self::PriceChanged => 1005,
            Self::AccountLimit => 1006,
            Self::InsufficientBalance => 1007,
            Self::NotAuthorized => 1008,
            Self::NotPurchased => 1009,
            Self::Malformed => 1010,
            Self::RefusedByRegistry => 1011,
            Self::MempoolFull => 1012,
            Self::UnknownTemplate => 2001,
            Self::Syncing => 3001,
            Self::NotFound => 3002,
            Self::Storage => 3003,
            Self::Unauthorized => 4001,
            Self::RateLimited => 4002,
            Self::SlowReader => 4003,
            Self::Ended => 4004,
        }
    }

    /// The name in `data.reason`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SoldOut => "soldOut",
            Self::HeldByPending => "heldByPending",
            Self::BadSignature => "badSignature",
            Self::Expired => "expired",
            Self::NotYet => "notYet",
            Self::ExpiresTooSoon => "expiresTooSoon",
            Self::NotListed => "notListed",
            Self::PriceChanged => "priceChanged",
            Self::AccountLimit => "accountLimit",
            Self::InsufficientBalance => "insufficientBalance",
            Self::NotAuthorized => "notAuthorized",
            Self::NotPurchased => "notPurchased",
            Self::Malformed => "malformed",
            Self::RefusedByRegistry => "refusedByRegistry",
            Self::MempoolFull => "mempoolFull",
            Self::UnknownTemplate => "unknownTemplate",
            Self::Syncing => "syncing",
            Self::NotFound => "notFound",
            Self::Storage => "storage",
            Self::Unauthorized => "unauthorized",
            Self::RateLimited => "rateLimited",
            Self::SlowReader => "slowReader",
            Self::Ended => "ended",
        }
    }

    /// Whether the very same call may succeed later, as a rule. One error may know better
    /// (an insufficient balance that a pending deposit would cover).
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::HeldByPending
                | Self::NotYet
                | Self::MempoolFull
                | Self::Syncing
                | Self::Storage
                | Self::RateLimited
                | Self::SlowReader
        )
    }
}

impl fmt::Display for RpcReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The `data` of one of our errors: always reason, rule and retryable, then what the reason names.
///
/// Reading it lets unknown fields pass: a newer node may say more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorData {
    /// Why.
    pub reason: RpcReason,
    /// The protocol's rule that was broken, such as `S4`, if it was one.
    #[serde(default)]
    pub rule: Option<String>,
    /// Whether the very same call may succeed later.
    pub retryable: bool,
    /// The image it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<u64>,
    /// The most there may be: editions of the image, or what one account may hold of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
    /// Editions sold on the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sold: Option<u64>,
    /// Editions in other pending purchases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<u64>,
    /// Editions this account holds already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<u64>,
    /// Editions this order wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested: Option<u64>,
    /// What the order costs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Amount>,
    /// What the account has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<Amount>,
    /// The height of the next block; of the next that this miner may make, where it has to pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
    /// The last height that could include the transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// The lowest height that can be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lowest_height: Option<u64>,
    /// The highest height that can be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub highest_height: Option<u64>,
    /// The transaction it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tx_id: Option<HashHex>,
    /// When to try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl ErrorData {
    /// The data of `reason`, with its usual `retryable` and nothing more.
    #[must_use]
    pub const fn new(reason: RpcReason) -> Self {
        Self {
            reason,
            rule: None,
            retryable: reason.is_retryable(),
            image: None,
            max: None,
            sold: None,
            pending: None,
            held: None,
            requested: None,
            total: None,
            balance: None,
            height: None,
            expires_at: None,
            lowest_height: None,
            highest_height: None,
            tx_id: None,
            retry_after_ms: None,
        }
    }

    /// The same, with the rule that was broken.
    #[must_use]
    pub fn rule(mut self, id: &str) -> Self {
        self.rule = Some(id.to_owned());
        self
    }
}

/// A JSON-RPC error object, ours or JSON-RPC's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// The code: a reason's, or JSON-RPC's.
    pub code: i32,
    /// One sentence for people, lower case, without a full stop.
    pub message: String,
    /// Ours alone: what programs match on.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "known_data")]
    pub data: Option<Box<ErrorData>>,
}

impl RpcError {
    /// One of our errors.
    #[must_use]
    pub fn refused(message: impl Into<String>, data: ErrorData) -> Self {
        Self { code: data.reason.code(), message: message.into(), data: Some(Box::new(data)) }
    }

    /// `params` that are not this method's (-32602).
    #[must_use]
    pub fn invalid_params(message: impl Into<String>) -> Self {
        Self { code: INVALID_PARAMS_CODE, message: message.into(), data: None }
    }

    /// No such method, or not on this network (-32601).
    #[must_use]
    pub fn method_not_found(name: &str) -> Self {
        Self { code: METHOD_NOT_FOUND_CODE, message: format!("no method named {name}"), data: None }
    }

    /// Our own fault (-32603). What went wrong is in the node's log, not in the answer.
    #[must_use]
    pub fn internal() -> Self {
        Self { code: INTERNAL_ERROR_CODE, message: "internal error".to_owned(), data: None }
    }

    /// Why, if the error is one of ours.
    #[must_use]
    pub fn reason(&self) -> Option<RpcReason> {
        self.data.as_ref().map(|data| data.reason)
    }

    /// Whether a node that refuses a subscription so tells nothing by itself, to anybody or to one more: it is asked then.
    #[must_use]
    pub fn offers_no_news(&self) -> bool {
        self.code == METHOD_NOT_FOUND_CODE || self.reason() == Some(RpcReason::RateLimited)
    }
}

impl From<RpcError> for ErrorObjectOwned {
    fn from(error: RpcError) -> Self {
        Self::owned(error.code, error.message, error.data)
    }
}

/// Data of another shape is another program's, or a newer one's: code and message still tell.
fn known_data<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<ErrorData>>, D::Error> {
    let data = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(data).ok())
}

impl From<ErrorObjectOwned> for RpcError {
    fn from(object: ErrorObjectOwned) -> Self {
        let data = object.data().and_then(|raw| serde_json::from_str(raw.get()).ok());
        Self { code: object.code(), message: object.message().to_owned(), data }
    }
}
