//! Walking the links of history at one moment: from a transaction to the one before it of the same subject.
//!
//! What is followed is held against what it should be, because a wrong link is a wrong answer: a link leads to a
//! transaction of the subject, further back, and an account's transactions are as many as its entry counts. Each block is
//! read once for all of its transactions; the caller bounds how many are read.

use std::sync::Arc;

use printsy_consensus::{Account, Action, Edition, Hash, Position, codec};

use crate::error::LedgerError;
use crate::history::{Confirmed, Cursor, MAX_PAGE_ENTRIES, Page, PageBounds, Passage, Subject};
use crate::moment::Moment;
use crate::published::Snapshot;
use crate::recent::Decoded;

impl Subject {
    /// The newest of its transactions.
    fn newest(&self, now: &Snapshot) -> Option<Position> {
        match self {
            Self::Account(account) => now.account(account).and_then(|entry| last_of(&entry)),
            Self::Image(image) | Self::Purchases(image) | Self::Reviews(image) => {
                now.edition(*image).and_then(|edition| self.last_of(&edition))
            }
        }
    }

    /// The one before a transaction of its own; `None` where the transaction is none of its own.
    fn before(&self, confirmed: &Confirmed) -> Option<Option<Position>> {
        let (undo, action) = (&confirmed.undo, &confirmed.transaction.body.action);
        match (self, action) {
            (Self::Account(account), _) => undo.account_before(account).map(|entry| last_of(&entry)),
            (Self::Image(image) | Self::Purchases(image), Action::Purchase { .. })
            | (Self::Image(image) | Self::Reviews(image), Action::Review { .. }) => {
                undo.edition_before(*image).map(|edition| self.last_of(&edition))
            }
            _ => None,
        }
    }

    fn last_of(&self, edition: &Edition) -> Option<Position> {
        match self {
            Self::Account(_) => None,
            Self::Image(_) => edition.last.max(edition.last_review),
            Self::Purchases(_) => edition.last,
            Self::Reviews(_) => edition.last_review,
        }
    }

    /// How many transactions there are up to this one, this one included, where that is counted.
    fn count_at(&self, confirmed: &Confirmed) -> Option<u64> {
        match self {
            Self::Account(account) => confirmed.undo.account_before(account)?.transactions.checked_add(1),
            _ => None,
        }
    }
}

fn last_of(entry: &Account) -> Option<Position> {
    (entry.transactions > 0).then_some(entry.last)
}

/// A walk from link to link, newest first.
pub(crate) struct Walk<'a> {
    now: &'a Moment<'a>,
    subject: Subject,
    next: Option<Position>,
    /// How many transactions the next one must be, where that is counted and known.
    count: Option<u64>,
    /// The block last read.
    block: Option<WalkedBlock>,
    read_bytes: usize,
}

#[derive(Clone)]
struct WalkedBlock {
    height: u64,
    id: Hash,
    time: u64,
    decoded: Arc<Decoded>,
}

impl<'a> Walk<'a> {
    /// From the newest.
    pub(crate) fn new(now: &'a Moment<'a>, subject: Subject) -> Self {
        let count = match &subject {
            Subject::Account(account) => now.snapshot().account(account).map(|entry| entry.transactions),
            _ => None,
        };
        let next = subject.newest(now.snapshot());
        Self { now, subject, next, count, block: None, read_bytes: 0 }
    }

    /// From a place that is known to be of this list; an account's transactions are then not counted.
    pub(crate) fn at(now: &'a Moment<'a>, subject: Subject, next: Option<Position>) -> Self {
        Self { now, subject, next, count: None, block: None, read_bytes: 0 }
    }

    /// From a cursor; `None` where it names nothing of this list on this chain.
    pub(crate) fn from(
        now: &'a Moment<'a>,
        subject: Subject,
        cursor: &Cursor,
    ) -> Result<Option<Self>, LedgerError> {
        let mut walk = Self::at(now, subject, Some(cursor.position()));
        let Some(block) = walk.block_at(cursor.position().height)? else { return Ok(None) };
        let is_of_list = |confirmed: Confirmed| subject.before(&confirmed).is_some();
        let is_there = block.decoded.confirmed(cursor.position()).is_some_and(is_of_list);
        Ok((cursor.is_of(&block.id) && is_there).then_some(walk))
    }

    /// Where the next one is.
    pub(crate) fn next_position(&self) -> Option<Position> {
        self.next
    }

    /// Whether the next one is in the block last read.
    fn is_at_hand(&self) -> bool {
        let at = self.block.as_ref().map(|block| block.height);
        self.next.map(|next| next.height) == at
    }

    /// How many bytes of blocks were read so far.
    pub(crate) fn read_bytes(&self) -> usize {
        self.read_bytes
    }

    /// The cursor of the next one.
    fn cursor(&mut self) -> Result<Option<Cursor>, LedgerError> {
        let Some(position) = self.next else { return Ok(None) };
        // A header is enough: the block need not be read for it.
        let record = self.now.header_at(position.height)?;
        let record = record.ok_or(LedgerError::MissingBlock { id: Hash::ZERO, height: position.height })?;
        Ok(Some(Cursor::new(position, &record.signed.header.id())))
    }

    /// The next transaction. The links are held against one another: each leads further back, and an account's
    /// transactions are as many as it counts.
    pub(crate) fn step(&mut self) -> Result<Option<Passage>, LedgerError> {
        let Some(position) = self.next else { return Ok(None) };
        let missing = LedgerError::MissingBlock { id: Hash::ZERO, height: position.height };
        let block = self.block_at(position.height)?.ok_or(missing)?;
        let broken =
            || LedgerError::journal(block.id, block.height, "the links of history do not lead on from it");
        let confirmed = block.decoded.confirmed(position).ok_or_else(broken)?;
        let before = self.subject.before(&confirmed).ok_or_else(broken)?;
        let count = self.subject.count_at(&confirmed);
        let leads_back = before.is_none_or(|before| before < position);
        if !leads_back || (self.count.is_some() && self.count != count) {
            return Err(broken());
        }
        self.next = before;
        self.count = count.map(|count| count.saturating_sub(1));
        Ok(Some(Passage { confirmed, block: block.id, time: block.time }))
    }

    /// The block at a height, which is read once for all its transactions.
    fn block_at(&mut self, height: u64) -> Result<Option<WalkedBlock>, LedgerError> {
        if let Some(block) = self.block.as_ref().filter(|block| block.height == height) {
            return Ok(Some(block.clone()));
        }
        let Some(record) = self.now.header_at(height)?.filter(|_| height > 0) else { return Ok(None) };
        let (decoded, signed) = (self.now.decoded(record.position)?, record.signed);
        let id = signed.header.id();
        if decoded.block.header != signed {
            return Err(LedgerError::MissingBlock { id, height });
        }
        self.read_bytes = self.read_bytes.saturating_add(decoded.bytes);
        let block = WalkedBlock { height, id, time: signed.header.time, decoded };
        self.block = Some(block.clone());
        Ok(Some(block))
    }

    /// The next entries: at most `limit`, and as many as fit the bounds, but at least one.
    pub(crate) fn page<T>(
        mut self,
        bounds: PageBounds,
        limit: usize,
        mut entry: impl FnMut(Passage) -> T,
    ) -> Result<Page<T>, LedgerError> {
        let limit = limit.clamp(1, MAX_PAGE_ENTRIES);
        let (mut entries, mut transaction_bytes) = (Vec::new(), 0usize);
        while entries.len() < limit && transaction_bytes < bounds.transaction_bytes {
            if !entries.is_empty() && !self.is_at_hand() && self.read_bytes >= bounds.read_bytes {
                break;
            }
            let Some(passage) = self.step()? else { break };
            let len = codec::encode(&passage.confirmed.transaction).len();
            transaction_bytes = transaction_bytes.saturating_add(len);
            entries.push(entry(passage));
        }
        Ok(Page { snapshot: self.now.snapshot().clone(), entries, next: self.cursor()? })
    }
}
