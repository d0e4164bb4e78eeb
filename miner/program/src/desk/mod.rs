//! The desk: what is searched and what is handed in, decided in one place and without a clock, a thread or a socket.
//!
//! [`Desk::handle`] takes an event and the time by two clocks, and answers what is to be done. Every event changes what the desk
//! knows; then one function, `settle`, says what ought to be going on, and the difference to what is going on are the
//! effects. So there is no path by which a stale search is forgotten or a find is handed in twice at once.
//!
//! What it holds to:
//! - a search is on the newest work of the node that is followed, and stops with the first find on a parent: a
//!   second block on one parent gains nothing;
//! - a find is kept until a node has judged it or the chain has gone past it; it goes back to the node that made its
//!   template, and one that holds no transactions may go to any node, whole;
//! - what a node keeps until its time is handed in again when that node is gone or there anew;
//! - before a find is told as stale or lost without a verdict, a node is asked whether its chain holds it (`doubt`);
//! - work of a node that is gone is searched on for [`GRACE_MS`], no longer: by then it is likely to be stale;
//! - a node that refuses [`MAX_REFUSALS`] blocks in a row comes after all others for [`PASS_OVER_MS`] (`standing`);
//! - a block waits for its slot, a time of day (`slot`); all other waits are measured by a clock that nobody sets.

mod doubt;
mod event;
mod find;
mod slot;
mod standing;
#[cfg(test)]
mod tests;
mod verdict;

use std::sync::Arc;

use printsy_consensus::{Hash, SecretKey};

use crate::work::Work;
use doubt::Doubt;
pub use event::{Effect, Event, Fact, Job, NodeIndex, Outcome, What};
use find::{Find, Stage};
pub use slot::{Now, Slot};
use standing::Standing;
pub use standing::{MAX_REFUSALS, PASS_OVER_MS};

/// How long the work of a node that is gone is searched on: longer than a broken connection takes to be made anew,
/// about as long as a few blocks take.
pub const GRACE_MS: u64 = 5_000;
/// How many finds are kept at once: one for each parent, of which there is a new one every few seconds.
const MAX_FINDS: usize = 16;
/// How long a find is kept at the most: by then no chain has stood still.
const MAX_AGE_MS: u64 = 10 * 60_000;
/// How long templates on a parent that has its block are ignored: they were under way when it was accepted. Far longer
/// than a busy node takes to tell of its new tip, and a chain hardly ever comes back to a parent.
const DONE_MS: u64 = 10_000;

/// What is searched.
#[derive(Debug)]
struct Current {
    node: NodeIndex,
    work: Arc<Work>,
    /// Where to go on once what is running ends.
    start: u64,
    /// When the first work on its parent came, by the clock that nobody sets.
    came_at: u64,
}

impl Current {
    /// A search on it, with the slot of its block.
    fn job(&self, number: u64) -> Job {
        let (time, interval_ms) = (self.work.header().time, self.work.interval_ms());
        let slot = Slot { time, latest: self.came_at.saturating_add(interval_ms) };
        Job { number, node: self.node, work: self.work.clone(), start: self.start, slot }
    }
}

/// A parent that has its block.
#[derive(Clone, Copy, Debug)]
struct Done {
    parent: Hash,
    /// By whose word.
    by: NodeIndex,
    /// Until when its templates are ignored.
    until: u64,
}

/// The desk.
#[derive(Debug)]
pub struct Desk {
    key: SecretKey,
    joined: Vec<bool>,
    standing: Standing,
    start: u64,
    /// The work that a nonce was last found for, and where to go on if it comes again.
    found_for: Option<(Hash, u64)>,
    current: Option<Current>,
    /// Since when the current node is gone.
    lost_at: Option<u64>,
    finds: Vec<Find>,
    /// Those that a node is asked about, before they are told as stale or lost.
    doubts: Vec<Doubt>,
    done: Option<Done>,
    /// Until when nothing is searched.
    rest_until: u64,
    refusals: u64,
    /// The search that runs, and the name of its work.
    running: Option<(u64, Hash)>,
    searches: u64,
    is_stopping: bool,
}

impl Desk {
    /// A desk for so many nodes, whose finds are signed with `key`. Searches begin at the nonce `start`: two
    /// machines with one key that begin at different ones do not do the same work twice.
    #[must_use]
    pub fn new(key: SecretKey, nodes: usize, start: u64) -> Self {
        Self {
            key,
            joined: vec![false; nodes],
            standing: Standing::new(nodes),
            start,
            found_for: None,
            current: None,
            lost_at: None,
            finds: Vec::new(),
            doubts: Vec::new(),
            done: None,
            rest_until: 0,
            refusals: 0,
            running: None,
            searches: 0,
            is_stopping: false,
        }
    }

    /// What is to be done about `event`, at `now`.
    pub fn handle(&mut self, event: Event, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Joined(node) => {
                self.set_joined(node, true);
                self.finds.iter_mut().for_each(|find| find.hand_in_again(node, false));
                self.ask_joined(node, &mut effects);
            }
            Event::Lost(node) => {
                self.part_from(node, now, &mut effects);
                self.undo_done(node);
            }
            Event::Left(node) => self.part_from(node, now, &mut effects),
            Event::Idle(node) => {
                if self.is_current(node) {
                    self.current = None;
                }
            }
            Event::Work(node, work) => self.take(node, work, now, &mut effects),
            Event::Found { job, nonce } => self.found(job, nonce, now, &mut effects),
            Event::Judged { find, outcome } => self.judged(find, outcome, now, &mut effects),
            Event::LookedUp { find, is_on_chain } => self.looked_up(find, is_on_chain, now, &mut effects),
            Event::Tick => {}
            Event::Stop => self.is_stopping = true,
            Event::End => self.end(&mut effects),
        }
        self.settle(now, &mut effects);
        effects
    }

    /// What is searched, if anything is.
    #[must_use]
    pub fn work(&self) -> Option<&Work> {
        self.running.and(self.current.as_ref()).map(|current| &*current.work)
    }

    /// How long after `now` something is to be done though nothing happens, ms.
    #[must_use]
    pub fn wait_ms(&self, now: Now) -> Option<u64> {
        let finds = self.finds.iter().filter_map(|find| find.wake_at(now));
        let lost = self.lost_at.map(|at| at.saturating_add(GRACE_MS));
        let rest = (self.rest_until > 0).then_some(self.rest_until);
        let done = self.done.map(|done| done.until);
        let all = finds.chain(lost).chain(rest).chain(done).chain(self.standing.wake_at());
        // What is due already waits for something else, such as a node that comes back.
        all.filter_map(|at| at.checked_sub(now.run_ms).filter(|wait| *wait > 0)).min()
    }

    /// Whether a find is on its way to a node, or could be, or a node is asked about one.
    #[must_use]
    pub fn is_handing_in(&self) -> bool {
        self.doubts.iter().any(|doubt| doubt.asked.is_some())
            || self.finds.iter().any(|find| match find.stage {
                Stage::InFlight { .. } => true,
                Stage::Slot | Stage::Ready { .. } => find.to_whom(&self.joined).is_some(),
                Stage::Held { .. } => false,
            })
    }

    /// Whether something that was found for a node is still to be judged by it, or it is asked about a find.
    #[must_use]
    pub fn has_finds_of(&self, node: NodeIndex) -> bool {
        self.finds.iter().any(|find| find.node == node && !matches!(find.stage, Stage::Held { .. }))
            || self.doubts.iter().any(|doubt| doubt.asked == Some(node))
    }

    fn set_joined(&mut self, node: NodeIndex, is_joined: bool) {
        if let Some(joined) = self.joined.get_mut(node) {
            *joined = is_joined;
        }
    }

    /// A node cannot be asked any more.
    fn part_from(&mut self, node: NodeIndex, now: Now, effects: &mut Vec<Effect>) {
        self.set_joined(node, false);
        if self.is_current(node) {
            self.lost_at.get_or_insert(now.run_ms);
        }
        self.finds.iter_mut().for_each(|find| find.hand_in_again(node, true));
        self.ask_others(node, effects);
    }

    /// The node by whose word a parent has its block is gone, maybe before it told any other: what others build on that
    /// parent counts again. Its own work there does not.
    fn undo_done(&mut self, lost: NodeIndex) {
        if let Some(done) = self.done.take_if(|done| done.by == lost) {
            let is_over =
                |current: &mut Current| current.node == lost && current.work.header().parent == done.parent;
            drop(self.current.take_if(is_over));
        }
    }

    fn is_joined(&self, node: NodeIndex) -> bool {
        self.joined.get(node).copied().unwrap_or(false)
    }

    fn is_current(&self, node: NodeIndex) -> bool {
        self.current.as_ref().is_some_and(|current| current.node == node)
    }

    /// A node's work becomes the current one, unless it comes from a less preferred node than the one followed.
    fn take(&mut self, node: NodeIndex, work: Arc<Work>, now: Now, effects: &mut Vec<Effect>) {
        let is_followed = |current: &Current| {
            !self.standing.is_preferred(current.node, node) || !self.is_joined(current.node)
        };
        if !self.current.as_ref().is_none_or(is_followed) {
            return;
        }
        self.lost_at = None;
        self.leave_behind(&work, now, effects);
        if self.current.as_ref().is_none_or(|current| current.work.id() != work.id()) {
            let parent = work.header().parent;
            let before = self.current.as_ref().filter(|current| current.work.header().parent == parent);
            let came_at = before.map_or(now.run_ms, |current| current.came_at);
            // Behind what was found for it before: that would only be refused again.
            let start =
                self.found_for.filter(|(id, _)| *id == work.id()).map_or(self.start, |(_, next)| next);
            self.current = Some(Current { node, work, start, came_at });
        } else if let Some(current) = &mut self.current {
            current.node = node;
        }
    }

    /// The finds that the chain, which `work` is on top of, has gone past, and those it holds.
    fn leave_behind(&mut self, work: &Work, now: Now, effects: &mut Vec<Effect>) {
        let tip = work.header().parent;
        let tip_height = work.header().height.saturating_sub(1);
        let finds = std::mem::take(&mut self.finds);
        for find in finds {
            if find.id == tip && !matches!(find.stage, Stage::InFlight { .. }) {
                self.accepted(&find, now);
                effects.push(find.tell(What::Accepted));
            } else if find.is_past(&tip, tip_height) {
                let otherwise = find.end_past();
                self.doubt(find, otherwise, effects);
            } else {
                self.finds.push(find);
            }
        }
    }

    fn found(&mut self, job: Job, nonce: u64, now: Now, effects: &mut Vec<Effect>) {
        if self.running.is_some_and(|(running, _)| running == job.number) {
            self.running = None;
        }
        let next = nonce.wrapping_add(1);
        self.found_for = Some((job.work.id(), next));
        if let Some(current) = self.current.as_mut().filter(|current| current.work.id() == job.work.id()) {
            current.start = next;
        }
        let find = Find::new(job, nonce, &self.key, now);
        if !find.is_proof() {
            effects.push(find.tell(What::Wrong));
            return;
        }
        if self.finds.iter().any(|other| other.id == find.id) {
            return;
        }
        let wait_ms = find.slot.wait_ms(now);
        effects.push(find.tell(What::Found { wait_ms }));
        // The chain may have gone on while the news of the find was under way.
        let tip = self.current.as_ref().map(|current| *current.work.header());
        if tip.is_some_and(|next| find.is_past(&next.parent, next.height.saturating_sub(1))) {
            effects.push(find.tell(What::Stale));
            return;
        }
        self.finds.push(find);
        if self.finds.len() > MAX_FINDS {
            let oldest = self.finds.remove(0);
            self.doubt(oldest, What::Lost { reason: "too many blocks wait already".to_owned() }, effects);
        }
    }

    /// What ought to be going on at `now`; what differs from what is going on becomes effects.
    fn settle(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.expire(now, effects);
        self.hand_in(now, effects);
        let wanted = self.wanted();
        let running = self.running.map(|(_, id)| id);
        if wanted.map(|current| current.work.id()) == running {
            return;
        }
        match wanted {
            Some(current) => {
                let job = current.job(self.searches + 1);
                self.searches = job.number;
                self.running = Some((job.number, job.work.id()));
                effects.push(Effect::Search(job));
            }
            None => {
                self.running = None;
                effects.push(Effect::Rest);
            }
        }
    }

    /// What has lasted too long ends.
    fn expire(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.standing.expire(now.run_ms, effects);
        if self.lost_at.is_some_and(|at| now.run_ms >= at.saturating_add(GRACE_MS)) {
            (self.current, self.lost_at) = (None, None);
        }
        if self.done.is_some_and(|done| now.run_ms >= done.until) {
            self.done = None;
        }
        if now.run_ms >= self.rest_until {
            self.rest_until = 0;
        }
        let over: Vec<Find> =
            self.finds.extract_if(.., |find| find.is_over(now.run_ms, MAX_AGE_MS)).collect();
        for find in over {
            let otherwise = find.end_late();
            self.doubt(find, otherwise, effects);
        }
    }

    /// Every find whose moment it is goes to a node that can judge it.
    fn hand_in(&mut self, now: Now, effects: &mut Vec<Effect>) {
        for find in &mut self.finds {
            if matches!(find.stage, Stage::Slot) && (self.is_stopping || find.slot.wait_ms(now) == 0) {
                find.stage = Stage::Ready { at: 0 };
            }
            let is_due = matches!(find.stage, Stage::Ready { at } if now.run_ms >= at);
            if let Some(node) = find.to_whom(&self.joined).filter(|_| is_due) {
                find.stage = Stage::InFlight { to: node };
                find.tries += 1;
                effects.push(Effect::Submit { node, find: find.id, params: find.params(node) });
            }
        }
    }

    /// What ought to be searched.
    fn wanted(&self) -> Option<&Current> {
        let current = self.current.as_ref()?;
        let parent = current.work.header().parent;
        let is_done = self.done.is_some_and(|done| done.parent == parent);
        // A find that nobody there can judge keeps nobody from finding another one.
        let has_find = self.finds.iter().any(|find| {
            find.work.header().parent == parent
                && (find.node == current.node || find.to_whom(&self.joined).is_some())
        });
        let rests = self.is_stopping || self.rest_until > 0 || is_done || has_find;
        (!rests).then_some(current)
    }
}
