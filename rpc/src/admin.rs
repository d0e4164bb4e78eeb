//! The methods that change the node itself: its peers, its log, its life; and those of development networks, which make
//! blocks on demand and turn the clock.
//!
//! Types only; the node asks for its cookie or for a token that is good for `admin`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::RpcReason;
use crate::market::BlockRef;
use crate::method::{Method, NoParams, Scope};
use crate::text::{BlockCount, Bounded, HashHex, TimeMs};

/// `addPeer {address}`: dials an address now, and again while the node has too few peers.
///
/// That nobody answers there is no error: `getPeers` tells who is connected.
#[derive(Debug, JsonSchema)]
pub struct AddPeer;

impl Method for AddPeer {
    const NAME: &'static str = "addPeer";
    const SCOPE: Scope = Scope::Admin;
    const ERRORS: &'static [RpcReason] = &[RpcReason::NotFound];
    type Params = AddPeerParams;
    type Result = AddedPeer;
}

/// The params of `addPeer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddPeerParams {
    /// Such as `/ip4/192.0.2.1/tcp/8640`, with or without `/p2p/PEER`.
    pub address: String,
}

/// What `addPeer` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddedPeer {
    /// The address that is dialled.
    pub address: String,
}

/// `ban {peerId, seconds?}`: keeps a peer out, and closes its connections.
///
/// A peer id costs nothing to make: this keeps a faulty node away, not a determined attacker. Nothing of it survives a
/// restart.
#[derive(Debug, JsonSchema)]
pub struct Ban;

impl Method for Ban {
    const NAME: &'static str = "ban";
    const SCOPE: Scope = Scope::Admin;
    const ERRORS: &'static [RpcReason] = &[RpcReason::NotFound];
    type Params = BanParams;
    type Result = Banned;
}

/// How long a peer is banned when nobody says: a day.
pub const DEFAULT_BAN_SECONDS: u64 = 86_400;

/// How long a peer is banned, in seconds: at most a year.
pub type BanSeconds = Bounded<1, 31_536_000>;

/// The params of `ban`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BanParams {
    /// Its id among peers, as `getPeers` tells it.
    pub peer_id: String,
    /// For how long; by default 86400, a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<BanSeconds>,
}

/// A peer that is kept out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Banned {
    /// Its id among peers.
    pub peer_id: String,
    /// Why.
    pub reason: BanReason,
    /// For how long still.
    pub seconds_left: u64,
}

/// Why a peer is kept out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BanReason {
    /// The operator said so.
    Operator,
    /// It was at fault too often.
    Misbehaviour,
    /// It is of another network.
    OtherNetwork,
}

/// `unban {peerId}`: lets a peer in again, whatever it was banned for.
#[derive(Debug, JsonSchema)]
pub struct Unban;

impl Method for Unban {
    const NAME: &'static str = "unban";
    const SCOPE: Scope = Scope::Admin;
    const ERRORS: &'static [RpcReason] = &[RpcReason::NotFound];
    type Params = UnbanParams;
    type Result = Unbanned;
}

/// The params of `unban`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnbanParams {
    /// Its id among peers.
    pub peer_id: String,
}

/// What `unban` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unbanned {
    /// Its id among peers.
    pub peer_id: String,
    /// Whether it was kept out before.
    pub was_banned: bool,
}

/// `listBanned`: who is kept out, and for how long still.
#[derive(Debug, JsonSchema)]
pub struct ListBanned;

impl Method for ListBanned {
    const NAME: &'static str = "listBanned";
    const SCOPE: Scope = Scope::Admin;
    const ERRORS: &'static [RpcReason] = &[RpcReason::NotFound];
    type Params = NoParams;
    type Result = Vec<Banned>;
}

/// `stop`: ends the node in good order, as SIGTERM does. The answer comes first.
#[derive(Debug, JsonSchema)]
pub struct Stop;

impl Method for Stop {
    const NAME: &'static str = "stop";
    const SCOPE: Scope = Scope::Admin;
    const ERRORS: &'static [RpcReason] = &[];
    type Params = NoParams;
    type Result = Stopping;
}

/// What `stop` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stopping {
    /// Always true: the node is about to stop.
    pub stopping: bool,
}

/// `setLogLevel {level}`: which events are logged from now on, until the node ends or is told otherwise.
#[derive(Debug, JsonSchema)]
pub struct SetLogLevel;

impl Method for SetLogLevel {
    const NAME: &'static str = "setLogLevel";
    const SCOPE: Scope = Scope::Admin;
    const ERRORS: &'static [RpcReason] = &[RpcReason::NotFound];
    type Params = LogLevelParams;
    type Result = LogLevel;
}

/// The params of `setLogLevel`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogLevelParams {
    /// As the configuration's `log.filter`: a level (`debug`), or levels by target (`info,printsy_p2p=debug`).
    pub level: String,
}

/// What `setLogLevel` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogLevel {
    /// What is logged now.
    pub level: String,
    /// What was logged before.
    pub before: String,
}

/// `generateBlocks {count}`: mines blocks here and now, one after the other. Development networks only.
#[derive(Debug, JsonSchema)]
pub struct GenerateBlocks;

impl Method for GenerateBlocks {
    const NAME: &'static str = "generateBlocks";
    const SCOPE: Scope = Scope::Admin;
    const ERRORS: &'static [RpcReason] =
        &[RpcReason::NotAuthorized, RpcReason::UnknownTemplate, RpcReason::Syncing, RpcReason::Storage];
    type Params = GenerateBlocksParams;
    type Result = Generated;
}

/// The params of `generateBlocks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GenerateBlocksParams {
    /// How many.
    pub count: BlockCount,
}

/// What `generateBlocks` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Generated {
    /// The ids of the new blocks, in their order.
    pub hashes: Vec<HashHex>,
    /// The tip after them.
    pub tip: BlockRef,
}

/// `setClock {ms}`: sets what this node takes for the time, within ten years of the machine's. Development networks only.
#[derive(Debug, JsonSchema)]
pub struct SetClock;

impl Method for SetClock {
    const NAME: &'static str = "setClock";
    const SCOPE: Scope = Scope::Admin;
    const ERRORS: &'static [RpcReason] = &[];
    type Params = ClockParams;
    type Result = Clock;
}

/// The params of `setClock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClockParams {
    /// Milliseconds since 1970.
    pub ms: TimeMs,
}

/// What `setClock` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Clock {
    /// What the node takes for the time now, in milliseconds since 1970.
    pub ms: u64,
}
