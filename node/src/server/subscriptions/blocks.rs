//! `subscribeBlocks`: the chain as it grows and turns, from any block that this node ever had on it.
//!
//! The feed keeps one block: the last of the chain that its reader has. What comes next follows from it alone: if it is
//! off the chain it is disconnected, and its parent is the reader's last; if it is on the chain, the block after it is
//! connected. So backlog and news are one thing, and there is neither gap nor repetition between them, whatever the
//! chain does meanwhile; moves that undo each other between two looks are not told.
//!
//! Blocks are read at one moment, a few at a time, off the async threads.

use std::collections::VecDeque;
use std::sync::Arc;

use printsy_consensus::Hash;
use printsy_ledger::{LedgerError, Moment, Reader, StoredBlock};
use printsy_rpc::RpcError;
use printsy_rpc::block::{BlockInfo, Verbosity};
use printsy_rpc::subscription::{
    BlockChange, BlockEvent, KnownBlock, SubscribeBlocks, SubscribeBlocksParams,
};
use tokio::sync::watch;

use super::{Feed, Serve};
use crate::server::block::stored_info;
use crate::server::context::Context;
use crate::server::errors;

/// How many blocks are read at once at the most.
const MAX_READ: usize = 16;
/// No further block is read at once where those read have this many bytes.
const ENOUGH_BYTES: usize = 1 << 20;

impl Serve for SubscribeBlocks {
    type Feed = Blocks;

    async fn open(context: Arc<Context>, params: SubscribeBlocksParams) -> Result<Blocks, RpcError> {
        let tips = context.tips();
        let last = match params.after {
            Some(after) => known(&context, after).await?,
            None => context.node.reader().snapshot().tip.id(),
        };
        Ok(Blocks { context, tips, last, seq: 0, read: VecDeque::new() })
    }
}

/// The block that the reader says it has, if this node ever had it on its chain.
async fn known(context: &Arc<Context>, after: KnownBlock) -> Result<Hash, RpcError> {
    let id: Hash = after.hash.into();
    let height = context.read(move |reader| reader.at_one_moment(|now| height_of(now, &id))).await?;
    match height {
        Some(height) if height == after.height.get() => Ok(id),
        Some(height) => Err(RpcError::invalid_params(format!(
            "params of subscribeBlocks: block {id} is at height {height}, not {}",
            after.height
        ))),
        None => {
            Err(errors::not_found("this node never had that block on its chain; begin after an earlier one"))
        }
    }
}

fn height_of(now: &Moment<'_>, id: &Hash) -> Result<Option<u64>, LedgerError> {
    if let Some(height) = now.height_on_chain(id)? {
        return Ok(Some(height));
    }
    Ok(now.block(id)?.map(|stored| stored.block.header.header.height))
}

/// The feed.
pub(super) struct Blocks {
    context: Arc<Context>,
    tips: watch::Receiver<Hash>,
    /// The last block of the chain that the reader will have when it was told all of `read`.
    last: Hash,
    seq: u64,
    read: VecDeque<(BlockChange, BlockInfo)>,
}

impl Feed for Blocks {
    type Item = BlockEvent;

    async fn next(&mut self) -> Result<BlockEvent, RpcError> {
        loop {
            if let Some((event, block)) = self.read.pop_front() {
                let seq = self.seq;
                self.seq += 1;
                return Ok(BlockEvent { seq, event, block });
            }
            // Seen before the read, so that no tip after it is missed.
            self.tips.mark_unchanged();
            let last = self.last;
            let (read, last) = self.context.read(move |reader| follow(reader, last)).await?;
            (self.read, self.last) = (read, last);
            if self.read.is_empty() {
                // The context keeps the sender.
                self.tips.changed().await.map_err(|_| errors::stopping())?;
            }
        }
    }
}

type Events = VecDeque<(BlockChange, BlockInfo)>;

/// What leads from a block towards the tip, at one moment, and the last block then.
fn follow(reader: &Reader, from: Hash) -> Result<(Events, Hash), LedgerError> {
    reader.at_one_moment(|now| {
        let (mut events, mut last, mut bytes) = (Events::new(), from, 0);
        while events.len() < MAX_READ && bytes < ENOUGH_BYTES {
            let Some((change, stored, next)) = step(now, last)? else { break };
            bytes += stored.bytes.len();
            events.push_back((change, stored_info(now.snapshot(), &stored, Verbosity::Ids)));
            last = next;
        }
        Ok((events, last))
    })
}

/// The next event for a reader whose last block this is, and its last block after it; `None` where that is the tip.
fn step(now: &Moment<'_>, last: Hash) -> Result<Option<(BlockChange, StoredBlock, Hash)>, LedgerError> {
    if let Some(height) = now.height_on_chain(&last)? {
        let next = now.block_at(height.saturating_add(1))?;
        return Ok(next.map(|stored| {
            let id = stored.block.header.header.id();
            (BlockChange::Connected, stored, id)
        }));
    }
    // It was on the chain once, so the journal has it.
    let missing = LedgerError::MissingBlock { id: last, height: 0 };
    let stored = now.block(&last)?.ok_or(missing)?;
    let parent = stored.block.header.header.parent;
    Ok(Some((BlockChange::Disconnected, stored, parent)))
}
