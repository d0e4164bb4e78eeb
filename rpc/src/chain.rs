//! The methods about the chain and its network: tip, rules, peers, miners, mempool. Types only.
//!
//! Heights and times are numbers, hashes and keys are text, and every struct stands in the order in which it is shown.

use printsy_consensus::{Admission, Catalogue, GenesisMiner, Params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::RpcReason;
use crate::market::BlockRef;
use crate::method::{Method, NoParams, Scope};
use crate::text::{Address, Amount, BitsHex, HashHex, NumberHex};

/// `getChain`: where this node stands.
#[derive(Debug, JsonSchema)]
pub struct GetChain;

impl Method for GetChain {
    const NAME: &'static str = "getChain";
    const SCOPE: Scope = Scope::Read;
    const ERRORS: &'static [RpcReason] = &[RpcReason::Storage];
    type Params = NoParams;
    type Result = Chain;
}

/// What `getChain` answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Chain {
    /// The network's name, from its genesis.
    pub network: String,
    /// The id of block 0, which every signature on this network covers.
    pub genesis: HashHex,
    /// The tip.
    pub tip: Tip,
    /// The highest block no reorganisation can undo.
    #[serde(rename = "final")]
    pub final_block: BlockRef,
    /// The work of all blocks to the tip.
    pub work: NumberHex,
    /// How much harder than the genesis' target the tip's is.
    pub difficulty: f64,
    /// Whether the node has what its peers have.
    pub sync: Sync,
    /// What waits for a block.
    pub mempool: MempoolSize,
    /// Connected peers.
    pub peers: u32,
    /// This node's own id among peers.
    pub peer_id: String,
    /// The addresses peers reach it at.
    pub listen: Vec<String>,
    /// The program's version.
    pub version: String,
}

/// The tip of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tip {
    /// Its height.
    pub height: u64,
    /// Its id.
    pub hash: HashHex,
    /// The time in its header, in milliseconds since 1970.
    pub time: u64,
}

/// How far a node is behind its peers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sync {
    /// Whether it is.
    pub state: SyncState,
    /// Its own height.
    pub height: u64,
    /// The height of the most work any peer has proved.
    pub best: u64,
    /// Blocks a second, while syncing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// An estimate, while syncing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
}

/// Whether a node is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SyncState {
    /// A peer has proved more header work.
    Syncing,
    /// No peer has.
    Synced,
}

/// How much waits for a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MempoolSize {
    /// Transactions.
    pub transactions: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// `getParams`: the rules of the network, in genesis.json's own fields.
#[derive(Debug, JsonSchema)]
pub struct GetParams;

impl Method for GetParams {
    const NAME: &'static str = "getParams";
    const SCOPE: Scope = Scope::Read;
    const ERRORS: &'static [RpcReason] = &[];
    type Params = NoParams;
    type Result = NetworkParams;
}

/// What `getParams` answers: genesis.json's fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkParams {
    /// The network's name.
    pub network: String,
    /// The time of block 0, in milliseconds since 1970.
    pub time: u64,
    /// Images are numbered below this.
    pub max_images: u64,
    /// MAX: the editions of every image not listed with fewer.
    pub max_editions: u32,
    /// Editions of one image an account may hold; 0: no limit.
    pub max_per_account: u32,
    /// Which images may be bought.
    pub catalogue: CatalogueInfo,
    /// Who may take part.
    pub admission: AdmissionInfo,
    /// The spacing of blocks that difficulty aims at.
    pub target_interval_ms: u64,
    /// The least spacing of blocks.
    pub min_interval_ms: u64,
    /// How fast difficulty follows.
    pub half_life_ms: u64,
    /// The easiest target ever, compact.
    pub bits: BitsHex,
    /// A block this far below the tip is final.
    pub finality_depth: u32,
    /// How far ahead a transaction may expire, in blocks.
    pub max_validity: u32,
    /// The largest block.
    pub max_block_bytes: u32,
    /// Transactions of one sender in a block; 0: no limit.
    pub max_per_sender: u32,
    /// Blocks a miner pauses after one of its own.
    pub miner_spacing: u32,
    /// How far a block's time may be ahead of a node's clock.
    pub max_future_ms: u64,
    /// Who registers miners, admits accounts and lists images.
    pub registrars: Vec<Address>,
    /// Who deposits.
    pub issuers: Vec<Address>,
    /// Who could mine from the first block on.
    pub miners: Vec<NamedMiner>,
}

/// Which images may be bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CatalogueInfo {
    /// Any, unlisted ones free of charge.
    Open,
    /// Only those a registrar listed.
    Listed,
}

/// Who may take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AdmissionInfo {
    /// Anyone.
    Open,
    /// Accounts a registrar admitted, registrars and issuers.
    Registered,
}

/// A miner of the genesis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamedMiner {
    /// Its key.
    pub key: Address,
    /// What people call it.
    pub name: String,
}

impl From<&Params> for NetworkParams {
    fn from(params: &Params) -> Self {
        Self {
            network: params.network_name(),
            time: params.time,
            max_images: params.max_images,
            max_editions: params.max_editions,
            max_per_account: params.max_per_account,
            catalogue: params.catalogue.into(),
            admission: params.admission.into(),
            target_interval_ms: params.target_interval_ms,
            min_interval_ms: params.min_interval_ms,
            half_life_ms: params.half_life_ms,
            bits: BitsHex::from_bits(params.bits),
            finality_depth: params.finality_depth,
            max_validity: params.max_validity,
            max_block_bytes: params.max_block_bytes,
            max_per_sender: params.max_per_sender,
            miner_spacing: params.miner_spacing,
            max_future_ms: params.max_future_ms,
            registrars: params.registrars.iter().copied().map(Address).collect(),
            issuers: params.issuers.iter().copied().map(Address).collect(),
            miners: params.miners.iter().map(NamedMiner::from).collect(),
        }
    }
}

impl From<Catalogue> for CatalogueInfo {
    fn from(catalogue: Catalogue) -> Self {
        match catalogue {
            Catalogue::Open => Self::Open,
            Catalogue::Listed => Self::Listed,
        }
    }
}

impl From<Admission> for AdmissionInfo {
    fn from(admission: Admission) -> Self {
        match admission {
            Admission::Open => Self::Open,
            Admission::Registered => Self::Registered,
        }
    }
}

impl From<&GenesisMiner> for NamedMiner {
    fn from(miner: &GenesisMiner) -> Self {
        Self { key: Address(miner.key), name: String::from_utf8_lossy(&miner.name).into_owned() }
    }
}

/// `getPeers`: who this node is connected to.
#[derive(Debug, JsonSchema)]
pub struct GetPeers;

impl Method for GetPeers {
    const NAME: &'static str = "getPeers";
    const SCOPE: Scope = Scope::Read;
    const ERRORS: &'static [RpcReason] = &[];
    type Params = NoParams;
    type Result = Vec<Peer>;
}

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// Its id among peers.
    pub peer_id: String,
    /// The address it is connected by.
    pub address: String,
    /// Who called whom.
    pub direction: Direction,
    /// The program it says it is.
    pub agent: String,
    /// The height it last spoke of, if it did.
    pub height: Option<u64>,
    /// Its standing: 0 unless it was at fault.
    pub score: i64,
}

/// Who called whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// The peer called this node.
    Inbound,
    /// This node called the peer.
    Outbound,
}

/// `getMiners`: who may make blocks, and who did.
#[derive(Debug, JsonSchema)]
pub struct GetMiners;

impl Method for GetMiners {
    const NAME: &'static str = "getMiners";
    const SCOPE: Scope = Scope::Read;
    const ERRORS: &'static [RpcReason] = &[RpcReason::Storage];
    type Params = NoParams;
    type Result = Vec<MinerInfo>;
}

/// A registered miner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MinerInfo {
    /// What people call it.
    pub name: String,
    /// Its key.
    pub key: Address,
    /// The height it was registered at; 0: from genesis.
    pub registered_at: u64,
    /// Blocks it made.
    pub blocks: u64,
    /// Its part of the last 1000 blocks, 0 to 1.
    pub share: f64,
    /// The height of its last block; 0: none yet.
    pub last_height: u64,
}

/// `getMempool {verbose?}`: what waits for a block at this node.
#[derive(Debug, JsonSchema)]
pub struct GetMempool;

impl Method for GetMempool {
    const NAME: &'static str = "getMempool";
    const SCOPE: Scope = Scope::Read;
    const ERRORS: &'static [RpcReason] = &[RpcReason::Storage];
    type Params = GetMempoolParams;
    type Result = Mempool;
}

/// The params of `getMempool`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GetMempoolParams {
    /// Whether to tell the ids too; by default not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verbose: Option<bool>,
}

/// What `getMempool` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mempool {
    /// Pending transactions.
    pub transactions: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their ids, if asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tx_ids: Option<Vec<HashHex>>,
}

/// `getSupply`: what was ever deposited and withdrawn.
#[derive(Debug, JsonSchema)]
pub struct GetSupply;

impl Method for GetSupply {
    const NAME: &'static str = "getSupply";
    const SCOPE: Scope = Scope::Read;
    const ERRORS: &'static [RpcReason] = &[];
    type Params = NoParams;
    type Result = Supply;
}

/// What `getSupply` answers. All of it is of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Supply {
    /// All deposits.
    pub issued: Amount,
    /// All withdrawals.
    pub redeemed: Amount,
    /// What all accounts together have: the one less the other.
    pub outstanding: Amount,
    /// The tip this is said of.
    pub tip: BlockRef,
}
