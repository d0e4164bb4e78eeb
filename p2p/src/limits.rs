//! The one table of everything a peer can make this crate hold, and for how long.
//!
//! Two kinds stand here. Constants are part of the message formats: both ends must agree on them, so nobody
//! can configure them. [`Limits`] is what an operator may set for one node. Nothing outside this file gives a
//! peer a bound; what is not here is not growable by a peer.

use std::time::Duration;

/// Block ids in a locator: 64 suffice for any height with steps that double, with room for the dense start.
pub const MAX_LOCATOR: usize = 64;
/// Headers in one answer: 448 KB, a second of a slow line, and few round trips for a long chain.
pub const MAX_HEADERS: usize = 2_000;
/// Blocks asked for in one request: enough to fill a line with small blocks; big ones are cut by bytes.
pub const MAX_BLOCKS: usize = 32;
/// Ids of pending transactions in one answer: 320 KB, about what two blocks can hold.
pub const MAX_PENDING: usize = 10_000;
/// Transactions asked for by id in one request: as many as one gossiped batch may hold.
pub const MAX_TRANSACTIONS: usize = 1_000;
/// Bytes of one transaction: the largest there is, a cart of 256 lines, takes 3,203.
pub const MAX_TRANSACTION_BYTES: usize = 4_096;
/// Transactions in one gossiped batch: one verdict must come within seconds on one core.
pub const MAX_BATCH: usize = 1_000;
/// Bytes of one gossiped batch: a queue of such messages to a slow peer stays below a hundred megabytes.
pub const MAX_BATCH_BYTES: usize = 131_072;

/// Bytes of a gossip frame beyond its payload: topic name and protobuf fields take less than 200.
pub(crate) const GOSSIP_OVERHEAD: usize = 1_024;
/// Gossip messages queued for one slow peer: with the largest batches 64 MiB, then new ones are dropped.
pub(crate) const GOSSIP_QUEUE: usize = 512;
/// Messages in one gossip frame: we send one a frame, others may join a few.
pub(crate) const GOSSIP_MESSAGES_PER_FRAME: usize = 64;
/// Heartbeats (seconds) gossip keeps a message: longer than a verdict may take, so that late ones still forward.
pub(crate) const GOSSIP_HISTORY: usize = 10;
/// How long a gossip message is known as seen: longer than the widest network needs to spread it.
pub(crate) const GOSSIP_SEEN: Duration = Duration::from_secs(60);
/// How long a message waits for its verdict before it is ignored: below what gossip keeps it for.
pub(crate) const VERDICT_TIME: Duration = Duration::from_secs(8);
/// Messages handed out and not judged, all peers: with the largest batches 128 MiB; more are ignored.
pub(crate) const MAX_UNJUDGED: usize = 1_024;
/// Messages of one peer handed out and not judged: one peer must not use up the places of all.
pub(crate) const MAX_UNJUDGED_PER_PEER: usize = 128;
/// Messages and requests held for a peer that has not named its genesis yet: they come in its first second.
pub(crate) const MAX_EARLY: usize = 8;
/// How long a peer may take to name its genesis: several round trips of the slowest line.
pub(crate) const IDENTIFY_TIME: Duration = Duration::from_secs(15);
/// How long a peer of another genesis is kept, so that it learns why it is refused.
pub(crate) const PARTING_TIME: Duration = Duration::from_secs(2);

/// Requests of one peer whose answers it has not taken; what an honest node never exceeds, see the next line.
pub(crate) const MAX_INBOUND_REQUESTS: usize = 16;
/// Our requests to one peer at a time: half of what it must take, so that late answers do not count as flood.
pub(crate) const MAX_OUTBOUND_REQUESTS: usize = 8;
/// Streams of the sync protocol on a connection: both directions at their bounds, twice.
pub(crate) const MAX_SYNC_STREAMS: usize = 48;
/// Streams of all protocols on a connection: sync's, Kademlia's 32, gossip, ping and identify, with room.
pub(crate) const MAX_STREAMS: usize = 128;
/// How long a request and its answer may take: a full block over a line of one megabit a second.
pub(crate) const REQUEST_TIME: Duration = Duration::from_secs(40);

/// How long an answer may lie unread before its peer is charged: an honest one gives its request up before we do.
pub(crate) const ANSWER_TIME: Duration = REQUEST_TIME.checked_div(2).expect("two is not zero");
/// Bytes of answers on their way to one peer, beside two blocks: headers and ids of pending orders, asked along.
pub(crate) const ANSWER_BYTES_BESIDE_BLOCKS: usize = 1 << 20;

/// Bytes of answers on their way to one peer: two of the largest blocks, as many as an honest one asks for at once.
pub(crate) fn max_answer_bytes_per_peer(max_block_bytes: usize) -> usize {
    max_block_bytes.saturating_mul(2).saturating_add(ANSWER_BYTES_BESIDE_BLOCKS)
}

/// How many hosts' shares of connections a /48 of IPv6 has: some give one to every customer.
pub(crate) const SHARES_PER_SITE: usize = 4;

/// Events waiting for the node: then the network is read no further until it catches up.
pub(crate) const EVENT_QUEUE: usize = 256;
/// Characters kept of the name a peer gives its software: it goes to logs and answers.
pub(crate) const MAX_AGENT: usize = 64;
/// Failed pings in a row before a peer counts as dead: about a minute of silence.
pub(crate) const MAX_FAILED_PINGS: u32 = 3;

/// Peers whose addresses are remembered: far more than ever dialled, and 256 KB.
pub(crate) const MAX_KNOWN_PEERS: usize = 1_000;
/// Addresses remembered of one peer: IPv4, IPv6, private, and one that changed.
pub(crate) const MAX_ADDRESSES_PER_PEER: usize = 4;
/// How long a peer is not listened to that tells its addresses again: an honest one does so each five minutes.
pub(crate) const ADDRESSES_AGAIN_TIME: Duration = Duration::from_secs(10);
/// Bytes of an address: a DNS name of 253 and the rest.
pub(crate) const MAX_ADDRESS_BYTES: usize = 320;
/// Addresses handed out to be saved: more than a restart ever tries.
pub(crate) const MAX_SAVED_ADDRESSES: usize = 256;
/// Failed dials in a row after which a found address is forgotten, unless it is all we have.
pub(crate) const MAX_DIAL_FAILURES: u32 = 8;
/// First wait after a failed dial; it doubles with each failure.
pub(crate) const DIAL_BACKOFF: Duration = Duration::from_secs(1);
/// Longest wait between dials of a bootnode: a network that comes back is rejoined within a minute.
pub(crate) const MAX_BOOTNODE_BACKOFF: Duration = Duration::from_secs(60);
/// Longest wait between dials of any other address.
pub(crate) const MAX_DIAL_BACKOFF: Duration = Duration::from_secs(600);
/// How often more peers are searched for while there are too few.
pub(crate) const SEARCH_INTERVAL: Duration = Duration::from_secs(20);
/// How often back-offs, deadlines and bans are looked at.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// Bans kept: beyond them the one that ends first makes room, since peer ids cost nothing.
pub(crate) const MAX_BANS: usize = 10_000;
/// Scores remembered of peers that left, so that reconnecting forgives nothing.
pub(crate) const MAX_GRUDGES: usize = 1_000;
/// The score at which a peer is banned.
pub(crate) const BAN_SCORE: i32 = -100;
/// Time in which one point of a score is forgiven: a full ban's worth in about 17 minutes.
pub(crate) const FORGIVE_TIME: Duration = Duration::from_secs(10);
/// How long a peer of another genesis is neither dialled nor let in.
pub(crate) const OTHER_NETWORK_TIME: Duration = Duration::from_secs(600);
/// Idle time after which a connection is closed: practically never, since reconnecting costs more than keeping.
pub(crate) const IDLE_TIME: Duration = Duration::from_secs(86_400);

/// What an operator may set: how many peers, how much memory, how long a ban.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Peers this node seeks by itself: gossip's mesh wants 6 to 12, some of them chosen by us.
    pub target_outbound: usize,
    /// Connections we opened: the target, and those that searching opens on its way.
    pub max_outbound: u32,
    /// Connections others opened: each costs a few hundred kilobytes.
    pub max_inbound: u32,
    /// Connections that one public address opened, or one /64 of IPv6: as many nodes as an office has behind one, and
    /// it takes a dozen addresses to fill all places.
    pub max_per_host: usize,
    /// Connections being set up, each way: a flood of half-open ones costs handshakes.
    pub max_pending: u32,
    /// Connections to one peer: two, because both sides may dial at the same moment.
    pub max_per_peer: u32,
    /// Bytes the process may hold before new connections are refused.
    pub max_process_bytes: usize,
    /// Bytes of answers on their way to peers; beyond it a peer gets one at a time, and asks elsewhere for more.
    pub max_answer_bytes: usize,
    /// How long a peer whose score fell to the bottom stays out.
    pub ban_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            target_outbound: 8,
            max_outbound: 24,
            max_inbound: 96,
            max_per_host: 8,
            max_pending: 32,
            max_per_peer: 2,
            max_process_bytes: 6 << 30,
            max_answer_bytes: 256 << 20,
            ban_time: Duration::from_secs(3_600),
        }
    }
}
