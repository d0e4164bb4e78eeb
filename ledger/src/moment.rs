//! The chain at one moment: blocks by height, by id and by position, as of one tip.
//!
//! What it answers holds for its own snapshot, whatever moves meanwhile, because [`Reader::at_one_moment`] reads again
//! where a reorganisation fell into the reading. It knows nothing of what waits, nor of holdings.

use std::sync::Arc;

use printsy_consensus::{Block, BlockUndo, Genesis, Hash, Position, Work, codec};

use crate::error::LedgerError;
use crate::history::Confirmed;
use crate::published::Snapshot;
use crate::reader::{Reader, StoredBlock};
use crate::recent::Decoded;
use crate::rows::{BlockRow, block_key, decode_row, transaction_key};
use crate::store::{HeaderRecord, StoreError};
use crate::telling::DisturbedBy;

/// How often a read is made anew into which a move fell. Each time a block with its proof of work was needed.
const MAX_READS: usize = 16;

/// The chain at one moment, for reading of its blocks.
#[derive(Debug)]
pub struct Moment<'a> {
    reader: &'a Reader,
    snapshot: Snapshot,
}

impl Reader {
    /// Reads of the chain's blocks as they are at one moment: `read` is called again where a reorganisation fell into
    /// it, and its answer is then of the new chain. It should be short of a second, and it never holds the core up.
    ///
    /// # Errors
    /// What `read` answers; [`LedgerError::Moving`] where the chain was reorganised each time;
    /// [`LedgerError::Untold`] once the node is about to stop.
    pub fn at_one_moment<T>(
        &self,
        mut read: impl FnMut(&Moment<'_>) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        self.undisturbed(DisturbedBy::Reorganisations, || {
            read(&Moment { reader: self, snapshot: self.snapshot() })
        })
    }

    /// The answer of a read into which no such move fell. What a disturbed one answered, an error too, counts for
    /// nothing.
    pub(crate) fn undisturbed<T>(
        &self,
        by: DisturbedBy,
        mut read: impl FnMut() -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        for _ in 0..MAX_READS {
            let before = self.telling.settled(by)?;
            let answer = read();
            if self.telling.is_as_told(by, before) {
                return answer;
            }
        }
        Err(LedgerError::Moving)
    }
}

impl<'a> Moment<'a> {
    pub(crate) fn new(reader: &'a Reader, snapshot: Snapshot) -> Self {
        Self { reader, snapshot }
    }

    /// The state, the tip and the final height of this moment.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The network's genesis.
    pub(crate) fn genesis(&self) -> &Genesis {
        self.reader.genesis()
    }

    /// The header at a height of the chain.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn header_at(&self, height: u64) -> Result<Option<HeaderRecord>, LedgerError> {
        if height > self.snapshot.tip.height() {
            return Ok(None);
        }
        Ok(self.reader.headers.get(height)?)
    }

    /// Headers of the chain from a height on, at most `count`.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn headers_from(&self, height: u64, count: usize) -> Result<Vec<HeaderRecord>, LedgerError> {
        let above = self.snapshot.tip.height().saturating_add(1).saturating_sub(height);
        let count = usize::try_from(above).unwrap_or(usize::MAX).min(count);
        Ok(self.reader.headers.range(height, count)?)
    }

    /// The height of a block of the chain, if this id is one.
    ///
    /// # Errors
    /// Where the index or the disk fails.
    pub fn height_on_chain(&self, id: &Hash) -> Result<Option<u64>, LedgerError> {
        if *id == self.reader.genesis().hash() {
            return Ok(Some(0));
        }
        let Some(row) = self.reader.block_row(id)? else { return Ok(None) };
        let record = self.header_at(row.height)?;
        Ok(record.filter(|record| record.signed.header.id() == *id).map(|_| row.height))
    }

    /// The block at a height of the chain; none at 0, which has no body.
    ///
    /// # Errors
    /// Where the disk fails or is damaged.
    pub fn block_at(&self, height: u64) -> Result<Option<StoredBlock>, LedgerError> {
        let Some(record) = self.header_at(height)?.filter(|_| height > 0) else { return Ok(None) };
        self.load(record.position, Some(record))
    }

    /// The block with this id that is, or once was, on the chain.
    ///
    /// # Errors
    /// Where the index or the disk fails or is damaged.
    pub fn block(&self, id: &Hash) -> Result<Option<StoredBlock>, LedgerError> {
        let Some(row) = self.reader.block_row(id)? else { return Ok(None) };
        let record = self.header_at(row.height)?.filter(|record| record.signed.header.id() == *id);
        Ok(self.load(row.position, record)?.filter(|stored| stored.record.signed.header.id() == *id))
    }

    fn load(&self, position: u64, record: Option<HeaderRecord>) -> Result<Option<StoredBlock>, LedgerError> {
        let (bytes, block, undo) = self.reader.decode(position)?;
        let on_chain = record.is_some();
        let work = Work::default();
        let record = record.unwrap_or(HeaderRecord { signed: block.header, work, position });
        Ok(Some(StoredBlock { record, bytes, block, undo, on_chain }))
    }

    /// The transaction at a position of the chain.
    ///
    /// # Errors
    /// Where there is none, or the disk fails or is damaged.
    pub fn confirmed_at(&self, position: Position) -> Result<Confirmed, LedgerError> {
        let missing = || LedgerError::MissingBlock { id: Hash::ZERO, height: position.height };
        let record = self.header_at(position.height)?.filter(|_| position.height > 0).ok_or_else(missing)?;
        let stored = self.reader.recent.get_or_load(record.position, || {
            let (bytes, block, undo) = self.reader.decode(record.position)?;
            Ok(Decoded { bytes: bytes.len(), block, undo })
        })?;
        stored.confirmed(position).ok_or_else(missing)
    }

    /// The block at a place of the journal without keeping it for others: what is old is rarely asked for twice.
    pub(crate) fn decoded(&self, position: u64) -> Result<Arc<Decoded>, LedgerError> {
        if let Some(kept) = self.reader.recent.get(position) {
            return Ok(kept);
        }
        let (bytes, block, undo) = self.reader.decode(position)?;
        Ok(Arc::new(Decoded { bytes: bytes.len(), block, undo }))
    }

    /// A transaction of the chain by its id, with its block's.
    pub(crate) fn confirmed(&self, txid: &Hash) -> Result<Option<(Confirmed, Hash)>, LedgerError> {
        let Some(row) = self.reader.index.get(&transaction_key(txid))? else { return Ok(None) };
        let position: Position = decode_row(&row)?;
        // In a block that is not told yet.
        let Some(record) = self.header_at(position.height)? else { return Ok(None) };
        let confirmed = match self.confirmed_at(position) {
            Err(LedgerError::MissingBlock { .. }) => None,
            other => Some(other?),
        };
        let same = confirmed.filter(|confirmed| confirmed.transaction.body.txid() == *txid);
        let wrong = || StoreError::Index(format!("its row of transaction {txid} leads to another"));
        Ok(Some((same.ok_or_else(wrong)?, record.signed.header.id())))
    }
}

impl Reader {
    pub(crate) fn block_row(&self, id: &Hash) -> Result<Option<BlockRow>, StoreError> {
        self.index.get(&block_key(id))?.map(|row| decode_row(&row)).transpose()
    }

    fn decode(&self, position: u64) -> Result<(Vec<u8>, Block, BlockUndo), LedgerError> {
        let stored = self.journal.block(position)?;
        let damaged = |error: codec::DecodeError| {
            LedgerError::journal(Hash::ZERO, 0, format!("at {position}: {error}"))
        };
        let block = codec::decode(&stored.block).map_err(damaged)?;
        let undo = codec::decode(&stored.undo).map_err(damaged)?;
        Ok((stored.block, block, undo))
    }
}
