//! The subscriptions: what a WebSocket session may ask to be told as it happens.
//!
//! A [`Subscription`] is three names, a type of params and a type of item. The call by its name answers with a number,
//! the subscription's; its items then come as notifications by another name, with that number and the item as `result`.
//! Where the node itself ends one, the last notification has an [`crate::RpcError`] as `error` instead, which says why:
//! `slowReader` where the reader did not keep up, `ended` where nothing more can follow, and any reason of the methods.
//! The third name ends it.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::block::BlockInfo;
use crate::error::RpcReason;
use crate::market::{Availability, GetTransactionParams, Status};
use crate::method::Scope;
use crate::mining::{GetBlockTemplateParams, Template};
use crate::text::{Bounded, HashHex, Height, ImageId, MAX_SAFE_INTEGER};

/// What can be subscribed to.
pub trait Subscription: JsonSchema {
    /// The names it is known by.
    const NAMES: Names;
    /// What a token must allow for it, where one is asked for.
    const SCOPE: Scope;
    /// Our own errors it may be refused with, or end with, beside those that any method may answer.
    const ERRORS: &'static [RpcReason];
    /// What it is asked.
    type Params: Serialize + DeserializeOwned + JsonSchema;
    /// What it tells, time and again.
    type Item: Serialize + DeserializeOwned + JsonSchema;
}

/// The names of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names {
    /// The method that begins it.
    pub subscribe: &'static str,
    /// The method that its notifications name.
    pub notification: &'static str,
    /// The method that ends it.
    pub unsubscribe: &'static str,
}

/// The names of all subscriptions, in the order of the documentation.
pub const SUBSCRIPTIONS: [Names; 4] = [
    SubscribeBlockTemplate::NAMES,
    SubscribeBlocks::NAMES,
    SubscribeTransaction::NAMES,
    SubscribeAvailability::NAMES,
];

/// `subscribeBlockTemplate {miner}`: work for a miner, as soon as there is any.
///
/// On every new tip an empty template at once, then the full one; where blocks are so easy that an empty one would always
/// be found first, the full one alone. After it, at most once a second, one that holds more. Each is for the tip of its moment: what came before is void. Where this miner may not mine on a tip (B4), or
/// the node makes no templates for now, nothing comes until it may; if it had work on the tip before, the subscription
/// ends with the reason, so that no work is spent on it. Not registered (B3) is refused.
#[derive(Debug, JsonSchema)]
pub struct SubscribeBlockTemplate;

impl Subscription for SubscribeBlockTemplate {
    const NAMES: Names = Names {
        subscribe: "subscribeBlockTemplate",
        notification: "blockTemplate",
        unsubscribe: "unsubscribeBlockTemplate",
    };
    const SCOPE: Scope = Scope::Mine;
    const ERRORS: &'static [RpcReason] =
        &[RpcReason::NotAuthorized, RpcReason::Syncing, RpcReason::Storage, RpcReason::SlowReader];
    type Params = GetBlockTemplateParams;
    type Item = Template;
}

/// `subscribeBlocks {after?}`: each block that joins the chain, and each that leaves it.
///
/// In the order in which a chain is taken down and built up again: what a reader has at any time is a chain of this
/// network. With `after`, all that leads from that block to the tip comes first: from one no longer on the chain the
/// disconnections down to the common block, then the connections. Without it, what follows the present tip.
#[derive(Debug, JsonSchema)]
pub struct SubscribeBlocks;

impl Subscription for SubscribeBlocks {
    const NAMES: Names =
        Names { subscribe: "subscribeBlocks", notification: "blocks", unsubscribe: "unsubscribeBlocks" };
    const SCOPE: Scope = Scope::Read;
    const ERRORS: &'static [RpcReason] = &[RpcReason::NotFound, RpcReason::Storage, RpcReason::SlowReader];
    type Params = SubscribeBlocksParams;
    type Item = BlockEvent;
}

/// The params of `subscribeBlocks`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubscribeBlocksParams {
    /// The last block the reader has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<KnownBlock>,
}

/// A block that a reader has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KnownBlock {
    /// Its height.
    pub height: Height,
    /// Its id.
    pub hash: HashHex,
}

/// What `subscribeBlocks` tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlockEvent {
    /// Counts the events of this subscription, from 0.
    pub seq: u64,
    /// What happened.
    pub event: BlockChange,
    /// The block, as `getBlock` tells it with the ids of its transactions.
    pub block: BlockInfo,
}

/// What happens to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BlockChange {
    /// It joined the chain, on the block told before.
    Connected,
    /// It left the chain: it was the last.
    Disconnected,
}

/// `subscribeTransaction {txId}`: an order's status now, and each change of it.
///
/// Confirmations alone are no change. It ends, with the reason `ended`, once the order is final, or can never be: the
/// block at its last height is final without it.
#[derive(Debug, JsonSchema)]
pub struct SubscribeTransaction;

impl Subscription for SubscribeTransaction {
    const NAMES: Names = Names {
        subscribe: "subscribeTransaction",
        notification: "transaction",
        unsubscribe: "unsubscribeTransaction",
    };
    const SCOPE: Scope = Scope::Read;
    const ERRORS: &'static [RpcReason] =
        &[RpcReason::NotFound, RpcReason::Storage, RpcReason::SlowReader, RpcReason::Ended];
    type Params = GetTransactionParams;
    type Item = Status;
}

/// `subscribeAvailability {images}`: what `isAvailable` says of each image now, and again whenever it says otherwise.
///
/// A new tip alone is no change.
#[derive(Debug, JsonSchema)]
pub struct SubscribeAvailability;

impl Subscription for SubscribeAvailability {
    const NAMES: Names = Names {
        subscribe: "subscribeAvailability",
        notification: "availability",
        unsubscribe: "unsubscribeAvailability",
    };
    const SCOPE: Scope = Scope::Read;
    const ERRORS: &'static [RpcReason] = &[RpcReason::Malformed, RpcReason::Storage, RpcReason::SlowReader];
    type Params = SubscribeAvailabilityParams;
    type Item = Availability;
}

/// The params of `subscribeAvailability`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubscribeAvailabilityParams {
    /// The images, one to 256.
    #[schemars(with = "Vec<ImageId>", length(min = 1, max = MAX_WATCHED_IMAGES))]
    pub images: ImageList,
}

/// The most images of one `subscribeAvailability`: what a page of a shop shows, several times over.
pub const MAX_WATCHED_IMAGES: usize = 256;

/// One to [`MAX_WATCHED_IMAGES`] images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<ImageId>", into = "Vec<ImageId>")]
pub struct ImageList(Vec<ImageId>);

impl TryFrom<Vec<ImageId>> for ImageList {
    type Error = String;

    fn try_from(images: Vec<ImageId>) -> Result<Self, String> {
        match images.len() {
            1..=MAX_WATCHED_IMAGES => Ok(Self(images)),
            got => Err(format!("expected 1 to {MAX_WATCHED_IMAGES} images, got {got}")),
        }
    }
}

impl From<ImageList> for Vec<ImageId> {
    fn from(list: ImageList) -> Self {
        list.0
    }
}

/// The number of a subscription.
pub type SubscriptionNumber = Bounded<0, MAX_SAFE_INTEGER>;

/// The params of every method that ends a subscription. It answers whether there was one to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnsubscribeParams {
    /// Which, as the call that began it answered.
    pub subscription: SubscriptionNumber,
}
