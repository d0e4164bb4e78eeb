//! Moving a chain: writing it into a chain file, and taking one from there.
//!
//! An import trusts nothing but the proof in each block: header rules, signatures, the state after it, by the one way
//! that all blocks go (`Ledger::insert_header`, `add_body`, `advance`). What it has taken is journalled; whatever ends
//! it, the chain stands whole at the last valid block. A branch that leaves the chain is taken where it has more work,
//! and never below the final block. Nothing becomes final by an import: that is for a node among others to say.

use std::io::{Read, Write};
use std::sync::Arc;

use printsy_consensus::{BlockCheckError, BlockError, CheckedBlock, Hash, HeaderError, VERSION, Work};

use crate::chain_file::{ChainFileEnd, ChainFileError, ChainReader, ChainWriter};
use crate::error::LedgerError;
use crate::ledger::{InsertError, Ledger};
use crate::progress::{Progress, Watch};
use crate::reader::Reader;

/// How many blocks, or bytes of blocks, wait for one advance: what one fdatasync is worth.
const BATCH_BLOCKS: usize = 64;
const BATCH_BYTES: usize = 16 << 20;

/// Why a chain is not exported, or not imported to its end.
#[derive(Debug, thiserror::Error)]
pub enum MoveChainError {
    /// The file.
    #[error(transparent)]
    File(#[from] ChainFileError),
    /// This node's trouble.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// There is no such block.
    #[error("the chain ends at height {tip}, and height {asked} was asked for")]
    TooHigh {
        /// What was asked for.
        asked: u64,
        /// The tip's height.
        tip: u64,
    },
    /// A block breaks a rule.
    #[error("block {id} at height {height} is invalid: {error}")]
    Invalid {
        /// The block.
        id: Hash,
        /// Its height.
        height: u64,
        /// The rule and what is wrong.
        error: String,
    },
    /// H1: a block follows rules that this program does not know.
    #[error("the block at height {height} has version {got}, this program knows {VERSION}")]
    NewerBlock {
        /// Its height.
        height: u64,
        /// Its version.
        got: u32,
    },
    /// H7.
    #[error(
        "the block at height {height} is from the future: its time is {got} ms since 1970, the latest that this \
         machine's clock allows now is {latest}"
    )]
    FromFuture {
        /// Its height.
        height: u64,
        /// Its time, ms.
        got: u64,
        /// The latest allowed, ms.
        latest: u64,
    },
    /// The file's chain does not hold the final block.
    #[error(
        "the chain in the file leaves this one after height {fork}, below the final block at {final_height}"
    )]
    BelowFinal {
        /// The height of the last block that both have.
        fork: u64,
        /// The final height.
        final_height: u64,
    },
    /// A branch that is too long to be held until it has more work.
    #[error(
        "the chain in the file leaves this one after height {fork}, and by height {height} it is more than memory \
         takes before it has more work"
    )]
    TooDeep {
        /// The height of the last block that both have.
        fork: u64,
        /// How far the branch was held.
        height: u64,
    },
}

impl Reader {
    /// Writes the chain up to a height (by default the tip) into a chain file, under the text of its genesis.json.
    ///
    /// # Errors
    /// Where the disk is damaged, the output fails, or the chain is not as high.
    pub fn export(
        &self,
        genesis_text: &str,
        up_to: Option<u64>,
        out: impl Write,
        watch: &mut Watch<'_>,
    ) -> Result<ChainFileEnd, MoveChainError> {
        let tip = self.snapshot().tip.height();
        let last = up_to.unwrap_or(tip);
        if last > tip {
            return Err(MoveChainError::TooHigh { asked: last, tip });
        }
        let missing = |height| LedgerError::MissingBlock { id: Hash::ZERO, height };
        let total = self.header_at(last)?.ok_or_else(|| missing(last))?.position;
        let mut writer = ChainWriter::begin(out, genesis_text)?;
        let mut transactions = 0;
        for height in 1..=last {
            let stored = self.block_at(height)?.ok_or_else(|| missing(height))?;
            let id = stored.record.signed.header.id();
            if stored.block.header != stored.record.signed
                || stored.block.header.header.parent != writer.tip()
            {
                return Err(LedgerError::journal(id, height, "it does not follow the block before").into());
            }
            writer.block(&stored.bytes)?;
            transactions += u64::try_from(stored.block.transactions.len()).unwrap_or(u64::MAX);
            watch(Progress { done: stored.record.position, total, height, transactions });
        }
        Ok(writer.finish()?)
    }
}

/// What came of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Blocks that joined the chain.
    pub blocks: u64,
    /// Transactions in them.
    pub transactions: u64,
    /// Blocks that left the chain for them.
    pub disconnected: u64,
    /// Blocks of the file that were on the chain before.
    pub known: u64,
    /// The file's chain, where this one has no less work and stayed.
    pub lighter: Option<Lighter>,
}

/// A chain that was not taken: it leaves this one, and has no more work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lighter {
    /// The height of the last block that both have.
    pub fork: u64,
    /// Its own height.
    pub height: u64,
    /// Its work.
    pub work: Work,
}

impl Ledger {
    /// Takes the chain of a file of this network. `clock` is this node's, ms; `watch` is told the bytes read, of a
    /// total that is not known here.
    ///
    /// # Errors
    /// [`MoveChainError`]; the chain then stands at the last valid block that it took.
    ///
    /// # Panics
    /// If the file is of another network: its genesis says which ledger to open.
    pub fn import<R: Read>(
        &mut self,
        file: &mut ChainReader<R>,
        clock: &dyn Fn() -> u64,
        watch: &mut Watch<'_>,
    ) -> Result<Imported, MoveChainError> {
        assert_eq!(file.genesis().hash(), self.genesis.hash(), "a file of another network");
        let mut import = Import::new(self, clock);
        loop {
            let taken = match file.next_block() {
                Ok(Some(block)) => import.take(block, file.height(), file.tip()),
                Ok(None) => return import.finish(&file.tip()),
                Err(error) => Err(error.into()),
            };
            if let Err(error) = taken {
                // What came before is worth as much as without the error; a block of it may be the first fault.
                import.advance()?;
                return Err(error);
            }
            let (done, height, transactions) = (file.offset(), file.height(), import.imported.transactions);
            watch(Progress { done, total: 0, height, transactions });
        }
    }
}

/// An import on its way.
struct Import<'a> {
    ledger: &'a mut Ledger,
    clock: &'a dyn Fn() -> u64,
    branch: Option<Branch>,
    waiting_blocks: usize,
    waiting_bytes: usize,
    imported: Imported,
}

/// Where the file's chain parts from this one.
#[derive(Clone, Copy)]
struct Branch {
    /// The height of the last block that both have.
    fork: u64,
    /// The first block of the file's own.
    first: Hash,
}

impl<'a> Import<'a> {
    fn new(ledger: &'a mut Ledger, clock: &'a dyn Fn() -> u64) -> Self {
        let imported = Imported::default();
        Self { ledger, clock, branch: None, waiting_blocks: 0, waiting_bytes: 0, imported }
    }

    /// Takes the block of this height and id, whose header follows the block taken before.
    fn take(&mut self, bytes: Vec<u8>, height: u64, id: Hash) -> Result<(), MoveChainError> {
        let branch = match self.branch {
            Some(branch) => branch,
            None if self.is_on_chain(height, &id)? => {
                self.imported.known += 1;
                return Ok(());
            }
            None => self.part(height - 1, id)?,
        };
        let length = bytes.len();
        let (params, genesis) = (self.ledger.params(), self.ledger.genesis.hash());
        let block = CheckedBlock::check(params, &genesis, bytes, &|_| None);
        let block = Arc::new(block.map_err(|error| refused(height, id, &error))?);
        self.place(&block, branch)?;
        self.ledger.add_body(block);
        // Where bodies are dropped for want of room, it is the last or the one with the least work.
        if [branch.first, id].iter().any(|id| !self.ledger.tree().has_body(id)) {
            return Err(MoveChainError::TooDeep { fork: branch.fork, height });
        }
        self.waiting_blocks += 1;
        self.waiting_bytes += length;
        if self.waiting_blocks >= BATCH_BLOCKS || self.waiting_bytes >= BATCH_BYTES {
            self.advance()?;
        }
        Ok(())
    }

    fn is_on_chain(&self, height: u64, id: &Hash) -> Result<bool, LedgerError> {
        if height > self.ledger.tip().height() {
            return Ok(false);
        }
        let record = self.ledger.headers.get(height)?;
        Ok(record.is_some_and(|record| record.signed.header.id() == *id))
    }

    /// Here the file's chain goes another way, or on from the tip.
    fn part(&mut self, fork: u64, first: Hash) -> Result<Branch, MoveChainError> {
        let final_height = self.ledger.final_height();
        if fork < final_height {
            return Err(MoveChainError::BelowFinal { fork, final_height });
        }
        Ok(*self.branch.insert(Branch { fork, first }))
    }

    /// Places the header; where the tree is full, once the blocks before have made room.
    fn place(&mut self, block: &CheckedBlock, branch: Branch) -> Result<(), MoveChainError> {
        let (id, height) = (block.id(), block.height());
        let mut inserted = self.ledger.insert_header(*block.header(), (self.clock)());
        if inserted == Err(InsertError::Full) {
            self.advance()?;
            inserted = self.ledger.insert_header(*block.header(), (self.clock)());
        }
        match inserted {
            Ok(_) if self.ledger.tree().is_invalid(&id) => {
                Err(MoveChainError::Invalid { id, height, error: "it was found invalid before".to_owned() })
            }
            Ok(_) => Ok(()),
            Err(InsertError::Full) => Err(MoveChainError::TooDeep { fork: branch.fork, height }),
            Err(InsertError::LeavesFinal { height: final_height, .. }) => {
                Err(MoveChainError::BelowFinal { fork: branch.fork, final_height })
            }
            Err(InsertError::Header(error)) => Err(header_refused(height, id, &error)),
        }
    }

    /// Moves the tip as far as the blocks taken allow.
    fn advance(&mut self) -> Result<(), MoveChainError> {
        (self.waiting_blocks, self.waiting_bytes) = (0, 0);
        let advance = self.ledger.advance(false, (self.clock)())?;
        for change in &advance.changes {
            let count = |items: usize| u64::try_from(items).unwrap_or(u64::MAX);
            self.imported.disconnected += count(change.disconnected.len());
            self.imported.blocks += count(change.connected.len());
            let transactions = change.connected.iter().map(|block| count(block.transactions().len()));
            self.imported.transactions += transactions.sum::<u64>();
        }
        match advance.refused.first() {
            Some((id, error)) => Err(self.invalid(*id, error)),
            None => Ok(()),
        }
    }

    fn invalid(&self, id: Hash, error: &BlockError) -> MoveChainError {
        let height = self.ledger.tree().get(&id).map_or(0, |header| header.header().height);
        MoveChainError::Invalid { id, height, error: error.to_string() }
    }

    fn finish(mut self, tip: &Hash) -> Result<Imported, MoveChainError> {
        self.advance()?;
        let ledger = self.ledger;
        let header = ledger.tree().get(tip).map(|header| *header.header());
        let on_chain = ledger.tree().ancestor(&ledger.tip().id(), header.map_or(0, |header| header.height));
        if let Some((header, branch)) = header.zip(self.branch).filter(|_| on_chain != Some(*tip)) {
            let work = ledger.tree().work(tip).unwrap_or_default();
            self.imported.lighter = Some(Lighter { fork: branch.fork, height: header.height, work });
        }
        Ok(self.imported)
    }
}

fn refused(height: u64, id: Hash, error: &BlockCheckError) -> MoveChainError {
    match error {
        BlockCheckError::Header(error) => header_refused(height, id, error),
        error => MoveChainError::Invalid { id, height, error: error.to_string() },
    }
}

fn header_refused(height: u64, id: Hash, error: &HeaderError) -> MoveChainError {
    match *error {
        HeaderError::Version { got } if got > VERSION => MoveChainError::NewerBlock { height, got },
        HeaderError::FromFuture { latest, got } => MoveChainError::FromFuture { height, got, latest },
        _ => MoveChainError::Invalid { id, height, error: error.to_string() },
    }
}
