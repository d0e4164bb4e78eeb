//! A find: a nonce that does the work, signed, on its way to a node that judges it.

use std::sync::Arc;

use printsy_consensus::{Hash, SecretKey, Signature, SignedHeader, block_bytes, block_message};
use printsy_rpc::mining::SubmitBlockParams;
use printsy_rpc::text::{BlockHex, NonceHex};

use super::{Effect, Fact, Job, NodeIndex, Now, Slot, What};
use crate::work::Work;

/// Where a find is on its way. Moments are of the clock that nobody sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its slot is not yet here.
    Slot,
    /// To be handed in, from this moment on.
    Ready { at: u64 },
    /// A node has been asked.
    InFlight { to: NodeIndex },
    /// A node keeps it, and is waited for until then.
    Held { by: NodeIndex, until: u64 },
}

/// A find.
#[derive(Debug)]
pub(super) struct Find {
    /// The block's id.
    pub(super) id: Hash,
    pub(super) work: Arc<Work>,
    /// Who made the template.
    pub(super) node: NodeIndex,
    pub(super) stage: Stage,
    /// When it may be shown.
    pub(super) slot: Slot,
    /// How many times it was handed in.
    pub(super) tries: u32,
    /// A node kept it once, which is told once.
    pub(super) was_held: bool,
    nonce: u64,
    signature: Signature,
    /// When its slot was to come, as it was found: by the clock that nobody sets.
    due_at: u64,
    /// Its node does not know the template any more.
    is_forgotten: bool,
}

impl Find {
    pub(super) fn new(job: Job, nonce: u64, key: &SecretKey, now: Now) -> Self {
        let Job { node, work, slot, .. } = job;
        let mut header = *work.header();
        header.nonce = nonce;
        let id = header.id();
        let signature = key.sign(&block_message(&id));
        Self {
            id,
            work,
            node,
            stage: Stage::Slot,
            slot,
            tries: 0,
            was_held: false,
            nonce,
            signature,
            due_at: now.run_ms.saturating_add(slot.wait_ms(now)),
            is_forgotten: false,
        }
    }

    /// Whether it is what a search is to find.
    pub(super) fn is_proof(&self) -> bool {
        self.work.target().is_met_by(&self.id)
    }

    /// Who can judge it now: the node that made its template, or any node if the header is the whole block.
    pub(super) fn to_whom(&self, joined: &[bool]) -> Option<NodeIndex> {
        let own = joined.get(self.node).copied().unwrap_or(false);
        if own && (!self.is_forgotten || self.work.is_empty()) {
            return Some(self.node);
        }
        joined.iter().position(|joined| *joined).filter(|_| self.work.is_empty())
    }

    /// Who judges it: the node it was handed in to, or, where that was lost meanwhile, the one that made its template.
    pub(super) fn judge(&self) -> NodeIndex {
        match self.stage {
            Stage::InFlight { to } | Stage::Held { by: to, .. } => to,
            _ => self.node,
        }
    }

    /// Its node is gone, or there anew. No answer comes from the one that was asked, and what was kept there may be
    /// forgotten: it is handed in again. That a node has it already does no harm.
    pub(super) fn hand_in_again(&mut self, node: NodeIndex, is_gone: bool) {
        match self.stage {
            Stage::InFlight { to } if is_gone && to == node => self.stage = Stage::Ready { at: 0 },
            Stage::Held { by, .. } if by == node => self.stage = Stage::Ready { at: 0 },
            _ => {}
        }
    }

    /// How it is handed in to `node`.
    pub(super) fn params(&self, node: NodeIndex) -> SubmitBlockParams {
        if node == self.node && !self.is_forgotten {
            return SubmitBlockParams::Template {
                template_id: self.work.id().into(),
                nonce: NonceHex::from_nonce(self.nonce),
                signature: self.signature.into(),
            };
        }
        let mut header = *self.work.header();
        header.nonce = self.nonce;
        let bytes = block_bytes(&SignedHeader { header, signature: self.signature }, &[]);
        SubmitBlockParams::Block { block: BlockHex::new(bytes).expect("a header is smaller than any block") }
    }

    /// Its node does not know its template: says whether there is another way, and takes it.
    pub(super) fn forget(&mut self) -> bool {
        let is_first = !std::mem::replace(&mut self.is_forgotten, true);
        self.stage = Stage::Ready { at: 0 };
        is_first && self.work.is_empty()
    }

    /// Whether a chain with this tip has gone past it. Between blocks of one height the lower id wins, so that a
    /// find may still take the place of a tip at its own height.
    pub(super) fn is_past(&self, tip: &Hash, tip_height: u64) -> bool {
        let height = self.work.header().height;
        let is_beaten = tip_height > height || (tip_height == height && *tip < self.id);
        is_beaten && !matches!(self.stage, Stage::InFlight { .. })
    }

    /// Whether it is over by the time alone, at a moment of the clock that nobody sets.
    pub(super) fn is_over(&self, run_ms: u64, max_age_ms: u64) -> bool {
        match self.stage {
            // The interval bounds the one, and what is asked of a node the other.
            Stage::Slot | Stage::InFlight { .. } => false,
            Stage::Held { until, .. } => run_ms >= until,
            Stage::Ready { .. } => run_ms >= self.due_at.saturating_add(max_age_ms),
        }
    }

    /// What it came to where it ends without a verdict.
    pub(super) fn end_past(&self) -> What {
        match self.stage {
            Stage::Ready { .. } => {
                let reason = match self.tries {
                    0 => "its node could not be reached before the chain went on",
                    _ => "its node gave no verdict before the chain went on",
                };
                What::Lost { reason: reason.to_owned() }
            }
            _ => What::Stale,
        }
    }

    /// What it came to where its time is over.
    pub(super) fn end_late(&self) -> What {
        match self.stage {
            Stage::Held { .. } => {
                What::Lost { reason: "the node that kept it until its time never took it".to_owned() }
            }
            _ => self.end_past(),
        }
    }

    /// When it is to be looked at though nothing happens, by the clock that nobody sets.
    pub(super) fn wake_at(&self, now: Now) -> Option<u64> {
        match self.stage {
            Stage::Slot => Some(now.run_ms.saturating_add(self.slot.wait_ms(now))),
            Stage::Ready { at } => Some(at),
            Stage::InFlight { .. } => None,
            Stage::Held { until, .. } => Some(until),
        }
    }

    pub(super) fn tell(&self, what: What) -> Effect {
        Effect::Tell(Fact { what, height: self.work.header().height, hash: self.id })
    }
}
