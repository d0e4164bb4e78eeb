//! How often one caller may call: so many a second, and a second's worth at once.
//!
//! For each caller one instant is kept: when all that it has called is worked off at its rate (the generic cell rate
//! algorithm). Who has nothing to work off is forgotten, so that the table holds those alone that called just now.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::who::{SITE_SHARE, Who};
use crate::server::limits::{MAX_BATCH, MAX_RATED_CALLERS};

/// The pause between two looks through a full table for whom to forget.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// The rates of all callers.
#[derive(Debug)]
pub(super) struct Rates {
    far: Option<Rate>,
    local: Option<Rate>,
    table: Mutex<Table>,
}

/// When all that each caller has called is worked off.
#[derive(Debug, Default)]
struct Table {
    busy: HashMap<Who, Instant>,
    /// When it was last looked through.
    swept: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    /// What one call costs.
    each: Duration,
    /// How much may be owed.
    most: Duration,
    /// The same in calls.
    burst: u32,
}

/// Why calls are not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooMany {
    /// They are too many now, for so long.
    Now(Duration),
    /// They are more than ever pass at once.
    Ever {
        /// How many do.
        most: u32,
    },
}

impl Rate {
    /// A burst is a second's worth, and at least a whole batch.
    fn new(calls_per_second: u32) -> Option<Self> {
        let each = Duration::from_secs(1).checked_div(calls_per_second)?;
        let burst = calls_per_second.max(MAX_BATCH);
        Some(Self { each, most: each * burst, burst })
    }

    /// That of a site, in whose burst one caller's has room.
    fn of_site(self) -> Self {
        let share = u32::try_from(SITE_SHARE).unwrap_or(u32::MAX);
        Self { each: self.each / share, most: self.most, burst: self.burst.saturating_mul(share) }
    }

    /// Until when so many more calls keep a caller busy.
    ///
    /// # Errors
    /// For how long they are too many.
    fn until(&self, busy: Instant, calls: u32, now: Instant) -> Result<Instant, Duration> {
        let owed = busy.saturating_duration_since(now) + self.each * calls;
        match owed.checked_sub(self.most) {
            Some(too_much) if !too_much.is_zero() => Err(too_much),
            _ => Ok(now + owed),
        }
    }
}

impl Table {
    /// Under whom calls of this caller are counted: itself, if there is a place for it.
    fn place_of(&mut self, who: Who, now: Instant) -> Who {
        let is_full =
            |busy: &HashMap<Who, Instant>| busy.len() >= MAX_RATED_CALLERS && !busy.contains_key(&who);
        let is_fresh = self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < SWEEP_EVERY);
        if is_full(&self.busy) && !is_fresh {
            self.busy.retain(|_, until| *until > now);
            self.swept = Some(now);
        }
        if is_full(&self.busy) { Who::Crowd } else { who }
    }

    fn busy(&self, who: &Who, now: Instant) -> Instant {
        self.busy.get(who).copied().unwrap_or(now)
    }
}

impl Rates {
    /// Calls a second, 0 for any number: of callers elsewhere, and on the node's own machine.
    pub(super) fn new(far: u32, local: u32) -> Self {
        Self { far: Rate::new(far), local: Rate::new(local), table: Mutex::default() }
    }

    /// Counts so many calls.
    ///
    /// # Errors
    /// [`TooMany`]; none of them is counted then.
    pub(super) fn take(&self, who: Who, is_local: bool, calls: u32, now: Instant) -> Result<(), TooMany> {
        let Some(rate) = (if is_local { self.local } else { self.far }) else { return Ok(()) };
        if calls > rate.burst {
            return Err(TooMany::Ever { most: rate.burst });
        }
        let mut table = self.table.lock();
        let site = who.site().map(|site| table.place_of(site, now));
        let who = table.place_of(who, now);
        let until = rate.until(table.busy(&who, now), calls, now).map_err(TooMany::Now)?;
        if let Some(site) = site {
            let of_site = rate.of_site().until(table.busy(&site, now), calls, now).map_err(TooMany::Now)?;
            table.busy.insert(site, of_site);
        }
        table.busy.insert(who, until);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> Who {
        Who::of_address(std::net::Ipv4Addr::from(n).into())
    }

    #[test]
    fn a_burst_passes_then_one_call_for_each_part_of_a_second() {
        let rates = Rates::new(200, 0);
        let now = Instant::now();
        for call in 0..200 {
            assert_eq!(rates.take(address(1), false, 1, now), Ok(()), "{call}");
        }
        let wait = Duration::from_millis(5);
        assert_eq!(rates.take(address(1), false, 1, now), Err(TooMany::Now(wait)));
        assert_eq!(rates.take(address(2), false, 1, now), Ok(()), "another address");
        assert_eq!(rates.take(address(1), true, 1, now), Ok(()), "this machine's own are not limited here");
        assert_eq!(rates.take(address(1), false, 1, now + wait), Ok(()));
        assert!(rates.take(address(1), false, 1, now + wait).is_err());
        let later = now + Duration::from_secs(10);
        for _ in 0..200 {
            assert_eq!(rates.take(address(1), false, 1, later), Ok(()));
        }
        assert!(rates.take(address(1), false, 1, later).is_err(), "rest earns no more than a burst");
    }

    #[test]
    fn a_slow_rate_still_lets_a_whole_batch_pass() {
        let rates = Rates::new(1, 1);
        let now = Instant::now();
        for _ in 0..MAX_BATCH {
            assert_eq!(rates.take(Who::Token("shop".into()), false, 1, now), Ok(()));
        }
        assert_eq!(
            rates.take(Who::Token("shop".into()), false, 1, now),
            Err(TooMany::Now(Duration::from_secs(1)))
        );
    }

    #[test]
    fn many_calls_at_once_pass_together_or_not_at_all() {
        let rates = Rates::new(1_000, 0);
        let now = Instant::now();
        assert_eq!(rates.take(address(1), false, 1_000, now), Ok(()));
        let wait = Duration::from_millis(600);
        assert_eq!(rates.take(address(1), false, 600, now), Err(TooMany::Now(wait)));
        assert_eq!(
            rates.take(address(1), false, 600, now + wait),
            Ok(()),
            "the refused ones were not counted"
        );
        assert_eq!(rates.take(address(2), false, 1_001, now), Err(TooMany::Ever { most: 1_000 }));
        assert_eq!(rates.take(address(2), true, 1_001, now), Ok(()));
    }

    #[test]
    fn the_table_is_bounded_and_whoever_finds_no_place_is_one_of_a_crowd() {
        let rates = Rates::new(1, 0);
        let now = Instant::now();
        for n in 0..u32::try_from(MAX_RATED_CALLERS).unwrap() {
            assert_eq!(rates.take(address(n), false, 1, now), Ok(()));
        }
        for n in 0..MAX_BATCH {
            assert_eq!(rates.take(address(0xf000_0000 + n), false, 1, now), Ok(()), "{n}");
        }
        assert!(rates.take(address(0xff00_0000), false, 1, now).is_err());
        assert!(rates.table.lock().busy.len() <= MAX_RATED_CALLERS + 1);
        let later = now + Duration::from_secs(1_000);
        assert_eq!(rates.take(address(0xff00_0000), false, 1, later), Ok(()));
        assert_eq!(rates.table.lock().busy.len(), 1, "who has nothing to work off is forgotten");
    }

    #[test]
    fn a_site_of_ipv6_has_the_rate_of_four_callers() {
        let rates = Rates::new(100, 0);
        let now = Instant::now();
        let who =
            |n: u16| Who::of_address(std::net::Ipv6Addr::from([0x2001, 0xdb8, 0, n, 0, 0, 0, 1]).into());
        for n in 0..4 {
            assert_eq!(rates.take(who(n), false, 100, now), Ok(()), "{n}");
        }
        assert!(rates.take(who(4), false, 1, now).is_err(), "a fifth network of the same site");
        assert_eq!(rates.take(address(1), false, 100, now), Ok(()));
        assert_eq!(rates.take(who(4), false, 40, now + Duration::from_millis(100)), Ok(()));
        assert!(rates.take(who(5), false, 1, now + Duration::from_millis(100)).is_err());
    }
}
