//! Waiting for what other processes do, always with an end.
//!
//! A foreign process has no event to await here, so it is asked again and again: [`until`] is the one place that
//! does so. What was seen last is part of the error, so that a deviation reads "expected this, got that".

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// The pause between two looks: short beside a block, long beside an answer.
const PAUSE: Duration = Duration::from_millis(50);

/// What one look at a process has shown.
#[derive(Clone, Debug)]
pub enum Look<T> {
    /// What was waited for.
    Yes(T),
    /// Not yet; this is how it looks instead.
    NotYet(String),
}

/// Looks until it sees what is expected, at most for `within`.
///
/// # Errors
/// What was seen last, once the time is over; an error of `look` itself at once.
pub async fn until<T>(
    expected: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<Look<T>>,
) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        match look().await? {
            Look::Yes(value) => return Ok(value),
            Look::NotYet(got) if Instant::now() >= deadline => {
                bail!("expected {expected} within {} s, got {got}", within.as_secs())
            }
            Look::NotYet(_) => sleep(PAUSE).await,
        }
    }
}
