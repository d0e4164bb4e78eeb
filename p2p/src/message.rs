//! What nodes ask and answer, what the network tells its node, and the opaque keys both speak in.
//!
//! Nothing of the library below shows here: a peer, a request, an answer to be given and a gossiped message
//! are numbers that mean something to this crate alone, never used twice while the process runs.
//! How these values look as bytes stands in `wire.rs`; what happens to them in `driver.rs`.

use std::time::Duration;

use printsy_consensus::codec::{self, Decode, Encode, List};
use printsy_consensus::{Hash, SignedHeader};

use crate::limits::{MAX_BLOCKS, MAX_LOCATOR, MAX_TRANSACTIONS};

/// A peer from the moment it connects until it disconnects; the same peer returns under another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub u64);

/// A request of ours, numbered by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKey(pub u64);

/// A request of a peer that waits for our answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyKey(pub u64);

/// A gossiped message that waits for our verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKey(pub u64);

/// Where a node's chain stands. Sent both ways when two nodes meet.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "codec::bincode")]
pub struct Status {
    /// The id of block 0.
    pub genesis: Hash,
    /// The id of the last block.
    pub tip: Hash,
    /// Its height.
    pub height: u64,
    /// The total work of the chain up to it, a big-endian number.
    pub work: [u8; 32],
    /// The height of the last final block.
    pub final_height: u64,
}

/// What a node may ask a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Where does your chain stand? Mine stands here.
    Status(Status),
    /// The headers after the first block of `locator` on your chain, up to `stop` (zero: as many as fit).
    Headers {
        /// Ids of the asker's chain, newest first, ever sparser.
        locator: List<Hash, MAX_LOCATOR>,
        /// The last header wanted, or zero.
        stop: Hash,
    },
    /// The blocks of these ids, as many as you have and as fit.
    Blocks {
        /// Block ids, most wanted first.
        ids: List<Hash, MAX_BLOCKS>,
    },
    /// The ids of your pending transactions.
    Pending,
    /// The transactions of these ids that are pending with you.
    Transactions {
        /// Transaction ids.
        ids: List<Hash, MAX_TRANSACTIONS>,
    },
}

/// The answer to the [`Request`] of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// Where the answerer's chain stands.
    Status(Status),
    /// Headers that follow one another, at most [`crate::limits::MAX_HEADERS`].
    Headers(Vec<SignedHeader>),
    /// Whole blocks as bytes, each within the network's `max_block_bytes`, and all within it but for the first.
    Blocks(Vec<Vec<u8>>),
    /// Ids of pending transactions, at most [`crate::limits::MAX_PENDING`].
    Pending(Vec<Hash>),
    /// Whole transactions as bytes, each within [`crate::limits::MAX_TRANSACTION_BYTES`].
    Transactions(Vec<Vec<u8>>),
}

/// Why a request got no answer. Only `Malformed` is the peer's fault, and it is charged by this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestFailure {
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The peer is not, or no longer, connected.
    #[error("the peer is not connected")]
    Disconnected,
    /// The peer closed the stream without an answer: it is busy, or does not have what was asked.
    #[error("the peer gave no answer")]
    Refused,
    /// The answer was no answer to this request.
    #[error("the answer was malformed")]
    Malformed,
    /// This node has as many requests open with the peer as it may.
    #[error("too many requests are open with this peer")]
    Busy,
}

/// What becomes of a gossiped message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Forwarded to others.
    Accept,
    /// Not forwarded; nobody's fault.
    Ignore,
    /// Not forwarded, and its sender is charged with [`Misbehaviour::InvalidMessage`].
    Reject,
}

/// What a peer did wrong. Each costs its score; at the bottom the peer is disconnected and banned for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Misbehaviour {
    /// Bytes that are no message (the C rules), a frame too long, an answer of the wrong kind.
    Malformed,
    /// A gossiped message that no honest node would have forwarded.
    InvalidMessage,
    /// A block or header that breaks a rule of its own.
    InvalidBlock,
    /// An answer that does not belong to its question: blocks not asked for, headers that do not connect.
    WrongAnswer,
    /// More requests at a time than the protocol allows.
    Flood,
    /// An answer that was asked for and not read.
    Unread,
}

impl Misbehaviour {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Malformed,
        Self::InvalidMessage,
        Self::InvalidBlock,
        Self::WrongAnswer,
        Self::Flood,
        Self::Unread,
    ];

    /// What it costs of a score that starts at 0 and ends in a ban at -100.
    #[must_use]
    pub fn cost(self) -> i32 {
        match self {
            Self::InvalidBlock => 100,
            Self::Malformed | Self::InvalidMessage => 50,
            Self::WrongAnswer => 25,
            Self::Flood | Self::Unread => 10,
        }
    }

    /// One word for logs and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::InvalidMessage => "invalid_message",
            Self::InvalidBlock => "invalid_block",
            Self::WrongAnswer => "wrong_answer",
            Self::Flood => "flood",
            Self::Unread => "unread",
        }
    }
}

/// What the network tells its node, in order.
///
/// A peer's events lie between its `Connected` and its `Disconnected`, but for a `Response` whose peer was
/// gone already when the request was made. Each request is answered by exactly one `Response`.
#[derive(Debug)]
pub enum Event {
    /// A peer has proved to be of the same network.
    Connected {
        /// The peer.
        peer: PeerKey,
        /// Who opened the connection.
        direction: Direction,
    },
    /// A peer is gone; its requests have been answered with failures before.
    Disconnected {
        /// The peer.
        peer: PeerKey,
    },
    /// A gossiped batch of transactions, undecoded, each within bounds. Wants a verdict.
    Transactions {
        /// Who sent it on to us.
        peer: PeerKey,
        /// For the verdict.
        message: MessageKey,
        /// The transactions' bytes.
        batch: Vec<Vec<u8>>,
    },
    /// A gossiped header of a new block; the block is to be asked for. Wants a verdict.
    Announcement {
        /// Who sent it on to us.
        peer: PeerKey,
        /// For the verdict.
        message: MessageKey,
        /// The header, unchecked.
        header: Box<SignedHeader>,
    },
    /// A peer asks. Wants a response within seconds.
    Request {
        /// Who asks.
        peer: PeerKey,
        /// For the response.
        reply: ReplyKey,
        /// What it asks.
        request: Request,
    },
    /// A request of ours has ended.
    Response {
        /// Who was asked.
        peer: PeerKey,
        /// The caller's number.
        request: RequestKey,
        /// The answer, always of the request's kind, or why there is none.
        result: Result<Response, RequestFailure>,
    },
}

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The peer.
    Inbound,
    /// This node.
    Outbound,
}

/// A connected peer of the same network, for people and for `getPeers`.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// The key events name it by.
    pub key: PeerKey,
    /// Its peer id as text.
    pub peer_id: String,
    /// The address of its end of the connection.
    pub address: String,
    /// Who opened the connection.
    pub direction: Direction,
    /// What it calls its software, cut and cleaned for logs.
    pub agent: String,
    /// How long it has been connected, as of now.
    pub connected: Duration,
    /// The last round trip.
    pub ping: Option<Duration>,
    /// 0 is without fault, -100 is a ban.
    pub score: i32,
}

/// Why a peer is kept out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BanReason {
    /// The operator said so.
    Operator,
    /// Its score reached the bottom.
    Misbehaviour,
    /// It is of another network.
    OtherNetwork,
}

/// A peer that is kept out.
#[derive(Clone, Debug)]
pub struct BanInfo {
    /// Its peer id as text.
    pub peer_id: String,
    /// Why.
    pub reason: BanReason,
    /// For how long still, as of now.
    pub remaining: Duration,
}
