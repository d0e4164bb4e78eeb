//! What the programs' JSON lines say, and when: a tip connected, a search begun, a chain reorganised.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// A moment, in microseconds since 1970.
pub type Us = u64;

/// Lines of one program.
#[derive(Debug, Default)]
pub struct Log {
    /// The tips in the order in which they were connected, with their time.
    pub order: Vec<(String, Us)>,
    /// Every search: when it began, and on what tip.
    pub searches: Vec<(Us, String)>,
    /// How deep each reorganisation was.
    pub reorganisations: Vec<u64>,
}

impl Log {
    /// What a daemon wrote into its log.
    ///
    /// # Errors
    /// If it cannot be read, or a line's time is none.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
        // What a program says before its logs are installed is no JSON.
        Self::of(text.lines().filter_map(|line| serde_json::from_str(line).ok()))
    }

    /// What these lines say.
    ///
    /// # Errors
    /// If a line's time is none.
    pub fn of(lines: impl Iterator<Item = Value>) -> Result<Self> {
        let mut log = Self::default();
        for line in lines {
            let at = || line["timestamp"].as_str().and_then(microseconds).context("a line has a time");
            let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
            match line["message"].as_str() {
                Some("block connected") => log.order.push((text("hash"), at()?)),
                Some("searching") => {
                    let at = line["at_us"].as_u64().map_or_else(at, Ok)?;
                    log.searches.push((at, text("parent")));
                }
                Some("reorganised") => log.reorganisations.push(line["depth"].as_u64().unwrap_or(u64::MAX)),
                _ => {}
            }
        }
        Ok(log)
    }
}

/// A tip of a node, and when a miner turned to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// When the node connected the tip.
    pub connected: Us,
    /// When the next tip was connected, if one was.
    pub replaced: Option<Us>,
    /// When the miner's first search on it, or on a later tip, began.
    pub begun: Us,
}

impl Turn {
    /// How long the tip waited for the miner, ms. One that another followed before the miner turned waited until the
    /// miner turned to that other.
    #[must_use]
    pub fn wait(&self) -> f64 {
        milliseconds(self.begun.saturating_sub(self.connected))
    }
}

/// Each tip that `node` connected while `miner` was at work, with the turn to it; the last ones, which the miner never
/// turned to, are left out.
#[must_use]
pub fn turns(node: &Log, miner: &Log) -> Vec<Turn> {
    let place: HashMap<&str, usize> =
        node.order.iter().enumerate().map(|(at, (tip, _))| (tip.as_str(), at)).collect();
    let mut searches = miner.searches.iter().peekable();
    let Some(began) = miner.searches.first().map(|search| search.0) else { return Vec::new() };
    let mut turns = Vec::new();
    for (at, (_, connected)) in node.order.iter().enumerate() {
        let caught_up = |search: &&(Us, String)| place.get(search.1.as_str()).is_some_and(|on| *on >= at);
        while searches.peek().is_some_and(|search| !caught_up(search)) {
            searches.next();
        }
        let Some((begun, _)) = searches.peek() else { break };
        if *connected >= began {
            let replaced = node.order.get(at + 1).map(|(_, next)| *next);
            turns.push(Turn { connected: *connected, replaced, begun: *begun });
        }
    }
    turns
}

/// Microseconds as milliseconds.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "waits are far below 2^53 microseconds")]
pub fn milliseconds(us: Us) -> f64 {
    us as f64 / 1_000.0
}

/// The moment that a log line's time is: `2026-11-27T07:38:27.123456Z`.
fn microseconds(time: &str) -> Option<Us> {
    let number = |from: usize, to: usize| time.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let seconds = number(11, 13)? * 3_600 + number(14, 16)? * 60 + number(17, 19)?;
    // The calendar counted from March on, so that the leap day comes last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Some(((days - 719_468) * 86_400 + seconds) * 1_000_000 + number(20, 26)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tip_waits_for_the_turn_to_it_or_to_a_later_one() {
        let named = |at: Us, name: &str| (at, name.to_owned());
        let order = [(900, "0"), (1_000, "a"), (2_000, "b"), (2_100, "c"), (9_000, "d"), (9_500, "e")];
        let node = Log { order: order.map(|(at, tip)| (tip.to_owned(), at)).into(), ..Log::default() };
        let searches = vec![named(950, "0"), named(1_010, "a"), named(2_150, "c"), named(10_000, "d")];
        let miner = Log { searches, ..Log::default() };
        let turn = |connected, next, begun| Turn { connected, replaced: Some(next), begun };
        let expected = vec![
            turn(1_000, 2_000, 1_010),
            turn(2_000, 2_100, 2_150),
            turn(2_100, 9_000, 2_150),
            turn(9_000, 9_500, 10_000),
        ];
        assert_eq!(turns(&node, &miner), expected);
        assert_eq!(expected[1].wait(), 0.15);
    }

    #[test]
    fn a_line_s_time_is_microseconds_since_1970() {
        for (text, us) in [
            ("1970-01-01T00:00:00.000000Z", 0),
            ("1970-01-02T00:00:01.000005Z", 86_401_000_005),
            ("2000-02-29T00:00:00.000000Z", 951_782_400_000_000),
            ("2000-03-01T00:00:00.000000Z", 951_868_800_000_000),
            ("2026-11-27T07:38:27.123456Z", 1_795_765_107_123_456),
        ] {
            assert_eq!(microseconds(text), Some(us), "{text}");
        }
        assert_eq!(microseconds("yesterday"), None);
    }
}
