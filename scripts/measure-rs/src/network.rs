//! Three miners on a fresh network: how the first blocks come, how deep the chain is undone, and what work is wasted.
//!
//! Two of the miners are nodes that mine, the third is the program `printsy-miner` at a node that does not. The genesis
//! is the one at hand, stamped with the present time and this machine's rate, as a development network's is.

use std::time::Duration;

use anyhow::{Context, Result};
use printsy_rpc::block::{BlockSelector, GetHeader, GetHeaderParams};
use printsy_scenarios::calibrate;
use printsy_scenarios::folder::Folder;
use printsy_scenarios::miner::ExternalMiner;
use printsy_scenarios::network::{MINERS, Node};
use printsy_scenarios::stage::now_ms;
use printsy_scenarios::wait::{Look, until};

use crate::logs::{Log, Us, milliseconds};
use crate::place::{Place, stop};
use crate::table::Row;

/// How many times the machine's rate is measured, of which the best counts.
const CALIBRATIONS: usize = 5;
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
    // What else the machine does in one half of a second must not make the work too little for all that follow.
    let rates = (0..CALIBRATIONS).map(|_| calibrate::measure(MINERS.len())).collect::<Result<Vec<_>>>()?;
    let rate = rates.into_iter().max_by_key(|rate| rate.per_second).context("it was measured")?;
    let genesis = calibrate::stamp(&place.genesis, now_ms(), &rate)?;
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
    Ok(rows(&logs, &outside, interval, float(last.saturating_sub(first)) / float(blocks - 1)))
}

fn rows(logs: &[Log], outside: &Log, interval: u64, mean: f64) -> Vec<Row> {
    let off = (mean / float(interval) - 1.0).abs() * 100.0;
    let depth = logs.iter().flat_map(|log| &log.reorganisations).max().copied().unwrap_or(0);
    vec![
        Row::told("three miners, bits as this machine hashes: mean interval", mean, "ms"),
        Row::barred("  off its target", off, BAR_INTERVAL, "%"),
        Row::barred("  deepest reorganisation", float(depth), BAR_DEPTH, "blocks"),
        Row::barred("work on stale templates, in process", stale(&logs[0], &logs[0]), BAR_STALE, "%"),
        Row::barred("work on stale templates, by RPC", stale(&logs[2], outside), BAR_STALE, "%"),
    ]
}

/// How much of the time of a miner at a node went into tips that were none there any more, percent: from the moment
/// that a tip is connected to the moment that the miner searches on it, or on a later one.
fn stale(node: &Log, miner: &Log) -> f64 {
    let Some((begun, ended)) = miner.turns.first().zip(miner.turns.last()).map(|(a, b)| (a.0, b.0)) else {
        return 100.0;
    };
    let place: std::collections::HashMap<&str, usize> =
        node.order.iter().enumerate().map(|(at, (tip, _))| (tip.as_str(), at)).collect();
    let mut wasted: Us = 0;
    let mut turns = miner.turns.iter().peekable();
    for (at, (_, connected)) in node.order.iter().enumerate() {
        let caught_up = |turn: &&(Us, String)| place.get(turn.1.as_str()).is_some_and(|turned| *turned >= at);
        while turns.peek().is_some_and(|turn| !caught_up(turn)) {
            turns.next();
        }
        let Some((turned, _)) = turns.peek() else { break };
        if *connected >= begun {
            // Where several tips come before the miner turns, each counts from its own connection to the next one's.
            let until = node.order.get(at + 1).map_or(*turned, |(_, next)| (*next).min(*turned));
            wasted = wasted.saturating_add(until.saturating_sub(*connected));
        }
    }
    100.0 * milliseconds(wasted) / milliseconds(ended.saturating_sub(begun).max(1))
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

    fn tip(name: &str, at: Us) -> (String, Us) {
        (name.to_owned(), at)
    }

    #[test]
    fn what_is_wasted_is_the_time_between_a_tip_and_the_turn_to_it_or_a_later_one() {
        let order = vec![tip("a", 1_000), tip("b", 2_000), tip("c", 2_100), tip("d", 9_000)];
        let node = Log { order, ..Log::default() };
        let turn = |at, name: &str| (at, name.to_owned());
        // 10 late on a, none on b, 50 and then 100 late on c, 1,000 late on d.
        let turns = vec![turn(0, "0"), turn(1_010, "a"), turn(2_150, "c"), turn(10_000, "d")];
        let miner = Log { turns, ..Log::default() };
        let wasted = 10.0 + 100.0 + 50.0 + 1_000.0;
        assert!((stale(&node, &miner) - 100.0 * wasted / 10_000.0).abs() < 1e-9);
    }
}
