//! Making the lost end of a repaired journal anew: from the blocks set aside, and from peers where those have gaps.
//!
//! Each block goes the way of any block (header into the tree, body checked and kept, `advance`), so nothing found on
//! a damaged disk is believed more than a stranger's word. Until the chain is back where it was, the node is syncing:
//! it takes no orders and makes no blocks. Then what was set aside is removed.

use std::sync::Arc;

use printsy_consensus::{CheckedBlock, CheckedHeader, Hash, SignedHeader, Work};

use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::store::{Lost, Salvage, StoreError};

/// How many blocks are taken at once: the core looks at other things in between.
const MAX_BLOCKS: usize = 256;
/// How many bytes of blocks are taken at once.
const MAX_BYTES: usize = 64 << 20;

/// The end of a chain that is made anew.
#[derive(Debug)]
pub(crate) struct Salvaging {
    found: Salvage,
    /// Headers not in the tree yet, the lowest last.
    headers: Vec<(u64, Hash, SignedHeader)>,
    /// The most work of those that are.
    work: Work,
    /// The height of the chain's lost end, as far as anything sound tells of it.
    height: u64,
}

impl Salvaging {
    /// Removes what was set aside, and what remembers what was final: it is in the journal again, or given up.
    pub(crate) fn forget(self) -> Result<(), StoreError> {
        self.found.forget()
    }
}

impl Ledger {
    /// Goes on making the lost end anew, where a repair is not at its end, and comes as far as it can without peers.
    pub(crate) fn begin_salvage(&mut self) -> Result<(), LedgerError> {
        let Some(lost) = Lost::read(self.disk.as_ref())? else { return Ok(()) };
        let found = Salvage::open(&self.disk, &self.genesis.hash())?;
        self.lost_final = Some(lost);
        let headers = found.headers_above(self.tree_height())?;
        let mut headers: Vec<_> =
            headers.into_iter().map(|signed| (signed.header.height, signed.header.id(), signed)).collect();
        headers.sort_by_key(|(height, id, _)| std::cmp::Reverse((*height, *id)));
        headers.dedup_by_key(|(_, id, _)| *id);
        let height = lost.height.max(found.last_height()?).max(found.listed_height(&lost)?);
        tracing::warn!(from = self.tip.height(), to = height, "making the lost end of the chain anew");
        self.salvaging = Some(Salvaging { found, headers, work: Work::default(), height });
        while self.feed_salvage()? {
            self.advance(false, self.tip.header.header().time)?;
        }
        Ok(())
    }

    /// The height of the block that the header tree begins at.
    fn tree_height(&self) -> u64 {
        self.tree.get(&self.tree.root()).map_or(0, |header| header.header().height)
    }

    /// The height up to which the chain is being made anew after a repair; `None` where all is well.
    #[must_use]
    pub fn repairing_to(&self) -> Option<u64> {
        self.salvaging.as_ref().map(|salvaging| salvaging.height)
    }

    /// Whether a block is among those set aside: nobody need be asked for it.
    #[must_use]
    pub fn has_salvaged(&self, id: &Hash) -> bool {
        self.salvaging.as_ref().is_some_and(|salvaging| salvaging.found.has(id))
    }

    /// Takes the next blocks out of what was set aside; whether there were any. [`Ledger::advance`] is next.
    ///
    /// # Errors
    /// The disk's.
    pub fn feed_salvage(&mut self) -> Result<bool, LedgerError> {
        let Some(mut salvaging) = self.salvaging.take() else { return Ok(false) };
        self.place_headers(&mut salvaging);
        if self.is_whole_again(&salvaging) {
            return self.end_salvage(salvaging).map(|()| false);
        }
        let path = self.tree.path(&self.tip.id(), &self.tree.best()).connect;
        let (mut bytes, mut is_any) = (0, false);
        // Only those not at hand are counted: the first of a long branch lead nowhere without those that follow.
        let wanted: Vec<Hash> =
            path.into_iter().filter(|id| !self.tree.has_body(id)).take(MAX_BLOCKS).collect();
        for id in wanted {
            let Some(block) = self.salvaged_block(&mut salvaging.found, &id)? else { break };
            bytes += block.bytes().len();
            self.add_body(Arc::new(block));
            is_any |= self.tree.has_body(&id);
            if bytes > MAX_BYTES {
                break;
            }
        }
        self.salvaging = Some(salvaging);
        Ok(is_any)
    }

    /// The chain is back: so is what was final, journalled, before what remembers it is forgotten.
    fn end_salvage(&mut self, salvaging: Salvaging) -> Result<(), LedgerError> {
        let lost = self.lost_final.map_or(0, |lost| lost.final_height);
        self.salvaging = Some(salvaging);
        self.restore_final()?;
        if self.final_height < lost {
            return Ok(());
        }
        if let Some(salvaging) = self.salvaging.take() {
            tracing::info!(height = self.tip.height(), "the chain is whole again");
            self.lost_final = None;
            salvaging.forget()?;
        }
        Ok(())
    }

    /// Whether the chain is back where it was, or beyond.
    fn is_whole_again(&self, salvaging: &Salvaging) -> bool {
        salvaging.work <= self.tip.work && salvaging.height <= self.tip.height()
    }

    /// The first of the candidates that is the block. Where none is, peers will be asked.
    fn salvaged_block(&self, found: &mut Salvage, id: &Hash) -> Result<Option<CheckedBlock>, StoreError> {
        let check = |bytes| CheckedBlock::check(self.params(), &self.genesis.hash(), bytes, &|_| None).ok();
        let block = found.candidates(id)?.into_iter().find_map(check);
        if block.is_none() {
            found.drop_block(id);
        }
        Ok(block)
    }

    /// Puts headers into the tree, the lowest first; those whose parent is not known wait for it.
    fn place_headers(&mut self, salvaging: &mut Salvaging) {
        let mut waiting = Vec::new();
        while let Some((height, id, signed)) = salvaging.headers.pop() {
            let is_full = self.tree.len() >= self.max_headers;
            if is_full || (self.tree.get(&signed.header.parent).is_none() && height > self.tip.height()) {
                waiting.push((height, id, signed));
                continue;
            }
            let Ok(header) = CheckedHeader::check(signed) else { continue };
            // Judged when it was first connected: the clock has no more to say.
            if self.insert_header(header, u64::MAX).is_ok() {
                salvaging.work = salvaging.work.max(self.tree.work(&id).unwrap_or_default());
            }
        }
        waiting.reverse();
        salvaging.headers = waiting;
    }
}
