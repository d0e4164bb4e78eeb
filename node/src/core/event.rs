//! What happens to a node, and what it then has done: the vocabulary between the core and its drivers.
//!
//! Plain data. What was checked in isolation comes checked; what could not be comes with the reason and with who
//! sent it.

use std::sync::Arc;

use printsy_consensus::{
    BlockCheckError, BlockError, CheckedBlock, CheckedHeader, CheckedTransaction, Hash, HeaderError,
    PublicKey, Rule, SignedHeader,
};
use printsy_ledger::{AdmitError, Admitted, Template, Tip};
use printsy_p2p::{
    Direction, MessageKey, Misbehaviour, PeerKey, Request, RequestFailure, RequestKey, Status, Verdict,
};

use super::room::Room;

/// Names a caller on this machine who waits for an answer; numbered by the driver, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A gossiped message and who sent it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gossiped {
    /// The peer.
    pub peer: PeerKey,
    /// The message, which wants a verdict.
    pub message: MessageKey,
}

/// Where orders came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderSource {
    /// A caller of this node, with one order.
    Local(Ticket),
    /// A gossiped batch. `all_good` says that no member of it was malformed.
    Gossip {
        /// Which message, from whom.
        from: Gossiped,
        /// Whether all of it could be checked.
        all_good: bool,
    },
    /// A peer's answer to a request for what it has pending.
    Peer(PeerKey),
}

/// Why none of a peer's orders could be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrdersFailure {
    /// All of them were malformed.
    Malformed,
    /// This node is too busy to look.
    Busy,
}

/// Where a block came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockSource {
    /// A caller of this node, with a whole block.
    Local(Ticket),
    /// This node's own miner, or a caller who found the nonce of one of its templates.
    Made(Ticket),
    /// A peer's answer to a request for bodies.
    Peer(PeerKey),
}

/// Bodies a peer sent, each checked in isolation; those that break a rule with the id of their header.
pub type Bodies = Vec<Result<Arc<CheckedBlock>, (Hash, BlockCheckError)>>;

/// What a peer answered, checked in isolation.
#[derive(Debug)]
pub enum PeerAnswer {
    /// Where its chain stands.
    Status(Status),
    /// Headers up to the first that could not be checked, and why that one could not.
    Headers(Vec<CheckedHeader>, Option<HeaderError>),
    /// Bodies.
    Bodies(Bodies),
    /// What it has pending.
    Pending(Vec<Hash>),
    /// Orders arrive as [`Event::Orders`]; this only ends the request.
    Orders,
    /// Nothing.
    Failed(RequestFailure),
}

/// What happens.
#[derive(Debug)]
pub enum Event {
    /// Time passed.
    Tick,
    /// The body of templates that grows goes on by a step: after each other event, once its effects are carried out, and
    /// where nothing else happens.
    Grow,
    /// A look at the datadir's file system.
    Room(Room),
    /// The node stops: nothing after this is looked at.
    Stop,
    /// Orders, checked.
    Orders {
        /// From whom.
        source: OrderSource,
        /// The orders.
        orders: Vec<CheckedTransaction>,
    },
    /// A gossiped batch of which nothing could be used.
    BadOrders {
        /// Which message, from whom.
        source: Gossiped,
        /// Why.
        failure: OrdersFailure,
    },
    /// A caller asks what would become of an order.
    Validate {
        /// Who asks.
        ticket: Ticket,
        /// The order.
        order: CheckedTransaction,
    },
    /// A block, checked.
    Block {
        /// From whom.
        source: BlockSource,
        /// The block.
        block: Arc<CheckedBlock>,
    },
    /// A caller's block breaks a rule that makes its id invalid for good.
    BadBlock {
        /// The id.
        id: Hash,
    },
    /// A gossiped header of a new block, checked alone or found wanting.
    Announced {
        /// The header, or why it is none.
        header: Result<CheckedHeader, HeaderError>,
        /// Which message, from whom.
        from: Gossiped,
    },
    /// A miner asks for a template.
    Template {
        /// Who asks.
        ticket: Ticket,
        /// The key that will sign.
        miner: PublicKey,
        /// What it is to hold.
        body: TemplateBody,
    },
    /// A peer of this network is there.
    Connected {
        /// The peer.
        peer: PeerKey,
        /// Who opened the connection.
        direction: Direction,
    },
    /// A peer is gone.
    Disconnected {
        /// The peer.
        peer: PeerKey,
    },
    /// A peer said where its chain stands.
    PeerStatus {
        /// The peer.
        peer: PeerKey,
        /// What it said.
        status: Status,
    },
    /// A peer answered a request.
    Answer {
        /// The peer.
        peer: PeerKey,
        /// Which request.
        request: RequestKey,
        /// What it answered.
        answer: PeerAnswer,
    },
}

/// What a caller is told about an order.
pub type OrderAnswer = Result<(Hash, Admitted), OrderRefusal>;

/// Why a caller's order is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefusal {
    /// It breaks a rule, or this node has no room for it.
    #[error(transparent)]
    Admit(#[from] AdmitError),
    /// A peer has proved more header work: this node does not yet have the chain.
    #[error("this node is syncing and will not take orders yet")]
    Syncing,
    /// The disk is nearly full, or the index is too far behind, or failed.
    #[error("this node stopped taking orders: {0}")]
    Storage(String),
}

/// What a node makes of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockVerdict {
    /// It is on the chain.
    Accepted,
    /// It is kept, but another branch has more work.
    Stale,
    /// It was there.
    Duplicate,
    /// Its time is not yet here: it is kept and looked at again.
    Held,
    /// The block before it is not known.
    UnknownParent,
    /// It breaks a rule.
    Refused,
}

/// What a caller is told about a block.
#[derive(Clone, Debug)]
pub struct BlockAnswer {
    /// What became of it.
    pub verdict: BlockVerdict,
    /// The rule it breaks.
    pub rule: Option<Rule>,
    /// Why, in a sentence.
    pub reason: Option<String>,
    /// Its id.
    pub id: Hash,
    /// The tip after it.
    pub tip: Tip,
}

/// What a template is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateBody {
    /// Nothing: it is there at once.
    Empty,
    /// What the mempool has, or had within the last second where it is asked for more often.
    Paced,
    /// All that the mempool has now.
    Whole,
}

/// A template and its name, or why there is none.
pub type TemplateAnswer = Result<(Hash, Template), TemplateRefusal>;

/// Why a miner gets no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateRefusal {
    /// B3.
    #[error(transparent)]
    Miner(BlockError),
    /// B4.
    #[error("{error}; it may make block {height}")]
    Pause {
        /// The rule it would break.
        error: BlockError,
        /// The height of the next block that it may make.
        height: u64,
    },
    /// This node does not yet have the chain.
    #[error("this node is syncing")]
    Syncing,
    /// There is too little room for blocks on its disk.
    #[error("this node makes no templates: {0}")]
    Storage(String),
    /// Even an empty one broke a rule: a mistake of this program, which its log tells.
    #[error("this node made no valid template")]
    Invalid,
}

impl TemplateRefusal {
    /// Whether it ends with the tip alone: nothing else that happens makes it worth asking again.
    #[must_use]
    pub fn lasts_for_the_tip(&self) -> bool {
        matches!(self, Self::Miner(_) | Self::Pause { .. })
    }
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect {
    /// Gossip orders.
    PublishOrders(Vec<Vec<u8>>),
    /// Gossip the header of a new tip.
    Announce(SignedHeader),
    /// Say what becomes of a gossiped message.
    Verdict(MessageKey, Verdict),
    /// Ask a peer.
    Request(PeerKey, RequestKey, Request),
    /// Charge a peer with a fault.
    Report(PeerKey, Misbehaviour),
    /// Answer a caller about an order.
    OrderAnswer(Ticket, OrderAnswer),
    /// Answer a caller about a block.
    BlockAnswer(Ticket, BlockAnswer),
    /// Answer a miner.
    TemplateAnswer(Ticket, TemplateAnswer),
    /// The tip moved: miners turn to it, those who wait look again.
    TipMoved,
    /// Orders came or went without the tip moving.
    MempoolChanged,
    /// A peer came or went.
    PeersChanged,
    /// The disk is nearly full, or has room again.
    StorageChanged,
}
