//! How hard the network's work is to be: fit for the machine it runs on.
//!
//! The hash rate is measured with the miner that the nodes use, on as many threads as the nodes will mine with,
//! so that fewer cores than threads are accounted for. `genesis.json`'s easiest target is then such that the
//! three miners together take about a block's interval; from there the chain's own rule follows what happens.

use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use printsy_consensus::{Genesis, Header};
use printsy_miner::{Cancel, Job, Miner, Search};
use tokio::time::Instant;

/// How long the hash rate is measured.
const MEASURE_TIME: Duration = Duration::from_millis(500);
/// What part of the measured rate the miners get, in percent: the nodes, the wallet and the forger want the
/// same cores, and the easiest target is a floor that no slow start gets below.
const MINING_PERCENT: u64 = 75;

/// What a machine can do.
#[derive(Clone, Copy, Debug)]
pub struct HashRate {
    /// Hashes a second, of all threads together.
    pub per_second: u64,
    /// How many threads.
    pub threads: usize,
    /// What they compute with.
    pub kernel: &'static str,
}

/// Measures what `threads` threads do together. Takes about half a second.
///
/// # Errors
/// If the miner cannot be started.
pub fn measure(threads: usize) -> Result<HashRate> {
    let miner = Miner::new(threads)?;
    // No hash is zero, as far as anybody knows: the search ends when it is told to.
    let job = Job { header: [0; Header::LEN], target: [0; 32] };
    let cancel = Cancel::new();
    let begin = Instant::now();
    let end = thread::scope(|scope| {
        let search = scope.spawn(|| miner.search(&job, 0, &cancel));
        thread::sleep(MEASURE_TIME);
        cancel.cancel();
        search.join()
    });
    let elapsed_ms = u64::try_from(begin.elapsed().as_millis())?.max(1);
    match end {
        Ok(Search::Cancelled) => {}
        other => bail!("expected the measurement to be cancelled, got {other:?}"),
    }
    let per_second = miner.hashes().saturating_mul(1_000) / elapsed_ms;
    Ok(HashRate { per_second, threads, kernel: miner.kernel_name() })
}

/// `template`, beginning at `now` (ms since 1970), with work for a machine of this rate.
///
/// # Errors
/// If the template is no genesis.
pub fn stamp(template: &str, now: u64, rate: &HashRate) -> Result<Genesis> {
    let template = Genesis::from_json(template)?;
    let mut params = template.params().clone();
    let hashes = rate.per_second / 100 * MINING_PERCENT * params.target_interval_ms / 1_000;
    params.time = now;
    params.bits = bits_for(hashes);
    Ok(Genesis::new(params)?)
}

/// The canonical compact target that takes about this many hashes to meet: `2^256 / hashes`, and at least three.
///
/// # Panics
/// Never: a quotient of 2^120 by any number has its leading digits.
#[must_use]
pub fn bits_for(hashes: u64) -> u32 {
    let hashes = u128::from(hashes.max(MIN_HASHES));
    // A compact target is mantissa * 256^(size - 3), so that mantissa = 2^(256 - 8 * (size - 3)) / hashes. The
    // largest size whose mantissa has its two leading digits is the canonical one.
    let sizes = (20..=32u32).rev().map(|size| (size, 280 - 8 * size));
    let mut mantissas = sizes.map(|(size, power)| (size, (1u128 << power) / hashes));
    let (size, mantissa) =
        mantissas.find(|(_, mantissa)| *mantissa >= 0x8000).expect("2^120 / 2^64 is above 2^15");
    u32::try_from(mantissa).expect("one digit more than what was too small") | (size << 24)
}

/// The easiest work of all: compact targets end below 2^255.
const MIN_HASHES: u64 = 3;

#[cfg(test)]
mod tests {
    use printsy_consensus::{Target, Work};

    use super::*;

    #[test]
    fn bits_stand_for_the_work_asked_for() {
        let mut unit = [0; 32];
        unit[31] = 1;
        for hashes in (0..62).flat_map(|bit| [1u64 << bit, (1 << bit) + (1 << bit) / 3, 3 << bit >> 1]) {
            let target = Target::from_bits(bits_for(hashes)).unwrap();
            let work = target.work().in_units_of(Work::from_be_bytes(unit));
            let asked = hashes.max(MIN_HASHES);
            assert!(work + 1 >= asked && work <= asked + asked / 256 + 1, "{hashes}: {work}");
        }
    }

    #[test]
    fn bits_are_a_target_for_every_rate() {
        for hashes in [0, 1, 2, 3, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            assert!(Target::from_bits(bits_for(hashes)).is_some(), "{hashes}");
        }
    }

    #[test]
    fn a_stamped_genesis_is_the_template_with_time_and_bits() {
        let template = include_str!("../../../genesis.json");
        let rate = HashRate { per_second: 3_000_000, threads: 3, kernel: "test" };
        let stamped = stamp(template, 1_800_000_000_123, &rate).unwrap();
        let mut expected = Genesis::from_json(template).unwrap().params().clone();
        expected.time = 1_800_000_000_123;
        expected.bits = bits_for(4_500_000);
        assert_eq!(*stamped.params(), expected);
    }
}
