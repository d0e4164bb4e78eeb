//! What nodes make of finds, and what follows from it: the end of each find, rests, and nodes' standing.

use printsy_consensus::Hash;
use printsy_rpc::mining::Verdict;

use super::find::{Find, Stage};
use super::{DONE_MS, Desk, Done, Effect, Now, Outcome, What};

/// How long a node that asked for patience is left alone before a find is handed in again.
pub(super) const AGAIN_MS: u64 = 1_000;
/// How long a node's held block is waited for, beyond its slot.
pub(super) const HELD_MS: u64 = 60_000;
/// How long one refused block stops the search; each further one in a row adds as much.
pub(super) const REST_MS: u64 = 1_000;
/// The longest such rest.
pub(super) const MAX_REST_MS: u64 = 30_000;

impl Desk {
    pub(super) fn judged(&mut self, id: Hash, outcome: Outcome, now: Now, effects: &mut Vec<Effect>) {
        let Some(at) = self.finds.iter().position(|find| find.id == id) else { return };
        let mut find = self.finds.remove(at);
        let again = Stage::Ready { at: now.run_ms.saturating_add(AGAIN_MS) };
        let submission = match outcome {
            Outcome::Judged(submission) => submission,
            Outcome::Forgotten if find.forget() => return self.finds.push(find),
            Outcome::Forgotten => {
                // Nor would it know the next find for it.
                self.current = self.current.take().filter(|current| current.work.id() != find.work.id());
                let reason = "its node no longer knows the template, as after a restart".to_owned();
                return self.doubt(find, What::Lost { reason }, effects);
            }
            Outcome::NotNow(_) => {
                find.stage = again;
                return self.finds.push(find);
            }
        };
        let what = match submission.verdict {
            Verdict::Accepted => What::Accepted,
            // The answer to an earlier try was lost on the way, whatever it was.
            Verdict::Duplicate if find.tries > 1 => {
                self.is_done(&find, now);
                return self.doubt(find, What::Stale, effects);
            }
            Verdict::Duplicate => What::Duplicate,
            Verdict::Held => {
                let until = now.run_ms.saturating_add(find.slot.wait_ms(now)).saturating_add(HELD_MS);
                find.stage = Stage::Held { by: find.judge(), until };
                if !std::mem::replace(&mut find.was_held, true) {
                    effects.push(find.tell(What::Held));
                }
                return self.finds.push(find);
            }
            Verdict::Stale => What::Stale,
            Verdict::UnknownParent => {
                find.stage = again;
                return self.finds.push(find);
            }
            Verdict::Refused => What::Refused {
                rule: submission.rule.unwrap_or_default(),
                reason: submission.reason.unwrap_or_default(),
            },
        };
        effects.push(find.tell(what.clone()));
        self.ended(&find, &what, now, effects);
    }

    /// What follows from a verdict that ends a find.
    fn ended(&mut self, find: &Find, what: &What, now: Now, effects: &mut Vec<Effect>) {
        match what {
            What::Accepted | What::Duplicate => self.accepted(find, now),
            // The node has the next tip already, and its template is under way.
            What::Stale => self.is_done(find, now),
            What::Refused { .. } => {
                self.refusals = self.refusals.saturating_add(1);
                let rest = self.refusals.saturating_mul(REST_MS).min(MAX_REST_MS);
                self.rest_until = now.run_ms.saturating_add(rest);
                self.standing.refused_by(find.judge(), now.run_ms, effects);
            }
            _ => {}
        }
    }

    /// What a node keeps may still come to something; all else is told as lost.
    pub(super) fn end(&mut self, effects: &mut Vec<Effect>) {
        self.is_stopping = true;
        for find in std::mem::take(&mut self.finds) {
            if !matches!(find.stage, Stage::Held { .. }) {
                let reason = "the program was stopped before a node had judged it".to_owned();
                effects.push(find.tell(What::Lost { reason }));
            }
        }
        self.end_doubts(effects);
    }

    pub(super) fn accepted(&mut self, find: &Find, now: Now) {
        self.refusals = 0;
        self.standing.accepted_by(find.judge());
        self.is_done(find, now);
    }

    /// By the word of the node that judged a find, its parent has a block.
    fn is_done(&mut self, find: &Find, now: Now) {
        let (parent, until) = (find.work.header().parent, now.run_ms.saturating_add(DONE_MS));
        self.done = Some(Done { parent, by: find.judge(), until });
    }
}
