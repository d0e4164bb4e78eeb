//! What this node knows of each peer: what it said of its chain, what it has, what it is asked.
//!
//! Peers are opaque keys. What they claim is a claim: it decides whom to ask, never what is true. Everything kept of a
//! peer is bounded, and goes when it disconnects; scores and bans are p2p's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use printsy_consensus::{Hash, Work};
use printsy_p2p::{Direction, PeerKey, RequestKey};

use super::alarm::{Conflict, Survey};

/// How many blocks a peer is remembered to lack at the most.
const MAX_LACKING: usize = 256;
/// How many of a peer's announcements are remembered at the most.
const MAX_SHOWN: usize = 32;
/// How many blocks are remembered that somebody did not give at the most: several windows of bodies.
const MAX_MISSED: usize = 1_024;
/// How long a peer is not asked again for a block it did not have, ms: it may only have been slow or behind.
const LACKING_FOR_MS: u64 = 5_000;

/// What counts against a peer that came by itself and never gave a body, as if it had failed so often.
const STRANGER_DEMERITS: u32 = 2;
/// What counts against one that this node chose to dial: whoever wants to be one of those must be known to others.
const CHOSEN_DEMERITS: u32 = 1;

/// A peer.
#[derive(Debug, Default)]
pub(super) struct Peer {
    /// The work it claims for its chain.
    pub(super) work: Work,
    /// The greatest height it is known to have.
    pub(super) height: u64,
    /// Blocks it did not have when it was asked, oldest first.
    lacking: VecDeque<Hash>,
    /// Headers it announced of late, oldest first: it has those blocks.
    shown: VecDeque<Hash>,
    /// This node dialled it.
    is_outbound: bool,
    /// It gave a body that was asked of it, and let no request run out since.
    pub(super) has_given: bool,
    /// How often in a row it failed to give bodies.
    pub(super) failures: u32,
    /// The chain it has, where that leaves our final block and is proved to have more work.
    pub(super) conflict: Option<Conflict>,
    /// How far its branch was followed, while it is.
    pub(super) survey: Option<Survey>,
    /// When its branch may be looked at again, ms.
    pub(super) survey_at: u64,
    /// Whether it follows rules newer than this program's.
    pub(super) is_newer: bool,
    /// When it may be asked for bodies again, ms.
    pub(super) not_before: u64,
    /// Orders it has pending that are still to be asked for.
    pub(super) pending: Vec<Hash>,
    /// When it may be asked for headers again, ms: a claim of more work that headers do not show, or a request
    /// that failed, is not asked about at every tick.
    pub(super) ask_headers_at: u64,
    /// What it is asked now.
    pub(super) asked: BTreeSet<RequestKey>,
}

impl Peer {
    /// Notes that the peer did not have a block when it was asked.
    fn lacks(&mut self, id: Hash) {
        if !self.is_lacking(&id) {
            self.lacking.push_back(id);
        }
        if self.lacking.len() > MAX_LACKING {
            self.lacking.pop_front();
        }
    }

    /// How bad a choice it is for bodies: a stranger is worse than one that gave and failed since, a new name is no gain.
    pub(super) fn demerits(&self) -> u32 {
        let unknown = match (self.has_given, self.is_outbound) {
            (true, _) => 0,
            (false, true) => CHOSEN_DEMERITS,
            (false, false) => STRANGER_DEMERITS,
        };
        self.failures.saturating_add(unknown)
    }

    /// Whether the peer announced this very block of late.
    pub(super) fn has_shown(&self, id: &Hash) -> bool {
        self.shown.contains(id)
    }

    /// Whether the peer is remembered to lack a block.
    pub(super) fn is_lacking(&self, id: &Hash) -> bool {
        self.lacking.contains(id)
    }
}

/// All peers.
#[derive(Debug, Default)]
pub(super) struct Peers {
    by_key: BTreeMap<PeerKey, Peer>,
    /// Blocks that a peer did not give of late.
    missed: BTreeSet<Hash>,
    forget_at: u64,
}

impl Peers {
    pub(super) fn add(&mut self, key: PeerKey, direction: Direction) {
        self.by_key.entry(key).or_default().is_outbound = direction == Direction::Outbound;
    }

    pub(super) fn remove(&mut self, key: PeerKey) -> Option<Peer> {
        self.by_key.remove(&key)
    }

    pub(super) fn get(&self, key: PeerKey) -> Option<&Peer> {
        self.by_key.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: PeerKey) -> Option<&mut Peer> {
        self.by_key.get_mut(&key)
    }

    /// Lets peers be asked again, from time to time, for what they lacked.
    pub(super) fn forget_lacking(&mut self, now: u64) {
        if now >= self.forget_at {
            self.forget_at = now.saturating_add(LACKING_FOR_MS);
            self.by_key.values_mut().for_each(|peer| peer.lacking.clear());
            self.missed.clear();
        }
    }

    /// Notes that a peer did not give blocks it was asked for.
    pub(super) fn lacks(&mut self, key: PeerKey, ids: impl Iterator<Item = Hash>) {
        let Some(peer) = self.by_key.get_mut(&key) else { return };
        for id in ids {
            peer.lacks(id);
            if self.missed.len() < MAX_MISSED {
                self.missed.insert(id);
            }
        }
    }

    /// Whether somebody did not give this block of late: others may have it, whatever they are known to have.
    pub(super) fn is_missed(&self, id: &Hash) -> bool {
        self.missed.contains(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PeerKey, &Peer)> {
        self.by_key.iter().map(|(key, peer)| (*key, peer))
    }

    /// Notes that a peer has shown a header: it has that block, whatever it lacked before.
    pub(super) fn has_header(&mut self, key: PeerKey, id: Hash, height: u64) {
        if let Some(peer) = self.by_key.get_mut(&key) {
            peer.height = peer.height.max(height);
            peer.lacking.retain(|lacking| *lacking != id);
            peer.shown.push_back(id);
            if peer.shown.len() > MAX_SHOWN {
                peer.shown.pop_front();
            }
        }
    }
}
