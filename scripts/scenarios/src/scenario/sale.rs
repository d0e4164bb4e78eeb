//! Scenario 1: a valid purchase, sent to a node that does not mine, is confirmed everywhere.
//!
//! Bought through the wallet a person would use, on the node that does not mine, so that gossip, mining and validation
//! by others are all on the way.

use anyhow::Result;

use crate::stage::{Stage, expect_eq, short};

/// The image on sale, of which the network's MAX of 100 are left.
const IMAGE: u64 = 25;

/// Buys an edition.
///
/// # Errors
/// The first deviation.
pub async fn play(stage: &mut Stage) -> Result<()> {
    stage.story.scenario(1, "A valid purchase");
    stage.story.step(&format!("is image {IMAGE} to be had? at node 4"));
    let before = stage.network.shop().available(IMAGE).await?;
    expect_eq("editions left and MAX", &(100, 100), &(before.remaining, before.max))?;
    expect_eq("the last block that sold one", &None, &before.last_block)?;
    expect_eq("available", &true, &before.available)?;
    stage.story.done("100 of 100 left, never sold");

    stage.story.step("alice buys one at node 4, which does not mine");
    let said = stage.wallet(&format!("buy {IMAGE} --key dev:alice")).await?;
    expect_eq("edition 1 in the answer", &true, &said.answer.contains("edition 1 of 100"))?;
    stage.story.done("admitted, gossiped, mined by another node, validated by all, answered");

    stage.story.step(&format!("isAvailable({IMAGE}), at each"));
    let after = stage.agreed(IMAGE, 1).await?;
    expect_eq("editions left and MAX", &(99, 100), &(after.remaining, after.max))?;
    let Some(last) = after.last_block else { anyhow::bail!("expected the block that sold it, got none") };
    stage.story.done(&format!(
        "each says 99 of 100, last sold in block {} ({})",
        last.height,
        short(last.hash)
    ));
    Ok(())
}
