//! How far a long walk over the journal has come: told after each move, to whoever shows it to a person.
//!
//! Plain numbers; bars, log lines and rates are the program's.

/// How far a walk has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the journal behind it.
    pub done: u64,
    /// Bytes of the journal in all.
    pub total: u64,
    /// The height of the chain there.
    pub height: u64,
    /// Transactions executed on the way.
    pub transactions: u64,
}

/// Who is told, after each move.
pub type Watch<'a> = dyn FnMut(Progress) + 'a;
