//! The methods that work on development networks alone: blocks on demand, and a clock to turn.
//!
//! Types only; the node refuses them on other networks, and from other machines.

use serde::{Deserialize, Serialize};

use crate::market::BlockRef;
use crate::method::Method;
use crate::text::{BlockCount, HashHex, TimeMs};

/// `generateBlocks {count}`: mines blocks here and now, one after the other.
#[derive(Debug)]
pub struct GenerateBlocks;

impl Method for GenerateBlocks {
    const NAME: &'static str = "generateBlocks";
    type Params = GenerateBlocksParams;
    type Result = Generated;
}

/// The params of `generateBlocks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GenerateBlocksParams {
    /// How many.
    pub count: BlockCount,
}

/// What `generateBlocks` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Generated {
    /// The ids of the new blocks, in their order.
    pub hashes: Vec<HashHex>,
    /// The tip after them.
    pub tip: BlockRef,
}

/// `setClock {ms}`: sets what this node takes for the time.
#[derive(Debug)]
pub struct SetClock;

impl Method for SetClock {
    const NAME: &'static str = "setClock";
    type Params = ClockParams;
    type Result = Clock;
}

/// The params of `setClock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClockParams {
    /// Milliseconds since 1970.
    pub ms: TimeMs,
}

/// What `setClock` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Clock {
    /// What the node takes for the time now, in milliseconds since 1970.
    pub ms: u64,
}
