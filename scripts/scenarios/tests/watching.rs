//! `printsy watch` against real nodes: what it tells is at any time a chain, whatever breaks meanwhile.
//!
//! The programs are those of the same build: `cargo test --release --workspace`, the README's own command.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod built;

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use printsy_consensus::{Genesis, Params};
use printsy_rpc::admin::{AddPeer, AddPeerParams, GenerateBlocks, GenerateBlocksParams};
use printsy_scenarios::cut::Wire;
use printsy_scenarios::folder::Folder;
use printsy_scenarios::network::{Node, free_ports};
use printsy_scenarios::process::command;
use printsy_scenarios::stage::now_ms;
use printsy_scenarios::wallet::Wallet;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::time::timeout;

use built::program;

/// Longer than anything takes, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nodes of one network that do not know each other. Blocks are made where a test asks for them.
struct Play {
    nodes: Vec<Node>,
    folder: Folder,
}

impl Play {
    async fn begin(count: usize) -> Result<Self> {
        let folder = Folder::temporary()?;
        let template = Genesis::from_json(include_str!("../../../genesis.json"))?;
        let params = Params {
            time: now_ms() - 3_600_000,
            min_interval_ms: 1,
            half_life_ms: 1 << 40,
            bits: 0x207f_ffff,
            finality_depth: 20,
            ..template.params().clone()
        };
        std::fs::write(folder.genesis(), Genesis::new(params)?.to_json())?;
        let ports = free_ports(2 * count)?;
        let mut nodes = Vec::new();
        for (number, ports) in (1..=count).zip(ports.chunks_exact(2)) {
            let mut node = Node::new(&program("printsyd"), &folder, number, [ports[0], ports[1]], &[])?;
            node.start().await?;
            nodes.push(node);
        }
        Ok(Self { nodes, folder })
    }

    async fn generate(&self, node: usize, count: u64) -> Result<()> {
        let count = count.try_into().map_err(anyhow::Error::msg)?;
        self.nodes[node].ask::<GenerateBlocks>(&GenerateBlocksParams { count }).await.map(drop)
    }

    /// The height and the id of a node's tip.
    async fn tip(&self, node: usize) -> Result<(u64, String)> {
        let tip = self.nodes[node].chain().await?.tip;
        Ok((tip.height, tip.hash.to_string()))
    }

    /// How many subscriptions the first node serves.
    async fn subscriptions(&self) -> Result<u64> {
        self.nodes[0].metrics(["printsy_rpc_subscriptions"]).await.map(|[count]| count)
    }

    fn wallet(&self) -> Wallet {
        Wallet::new(&program("printsy"), self.folder.path())
    }
}

/// `printsy watch --json`, and the lines it has told. It is killed when this is dropped.
struct Watcher {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    notes: Lines<BufReader<ChildStderr>>,
    told: Vec<Value>,
}

impl Watcher {
    fn start(url: &str, words: &str) -> Result<Self> {
        let mut command = command(&program("printsy"));
        command.args(["watch", "--json", "--rpc", url]).args(words.split_whitespace());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let told = lines(child.stdout.take().context("a pipe")?);
        let notes = lines(child.stderr.take().context("a pipe")?);
        Ok(Self { child, lines: told, notes, told: Vec::new() })
    }

    /// Waits until it tells a line that is looked for.
    async fn tells(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Result<()> {
        loop {
            let line = timeout(PATIENCE, self.lines.next_line()).await;
            let line = line.with_context(|| format!("{what}, after {:#?}", self.told))??;
            let line: Value = serde_json::from_str(&line.context("it ended")?)?;
            self.told.push(line.clone());
            if is_it(&line) {
                return Ok(());
            }
        }
    }

    /// Waits until it tells that a block has come.
    async fn tells_block(&mut self, (height, hash): &(u64, String)) -> Result<()> {
        let is_it = |line: &Value| line["event"] == "connected" && line["block"]["hash"] == hash.as_str();
        self.tells(&format!("block {height}"), is_it).await
    }

    /// Waits until it says that it waits.
    async fn waits(&mut self) -> Result<()> {
        loop {
            let note = timeout(PATIENCE, self.notes.next_line()).await.context("it never waited")??;
            if note.context("it ended")?.contains("waiting for it") {
                return Ok(());
            }
        }
    }

    /// Presses Ctrl-C.
    async fn interrupt(mut self) -> Result<()> {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        kill_process(id.context("it has ended by itself")?, Signal::INT)?;
        let status = timeout(PATIENCE, self.child.wait()).await.context("it does not end")??;
        ensure!(status.code() == Some(0), "expected it to end with 0, got {status}");
        Ok(())
    }
}

fn lines<R: AsyncRead>(stream: R) -> Lines<BufReader<R>> {
    BufReader::new(stream).lines()
}

/// The chain that somebody has who was told this: each block came on the last, each that went was the last.
fn chain_of(told: &[Value]) -> Result<Vec<(u64, String)>> {
    let mut chain: Vec<(u64, String)> = Vec::new();
    for line in told {
        let block = &line["block"];
        let hash = block["hash"].as_str().context("each has its id")?.to_owned();
        let height = block["height"].as_u64().context("each has its height")?;
        if line["event"] == "disconnected" {
            let last = chain.pop();
            // What was there before the first that was told may go as well.
            ensure!(last.is_none_or(|last| last == (height, hash)), "what went was not the last: {line}");
            continue;
        }
        if let Some((last, parent)) = chain.last() {
            let fits = height == last + 1 && block["parent"] == parent.as_str();
            ensure!(fits, "what came does not stand on {last} {parent}: {line}");
        }
        chain.push((height, hash));
    }
    Ok(chain)
}

#[tokio::test]
async fn what_is_told_is_a_chain_through_a_kill_of_the_node_and_a_cut_of_the_wire() -> Result<()> {
    let mut play = Play::begin(1).await?;
    play.generate(0, 2).await?;
    let target = play.nodes[0].url().trim_start_matches("http://").parse()?;
    let wire = Wire::to(target).await?;
    let mut watcher = Watcher::start(&wire.url(), "")?;
    watcher.tells_block(&play.tip(0).await?).await?;
    play.generate(0, 3).await?;
    watcher.tells_block(&play.tip(0).await?).await?;
    // The node is killed, and makes blocks before the watcher is there again.
    play.nodes[0].kill().await?;
    watcher.waits().await?;
    play.nodes[0].start().await?;
    play.generate(0, 300).await?;
    watcher.tells_block(&play.tip(0).await?).await?;
    // Nothing arrives for longer than a connection lives.
    wire.cut();
    play.generate(0, 2).await?;
    watcher.waits().await?;
    wire.mend();
    watcher.tells_block(&play.tip(0).await?).await?;
    assert_eq!(chain_of(&watcher.told)?.last(), Some(&play.tip(0).await?));
    watcher.interrupt().await
}

#[tokio::test]
async fn a_reorganisation_is_told_block_by_block() -> Result<()> {
    let play = Play::begin(2).await?;
    play.generate(0, 2).await?;
    let mut watcher = Watcher::start(&play.nodes[0].url(), "")?;
    let left = play.tip(0).await?;
    watcher.tells_block(&left).await?;
    play.generate(0, 3).await?;
    watcher.tells_block(&play.tip(0).await?).await?;
    assert_eq!(play.subscriptions().await?, 1, "the node tells it by itself");
    play.generate(1, 9).await?;
    let address = play.nodes[1].peer_address().await?;
    play.nodes[0].ask::<AddPeer>(&AddPeerParams { address }).await?;
    watcher.tells_block(&play.tip(1).await?).await?;
    let gone = watcher.told.iter().filter(|line| line["event"] == "disconnected").count();
    // The other branch begins at block 0.
    assert_eq!(gone, 5, "{:#?}", watcher.told);
    assert_eq!(chain_of(&watcher.told)?.last(), Some(&play.tip(1).await?));
    watcher.interrupt().await
}

#[tokio::test]
async fn an_order_is_told_until_it_is_final_and_an_image_until_ctrl_c() -> Result<()> {
    let play = Play::begin(1).await?;
    let url = play.nodes[0].url();
    let mut image = Watcher::start(&url, "--image 25")?;
    image.tells("all of it", |line| line["image"] == 25 && line["remaining"] == 100).await?;
    let buyer = play.wallet().begin("buy 25 --key dev:alice", &url).await?;
    image.tells("an order for it", |line| line["pending"] == 1).await?;
    assert_eq!(play.subscriptions().await?, 1);
    let mut order = Watcher::start(&url, &buyer.txid.to_string())?;
    order.tells("pending", |line| line["status"] == "pending").await?;
    play.generate(0, 1).await?;
    order.tells("included", |line| line["status"] == "included").await?;
    assert_eq!(play.subscriptions().await?, 2);
    image.tells("one less", |line| line["remaining"] == 99).await?;
    play.generate(0, 20).await?;
    order.tells("final", |line| line["status"] == "final").await?;
    assert_eq!(order.told.len(), 3, "{:#?}", order.told);
    let status = timeout(PATIENCE, order.child.wait()).await.context("it does not end")??;
    assert!(status.success());
    assert!(buyer.finish().await?.success);
    image.interrupt().await
}
