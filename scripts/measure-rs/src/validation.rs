//! What mining costs a node: how long it takes to a verdict on a block, with its miner on and off.
//!
//! A node makes a chain of full blocks once. Then nodes that begin anew are handed these blocks one after the other,
//! round by round with the miner on and off in turn, and the median of the rounds' medians is compared. The work is such
//! that a miner finds next to nothing meanwhile; a block that it did beat is left out, and a round in which it beat more
//! than half of them is taken again.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use printsy_consensus::codec::{self, List};
use printsy_consensus::{Action, Body, Genesis, Hash, Line, SecretKey};
use printsy_rpc::admin::{GenerateBlocks, GenerateBlocksParams};
use printsy_rpc::market::{ExecuteManyParams, ExecuteTransactions, Wait};
use printsy_rpc::mining::{SubmitBlock, SubmitBlockParams, Verdict};
use printsy_rpc::text::BlockHex;
use printsy_rpc::{Client, TransactionHex};
use printsy_scenarios::blocks::block_bytes;
use printsy_scenarios::calibrate;
use printsy_scenarios::folder::Folder;
use printsy_scenarios::network::Node;
use printsy_scenarios::wait::{Look, until};
use tokio::time::Instant;

use crate::logs::Log;
use crate::place::{Place, stop};
use crate::table::{Row, percentile};

/// How many purchases each block holds.
const PURCHASES: u64 = 500;
/// How long a miner of one thread takes for a block, ms: long beside a round.
const WORK_MS: u64 = 5_000;
/// How long a miner may take until it is at work.
const WARM_UP: Duration = Duration::from_secs(30);
/// How often a round is taken again before the machine is too uneven to tell.
const TRIES: usize = 10;
/// The bar: so many times as long.
const BAR: f64 = 1.5;

/// Measures it by so many blocks in so many rounds.
///
/// # Errors
/// If anything does not run as it should.
pub async fn run(place: &Place, blocks: u64, rounds: u64) -> Result<Vec<Row>> {
    let rate = calibrate::measure(1)?;
    let genesis = place.constant(rate.per_second * WORK_MS / 1_000)?;
    let chain = chain(place, &genesis, blocks).await?;
    let (mut off, mut on) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        off.push(round(place, &genesis, &chain, false).await?);
        on.push(round(place, &genesis, &chain, true).await?);
    }
    let (off, on) = (percentile(&off, 50), percentile(&on, 50));
    Ok(vec![
        Row::told("validation of a block, the miner off, median", off, "ms"),
        Row::told("validation of a block, the miner on, median", on, "ms"),
        Row::barred("  times as long", on / off, BAR, ""),
    ])
}

/// A chain of full blocks, made by a node.
async fn chain(place: &Place, genesis: &Genesis, blocks: u64) -> Result<Vec<BlockHex>> {
    let folder = Folder::temporary()?;
    let nodes = place.nodes(&folder, genesis, &[vec![]]).await?;
    let node = &nodes[0];
    let mut chain = Vec::new();
    for height in 1..=blocks {
        let transactions = (0..PURCHASES).map(|number| purchase(&genesis.hash(), height, number));
        let transactions = transactions.collect::<Result<Vec<_>>>()?;
        let transactions = transactions.try_into().map_err(anyhow::Error::msg)?;
        let wait = Some(Wait::Admitted);
        let params = ExecuteManyParams { transactions, wait, timeout_ms: None };
        node.ask::<ExecuteTransactions>(&params).await?;
        let count = 1.try_into().map_err(anyhow::Error::msg)?;
        node.ask::<GenerateBlocks>(&GenerateBlocksParams { count }).await?;
        let bytes = block_bytes(node.client(), height).await?.context("the block is there")?;
        chain.push(BlockHex::new(bytes).map_err(anyhow::Error::msg)?);
    }
    stop(nodes).await?;
    Ok(chain)
}

/// A free purchase that is like no other.
fn purchase(genesis: &Hash, height: u64, number: u64) -> Result<TransactionHex> {
    let key = SecretKey::development("alice");
    let mut reference = [0; 16];
    reference[..8].copy_from_slice(&height.to_le_bytes());
    reference[8..].copy_from_slice(&number.to_le_bytes());
    let lines: List<Line, 256> = vec![Line { image: height * PURCHASES + number, quantity: 1 }]
        .try_into()
        .expect("one line is allowed");
    let action = Action::Purchase { lines, total: 0 };
    let body = Body { sender: key.public_key(), reference, expires_at: height + 100, action };
    TransactionHex::new(codec::encode(&body.sign(genesis, &key))).map_err(anyhow::Error::msg)
}

/// One round that counts: the median of the waits for a verdict, ms.
async fn round(place: &Place, genesis: &Genesis, chain: &[BlockHex], mines: bool) -> Result<f64> {
    for _ in 0..TRIES {
        let waits = waits(place, genesis, chain, mines).await?;
        if waits.len() * 2 >= chain.len() {
            return Ok(percentile(&waits, 50));
        }
    }
    bail!("expected a miner that rarely beats a block, got {TRIES} rounds in which it beat most of them")
}

/// The waits for a verdict of a node that begins anew, ms, without the blocks that its own miner beat.
async fn waits(place: &Place, genesis: &Genesis, chain: &[BlockHex], mines: bool) -> Result<Vec<f64>> {
    let folder = Folder::temporary()?;
    let line = match mines {
        true => vec!["--mine", "--miner-key", "dev:miner-2"],
        false => vec![],
    };
    let nodes = place.nodes(&folder, genesis, &[line]).await?;
    if mines {
        at_work(&nodes[0]).await?;
    }
    let mut waits = Vec::new();
    for block in chain {
        waits.extend(hand_in(nodes[0].client(), block.clone()).await?);
    }
    stop(nodes).await?;
    Ok(waits)
}

/// Waits until a node's miner searches.
async fn at_work(node: &Node) -> Result<()> {
    until("a search", WARM_UP, async || {
        let searches = Log::read(node.log())?.searches.len();
        Ok(if searches > 0 { Look::Yes(()) } else { Look::NotYet("none".to_owned()) })
    })
    .await
}

/// Hands a block in: how long its verdict took, unless another block was there first.
async fn hand_in(node: &Client, block: BlockHex) -> Result<Option<f64>> {
    let asked = Instant::now();
    let submission = node.call::<SubmitBlock>(&SubmitBlockParams::Block { block }).await?;
    let wait = asked.elapsed().as_secs_f64() * 1_000.0;
    match submission.verdict {
        Verdict::Accepted => Ok(Some(wait)),
        Verdict::Stale => Ok(None),
        other => anyhow::bail!("expected a block to be accepted, got {other:?}: {submission:?}"),
    }
}
