//! Work for miners and what they found: templates from the core, nonces that become blocks.
//!
//! On a new tip a miner asks for its first template, which is there at once, and then for one with orders. What is
//! handed out is remembered under its name until miners have surely turned to another, so that it can be submitted.

use std::sync::Arc;

use printsy_consensus::{
    Hash, PublicKey, SecretKey, Signature, SignedHeader, Target, block_bytes, block_message,
};
use printsy_ledger::Template;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::templates::Moment;
use super::{NodeHandle, Submission, SubmitError};
use crate::core::{BlockSource, Event, TemplateAnswer, TemplateBody, TemplateRefusal};

/// A template and the name under which it may be submitted, or why there is none; `None` where the node is stopping.
pub(crate) type Work = Option<Result<(Hash, Arc<Template>), TemplateRefusal>>;

/// When the tip last moved, for miners who turned to it.
#[derive(Debug, Default)]
pub(super) struct TipMoved {
    /// Since which moment, and onto which block.
    last: Option<(Instant, Hash)>,
    /// Whether a miner of this node has turned to it.
    is_turned_to: bool,
}

/// From this target on a block takes 65,536 hashes at the most: some milliseconds of one core, no more than a full
/// template.
const FOUND_AT_ONCE: [u8; 32] = {
    let mut target = [0; 32];
    target[1] = 1;
    target
};

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
    ///
    /// On a network so easy that an empty block is found before there is anything better, there would never be another
    /// one: there the first template is a full one.
    pub(crate) async fn first_template(&self, miner: PublicKey) -> Work {
        if self.is_found_at_once() {
            return self.template(miner).await;
        }
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

    /// What a miner is told who asks from time to time: the first template on a tip of which it was told nothing yet, at
    /// once, and then templates with orders.
    pub(crate) async fn next_template(&self, miner: PublicKey) -> Work {
        let tip = self.moment().tip;
        let is_told = self.shared.templates.lock().newest(&miner, &tip).is_some();
        if is_told { self.template(miner).await } else { self.first_template(miner).await }
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

    fn is_found_at_once(&self) -> bool {
        let bits = self.shared.reader.snapshot().tip.header.header().bits;
        Target::from_bits(bits).is_some_and(|target| target.to_be_bytes() >= FOUND_AT_ONCE)
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

    /// The key that this node mines with, if it does.
    #[must_use]
    pub fn mining_key(&self) -> Option<&PublicKey> {
        self.shared.mining_key.get()
    }

    /// Notes the key that this node mines with.
    pub(crate) fn mines_with(&self, key: PublicKey) {
        // It is told once, at the start.
        let _ = self.shared.mining_key.set(key);
    }

    /// Notes that the tip has just moved.
    pub(crate) fn note_tip(&self) {
        let tip = self.shared.reader.snapshot().tip.id();
        *self.shared.tip_moved.lock() = TipMoved { last: Some((Instant::now(), tip)), is_turned_to: false };
    }

    /// Notes that this node's miner begins to search on a block, and how long it took if it is a new tip.
    pub(crate) fn turned_to(&self, parent: &Hash) {
        let mut moved = self.shared.tip_moved.lock();
        if let Some((at, _)) = moved.last.filter(|(_, tip)| tip == parent)
            && !std::mem::replace(&mut moved.is_turned_to, true)
        {
            self.shared.metrics.turned(at.elapsed());
        }
    }

    /// Since when this block has been the tip, if it is, as far as this node saw it.
    pub(crate) fn tip_since(&self, id: &Hash) -> Option<Instant> {
        self.shared.tip_moved.lock().last.filter(|(_, tip)| tip == id).map(|(at, _)| at)
    }

    /// About how many of the hashes tried on a block since `begun` were tried when the tip was another already.
    pub(crate) fn stale_part(&self, parent: &Hash, begun: Instant, hashes: u64) -> u64 {
        let Some((at, _)) = self.shared.tip_moved.lock().last.filter(|(_, tip)| tip != parent) else {
            return 0;
        };
        let (stale, all) = (at.elapsed().as_nanos(), begun.elapsed().as_nanos().max(1));
        // Both are far below 2^64 nanoseconds, so that the product fits.
        let part = u128::from(hashes) * stale.min(all) / all;
        u64::try_from(part).expect("a part of a u64")
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
        self.judge_block(block_bytes(&header, &template.transactions), BlockSource::Made).await
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
        let header = SignedHeader { header, signature };
        self.judge_block(block_bytes(&header, &template.transactions), BlockSource::Made).await
    }
}
