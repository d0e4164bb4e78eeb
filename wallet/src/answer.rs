//! What a command comes to: text for people, JSON for programs, and an outcome for scripts.

use anyhow::Result;
use printsy_consensus::Hash;
use serde::Serialize;
use serde_json::Value;

/// What a command came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// For people, on standard output.
    pub text: String,
    /// For programs, on standard output instead.
    pub json: Value,
    /// What is no data: said on standard error.
    pub notes: Vec<String>,
    /// Whether what was asked for has happened.
    pub outcome: Outcome,
}

/// Whether what was asked for has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has.
    Done,
    /// It has not, and nothing is under way.
    Refused,
    /// It has not, and may still: nobody should order again.
    Open,
}

impl Outcome {
    /// The program's exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Open => 3,
        }
    }
}

impl Answer {
    /// An answer that is all that was asked for.
    ///
    /// # Errors
    /// If `data` cannot be told as JSON.
    pub fn new(text: String, data: &impl Serialize) -> Result<Self> {
        Ok(Self { text, json: serde_json::to_value(data)?, notes: Vec::new(), outcome: Outcome::Done })
    }

    /// What was asked for is done, and there is nothing to say of it.
    #[must_use]
    pub fn nothing() -> Self {
        Self { text: String::new(), json: Value::Null, notes: Vec::new(), outcome: Outcome::Done }
    }

    /// The same, with one more note.
    #[must_use]
    pub fn note(mut self, note: String) -> Self {
        self.notes.push(note);
        self
    }
}

/// An order was sent, and no answer came: it may be under way.
#[derive(Debug, thiserror::Error)]
#[error("order {txid} may be under way: {}", crate::tell::never_twice(&txid.to_string(), Some(*expires_at)))]
pub struct MayBeUnderWay {
    /// The order.
    pub txid: Hash,
    /// The last height that may include it.
    pub expires_at: u64,
}
