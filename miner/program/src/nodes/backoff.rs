//! How long to wait before the next try: longer each time, up to a bound, and never in step with others.

use std::time::Duration;

/// The first wait: a connection that broke by chance is made again at once.
const FIRST: Duration = Duration::from_millis(200);
/// The longest wait: how late a miner may notice that its node is there again.
const LONGEST: Duration = Duration::from_secs(15);

/// The waits of one node.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: FIRST }
    }

    /// All is well again: the next wait is the first one.
    pub(super) fn reset(&mut self) {
        self.next = FIRST;
    }

    /// The next wait: between half and all of twice the one before. `chance` is anything random.
    pub(super) fn wait(&mut self, chance: u32) -> Duration {
        let whole = self.next;
        self.next = whole.saturating_mul(2).min(LONGEST);
        // A crowd of miners whose node came back does not come back in one instant.
        let thousandths = chance % 1_000;
        whole / 2 + whole / 2 * thousandths / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_begin_anew() {
        let mut backoff = Backoff::new();
        let mut before = Duration::ZERO;
        for _ in 0..10 {
            let wait = backoff.wait(0);
            assert!(wait >= before && wait <= LONGEST);
            before = wait;
        }
        assert_eq!(before, LONGEST / 2);
        assert!(backoff.wait(u32::MAX) > LONGEST / 2 && backoff.wait(999) < LONGEST);
        backoff.reset();
        assert!(backoff.wait(999) <= FIRST);
    }
}
