//! Requests and answers, ours and those of peers.
//!
//! Each request of ours ends in exactly one event, whatever becomes of the peer. Each request of a peer holds one
//! of its places until the peer has taken the answer or the library gives it up. Answers on their way are bounded in
//! bytes, of each peer and over all, since a peer that reads slowly keeps them in memory; one that lets an answer
//! run out is charged for it.

use std::collections::HashMap;

use libp2p::PeerId;
use libp2p::request_response::{
    Event as SyncEvent, InboundFailure, InboundRequestId, Message, OutboundFailure, OutboundRequestId,
};
use tokio::time::Instant;

use super::Driver;
use crate::limits::{
    ANSWER_TIME, MAX_EARLY, MAX_INBOUND_REQUESTS, MAX_OUTBOUND_REQUESTS, max_answer_bytes_per_peer,
};
use crate::message::{Event, Misbehaviour, PeerKey, ReplyKey, Request, RequestFailure, RequestKey, Response};
use crate::peers::{Channel, Early, Stage};
use crate::wire::Malformed;

/// A request of a peer, until the library is done with it.
#[derive(Debug)]
struct Asking {
    peer: PeerKey,
    reply: ReplyKey,
    /// When the node answered, and how many bytes.
    answer: Option<(Instant, usize)>,
}

/// All requests under way.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// Ours, by the library's number.
    ours: HashMap<OutboundRequestId, (PeerKey, RequestKey)>,
    /// Those of peers.
    theirs: HashMap<InboundRequestId, Asking>,
    /// Those that the node has not answered.
    waiting: HashMap<ReplyKey, (InboundRequestId, Channel)>,
    last_key: u64,
    /// Bytes of all answers on their way.
    answer_bytes: usize,
}

impl Driver {
    pub(super) fn request(&mut self, key: PeerKey, request: RequestKey, what: Request) {
        let fail = |failure| Event::Response { peer: key, request, result: Err(failure) };
        let sync = &mut self.swarm.behaviour_mut().sync;
        let peer = self.peers.get_mut(key).filter(|peer| peer.is_proven() && sync.is_connected(&peer.id));
        let failure = match peer {
            None => RequestFailure::Disconnected,
            Some(peer) if peer.asked >= MAX_OUTBOUND_REQUESTS => RequestFailure::Busy,
            Some(peer) => {
                peer.asked += 1;
                let id = sync.send_request(&peer.id, Ok(what));
                self.requests.ours.insert(id, (key, request));
                return;
            }
        };
        self.emit(fail(failure));
    }

    pub(super) fn on_sync(
        &mut self,
        event: SyncEvent<Result<Request, Malformed>, Result<Response, Malformed>>,
    ) {
        match event {
            SyncEvent::Message { peer, message, .. } => match message {
                Message::Request { request_id, request, channel } => {
                    self.on_request(&peer, request_id, request, channel);
                }
                Message::Response { request_id, response } => {
                    self.on_response(request_id, response.map_err(Failure::Malformed));
                }
            },
            SyncEvent::OutboundFailure { request_id, error, .. } => {
                self.on_response(request_id, Err(Failure::Library(error)));
            }
            SyncEvent::InboundFailure { request_id, error, .. } => {
                tracing::debug!(%error, "a peer's request came to nothing");
                let ended = self.forget_request(request_id);
                if let (InboundFailure::Timeout, Some(asking)) = (error, ended) {
                    self.judge_unread(&asking);
                }
            }
            SyncEvent::ResponseSent { request_id, .. } => drop(self.forget_request(request_id)),
        }
    }

    fn on_response(&mut self, id: OutboundRequestId, result: Result<Response, Failure>) {
        // Not ours any more: the peer's end was told before.
        let Some((key, request)) = self.requests.ours.remove(&id) else {
            return;
        };
        if let Some(peer) = self.peers.get_mut(key) {
            peer.asked -= 1;
        }
        let result = result.map_err(|failure| {
            tracing::debug!(peer = ?key, %failure, "a request of ours failed");
            self.metrics.request_failed();
            failure.for_the_node()
        });
        let malformed = matches!(result, Err(RequestFailure::Malformed));
        self.emit(Event::Response { peer: key, request, result });
        if malformed {
            self.charge(key, Misbehaviour::Malformed);
        }
    }

    fn on_request(
        &mut self,
        id: &PeerId,
        request_id: InboundRequestId,
        request: Result<Request, Malformed>,
        channel: Channel,
    ) {
        let Some((key, peer)) = self.peers.with_id(id) else {
            return;
        };
        if self.bans.contains(id) {
            return; // its connection is closing
        }
        let request = match request {
            Ok(request) => request,
            Err(error) => {
                tracing::debug!(peer = %id, %error, "a request is malformed");
                return self.charge(key, Misbehaviour::Malformed);
            }
        };
        match &mut peer.stage {
            Stage::Proven => self.deliver_request(key, request_id, request, channel),
            Stage::Unproven(early) if early.len() < MAX_EARLY => {
                early.push(Early::Request { id: request_id, request, channel });
            }
            // The channel is dropped, which closes the stream.
            Stage::Unproven(_) | Stage::Parting(_) => {}
        }
    }

    /// Hands a proven peer's request to the node.
    pub(super) fn deliver_request(
        &mut self,
        key: PeerKey,
        id: InboundRequestId,
        request: Request,
        channel: Channel,
    ) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        if peer.asking >= MAX_INBOUND_REQUESTS {
            return self.charge(key, Misbehaviour::Flood);
        }
        peer.asking += 1;
        self.requests.last_key += 1;
        let reply = ReplyKey(self.requests.last_key);
        self.requests.theirs.insert(id, Asking { peer: key, reply, answer: None });
        self.requests.waiting.insert(reply, (id, channel));
        self.emit(Event::Request { peer: key, reply, request });
    }

    pub(super) fn respond(&mut self, reply: ReplyKey, response: Response) {
        let Some((id, channel)) = self.requests.waiting.remove(&reply) else {
            return;
        };
        let response = response.cut(self.max_block_bytes);
        let size = response.size();
        let Some(asking) = self.requests.theirs.get_mut(&id) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(asking.peer) else {
            return;
        };
        // Who has nothing on its way is always answered: else those that read nothing would shut out all others.
        let share = max_answer_bytes_per_peer(self.max_block_bytes);
        let fits = peer.answer_bytes.saturating_add(size) <= share
            && self.requests.answer_bytes.saturating_add(size) <= self.limits.max_answer_bytes;
        if peer.answer_bytes > 0 && !fits {
            tracing::debug!(peer = %peer.id, size, "too many answers are on their way; one is not given");
            return;
        }
        peer.answer_bytes += size;
        self.requests.answer_bytes += size;
        asking.answer = Some((Instant::now(), size));
        if self.swarm.behaviour_mut().sync.send_response(channel, Ok(response)).is_err() {
            self.forget_request(id); // the library has given it up already
        }
    }

    pub(super) fn refuse(&mut self, reply: ReplyKey) {
        // The channel is dropped, which closes the stream.
        self.requests.waiting.remove(&reply);
    }

    /// The library is done with a peer's request, answered or not.
    fn forget_request(&mut self, id: InboundRequestId) -> Option<Asking> {
        let asking = self.requests.theirs.remove(&id)?;
        self.requests.waiting.remove(&asking.reply);
        let size = asking.answer.map_or(0, |(_, size)| size);
        self.requests.answer_bytes -= size;
        if let Some(peer) = self.peers.get_mut(asking.peer) {
            peer.asking -= 1;
            peer.answer_bytes -= size;
        }
        Some(asking)
    }

    /// A peer's request ran out. Where the node had answered in good time, the peer did not read the answer.
    fn judge_unread(&mut self, asking: &Asking) {
        let is_unread = |(at, _): (Instant, _)| Instant::now() >= at + ANSWER_TIME;
        if asking.answer.is_some_and(is_unread) {
            self.charge(asking.peer, Misbehaviour::Unread);
        }
    }

    /// The peer is gone: ends every request of ours to it, and drops its own.
    pub(super) fn end_requests(&mut self, key: PeerKey) {
        let ended: Vec<_> = self.requests.ours.extract_if(|_, (peer, _)| *peer == key).collect();
        for (_, (peer, request)) in ended {
            self.metrics.request_failed();
            self.emit(Event::Response { peer, request, result: Err(RequestFailure::Disconnected) });
        }
        // What was answered counts until the library has let go of it, too.
        let theirs = self.requests.theirs.values().filter(|asking| asking.peer == key);
        theirs.for_each(|asking| drop(self.requests.waiting.remove(&asking.reply)));
    }
}

/// Why a request of ours failed, with what the log wants to know.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Malformed(Malformed),
    #[error("{0}")]
    Library(OutboundFailure),
}

impl Failure {
    fn for_the_node(&self) -> RequestFailure {
        match self {
            Self::Malformed(_) => RequestFailure::Malformed,
            Self::Library(OutboundFailure::Timeout) => RequestFailure::Timeout,
            Self::Library(OutboundFailure::ConnectionClosed | OutboundFailure::DialFailure) => {
                RequestFailure::Disconnected
            }
            Self::Library(OutboundFailure::UnsupportedProtocols | OutboundFailure::Io(_)) => {
                RequestFailure::Refused
            }
        }
    }
}
