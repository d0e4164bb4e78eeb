//! Work for miners and what they found: templates from the core, nonces that become blocks.
//!
//! On a new tip a miner asks for its first template, which is there at once, and then for one with orders. What is
//! handed out is remembered under its name until miners have surely turned to another, so that it can be submitted.

use std::sync::Arc;

use printsy_consensus::{Hash, PublicKey, SecretKey, Signature, SignedHeader, block_bytes, block_message};
use printsy_ledger::Template;
use tokio::sync::oneshot;

use super::templates::Moment;
use super::{NodeHandle, Submission, SubmitError};
use crate::core::{Event, TemplateAnswer, TemplateBody, TemplateRefusal};

/// A template and the name under which it may be submitted, or why there is none; `None` where the node is stopping.
pub(crate) type Work = Option<Result<(Hash, Arc<Template>), TemplateRefusal>>;

impl NodeHandle {
    /// A template for a miner, and the name under which it may be submitted: a new one, or the one it was told
    /// within the last second if that is as good.
    ///
    /// # Errors
    /// Why there is none; `None` where the node is stopping.
    pub async fn template(&self, miner: PublicKey) -> Option<Result<(Hash, Arc<Template>), TemplateRefusal>> {
        if let Err(refusal) = self.makes_templates()? {
            return Some(Err(refusal));
        }
        if let Some(told) = self.shared.templates.lock().again(&miner, &self.moment()) {
            return Some(Ok(told));
        }
        let place = self.shared.turns.join(miner);
        let mut refused = place.turn().await;
        // What the callers before this one were told may do for it.
        let asked = self.moment();
        if let Some(told) = self.shared.templates.lock().again(&miner, &asked) {
            return Some(Ok(told));
        }
        if let Some((_, refusal)) = refused.as_ref().filter(|(changes, _)| *changes == asked.changes) {
            return Some(Err(refusal.clone()));
        }
        let made = self.keep_template(miner, TemplateBody::Paced, asked).await?;
        if let Err(refusal) = &made {
            // Others end without a change; who may mine changes with the tip alone.
            *refused = refusal.lasts_for_the_tip().then(|| (asked.changes, refusal.clone()));
        }
        Some(made)
    }

    /// The first template for a miner on this tip, at once: the newest it was told on it, or else an empty one.
    pub(crate) async fn first_template(&self, miner: PublicKey) -> Work {
        if let Err(refusal) = self.makes_templates()? {
            return Some(Err(refusal));
        }
        if let Some(told) = self.shared.templates.lock().newest(&miner, &self.moment().tip) {
            return Some(Ok(told));
        }
        let place = self.shared.turns.join(miner);
        let _turn = place.turn().await;
        let asked = self.moment();
        if let Some(told) = self.shared.templates.lock().newest(&miner, &asked.tip) {
            return Some(Ok(told));
        }
        self.keep_template(miner, TemplateBody::Empty, asked).await
    }

    /// A template with all that the mempool has now, which is not remembered: for who submits the block itself.
    pub(crate) async fn whole_template(&self, miner: PublicKey) -> Option<TemplateAnswer> {
        self.ask_template(miner, TemplateBody::Whole).await
    }

    /// Whether templates are made now, whoever asks; `None` where the node is stopping.
    fn makes_templates(&self) -> Option<Result<(), TemplateRefusal>> {
        if self.is_stopping() {
            return None;
        }
        if self.sync_state().is_syncing() {
            return Some(Err(TemplateRefusal::Syncing));
        }
        let low = self.low_room().map(|room| TemplateRefusal::Storage(room.to_string()));
        Some(low.map_or(Ok(()), Err))
    }

    async fn keep_template(&self, miner: PublicKey, body: TemplateBody, asked: Moment) -> Work {
        Some(match self.ask_template(miner, body).await? {
            Ok((id, template)) => {
                let template = Arc::new(template);
                self.shared.templates.lock().keep(id, template.clone(), body, asked);
                Ok((id, template))
            }
            Err(refusal) => Err(refusal),
        })
    }

    async fn ask_template(&self, miner: PublicKey, body: TemplateBody) -> Option<TemplateAnswer> {
        let ticket = self.ticket();
        let (sender, answer) = oneshot::channel();
        self.shared.waiting.lock().templates.insert(ticket, sender);
        self.send(Event::Template { ticket, miner, body }).await?;
        answer.await.ok()
    }

    fn moment(&self) -> Moment {
        // Counted first: what changes after it is taken for news.
        let changes = *self.shared.changes.borrow();
        Moment { tip: self.shared.reader.snapshot().tip.id(), changes, now_ms: self.shared.clock.now() }
    }

    /// Submits the nonce found for a template of this node, with the miner's signature.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn submit_template(
        &self,
        id: &Hash,
        nonce: u64,
        signature: Signature,
    ) -> Result<Submission, SubmitError> {
        let template = self.shared.templates.lock().get(id).ok_or(SubmitError::UnknownTemplate)?;
        let mut header = template.header;
        header.nonce = nonce;
        let header = SignedHeader { header, signature };
        self.submit_block(block_bytes(&header, &template.transactions)).await
    }

    /// Signs and submits the nonce that this node's own miner found.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub(crate) async fn submit_own(
        &self,
        template: &Template,
        nonce: u64,
        key: &SecretKey,
    ) -> Result<Submission, SubmitError> {
        let mut header = template.header;
        header.nonce = nonce;
        let signature = key.sign(&block_message(&header.id()));
        self.submit_block(block_bytes(&SignedHeader { header, signature }, &template.transactions)).await
    }
}
