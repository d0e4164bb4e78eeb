//! Who comes and goes, who is dialled, charged and banned.
//!
//! A connection counts for nothing until identify has named the peer's genesis: then it is told to the node and
//! what came early is delivered, or the peer is sent away. The node dials towards its target from the address
//! book; Kademlia fills the book, and opens connections of its own on the way.

use std::time::Duration;

use libp2p::core::ConnectedPoint;
use libp2p::kad::store::MemoryStore;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, PeerId, identify, kad};
use tokio::time::Instant;

use super::Driver;
use crate::address::{self, Address};
use crate::book::{Due, Origin};
use crate::limits::{
    ADDRESSES_AGAIN_TIME, IDENTIFY_TIME, MAX_AGENT, MAX_FAILED_PINGS, OTHER_NETWORK_TIME, PARTING_TIME,
    SEARCH_INTERVAL,
};
use crate::message::{BanReason, Direction, Event, Misbehaviour, PeerKey};
use crate::peers::{Early, Peer, Stage};

impl Driver {
    pub(super) fn on_connected(&mut self, id: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let now = Instant::now();
        self.book.reached(connection, id, now);
        if self.peers.key(&id).is_some() {
            return; // both sides dialled; the first connection stands for the peer
        }
        let direction = if endpoint.is_dialer() { Direction::Outbound } else { Direction::Inbound };
        let address = endpoint.get_remote_address().clone();
        tracing::debug!(peer = %id, %address, ?direction, "a connection opened");
        let score = self.bans.score_of(&id, now);
        self.peers.insert(Peer {
            id,
            address,
            direction,
            since: now,
            told_addresses: None,
            stage: Stage::Unproven(Vec::new()),
            agent: String::new(),
            ping: None,
            failed_pings: 0,
            score,
            unjudged: 0,
            asking: 0,
            answer_bytes: 0,
            asked: 0,
        });
    }

    /// The last connection to a peer is closed.
    pub(super) fn on_closed(&mut self, id: &PeerId) {
        let now = Instant::now();
        let Some((key, peer)) = self.peers.remove(id) else {
            return;
        };
        self.book.left(id, now);
        self.bans.remember(*id, peer.score, now);
        self.end_requests(key);
        if matches!(peer.stage, Stage::Parting(_)) {
            self.ban(*id, BanReason::OtherNetwork, OTHER_NETWORK_TIME);
        }
        if peer.is_proven() {
            tracing::info!(peer = %id, "peer disconnected");
            self.emit(Event::Disconnected { peer: key });
            self.changed = true;
        }
    }

    pub(super) fn on_identify(&mut self, event: identify::Event) {
        if let identify::Event::Received { peer_id, info, .. } = event {
            self.on_identity(&peer_id, info);
        }
    }

    /// A peer has said who it is, for the first time or again.
    fn on_identity(&mut self, id: &PeerId, info: identify::Info) {
        let Some((key, peer)) = self.peers.with_id(id) else {
            return;
        };
        if info.protocol_version != self.names.identity {
            return self.part_from(id, &info.protocol_version);
        }
        let early = match &mut peer.stage {
            Stage::Unproven(early) => std::mem::take(early),
            Stage::Proven => return self.learn_addresses(id, &info.listen_addrs),
            Stage::Parting(_) => return, // it named another network before, and goes
        };
        peer.stage = Stage::Proven;
        let direction = peer.direction;
        peer.agent = printable(&info.agent_version, MAX_AGENT);
        tracing::info!(peer = %id, address = %peer.address, agent = %peer.agent, "peer connected");
        self.book.proved(id);
        self.share_score(key);
        self.learn_addresses(id, &info.listen_addrs);
        self.changed = true;
        self.emit(Event::Connected { peer: key, direction });
        for item in early {
            match item {
                Early::Gossip { id: message, topic, data } => {
                    self.deliver_message(key, *id, message, &topic, &data);
                }
                Early::Request { id, request, channel } => self.deliver_request(key, id, request, channel),
            }
        }
    }

    /// The peer is of another network: it goes, once it has had the time to hear the same from us.
    fn part_from(&mut self, id: &PeerId, theirs: &str) {
        let Some((key, peer)) = self.peers.with_id(id) else {
            return;
        };
        let was_proven = peer.is_proven();
        if matches!(peer.stage, Stage::Parting(_)) {
            return;
        }
        peer.stage = Stage::Parting(Instant::now());
        let theirs = printable(theirs, 80);
        tracing::info!(
            peer = %id, address = %peer.address, ours = %self.names.identity, %theirs,
            "refused a peer of another network"
        );
        if was_proven {
            self.end_requests(key);
            self.emit(Event::Disconnected { peer: key });
            self.changed = true;
        }
    }

    /// Remembers where a proven peer listens, for ourselves and for those who ask: a few addresses, in the place of
    /// those it told before. A peer may tell hundreds, and again at any time: told again too soon, they are let go.
    fn learn_addresses(&mut self, id: &PeerId, told: &[Multiaddr]) {
        let now = Instant::now();
        let Some((_, peer)) = self.peers.with_id(id) else {
            return;
        };
        if peer.told_addresses.is_some_and(|at| now < at + ADDRESSES_AGAIN_TIME) {
            return;
        }
        peer.told_addresses = Some(now);
        let was_dialled = peer.direction == Direction::Outbound;
        let addresses = address::choose(&peer.address, was_dialled, told);
        replace_addresses(&mut self.swarm.behaviour_mut().kad, id, &addresses);
        // The book puts what it learns last before the others.
        for dial in addresses.into_iter().rev() {
            self.book.learn(Address { dial, peer: Some(*id) }, Origin::Found, now);
        }
        self.book.proved(id);
    }

    pub(super) fn on_kad(&mut self, event: kad::Event) {
        let kad::Event::OutboundQueryProgressed { result: kad::QueryResult::GetClosestPeers(result), .. } =
            event
        else {
            return;
        };
        let now = Instant::now();
        let found = match result {
            Ok(kad::GetClosestPeersOk { peers, .. }) => peers,
            Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
        };
        for peer in found {
            for Address { dial, .. } in peer.addrs.iter().filter_map(Address::told) {
                self.book.learn(Address { dial, peer: Some(peer.peer_id) }, Origin::Found, now);
            }
        }
    }

    pub(super) fn on_ping(&mut self, id: &PeerId, round_trip: Option<Duration>) {
        let Some((key, peer)) = self.peers.with_id(id) else {
            return;
        };
        match round_trip {
            Some(_) => {
                peer.ping = round_trip;
                peer.failed_pings = 0;
            }
            None => peer.failed_pings += 1,
        }
        if peer.failed_pings >= MAX_FAILED_PINGS {
            tracing::info!(peer = %id, "peer is silent");
            self.disconnect(key);
        }
    }

    pub(super) fn on_dial_error(&mut self, connection: ConnectionId, error: &DialError) {
        if let DialError::LocalPeerId { .. } = error {
            return self.book.is_own(connection);
        }
        let (inbound, outbound) = self.peers.proven();
        let has_peers = inbound + outbound > 0;
        let Some(failed) = self.book.unreachable(connection, has_peers, Instant::now()) else {
            return;
        };
        let (address, wait) = (failed.address, failed.wait);
        let error = printable(&error.to_string(), 200);
        if failed.origin == Origin::Bootnode {
            tracing::warn!(%address, ?wait, %error, "bootnode is unreachable, trying again");
        } else {
            tracing::debug!(%address, ?wait, %error, "peer is unreachable");
        }
    }

    /// Deadlines, bans that have ended, dials and searches.
    pub(super) fn keep_peers(&mut self, now: Instant) {
        for id in self.bans.ended(now) {
            self.swarm.behaviour_mut().blocked.unblock_peer(id);
            self.changed = true;
        }
        self.end_overdue(now);
        if now >= self.renew_snapshot {
            let guilty = self.peers.iter().filter(|(_, peer)| peer.score.at(now) < 0);
            for key in guilty.map(|(key, _)| key).collect::<Vec<_>>() {
                self.share_score(key);
            }
        }
        self.dial_more(now);
        if now >= self.next_search && self.peers.outbound() < self.limits.target_outbound {
            self.next_search = now + SEARCH_INTERVAL;
            let own = *self.swarm.local_peer_id();
            self.swarm.behaviour_mut().kad.get_closest_peers(own);
        }
    }

    /// Ends peers that took too long to say who they are, or to hear that they are not wanted.
    fn end_overdue(&mut self, now: Instant) {
        let mut strangers = Vec::new();
        let mut parting = Vec::new();
        for (key, peer) in self.peers.iter() {
            match peer.stage {
                Stage::Unproven(_) if now >= peer.since + IDENTIFY_TIME => strangers.push(key),
                Stage::Parting(since) if now >= since + PARTING_TIME => parting.push(peer.id),
                _ => {}
            }
        }
        for key in strangers {
            tracing::debug!(peer = ?key, "the peer did not say who it is");
            self.disconnect(key);
        }
        for id in parting {
            self.ban(id, BanReason::OtherNetwork, OTHER_NETWORK_TIME);
        }
    }

    /// Dials whoever is due, up to the target.
    fn dial_more(&mut self, now: Instant) {
        let slots = self.limits.target_outbound.saturating_sub(self.peers.outbound() + self.book.dials());
        if slots == 0 {
            return;
        }
        let (inbound, outbound) = self.peers.proven();
        let has_peers = inbound + outbound > 0;
        let skip = |id: &PeerId| self.peers.key(id).is_some() || self.bans.contains(id);
        for due in self.book.due(slots, has_peers, now, skip) {
            self.dial(&due);
        }
    }

    pub(super) fn add_peer(&mut self, address: Address) {
        self.book.learn(address.clone(), Origin::Bootnode, Instant::now());
        let Some(due) = self.book.find(&address) else {
            return;
        };
        if !due.peer.is_some_and(|id| self.peers.key(&id).is_some() || self.bans.contains(&id)) {
            self.dial(&due);
        }
    }

    fn dial(&mut self, due: &Due) {
        let options = match due.peer {
            Some(id) => DialOpts::peer_id(id)
                .addresses(due.addresses.clone())
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .allocate_new_port()
                .build(),
            None => match due.addresses.first() {
                Some(address) => {
                    DialOpts::unknown_peer_id().address(address.clone()).allocate_new_port().build()
                }
                None => return,
            },
        };
        let connection = options.connection_id();
        self.book.dialling(due, connection);
        if let Err(error) = self.swarm.dial(options) {
            self.on_dial_error(connection, &error);
        }
    }

    pub(super) fn disconnect(&mut self, key: PeerKey) {
        if let Some(peer) = self.peers.get(key) {
            // Fails only if the peer is gone already.
            let _gone = self.swarm.disconnect_peer_id(peer.id);
        }
    }

    /// Charges a fault; the last one ends in a ban.
    pub(super) fn charge(&mut self, key: PeerKey, fault: Misbehaviour) {
        let now = Instant::now();
        let Some(peer) = self.peers.get_mut(key).filter(|peer| !self.bans.contains(&peer.id)) else {
            return;
        };
        self.metrics.fault(fault);
        let last = peer.score.charge(fault, now);
        let (id, score) = (peer.id, peer.score.at(now));
        tracing::info!(peer = %id, fault = fault.word(), score, "peer misbehaved");
        self.share_score(key);
        if last {
            tracing::warn!(peer = %id, time = ?self.limits.ban_time, "peer is banned for its faults");
            self.metrics.banned();
            self.ban(id, BanReason::Misbehaviour, self.limits.ban_time);
        }
    }

    /// Tells gossip our score of a peer, so that it is left out of the mesh while it is bad.
    fn share_score(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get(key) else { return };
        let score = f64::from(peer.score.at(Instant::now()));
        self.swarm.behaviour_mut().gossip.set_application_score(&peer.id, score);
    }

    /// Keeps a peer out for a time; its connections are closed.
    pub(super) fn ban(&mut self, id: PeerId, reason: BanReason, time: Duration) {
        let dropped = self.bans.insert(id, reason, time, Instant::now());
        self.book.forget(&id);
        let behaviour = self.swarm.behaviour_mut();
        behaviour.blocked.block_peer(id);
        behaviour.kad.remove_peer(&id);
        if let Some(dropped) = dropped {
            behaviour.blocked.unblock_peer(dropped);
        }
        self.changed = true;
    }

    pub(super) fn unban(&mut self, id: &PeerId) {
        if self.bans.remove(id) {
            self.swarm.behaviour_mut().blocked.unblock_peer(*id);
            self.changed = true;
        }
    }
}

/// Gives Kademlia these addresses of a peer in the place of those it has: left to itself it keeps all it is ever given.
/// The new ones come first, so that the peer does not lose its place in the table.
fn replace_addresses(kad: &mut kad::Behaviour<MemoryStore>, id: &PeerId, addresses: &[Multiaddr]) {
    for address in addresses {
        kad.add_address(id, address.clone());
    }
    for old in known_addresses(kad, id) {
        let is_new = |new: &Multiaddr| new.clone().with_p2p(*id).is_ok_and(|full| full == old);
        if !addresses.iter().any(is_new) {
            kad.remove_address(id, &old);
        }
    }
}

/// The addresses that Kademlia has of a peer, with its id.
fn known_addresses(kad: &mut kad::Behaviour<MemoryStore>, id: &PeerId) -> Vec<Multiaddr> {
    let Some(bucket) = kad.kbucket(*id) else { return Vec::new() };
    let entry = bucket.iter().find(|entry| entry.node.key.preimage() == id);
    entry.map_or_else(Vec::new, |entry| entry.node.value.iter().cloned().collect())
}

/// Foreign text for a log line: cut, and without what could break the line.
fn printable(text: &str, max: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(max).collect()
}

#[cfg(test)]
mod tests {
    use libp2p::kad;

    use super::*;

    #[test]
    fn kademlia_has_the_addresses_told_last_and_no_others() {
        let id = PeerId::random();
        let own = PeerId::random();
        let mut kad = kad::Behaviour::new(own, MemoryStore::new(own));
        let address = |port: u16| -> Multiaddr { format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap() };
        for first in 1..100 {
            let told = [address(first), address(first + 1)];
            replace_addresses(&mut kad, &id, &told);
            assert_eq!(known_addresses(&mut kad, &id), told.map(|told| told.with_p2p(id).unwrap()));
        }
        replace_addresses(&mut kad, &id, &[]);
        assert!(known_addresses(&mut kad, &id).is_empty());
    }
}
