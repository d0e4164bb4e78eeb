//! Gossip: messages in, verdicts back, our own messages out.
//!
//! A message is decoded here and handed to the node under a key; only its verdict lets it travel on. Bytes
//! that are no message never reach the node. A message that finds no room, or whose verdict does not come in
//! time, is ignored: dropped, and nobody charged.

use std::collections::BTreeMap;

use libp2p::PeerId;
use libp2p::gossipsub::{self, MessageAcceptance, MessageId, PublishError, TopicHash};
use printsy_consensus::SignedHeader;
use tokio::time::Instant;

use super::Driver;
use crate::limits::{MAX_EARLY, MAX_UNJUDGED, MAX_UNJUDGED_PER_PEER, VERDICT_TIME};
use crate::message::{Event, MessageKey, Misbehaviour, PeerKey, Verdict};
use crate::peers::{Early, Stage};
use crate::wire;

/// A message the node has not judged yet.
#[derive(Debug)]
struct Waiting {
    id: MessageId,
    source: PeerId,
    peer: PeerKey,
    deadline: Instant,
}

/// All messages the node has not judged yet, the oldest first: keys only rise.
#[derive(Debug, Default)]
pub(super) struct Unjudged {
    waiting: BTreeMap<MessageKey, Waiting>,
    last_key: u64,
}

impl Driver {
    pub(super) fn publish_transactions(&mut self, transactions: Vec<Vec<u8>>) {
        for batch in wire::batches(transactions) {
            self.publish(self.names.transactions.hash(), wire::batch_to_bytes(&batch));
        }
    }

    pub(super) fn announce(&mut self, header: &SignedHeader) {
        self.publish(self.names.blocks.hash(), header.to_bytes().to_vec());
    }

    fn publish(&mut self, topic: TopicHash, data: Vec<u8>) {
        match self.swarm.behaviour_mut().gossip.publish(topic, data) {
            Ok(_) | Err(PublishError::Duplicate) => {}
            // Without peers that is how it is; with peers whose queues are full, the node publishes again.
            Err(error) => tracing::debug!(%error, "nobody took a message of ours"),
        }
    }

    pub(super) fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source: source, message_id: id, message } => {
                self.on_message(source, id, message.topic, message.data);
            }
            gossipsub::Event::SlowPeer { peer_id, .. } => {
                tracing::debug!(peer = %peer_id, "the peer takes messages too slowly; some were dropped");
            }
            _ => {}
        }
    }

    fn on_message(&mut self, source: PeerId, id: MessageId, topic: TopicHash, data: Vec<u8>) {
        let Some((key, peer)) = self.peers.with_id(&source) else {
            return self.judge(&id, &source, Verdict::Ignore);
        };
        if self.bans.contains(&source) {
            return self.judge(&id, &source, Verdict::Ignore); // its connection is closing
        }
        match &mut peer.stage {
            Stage::Proven => self.deliver_message(key, source, id, &topic, &data),
            Stage::Unproven(early) if early.len() < MAX_EARLY => {
                early.push(Early::Gossip { id, topic, data })
            }
            Stage::Unproven(_) | Stage::Parting(_) => self.judge(&id, &source, Verdict::Ignore),
        }
    }

    /// Decodes a message of a proven peer and hands it to the node.
    pub(super) fn deliver_message(
        &mut self,
        key: PeerKey,
        source: PeerId,
        id: MessageId,
        topic: &TopicHash,
        data: &[u8],
    ) {
        let message = MessageKey(self.unjudged.last_key + 1);
        let event = if *topic == self.names.blocks.hash() {
            wire::header_from_bytes(data).map(|header| Event::Announcement {
                peer: key,
                message,
                header: Box::new(header),
            })
        } else {
            wire::batch_from_bytes(data).map(|batch| Event::Transactions { peer: key, message, batch })
        };
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::debug!(peer = %source, %error, "a gossiped message is malformed");
                self.judge(&id, &source, Verdict::Reject);
                return self.charge(key, Misbehaviour::Malformed);
            }
        };
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        if self.unjudged.waiting.len() >= MAX_UNJUDGED || peer.unjudged >= MAX_UNJUDGED_PER_PEER {
            return self.judge(&id, &source, Verdict::Ignore);
        }
        peer.unjudged += 1;
        self.unjudged.last_key = message.0;
        let deadline = Instant::now() + VERDICT_TIME;
        self.unjudged.waiting.insert(message, Waiting { id, source, peer: key, deadline });
        self.emit(event);
    }

    pub(super) fn on_verdict(&mut self, message: MessageKey, verdict: Verdict) {
        let Some(waiting) = self.unjudged.waiting.remove(&message) else {
            return;
        };
        if let Some(peer) = self.peers.get_mut(waiting.peer) {
            peer.unjudged -= 1;
        }
        self.judge(&waiting.id, &waiting.source, verdict);
        if verdict == Verdict::Reject {
            self.charge(waiting.peer, Misbehaviour::InvalidMessage);
        }
    }

    /// Ignores what has waited too long.
    pub(super) fn expire_unjudged(&mut self, now: Instant) {
        while let Some((message, waiting)) = self.unjudged.waiting.first_key_value() {
            if waiting.deadline > now {
                return;
            }
            let message = *message;
            tracing::debug!(?message, "no verdict came in time");
            self.on_verdict(message, Verdict::Ignore);
        }
    }

    fn judge(&mut self, id: &MessageId, source: &PeerId, verdict: Verdict) {
        self.metrics.verdict(verdict);
        let acceptance = match verdict {
            Verdict::Accept => MessageAcceptance::Accept,
            Verdict::Ignore => MessageAcceptance::Ignore,
            Verdict::Reject => MessageAcceptance::Reject,
        };
        self.swarm.behaviour_mut().gossip.report_message_validation_result(id, source, acceptance);
    }
}
