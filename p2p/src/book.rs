//! The address book: whom to dial next, and when again after a failure.
//!
//! Bootnodes stand in it for ever; remembered and found addresses fall out when they fail again and again and
//! there are others. It decides, and dials nothing: `driver.rs` asks it which candidates are due and tells it
//! what became of them. Bounded by [`MAX_KNOWN_PEERS`]; searched in order, since it is small and seldom asked.

use std::time::Duration;

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use crate::address::{self, Address};
use crate::limits::{
    DIAL_BACKOFF, MAX_ADDRESSES_PER_PEER, MAX_BOOTNODE_BACKOFF, MAX_DIAL_BACKOFF, MAX_DIAL_FAILURES,
    MAX_KNOWN_PEERS, MAX_SAVED_ADDRESSES,
};

/// Where an address comes from, the most trusted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// From the operator: never forgotten.
    Bootnode,
    /// From an earlier run.
    Remembered,
    /// From a peer.
    Found,
}

#[derive(Debug)]
struct Candidate {
    /// Unknown for an address named without its id, until it has been reached.
    peer: Option<PeerId>,
    /// The id was named with the address: whoever else answers there is not meant.
    named: bool,
    addresses: Vec<Multiaddr>,
    origin: Origin,
    /// Has been reached and was of this network, now or in an earlier run.
    proven: bool,
    failures: u32,
    next: Instant,
    dialling: Option<ConnectionId>,
}

impl Candidate {
    fn failed(&mut self, now: Instant) -> Duration {
        let longest = if self.origin == Origin::Bootnode { MAX_BOOTNODE_BACKOFF } else { MAX_DIAL_BACKOFF };
        let doubled = DIAL_BACKOFF.saturating_mul(1 << self.failures.min(16));
        let wait = doubled.min(longest);
        self.failures = self.failures.saturating_add(1);
        self.next = now + wait;
        wait
    }
}

/// A candidate that is due.
#[derive(Debug)]
pub(crate) struct Due {
    /// For [`AddressBook::dialling`]; valid until the book is changed otherwise.
    index: usize,
    pub(crate) peer: Option<PeerId>,
    pub(crate) addresses: Vec<Multiaddr>,
}

/// A failed dial, for the log.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) origin: Origin,
    pub(crate) address: String,
    pub(crate) wait: Duration,
}

#[derive(Debug)]
pub(crate) struct AddressBook {
    own: PeerId,
    candidates: Vec<Candidate>,
}

impl AddressBook {
    pub(crate) fn new(own: PeerId) -> Self {
        Self { own, candidates: Vec::new() }
    }

    /// Adds an address, or another address of a peer that is known. Own addresses are left out.
    pub(crate) fn learn(&mut self, address: Address, origin: Origin, now: Instant) {
        let Address { dial, peer } = address;
        if peer == Some(self.own) {
            return;
        }
        let known = self.candidates.iter_mut().find(|candidate| match peer {
            Some(_) => candidate.peer == peer,
            None => candidate.addresses.contains(&dial),
        });
        if let Some(known) = known {
            if origin < known.origin {
                known.origin = origin;
                known.next = now;
            }
            if !known.addresses.contains(&dial) {
                known.addresses.insert(0, dial);
                known.addresses.truncate(MAX_ADDRESSES_PER_PEER);
            }
            return;
        }
        if self.candidates.len() >= MAX_KNOWN_PEERS && !self.make_room(origin) {
            return;
        }
        let proven = origin == Origin::Remembered;
        let addresses = vec![dial];
        self.candidates.push(Candidate {
            peer,
            named: peer.is_some(),
            addresses,
            origin,
            proven,
            failures: 0,
            next: now,
            dialling: None,
        });
    }

    /// Drops the worst idle candidate that is no bootnode; false if there is none to drop.
    fn make_room(&mut self, origin: Origin) -> bool {
        let idle =
            self.candidates.iter().enumerate().filter(|(_, candidate)| {
                candidate.origin != Origin::Bootnode && candidate.dialling.is_none()
            });
        let worst = idle.max_by_key(|(_, candidate)| (!candidate.proven, candidate.failures, candidate.next));
        match worst {
            Some((index, candidate)) if !candidate.proven || origin == Origin::Bootnode => {
                self.candidates.swap_remove(index);
                true
            }
            _ => false,
        }
    }

    /// At most `slots` candidates that may be dialled now and that `skip` does not name: bootnodes first while
    /// there are no peers, else those that were reached before.
    pub(crate) fn due(
        &self,
        slots: usize,
        has_peers: bool,
        now: Instant,
        skip: impl Fn(&PeerId) -> bool,
    ) -> Vec<Due> {
        let mut due: Vec<_> = self
            .candidates
            .iter()
            .enumerate()
            .filter(|(_, candidate)| candidate.dialling.is_none() && candidate.next <= now)
            .filter(|(_, candidate)| !candidate.peer.is_some_and(|peer| skip(&peer)))
            .collect();
        due.sort_by_key(|(_, candidate)| {
            let bootnode = candidate.origin == Origin::Bootnode;
            (bootnode == has_peers, !candidate.proven, candidate.failures, candidate.next)
        });
        due.truncate(slots);
        due.into_iter()
            .map(|(index, candidate)| Due {
                index,
                peer: candidate.peer,
                addresses: candidate.addresses.clone(),
            })
            .collect()
    }

    /// The candidate with this address, due or not, unless it is being dialled.
    pub(crate) fn find(&self, address: &Address) -> Option<Due> {
        let index = self.candidates.iter().position(|candidate| {
            candidate.addresses.contains(&address.dial) && candidate.dialling.is_none()
        })?;
        let candidate = &self.candidates[index];
        Some(Due { index, peer: candidate.peer, addresses: candidate.addresses.clone() })
    }

    /// How many dials of ours are under way.
    pub(crate) fn dials(&self) -> usize {
        self.candidates.iter().filter(|candidate| candidate.dialling.is_some()).count()
    }

    /// The candidate is being dialled over this connection.
    pub(crate) fn dialling(&mut self, due: &Due, connection: ConnectionId) {
        self.candidates[due.index].dialling = Some(connection);
    }

    /// A dial of ours reached somebody.
    pub(crate) fn reached(&mut self, connection: ConnectionId, peer: PeerId, now: Instant) {
        let Some(index) = self.dialled(connection) else {
            return;
        };
        let twin = self.candidates.iter().position(|candidate| candidate.peer == Some(peer));
        let candidate = &mut self.candidates[index];
        candidate.dialling = None;
        candidate.peer = Some(peer);
        candidate.failed(now); // until the peer has proved itself: a door that opens and shuts is no better
        if let Some(twin) = twin.filter(|twin| *twin != index) {
            let addresses = std::mem::take(&mut self.candidates[twin].addresses);
            let origin = self.candidates[twin].origin;
            let candidate = &mut self.candidates[index];
            candidate.origin = candidate.origin.min(origin);
            candidate.addresses.extend(addresses);
            candidate.addresses.dedup();
            candidate.addresses.truncate(MAX_ADDRESSES_PER_PEER);
            self.candidates.swap_remove(twin);
        }
    }

    /// A dial of ours came to nothing; none if it was not ours, or if the candidate is hopeless and now forgotten.
    pub(crate) fn unreachable(
        &mut self,
        connection: ConnectionId,
        has_peers: bool,
        now: Instant,
    ) -> Option<Failed> {
        let index = self.dialled(connection)?;
        let candidate = &mut self.candidates[index];
        candidate.dialling = None;
        candidate.peer = candidate.peer.filter(|_| candidate.named);
        let wait = candidate.failed(now);
        let address = candidate.addresses.first().map(ToString::to_string).unwrap_or_default();
        let failed = Failed { origin: candidate.origin, address, wait };
        let forgotten =
            candidate.origin != Origin::Bootnode && candidate.failures >= MAX_DIAL_FAILURES && has_peers;
        if forgotten {
            self.candidates.swap_remove(index);
        }
        Some(failed)
    }

    /// The address dialled over this connection is this node's own: it is of no use to anybody.
    pub(crate) fn is_own(&mut self, connection: ConnectionId) {
        if let Some(index) = self.dialled(connection) {
            self.candidates.swap_remove(index);
        }
    }

    /// The peer is of this network.
    pub(crate) fn proved(&mut self, peer: &PeerId) {
        for candidate in self.candidates.iter_mut().filter(|candidate| candidate.peer == Some(*peer)) {
            candidate.proven = true;
            candidate.failures = 0;
        }
    }

    /// The peer went away: it is tried again after a moment.
    pub(crate) fn left(&mut self, peer: &PeerId, now: Instant) {
        for candidate in self.candidates.iter_mut().filter(|candidate| candidate.peer == Some(*peer)) {
            candidate.next = candidate.next.max(now + DIAL_BACKOFF);
        }
    }

    /// Forgets a banned peer; a bootnode stays, it is only not dialled.
    pub(crate) fn forget(&mut self, peer: &PeerId) {
        self.candidates
            .retain(|candidate| candidate.peer != Some(*peer) || candidate.origin == Origin::Bootnode);
    }

    /// Addresses worth saving: of peers that were once reached, the most reliable first.
    pub(crate) fn to_save(&self) -> Vec<String> {
        let mut proven: Vec<_> = self.candidates.iter().filter(|candidate| candidate.proven).collect();
        proven.sort_by_key(|candidate| candidate.failures);
        let texts = proven.into_iter().filter_map(|candidate| {
            let peer = candidate.peer.as_ref()?;
            Some(candidate.addresses.iter().map(|dial| address::full(dial, peer)).collect::<Vec<_>>())
        });
        texts.flatten().take(MAX_SAVED_ADDRESSES).collect()
    }

    fn dialled(&self, connection: ConnectionId) -> Option<usize> {
        self.candidates.iter().position(|candidate| candidate.dialling == Some(connection))
    }
}

#[cfg(test)]
mod tests;
