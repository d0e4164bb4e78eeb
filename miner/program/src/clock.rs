//! The clocks: the one place of this program that reads the time of day.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::desk::Now;

/// The moment it is, `begun` being where the clock that nobody sets begins.
#[must_use]
pub fn now(begun: Instant) -> Now {
    let run_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Now { run_ms, day_ms: now_us() / 1_000 }
}

/// Microseconds since 1970.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a driver: slots are times of day")]
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
