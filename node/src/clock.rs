//! The one place where the node reads the time.
//!
//! Everything else takes it as an argument. On development networks the clock can be set (`setClock`): it then
//! runs on from there.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// This node's clock. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// Milliseconds since 1970, as this node takes it.
    #[must_use]
    pub fn now(&self) -> u64 {
        system_now().saturating_add_signed(self.offset_ms.load(Ordering::Relaxed))
    }

    /// Sets the clock: it runs on from `ms`.
    pub fn set(&self, ms: u64) {
        let offset = i128::from(ms) - i128::from(system_now());
        let offset = i64::try_from(offset).unwrap_or(if offset < 0 { i64::MIN } else { i64::MAX });
        self.offset_ms.store(offset, Ordering::Relaxed);
    }
}

#[allow(clippy::disallowed_methods, reason = "the clock driver is where time comes from")]
fn system_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
