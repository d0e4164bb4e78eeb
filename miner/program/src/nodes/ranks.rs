//! Whose turn it is: a node is followed while none that is preferred to it may be expected to give work.
//!
//! Each node is trusted to work until it was tried and failed, and again once it has worked. So the first node is
//! tried first and the second only when the first has failed; when the first works again, the second is left.

use std::sync::Arc;

use tokio::sync::watch;

use crate::desk::NodeIndex;

/// Which nodes may be expected to give work. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Ranks {
    hopeful: Arc<watch::Sender<Vec<bool>>>,
}

impl Ranks {
    /// So many nodes, none of them tried yet.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self { hopeful: Arc::new(watch::Sender::new(vec![true; nodes])) }
    }

    /// Says whether a node may be expected to give work.
    pub fn set(&self, node: NodeIndex, is_hopeful: bool) {
        self.hopeful.send_if_modified(|all| {
            let changed = all.get(node).is_some_and(|before| *before != is_hopeful);
            if let Some(before) = all.get_mut(node) {
                *before = is_hopeful;
            }
            changed
        });
    }

    /// Waits until no node that is preferred to this one may be expected to give work.
    pub async fn turn(&self, node: NodeIndex) {
        self.wait(|all| !is_another_preferred(all, node)).await;
    }

    /// Waits until one is again.
    pub async fn turn_over(&self, node: NodeIndex) {
        self.wait(|all| is_another_preferred(all, node)).await;
    }

    async fn wait(&self, until: impl FnMut(&Vec<bool>) -> bool) {
        // The sender lives as long as this does.
        let _ = self.hopeful.subscribe().wait_for(until).await;
    }
}

fn is_another_preferred(all: &[bool], node: NodeIndex) -> bool {
    all.iter().take(node).any(|hopeful| *hopeful)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_has_its_turn_while_all_before_it_have_failed() {
        let ranks = Ranks::new(3);
        ranks.turn(0).await;
        ranks.turn_over(1).await;
        ranks.set(0, false);
        ranks.turn(1).await;
        ranks.turn_over(2).await;
        ranks.set(1, false);
        ranks.turn(2).await;
        ranks.set(0, true);
        ranks.turn_over(1).await;
        ranks.turn_over(2).await;
    }
}
