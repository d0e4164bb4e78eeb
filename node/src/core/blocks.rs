//! The way of a block: header into the tree, body kept, tip advanced, told to whom it concerns.
//!
//! One path for mined, submitted, gossiped and synced blocks. An announcement gets its verdict only when its
//! block has been verified to the end: nothing is forwarded before.

use std::collections::BTreeMap;
use std::sync::Arc;

use printsy_consensus::{CheckedBlock, CheckedHeader, Fault, Hash, HeaderError, Inserted, Rule};
use printsy_ledger::{Advance, InsertError, LedgerError};
use printsy_p2p::{Misbehaviour, PeerKey, Verdict};

use super::Core;
use super::event::{BlockAnswer, BlockSource, BlockVerdict, Effect, Gossiped};

/// How many blocks and headers from the future wait for their time at the most: more are dropped, and come again
/// with the blocks after them.
const MAX_HELD: usize = 64;
/// How long the verdict on an announcement may take, ms: as long as gossip waits for it.
const VERDICT_WITHIN_MS: u64 = 8_000;

/// An announcement whose block is on its way: its verdict waits for that.
#[derive(Debug)]
pub(super) struct Announced {
    from: Gossiped,
    at: u64,
}

/// A block, or the header of one, whose time is not yet here.
#[derive(Debug)]
enum Early {
    Block(Arc<CheckedBlock>),
    Header(Box<CheckedHeader>),
}

/// What is early, by the time at which it may be looked at again.
#[derive(Debug, Default)]
pub(super) struct Held {
    by_time: BTreeMap<(u64, Hash), Early>,
}

impl Held {
    /// Keeps what is early; where there is no room, what is furthest ahead goes.
    fn keep(&mut self, due: u64, id: Hash, early: Early) {
        self.by_time.insert((due, id), early);
        if self.by_time.len() > MAX_HELD {
            self.by_time.pop_last();
        }
    }

    fn take_due(&mut self, now: u64) -> Vec<Early> {
        let mut due = Vec::new();
        while let Some(entry) = self.by_time.first_entry().filter(|entry| entry.key().0 <= now) {
            due.push(entry.remove());
        }
        due
    }
}

impl Core {
    /// A block, checked: from a caller or a peer.
    pub(super) fn take_block(
        &mut self,
        source: BlockSource,
        block: Arc<CheckedBlock>,
    ) -> Result<(), LedgerError> {
        self.watch_block(source, &block);
        let answer = self.place_block(&block)?;
        match source {
            BlockSource::Local(ticket) | BlockSource::Made(ticket) => {
                self.effects.push(Effect::BlockAnswer(ticket, answer))
            }
            BlockSource::Peer(peer) => {
                let blamed = answer.rule.is_some() && answer.verdict == BlockVerdict::Refused;
                if blamed {
                    self.effects.push(Effect::Report(peer, Misbehaviour::InvalidBlock));
                }
            }
        }
        Ok(())
    }

    /// Places a block and advances; says what became of it.
    fn place_block(&mut self, block: &Arc<CheckedBlock>) -> Result<BlockAnswer, LedgerError> {
        let id = block.id();
        match self.ledger.insert_header(*block.header(), self.now) {
            Ok(_) if self.ledger.tree().is_invalid(&id) => {
                let reason = "it is known to be invalid".to_owned();
                return Ok(self.answer(id, BlockVerdict::Refused, None, Some(reason)));
            }
            Ok(_) if self.ledger.tree().has_body(&id) => {
                return Ok(self.answer(id, BlockVerdict::Duplicate, None, None));
            }
            Ok(_) => {}
            Err(error) => return Ok(self.answer_unplaced(block, &error)),
        }
        self.note_progress(&id);
        self.ledger.add_body(block.clone());
        let advance = self.advance()?;
        if let Some((_, error)) = advance.refused.iter().find(|(refused, _)| *refused == id) {
            return Ok(self.answer(id, BlockVerdict::Refused, error.rule(), Some(error.to_string())));
        }
        let connected = advance.changes.iter().any(|change| change.connected.iter().any(|b| b.id() == id));
        let on_chain = self.ledger.tree().ancestor(&self.ledger.tip().id(), block.height()) == Some(id);
        let verdict = if connected && on_chain { BlockVerdict::Accepted } else { BlockVerdict::Stale };
        Ok(self.answer(id, verdict, None, None))
    }

    fn answer_unplaced(&mut self, block: &Arc<CheckedBlock>, error: &InsertError) -> BlockAnswer {
        let (verdict, rule) = match error {
            InsertError::Header(HeaderError::FromFuture { .. }) => {
                let due = self.due(block.header());
                self.held.keep(due, block.id(), Early::Block(block.clone()));
                (BlockVerdict::Held, Some(Rule::H7))
            }
            InsertError::Header(HeaderError::UnknownParent { .. }) => {
                (BlockVerdict::UnknownParent, Some(Rule::H2))
            }
            InsertError::Header(error) => (BlockVerdict::Refused, Some(error.rule())),
            InsertError::Full | InsertError::LeavesFinal { .. } => (BlockVerdict::UnknownParent, None),
        };
        self.answer(block.id(), verdict, rule, Some(error.to_string()))
    }

    /// When a header from the future may be looked at again, ms.
    fn due(&self, header: &CheckedHeader) -> u64 {
        header.header().time.saturating_sub(self.ledger.params().max_future_ms)
    }

    fn answer(
        &self,
        id: Hash,
        verdict: BlockVerdict,
        rule: Option<Rule>,
        reason: Option<String>,
    ) -> BlockAnswer {
        BlockAnswer { verdict, rule, reason, id, tip: self.ledger.tip() }
    }

    /// Moves the tip as far as the bodies at hand lead, and tells of it.
    pub(super) fn advance(&mut self) -> Result<Advance, LedgerError> {
        let synced = !self.sync_state().is_syncing();
        let advance = self.ledger.advance(synced, self.now)?;
        for change in &advance.changes {
            self.metrics.tip_moved(change.connected.len(), change.disconnected.len());
            let tip = change.connected.last().map(|block| block.id());
            for block in &change.connected {
                self.settle(&block.id(), Verdict::Accept);
                let header = block.header().header();
                let (height, orders) = (header.height, block.transactions().len());
                tracing::info!(height, hash = %block.id(), orders, miner = %header.miner, "block connected");
            }
            if !change.disconnected.is_empty() {
                let depth = change.disconnected.len();
                tracing::warn!(depth, tip = ?tip, "reorganised");
            }
        }
        for (id, error) in &advance.refused {
            self.metrics.block_refused();
            tracing::warn!(block = %id, %error, "block refused");
            self.settle(id, Verdict::Reject);
        }
        if let Some(block) = advance.changes.last().and_then(|change| change.connected.last()) {
            if synced {
                self.effects.push(Effect::Announce(*block.header().signed()));
            }
            self.effects.push(Effect::TipMoved);
            self.judge_strangers();
        }
        Ok(advance)
    }

    /// Gives the announcement of a block its verdict. A rejection charges whoever sent it on: it is not reported
    /// again.
    fn settle(&mut self, id: &Hash, verdict: Verdict) {
        if let Some(announced) = self.announced.remove(id) {
            self.effects.push(Effect::Verdict(announced.from.message, verdict));
        }
    }

    /// A block was found to be invalid by what is in it alone: its id is, for good.
    pub(super) fn condemn(&mut self, id: &Hash) {
        self.ledger.condemn(id);
        self.settle(id, Verdict::Reject);
    }

    /// A gossiped header: place it, fetch its block; the verdict waits for that.
    pub(super) fn take_announcement(
        &mut self,
        header: Result<CheckedHeader, HeaderError>,
        from: Gossiped,
    ) -> Result<(), LedgerError> {
        let header = match header {
            Ok(header) => header,
            Err(error) => {
                self.judge_announcement(from, &error);
                return Ok(());
            }
        };
        let id = header.id();
        self.peers.has_header(from.peer, id, header.header().height);
        if !self.ledger.may_mine(&header.header().miner) {
            // Not a key that this chain knows: nothing of it is kept. If it is of a better chain that knows
            // it, the headers that lead there say so.
            self.effects.push(Effect::Verdict(from.message, Verdict::Ignore));
            self.ask_headers(from.peer);
            return Ok(());
        }
        match self.ledger.insert_header(header, self.now) {
            // Also a second signature under an id that is on its way.
            Ok(Inserted::Known) if !self.ledger.needs_body(&id) || self.announced.contains_key(&id) => {
                self.effects.push(Effect::Verdict(from.message, Verdict::Ignore));
            }
            Ok(_) => {
                self.announced.insert(id, Announced { from, at: self.now });
                self.schedule();
            }
            Err(InsertError::Header(error)) => {
                self.judge_announcement(from, &error);
                match error {
                    HeaderError::UnknownParent { .. } => self.ask_headers(from.peer),
                    HeaderError::FromFuture { .. } => {
                        self.held.keep(self.due(&header), id, Early::Header(Box::new(header)))
                    }
                    _ => {}
                }
            }
            Err(InsertError::Full | InsertError::LeavesFinal { .. }) => {
                self.effects.push(Effect::Verdict(from.message, Verdict::Ignore));
            }
        }
        Ok(())
    }

    fn judge_announcement(&mut self, from: Gossiped, error: &HeaderError) {
        if matches!(error, HeaderError::Version { .. }) && error.fault() == Fault::Nobody {
            self.note_newer(from.peer, error);
        }
        let verdict = match error.fault() {
            Fault::Nobody => Verdict::Ignore,
            Fault::Sender | Fault::Block => Verdict::Reject,
        };
        self.effects.push(Effect::Verdict(from.message, verdict));
    }

    /// Forgets announcements of a peer that is gone: their verdicts do not matter any more.
    pub(super) fn forget_announcements(&mut self, peer: PeerKey) {
        self.announced.retain(|_, announced| announced.from.peer != peer);
    }

    /// Forgets announcements whose verdict comes too late: gossip has given them up.
    pub(super) fn forget_late_announcements(&mut self) {
        let now = self.now;
        self.announced.retain(|_, announced| now < announced.at.saturating_add(VERDICT_WITHIN_MS));
    }

    /// Looks again at what was early and is due.
    pub(super) fn release_held(&mut self) -> Result<(), LedgerError> {
        for early in self.held.take_due(self.now) {
            match early {
                Early::Block(block) => {
                    self.place_block(&block)?;
                }
                // It broke no rule that does not hold now as well; if it does, it is not wanted.
                Early::Header(header) => drop(self.ledger.insert_header(*header, self.now)),
            }
        }
        Ok(())
    }
}
