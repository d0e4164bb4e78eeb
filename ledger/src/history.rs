//! History costs no index: an account's and an image's entry hold the position of the last transaction, and each
//! transaction's undo holds the entry before it. Following those leads back to the first: newest first, complete.
//!
//! A page is of one moment of the chain and is bounded by what may be read for it, so that it may be shorter than was
//! asked for. A [`Cursor`] names the entry to go on from by its place and its block: while that block is on the chain,
//! all below it is what it was, whatever came above.
//!
//! Of an image these links hold its purchases and its reviews. Its listings are in no link of the image: `List` leaves
//! `last` as it is, and the account of the seller before is not in its undo.

use std::collections::HashSet;

use printsy_consensus::{Hash, Position, PublicKey, Transaction, TransactionUndo};

use crate::error::LedgerError;
use crate::moment::Moment;
use crate::published::Snapshot;
use crate::reader::Reader;
use crate::walk::Walk;

/// The most entries of a page.
pub const MAX_PAGE_ENTRIES: usize = 1_000;
/// How many bytes of blocks are read for a page before it ends: some tenths of a second of decoding.
pub const MAX_PAGE_READ_BYTES: usize = 32 << 20;
/// How many bytes of transactions a page holds before it ends: told as JSON they are up to ten times as long.
pub const MAX_PAGE_TRANSACTION_BYTES: usize = 1 << 20;
/// How many reviews newer than a page are looked through for whether they replace one of it.
pub const MAX_NEWER_REVIEWS: usize = 10_000;

/// How much of a block's id a cursor holds.
const CURSOR_ID: usize = 8;

/// A transaction of the chain, and what it changed as it was before.
#[derive(Clone, Debug)]
pub struct Confirmed {
    /// Where it stands.
    pub position: Position,
    /// The transaction.
    pub transaction: Transaction,
    /// What it changed.
    pub undo: TransactionUndo,
}

/// Whose history is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Every transaction that touched an account: as many as its entry counts.
    Account(PublicKey),
    /// Purchases and reviews of an image.
    Image(u64),
    /// Purchases of an image.
    Purchases(u64),
    /// Reviews of an image.
    Reviews(u64),
}

/// A transaction in a history.
#[derive(Clone, Debug)]
pub struct Passage {
    /// The transaction, and where it stands.
    pub confirmed: Confirmed,
    /// The id of its block.
    pub block: Hash,
    /// The time in its block's header, ms since 1970.
    pub time: u64,
}

/// A review of an image.
#[derive(Clone, Debug)]
pub struct Reviewed {
    /// The review, and where it stands.
    pub passage: Passage,
    /// Whether a later review by the same account stands. `None`: there are so many newer reviews that it was not
    /// looked for in all of them.
    pub replaced: Option<bool>,
}

/// Some entries of a list, and where it goes on.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The chain it was read from.
    pub snapshot: Snapshot,
    /// The entries, newest first.
    pub entries: Vec<T>,
    /// The next one; `None` only at the end.
    pub next: Option<Cursor>,
}

/// The place in a history where a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    position: Position,
    block: [u8; CURSOR_ID],
}

/// How much may be read for one page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageBounds {
    pub(crate) read_bytes: usize,
    pub(crate) transaction_bytes: usize,
}

impl Default for PageBounds {
    fn default() -> Self {
        Self { read_bytes: MAX_PAGE_READ_BYTES, transaction_bytes: MAX_PAGE_TRANSACTION_BYTES }
    }
}

impl Cursor {
    /// Its length in bytes.
    pub const LEN: usize = 8 + 4 + CURSOR_ID;

    /// `height u64 | index u32`, big-endian, then the first bytes of the block's id.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&self.position.height.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.position.index.to_be_bytes());
        bytes[12..].copy_from_slice(&self.block);
        bytes
    }

    /// The cursor that these bytes are. Whether it fits a list is for the list to say.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let (height, rest) = bytes.split_first_chunk().expect("20 bytes begin with 8");
        let (index, block) = rest.split_first_chunk().expect("12 bytes begin with 4");
        let position = Position { height: u64::from_be_bytes(*height), index: u32::from_be_bytes(*index) };
        Self { position, block: block.try_into().expect("8 bytes are left") }
    }

    pub(crate) fn new(position: Position, block: &Hash) -> Self {
        let block = *block.0.first_chunk().expect("an id has 32 bytes");
        Self { position, block }
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }

    pub(crate) fn is_of(&self, block: &Hash) -> bool {
        block.0.starts_with(&self.block)
    }
}

impl Reader {
    /// A page of a history: from the newest, or from where another page said that it goes on. At most `limit` entries,
    /// fewer where the bounds of a page end it.
    ///
    /// `None`: the cursor names nothing of this history on the chain as it is now.
    ///
    /// # Errors
    /// Where the disk fails or is damaged, and those of [`Reader::at_one_moment`].
    pub fn history(
        &self,
        subject: Subject,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Option<Page<Passage>>, LedgerError> {
        self.at_one_moment(|now| {
            let walk = walk_from(now, subject, cursor)?;
            walk.map(|walk| walk.page(self.page_bounds, limit, |passage| passage)).transpose()
        })
    }

    /// A page of the reviews of an image, as [`Reader::history`], with what became of each.
    ///
    /// # Errors
    /// As [`Reader::history`].
    pub fn reviews(
        &self,
        image: u64,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Option<Page<Reviewed>>, LedgerError> {
        let subject = Subject::Reviews(image);
        self.at_one_moment(|now| {
            let Some(walk) = walk_from(now, subject, cursor)? else { return Ok(None) };
            let mut newer = self.newer_reviewers(now, image, cursor)?;
            let page = walk.page(self.page_bounds, limit, |passage| {
                let is_new = newer.accounts.insert(passage.confirmed.transaction.body.sender);
                let replaced = if is_new { newer.is_complete.then_some(false) } else { Some(true) };
                Reviewed { passage, replaced }
            })?;
            Ok(Some(page))
        })
    }

    /// Who reviewed the image after the cursor's review.
    fn newer_reviewers(
        &self,
        now: &Moment<'_>,
        image: u64,
        cursor: Option<Cursor>,
    ) -> Result<Reviewers, LedgerError> {
        let mut newer = Reviewers { accounts: HashSet::new(), is_complete: true };
        let Some(cursor) = cursor else { return Ok(newer) };
        let mut walk = Walk::new(now, Subject::Reviews(image));
        let mut read = 0;
        while walk.next_position().is_some_and(|next| next > cursor.position) {
            if read == MAX_NEWER_REVIEWS || walk.read_bytes() >= self.page_bounds.read_bytes {
                newer.is_complete = false;
                break;
            }
            let Some(passage) = walk.step()? else { break };
            newer.accounts.insert(passage.confirmed.transaction.body.sender);
            read += 1;
        }
        Ok(newer)
    }

    /// Bounds pages otherwise than by [`MAX_PAGE_READ_BYTES`] and [`MAX_PAGE_TRANSACTION_BYTES`], for a slower machine.
    /// One entry always fits.
    pub fn set_page_bounds(&mut self, read_bytes: usize, transaction_bytes: usize) {
        self.page_bounds = PageBounds { read_bytes, transaction_bytes };
    }
}

/// The accounts of some reviews.
struct Reviewers {
    accounts: HashSet<PublicKey>,
    /// Whether all reviews newer than the page were looked through.
    is_complete: bool,
}

fn walk_from<'a>(
    now: &'a Moment<'a>,
    subject: Subject,
    cursor: Option<Cursor>,
) -> Result<Option<Walk<'a>>, LedgerError> {
    match cursor {
        Some(cursor) => Walk::from(now, subject, &cursor),
        None => Ok(Some(Walk::new(now, subject))),
    }
}
