//! Reading the ledger from other threads: the live state through one lock, blocks through the journal.
//!
//! A [`Reader`] is cheap to clone. It waits for the thread that owns the ledger only while a finished move is published,
//! and, to read blocks, while a reorganisation is being told; that thread never waits for it. What is read from the disk
//! is of the snapshot that is answered with it ([`Reader::at_one_moment`]).
use std::sync::Arc;

use parking_lot::RwLock;
use printsy_consensus::{
    Action, Block, BlockUndo, CheckedTransaction, Edition, Genesis, Hash, Holding, Position, PublicKey,
    SignedHeader,
};

use crate::error::LedgerError;
use crate::history::{Confirmed, PageBounds};
use crate::moment::Moment;
use crate::published::{Published, Snapshot};
use crate::recent::RecentBlocks;
use crate::rows::transaction_key;
use crate::state::holding_in;
use crate::status::Story;
use crate::store::{Checkpoint, HeaderFile, HeaderRecord, JournalReader};
use crate::telling::{DisturbedBy, Telling};

/// A cheap handle to read the ledger with.
#[derive(Clone, Debug)]
pub struct Reader {
    genesis: Arc<Genesis>,
    published: Arc<RwLock<Published>>,
    pub(crate) telling: Arc<Telling>,
    pub(crate) index: Arc<Checkpoint>,
    pub(crate) journal: JournalReader,
    pub(crate) headers: HeaderFile,
    pub(crate) recent: Arc<RecentBlocks>,
    pub(crate) page_bounds: PageBounds,
}

/// What is left of an image, at one moment.
#[derive(Clone, Debug)]
pub struct Availability {
    /// The chain it was read from.
    pub snapshot: Snapshot,
    /// The image's entry; `None` where nobody touched it.
    pub edition: Option<Edition>,
    /// How many editions there are.
    pub max: u32,
    /// How many the chain has left.
    pub remaining: u32,
    /// How many of those waiting purchases hold.
    pub pending: u32,
}

/// A block as the journal has it.
#[derive(Clone, Debug)]
pub struct StoredBlock {
    /// Its header as it was stored: signature, total work, position.
    pub record: HeaderRecord,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The block.
    pub block: Block,
    /// What it changed, as it was before.
    pub undo: BlockUndo,
    /// Whether it is on the chain now.
    pub on_chain: bool,
}

/// Some editions of an image that a purchase got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EditionNumbers {
    /// Which image.
    pub image: u64,
    /// The first.
    pub from: u32,
    /// The last.
    pub to: u32,
}

/// All that this node knows of an order.
#[derive(Clone, Debug)]
pub struct Order {
    /// The chain it was read from.
    pub snapshot: Snapshot,
    /// In the mempool.
    pub waiting: Option<CheckedTransaction>,
    /// On the chain, with its block's id.
    pub confirmed: Option<(Confirmed, Hash)>,
    /// What this node saw happen to it.
    pub story: Option<Story>,
}

impl Reader {
    pub(crate) fn new(
        genesis: Arc<Genesis>,
        published: Arc<RwLock<Published>>,
        index: Arc<Checkpoint>,
        journal: JournalReader,
        headers: HeaderFile,
    ) -> Self {
        let telling = Arc::clone(&published.read().telling);
        let (recent, page_bounds) = (Arc::default(), PageBounds::default());
        Self { genesis, published, telling, index, journal, headers, recent, page_bounds }
    }

    /// The network's genesis.
    #[must_use]
    pub fn genesis(&self) -> &Arc<Genesis> {
        &self.genesis
    }

    /// The chain now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.published.read().snapshot.clone()
    }

    /// What is left of an image now.
    ///
    /// # Panics
    /// If more is sold than there is: I1.
    #[must_use]
    pub fn availability(&self, image: u64) -> Availability {
        let (snapshot, pending) = {
            let published = self.published.read();
            (published.snapshot.clone(), published.pending(image))
        };
        let edition = snapshot.edition(image);
        let max_editions = self.genesis.params().max_editions;
        let max = edition.map_or(max_editions, |edition| edition.editions_or(max_editions));
        let sold = edition.map_or(0, |edition| edition.sold);
        let remaining = max.checked_sub(sold).expect("I1: no more is sold than there is");
        Availability { snapshot, edition, max, remaining, pending }
    }

    /// How many orders wait, and how many bytes they have.
    #[must_use]
    pub fn mempool_size(&self) -> (usize, usize) {
        let published = self.published.read();
        (published.waiting().len(), published.waiting_bytes())
    }

    /// The orders that wait, at most `limit` of them.
    #[must_use]
    pub fn waiting(&self, limit: usize) -> Vec<CheckedTransaction> {
        self.published.read().waiting().values().take(limit).cloned().collect()
    }

    /// The waiting order with this id.
    #[must_use]
    pub fn waiting_order(&self, txid: &Hash) -> Option<CheckedTransaction> {
        self.published.read().waiting().get(txid).cloned()
    }

    /// The waiting order with exactly the bytes that this leaf names: it was checked when it came.
    #[must_use]
    pub fn waiting_leaf(&self, leaf: &Hash) -> Option<CheckedTransaction> {
        self.published.read().waiting_leaf(leaf).cloned()
    }

    /// What an account holds of an image.
    ///
    /// # Errors
    /// Where the index fails.
    pub fn holding(&self, account: &PublicKey, image: u64) -> Result<Holding, LedgerError> {
        Ok(holding_in(&self.index, account, image)?)
    }

    /// The header at a height of the chain.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn header_at(&self, height: u64) -> Result<Option<HeaderRecord>, LedgerError> {
        self.at_one_moment(|now| now.header_at(height))
    }

    /// Headers of the chain from a height on, at most `count`.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn headers_from(&self, height: u64, count: usize) -> Result<Vec<HeaderRecord>, LedgerError> {
        self.at_one_moment(|now| now.headers_from(height, count))
    }

    /// The height of a block of the chain, if this id is one.
    ///
    /// # Errors
    /// Where the index or the disk fails.
    pub fn height_on_chain(&self, id: &Hash) -> Result<Option<u64>, LedgerError> {
        self.at_one_moment(|now| now.height_on_chain(id))
    }

    /// The block at a height of the chain; none at 0, which has no body.
    ///
    /// # Errors
    /// Where the disk fails or is damaged.
    pub fn block_at(&self, height: u64) -> Result<Option<StoredBlock>, LedgerError> {
        self.at_one_moment(|now| now.block_at(height))
    }

    /// The block with this id that is, or once was, on the chain.
    ///
    /// # Errors
    /// Where the index or the disk fails or is damaged.
    pub fn block(&self, id: &Hash) -> Result<Option<StoredBlock>, LedgerError> {
        self.at_one_moment(|now| now.block(id))
    }

    /// The bytes of a block that is, or once was, on the chain: for peers.
    ///
    /// # Errors
    /// Where the index or the disk fails or is damaged.
    pub fn block_bytes(&self, id: &Hash) -> Result<Option<Vec<u8>>, LedgerError> {
        let Some(row) = self.block_row(id)? else { return Ok(None) };
        let block = self.journal.block(row.position)?.block;
        // The index may be wrong: a peer that is given another block blames this node.
        let is_it =
            block.first_chunk().is_some_and(|signed| SignedHeader::from_bytes(signed).header.id() == *id);
        Ok(is_it.then_some(block))
    }

    /// The transaction at a position of the chain.
    ///
    /// # Errors
    /// Where there is none, or the disk fails or is damaged.
    pub fn confirmed_at(&self, position: Position) -> Result<Confirmed, LedgerError> {
        self.at_one_moment(|now| now.confirmed_at(position))
    }

    /// All that this node knows of an order, at one moment; `None` where it knows nothing.
    ///
    /// # Errors
    /// Where the index or the disk fails or is damaged.
    pub fn order(&self, txid: &Hash) -> Result<Option<Order>, LedgerError> {
        self.undisturbed(DisturbedBy::Reorganisations, || {
            let (snapshot, waiting, story) = {
                let published = self.published.read();
                let story = published.statuses.story(txid).cloned();
                (published.snapshot.clone(), published.waiting().get(txid).cloned(), story)
            };
            let now = Moment::new(self, snapshot.clone());
            let confirmed = if waiting.is_some() { None } else { now.confirmed(txid)? };
            if waiting.is_none() && confirmed.is_none() && story.is_none() {
                return Ok(None);
            }
            Ok(Some(Order { snapshot, waiting, confirmed, story }))
        })
    }

    /// Notes damage for the next start, which then repairs what it can; says whether the error was any. A block
    /// that is missing may have left the chain meanwhile: that is none.
    pub fn doubt(&self, error: &LedgerError) -> bool {
        if error.damage().is_none() || matches!(error, LedgerError::MissingBlock { .. }) {
            return false;
        }
        if let Err(error) = self.journal.note_doubt(&error.to_string()) {
            tracing::error!(%error, "the damage cannot be noted: run `printsyd reindex` before the next start");
        }
        true
    }

    /// How many rows the index is behind the journal.
    #[must_use]
    pub fn index_lag(&self) -> usize {
        self.index.lag_rows()
    }

    /// Why the index stopped following, if it did.
    #[must_use]
    pub fn index_failure(&self) -> Option<String> {
        self.index.failed()
    }

    /// Whether a transaction is on the chain.
    ///
    /// # Errors
    /// Where the index fails.
    pub fn is_confirmed(&self, txid: &Hash) -> Result<bool, LedgerError> {
        Ok(self.index.get(&transaction_key(txid))?.is_some())
    }
}

impl Confirmed {
    /// The editions a purchase got, by line.
    #[must_use]
    pub fn edition_numbers(&self) -> Vec<EditionNumbers> {
        let Action::Purchase { lines, .. } = &self.transaction.body.action else { return Vec::new() };
        let numbers = lines.iter().filter_map(|line| {
            let sold = self.undo.edition_before(line.image)?.sold;
            Some(EditionNumbers { image: line.image, from: sold + 1, to: sold + line.quantity })
        });
        numbers.collect()
    }
}
