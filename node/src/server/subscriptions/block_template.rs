//! `subscribeBlockTemplate`: work for a miner, pushed.
//!
//! On every new tip the first template, which is there at once, then one with orders; then, at most once a second, one
//! that holds something else. All of it comes by the same handle, and is told once for all who ask for one miner.

use std::sync::Arc;
use std::time::Duration;

use printsy_consensus::{Hash, PublicKey};
use printsy_ledger::Template as Made;
use printsy_rpc::RpcError;
use printsy_rpc::mining::{GetBlockTemplateParams, Template};
use printsy_rpc::subscription::SubscribeBlockTemplate;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{Feed, Serve};
use crate::core::TemplateRefusal;
use crate::handle::Work;
use crate::server::context::{Context, detached};
use crate::server::errors;
use crate::server::mining::told;

/// How soon after one template a growing mempool brings the next; and how soon a node that makes none for now is asked
/// again, if nothing happens before.
const RENEW_AFTER: Duration = Duration::from_secs(1);

impl Serve for SubscribeBlockTemplate {
    type Feed = Templates;

    async fn open(context: Arc<Context>, params: GetBlockTemplateParams) -> Result<Templates, RpcError> {
        let changes = context.node.changes();
        let mut templates = Templates { context, miner: params.miner.0, changes, given: None, first: None };
        templates.first = templates.first().await?;
        Ok(templates)
    }
}

/// What the miner was last given.
struct Given {
    tip: Hash,
    root: Hash,
    /// Whether what the mempool had was looked at on this tip.
    is_whole: bool,
    /// Whether something changed since.
    is_old: bool,
    renew_at: Instant,
}

/// The feed.
pub(super) struct Templates {
    context: Arc<Context>,
    miner: PublicKey,
    changes: watch::Receiver<u64>,
    given: Option<Given>,
    /// Made when it was begun, not told yet.
    first: Option<Template>,
}

impl Feed for Templates {
    type Item = Template;

    async fn next(&mut self) -> Result<Template, RpcError> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        loop {
            // Seen before the look, so that no change after it is missed.
            if self.changes.has_changed().unwrap_or(true) {
                self.changes.mark_unchanged();
                self.given.iter_mut().for_each(|given| given.is_old = true);
            }
            let tip = self.context.node.reader().snapshot().tip.id();
            let template = match &self.given {
                Some(given) if given.tip != tip => self.first().await?,
                None => self.first().await?,
                Some(given) if given.is_due() => self.renewed().await?,
                Some(_) => None,
            };
            if let Some(template) = template {
                return Ok(template);
            }
            self.wait().await?;
        }
    }
}

impl Given {
    /// Whether to look for more orders.
    fn is_due(&self) -> bool {
        !self.is_whole || (self.is_old && Instant::now() >= self.renew_at)
    }
}

impl Templates {
    /// The first template on a tip; `None` while there is none, and the miner works on nothing either.
    async fn first(&mut self) -> Result<Option<Template>, RpcError> {
        let (node, miner) = (self.context.node.clone(), self.miner);
        let made = detached(async move { node.first_template(miner).await }).await?;
        self.take(made, false)
    }

    /// A template with orders; `None` if it holds just what the miner has.
    async fn renewed(&mut self) -> Result<Option<Template>, RpcError> {
        let (node, miner) = (self.context.node.clone(), self.miner);
        let made = detached(async move { node.template(miner).await }).await?;
        self.take(made, true)
    }

    fn take(&mut self, made: Work, is_whole: bool) -> Result<Option<Template>, RpcError> {
        let (id, template) = match made.ok_or_else(errors::stopping)? {
            Ok(made) => made,
            Err(refusal) if self.given.is_some() || matches!(refusal, TemplateRefusal::Miner(_)) => {
                return Err(errors::no_template(&refusal));
            }
            Err(_) => return Ok(None),
        };
        let given = Given::of(&template, is_whole);
        let is_same = self.given.as_ref().is_some_and(|g| (g.tip, g.root) == (given.tip, given.root));
        self.given = Some(given);
        Ok((!is_same).then(|| told(&self.context, id, &template)))
    }

    /// Until something changes, or the time to renew has come.
    async fn wait(&mut self) -> Result<(), RpcError> {
        let renew_at = match &self.given {
            Some(given) if given.is_old => given.renew_at,
            Some(given) if !given.is_whole => return Ok(()),
            // Nothing but a change brings more work.
            Some(_) => return self.changed().await,
            None => Instant::now() + RENEW_AFTER,
        };
        tokio::select! {
            changed = self.changed() => changed,
            () = sleep_until(renew_at) => Ok(()),
        }
    }

    async fn changed(&mut self) -> Result<(), RpcError> {
        let mut changes = self.changes.clone();
        // Only looked at here: `next` notes that it was seen.
        changes.changed().await.map_err(|_| errors::stopping())
    }
}

impl Given {
    fn of(template: &Made, is_whole: bool) -> Self {
        let (tip, root) = (template.header.parent, template.header.transactions_root);
        Self { tip, root, is_whole, is_old: false, renew_at: Instant::now() + RENEW_AFTER }
    }
}
