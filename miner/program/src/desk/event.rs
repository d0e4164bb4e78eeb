//! The desk's words: what happens, what is to be done about it, and what people are told.

use std::sync::Arc;

use printsy_consensus::Hash;
use printsy_rpc::mining::{Submission, SubmitBlockParams};

use super::Slot;
use crate::work::Work;

/// Which node: its place in the order of preference.
pub type NodeIndex = usize;

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A node can be asked.
    Joined(NodeIndex),
    /// A node cannot be asked any more: it may be dead.
    Lost(NodeIndex),
    /// A node is asked no more, as there is a better one.
    Left(NodeIndex),
    /// A node has no work for this miner now.
    Idle(NodeIndex),
    /// A node's work, checked.
    Work(NodeIndex, Arc<Work>),
    /// A search has found a nonce.
    Found {
        /// What it was on.
        job: Job,
        /// The nonce.
        nonce: u64,
    },
    /// What became of handing in.
    Judged {
        /// The block's id.
        find: Hash,
        /// What the node made of it.
        outcome: Outcome,
    },
    /// What became of looking a block up.
    LookedUp {
        /// The block's id.
        find: Hash,
        /// Whether the node's chain holds it; not, where there is no answer.
        is_on_chain: bool,
    },
    /// Time passed.
    Tick,
    /// The program ends: nothing is searched, and finds are handed in at once.
    Stop,
    /// Nothing is waited for any longer: what no node has judged or keeps is lost.
    End,
}

/// One search.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its number: a later search has a greater one.
    pub number: u64,
    /// Whose work it is.
    pub node: NodeIndex,
    /// What is searched.
    pub work: Arc<Work>,
    /// The first nonce.
    pub start: u64,
    /// When its block may be shown.
    pub slot: Slot,
}

/// What became of handing a find in.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The node's verdict.
    Judged(Submission),
    /// The node does not know the template any more.
    Forgotten,
    /// The node does not take blocks now, or did not answer: why.
    NotNow(String),
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Search this and nothing else.
    Search(Job),
    /// Search nothing.
    Rest,
    /// Hand a find in.
    Submit {
        /// To whom.
        node: NodeIndex,
        /// The block's id.
        find: Hash,
        /// How.
        params: SubmitBlockParams,
    },
    /// Ask whether its chain holds a block.
    LookUp {
        /// Whom.
        node: NodeIndex,
        /// The block's id.
        find: Hash,
    },
    /// Prefer every other node to this one, which refuses what is found.
    PassOver(NodeIndex),
    /// Prefer it again as before.
    TryAgain(NodeIndex),
    /// Tell people and count.
    Tell(Fact),
}

/// What people are told of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What became of it.
    pub what: What,
    /// Its height.
    pub height: u64,
    /// Its id.
    pub hash: Hash,
}

/// What became of a block that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It was found, and its slot comes after so many ms; 0: it is handed in at once.
    Found {
        /// Until its slot.
        wait_ms: u64,
    },
    /// It is on the chain.
    Accepted,
    /// The node keeps it until its time.
    Held,
    /// The chain had gone on by the time it came.
    Stale,
    /// The node had it already, from somebody else with this key.
    Duplicate,
    /// It breaks a rule.
    Refused {
        /// Which.
        rule: String,
        /// Why, in the node's words.
        reason: String,
    },
    /// It could not be handed in in time.
    Lost {
        /// Why.
        reason: String,
    },
    /// What the search found is no proof of work: the machine computes wrongly.
    Wrong,
}
