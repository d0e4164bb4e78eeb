//! Requests and answers, ours and those of peers.
//!
//! Each request of ours ends in exactly one event, whatever becomes of the peer. Each request of a peer holds one
//! of its places until the node answers or the library gives it up; answers on their way are bounded in
//! bytes over all peers, since a peer that reads slowly keeps them in memory.

use std::collections::HashMap;

use libp2p::PeerId;
use libp2p::request_response::{
    Event as SyncEvent, InboundRequestId, Message, OutboundFailure, OutboundRequestId,
};

use super::Driver;
use crate::limits::{MAX_EARLY, MAX_INBOUND_REQUESTS, MAX_OUTBOUND_REQUESTS};
use crate::message::{Event, Misbehaviour, PeerKey, ReplyKey, Request, RequestFailure, RequestKey, Response};
use crate::peers::{Channel, Early, Stage};
use crate::wire::Malformed;

/// A request of a peer that the node has not answered.
#[derive(Debug)]
struct Reply {
    peer: PeerKey,
    id: InboundRequestId,
    channel: Channel,
}

/// All requests under way.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// Ours, by the library's number.
    ours: HashMap<OutboundRequestId, (PeerKey, RequestKey)>,
    /// Those of peers.
    theirs: HashMap<ReplyKey, Reply>,
    by_id: HashMap<InboundRequestId, ReplyKey>,
    last_key: u64,
    /// Bytes of each answer on its way, and of all.
    answers: HashMap<InboundRequestId, usize>,
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
                self.forget_request(request_id);
            }
            SyncEvent::ResponseSent { request_id, .. } => self.forget_request(request_id),
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
        self.requests.theirs.insert(reply, Reply { peer: key, id, channel });
        self.requests.by_id.insert(id, reply);
        self.emit(Event::Request { peer: key, reply, request });
    }

    pub(super) fn respond(&mut self, reply: ReplyKey, response: Response) {
        let Some(Reply { id, channel, .. }) = self.take_reply(reply) else {
            return;
        };
        let response = response.cut(self.max_block_bytes);
        let size = response.size();
        let requests = &mut self.requests;
        if requests.answer_bytes > 0 && requests.answer_bytes + size > self.limits.max_answer_bytes {
            tracing::debug!(size, "too many answers are on their way; one is not given");
            return;
        }
        if self.swarm.behaviour_mut().sync.send_response(channel, Ok(response)).is_ok() {
            requests.answers.insert(id, size);
            requests.answer_bytes += size;
        }
    }

    pub(super) fn refuse(&mut self, reply: ReplyKey) {
        // The channel is dropped, which closes the stream.
        self.take_reply(reply);
    }

    fn take_reply(&mut self, key: ReplyKey) -> Option<Reply> {
        let reply = self.requests.theirs.remove(&key)?;
        self.requests.by_id.remove(&reply.id);
        if let Some(peer) = self.peers.get_mut(reply.peer) {
            peer.asking -= 1;
        }
        Some(reply)
    }

    /// The library is done with a peer's request, answered or not.
    fn forget_request(&mut self, id: InboundRequestId) {
        if let Some(size) = self.requests.answers.remove(&id) {
            self.requests.answer_bytes -= size;
        }
        if let Some(reply) = self.requests.by_id.get(&id) {
            self.take_reply(*reply);
        }
    }

    /// The peer is gone: ends every request of ours to it, and drops its own.
    pub(super) fn end_requests(&mut self, key: PeerKey) {
        let ended: Vec<_> = self.requests.ours.extract_if(|_, (peer, _)| *peer == key).collect();
        for (_, (peer, request)) in ended {
            self.metrics.request_failed();
            self.emit(Event::Response { peer, request, result: Err(RequestFailure::Disconnected) });
        }
        let theirs = self.requests.theirs.extract_if(|_, reply| reply.peer == key);
        for (_, reply) in theirs {
            self.requests.by_id.remove(&reply.id);
        }
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
