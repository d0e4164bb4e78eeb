//! Fetching bodies: which are wanted, whom to ask, and what to do when they do not come.
//!
//! The best branch comes first, lowest body first; other branches that beat the tip get a part of the window, so
//! that neither many small branches nor one withheld branch keeps the chain from a body it needs.
//!
//! What a peer claims to have costs it nothing, and neither does a new name: who gave bodies before is asked first, then
//! those this node chose itself, then whoever came. A body that does not come in time is asked of others. A peer
//! that never gave one and lets it wait holds no place: were there hundreds of them, the next ones are asked, ever
//! more at once, until one gives. One that gave before may be slow, or this node's line is: three such are enough.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use printsy_consensus::{Fault, Hash};
use printsy_ledger::LedgerError;
use printsy_p2p::limits::MAX_BLOCKS;
use printsy_p2p::{Misbehaviour, PeerKey, Request, RequestFailure};

use super::Core;
use super::event::{BlockSource, Bodies, Effect};
use super::peers::Peer;
use super::sync::Asked;

/// How many bodies are on their way at once at the most, from all peers together.
const BODY_WINDOW: usize = 128;
/// How many of them may be of other branches than the best.
const OTHER_BRANCHES: usize = 32;
/// How many bodies one request asks for: small enough that a slow peer holds up little.
const BODIES_PER_REQUEST: usize = 16;
/// How many requests for bodies one peer answers at once.
const BODY_REQUESTS_PER_PEER: usize = 2;
/// How many requests of any kind one peer is given while bodies are wanted.
const REQUESTS_PER_PEER: usize = 6;
/// How long a body may take before it is late and another peer is asked as well, ms.
const LATE_AFTER_MS: u64 = 3_000;
/// How many peers that gave bodies before are asked for one body at once at the most; what all others may be asked in
/// vain is bounded by their requests.
const PEERS_PER_BODY: usize = 3;
/// How long a peer is not asked for bodies after its first failure, ms; doubled for each further one.
const FAILED_PAUSE_MS: u64 = 2_000;
/// The most doublings of that pause.
const MAX_FAILURES: u32 = 5;

/// In which order peers are asked: by demerits, then who gave bodies, then who showed the block, then how busy each is,
/// then by key.
type Order = (u32, Reverse<bool>, Reverse<bool>, usize, PeerKey);

/// Bodies on their way: of whom each was asked, and when.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    by_id: BTreeMap<Hash, Vec<(PeerKey, u64)>>,
}

impl InFlight {
    pub(super) fn asked(&mut self, ids: &[Hash], peer: PeerKey, now: u64) {
        for id in ids {
            self.by_id.entry(*id).or_default().push((peer, now));
        }
    }

    pub(super) fn ended(&mut self, ids: &[Hash], peer: PeerKey) {
        for id in ids {
            let Some(asked) = self.by_id.get_mut(id) else { continue };
            asked.retain(|(who, _)| *who != peer);
            if asked.is_empty() {
                self.by_id.remove(id);
            }
        }
    }

    fn is_asked_of(&self, id: &Hash, peer: PeerKey) -> bool {
        self.by_id.get(id).is_some_and(|asked| asked.iter().any(|(who, _)| *who == peer))
    }

    fn is_asked(&self, id: &Hash) -> bool {
        self.by_id.contains_key(id)
    }

    /// Whether a body should be asked for now: for the first time, or of one peer more. One is asked at a time, and
    /// beside it as many as let it wait and never gave one: it doubles, so that more than any node has are asked
    /// before its sync counts as stalled.
    fn is_due(&self, id: &Hash, now: u64, has_given: impl Fn(PeerKey) -> bool) -> bool {
        let Some(asked) = self.by_id.get(id) else { return true };
        let (late, fresh): (Vec<_>, Vec<_>) = asked.iter().partition(|(_, at)| is_late(*at, now));
        let slow = late.iter().filter(|(peer, _)| has_given(*peer)).count();
        let silent = late.len() - slow;
        fresh.len() <= silent && slow < PEERS_PER_BODY
    }

    /// Who lets a body wait.
    fn late_peers(&self, now: u64) -> BTreeSet<PeerKey> {
        let asked = self.by_id.values().flatten();
        asked.filter(|(_, at)| is_late(*at, now)).map(|(peer, _)| *peer).collect()
    }
}

fn is_late(asked_at: u64, now: u64) -> bool {
    now >= asked_at.saturating_add(LATE_AFTER_MS)
}

/// The missing bodies of the best branch, lowest first; made anew when the best header changes.
#[derive(Debug, Default)]
pub(super) struct Plan {
    best: Hash,
    ids: VecDeque<Hash>,
}

impl Core {
    /// Asks for the bodies that are wanted next, of peers that should have them.
    pub(super) fn schedule(&mut self) {
        let late = self.requests.bodies.late_peers(self.now);
        loop {
            let mut wanted = self.wanted();
            if wanted.is_empty() {
                return;
            }
            while !wanted.is_empty() {
                let Some((peer, ids)) = self.assign(&wanted, &late) else { return };
                wanted.retain(|id| !ids.contains(id));
                let list = ids.clone().try_into().expect("an assignment is no longer than a request may be");
                self.ask(peer, Asked::Bodies(ids), Request::Blocks { ids: list });
            }
        }
    }

    fn wanted(&mut self) -> Vec<Hash> {
        self.replan();
        let tip = self.ledger.tip().id();
        let best = self.plan.ids.iter().take(BODY_WINDOW).copied();
        let others = self.ledger.tree().missing_bodies(&tip, OTHER_BRANCHES);
        let mut seen = BTreeSet::new();
        let all = best.chain(others).filter(|id| {
            seen.insert(*id)
                && self.ledger.needs_body(id)
                && (self.progress.is_stalled || !self.ledger.has_salvaged(id))
        });
        let has_given = |key| self.peers.get(key).is_some_and(|peer| peer.has_given);
        all.filter(|id| self.requests.bodies.is_due(id, self.now, has_given)).take(BODY_WINDOW).collect()
    }

    fn replan(&mut self) {
        let tree = self.ledger.tree();
        let best = tree.best();
        if self.plan.best != best {
            let path = tree.path(&self.ledger.tip().id(), &best).connect;
            self.plan = Plan { best, ids: path.into() };
        }
        while let Some(id) = self.plan.ids.front().filter(|id| !self.ledger.needs_body(id)) {
            let _ = id;
            self.plan.ids.pop_front();
        }
    }

    /// A body came: does the sync of the best branch get on by it?
    pub(super) fn note_progress(&mut self, id: &Hash) {
        if self.plan.ids.iter().take(2 * BODY_WINDOW).any(|planned| planned == id) {
            self.progress.at = self.now;
            self.progress.is_stalled = false;
        }
    }

    /// The peer that should be asked first of those that should have some of the wanted bodies, and which of them to
    /// ask it for.
    fn assign(&self, wanted: &[Hash], late: &BTreeSet<PeerKey>) -> Option<(PeerKey, Vec<Hash>)> {
        let candidates = self.candidates(wanted.first()?, late);
        let height = |id: &Hash| self.ledger.tree().get(id).map_or(u64::MAX, |h| h.header().height);
        let is_known = |peer: &Peer, id: &Hash| peer.height >= height(id);
        // Gossip tells of the first peer alone that announced a block. If that one withholds it, anybody may have
        // it; likewise near the tip, where asking in vain costs little.
        let is_synced = !self.sync_state().is_syncing();
        let is_asked = |id: &Hash| self.requests.bodies.is_asked(id);
        let is_hoped = |_: &Peer, id: &Hash| is_synced || is_asked(id) || self.peers.is_missed(id);
        let chosen = self.choose(&candidates, wanted, is_known);
        chosen.or_else(|| self.choose(&candidates, wanted, is_hoped))
    }

    /// Who may be asked for bodies, whoever should be first: `wanted` is the first of them.
    fn candidates(&self, wanted: &Hash, late: &BTreeSet<PeerKey>) -> Vec<(Order, &Peer)> {
        let may_be_asked =
            |(_, peer): &(_, &Peer)| self.now >= peer.not_before && peer.asked.len() < REQUESTS_PER_PEER;
        let order = |key, peer: &Peer| {
            let demerits = peer.demerits().saturating_add(u32::from(late.contains(&key)));
            let has_shown = peer.has_shown(wanted);
            (demerits, Reverse(peer.has_given), Reverse(has_shown), self.body_requests(key), key)
        };
        let mut candidates: Vec<_> =
            self.peers.iter().filter(may_be_asked).map(|(key, peer)| (order(key, peer), peer)).collect();
        candidates.sort_by_key(|(order, _)| *order);
        candidates
    }

    fn choose(
        &self,
        candidates: &[(Order, &Peer)],
        wanted: &[Hash],
        may_have: impl Fn(&Peer, &Hash) -> bool,
    ) -> Option<(PeerKey, Vec<Hash>)> {
        const { assert!(BODIES_PER_REQUEST <= MAX_BLOCKS) };
        candidates.iter().find_map(|((_, _, _, busy, key), peer)| {
            let is_due = |id: &&Hash| {
                may_have(peer, id) && !peer.is_lacking(id) && !self.requests.bodies.is_asked_of(id, *key)
            };
            let ids: Vec<Hash> = wanted.iter().filter(is_due).take(BODIES_PER_REQUEST).copied().collect();
            (*busy < BODY_REQUESTS_PER_PEER && !ids.is_empty()).then_some((*key, ids))
        })
    }

    fn body_requests(&self, key: PeerKey) -> usize {
        let open = self.requests.open.values();
        open.filter(|(peer, asked)| *peer == key && matches!(asked, Asked::Bodies(_))).count()
    }

    pub(super) fn take_bodies(
        &mut self,
        peer: PeerKey,
        asked: &[Hash],
        bodies: Bodies,
    ) -> Result<(), LedgerError> {
        let mut got = BTreeSet::new();
        for body in bodies {
            match body {
                Ok(block) if asked.contains(&block.id()) => {
                    got.insert(block.id());
                    self.take_block(BlockSource::Peer(peer), block)?;
                }
                Ok(_) => self.effects.push(Effect::Report(peer, Misbehaviour::WrongAnswer)),
                Err((id, error)) => {
                    tracing::warn!(peer = peer.0, %error, "a peer sent a block that breaks a rule");
                    self.effects.push(Effect::Report(peer, Misbehaviour::InvalidBlock));
                    if error.fault() == Fault::Block {
                        self.condemn(&id);
                    }
                }
            }
        }
        self.peers.lacks(peer, asked.iter().filter(|id| !got.contains(*id)).copied());
        if let Some(peer) = self.peers.get_mut(peer).filter(|_| !got.is_empty()) {
            peer.failures = 0;
            peer.has_given = true;
        }
        Ok(())
    }

    pub(super) fn miss_bodies(&mut self, peer: PeerKey, asked: &[Hash], failure: RequestFailure) {
        tracing::debug!(peer = peer.0, %failure, "a peer gave no bodies");
        let now = self.now;
        let Some(known) = self.peers.get_mut(peer) else { return };
        known.not_before = now.saturating_add(FAILED_PAUSE_MS << known.failures);
        if failure != RequestFailure::Busy {
            known.failures = (known.failures + 1).min(MAX_FAILURES);
            // Else some that gave one body each could hold the places of every other for as long as requests take.
            known.has_given &= failure != RequestFailure::Timeout;
            self.peers.lacks(peer, asked.iter().copied());
        }
    }
}
