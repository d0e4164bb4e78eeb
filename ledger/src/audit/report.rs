//! What an audit says: checks by their ids, each with how much it looked at and what it found.
//!
//! Plain data. How it is written for people and for programs is the program's. Findings are bounded: one damage
//! can be found in every block after it, and the first ones tell.

use printsy_consensus::Hash;

use crate::error::LedgerError;
use crate::store::{Mark, StoreError};

/// How many findings of one check are told one by one; all are counted.
pub const MAX_FINDINGS: usize = 100;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The height at which it was found, where it has one.
    pub height: Option<u64>,
    /// The block there.
    pub block: Option<Hash>,
    /// What is wrong, a sentence.
    pub what: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(height) = self.height {
            write!(f, "height {height}: ")?;
        }
        if let Some(block) = self.block {
            write!(f, "block {block}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// The journal executed again: every rule, every root.
    Replay,
    /// An invariant counted from the raw blocks.
    Invariant,
    /// A file, byte by byte.
    File,
    /// The index against the state that the replay came to.
    Index,
}

/// One check: how much it looked at, and what it found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What it is about.
    pub area: Area,
    /// Its id: `replay`, `I1`, `headers.dat`, ...
    pub id: &'static str,
    /// How many things it looked at.
    pub checked: u64,
    /// How many things were wrong.
    pub wrong: u64,
    /// The first [`MAX_FINDINGS`] of them.
    pub findings: Vec<Finding>,
    /// Why it was not made, or not to its end.
    pub skipped: Option<String>,
    /// What else there is to know; nothing is wrong with it.
    pub note: Option<String>,
}

impl Check {
    pub(super) fn new(area: Area, id: &'static str) -> Self {
        Self { area, id, checked: 0, wrong: 0, findings: Vec::new(), skipped: None, note: None }
    }

    /// Whether it was made to its end and found nothing.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.wrong == 0 && self.skipped.is_none()
    }

    pub(super) fn find(&mut self, height: Option<u64>, block: Option<Hash>, what: impl Into<String>) {
        self.wrong = self.wrong.saturating_add(1);
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding { height, block, what: what.into() });
        }
    }

    /// Notes a failure that is damage; gives back one that is this machine's trouble.
    pub(super) fn find_damage(&mut self, height: Option<u64>, error: LedgerError) -> Result<(), LedgerError> {
        match error {
            LedgerError::Journal { id, height, error } => self.find(Some(height), Some(id), error),
            LedgerError::Store(StoreError::Damaged { .. } | StoreError::Index(_))
            | LedgerError::View(_)
            | LedgerError::MissingBlock { .. } => self.find(height, None, error.to_string()),
            LedgerError::Store(_) | LedgerError::Moving | LedgerError::Untold | LedgerError::Panicked => {
                return Err(error);
            }
        }
        Ok(())
    }
}

/// What there is, counted from the raw blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Moves of the journal.
    pub moves: u64,
    /// Blocks in the journal, those that left the chain included.
    pub journalled_blocks: u64,
    /// Blocks of the chain, without genesis.
    pub blocks: u64,
    /// Transactions of the chain.
    pub transactions: u64,
    /// Images that have an entry.
    pub images: u64,
    /// Accounts that have an entry.
    pub accounts: u64,
    /// Registered miners.
    pub miners: u64,
    /// Editions sold, of all images together.
    pub sold: u128,
    /// All deposits.
    pub issued: u128,
    /// All withdrawals.
    pub redeemed: u128,
}

/// What an audit came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditReport {
    /// The last height of the chain that could be read.
    pub height: u64,
    /// The block there.
    pub tip: Hash,
    /// The state root in its header.
    pub state_root: Hash,
    /// The final height.
    pub final_height: u64,
    /// What there is.
    pub counts: Counts,
    /// What the index stands at; `None` where the next start makes it again.
    pub index_mark: Option<Mark>,
    /// The checks, in the order they were made.
    pub checks: Vec<Check>,
}

impl AuditReport {
    /// Whether nothing was found. (A check that had nothing to look at finds nothing.)
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.checks.iter().all(|check| check.wrong == 0)
    }

    /// The check with this id.
    #[must_use]
    pub fn check(&self, id: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.id == id)
    }
}
