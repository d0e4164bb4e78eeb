//! The wallet's clock: when a key was made, when an order was sent. Nothing is decided by it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970; 0 on a machine that thinks it is earlier.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the one place where the wallet reads the clock")]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
