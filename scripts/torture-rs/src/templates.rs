//! `templates`: what a ledger offers to be mined, under random orders, registry changes and reorganisations, each
//! judged by the naive world; and blocks of them, some of them late.

use anyhow::Result;
use tokio::time::Instant;

use crate::report::Report;
use crate::seeds;
use crate::support::Random;
use crate::support::orders::begin_references;
use crate::support::templates::{Tally, templates_are_valid};

/// How many templates one workload judges.
const EACH: u64 = 50;

/// Judges `count` templates, and reports.
///
/// # Errors
/// The first that is invalid, with its seed.
pub fn run(seed: u64, count: u64) -> Result<Report> {
    let begun = Instant::now();
    let workloads = count.div_ceil(EACH);
    let tallies = seeds::each(seed, workloads, |seed| {
        begin_references();
        Ok(templates_are_valid(&mut Random::new(seed), EACH))
    })?;
    let mut report = Report::new("templates");
    let sum = |of: fn(&Tally) -> u64| tallies.iter().map(of).sum::<u64>();
    report.add("workloads", workloads);
    report.add("templates, none invalid", sum(|tally| tally.templates));
    report.add("of them empty", sum(|tally| tally.empty));
    report.add("with a registrar's action", sum(|tally| tally.with_registry));
    report.add("orders in them", sum(|tally| tally.orders));
    report.add("miners refused, rightly", sum(|tally| tally.refused));
    report.add("blocks on a parent that was the tip no more", sum(|tally| tally.late_blocks));
    report.add("reorganisations", sum(|tally| tally.reorganisations));
    report.add("seconds", begun.elapsed().as_secs());
    Ok(report)
}
