//! Whether a move of the tip is being told just now, for readers on other threads.
//!
//! Between its commit and its publication a move is half told: headers.dat and the index are ahead of what readers
//! are shown. Who reads both notes the moves told before, reads, and looks whether one fell into the reading: then
//! it reads again. An extension only adds above the tip, so that what is read of blocks up to a tip that was shown is
//! disturbed by reorganisations alone; rows of holdings are changed by every move.
//!
//! The lock is held for a few instructions by either side: nobody ever waits for the disk of another here.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::error::LedgerError;

/// How long a reader waits for one move to be told: far longer than the deepest takes, shorter than a caller's patience.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// What a move does to what stands below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MoveKind {
    /// It only adds blocks.
    Extension,
    /// It takes blocks off first.
    Reorganisation,
}

/// Which moves disturb a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DisturbedBy {
    /// It reads blocks of the chain, none above the tip it was shown.
    Reorganisations,
    /// It reads rows that every move changes.
    EveryMove,
}

/// What was told before a read began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told(u64);

/// The moves told so far, and whether one is being told.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    moves: u64,
    reorganisations: u64,
    now: Option<MoveKind>,
    /// A move could not be told to its end: headers.dat and the index are of no chain that was shown.
    has_failed: bool,
}

impl State {
    fn told(&self, by: DisturbedBy) -> Told {
        Told(match by {
            DisturbedBy::Reorganisations => self.reorganisations,
            DisturbedBy::EveryMove => self.moves,
        })
    }

    fn is_disturbing(&self, by: DisturbedBy) -> bool {
        match by {
            DisturbedBy::Reorganisations => self.now == Some(MoveKind::Reorganisation),
            DisturbedBy::EveryMove => self.now.is_some(),
        }
    }
}

impl Telling {
    /// A durable move begins to be told; until [`Begun::published`], or for good if that never comes.
    pub(crate) fn begin(self: &Arc<Self>, kind: MoveKind) -> Begun {
        let mut state = self.state.lock();
        state.moves += 1;
        state.reorganisations += u64::from(kind == MoveKind::Reorganisation);
        state.now = Some(kind);
        drop(state);
        Begun { telling: Arc::clone(self), is_published: false }
    }

    /// Returns when no move that disturbs is being told.
    ///
    /// # Errors
    /// [`LedgerError::Moving`] where that takes too long, [`LedgerError::Untold`] where it will never be.
    pub(crate) fn settled(&self, by: DisturbedBy) -> Result<Told, LedgerError> {
        let mut state = self.state.lock();
        let waited = self.ended.wait_while_for(&mut state, |state| state.is_disturbing(by), MAX_WAIT);
        match &*state {
            state if state.has_failed => Err(LedgerError::Untold),
            _ if waited.timed_out() => Err(LedgerError::Moving),
            state => Ok(state.told(by)),
        }
    }

    /// Whether no move that disturbs has begun since.
    pub(crate) fn is_as_told(&self, by: DisturbedBy, before: Told) -> bool {
        self.state.lock().told(by) == before
    }
}

/// A move that is being told. Dropped before it is published, it leaves word that it never will be.
#[derive(Debug)]
#[must_use]
pub(crate) struct Begun {
    telling: Arc<Telling>,
    is_published: bool,
}

impl Begun {
    /// Readers are shown the move whole.
    pub(crate) fn published(mut self) {
        self.is_published = true;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let mut state = self.telling.state.lock();
        state.now = None;
        state.has_failed |= !self.is_published;
        drop(state);
        self.telling.ended.notify_all();
    }
}
