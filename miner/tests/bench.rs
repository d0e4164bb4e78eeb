//! The laws of measuring: everything asked for is told, and nothing that computes wrongly is measured. The figures
//! themselves are the machine's.

use std::time::Duration;

use printsy_miner::bench::{Plan, rates, turns};
use printsy_miner::{Error, Kernel, Miner, PORTABLE, kernels};

const SHORT: Plan = Plan { threads: 2, rounds: 3, measurement: Duration::from_millis(2) };

#[test]
fn every_kernel_and_the_baseline_have_a_rate() {
    let report = rates(&kernels(), &SHORT).unwrap();
    assert!(report.sha2_midstate > 0.0);
    let names: Vec<&str> = report.kernels.iter().map(|rate| rate.kernel).collect();
    assert_eq!(names, kernels().iter().map(|kernel| kernel.name).collect::<Vec<_>>());
    assert!(report.kernels.iter().all(|rate| rate.one_thread > 0.0 && rate.all_threads > 0.0), "{report:?}");
}

#[test]
fn no_rounds_are_one_round() {
    let report = rates(&[PORTABLE], &Plan { rounds: 0, ..SHORT }).unwrap();
    assert!(report.kernels[0].one_thread > 0.0);
}

#[test]
fn a_kernel_that_computes_wrongly_is_not_measured() {
    let wrong = Kernel { name: "finds nothing", first_hit: |_, _| None, ..PORTABLE };
    assert!(matches!(
        rates(&[PORTABLE, wrong], &SHORT),
        Err(Error::SelfTest { kernel: "finds nothing", .. })
    ));
}

#[test]
fn every_turn_to_the_next_search_is_timed() {
    assert_eq!(turns(&Miner::new(2).unwrap(), 7).len(), 7);
}
