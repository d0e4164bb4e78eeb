//! Templates: work for miners, from the ledger, at a pace that leaves the core its time.
//!
//! An order is put into the body of a tip's templates once. Anybody may ask, and each template costs the more the fuller
//! it is: so the body of one tip grows as fast as it is asked for a few times, and then at most once a second, whoever
//! asks; in between, miners are given what it holds. And it grows in steps: a full block takes most of a second, and other
//! events, a new block above all, get their turn after each step. A step is an event of its own, so that what follows from
//! the others is told before it. Whoever asked is answered when the body has grown.

use printsy_consensus::{Hash, PublicKey};
use printsy_ledger::{LedgerError, Template, TemplateError};

use super::Core;
use super::event::{Effect, TemplateAnswer, TemplateBody, TemplateRefusal, Ticket};

/// How many times the body of a tip grows as fast as it is asked for: a miner's first ones, and the tests of a shop.
const MAX_GROWTHS_AT_ONCE: u32 = 4;
/// How long after one growth the next may come then, ms.
const GROW_AFTER_MS: u64 = 1_000;

/// How many orders the body grows by in one step: some ten milliseconds.
const STEP_ORDERS: usize = 512;

/// Miners who wait while the body grows: those who asked, each with its caller.
#[derive(Debug, Default)]
pub(super) struct Growing {
    waiting: Vec<(Ticket, PublicKey)>,
    /// What templates had cost when it began.
    before: Cost,
}

/// What templates have cost so far: how many times an order was executed for one, and how many were thrown away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cost {
    orders: u64,
    faults: u64,
}

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

    /// Notes that it grew, where it cost anything. A template thrown away takes the body with it: who asks next would have
    /// it all executed anew.
    fn note(&mut self, before: Cost, after: Cost, tip: Hash, now: u64) {
        if before == after {
            return;
        }
        let growths = if self.tip == tip { self.growths } else { 0 };
        *self = Self { tip, growths: growths.saturating_add(1), grown_at: now };
    }
}

impl Core {
    /// A template for a miner, now or when the body has grown.
    pub(super) fn make_template(
        &mut self,
        ticket: Ticket,
        miner: PublicKey,
        body: TemplateBody,
    ) -> Result<(), LedgerError> {
        if let Some(refusal) = self.no_template() {
            self.effects.push(Effect::TemplateAnswer(ticket, Err(refusal)));
            return Ok(());
        }
        let (tip, now, before) = (self.ledger.tip().id(), self.now, self.template_cost());
        let made = match body {
            TemplateBody::Empty => self.ledger.empty_template(miner, now),
            TemplateBody::Whole => self.ledger.template(miner, now),
            TemplateBody::Paced if self.pace.may_grow(tip, now) => match self.ledger.may_make_next(&miner) {
                Ok(()) => return self.begin_growth(ticket, miner),
                Err(error) => Err(error),
            },
            TemplateBody::Paced => self.ledger.present_template(miner, now),
        };
        // A body that grew whole, for the first template of a tip, leaves the others their growths.
        let Cost { orders, .. } = before;
        self.pace.note(before, Cost { orders, ..self.template_cost() }, tip, now);
        self.answer_miner(ticket, made)
    }

    fn no_template(&self) -> Option<TemplateRefusal> {
        if self.sync_state().is_syncing() {
            return Some(TemplateRefusal::Syncing);
        }
        self.low_room().map(|room| TemplateRefusal::Storage(room.to_string()))
    }

    /// Whether a body is growing: [`super::Event::Grow`] is then due, after each other event and where nothing else happens.
    #[must_use]
    pub fn is_growing(&self) -> bool {
        !self.growing.waiting.is_empty()
    }

    fn begin_growth(&mut self, ticket: Ticket, miner: PublicKey) -> Result<(), LedgerError> {
        let is_first = !self.is_growing();
        self.growing.waiting.push((ticket, miner));
        if is_first {
            self.growing.before = self.template_cost();
            self.grow()?;
        }
        Ok(())
    }

    /// One step of a growth; after the last, whoever waits for it is answered.
    pub(super) fn grow(&mut self) -> Result<(), LedgerError> {
        if !self.is_growing() || self.ledger.grow_template(STEP_ORDERS)? {
            return Ok(());
        }
        for (ticket, miner) in std::mem::take(&mut self.growing.waiting) {
            let made = self.ledger.present_template(miner, self.now);
            self.answer_miner(ticket, made)?;
        }
        self.pace.note(self.growing.before, self.template_cost(), self.ledger.tip().id(), self.now);
        Ok(())
    }

    fn template_cost(&self) -> Cost {
        Cost { orders: self.ledger.templated_orders(), faults: self.ledger.template_faults() }
    }

    fn answer_miner(
        &mut self,
        ticket: Ticket,
        made: Result<Template, TemplateError>,
    ) -> Result<(), LedgerError> {
        let answer: TemplateAnswer = match made {
            Ok(template) => {
                self.metrics.template(template.transactions.len());
                Ok((template.header.id(), template))
            }
            Err(TemplateError::Miner(error)) => Err(TemplateRefusal::Miner(error)),
            Err(TemplateError::Pause { error, height }) => Err(TemplateRefusal::Pause { error, height }),
            Err(TemplateError::Invalid(fault)) => {
                tracing::error!(%fault, "the empty template breaks a rule");
                Err(TemplateRefusal::Invalid)
            }
            Err(TemplateError::Ledger(error)) => return Err(error),
        };
        self.effects.push(Effect::TemplateAnswer(ticket, answer));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Cost = Cost { orders: 0, faults: 0 };
    const GROWTH: Cost = Cost { orders: 1, faults: 0 };
    const FAULT: Cost = Cost { orders: 0, faults: 1 };

    #[test]
    fn a_body_grows_at_once_a_few_times_on_each_tip_and_then_once_a_second() {
        let (tip, next) = (Hash([1; 32]), Hash([2; 32]));
        for cost in [GROWTH, FAULT] {
            let mut pace = Pace::default();
            for _ in 0..MAX_GROWTHS_AT_ONCE {
                assert!(pace.may_grow(tip, 5_000));
                pace.note(NOTHING, cost, tip, 5_000);
            }
            assert!(!pace.may_grow(tip, 5_000));
            assert!(!pace.may_grow(tip, 5_999));
            assert!(pace.may_grow(tip, 6_000));
            pace.note(NOTHING, cost, tip, 6_000);
            assert!(!pace.may_grow(tip, 6_999));
            assert!(pace.may_grow(tip, 4_000), "a clock set back");
            assert!(pace.may_grow(next, 6_000), "a new tip");
        }
    }

    #[test]
    fn what_cost_nothing_was_no_growth() {
        let tip = Hash([1; 32]);
        let mut pace = Pace::default();
        for _ in 0..=MAX_GROWTHS_AT_ONCE {
            pace.note(GROWTH, GROWTH, tip, 5_000);
            assert!(pace.may_grow(tip, 5_000));
        }
    }
}
