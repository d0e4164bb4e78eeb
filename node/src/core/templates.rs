//! Templates: work for miners, from the ledger, at a pace that leaves the core its time.
//!
//! An order is put into a template once, and the whole body is then verified like a block: that costs the more the
//! fuller it is, and anybody may ask. So the body of one tip grows as fast as it is asked for a few times, and then at
//! most once a second, whoever asks; in between, miners are given what it holds.

use printsy_consensus::{Hash, PublicKey};
use printsy_ledger::{LedgerError, TemplateError};

use super::Core;
use super::event::{Effect, TemplateAnswer, TemplateBody, TemplateRefusal, Ticket};

/// How many times the body of a tip grows as fast as it is asked for: a miner's first ones, and the tests of a shop.
const MAX_GROWTHS_AT_ONCE: u32 = 4;
/// How long after one growth the next may come then, ms.
const GROW_AFTER_MS: u64 = 1_000;

/// How often the body of a tip has grown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    tip: Hash,
    growths: u32,
    grown_at: u64,
}

impl Pace {
    /// Whether it may grow now.
    fn may_grow(&self, tip: Hash, now: u64) -> bool {
        // A clock that was set back holds nothing up.
        let is_young = now.checked_sub(self.grown_at).is_some_and(|age| age < GROW_AFTER_MS);
        self.tip != tip || self.growths < MAX_GROWTHS_AT_ONCE || !is_young
    }

    /// Notes that it grew.
    fn grew(&mut self, tip: Hash, now: u64) {
        let growths = if self.tip == tip { self.growths } else { 0 };
        *self = Self { tip, growths: growths.saturating_add(1), grown_at: now };
    }
}

impl Core {
    /// A template for a miner.
    pub(super) fn make_template(
        &mut self,
        ticket: Ticket,
        miner: PublicKey,
        body: TemplateBody,
    ) -> Result<(), LedgerError> {
        let answer = self.template(miner, body)?;
        self.effects.push(Effect::TemplateAnswer(ticket, answer));
        Ok(())
    }

    fn template(&mut self, miner: PublicKey, body: TemplateBody) -> Result<TemplateAnswer, LedgerError> {
        if self.sync_state().is_syncing() {
            return Ok(Err(TemplateRefusal::Syncing));
        }
        if let Some(room) = self.low_room() {
            return Ok(Err(TemplateRefusal::Storage(room.to_string())));
        }
        let (tip, now) = (self.ledger.tip().id(), self.now);
        let before = self.ledger.templated_orders();
        let made = match body {
            TemplateBody::Empty => self.ledger.empty_template(miner, now),
            TemplateBody::Paced if !self.pace.may_grow(tip, now) => self.ledger.present_template(miner, now),
            TemplateBody::Paced | TemplateBody::Whole => self.ledger.template(miner, now),
        };
        if self.ledger.templated_orders() != before {
            self.pace.grew(tip, now);
        }
        match made {
            Ok(template) => {
                self.metrics.template(template.transactions.len());
                Ok(Ok((template.header.id(), template)))
            }
            Err(TemplateError::Miner(error)) => Ok(Err(TemplateRefusal::Miner(error))),
            Err(TemplateError::Pause { error, height }) => Ok(Err(TemplateRefusal::Pause { error, height })),
            Err(TemplateError::Invalid(fault)) => {
                tracing::error!(%fault, "the empty template breaks a rule");
                Ok(Err(TemplateRefusal::Invalid))
            }
            Err(TemplateError::Ledger(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_grows_at_once_a_few_times_on_each_tip_and_then_once_a_second() {
        let (tip, next) = (Hash([1; 32]), Hash([2; 32]));
        let mut pace = Pace::default();
        for _ in 0..MAX_GROWTHS_AT_ONCE {
            assert!(pace.may_grow(tip, 5_000));
            pace.grew(tip, 5_000);
        }
        assert!(!pace.may_grow(tip, 5_000));
        assert!(!pace.may_grow(tip, 5_999));
        assert!(pace.may_grow(tip, 6_000));
        pace.grew(tip, 6_000);
        assert!(!pace.may_grow(tip, 6_999));
        assert!(pace.may_grow(tip, 4_000), "a clock set back");
        assert!(pace.may_grow(next, 6_000), "a new tip");
    }
}
