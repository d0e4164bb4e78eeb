//! What every scenario works with: the network, the wallet, the replica, the forger, and the teller.
//!
//! Here are the moves that several scenarios make: run the wallet and tell it, wait until all nodes say the
//! same, bring the replica up to a node's tip, compare what was expected with what was got.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use printsy_consensus::Header;
use printsy_miner::Miner;
use printsy_rpc::market::{Availability, GetTransaction, GetTransactionParams, InBlock, Status};
use printsy_rpc::{ClientError, HashHex, RpcReason};

use crate::blocks::{block_bytes, header_id};
use crate::narrate::Narrator;
use crate::network::{Network, Node};
use crate::replica::Replica;
use crate::wait::{Look, until};
use crate::wallet::{Said, Wallet};

/// How long nodes may take to agree on what all of them have been told.
pub const AGREE_TIME: Duration = Duration::from_secs(60);
/// How often the nodes may change their branch while the replica follows, before that is a deviation.
const MAX_RESTARTS: usize = 8;

/// The stage.
#[derive(Debug)]
pub struct Stage {
    /// The nodes.
    pub network: Network,
    /// The buyer's program.
    pub wallet: Wallet,
    /// The chain, executed again.
    pub replica: Replica,
    /// Does the work of crafted blocks.
    pub forger: Arc<Miner>,
    /// Tells what happens.
    pub story: Narrator,
}

impl Stage {
    /// Runs the wallet against the node that does not mine, and tells what it said.
    ///
    /// # Errors
    /// If it fails.
    pub async fn wallet(&self, line: &str) -> Result<Said> {
        let said = self.try_wallet(line).await?;
        ensure!(said.success, "expected `printsy {line}` to succeed, got: {} {}", said.answer, said.notes);
        Ok(said)
    }

    /// The same, whatever comes of it.
    ///
    /// # Errors
    /// If it cannot be run.
    pub async fn try_wallet(&self, line: &str) -> Result<Said> {
        let url = self.network.shop().url();
        self.story.detail(&format!("$ printsy {line} --rpc {url}"));
        let said = self.wallet.run(line, &url).await?;
        self.story.detail(&said.notes);
        self.story.detail(&said.answer);
        Ok(said)
    }

    /// Waits until every node says the same of an image, and that it is `sold` times sold.
    ///
    /// # Errors
    /// What they say instead, when the time is over.
    pub async fn agreed(&self, image: u64, sold: u32) -> Result<Availability> {
        let expected = format!("every node to say that image {image} is sold {sold} times, in one block");
        until(&expected, AGREE_TIME, async || {
            let mut answers = Vec::new();
            for node in self.network.nodes() {
                answers.push(node.available(image).await?);
            }
            let first = answers[0].clone();
            let same = |a: &Availability| {
                (a.max, a.sold, a.last_block, a.pending) == (first.max, sold, first.last_block, 0)
            };
            Ok(if answers.iter().all(same) { Look::Yes(first) } else { Look::NotYet(format!("{answers:?}")) })
        })
        .await
    }

    /// Waits until every node has the order in one and the same block.
    ///
    /// # Errors
    /// What they say instead, when the time is over.
    pub async fn confirmed(&self, txid: HashHex) -> Result<InBlock> {
        let expected = format!("every node to have order {txid} in one block");
        until(&expected, AGREE_TIME, async || {
            let mut blocks = Vec::new();
            for node in self.network.nodes() {
                blocks.push(status(node, txid).await?.and_then(|status| status.block));
            }
            match blocks[0] {
                Some(block) if blocks.iter().all(|other| *other == Some(block)) => Ok(Look::Yes(block)),
                _ => Ok(Look::NotYet(format!("{blocks:?}"))),
            }
        })
        .await
    }

    /// Brings the replica to the tip of the node that does not mine, verifying every block.
    ///
    /// # Errors
    /// The rule that a block on the nodes' chain breaks.
    pub async fn follow(&mut self) -> Result<()> {
        for _ in 0..MAX_RESTARTS {
            if self.try_follow().await? {
                return Ok(());
            }
            self.replica = Replica::new(self.network.genesis().clone());
        }
        bail!("expected the chain to grow, got {MAX_RESTARTS} reorganisations while it was read")
    }

    /// `false` if the replica's branch is not the node's.
    async fn try_follow(&mut self) -> Result<bool> {
        let shop = self.network.shop();
        let tip = shop.chain().await?.tip;
        let own = self.replica.tip().height;
        if own > tip.height || header_id(shop.client(), own).await? != Some(self.replica.tip().id().into()) {
            return Ok(false);
        }
        for height in own + 1..=tip.height {
            let Some(bytes) = block_bytes(shop.client(), height).await? else { return Ok(false) };
            let header =
                bytes.first_chunk().map(Header::from_bytes).context("a block begins with its header")?;
            if header.parent != self.replica.tip().id() {
                return Ok(false);
            }
            self.replica
                .connect(bytes, now_ms())
                .with_context(|| format!("block {height} of the nodes' chain"))?;
        }
        Ok(true)
    }
}

/// What a node knows of an order; `None` if nothing.
///
/// # Errors
/// If it does not answer.
pub async fn status(node: &Node, txid: HashHex) -> Result<Option<Status>> {
    match node.call::<GetTransaction>(&GetTransactionParams { tx_id: txid }).await {
        Ok(status) => Ok(Some(status)),
        Err(ClientError::Refused(error)) if error.reason() == Some(RpcReason::NotFound) => Ok(None),
        Err(error) => Err(error).with_context(|| node.name()),
    }
}

/// An error that says both, unless they are the same.
///
/// # Errors
/// If they are not.
pub fn expect_eq<T: PartialEq + Debug>(what: &str, expected: &T, got: &T) -> Result<()> {
    ensure!(expected == got, "{what}: expected {expected:?}, got {got:?}");
    Ok(())
}

/// The time now, in milliseconds since 1970.
///
/// # Panics
/// If the clock stands before 1970.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a driver: what is here has no clock but the machine's")]
pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let ms = since.expect("the clock stands after 1970").as_millis();
    u64::try_from(ms).expect("no clock is 500 million years ahead")
}

/// The first digits of a hash, enough for a person to compare.
#[must_use]
pub fn short(hash: impl ToString) -> String {
    let digits = hash.to_string();
    format!("{}...", digits.get(..8).unwrap_or(&digits))
}
