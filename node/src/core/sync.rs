//! Sync: headers first, total work compared across peers, then bodies from several peers at once.
//!
//! Meeting a peer, both say where their chains stand and what they have pending. Whoever claims more work than
//! this node has headers for is asked for headers, from a locator on; a claim is believed only as far as headers
//! show it. Bodies are then asked of any peer that should have them, lowest first, a window at a time. Every
//! request ends in exactly one answer, so what a peer fails to give is asked of another.

use std::collections::{BTreeMap, BTreeSet};

use printsy_consensus::codec::List;
use printsy_consensus::{CheckedHeader, Fault, Hash, HeaderError, Work};
use printsy_ledger::{InsertError, LedgerError};
use printsy_p2p::limits::{MAX_BLOCKS, MAX_HEADERS, MAX_LOCATOR, MAX_TRANSACTIONS};
use printsy_p2p::{Misbehaviour, PeerKey, Request, RequestFailure, RequestKey, Status};

use super::Core;
use super::event::{BlockSource, Bodies, Effect, PeerAnswer};

/// How many bodies are on their way at once at the most, from all peers together.
const BODY_WINDOW: usize = 128;
/// How many bodies one request asks for: small enough that a slow peer holds up little.
const BODIES_PER_REQUEST: usize = 16;
/// How many requests for bodies one peer answers at once.
const BODY_REQUESTS_PER_PEER: usize = 2;
/// How long a peer that claims more work is not asked for headers again, ms.
const HEADERS_AGAIN_AFTER_MS: u64 = 5_000;
/// A header chain this many blocks ahead of the bodies makes a node syncing. Fewer are the common case of a
/// block on its way, and of a miner that shows a header and withholds its body.
const SYNCING_AHEAD: u64 = 8;

/// Where the node stands in following the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncState {
    /// No peer has proved more header work.
    Synced,
    /// A peer has: bodies up to `best` are being fetched.
    Syncing {
        /// The height of the best header.
        best: u64,
    },
}

impl SyncState {
    /// Whether bodies are being fetched.
    #[must_use]
    pub fn is_syncing(self) -> bool {
        matches!(self, Self::Syncing { .. })
    }
}

/// What was asked of a peer.
#[derive(Debug)]
enum Asked {
    Status,
    Headers,
    Bodies(Vec<Hash>),
    Pending,
    Orders,
}

/// Requests on their way.
#[derive(Debug, Default)]
pub(super) struct Requests {
    next: u64,
    open: BTreeMap<RequestKey, (PeerKey, Asked)>,
    bodies: BTreeSet<Hash>,
}

impl Core {
    /// Where this node stands in following the chain.
    #[must_use]
    pub fn sync_state(&self) -> SyncState {
        let tree = self.ledger.tree();
        let best = tree.get(&tree.best()).map_or(0, |header| header.header().height);
        if best >= self.ledger.tip().height().saturating_add(SYNCING_AHEAD) {
            SyncState::Syncing { best }
        } else {
            SyncState::Synced
        }
    }

    /// A peer of this network is there: say where this chain stands, ask what it has pending.
    pub(super) fn meet(&mut self, peer: PeerKey) {
        self.peers.add(peer);
        self.effects.push(Effect::PeersChanged);
        let status = self.status();
        self.ask(peer, Asked::Status, Request::Status(status));
        self.ask(peer, Asked::Pending, Request::Pending);
    }

    fn status(&self) -> Status {
        let tip = self.ledger.tip();
        Status {
            genesis: self.ledger.genesis().hash(),
            tip: tip.id(),
            height: tip.height(),
            work: tip.work.to_be_bytes(),
            final_height: self.ledger.final_height(),
        }
    }

    /// A peer is gone. Its open requests were answered as failed before.
    pub(super) fn lose(&mut self, peer: PeerKey) {
        if let Some(peer) = self.peers.remove(peer) {
            for request in peer.asked {
                self.close(request);
            }
        }
        self.forget_announcements(peer);
        self.effects.push(Effect::PeersChanged);
        self.schedule();
    }

    fn ask(&mut self, peer: PeerKey, asked: Asked, request: Request) {
        let key = RequestKey(self.requests.next);
        self.requests.next += 1;
        if let Asked::Bodies(ids) = &asked {
            self.requests.bodies.extend(ids);
        }
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.asked.insert(key);
        }
        self.requests.open.insert(key, (peer, asked));
        self.effects.push(Effect::Request(peer, key, request));
    }

    fn close(&mut self, request: RequestKey) -> Option<Asked> {
        let (peer, asked) = self.requests.open.remove(&request)?;
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.asked.remove(&request);
        }
        if let Asked::Bodies(ids) = &asked {
            ids.iter().for_each(|id| {
                self.requests.bodies.remove(id);
            });
        }
        Some(asked)
    }

    /// A peer said where its chain stands.
    pub(super) fn hear_status(&mut self, key: PeerKey, status: &Status) {
        let work = Work::from_be_bytes(status.work);
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.work = work;
        peer.height = peer.height.max(status.height);
        let best = self.ledger.tree().work(&self.ledger.tree().best()).unwrap_or_default();
        if work > best || (work == best && self.ledger.tree().get(&status.tip).is_none()) {
            self.ask_headers(key);
        }
        self.schedule();
    }

    /// Asks for headers again where a peer claims more work than is known of: an answer may have failed, or the
    /// header tree may have been full.
    pub(super) fn retry_headers(&mut self, now: u64) {
        let best = self.ledger.tree().work(&self.ledger.tree().best()).unwrap_or_default();
        let claims =
            |(_, peer): &(PeerKey, &super::peers::Peer)| peer.work > best && now >= peer.ask_headers_at;
        let due: Vec<PeerKey> = self.peers.iter().filter(claims).map(|(key, _)| key).collect();
        for key in due {
            if let Some(peer) = self.peers.get_mut(key) {
                peer.ask_headers_at = now.saturating_add(HEADERS_AGAIN_AFTER_MS);
            }
            self.ask_headers(key);
        }
    }

    /// Asks a peer for the headers it has beyond ours, unless it is being asked already.
    pub(super) fn ask_headers(&mut self, peer: PeerKey) {
        let asking = |(asked, what): &(PeerKey, Asked)| *asked == peer && matches!(what, Asked::Headers);
        if self.requests.open.values().any(asking) {
            return;
        }
        let locator = self.locator();
        self.ask(peer, Asked::Headers, Request::Headers { locator, stop: Hash::ZERO });
    }

    /// Ids of the best header's branch, newest first, ever sparser, down to the final block.
    fn locator(&self) -> List<Hash, MAX_LOCATOR> {
        let tree = self.ledger.tree();
        let mut ids = Vec::new();
        let mut next = Some(tree.best());
        let mut step = 1u64;
        while let Some(id) = next.filter(|_| ids.len() + 1 < MAX_LOCATOR) {
            ids.push(id);
            let height = tree.get(&id).map_or(0, |header| header.header().height);
            next = height.checked_sub(step).and_then(|below| tree.ancestor(&id, below));
            if ids.len() >= 8 {
                step = step.saturating_mul(2);
            }
        }
        if ids.last() != Some(&tree.root()) {
            ids.push(tree.root());
        }
        ids.try_into().expect("the loop leaves room for the root")
    }

    /// A peer answered a request.
    pub(super) fn take_answer(
        &mut self,
        peer: PeerKey,
        request: RequestKey,
        answer: PeerAnswer,
        now: u64,
    ) -> Result<(), LedgerError> {
        let Some(asked) = self.close(request) else { return Ok(()) };
        match (asked, answer) {
            (Asked::Status, PeerAnswer::Status(status)) => self.hear_status(peer, &status),
            (Asked::Headers, PeerAnswer::Headers(headers, wrong)) => {
                self.take_headers(peer, &headers, wrong, now);
            }
            (Asked::Bodies(ids), PeerAnswer::Bodies(bodies)) => self.take_bodies(peer, &ids, bodies, now)?,
            (Asked::Pending, PeerAnswer::Pending(txids)) => self.take_pending(peer, txids),
            (Asked::Bodies(ids), PeerAnswer::Failed(failure)) => self.miss_bodies(peer, &ids, failure),
            _ => {}
        }
        self.schedule();
        Ok(())
    }

    fn take_headers(
        &mut self,
        peer: PeerKey,
        headers: &[CheckedHeader],
        wrong: Option<HeaderError>,
        now: u64,
    ) {
        for header in headers {
            self.peers.has_header(peer, header.id(), header.header().height);
            match self.ledger.insert_header(*header, now) {
                Ok(_) => {}
                Err(InsertError::Full) => return,
                Err(InsertError::Header(error)) => return self.blame_header(peer, &error),
            }
        }
        match (wrong, headers.last()) {
            (Some(error), _) => self.blame_header(peer, &error),
            // A full answer: there may be more behind it.
            (None, Some(last)) if headers.len() == MAX_HEADERS => {
                let ids = vec![last.id(), self.ledger.tree().root()];
                let locator = ids.try_into().expect("two ids are a locator");
                self.ask(peer, Asked::Headers, Request::Headers { locator, stop: Hash::ZERO });
            }
            _ => {}
        }
    }

    fn blame_header(&mut self, peer: PeerKey, error: &HeaderError) {
        match error.fault() {
            Fault::Sender | Fault::Block => {
                tracing::warn!(peer = peer.0, %error, "a peer sent a header that breaks a rule");
                self.effects.push(Effect::Report(peer, Misbehaviour::InvalidBlock));
            }
            Fault::Nobody => tracing::debug!(peer = peer.0, %error, "a peer's header cannot be placed now"),
        }
    }

    fn take_bodies(
        &mut self,
        peer: PeerKey,
        asked: &[Hash],
        bodies: Bodies,
        now: u64,
    ) -> Result<(), LedgerError> {
        let mut got = BTreeSet::new();
        for body in bodies {
            match body {
                Ok(block) if asked.contains(&block.id()) => {
                    got.insert(block.id());
                    self.take_block(BlockSource::Peer(peer), block, now)?;
                }
                Ok(_) => self.effects.push(Effect::Report(peer, Misbehaviour::WrongAnswer)),
                Err(error) => {
                    tracing::warn!(peer = peer.0, %error, "a peer sent a block that breaks a rule");
                    self.effects.push(Effect::Report(peer, Misbehaviour::InvalidBlock));
                }
            }
        }
        if let Some(peer) = self.peers.get_mut(peer) {
            asked.iter().filter(|id| !got.contains(*id)).for_each(|id| peer.lacks(*id));
        }
        Ok(())
    }

    fn miss_bodies(&mut self, peer: PeerKey, asked: &[Hash], failure: RequestFailure) {
        tracing::debug!(peer = peer.0, %failure, "a peer gave no bodies");
        if failure == RequestFailure::Busy {
            return;
        }
        if let Some(peer) = self.peers.get_mut(peer) {
            asked.iter().for_each(|id| peer.lacks(*id));
        }
    }

    /// Asks for orders a peer has pending and this node does not.
    fn take_pending(&mut self, peer: PeerKey, txids: Vec<Hash>) {
        let unknown: Vec<Hash> =
            txids.into_iter().filter(|txid| self.ledger.mempool().get(txid).is_none()).collect();
        if self.sync_state().is_syncing() {
            return;
        }
        for ids in unknown.chunks(MAX_TRANSACTIONS) {
            let ids = ids.to_vec().try_into().expect("a chunk is no longer than the list may be");
            self.ask(peer, Asked::Orders, Request::Transactions { ids });
        }
    }

    /// Asks for the bodies that are wanted next, of peers that should have them.
    pub(super) fn schedule(&mut self) {
        let tip = self.ledger.tip().id();
        let missing = self.ledger.tree().missing_bodies(&tip, BODY_WINDOW);
        let mut wanted: Vec<Hash> =
            missing.into_iter().filter(|id| !self.requests.bodies.contains(id)).collect();
        wanted.truncate(BODY_WINDOW.saturating_sub(self.requests.bodies.len()));
        while !wanted.is_empty() {
            let Some((peer, ids)) = self.assign(&wanted) else { return };
            wanted.retain(|id| !ids.contains(id));
            let list = ids.clone().try_into().expect("an assignment is no longer than a request may be");
            self.ask(peer, Asked::Bodies(ids), Request::Blocks { ids: list });
        }
    }

    /// The least asked peer that should have the first of the wanted bodies, and which of them to ask it for.
    fn assign(&self, wanted: &[Hash]) -> Option<(PeerKey, Vec<Hash>)> {
        const { assert!(BODIES_PER_REQUEST <= MAX_BLOCKS) };
        let height = |id: &Hash| self.ledger.tree().get(id).map_or(u64::MAX, |header| header.header().height);
        let body_requests = |key: PeerKey| {
            let open = self.requests.open.values();
            open.filter(|(peer, asked)| *peer == key && matches!(asked, Asked::Bodies(_))).count()
        };
        let mut candidates: Vec<_> =
            self.peers.iter().map(|(key, peer)| (body_requests(key), key, peer)).collect();
        candidates.sort_by_key(|(busy, key, _)| (*busy, *key));
        for (busy, key, peer) in candidates {
            let has = |id: &&Hash| peer.height >= height(id) && !peer.is_lacking(id);
            let ids: Vec<Hash> = wanted.iter().filter(has).take(BODIES_PER_REQUEST).copied().collect();
            if busy < BODY_REQUESTS_PER_PEER && !ids.is_empty() {
                return Some((key, ids));
            }
        }
        None
    }
}
