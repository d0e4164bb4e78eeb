//! `templates`: what a ledger offers to be mined, under random orders, registry changes and reorganisations, each
//! judged by the naive world; and blocks of them, some of them late. And how long the largest one takes.

use anyhow::{Result, ensure};
use printsy_consensus::PublicKey;
use printsy_ledger::{Ledger, Template, TemplateError};
use tokio::time::Instant;

use crate::report::Report;
use crate::seeds;
use crate::support::orders::{begin_references, order, public, purchase};
use crate::support::templates::{Tally, templates_are_valid};
use crate::support::{Node, Random, genesis_with};

/// How many templates one workload judges.
const EACH: u64 = 50;
/// How many orders wait for the largest template, more than fit, and of how many accounts.
const LARGEST: u64 = 24_000;
const BUYERS: u64 = 20;

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

/// Adds how long a full block of small orders takes: made at once and verified whole, and asked for again; and an empty
/// one.
///
/// # Errors
/// Where an order is refused, or no template is made.
pub fn time_the_largest(report: &mut Report) -> Result<()> {
    begin_references();
    let genesis = genesis_with(|params| params.max_block_bytes = 4 << 20);
    let mut node = Node::new(&genesis);
    for image in 0..LARGEST {
        let buyer = format!("buyer-{}", image % BUYERS);
        node.admit(&order(&genesis, 1, &buyer, purchase(&[(image, 1)], 0)))?;
    }
    let (miner, now) = (public("miner-1"), node.now());
    let mut timed = |what: &str, make: fn(&mut Ledger, PublicKey, u64) -> Made| -> Result<()> {
        let begun = Instant::now();
        let orders = make(&mut node.ledger, miner, now)?.transactions.len();
        report.add(&format!("{what}, orders"), u64::try_from(orders).unwrap_or(u64::MAX));
        report.add(&format!("{what}, us"), u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
        Ok(())
    };
    timed("empty", |ledger, miner, now| ledger.empty_template(miner, now))?;
    timed("full, made and verified", Ledger::template)?;
    timed("full, asked for again", Ledger::template)?;
    // One that broke a rule is counted and the empty one goes out instead.
    ensure!(node.ledger.template_faults() == 0, "a template that was made breaks a rule");
    Ok(())
}

type Made = Result<Template, TemplateError>;
