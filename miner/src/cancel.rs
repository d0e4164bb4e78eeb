//! The token by which a search is given up.
//!
//! One token for one search: it is never lit again, so a late `cancel` can only reach the search it was meant
//! for. The searching side looks at it between chunks; nothing waits on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Gives up the search it was passed to. Clones are the same token; all of them cheap.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A token that has not been used yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the search up, for good. Returns at once; the search returns within a chunk of hashes.
    pub fn cancel(&self) {
        // The flag is all that is said, no other memory hangs on it: relaxed suffices, here and below.
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was given up.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
