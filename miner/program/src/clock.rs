//! The clock: the one place of this program that reads the time of day.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
#[must_use]
pub fn now_ms() -> u64 {
    now_us() / 1_000
}

/// Microseconds since 1970.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a driver: slots are times of day")]
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
