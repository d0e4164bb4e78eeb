//! Finds that end without a verdict: before one is told as stale or lost, a node is asked whether its chain holds it.
//!
//! A node may have journalled a block and been killed before it could answer; or it held a block, took it when its time
//! came, and was two blocks on when it was next heard of. What the chain holds is no loss. Where no node is there, the next
//! that comes is asked.

use printsy_consensus::Hash;

use super::find::Find;
use super::{Desk, Effect, MAX_FINDS, NodeIndex, Now, What};

/// A find that a node is asked about.
#[derive(Debug)]
pub(super) struct Doubt {
    find: Find,
    /// What it is told as where no chain holds it.
    otherwise: What,
    /// Who is asked; none where no node was there.
    pub(super) asked: Option<NodeIndex>,
}

impl Desk {
    /// A find is over, as it seems: as `otherwise`, unless a chain holds it. Nobody is asked about one that no node was
    /// ever given.
    pub(super) fn doubt(&mut self, find: Find, otherwise: What, effects: &mut Vec<Effect>) {
        let judge = Some(find.judge()).filter(|judge| self.is_joined(*judge));
        let asked = judge.or_else(|| self.joined.iter().position(|joined| *joined));
        if find.tries == 0 {
            effects.push(find.tell(otherwise));
            return;
        }
        effects.extend(asked.map(|node| Effect::LookUp { node, find: find.id }));
        self.doubts.push(Doubt { find, otherwise, asked });
        if self.doubts.len() > MAX_FINDS {
            let Doubt { find, otherwise, .. } = self.doubts.remove(0);
            effects.push(find.tell(otherwise));
        }
    }

    /// A node has said whether its chain holds a block, or could not.
    pub(super) fn looked_up(&mut self, id: Hash, is_on_chain: bool, now: Now, effects: &mut Vec<Effect>) {
        let Some(at) = self.doubts.iter().position(|doubt| doubt.find.id == id) else { return };
        let Doubt { find, otherwise, .. } = self.doubts.remove(at);
        if is_on_chain {
            self.accepted(&find, now);
        }
        effects.push(find.tell(if is_on_chain { What::Accepted } else { otherwise }));
    }

    /// A node is there: it is asked of what nobody could be asked before.
    pub(super) fn ask_joined(&mut self, node: NodeIndex, effects: &mut Vec<Effect>) {
        for doubt in self.doubts.iter_mut().filter(|doubt| doubt.asked.is_none()) {
            doubt.asked = Some(node);
            effects.push(Effect::LookUp { node, find: doubt.find.id });
        }
    }

    /// A node cannot answer any more: others are asked, if there are any.
    pub(super) fn ask_others(&mut self, lost: NodeIndex, effects: &mut Vec<Effect>) {
        let (asked_there, others) =
            std::mem::take(&mut self.doubts).into_iter().partition(|doubt: &Doubt| doubt.asked == Some(lost));
        self.doubts = others;
        for Doubt { find, otherwise, .. } in asked_there {
            self.doubt(find, otherwise, effects);
        }
    }

    /// Nobody is waited for any longer.
    pub(super) fn end_doubts(&mut self, effects: &mut Vec<Effect>) {
        for Doubt { find, otherwise, .. } in std::mem::take(&mut self.doubts) {
            effects.push(find.tell(otherwise));
        }
    }
}
