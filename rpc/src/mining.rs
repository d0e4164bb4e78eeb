//! The methods for miners: a header to grind, and the block found.
//!
//! Hashing can be farmed out without the key, so a template goes out as a header and comes back as a nonce
//! with the miner's signature. What a block contains never gives an error, always a verdict.

use std::fmt;

use printsy_consensus::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::RpcReason;
use crate::market::BlockRef;
use crate::method::{Method, Scope};
use crate::schema::one_of;
use crate::text::{Address, BlockHex, HashHex, HeaderHex, NonceHex, NumberHex, SignatureHex};

/// `getBlockTemplate {miner}`: a header ready to grind.
///
/// The first time that it is asked for on a tip it holds no transactions, and is there at once; asked again it holds what
/// waits. Where blocks are so easy that an empty one would always be found first, the first holds what waits, too.
#[derive(Debug, JsonSchema)]
pub struct GetBlockTemplate;

impl Method for GetBlockTemplate {
    const NAME: &'static str = "getBlockTemplate";
    const SCOPE: Scope = Scope::Mine;
    const ERRORS: &'static [RpcReason] = &[RpcReason::NotAuthorized, RpcReason::Syncing, RpcReason::Storage];
    type Params = GetBlockTemplateParams;
    type Result = Template;
}

/// The params of `getBlockTemplate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GetBlockTemplateParams {
    /// The key that will sign the block.
    pub miner: Address,
}

/// What `getBlockTemplate` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    /// Names the template in `submitBlock`: the id of its header with nonce 0.
    pub template_id: HashHex,
    /// The header with nonce 0.
    pub header: HeaderHex,
    /// The id, as a number, must not exceed it.
    pub target: NumberHex,
    /// The height of the block to be.
    pub height: u64,
    /// The block before it.
    pub parent: HashHex,
    /// How many transactions it holds.
    pub transactions: u64,
    /// The earliest time peers take it, in milliseconds since 1970. Its slot comes later: at the header's own time, though
    /// no later than `minIntervalMs` after its parent was first seen. A block is submitted then and not before.
    pub not_before: u64,
}

/// `submitBlock {templateId, nonce, signature} | {block}`: a block found.
#[derive(Debug, JsonSchema)]
pub struct SubmitBlock;

impl Method for SubmitBlock {
    const NAME: &'static str = "submitBlock";
    const SCOPE: Scope = Scope::Mine;
    const ERRORS: &'static [RpcReason] = &[RpcReason::UnknownTemplate, RpcReason::Storage];
    const POSITIONS: Option<&'static str> = Some("`[templateId, nonce, signature]` or `[block]`");
    type Params = SubmitBlockParams;
    type Result = Submission;
}

/// The params of `submitBlock`. By position: one string is a block, three are the parts of a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum SubmitBlockParams {
    /// The nonce that was found for a template of this node.
    Template {
        /// Which template.
        template_id: HashHex,
        /// The nonce's bytes as they stand in the header.
        nonce: NonceHex,
        /// The miner's signature over the block's id.
        signature: SignatureHex,
    },
    /// A whole block.
    Block {
        /// Its bytes.
        block: BlockHex,
    },
}

/// What `submitBlock` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Submission {
    /// What the node made of it.
    pub verdict: Verdict,
    /// The rule it breaks, if it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Why, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The block's id.
    pub hash: HashHex,
    /// The tip after it.
    pub tip: BlockRef,
}

impl Submission {
    /// An answer without rule or reason.
    #[must_use]
    pub fn new(verdict: Verdict, hash: HashHex, tip: BlockRef) -> Self {
        Self { verdict, rule: None, reason: None, hash, tip }
    }

    /// The answer for a block that breaks `rule`.
    #[must_use]
    pub fn refused(rule: Rule, reason: String, hash: HashHex, tip: BlockRef) -> Self {
        Self { verdict: Verdict::Refused, rule: Some(rule.id().to_owned()), reason: Some(reason), hash, tip }
    }
}

/// What a node makes of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It is the tip now.
    Accepted,
    /// It is stored, but another branch has more work.
    Stale,
    /// The node has it already.
    Duplicate,
    /// Its time is not yet here: the node keeps it and looks again.
    Held,
    /// The block before it is not known.
    UnknownParent,
    /// It breaks a rule.
    Refused,
}

/// The params as an object: all of one form, nothing of the other.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SubmitByName {
    /// Which template of this node.
    template_id: Option<HashHex>,
    /// The nonce's bytes as they stand in the header.
    nonce: Option<NonceHex>,
    /// The miner's signature over the block's id.
    signature: Option<SignatureHex>,
    /// A whole block's bytes.
    block: Option<BlockHex>,
}

impl JsonSchema for SubmitBlockParams {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SubmitBlockParams".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let schema = SubmitByName::json_schema(generator);
        one_of(schema, &[&["templateId", "nonce", "signature"], &["block"]])
    }
}

struct SubmitVisitor;

impl SubmitVisitor {
    const EXPECTED: &'static str = "`templateId`, `nonce` and `signature`, or `block` alone";
}

impl<'de> Visitor<'de> for SubmitVisitor {
    type Value = SubmitBlockParams;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::EXPECTED)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SubmitBlockParams, A::Error> {
        let named = SubmitByName::deserialize(MapAccessDeserializer::new(map))?;
        match named {
            SubmitByName {
                template_id: Some(template_id),
                nonce: Some(nonce),
                signature: Some(signature),
                block: None,
            } => Ok(SubmitBlockParams::Template { template_id, nonce, signature }),
            SubmitByName { template_id: None, nonce: None, signature: None, block: Some(block) } => {
                Ok(SubmitBlockParams::Block { block })
            }
            _ => Err(A::Error::custom(format_args!("expected {}", Self::EXPECTED))),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<SubmitBlockParams, A::Error> {
        let first: String = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        let Some(nonce) = seq.next_element()? else {
            let block = BlockHex::try_from(first).map_err(A::Error::custom)?;
            return Ok(SubmitBlockParams::Block { block });
        };
        let signature = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(2, &self))?;
        let template_id = first.parse().map_err(A::Error::custom)?;
        Ok(SubmitBlockParams::Template { template_id, nonce, signature })
    }
}

impl<'de> Deserialize<'de> for SubmitBlockParams {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SubmitVisitor)
    }
}
