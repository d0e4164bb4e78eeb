//! The methods that prove what they say, to someone who trusts no node: `getProof` and `getInclusionProof`.
//!
//! What they answer can be kept in a file and checked without any network, by [`verify`]; docs/proofs.md says what that
//! shows and what it leaves to trust. Every field of it is checked or is what others are checked against, so that
//! a proof in which anything was changed is refused.

pub mod verify;

use std::fmt;

use printsy_consensus::{Position as Place, RegisterKind, RegisterStep, SignedHeader, Terminal, Transaction};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::chain::NetworkParams;
use crate::error::RpcReason;
use crate::market::{GetTransactionParams, Position};
use crate::method::{Method, Scope};
use crate::schema::one_of;
use crate::text::{Address, HashHex, HeaderHex, Height, HexBytes, ImageId, SignatureHex, TransactionHex};

/// `getProof {image | account | miner, height?}`: what the state says of an image, an account or a miner, or that it
/// says nothing of it, with the proof.
///
/// Without `height` after the tip. With it after that block, where it is within reach of the tip: up to 2048 blocks or 32
/// MiB of them; the error of one that is not says which heights are.
#[derive(Debug, JsonSchema)]
pub struct GetProof;

impl Method for GetProof {
    const NAME: &'static str = "getProof";
    const SCOPE: Scope = Scope::Read;
    const ERRORS: &'static [RpcReason] = &[RpcReason::Malformed, RpcReason::NotFound, RpcReason::Storage];
    const POSITIONS: Option<&'static str> =
        Some("`[image, height?]` or `[account, height?]`: a number is an image, a string an account");
    type Params = GetProofParams;
    type Result = StateProof;
}

/// What a state proof is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ProofSubject {
    /// An image.
    Image(ImageId),
    /// An account.
    Account(Address),
    /// A miner.
    Miner(Address),
}

/// The params of `getProof`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "ProofByName")]
pub struct GetProofParams {
    /// What about.
    pub of: ProofSubject,
    /// After which block; by default the tip.
    pub height: Option<Height>,
}

/// What `getProof` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StateProof {
    /// The network: the id of its block 0.
    pub genesis: HashHex,
    /// The network's rules, whose hash is in that id.
    pub network: NetworkParams,
    /// The block after which the state is this.
    pub block: ProvenBlock,
    /// What was asked about, by its name.
    #[serde(flatten)]
    pub of: ProofSubject,
    /// Leads from the entry to the header's state root.
    pub proof: StatePath,
}

/// A block's header with what it takes to check it alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProvenBlock {
    /// Its 160 bytes.
    pub header: HeaderHex,
    /// The miner's signature over the block's id.
    pub signature: SignatureHex,
    /// The registrar's signed transaction that registered the miner; absent where the network's rules name the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<TransactionHex>,
}

/// A proof of the state tree (section 6 of docs/protocol.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatePath {
    /// The siblings, from the root down; at most 256.
    pub siblings: Vec<HashHex>,
    /// What the path ends at; null: nothing. An entry of another path proves that the one asked about is not there.
    pub leaf: Option<StateLeaf>,
}

/// An entry of the state as its tree has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StateLeaf {
    /// The entry's place: the hash of its key.
    pub path: HashHex,
    /// The entry's bytes.
    pub value: HexBytes<1024>,
}

/// `getInclusionProof {txId}`: that a transaction is in a block, with a purchase's edition numbers, and the proof.
///
/// A certificate of purchase. The block that shows the numbers is the purchase's own while it is within reach of the tip
/// (see `getProof`), else a later one. Keep it: for an image with very many later purchases and reviews an old purchase's
/// numbers are proved no more.
#[derive(Debug, JsonSchema)]
pub struct GetInclusionProof;

impl Method for GetInclusionProof {
    const NAME: &'static str = "getInclusionProof";
    const SCOPE: Scope = Scope::Read;
    const ERRORS: &'static [RpcReason] = &[RpcReason::NotFound, RpcReason::Storage];
    type Params = GetTransactionParams;
    type Result = InclusionProof;
}

/// What `getInclusionProof` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InclusionProof {
    /// The network: the id of its block 0.
    pub genesis: HashHex,
    /// The network's rules, whose hash is in that id.
    pub network: NetworkParams,
    /// The block that holds the transaction.
    pub block: ProvenBlock,
    /// The transaction's bytes.
    pub transaction: TransactionHex,
    /// Its index among the block's transactions, from 0.
    pub index: u32,
    /// How many transactions the block holds.
    pub count: u32,
    /// The siblings of the transaction's leaf, up to the transactions root.
    pub branch: Vec<HashHex>,
    /// A purchase's edition numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub editions: Option<EditionsProof>,
}

/// The edition numbers of a purchase, with the proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EditionsProof {
    /// The block whose state shows them.
    pub block: ProvenBlock,
    /// By line of the purchase.
    pub lines: Vec<EditionProof>,
}

/// The edition numbers of one line of a purchase, with the proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EditionProof {
    /// The image.
    pub image: u64,
    /// The first edition number, from 1.
    pub from: u32,
    /// The last edition number.
    pub to: u32,
    /// The image's register before the purchase.
    pub register: HashHex,
    /// What happened to the image since, oldest first: the steps of its register.
    pub since: Vec<StepInfo>,
    /// Leads from the image's entry to the header's state root.
    pub proof: StatePath,
}

/// One step of an image's register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepInfo {
    /// What happened.
    pub kind: StepKind,
    /// Who did it.
    pub account: Address,
    /// How many editions, or which rating.
    pub value: u32,
    /// Editions sold after it.
    pub sold: u32,
    /// Its place in the chain.
    pub position: Position,
}

/// What a step of a register is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StepKind {
    /// Editions bought.
    Purchase,
    /// A review.
    Review,
}

impl ProvenBlock {
    /// Tells a header.
    #[must_use]
    pub fn new(signed: &SignedHeader, registration: Option<&Transaction>) -> Self {
        Self {
            header: signed.header.to_bytes().into(),
            signature: signed.signature.into(),
            registration: registration.map(TransactionHex::from),
        }
    }
}

impl From<&printsy_consensus::Proof> for StatePath {
    fn from(proof: &printsy_consensus::Proof) -> Self {
        let leaf = match &proof.terminal {
            Terminal::Empty => None,
            Terminal::Leaf { path, value } => {
                let value = HexBytes::new(value.to_vec()).expect("a list of the same bound");
                Some(StateLeaf { path: (*path).into(), value })
            }
        };
        Self { siblings: proof.siblings.iter().copied().map(HashHex::from).collect(), leaf }
    }
}

impl From<&RegisterStep> for StepInfo {
    fn from(step: &RegisterStep) -> Self {
        let kind = match step.kind {
            RegisterKind::Purchase => StepKind::Purchase,
            RegisterKind::Review => StepKind::Review,
        };
        let position = Position { height: step.position.height, index: step.position.index };
        Self { kind, account: Address(step.sender), value: step.value, sold: step.sold, position }
    }
}

impl From<&StepInfo> for RegisterStep {
    fn from(told: &StepInfo) -> Self {
        let kind = match told.kind {
            StepKind::Purchase => RegisterKind::Purchase,
            StepKind::Review => RegisterKind::Review,
        };
        let position = Place { height: told.position.height, index: told.position.index };
        Self { kind, sender: told.account.0, value: told.value, sold: told.sold, position }
    }
}

/// `getProof`'s params as an object.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProofByName {
    /// The image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<ImageId>,
    /// The account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<Address>,
    /// The miner's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    miner: Option<Address>,
    /// After which block; by default the tip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    height: Option<Height>,
}

/// `getProof`'s params as an array.
#[derive(Deserialize)]
struct ProofByPosition(PositionalSubject, #[serde(default)] Option<Height>);

/// A subject by position: no address says whether it is an account's or a miner's, so it is an account's.
#[derive(Deserialize)]
#[serde(untagged)]
enum PositionalSubject {
    Image(ImageId),
    Account(Address),
}

impl From<GetProofParams> for ProofByName {
    fn from(params: GetProofParams) -> Self {
        let mut named = Self { image: None, account: None, miner: None, height: params.height };
        match params.of {
            ProofSubject::Image(image) => named.image = Some(image),
            ProofSubject::Account(account) => named.account = Some(account),
            ProofSubject::Miner(miner) => named.miner = Some(miner),
        }
        named
    }
}

impl JsonSchema for GetProofParams {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "GetProofParams".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        one_of(ProofByName::json_schema(generator), &[&["image"], &["account"], &["miner"]])
    }
}

struct ProofParamsVisitor;

impl<'de> Visitor<'de> for ProofParamsVisitor {
    type Value = GetProofParams;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an image, an account or a miner, then a height")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<GetProofParams, A::Error> {
        let named = ProofByName::deserialize(MapAccessDeserializer::new(map))?;
        let of = match (named.image, named.account, named.miner) {
            (Some(image), None, None) => ProofSubject::Image(image),
            (None, Some(account), None) => ProofSubject::Account(account),
            (None, None, Some(miner)) => ProofSubject::Miner(miner),
            (None, None, None) => {
                return Err(A::Error::custom("expected `image`, `account` or `miner`, got none of them"));
            }
            _ => return Err(A::Error::custom("expected one of `image`, `account` and `miner`, got several")),
        };
        Ok(GetProofParams { of, height: named.height })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<GetProofParams, A::Error> {
        let ProofByPosition(subject, height) = ProofByPosition::deserialize(SeqAccessDeserializer::new(seq))?;
        let of = match subject {
            PositionalSubject::Image(image) => ProofSubject::Image(image),
            PositionalSubject::Account(account) => ProofSubject::Account(account),
        };
        Ok(GetProofParams { of, height })
    }
}

impl<'de> Deserialize<'de> for GetProofParams {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ProofParamsVisitor)
    }
}
