//! This node's own miner: a template, a search in its own pool, a signature, a block like any other.
//!
//! A new tip cancels the search at once. A growing mempool renews the template at most once a second.

use std::sync::Arc;
use std::time::Duration;

use printsy_consensus::{Hash, SecretKey, Target};
use printsy_ledger::Template;
use printsy_miner::{Cancel, Job, Miner, Search};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::core::{BlockVerdict, TemplateRefusal};
use crate::handle::{NodeHandle, Submission};

/// How soon after one template a growing mempool brings the next.
const RENEW_AFTER: Duration = Duration::from_secs(1);
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

/// Why a search ended.
enum Ended {
    Found(u64),
    /// The tip moved, or the template is worth renewing.
    Stale,
    Stop,
}

impl Driver {
    async fn run(mut self) {
        let public = self.mining.key.public_key();
        let kernel = self.mining.miner.kernel_name();
        tracing::info!(miner = %public, mode = ?self.mining.mode, kernel, "mining");
        while !self.is_stopping() && self.ready().await.is_some() {
            // Subscribed before the template is made, so that no change after it is missed.
            let changes = self.node.changes();
            match self.node.template(public).await {
                None => return,
                Some(Err(refusal)) => self.wait_after(changes, &refusal).await,
                Some(Ok((_, template))) => match self.search(&template, changes).await {
                    Ended::Found(nonce) => self.submit(&template, nonce).await,
                    Ended::Stale => {}
                    Ended::Stop => return,
                },
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
                _ => tracing::warn!(%refusal, "not mining now"),
            }
            self.last_refusal = Some(said);
        }
        tokio::select! {
            _ = timeout(ASK_AGAIN_AFTER, changes.changed()) => {}
            _ = self.stop.changed() => {}
        }
    }

    /// Searches until a nonce is found, the tip moves, or the mempool grew a second after the template was
    /// made.
    async fn search(&mut self, template: &Arc<Template>, mut changes: watch::Receiver<u64>) -> Ended {
        let Some(target) = Target::from_bits(template.header.bits) else { return Ended::Stop };
        let job = Job::new(&template.header, target);
        let cancel = Cancel::new();
        let mining = self.mining.clone();
        let token = cancel.clone();
        let before = mining.miner.hashes();
        let search = tokio::task::spawn_blocking(move || {
            (mining.miner.search(&job, 0, &token), mining.miner.hashes().saturating_sub(before))
        });
        tokio::pin!(search);
        let renew_at = Instant::now() + RENEW_AFTER;
        let mut stopping = false;
        loop {
            tokio::select! {
                done = &mut search => {
                    let Ok((result, hashes)) = done else { return Ended::Stop };
                    self.node.metrics().hashes(hashes);
                    return match result {
                        _ if stopping => Ended::Stop,
                        Search::Found { nonce } => Ended::Found(nonce),
                        Search::Exhausted | Search::Cancelled => Ended::Stale,
                    };
                }
                _ = self.stop.changed() => { stopping = true; cancel.cancel(); }
                changed = changes.changed(), if !cancel.is_cancelled() => {
                    let moved = self.node.reader().snapshot().tip.id() != template.header.parent;
                    let is_low = self.node.low_room().is_some();
                    if moved || is_low || changed.is_err() || Instant::now() >= renew_at {
                        cancel.cancel();
                    }
                }
                () = sleep_until(renew_at), if !cancel.is_cancelled() && Instant::now() < renew_at => {
                    if self.has_news(template) { cancel.cancel(); }
                }
            }
        }
    }

    /// Whether orders wait that the template does not hold.
    fn has_news(&self, template: &Template) -> bool {
        let held: std::collections::HashSet<Hash> =
            template.transactions.iter().map(|tx| tx.txid()).collect();
        let (waiting, _) = self.node.reader().mempool_size();
        waiting > held.len()
    }

    async fn submit(&self, template: &Template, nonce: u64) {
        self.node.metrics().block_found();
        match self.node.submit_own(template, nonce, &self.mining.key).await {
            Ok(Submission::Judged(answer)) => {
                let (height, hash) = (template.header.height, answer.id);
                match answer.verdict {
                    BlockVerdict::Accepted => tracing::info!(height, %hash, "block found"),
                    BlockVerdict::Held => {
                        tracing::info!(height, %hash, "block found, held until its time");
                        self.wait_for_slot(template).await;
                    }
                    verdict => tracing::warn!(height, %hash, ?verdict, reason = ?answer.reason, "block lost"),
                }
            }
            Ok(Submission::Unchecked { error, .. }) => tracing::error!(%error, "own block breaks a rule"),
            Err(error) => tracing::debug!(%error, "block found while stopping"),
        }
    }

    /// A block found before its slot waits for it; so does the miner, or it would find the same one again.
    async fn wait_for_slot(&self, template: &Template) {
        let mut changes = self.node.changes();
        while self.node.reader().snapshot().tip.id() == template.header.parent && !self.is_stopping() {
            if matches!(timeout(ASK_AGAIN_AFTER, changes.changed()).await, Ok(Err(_))) {
                return;
            }
        }
    }
}
