//! The methods about one block: its header, its transactions.
//!
//! A block is asked for by `{height}` or by `{hash}`; by position, a number is a height and a string a hash.
//! That is no shape that derived deserialisation has, so the two params are read by visitors here: as an
//! object whose fields are all optional and then exactly one of the two, or as an array.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use printsy_consensus::SignedHeader;

use crate::error::RpcReason;
use crate::method::{Method, Scope};
use crate::schema::one_of;
use crate::text::{Address, BitsHex, HashHex, HeaderHex, Height, NonceHex, SignatureHex, TransactionHex};
use crate::transaction::TransactionInfo;

/// One block of the chain, by height or by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockSelector {
    /// The block of the chain at this height.
    Height(Height),
    /// The block with this id, on the chain or off it.
    Hash(HashHex),
}

/// `getHeader {height} | {hash}`: one header.
#[derive(Debug, JsonSchema)]
pub struct GetHeader;

impl Method for GetHeader {
    const NAME: &'static str = "getHeader";
    const SCOPE: Scope = Scope::Read;
    const ERRORS: &'static [RpcReason] = &[RpcReason::NotFound, RpcReason::Storage];
    const POSITIONS: Option<&'static str> =
        Some("`[height]` or `[hash]`: a number is a height, a string a hash");
    type Params = GetHeaderParams;
    type Result = HeaderInfo;
}

/// The params of `getHeader`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "HeaderByName")]
pub struct GetHeaderParams {
    /// Which block's.
    pub block: BlockSelector,
}

/// `getBlock {height | hash, verbosity?}`: one block.
#[derive(Debug, JsonSchema)]
pub struct GetBlock;

impl Method for GetBlock {
    const NAME: &'static str = "getBlock";
    const SCOPE: Scope = Scope::Read;
    const ERRORS: &'static [RpcReason] = &[RpcReason::NotFound, RpcReason::Storage];
    const POSITIONS: Option<&'static str> =
        Some("`[height, verbosity?]` or `[hash, verbosity?]`: a number is a height, a string a hash");
    type Params = GetBlockParams;
    type Result = BlockInfo;
}

/// The params of `getBlock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "BlockByName")]
pub struct GetBlockParams {
    /// Which block.
    pub block: BlockSelector,
    /// How its transactions are told; by default their ids.
    pub verbosity: Option<Verbosity>,
}

/// How a block's transactions are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Verbosity {
    /// Their bytes.
    Hex,
    /// Their ids.
    #[default]
    Ids,
    /// Field by field.
    Full,
}

/// What `getHeader` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeaderInfo {
    /// The block's id.
    pub hash: HashHex,
    /// The block's height.
    pub height: u64,
    /// The id of the block before.
    pub parent: HashHex,
    /// Commits to the transactions.
    pub transactions_root: HashHex,
    /// Commits to the state after the block.
    pub state_root: HashHex,
    /// Milliseconds since 1970.
    pub time: u64,
    /// The compact target.
    pub bits: BitsHex,
    /// Who made it; of block 0, nobody.
    pub miner: Option<Address>,
    /// What people called the miner when it made the block, whatever became of it since; a registrar may mine without
    /// a name.
    pub miner_name: Option<String>,
    /// What proof of work varied.
    pub nonce: NonceHex,
    /// The miner's signature.
    pub signature: SignatureHex,
    /// Blocks of the chain from this one to the tip; 0 for a block off the chain.
    pub confirmations: u64,
    /// The header's bytes.
    pub hex: HeaderHex,
}

impl HeaderInfo {
    /// Tells a header's own fields and, of the chain, what is given beside it.
    #[must_use]
    pub fn new(signed: &SignedHeader, miner_name: Option<String>, confirmations: u64) -> Self {
        let header = &signed.header;
        Self {
            hash: header.id().into(),
            height: header.height,
            parent: header.parent.into(),
            transactions_root: header.transactions_root.into(),
            state_root: header.state_root.into(),
            time: header.time,
            bits: BitsHex::from_bits(header.bits),
            miner: Address::unless_none(header.miner),
            miner_name,
            nonce: NonceHex::from_nonce(header.nonce),
            signature: signed.signature.into(),
            confirmations,
            hex: header.to_bytes().into(),
        }
    }
}

/// What `getBlock` answers: the header's fields, then the block's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlockInfo {
    /// The header's fields, on the same level.
    #[serde(flatten)]
    pub header: HeaderInfo,
    /// The block's bytes.
    pub size: u64,
    /// Its transactions in their order, told as was asked.
    pub transactions: Transactions,
}

/// A block's transactions: all in one of three ways. An empty list reads as ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Transactions {
    /// Their ids.
    Ids(Vec<HashHex>),
    /// Their bytes.
    Hex(Vec<TransactionHex>),
    /// Field by field.
    Full(Vec<TransactionInfo>),
}

/// `getHeader`'s params as an object.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HeaderByName {
    /// The height of a block of the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    height: Option<Height>,
    /// The id of any block that is, or once was, on the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<HashHex>,
}

/// `getBlock`'s params as an object.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BlockByName {
    /// The height of a block of the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    height: Option<Height>,
    /// The id of any block that is, or once was, on the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<HashHex>,
    /// How the transactions are told; by default by their ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verbosity: Option<Verbosity>,
}

/// `getBlock`'s params as an array.
#[derive(Deserialize)]
struct BlockByPosition(BlockSelector, #[serde(default)] Option<Verbosity>);

impl BlockSelector {
    fn from_names<E: Error>(height: Option<Height>, hash: Option<HashHex>) -> Result<Self, E> {
        match (height, hash) {
            (Some(height), None) => Ok(Self::Height(height)),
            (None, Some(hash)) => Ok(Self::Hash(hash)),
            (None, None) => Err(E::custom("expected `height` or `hash`, got neither")),
            (Some(_), Some(_)) => Err(E::custom("expected `height` or `hash`, got both")),
        }
    }

    fn names(self) -> (Option<Height>, Option<HashHex>) {
        match self {
            Self::Height(height) => (Some(height), None),
            Self::Hash(hash) => (None, Some(hash)),
        }
    }
}

impl JsonSchema for GetHeaderParams {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "GetHeaderParams".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        one_of(HeaderByName::json_schema(generator), &[&["height"], &["hash"]])
    }
}

impl JsonSchema for GetBlockParams {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "GetBlockParams".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        one_of(BlockByName::json_schema(generator), &[&["height"], &["hash"]])
    }
}

impl From<GetHeaderParams> for HeaderByName {
    fn from(params: GetHeaderParams) -> Self {
        let (height, hash) = params.block.names();
        Self { height, hash }
    }
}

impl From<GetBlockParams> for BlockByName {
    fn from(params: GetBlockParams) -> Self {
        let (height, hash) = params.block.names();
        Self { height, hash, verbosity: params.verbosity }
    }
}

struct SelectorVisitor;

impl Visitor<'_> for SelectorVisitor {
    type Value = BlockSelector;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a height as a number or a hash as a string")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<BlockSelector, E> {
        Height::try_from(number).map(BlockSelector::Height).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<BlockSelector, E> {
        text.parse().map(BlockSelector::Hash).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for BlockSelector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SelectorVisitor)
    }
}

struct HeaderParamsVisitor;

impl<'de> Visitor<'de> for HeaderParamsVisitor {
    type Value = GetHeaderParams;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a height or a hash")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<GetHeaderParams, A::Error> {
        let named = HeaderByName::deserialize(MapAccessDeserializer::new(map))?;
        Ok(GetHeaderParams { block: BlockSelector::from_names(named.height, named.hash)? })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<GetHeaderParams, A::Error> {
        let block = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        Ok(GetHeaderParams { block })
    }
}

impl<'de> Deserialize<'de> for GetHeaderParams {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HeaderParamsVisitor)
    }
}

struct BlockParamsVisitor;

impl<'de> Visitor<'de> for BlockParamsVisitor {
    type Value = GetBlockParams;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a height or a hash, then a verbosity")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<GetBlockParams, A::Error> {
        let named = BlockByName::deserialize(MapAccessDeserializer::new(map))?;
        let block = BlockSelector::from_names(named.height, named.hash)?;
        Ok(GetBlockParams { block, verbosity: named.verbosity })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<GetBlockParams, A::Error> {
        let BlockByPosition(block, verbosity) =
            BlockByPosition::deserialize(SeqAccessDeserializer::new(seq))?;
        Ok(GetBlockParams { block, verbosity })
    }
}

impl<'de> Deserialize<'de> for GetBlockParams {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BlockParamsVisitor)
    }
}
