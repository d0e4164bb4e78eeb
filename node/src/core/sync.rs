//! Sync: headers first, total work compared across peers, then bodies from several peers at once.
//!
//! Meeting a peer, both say where their chains stand and what they have pending. Whoever claims more work than
//! this node has headers for is asked for headers, from a locator on; a claim is believed only as far as headers
//! show it. Bodies are then asked of any peer that should have them, lowest first, a window at a time. Every
//! request ends in exactly one answer, so what a peer fails to give is asked of another.

use std::collections::BTreeMap;

use printsy_consensus::codec::List;
use printsy_consensus::{CheckedHeader, Fault, Hash, HeaderError, Inserted, Work};
use printsy_ledger::{InsertError, LedgerError};
use printsy_p2p::limits::{MAX_HEADERS, MAX_LOCATOR, MAX_TRANSACTIONS};
use printsy_p2p::{Direction, Misbehaviour, PeerKey, Request, RequestKey, Status};

use super::Core;
use super::event::{Effect, PeerAnswer};
use super::fetch::InFlight;

/// How long bodies of better headers may fail to come before the node goes on without them, ms.
const STALLED_AFTER_MS: u64 = 20_000;
/// How many headers by miners that the tip does not know are kept at the most: more than two full answers.
const MAX_STRANGERS: usize = 4_096;
/// How long a peer that claims more work is not asked for headers again, ms.
const HEADERS_AGAIN_AFTER_MS: u64 = 5_000;
/// A header chain this many blocks ahead of the bodies makes a node syncing. Fewer are the common case of a
/// block on its way, and of a miner that shows a header and withholds its body.
pub const SYNCING_AHEAD: u64 = 8;
/// From this many on the node is syncing also where nobody gives their bodies: so far behind it knows nothing of what is
/// sold, and nobody without most of the work gets so far ahead of the chain with blocks that he withholds.
pub const FAR_AHEAD: u64 = 32;

/// Where the node stands in following the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncState {
    /// No peer has proved much more header work, or only a little more whose bodies nobody gives.
    #[default]
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

/// Whether a sync gets on.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// When a body of the best branch last came, ms.
    pub(super) at: u64,
    pub(super) is_stalled: bool,
    was_syncing: bool,
}

/// What was asked of a peer.
#[derive(Debug)]
pub(super) enum Asked {
    Status,
    Headers,
    Bodies(Vec<Hash>),
    /// Headers of a branch that leaves our final block.
    Branch,
    Pending,
    Orders,
}

/// Requests on their way.
#[derive(Debug, Default)]
pub(super) struct Requests {
    next: u64,
    pub(super) open: BTreeMap<RequestKey, (PeerKey, Asked)>,
    pub(super) bodies: InFlight,
}

impl Core {
    /// Where this node stands in following the chain. A few headers whose bodies nobody gives do not make it syncing:
    /// else a miner that withholds some blocks would stop every node from taking orders.
    #[must_use]
    pub fn sync_state(&self) -> SyncState {
        let best = self.best_height();
        if let Some(lost) = self.ledger.repairing_to() {
            return SyncState::Syncing { best: best.max(lost) };
        }
        let ahead = self.headers_ahead();
        if ahead >= FAR_AHEAD || (ahead >= SYNCING_AHEAD && !self.progress.is_stalled) {
            SyncState::Syncing { best }
        } else {
            SyncState::Synced
        }
    }

    /// The height of the header of most work, whether its body is here or not.
    #[must_use]
    pub fn best_height(&self) -> u64 {
        let tree = self.ledger.tree();
        tree.get(&tree.best()).map_or(0, |header| header.header().height)
    }

    /// By how many blocks the best header is ahead of the bodies.
    fn headers_ahead(&self) -> u64 {
        self.best_height().saturating_sub(self.ledger.tip().height())
    }

    /// Looks whether bodies still come while headers are ahead; once they have all come, asks what peers have
    /// pending, which was of no use before.
    pub(super) fn watch_progress(&mut self) {
        let ahead = self.headers_ahead();
        // The first look begins the patience, whenever it comes.
        if ahead < SYNCING_AHEAD || self.progress.at == 0 {
            self.progress.at = self.now;
            self.progress.is_stalled = false;
        } else if !self.progress.is_stalled && self.now.saturating_sub(self.progress.at) > STALLED_AFTER_MS {
            self.progress.is_stalled = true;
            let goes_on = ahead < FAR_AHEAD;
            tracing::warn!(ahead, goes_on, "nobody gives the bodies of the best headers");
        }
        let is_syncing = self.sync_state().is_syncing();
        if std::mem::replace(&mut self.progress.was_syncing, is_syncing) && !is_syncing {
            let peers: Vec<PeerKey> = self.peers.iter().map(|(key, _)| key).collect();
            peers.into_iter().for_each(|peer| self.ask(peer, Asked::Pending, Request::Pending));
        }
    }

    /// A peer of this network is there: say where this chain stands, ask what it has pending.
    pub(super) fn meet(&mut self, peer: PeerKey, direction: Direction) {
        self.peers.add(peer, direction);
        self.effects.push(Effect::PeersChanged);
        let status = self.status();
        self.ask(peer, Asked::Status, Request::Status(status));
        self.ask(peer, Asked::Pending, Request::Pending);
    }

    pub(super) fn status(&self) -> Status {
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

    pub(super) fn ask(&mut self, peer: PeerKey, asked: Asked, request: Request) {
        let key = RequestKey(self.requests.next);
        self.requests.next += 1;
        if let Asked::Bodies(ids) = &asked {
            self.requests.bodies.asked(ids, peer, self.now);
        }
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.asked.insert(key);
        }
        self.requests.open.insert(key, (peer, asked));
        self.effects.push(Effect::Request(peer, key, request));
    }

    fn close(&mut self, request: RequestKey) -> Option<Asked> {
        let (peer, asked) = self.requests.open.remove(&request)?;
        if let Some(known) = self.peers.get_mut(peer) {
            known.asked.remove(&request);
        }
        if let Asked::Bodies(ids) = &asked {
            self.requests.bodies.ended(ids, peer);
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
    pub(super) fn retry_headers(&mut self) {
        let now = self.now;
        let best = self.ledger.tree().work(&self.ledger.tree().best()).unwrap_or_default();
        // What a chain in conflict has is followed by its alarm.
        let claims = |(_, peer): &(PeerKey, &super::peers::Peer)| {
            peer.work > best && peer.conflict.is_none() && now >= peer.ask_headers_at
        };
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
    ) -> Result<(), LedgerError> {
        let Some(asked) = self.close(request) else { return Ok(()) };
        match (asked, answer) {
            (Asked::Status, PeerAnswer::Status(status)) => self.hear_status(peer, &status),
            (Asked::Headers, PeerAnswer::Headers(headers, wrong)) => {
                self.take_headers(peer, &headers, wrong);
            }
            (Asked::Branch, PeerAnswer::Headers(headers, wrong)) => self.take_branch(peer, &headers, wrong),
            (Asked::Branch, _) => self.miss_branch(peer),
            (Asked::Bodies(ids), PeerAnswer::Bodies(bodies)) => self.take_bodies(peer, &ids, bodies)?,
            (Asked::Pending, PeerAnswer::Pending(txids)) => self.take_pending(peer, txids),
            (Asked::Bodies(ids), PeerAnswer::Failed(failure)) => self.miss_bodies(peer, &ids, failure),
            (Asked::Orders, PeerAnswer::Orders) => self.ask_orders(peer),
            _ => {}
        }
        self.schedule();
        Ok(())
    }

    fn take_headers(&mut self, peer: PeerKey, headers: &[CheckedHeader], wrong: Option<HeaderError>) {
        let mut any_new = false;
        for header in headers {
            self.peers.has_header(peer, header.id(), header.header().height);
            match self.insert_answered(header) {
                Ok(inserted) => any_new |= inserted == Inserted::New,
                Err(InsertError::Full | InsertError::LeavesFinal { .. }) => return,
                Err(InsertError::Header(error)) => return self.blame_header(peer, &error),
            }
        }
        match (wrong, headers.last()) {
            (Some(error), _) => self.blame_header(peer, &error),
            // A full answer with news: there may be more behind it.
            (None, Some(last)) if headers.len() == MAX_HEADERS && any_new => {
                let ids = vec![last.id(), self.ledger.tree().root()];
                let locator = ids.try_into().expect("two ids are a locator");
                self.ask(peer, Asked::Headers, Request::Headers { locator, stop: Hash::ZERO });
            }
            _ => {}
        }
    }

    /// Places a header that a peer gave as an answer. Those of miners this chain does not know are bounded: on a
    /// branch that registered new ones they are what leads there, otherwise anybody with a key could make them.
    fn insert_answered(&mut self, header: &CheckedHeader) -> Result<Inserted, InsertError> {
        let is_stranger = !self.ledger.may_mine(&header.header().miner);
        if is_stranger
            && self.strangers.len() >= MAX_STRANGERS
            && self.ledger.tree().get(&header.id()).is_none()
        {
            return Err(InsertError::Full);
        }
        let inserted = self.ledger.insert_header(*header, self.now)?;
        if is_stranger && inserted == Inserted::New {
            self.strangers.insert(header.id());
        }
        Ok(inserted)
    }

    /// Forgets strangers that are known now, or gone: the tip moved.
    pub(super) fn judge_strangers(&mut self) {
        let ledger = &self.ledger;
        self.strangers.retain(|id| {
            ledger.tree().get(id).is_some_and(|header| !ledger.may_mine(&header.header().miner))
        });
    }

    pub(super) fn blame_header(&mut self, peer: PeerKey, error: &HeaderError) {
        match error.fault() {
            Fault::Sender | Fault::Block => {
                tracing::warn!(peer = peer.0, %error, "a peer sent a header that breaks a rule");
                self.effects.push(Effect::Report(peer, Misbehaviour::InvalidBlock));
            }
            Fault::Nobody => match error {
                HeaderError::UnknownParent { .. } => self.suspect(peer),
                HeaderError::Version { .. } => self.note_newer(peer, error),
                _ => {}
            },
        }
    }

    /// Asks for orders a peer has pending and this node does not, a request at a time.
    fn take_pending(&mut self, key: PeerKey, txids: Vec<Hash>) {
        if self.accepts_orders().is_err() {
            return;
        }
        let unknown = txids.into_iter().filter(|txid| self.ledger.mempool().get(txid).is_none());
        let unknown: Vec<Hash> = unknown.collect();
        if let Some(peer) = self.peers.get_mut(key) {
            peer.pending = unknown;
        }
        self.ask_orders(key);
    }

    fn ask_orders(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let rest = peer.pending.split_off(peer.pending.len().min(MAX_TRANSACTIONS));
        let ids = std::mem::replace(&mut peer.pending, rest);
        if !ids.is_empty() {
            let ids = ids.try_into().expect("no more are taken than a request may name");
            self.ask(key, Asked::Orders, Request::Transactions { ids });
        }
    }
}
