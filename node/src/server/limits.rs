//! The table of bounds of the server: everything that a caller can make grow.
//!
//! Numbers only; whoever keeps one quotes it. Bytes are bytes of the body, before anything is decoded.

use std::time::Duration;

use printsy_consensus::{MAX_TRANSACTION_BYTES, Params};
use printsy_rpc::MAX_BATCH_TRANSACTIONS;

/// The most connections at once: what a node's usual limit on open files leaves beside its peers and disk.
pub const MAX_CONNECTIONS: usize = 1_024;
/// The most calls of one JSON-RPC batch: they are answered one after the other, on one connection.
pub const MAX_BATCH: u32 = 100;

/// The most WebSocket sessions at once: each may hold a message of [`WEBSOCKET_BYTES`] while it arrives.
pub(super) const MAX_WEBSOCKETS: usize = 128;
/// The most connections of one address, and requests at once that a trusted proxy passes on for one; those of the node's
/// own machine are not counted. An eighth of all, so that one caller alone shuts nobody out.
pub(super) const CONNECTIONS_PER_ADDRESS: usize = 128;
/// The most WebSocket sessions of one address: an eighth of all.
pub(super) const WEBSOCKETS_PER_ADDRESS: usize = 16;
/// The most subscriptions of one address, in all its sessions: an eighth of all.
pub(super) const SUBSCRIPTIONS_PER_ADDRESS: usize = 128;
/// The largest message over WebSocket; what is larger comes over HTTP. jsonrpsee keeps it until its call is answered, and
/// calls may wait: [`CALLS_PER_WEBSOCKET`] of them are 8 MiB a session, 128 MiB an address.
pub(super) const WEBSOCKET_BYTES: u32 = 128 << 10;
/// The longest id of a call that is repeated in a refusal to answer it.
pub(super) const REPEATED_ID_BYTES: usize = 256;
/// The most calls of one WebSocket session at once; one more is refused as `rateLimited`.
pub(super) const CALLS_PER_WEBSOCKET: usize = 64;
/// After how long a session with too many calls may try again, ms.
pub(super) const CALLS_RETRY_MS: u64 = 1_000;
/// How many callers' rates are remembered: only those that called within the last second or so; 8 MiB at the most.
pub(super) const MAX_RATED_CALLERS: usize = 65_536;
/// How many proofs are made at once; others wait. Each may hold the changes of 64 MiB of blocks, and keeps a core busy.
pub(super) const PROOFS_AT_ONCE: usize = 2;
/// How many answers and notifications wait for a slow reader of a WebSocket before calls and subscriptions wait too.
pub(super) const WEBSOCKET_ANSWERS: u32 = 16;
/// The most subscriptions of one WebSocket session; one more is refused as `rateLimited`.
pub(super) const SUBSCRIPTIONS_PER_WEBSOCKET: usize = 32;
/// The most subscriptions in all: each looks at the node at every change, some microseconds of one core.
pub(super) const MAX_SUBSCRIPTIONS: usize = 1_024;
/// The most images that all `subscribeAvailability` together watch: looked at four times a second, a tenth of a core.
pub(super) const MAX_WATCHED_IMAGES_IN_ALL: usize = 16_384;
/// How long a notification waits for a place among [`WEBSOCKET_ANSWERS`] before its subscription ends.
pub(super) const READER_PATIENCE: Duration = Duration::from_secs(5);
/// Within what time a connection takes all that is sent to it, or [`WRITE_BYTES`], before it is cut: long enough that a
/// slow reader can still read why its subscriptions ended.
pub(super) const WRITE_TIME: Duration = Duration::from_secs(20);
/// What a connection takes within [`WRITE_TIME`]: 50 kbit a second, less than any line of today.
pub(super) const WRITE_BYTES: usize = 128 << 10;
/// Answers up to this size are always sent: [`CALLS_PER_WEBSOCKET`] of them in [`MAX_WEBSOCKETS`] sessions are 128 MiB, and
/// one on each of [`MAX_CONNECTIONS`] 16 MiB.
pub(super) const SMALL_ANSWER_BYTES: usize = 16 << 10;
/// All larger answers and notifications together until the system has taken them, in KiB; an eighth of it for one address.
/// One answer more is refused as `rateLimited`, and one notification more waits.
pub(super) const LARGE_ANSWERS_KIB: usize = 256 << 10;
/// After how long a caller may ask again for a large answer that had no place, ms.
pub(super) const LARGE_ANSWERS_RETRY_MS: u64 = 1_000;
/// How many answers that read whole blocks are made at once, until they are written down; others wait. Each may hold
/// 32 MiB of blocks and what is told of them.
pub(super) const LARGE_READS_AT_ONCE: usize = 8;
/// How many reads of the chain are under way at once; others wait. A few for each core, and few of the threads that block,
/// which the network and the disk need as well.
pub(super) const READS_AT_ONCE: usize = 64;
/// How long subscriptions may take to say that the server stops.
pub(super) const FAREWELL_TIME: Duration = Duration::from_secs(1);

/// Bodies up to this size are always read: [`MAX_CONNECTIONS`] of them are 64 MiB.
pub(super) const SMALL_BODY_BYTES: usize = 64 << 10;
/// All larger bodies together, what came of them while they are read and whole while they are worked on; in KiB, an eighth
/// of it for one address.
pub(super) const LARGE_BODIES_KIB: usize = 256 << 10;

/// How long a request's headers may take, and how long a connection may be idle between requests.
pub(super) const HEADER_TIME: Duration = Duration::from_secs(20);
/// How long a request's body may take.
pub(super) const BODY_TIME: Duration = Duration::from_secs(30);
/// Within what time a large body grows by one part in [`BODY_GROWTH`]: who sends steadily always does within
/// [`BODY_TIME`], and who sends much and then waits holds its place no longer than this.
pub(super) const BODY_GROWTH_TIME: Duration = Duration::from_secs(5);
/// See [`BODY_GROWTH_TIME`].
pub(super) const BODY_GROWTH: usize = 8;
/// The most bytes of a request's headers.
pub(super) const HEADER_BYTES: usize = 64 << 10;
/// How long calls may take to end when the server stops.
pub(super) const STOP_TIME: Duration = Duration::from_secs(5);
/// The pause after a connection could not be accepted: the system is out of something.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What stands around the payload of a request or an answer.
const SLACK_BYTES: u32 = 1 << 20;
/// The largest block of any network in hex, and room around it: what clients take.
const MAX_ANSWER_BYTES: u32 = 129 << 20;

/// The largest body: what `executeTransactions` or `submitBlock` of this network may need.
pub(super) fn request_bytes(params: &Params) -> u32 {
    let transactions = MAX_BATCH_TRANSACTIONS.saturating_mul(2 * MAX_TRANSACTION_BYTES);
    let transactions = u32::try_from(transactions).unwrap_or(u32::MAX);
    let block = params.max_block_bytes.saturating_mul(2);
    transactions.max(block).max(16 << 20).saturating_add(SLACK_BYTES)
}

/// The largest answer: a block of this network told field by field, up to what clients take.
pub(super) fn answer_bytes(params: &Params) -> u32 {
    params.max_block_bytes.saturating_mul(8).max(16 << 20).saturating_add(SLACK_BYTES).min(MAX_ANSWER_BYTES)
}
