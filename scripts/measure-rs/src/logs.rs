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
    /// When each tip was connected first, by its id.
    pub tips: HashMap<String, Us>,
    /// The tips in the order in which they came, with their time.
    pub order: Vec<(String, Us)>,
    /// When the first search on each tip began.
    pub searches: HashMap<String, Us>,
    /// Every search: when it began, and on what tip.
    pub turns: Vec<(Us, String)>,
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
                Some("block connected") => {
                    let (hash, at) = (text("hash"), at()?);
                    log.order.push((hash.clone(), at));
                    log.tips.entry(hash).or_insert(at);
                }
                Some("searching") => {
                    let at = line["at_us"].as_u64().map_or_else(at, Ok)?;
                    log.searches.entry(text("parent")).or_insert(at);
                    log.turns.push((at, text("parent")));
                }
                Some("reorganised") => log.reorganisations.push(line["depth"].as_u64().unwrap_or(u64::MAX)),
                _ => {}
            }
        }
        Ok(log)
    }
}

/// How long each tip of `node` waited for the first search of a miner on it, ms. Tips that another followed before
/// the miner turned count from the first of them on.
#[must_use]
pub fn turns(node: &Log, miner: &Log) -> Vec<f64> {
    let waits = node.tips.iter().filter_map(|(tip, at)| {
        let begun = miner.searches.get(tip)?;
        Some(milliseconds(begun.saturating_sub(*at)))
    });
    waits.collect()
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
