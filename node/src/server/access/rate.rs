//! How often one caller may call: so many a second, and a second's worth at once.
//!
//! For each caller one instant is kept: when all that it has called is worked off at its rate (the generic cell rate
//! algorithm). Who has nothing to work off is forgotten, so that the table holds those alone that called just now.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::server::limits::{MAX_BATCH, MAX_RATED_CALLERS};

/// Whose calls are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// An address; of IPv6 its network, for one subscriber has all of that.
    Address([u8; 16]),
    /// A token, from wherever it comes.
    Token(String),
    /// Everybody for whom there is no place in the table.
    Crowd,
}

impl Who {
    pub(super) fn of_address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => {
                let mut network = v6.octets();
                network[8..].fill(0);
                network
            }
        })
    }
}

/// The rates of all callers.
#[derive(Debug)]
pub(super) struct Rates {
    far: Option<Rate>,
    local: Option<Rate>,
    busy: Mutex<HashMap<Who, Instant>>,
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
}

impl Rates {
    /// Calls a second, 0 for any number: of callers elsewhere, and on the node's own machine.
    pub(super) fn new(far: u32, local: u32) -> Self {
        Self { far: Rate::new(far), local: Rate::new(local), busy: Mutex::default() }
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
        let mut busy = self.busy.lock();
        if busy.len() >= MAX_RATED_CALLERS && !busy.contains_key(&who) {
            busy.retain(|_, until| *until > now);
        }
        let has_place = busy.len() < MAX_RATED_CALLERS || busy.contains_key(&who);
        let until = busy.entry(if has_place { who } else { Who::Crowd }).or_insert(now);
        let owed = until.saturating_duration_since(now) + rate.each * calls;
        match owed.checked_sub(rate.most) {
            Some(too_much) if !too_much.is_zero() => Err(TooMany::Now(too_much)),
            _ => {
                *until = now + owed;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> Who {
        Who::of_address(IpAddr::V4(n.into()))
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
        assert!(rates.busy.lock().len() <= MAX_RATED_CALLERS + 1);
        let later = now + Duration::from_secs(1_000);
        assert_eq!(rates.take(address(0xff00_0000), false, 1, later), Ok(()));
        assert_eq!(rates.busy.lock().len(), 1, "who has nothing to work off is forgotten");
    }

    #[test]
    fn a_network_of_ipv6_is_one_caller_and_a_mapped_address_is_itself() {
        let who = |text: &str| Who::of_address(text.parse().unwrap());
        assert_eq!(who("2001:db8::1"), who("2001:db8::ffff:1"));
        assert_ne!(who("2001:db8::1"), who("2001:db8:0:1::1"));
        assert_eq!(who("::ffff:192.0.2.1"), who("192.0.2.1"));
        assert_ne!(who("192.0.2.1"), who("192.0.2.2"));
    }
}
