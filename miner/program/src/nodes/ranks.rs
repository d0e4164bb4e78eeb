//! Whose turn it is: a node is followed while none that is preferred to it may be expected to give work.
//!
//! Each node is trusted to work until it was tried and failed, and again once it has worked. So the first node is
//! tried first and the second only when the first has failed; when the first works again, the second is left. One that the
//! desk passes over comes after all that it does not, whatever the order.

use std::sync::Arc;

use tokio::sync::watch;

use crate::desk::NodeIndex;

/// Which nodes may be expected to give work. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Ranks {
    places: Arc<watch::Sender<Vec<Place>>>,
}

/// What is known of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// Whether it may be expected to give work.
    is_hopeful: bool,
    /// Whether the desk passes it over.
    is_passed_over: bool,
}

impl Ranks {
    /// So many nodes, none of them tried yet.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        let untried = Place { is_hopeful: true, is_passed_over: false };
        Self { places: Arc::new(watch::Sender::new(vec![untried; nodes])) }
    }

    /// Says whether a node may be expected to give work.
    pub fn set(&self, node: NodeIndex, is_hopeful: bool) {
        self.change(node, |place| Place { is_hopeful, ..place });
    }

    /// Prefers every other node to this one.
    pub fn pass_over(&self, node: NodeIndex) {
        self.change(node, |place| Place { is_passed_over: true, ..place });
    }

    /// Prefers it again as before.
    pub fn try_again(&self, node: NodeIndex) {
        self.change(node, |place| Place { is_passed_over: false, ..place });
    }

    fn change(&self, node: NodeIndex, to: impl Fn(Place) -> Place) {
        self.places.send_if_modified(|all| match all.get_mut(node) {
            Some(place) => {
                let before = *place;
                *place = to(before);
                *place != before
            }
            None => false,
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

    async fn wait(&self, until: impl FnMut(&Vec<Place>) -> bool) {
        // The sender lives as long as this does.
        let _ = self.places.subscribe().wait_for(until).await;
    }
}

fn is_another_preferred(all: &[Place], node: NodeIndex) -> bool {
    let rank = |other: NodeIndex| (all.get(other).is_some_and(|place| place.is_passed_over), other);
    all.iter().enumerate().any(|(other, place)| place.is_hopeful && rank(other) < rank(node))
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

    #[tokio::test]
    async fn a_node_passed_over_has_its_turn_while_all_others_have_failed() {
        let ranks = Ranks::new(2);
        ranks.pass_over(0);
        ranks.turn_over(0).await;
        ranks.turn(1).await;
        ranks.set(1, false);
        ranks.turn(0).await;
        ranks.set(1, true);
        ranks.turn_over(0).await;
        ranks.try_again(0);
        ranks.turn(0).await;
        ranks.turn_over(1).await;
    }
}
