//! This node's own miner: a template, a search in its own pool, a signature, a block like any other.
//!
//! A new tip cancels the search at once; the next is on that tip's first template, which holds nothing and is there at
//! once, until the full one comes. A growing mempool renews the template at most once a second. While a better template
//! is made the search goes on. A block found before its slot (H6, H7) is submitted when that comes; or, where the node stops
//! before, at once, if peers take it by then.

mod search;
mod slot;

use std::sync::Arc;
use std::time::Duration;

use printsy_consensus::SecretKey;
use printsy_ledger::Template;
use printsy_miner::Miner;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::core::{BlockAnswer, BlockVerdict, TemplateRefusal};
use crate::handle::{NodeHandle, Submission, Work};
use crate::metrics::Mined;
use search::{Ended, Search};

/// How long a miner that may not mine now waits before it asks again, if the chain does not move before.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// When this node mines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MiningMode {
    /// Always.
    Always,
    /// While orders wait: for a network of one.
    OnDemand,
}

/// What the miner needs.
#[derive(Debug)]
pub(crate) struct Mining {
    pub(crate) key: SecretKey,
    pub(crate) miner: Miner,
    pub(crate) mode: MiningMode,
    /// Whether to wait for a first peer before mining.
    pub(crate) wait_for_peer: bool,
}

/// Starts mining, until the handle's node ends or the task is aborted.
pub(crate) fn spawn(node: NodeHandle, mining: Mining, stop: watch::Receiver<bool>) -> JoinHandle<()> {
    tokio::spawn(
        async move { Driver { node, mining: Arc::new(mining), stop, last_refusal: None }.run().await },
    )
}

struct Driver {
    node: NodeHandle,
    mining: Arc<Mining>,
    stop: watch::Receiver<bool>,
    /// Why there was no template last, said once.
    last_refusal: Option<String>,
}

impl Driver {
    async fn run(mut self) {
        let public = self.mining.key.public_key();
        let kernel = self.mining.miner.kernel_name();
        tracing::info!(miner = %public, mode = ?self.mining.mode, kernel, "mining");
        while !self.is_stopping() && self.ready().await.is_some() {
            // Subscribed before the template is made, so that no change after it is missed.
            let changes = self.node.changes();
            match self.first().await {
                None => return,
                Some(Err(refusal)) => self.wait_after(changes, &refusal).await,
                Some(Ok((_, template))) => {
                    if self.mine(template, changes).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    /// What to begin a tip with. On demand there is no hurry: orders wait, and are to be in the block.
    async fn first(&self) -> Work {
        let public = self.mining.key.public_key();
        match self.mining.mode {
            MiningMode::Always => self.node.first_template(public).await,
            MiningMode::OnDemand => self.node.template(public).await,
        }
    }

    /// Mines on one tip, from its first template on, until a block is found or the tip is another; `None` where the
    /// node stops.
    async fn mine(&self, first: Arc<Template>, changes: watch::Receiver<u64>) -> Option<()> {
        let mut search = Search::new(&self.node, &self.mining, changes, self.stop.clone());
        // Asked for now: by the time a block is found another of its parent's height may be the tip.
        let parent_at = self.node.tip_since(&first.header.parent).unwrap_or_else(Instant::now);
        let mut template = first;
        loop {
            match search.run(&template).await {
                Ended::Found(nonce) => {
                    self.submit(&template, nonce, parent_at).await;
                    return Some(());
                }
                Ended::Better(better) => template = better,
                Ended::Stale => return Some(()),
                Ended::Stop => return None,
            }
        }
    }

    fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits until there is something to mine: a peer where one is to be waited for, orders where mining is on
    /// demand. `None` where the node stops.
    async fn ready(&mut self) -> Option<()> {
        loop {
            let mut changes = self.node.changes();
            changes.mark_unchanged();
            let has_peer = self.node.network().is_none_or(|network| network.peer_count() > 0);
            let has_orders = self.node.reader().mempool_size().0 > 0;
            let wanted = self.mining.mode == MiningMode::Always || has_orders;
            if wanted && (has_peer || !self.mining.wait_for_peer) {
                return Some(());
            }
            tokio::select! {
                changed = timeout(ASK_AGAIN_AFTER, changes.changed()) => {
                    if matches!(changed, Ok(Err(_))) { return None }
                }
                _ = self.stop.changed() => return None,
            }
        }
    }

    async fn wait_after(&mut self, mut changes: watch::Receiver<u64>, refusal: &TemplateRefusal) {
        let said = refusal.to_string();
        if self.last_refusal.as_ref() != Some(&said) {
            match refusal {
                TemplateRefusal::Miner(_) => {
                    tracing::warn!(%refusal, "not mining now; a key is registered by `printsy register-miner`");
                }
                // As the network wants it, after each block.
                TemplateRefusal::Pause { .. } => tracing::debug!(%refusal, "not mining now"),
                _ => tracing::warn!(%refusal, "not mining now"),
            }
            self.last_refusal = Some(said);
        }
        tokio::select! {
            _ = timeout(ASK_AGAIN_AFTER, changes.changed()) => {}
            _ = self.stop.changed() => {}
        }
    }

    /// Submits what was found, once its time has come, or the node stops.
    async fn submit(&self, template: &Template, nonce: u64, parent_at: Instant) {
        self.node.metrics().mined(Mined::Found);
        let height = template.header.height;
        let mut was_held = false;
        loop {
            if self.wait_for_slot(template, parent_at).await.is_none() {
                return self.lost(height, "the node stopped before peers would take it");
            }
            match self.node.submit_own(template, nonce, &self.mining.key).await {
                // The clock was set back after the look at it.
                Ok(Submission::Judged(answer)) if answer.verdict == BlockVerdict::Held => {
                    was_held = true;
                    continue;
                }
                Ok(Submission::Judged(answer)) => self.judged(height, &answer, was_held).await,
                Ok(Submission::Unchecked { error, .. }) => {
                    self.node.metrics().mined(Mined::Refused);
                    tracing::error!(%error, "own block breaks a rule");
                    self.rest().await;
                }
                Err(error) => self.lost(height, &error.to_string()),
            }
            return;
        }
    }

    async fn judged(&self, height: u64, answer: &BlockAnswer, was_held: bool) {
        let hash = answer.id;
        match answer.verdict {
            BlockVerdict::Accepted => {
                self.node.metrics().mined(Mined::Accepted);
                tracing::info!(height, %hash, "block found");
            }
            // The core kept it, and took it when its time came.
            BlockVerdict::Duplicate if was_held => self.node.metrics().mined(Mined::Accepted),
            BlockVerdict::Stale
            | BlockVerdict::Duplicate
            | BlockVerdict::UnknownParent
            | BlockVerdict::Held => {
                self.node.metrics().mined(Mined::Stale);
                tracing::info!(height, %hash, verdict = ?answer.verdict, "block found too late");
            }
            BlockVerdict::Refused => {
                self.node.metrics().mined(Mined::Refused);
                tracing::error!(height, %hash, reason = ?answer.reason, "own block refused");
                self.rest().await;
            }
        }
    }

    fn lost(&self, height: u64, reason: &str) {
        self.node.metrics().mined(Mined::Lost);
        tracing::warn!(height, reason, "block lost");
    }

    /// After a mistake of this node's own: the next would be the same at once.
    async fn rest(&self) {
        let mut stop = self.stop.clone();
        drop(timeout(ASK_AGAIN_AFTER, stop.wait_for(|stops| *stops)).await);
    }
}
