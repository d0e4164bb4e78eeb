//! The nodes that templates come from: each is followed by a task of its own, the preferred ones first.
//!
//! `ranks` says whose turn it is, `link` how a node is asked, `ask` what it is asked about a find, `follow` what a follower does from the first
//! connection to the next. What a follower sees it tells in [`News`]; what becomes of it the desk decides.

pub mod ask;
mod backoff;
pub mod follow;
pub mod link;
mod ranks;

use std::sync::Arc;

use crate::desk::NodeIndex;
use crate::work::Work;
pub use follow::{Follower, Pin};
pub use link::Link;
pub use ranks::Ranks;

/// What a follower tells of its node.
#[derive(Debug)]
pub enum News {
    /// It answers, and is of our network.
    Joined {
        /// Which node.
        node: NodeIndex,
        /// How to ask it.
        link: Link,
    },
    /// It gave work.
    Work {
        /// Which node.
        node: NodeIndex,
        /// The work, checked.
        work: Arc<Work>,
    },
    /// It has no work for this miner now, and is asked again.
    Idle {
        /// Which node.
        node: NodeIndex,
        /// Why, for people.
        why: String,
    },
    /// It gave a template that is none.
    Nonsense {
        /// Which node.
        node: NodeIndex,
        /// What is wrong with it.
        why: String,
    },
    /// It cannot be asked any more.
    Lost {
        /// Which node.
        node: NodeIndex,
        /// Why, for people.
        why: String,
    },
    /// It is followed no longer: a preferred one is there again, or another way to ask it is tried.
    Left {
        /// Which node.
        node: NodeIndex,
    },
}
