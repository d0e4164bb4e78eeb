//! Three miners on a fresh network: how the first blocks come, how deep the chain is undone, and what work is wasted.
//!
//! Two of the miners are nodes that mine, the third is the program `printsy-miner` at a node that does not. The genesis
//! is the one at hand but for its time, which is now: how soon its difficulty finds the machine's rate is part of it.

use std::time::Duration;

use anyhow::{Context, Result};
use printsy_rpc::block::{BlockSelector, GetHeader, GetHeaderParams};
use printsy_scenarios::folder::Folder;
use printsy_scenarios::miner::ExternalMiner;
use printsy_scenarios::network::Node;
use printsy_scenarios::wait::{Look, until};

use crate::logs::{Log, Turn, Us, milliseconds, turns};
use crate::place::{Place, stop};
use crate::table::Row;

/// How far the mean interval may be from its target, percent of it.
const BAR_INTERVAL: f64 = 25.0;
/// The deepest reorganisation.
const BAR_DEPTH: f64 = 6.0;
/// How much of the work may be on templates of a tip that is none any more, percent.
const BAR_STALE: f64 = 0.5;

/// Measures it over so many blocks.
///
/// # Errors
/// If anything does not run as it should.
pub async fn run(place: &Place, blocks: u64) -> Result<Vec<Row>> {
    let genesis = place.fresh()?;
    let folder = Folder::temporary()?;
    let mine = |key| vec!["--mine", "--miner-key", key, "--threads", "1"];
    let lines = [mine("dev:miner-1"), mine("dev:miner-2"), vec![]];
    let nodes = place.nodes(&folder, &genesis, &lines).await?;
    let url = nodes[2].url();
    let miner = ExternalMiner::start(&place.program("printsy-miner"), "dev:miner-3", &[&url])?;
    let interval = genesis.params().target_interval_ms;
    let within = Duration::from_millis(blocks * interval * 4) + Duration::from_secs(60);
    until(&format!("{blocks} blocks"), within, async || {
        let height = nodes[2].chain().await?.tip.height;
        Ok(if height >= blocks { Look::Yes(()) } else { Look::NotYet(height.to_string()) })
    })
    .await?;
    let (first, last) = (time(&nodes[2], 1).await?, time(&nodes[2], blocks).await?);
    let said = miner.stop().await?;
    let paths: Vec<_> = nodes.iter().map(|node| node.log().to_owned()).collect();
    stop(nodes).await?;
    let logs: Vec<Log> = paths.iter().map(|path| Log::read(path)).collect::<Result<_>>()?;
    let outside = Log::of(said.into_iter())?;
    rows(&logs, &outside, interval, float(last.saturating_sub(first)) / float(blocks - 1))
}

fn rows(logs: &[Log], outside: &Log, interval: u64, mean: f64) -> Result<Vec<Row>> {
    let off = (mean / float(interval) - 1.0).abs() * 100.0;
    let depth = logs.iter().flat_map(|log| &log.reorganisations).max().copied().unwrap_or(0);
    Ok(vec![
        Row::told("three miners: mean interval", mean, "ms"),
        Row::barred("  off its target", off, BAR_INTERVAL, "%"),
        Row::barred("  deepest reorganisation", float(depth), BAR_DEPTH, "blocks"),
        Row::barred("work on stale templates, in process", stale(&logs[0], &logs[0])?, BAR_STALE, "%"),
        Row::barred("work on stale templates, by RPC", stale(&logs[2], outside)?, BAR_STALE, "%"),
    ])
}

/// How much of the time of a miner at a node went into tips that were none there any more, percent: from the moment
/// that a tip is connected to the moment that the miner searches on it, or on a later one.
fn stale(node: &Log, miner: &Log) -> Result<f64> {
    let turns = turns(node, miner);
    let (first, last) = turns.first().zip(turns.last()).context("no tip was turned to")?;
    // Where several tips come before the miner turns, each counts from its own connection to the next one's.
    let until = |turn: &Turn| turn.replaced.map_or(turn.begun, |replaced| replaced.min(turn.begun));
    let wasted: Us = turns.iter().map(|turn| until(turn).saturating_sub(turn.connected)).sum();
    Ok(100.0 * milliseconds(wasted) / milliseconds(last.begun.saturating_sub(first.connected).max(1)))
}

/// The time in the header at a height, ms.
async fn time(node: &Node, height: u64) -> Result<u64> {
    let block = BlockSelector::Height(height.try_into().map_err(anyhow::Error::msg)?);
    Ok(node.ask::<GetHeader>(&GetHeaderParams { block }).await.context("a block of the chain")?.time)
}

#[expect(clippy::cast_precision_loss, reason = "times of a run and depths of chains are far below 2^53")]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wasted_is_the_time_between_a_tip_and_the_turn_to_it_or_a_later_one() -> Result<()> {
        let named = |at: Us, name: &str| (at, name.to_owned());
        let order = [(1_000, "a"), (2_000, "b"), (2_100, "c"), (9_000, "d")];
        let node = Log { order: order.map(|(at, tip)| (tip.to_owned(), at)).into(), ..Log::default() };
        // 10 late on a, none on b, 50 and then 100 late on c, 1,000 late on d.
        let searches = vec![named(0, "0"), named(1_010, "a"), named(2_150, "c"), named(10_000, "d")];
        let miner = Log { searches, ..Log::default() };
        let wasted = 10.0 + 100.0 + 50.0 + 1_000.0;
        assert!((stale(&node, &miner)? - 100.0 * wasted / 9_000.0).abs() < 1e-9);
        assert!(stale(&node, &Log::default()).is_err(), "nothing was measured");
        Ok(())
    }
}
