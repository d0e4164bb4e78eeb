//! One search of this node's own miner, on one template: begun, watched, and given up as soon as it is not worth it.
//!
//! A better template is made while the search goes on; it ends the search when it is there. How long a new tip waited
//! for its first hash, and what was hashed for an old one, is measured here.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, OptionFuture};
use printsy_consensus::Target;
use printsy_ledger::Template;
use printsy_miner::{Cancel, Job, Search as Result};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Mining;
use crate::core::TemplateRefusal;
use crate::handle::{NodeHandle, Work};

/// How soon after one template a growing mempool brings the next.
const RENEW_AFTER: Duration = Duration::from_secs(1);

/// Why a search ended.
pub(super) enum Ended {
    /// This nonce does the work.
    Found(u64),
    /// There is a template on the same tip that holds more.
    Better(Arc<Template>),
    /// The tip is another, or the miner may not mine on it any more.
    Stale,
    /// The node stops.
    Stop,
}

/// The searches on one tip.
pub(super) struct Search<'a> {
    node: &'a NodeHandle,
    mining: &'a Arc<Mining>,
    changes: watch::Receiver<u64>,
    stop: watch::Receiver<bool>,
    /// A better template, being made.
    better: Option<BoxFuture<'static, Work>>,
    renew_at: Instant,
    /// Whether something changed since the last template was asked for.
    is_old: bool,
}

impl<'a> Search<'a> {
    /// Searches whose first template may hold nothing: a better one is asked for at once.
    pub(super) fn new(
        node: &'a NodeHandle,
        mining: &'a Arc<Mining>,
        changes: watch::Receiver<u64>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let renew_at = Instant::now();
        let mut search = Self { node, mining, changes, stop, better: None, renew_at, is_old: false };
        search.ask();
        search
    }

    fn ask(&mut self) {
        let (node, miner) = (self.node.clone(), self.mining.key.public_key());
        self.better = Some(Box::pin(async move { node.template(miner).await }));
        self.renew_at = Instant::now() + RENEW_AFTER;
        self.is_old = false;
    }

    /// Searches until a nonce is found or something ends it.
    pub(super) async fn run(&mut self, template: &Arc<Template>) -> Ended {
        let Some(target) = Target::from_bits(template.header.bits) else { return Ended::Stop };
        let job = Job::new(&template.header, target);
        let cancel = Cancel::new();
        let (node, mining, token) = (self.node.clone(), self.mining.clone(), cancel.clone());
        let parent = template.header.parent;
        let search = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            node.turned_to(&parent);
            tracing::debug!(%parent, "searching");
            let before = mining.miner.hashes();
            let result = mining.miner.search(&job, 0, &token);
            let hashes = mining.miner.hashes().saturating_sub(before);
            node.metrics().hashes(hashes, node.stale_part(&parent, begun, hashes));
            result
        });
        tokio::pin!(search);
        let mut stop = self.stop.clone();
        let mut given_up = None;
        loop {
            let is_open = given_up.is_none();
            tokio::select! {
                done = &mut search => {
                    return match (done, given_up) {
                        (Err(_), _) => Ended::Stop,
                        // Whatever gave the search up meanwhile: a block is a block.
                        (Ok(Result::Found { nonce }), _) => Ended::Found(nonce),
                        (Ok(_), given_up) => given_up.unwrap_or(Ended::Stale),
                    };
                }
                _ = stop.changed(), if is_open => {
                    given_up = Some(Ended::Stop);
                    cancel.cancel();
                }
                why = self.worth_ending(template), if is_open => {
                    given_up = Some(why);
                    cancel.cancel();
                }
            }
        }
    }

    /// Waits until the search on this template is not worth going on with.
    async fn worth_ending(&mut self, template: &Arc<Template>) -> Ended {
        loop {
            let may_renew = self.better.is_none() && self.is_old;
            let better = OptionFuture::from(self.better.as_mut());
            tokio::select! {
                Some(made) = better => {
                    self.better = None;
                    match made {
                        Some(Ok((_, made))) if made.header.parent != template.header.parent => return Ended::Stale,
                        Some(Ok((_, made))) if holds_more(&made, template) => return Ended::Better(made),
                        Some(Ok(_)) => {}
                        // The one at hand was verified by itself.
                        Some(Err(TemplateRefusal::Invalid)) => {}
                        // Why is told when the next template is asked for.
                        Some(Err(_)) => return Ended::Stale,
                        None => return Ended::Stop,
                    }
                }
                changed = self.changes.changed() => {
                    let has_moved = self.node.reader().snapshot().tip.id() != template.header.parent;
                    if has_moved || changed.is_err() || self.node.low_room().is_some() {
                        return Ended::Stale;
                    }
                    self.is_old = true;
                }
                () = sleep_until(self.renew_at), if may_renew => self.ask(),
            }
        }
    }
}

/// Whether another template on the same tip is worth turning to.
fn holds_more(other: &Template, template: &Template) -> bool {
    other.header.transactions_root != template.header.transactions_root
}
