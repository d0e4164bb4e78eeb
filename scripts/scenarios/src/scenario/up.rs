//! Before the scenarios: four nodes of one network, connected, ready, and mining.
//!
//! Nothing is acted before each node names the same genesis, has peers, answers that it is ready, and sees the chain
//! grow.

use anyhow::{Result, ensure};
use printsy_rpc::NoParams;
use printsy_rpc::chain::GetPeers;

use crate::network::SHOP;
use crate::stage::{AGREE_TIME, Stage, expect_eq, short};
use crate::wait::{Look, until};

/// How many blocks show that the chain grows everywhere.
const GROWN_BLOCKS: u64 = 2;

/// Starts the network.
///
/// # Errors
/// The first deviation.
pub async fn play(stage: &mut Stage) -> Result<()> {
    stage.story.scenario(0, "Four nodes become one network");
    stage.story.step("start node 1, which mines; then nodes 2 and 3, which mine, and 4, which does not");
    stage.network.start().await?;
    for node in stage.network.nodes() {
        let role = if node.number() == SHOP { "sells" } else { "mines" };
        stage.story.detail(&format!("{} {role}  {}", node.name(), node.url()));
    }
    stage.story.done("all ready (GET /readyz is 200)");
    one_genesis(stage).await?;
    connected(stage).await?;
    growing(stage).await
}

async fn one_genesis(stage: &mut Stage) -> Result<()> {
    stage.story.step("is it one network? getChain, at each");
    let genesis = stage.network.genesis().hash();
    for node in stage.network.nodes() {
        let chain = node.chain().await?;
        expect_eq(&format!("{}'s genesis", node.name()), &genesis, &chain.genesis.into())?;
        expect_eq(&format!("{}'s network", node.name()), &"dev-local".to_owned(), &chain.network)?;
    }
    stage.story.done(&format!("all have genesis {}", short(genesis)));
    Ok(())
}

async fn connected(stage: &mut Stage) -> Result<()> {
    stage.story.step("are they connected? getPeers, at each");
    for node in stage.network.nodes() {
        // Everybody called node 1; whom else they know, they learn from it by and by.
        let least = if node.number() == 1 { SHOP - 1 } else { 1 };
        let expected = format!("{} to have {least} peers or more", node.name());
        let peers = until(&expected, AGREE_TIME, async || {
            let peers = node.ask::<GetPeers>(&NoParams {}).await?.len();
            Ok(if peers >= least { Look::Yes(peers) } else { Look::NotYet(peers.to_string()) })
        });
        stage.story.detail(&format!("{} has {} peers", node.name(), peers.await?));
    }
    stage.story.done("connected");
    Ok(())
}

async fn growing(stage: &mut Stage) -> Result<()> {
    stage.story.step(&format!("does the chain grow at each? {GROWN_BLOCKS} blocks more than now"));
    let goal = stage.network.shop().chain().await?.tip.height + GROWN_BLOCKS;
    for node in stage.network.nodes() {
        let expected = format!("{} to reach height {goal}", node.name());
        until(&expected, AGREE_TIME, async || {
            let height = node.chain().await?.tip.height;
            Ok(if height >= goal { Look::Yes(()) } else { Look::NotYet(format!("height {height}")) })
        })
        .await?;
    }
    stage.follow().await?;
    ensure!(stage.replica.tip().height >= goal, "the shop's chain has become shorter");
    stage.story.done(&format!(
        "all have reached height {goal}; a replica has executed the chain by itself to height {}",
        stage.replica.tip().height
    ));
    Ok(())
}
