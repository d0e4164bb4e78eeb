//! The templates that were handed out: remembered for `submitBlock`, told again while they are as good as new.
//!
//! Anybody may ask for the template of any miner, as often as they like. So what is asked again is answered
//! from here, not by the core, which would hash the whole body anew; and callers of one miner take turns, so
//! that a crowd costs the core one template. Nor can asking push out at once what a miner works on: the first
//! [`MAX_AT_ONCE`] on a tip come as fast as the mempool changes, all further ones at one in [`RENEW_AFTER_MS`],
//! so each stays good for four seconds at the least. This node's own generator is not remembered.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use printsy_consensus::{Hash, PublicKey};
use printsy_ledger::Template;

use crate::core::{TemplateBody, TemplateRefusal};

/// How many templates of one miner on one parent are remembered, the empty one of a new tip among them.
const MAX_PER_PARENT: usize = 9;
/// How many of them are made as fast as the mempool changes: the fewer, the longer the first stays good.
const MAX_AT_ONCE: usize = 4;
/// How many templates are remembered in all: [`MAX_PER_PARENT`] for each of 64 miners at work.
const MAX_TEMPLATES: usize = 64 * MAX_PER_PARENT;
/// How long a template is told again to its miner, ms: its time is no older than this.
const RENEW_AFTER_MS: u64 = 1_000;

/// What decides whether a template is as good as a new one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// The tip.
    pub(super) tip: Hash,
    /// How many times the tip or the mempool had changed.
    pub(super) changes: u64,
    /// This node's clock.
    pub(super) now_ms: u64,
}

#[derive(Debug)]
struct Kept {
    id: Hash,
    template: Arc<Template>,
    body: TemplateBody,
    /// What the miner's question came after.
    asked: Moment,
}

impl Kept {
    fn is_for(&self, miner: &PublicKey, parent: &Hash) -> bool {
        self.template.header.miner == *miner && self.template.header.parent == *parent
    }

    fn is_young(&self, now_ms: u64) -> bool {
        // A clock that was set back makes nothing young.
        now_ms.checked_sub(self.asked.now_ms).is_some_and(|age| age < RENEW_AFTER_MS)
    }
}

/// The templates handed out, oldest first.
#[derive(Debug, Default)]
pub(super) struct Templates {
    kept: VecDeque<Kept>,
}

impl Templates {
    /// The template of this name.
    pub(super) fn get(&self, id: &Hash) -> Option<Arc<Template>> {
        self.kept.iter().find(|kept| kept.id == *id).map(|kept| kept.template.clone())
    }

    /// What this miner is told again, if a new template would be no better or would come too soon.
    pub(super) fn again(&self, miner: &PublicKey, moment: &Moment) -> Option<(Hash, Arc<Template>)> {
        let on_tip = self.kept.iter().rev().filter(|kept| kept.is_for(miner, &moment.tip));
        // The empty one of a new tip says nothing of what the mempool has.
        let mut on_tip = on_tip.filter(|kept| kept.body != TemplateBody::Empty);
        let newest = on_tip.next()?;
        let is_paced = 1 + on_tip.count() >= MAX_AT_ONCE;
        let is_good = is_paced || newest.asked.changes == moment.changes;
        (is_good && newest.is_young(moment.now_ms)).then(|| (newest.id, newest.template.clone()))
    }

    /// The newest that this miner was told on this tip.
    pub(super) fn newest(&self, miner: &PublicKey, tip: &Hash) -> Option<(Hash, Arc<Template>)> {
        let newest = self.kept.iter().rev().find(|kept| kept.is_for(miner, tip))?;
        Some((newest.id, newest.template.clone()))
    }

    /// Remembers a template that was asked for at this moment.
    pub(super) fn keep(&mut self, id: Hash, template: Arc<Template>, body: TemplateBody, asked: Moment) {
        let (miner, parent) = (template.header.miner, template.header.parent);
        // The same name is the same template: it is as new as when it was last asked for.
        self.kept.retain(|kept| kept.id != id);
        self.kept.push_back(Kept { id, template, body, asked });
        let mut of_group = self.kept.iter().enumerate().filter(|(_, kept)| kept.is_for(&miner, &parent));
        if let Some((oldest, _)) = of_group.next()
            && of_group.count() >= MAX_PER_PARENT
        {
            self.kept.remove(oldest);
        }
        if self.kept.len() > MAX_TEMPLATES {
            self.forget_one(&asked.tip);
        }
    }

    /// Forgets the oldest that is not on the tip; where all are, the oldest of the miner who has the most.
    fn forget_one(&mut self, tip: &Hash) {
        let mut counts: HashMap<PublicKey, usize> = HashMap::new();
        for kept in &self.kept {
            *counts.entry(kept.template.header.miner).or_default() += 1;
        }
        let most = counts.values().copied().max().unwrap_or_default();
        let off_tip = self.kept.iter().position(|kept| kept.template.header.parent != *tip);
        let goes =
            off_tip.or_else(|| self.kept.iter().position(|kept| counts[&kept.template.header.miner] == most));
        drop(goes.and_then(|index| self.kept.remove(index)));
    }
}

/// Why the miner of a turn was last refused, and after how many changes: it holds until the next.
pub(super) type LastRefusal = Option<(u64, TemplateRefusal)>;
type Turn = Arc<tokio::sync::Mutex<LastRefusal>>;

/// Callers who ask the core for a template: those of one miner one after the other. It holds nothing of
/// miners for whom nobody asks.
#[derive(Debug, Default)]
pub(super) struct Turns {
    by_miner: Mutex<HashMap<PublicKey, Turn>>,
}

impl Turns {
    /// A place in the queue of this miner's callers.
    pub(super) fn join(&self, miner: PublicKey) -> Place<'_> {
        let turn = self.by_miner.lock().entry(miner).or_default().clone();
        Place { turns: self, miner, turn: Some(turn) }
    }
}

/// A place in a queue; the last to leave clears it away.
#[derive(Debug)]
pub(super) struct Place<'a> {
    turns: &'a Turns,
    miner: PublicKey,
    turn: Option<Turn>,
}

impl Place<'_> {
    /// Waits for this caller's turn, which lasts as long as the guard.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, LastRefusal> {
        self.turn.as_ref().expect("only dropping takes it").lock().await
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut by_miner = self.turns.by_miner.lock();
        // Let go under the lock, so that of two who leave at once one sees that it is the last.
        drop(self.turn.take());
        if by_miner.get(&self.miner).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            by_miner.remove(&self.miner);
        }
    }
}

#[cfg(test)]
mod tests {
    use printsy_consensus::{Header, SecretKey};

    use super::*;

    const TIP: Hash = Hash([1; 32]);
    const OTHER: Hash = Hash([2; 32]);

    fn at(changes: u64, now_ms: u64) -> Moment {
        Moment { tip: TIP, changes, now_ms }
    }

    fn miner(name: &str) -> PublicKey {
        SecretKey::development(name).public_key()
    }

    fn template(miner: PublicKey, parent: Hash, time: u64) -> (Hash, Arc<Template>) {
        let header = Header {
            version: printsy_consensus::VERSION,
            parent,
            transactions_root: Hash::ZERO,
            state_root: Hash::ZERO,
            height: 1,
            time,
            bits: 0x207f_ffff,
            miner,
            nonce: 0,
        };
        (header.id(), Arc::new(Template { header, transactions: Vec::new() }))
    }

    /// A caller, as the handle serves it: told again, or a new template made now.
    fn ask(templates: &mut Templates, miner: PublicKey, moment: Moment) -> Hash {
        if let Some((id, _)) = templates.again(&miner, &moment) {
            return id;
        }
        // No two templates of these tests have the same header.
        let (id, made) = template(miner, moment.tip, moment.now_ms * 1_000 + moment.changes);
        templates.keep(id, made, TemplateBody::Paced, moment);
        id
    }

    #[test]
    fn the_same_template_is_told_until_the_mempool_the_tip_or_a_second_moves_on() {
        let mut templates = Templates::default();
        let first = ask(&mut templates, miner("a"), at(1, 5_000));
        assert_eq!(ask(&mut templates, miner("a"), at(1, 5_999)), first);
        assert_ne!(ask(&mut templates, miner("b"), at(1, 5_999)), first, "another miner");
        assert!(templates.again(&miner("a"), &at(2, 5_999)).is_none(), "a change");
        assert!(templates.again(&miner("a"), &at(1, 6_000)).is_none(), "a second");
        assert!(templates.again(&miner("a"), &at(1, 4_999)).is_none(), "a clock set back");
        let moved = Moment { tip: OTHER, ..at(1, 5_999) };
        assert!(templates.again(&miner("a"), &moved).is_none(), "a tip");
    }

    #[test]
    fn the_empty_template_of_a_new_tip_is_told_first_and_never_for_the_whole() {
        let mut templates = Templates::default();
        assert!(templates.newest(&miner("a"), &TIP).is_none());
        let (empty, made) = template(miner("a"), TIP, 1);
        templates.keep(empty, made, TemplateBody::Empty, at(0, 0));
        assert_eq!(templates.newest(&miner("a"), &TIP).map(|(id, _)| id), Some(empty));
        assert!(templates.again(&miner("a"), &at(0, 0)).is_none());
        let whole = ask(&mut templates, miner("a"), at(0, 10));
        assert_eq!(templates.newest(&miner("a"), &TIP).map(|(id, _)| id), Some(whole));
        assert!(templates.newest(&miner("b"), &TIP).is_none());
        assert!(templates.newest(&miner("a"), &OTHER).is_none());
        assert!(templates.get(&empty).is_some());
    }

    #[test]
    fn asking_cannot_push_a_template_out_within_seconds() {
        let mut templates = Templates::default();
        let first = ask(&mut templates, miner("a"), at(0, 10_000));
        // Somebody asks each millisecond, and the mempool changes as often.
        for ms in 0..4_000 {
            ask(&mut templates, miner("a"), at(ms, 10_000 + ms));
            assert!(templates.get(&first).is_some(), "gone after {ms} ms");
        }
        assert!(templates.kept.len() <= MAX_PER_PARENT);
    }

    #[test]
    fn templates_stay_bounded_and_the_tip_s_and_the_modest_stay_longest() {
        let mut templates = Templates::default();
        let (old, made) = template(miner("modest"), OTHER, 1);
        templates.keep(old, made, TemplateBody::Paced, at(0, 0));
        let modest = ask(&mut templates, miner("modest"), at(0, 0));
        for round in 0..20 {
            for name in 0..100 {
                ask(&mut templates, miner(&format!("miner {name}")), at(round, round * 2_000));
            }
            assert!(templates.kept.len() <= MAX_TEMPLATES);
        }
        assert!(templates.get(&old).is_none(), "its parent is the tip no more");
        assert!(templates.get(&modest).is_some());
    }

    #[tokio::test]
    async fn callers_of_one_miner_take_turns_and_leave_nothing_behind() {
        let turns = Turns::default();
        let (one, two) = (turns.join(miner("a")), turns.join(miner("a")));
        let guard = one.turn().await;
        assert!(two.turn.as_ref().unwrap().try_lock().is_err());
        turns.join(miner("b")).turn().await.take();
        assert_eq!(turns.by_miner.lock().len(), 1);
        drop(guard);
        drop(one);
        two.turn().await.take();
        drop(two);
        assert!(turns.by_miner.lock().is_empty());
    }
}
