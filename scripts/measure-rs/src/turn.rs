//! How soon a miner turns to a new tip: from the block's connection at its node to its first hash on it.
//!
//! Two miners make the tips for each other, on a network whose blocks take a tenth of a second: for each about half of
//! them come from the other, in the middle of a search that has to be given up.

use std::time::Duration;

use anyhow::{Result, ensure};
use printsy_scenarios::calibrate;
use printsy_scenarios::folder::Folder;
use printsy_scenarios::miner::ExternalMiner;
use printsy_scenarios::network::Node;
use printsy_scenarios::wait::{Look, until};

use crate::logs::{Log, Turn, turns};
use crate::place::{Place, stop};
use crate::table::{Row, percentile};

/// How many milliseconds a block takes two miners.
const INTERVAL_MS: u64 = 100;
/// How many of the tips both miners must have turned to, percent.
const ENOUGH_PERCENT: usize = 95;
/// The bars, ms.
const BAR_IN_PROCESS: f64 = 5.0;
const BAR_BY_RPC: f64 = 20.0;

/// Measures it over so many blocks: for a miner in the node's process, and for one by RPC on the loopback.
///
/// # Errors
/// If anything does not run as it should.
pub async fn run(place: &Place, blocks: u64) -> Result<Vec<Row>> {
    let rate = calibrate::measure(2)?;
    let genesis = place.constant(rate.per_second * INTERVAL_MS / 1_000)?;
    let folder = Folder::temporary()?;
    let line = vec!["--mine", "--miner-key", "dev:miner-1", "--threads", "1"];
    let nodes = place.nodes(&folder, &genesis, &[line]).await?;
    let url = nodes[0].url();
    let miner = ExternalMiner::start(&place.program("printsy-miner"), "dev:miner-2", &[&url])?;
    grown(&nodes[0], blocks).await?;
    let said = miner.stop().await?;
    let log = nodes[0].log().to_owned();
    stop(nodes).await?;
    let (node, miner) = (Log::read(&log)?, Log::of(said.into_iter())?);
    let waits = |miner: &Log| -> Vec<f64> { turns(&node, miner).iter().map(Turn::wait).collect() };
    let (inside, outside) = (waits(&node), waits(&miner));
    // Only the first tips, before the program ran, and the very last may be missing.
    let enough = node.order.len() * ENOUGH_PERCENT / 100;
    ensure!(
        inside.len() >= enough && outside.len() >= enough,
        "of {} tips, {} and {} were turned to",
        node.order.len(),
        inside.len(),
        outside.len()
    );
    Ok(vec![
        Row::barred("new tip to first hash, in process, p99", percentile(&inside, 99), BAR_IN_PROCESS, "ms"),
        Row::told("  median", percentile(&inside, 50), "ms"),
        Row::barred("new tip to first hash, by RPC, p99", percentile(&outside, 99), BAR_BY_RPC, "ms"),
        Row::told("  median", percentile(&outside, 50), "ms"),
    ])
}

/// Waits until the chain has so many blocks.
async fn grown(node: &Node, blocks: u64) -> Result<()> {
    // A slow machine's share of the cores is smaller than measured; ten times the time is no hang.
    let within = Duration::from_millis(blocks * INTERVAL_MS * 10) + Duration::from_secs(60);
    until(&format!("{blocks} blocks"), within, async || {
        let height = node.chain().await?.tip.height;
        Ok(if height >= blocks { Look::Yes(()) } else { Look::NotYet(height.to_string()) })
    })
    .await
}
