//! An external miner and real nodes, and everything that can happen to either: nothing found in time is lost.
//!
//! The programs are those of the same build: `cargo test --release --workspace`, the README's own command.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod built;
mod quick;

use std::time::Duration;

use anyhow::{Result, ensure};
use printsy_rpc::NoParams;
use printsy_rpc::block::{BlockSelector, GetHeader, GetHeaderParams};
use printsy_rpc::chain::GetMiners;
use printsy_scenarios::cut::Wire;
use printsy_scenarios::folder::Folder;
use printsy_scenarios::miner::ExternalMiner;
use printsy_scenarios::network::{Node, free_ports};
use printsy_scenarios::wait::{Look, until};
use printsy_scenarios::wallet::{Said, Wallet};

use built::program;
use quick::genesis;

/// Longer than anything takes, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a node is killed under a miner.
const KILLS: usize = 3;

/// Nodes of one network; the first is everybody's bootnode. None of them mines.
struct Play {
    nodes: Vec<Node>,
    wallet: Wallet,
    _folder: Folder,
}

impl Play {
    async fn begin(count: usize) -> Result<Self> {
        let folder = Folder::temporary()?;
        std::fs::write(folder.genesis(), genesis().to_json())?;
        let ports = free_ports(2 * count)?;
        let mut nodes: Vec<Node> = Vec::new();
        for (number, ports) in (1..=count).zip(ports.chunks_exact(2)) {
            let mut node = Node::new(&program("printsyd"), &folder, number, [ports[0], ports[1]], &[])?;
            if let Some(first) = nodes.first() {
                node.join(&first.peer_address().await?);
            }
            node.start().await?;
            nodes.push(node);
        }
        let wallet = Wallet::new(&program("printsy"), folder.path());
        Ok(Self { nodes, wallet, _folder: folder })
    }

    fn miner(&self, key: &str, nodes: &[&str]) -> Result<ExternalMiner> {
        ExternalMiner::start(&program("printsy-miner"), key, nodes)
    }

    async fn wallet(&self, line: &str) -> Result<Said> {
        let said = self.wallet.run(line, &self.nodes[0].url()).await?;
        ensure!(said.success, "{line}: {said:?}");
        Ok(said)
    }

    async fn height(&self, node: usize) -> Result<u64> {
        Ok(self.nodes[node].chain().await?.tip.height)
    }

    /// Waits until a node's chain has grown by this.
    async fn grows(&self, node: usize, blocks: u64) -> Result<()> {
        let wanted = self.height(node).await? + blocks;
        until(&format!("height {wanted}"), PATIENCE, async || {
            let height = self.height(node).await?;
            Ok(if height >= wanted { Look::Yes(()) } else { Look::NotYet(height.to_string()) })
        })
        .await
    }

    /// Nothing that the chain holds was told as lost or stale.
    async fn nothing_on_the_chain_was_given_up(&self, said: &[serde_json::Value]) -> Result<()> {
        let given_up = ["block lost", "block stale: the chain had gone on"];
        for line in said.iter().filter(|line| given_up.iter().any(|what| line["message"] == *what)) {
            let block = BlockSelector::Hash(serde_json::from_value(line["hash"].clone())?);
            let header = self.nodes[0].ask::<GetHeader>(&GetHeaderParams { block }).await;
            ensure!(header.map_or(0, |header| header.confirmations) == 0, "it is on the chain: {line}");
        }
        Ok(())
    }

    /// Waits until the chain counts a block of a miner: one that was accepted may yet give way to another on the same
    /// parent.
    async fn counts_a_block_of(&self, name: &str) -> Result<()> {
        until(&format!("a block of {name}"), PATIENCE, async || {
            let miners = self.nodes[0].ask::<GetMiners>(&NoParams {}).await?;
            let blocks = miners.iter().find(|miner| miner.name == name).map_or(0, |miner| miner.blocks);
            Ok(if blocks > 0 { Look::Yes(()) } else { Look::NotYet("none".to_owned()) })
        })
        .await
    }

    async fn end(mut self) -> Result<()> {
        for node in self.nodes.iter_mut().rev() {
            node.stop().await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_newcomer_is_registered_and_mines_a_purchase_whoever_is_killed_meanwhile() -> Result<()> {
    let mut play = Play::begin(1).await?;
    let url = play.nodes[0].url();
    let mut newcomer = play.miner("dev:newcomer", &[&url])?;
    let told = newcomer.says("no work from the node", PATIENCE, |_| true).await?;
    assert!(told["why"].as_str().unwrap().contains("printsy register-miner prt1"), "{told}");
    let old_hand = play.miner("dev:miner-1", &[&url])?;
    play.wallet("register-miner dev:newcomer --name newcomer --key dev:registrar").await?;
    newcomer.says("block accepted", PATIENCE, |_| true).await?;
    old_hand.stop().await?;
    // From here on the newcomer alone confirms.
    let bought = play.wallet("buy 25 --key dev:alice").await?;
    assert!(bought.answer.contains("edition 1 of 100"), "{bought:?}");
    play.counts_a_block_of("newcomer").await?;
    // The miner is killed, and started again.
    newcomer.kill().await?;
    let mut newcomer = play.miner("dev:newcomer", &[&url])?;
    play.wallet("buy 25 --key dev:bob").await?;
    newcomer.says("block accepted", PATIENCE, |_| true).await?;
    // Its node is killed, and started again: what was confirmed is there, and it goes on. At any moment: also between a
    // block in the journal and the answer to who found it.
    for _ in 0..KILLS {
        let height = play.height(0).await?;
        play.nodes[0].kill().await?;
        newcomer.says("no connection to the node", PATIENCE, |_| true).await?;
        play.nodes[0].start().await?;
        newcomer.says("mining", PATIENCE, |_| true).await?;
        play.grows(0, 5).await?;
        assert!(play.height(0).await? >= height);
    }
    let bought = play.wallet("buy 25 --key dev:carol").await?;
    assert!(bought.answer.contains("edition 3 of 100"), "{bought:?}");
    assert_eq!(newcomer.count("block refused"), 0);
    let said = newcomer.stop().await?;
    play.nothing_on_the_chain_was_given_up(&said).await?;
    play.end().await
}

#[tokio::test]
async fn a_key_revoked_at_work_stops_it_in_plain_words_and_registered_again_it_goes_on() -> Result<()> {
    let play = Play::begin(1).await?;
    let url = play.nodes[0].url();
    let mut first = play.miner("dev:miner-1", &[&url])?;
    let second = play.miner("dev:miner-2", &[&url])?;
    first.says("block accepted", PATIENCE, |_| true).await?;
    play.wallet("revoke-miner dev:miner-1 --key dev:registrar").await?;
    let told = first.says("no work from the node", PATIENCE, |_| true).await?;
    assert!(told["why"].as_str().unwrap().contains("registered"), "{told}");
    play.wallet("register-miner dev:miner-1 --name again --key dev:registrar").await?;
    first.says("block accepted", PATIENCE, |_| true).await?;
    play.counts_a_block_of("again").await?;
    let said = first.stop().await?;
    assert_eq!(said.iter().filter(|line| line["message"] == "block refused").count(), 0, "{said:#?}");
    second.stop().await?;
    play.end().await
}

#[tokio::test]
async fn the_preferred_node_gone_and_back_costs_no_block() -> Result<()> {
    let mut play = Play::begin(2).await?;
    let [preferred, reserve] = [play.nodes[0].url(), play.nodes[1].url()];
    let mut miner = play.miner("dev:miner-1", &[&preferred, &reserve])?;
    miner.says("mining", PATIENCE, |line| line["node"] == preferred).await?;
    play.grows(1, 5).await?;
    play.nodes[0].stop().await?;
    miner.says("mining", PATIENCE, |line| line["node"] == reserve).await?;
    play.grows(1, 5).await?;
    play.nodes[0].start().await?;
    miner.says("mining", PATIENCE, |line| line["node"] == preferred).await?;
    play.grows(1, 5).await?;
    let said = miner.stop().await?;
    for lost in ["block lost", "block refused"] {
        assert!(!said.iter().any(|line| line["message"] == lost), "{said:#?}");
    }
    play.end().await
}

#[tokio::test]
async fn a_cut_network_is_noticed_and_nothing_found_meanwhile_is_lost() -> Result<()> {
    let play = Play::begin(1).await?;
    let node = play.nodes[0].url().trim_start_matches("http://").parse()?;
    let wire = Wire::to(node).await?;
    let mut miner = play.miner("dev:miner-1", &[&wire.url()])?;
    miner.says("block accepted", PATIENCE, |_| true).await?;
    wire.cut();
    miner.says("no connection to the node", PATIENCE, |_| true).await?;
    let height = play.height(0).await?;
    wire.mend();
    miner.says("mining", PATIENCE, |_| true).await?;
    play.grows(0, 5).await?;
    assert!(play.height(0).await? > height);
    let said = miner.stop().await?;
    for lost in ["block lost", "block refused"] {
        assert!(!said.iter().any(|line| line["message"] == lost), "{said:#?}");
    }
    // Where the wire was cut before the node could tell of this miner's own block, it searched beside that once more.
    let heights = |message: &str| -> Vec<&serde_json::Value> {
        said.iter().filter(|line| line["message"] == message).map(|line| &line["height"]).collect()
    };
    let accepted = heights("block accepted");
    for stale in heights("block stale: the chain had gone on") {
        assert!(accepted.contains(&stale), "nobody else mines: {said:#?}");
    }
    play.end().await
}
