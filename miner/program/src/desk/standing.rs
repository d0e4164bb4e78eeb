//! How nodes stand with the desk: which of them is preferred, and which is passed over because it refuses what is found.
//!
//! The order of preference is the one that was given. A node that refuses several blocks in a row makes templates that its
//! own rules refuse, or judges wrongly; whatever it is, another node may do better. So it comes after all that do not,
//! for a while, and is tried again then. It is never left out: where no other gives work, its work is searched.

use super::{Effect, NodeIndex};

/// How many blocks a node refuses in a row until it is passed over: one may be its bad luck, or ours.
pub const MAX_REFUSALS: u32 = 3;
/// How long it is passed over: some time for an operator, and no more than [`MAX_REFUSALS`] blocks lost each time.
pub const PASS_OVER_MS: u64 = 5 * 60_000;

/// One node.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    /// Blocks it refused in a row.
    refusals: u32,
    /// Until when it is passed over, by the clock that nobody sets.
    passed_until: Option<u64>,
}

/// All nodes.
#[derive(Debug)]
pub(super) struct Standing {
    nodes: Vec<Record>,
}

impl Standing {
    pub(super) fn new(nodes: usize) -> Self {
        Self { nodes: vec![Record::default(); nodes] }
    }

    /// Whether `node` is preferred to `other`.
    pub(super) fn is_preferred(&self, node: NodeIndex, other: NodeIndex) -> bool {
        self.rank(node) < self.rank(other)
    }

    fn rank(&self, node: NodeIndex) -> (bool, NodeIndex) {
        (self.is_passed_over(node), node)
    }

    fn is_passed_over(&self, node: NodeIndex) -> bool {
        self.nodes.get(node).is_some_and(|record| record.passed_until.is_some())
    }

    pub(super) fn accepted_by(&mut self, node: NodeIndex) {
        if let Some(record) = self.nodes.get_mut(node) {
            record.refusals = 0;
        }
    }

    /// It refused a block: after some in a row it is passed over, where there is another.
    pub(super) fn refused_by(&mut self, node: NodeIndex, now: u64, effects: &mut Vec<Effect>) {
        let is_alone = self.nodes.len() < 2;
        let Some(record) = self.nodes.get_mut(node).filter(|_| !is_alone) else { return };
        record.refusals += 1;
        if record.refusals < MAX_REFUSALS {
            return;
        }
        *record = Record { refusals: 0, passed_until: Some(now.saturating_add(PASS_OVER_MS)) };
        effects.push(Effect::PassOver(node));
        // The last one passed over is the worst choice: the others begin anew.
        if self.nodes.iter().all(|record| record.passed_until.is_some()) {
            self.try_again(|other, _| other != node, effects);
        }
    }

    /// Those whose time is over are preferred again as before.
    pub(super) fn expire(&mut self, now: u64, effects: &mut Vec<Effect>) {
        self.try_again(|_, until| now >= until, effects);
    }

    fn try_again(&mut self, is_due: impl Fn(NodeIndex, u64) -> bool, effects: &mut Vec<Effect>) {
        for (node, record) in self.nodes.iter_mut().enumerate() {
            if record.passed_until.is_some_and(|until| is_due(node, until)) {
                record.passed_until = None;
                effects.push(Effect::TryAgain(node));
            }
        }
    }

    /// When the next one is to be tried again.
    pub(super) fn wake_at(&self) -> Option<u64> {
        self.nodes.iter().filter_map(|record| record.passed_until).min()
    }
}
