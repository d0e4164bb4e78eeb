//! The table of connected peers: what is known of each, and how far each may go.
//!
//! A peer is [`Stage::Unproven`] until it has named its genesis; what comes from it before that is held, a few
//! messages at most. It is bounded by the connection limits, and every list in it by `limits.rs`.

use std::collections::HashMap;
use std::time::Duration;

use libp2p::gossipsub::{MessageId, TopicHash};
use libp2p::request_response::{InboundRequestId, ResponseChannel};
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use crate::bans::Score;
use crate::message::{Direction, PeerInfo, PeerKey, Request, Response};
use crate::wire::Malformed;

/// Where an answer goes.
pub(crate) type Channel = ResponseChannel<Result<Response, Malformed>>;

/// Something a peer sent before it had named its genesis.
#[derive(Debug)]
pub(crate) enum Early {
    /// A gossiped message.
    Gossip { id: MessageId, topic: TopicHash, data: Vec<u8> },
    /// A request.
    Request { id: InboundRequestId, request: Request, channel: Channel },
}

/// How far a peer has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Has not named its genesis.
    Unproven(Vec<Early>),
    /// Is of this network; the node knows of it.
    Proven,
    /// Is of another network, since when we know; kept a moment, so that it hears from us why it must go.
    Parting(Instant),
}

/// A connected peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) id: PeerId,
    pub(crate) address: Multiaddr,
    pub(crate) direction: Direction,
    pub(crate) since: Instant,
    /// When the addresses it told were last taken.
    pub(crate) told_addresses: Option<Instant>,
    pub(crate) stage: Stage,
    pub(crate) agent: String,
    pub(crate) ping: Option<Duration>,
    pub(crate) failed_pings: u32,
    pub(crate) score: Score,
    /// Its gossiped messages that wait for a verdict.
    pub(crate) unjudged: usize,
    /// Its requests whose answers it has not taken.
    pub(crate) asking: usize,
    /// Bytes of answers on their way to it.
    pub(crate) answer_bytes: usize,
    /// Our requests that wait for its answer.
    pub(crate) asked: usize,
}

impl Peer {
    pub(crate) fn is_proven(&self) -> bool {
        matches!(self.stage, Stage::Proven)
    }

    /// What is shown of it; `connected` is left at zero, for the reader to fill in.
    pub(crate) fn info(&self, key: PeerKey, now: Instant) -> PeerInfo {
        PeerInfo {
            key,
            peer_id: self.id.to_string(),
            address: self.address.to_string(),
            direction: self.direction,
            agent: self.agent.clone(),
            connected: Duration::ZERO,
            ping: self.ping,
            score: self.score.at(now),
        }
    }
}

/// All connected peers, by key and by id.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    by_key: HashMap<PeerKey, Peer>,
    by_id: HashMap<PeerId, PeerKey>,
    last_key: u64,
}

impl Peers {
    /// Adds a peer under a new key.
    pub(crate) fn insert(&mut self, peer: Peer) -> PeerKey {
        self.last_key += 1;
        let key = PeerKey(self.last_key);
        self.by_id.insert(peer.id, key);
        self.by_key.insert(key, peer);
        key
    }

    pub(crate) fn remove(&mut self, id: &PeerId) -> Option<(PeerKey, Peer)> {
        let key = self.by_id.remove(id)?;
        let peer = self.by_key.remove(&key).expect("both maps hold the same peers");
        Some((key, peer))
    }

    pub(crate) fn key(&self, id: &PeerId) -> Option<PeerKey> {
        self.by_id.get(id).copied()
    }

    pub(crate) fn get(&self, key: PeerKey) -> Option<&Peer> {
        self.by_key.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: PeerKey) -> Option<&mut Peer> {
        self.by_key.get_mut(&key)
    }

    pub(crate) fn with_id(&mut self, id: &PeerId) -> Option<(PeerKey, &mut Peer)> {
        let key = self.key(id)?;
        Some((key, self.by_key.get_mut(&key)?))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (PeerKey, &Peer)> {
        self.by_key.iter().map(|(key, peer)| (*key, peer))
    }

    /// How many peers of this network there are, by who dialled: inbound, outbound.
    pub(crate) fn proven(&self) -> (usize, usize) {
        let proven = self.by_key.values().filter(|peer| peer.is_proven());
        let (inbound, outbound): (Vec<_>, Vec<_>) =
            proven.partition(|peer| peer.direction == Direction::Inbound);
        (inbound.len(), outbound.len())
    }

    /// How many connections of ours lead somewhere, proven or not.
    pub(crate) fn outbound(&self) -> usize {
        self.by_key.values().filter(|peer| peer.direction == Direction::Outbound).count()
    }
}
