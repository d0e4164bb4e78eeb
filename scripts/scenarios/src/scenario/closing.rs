//! At the end: one chain everywhere, the same counts everywhere, also after a restart; and a table of them.
//!
//! Miners go on mining meanwhile, so tips may differ by a block; counts may not. The node that is restarted is the one
//! that does not mine.

use anyhow::{Result, ensure};
use printsy_rpc::HashHex;
use printsy_rpc::block::{BlockSelector, GetHeader, GetHeaderParams};
use printsy_rpc::market::Availability;

use crate::stage::{AGREE_TIME, Stage, expect_eq, short};
use crate::wait::{Look, until};

/// The images of the scenarios.
const IMAGES: [u64; 4] = [7, 25, 26, 27];

/// Compares the nodes, restarts one, and compares again.
///
/// # Errors
/// The first deviation.
pub async fn play(stage: &mut Stage) -> Result<()> {
    stage.story.scenario(4, "One chain, one count");
    stage.story.step("do all nodes have one chain? the same block at the height all have reached");
    let (height, hash) = one_chain(stage).await?;
    stage.story.done(&format!("block {height} is {} at each", short(hash)));

    stage.story.step("what do they count?");
    let counts = one_count(stage).await?;
    stage.story.done("the same at each node, and counted from the orders in the blocks");

    stage.story.step("node 4 is stopped (SIGTERM) and started again");
    stage.network.shop_mut().stop().await?;
    stage.story.detail("ended with exit code 0");
    stage.network.shop_mut().start().await?;
    let (height, hash) = one_chain(stage).await?;
    let again = one_count(stage).await?;
    for (before, after) in counts.iter().zip(&again) {
        expect_eq("sold and last block", &(before.sold, before.last_block), &(after.sold, after.last_block))?;
    }
    stage.story.done(&format!("the same counts; block {height} is {} at each", short(hash)));
    table(stage, &again);
    Ok(())
}

/// Waits until the nodes are within a block of one another, and have the same block at the height all have.
async fn one_chain(stage: &Stage) -> Result<(u64, HashHex)> {
    let nodes = stage.network.nodes();
    until("one chain at all nodes", AGREE_TIME, async || {
        let mut heights = Vec::new();
        for node in nodes {
            heights.push(node.chain().await?.tip.height);
        }
        let (least, most) = heights.iter().fold((u64::MAX, 0), |(low, high), h| (low.min(*h), high.max(*h)));
        if most - least > 1 {
            return Ok(Look::NotYet(format!("heights {heights:?}")));
        }
        let mut hashes = Vec::new();
        for node in nodes {
            let block = BlockSelector::Height(least.try_into().map_err(anyhow::Error::msg)?);
            hashes.push(node.ask::<GetHeader>(&GetHeaderParams { block }).await?.hash);
        }
        let same = hashes.iter().all(|hash| *hash == hashes[0]);
        Ok(if same { Look::Yes((least, hashes[0])) } else { Look::NotYet(format!("{hashes:?} at {least}")) })
    })
    .await
}

/// What all nodes say of all images, which is what the replica counts.
async fn one_count(stage: &mut Stage) -> Result<Vec<Availability>> {
    stage.follow().await?;
    let mut all = Vec::new();
    for image in IMAGES {
        let sold = u32::try_from(stage.replica.sold(image))?;
        let count = stage.agreed(image, sold).await?;
        ensure!(count.sold <= count.max, "image {image}: {} of {} are sold", count.sold, count.max);
        expect_eq("sold and left make MAX", &count.max, &(count.sold + count.remaining))?;
        all.push(count);
    }
    Ok(all)
}

fn table(stage: &Stage, counts: &[Availability]) {
    stage.story.line("\n  image   MAX   sold   left   last sold in");
    for count in counts {
        let last = count.last_block.map(|block| format!("{} ({})", block.height, short(block.hash)));
        stage.story.line(&format!(
            "  {:>5} {:>5}  {:>5}  {:>5}   {}",
            count.image,
            count.max,
            count.sold,
            count.remaining,
            last.unwrap_or_else(|| "never".to_owned())
        ));
    }
    stage.story.line(&format!(
        "  {} blocks with {} orders, each executed again by the replica to the same root",
        stage.replica.tip().height,
        stage.replica.transactions()
    ));
}
