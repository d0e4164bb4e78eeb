//! The state: what the chain has come to, committed in every header (protocol section 6).
//!
//! `entry` says what there is, `tree` is the one place where it is held: a persistent Merkle tree, so that a
//! snapshot is a pointer, a reorganisation is a swap, and only what changed is hashed again. `proof` shows a
//! single entry, or its absence, to someone who has only a header; `register` is the story of an image in one hash.
//! [`StateView`] is how rules read it.

mod entry;
mod path;
mod proof;
mod register;
mod tree;
mod view;

pub use entry::{Account, Edition, Entry, Holding, Miner, Position, StateKey, StateRow, Supply};
pub use path::leaf_hash;
pub use proof::{Proof, ProofError, Terminal};
pub use register::{RegisterKind, RegisterStep};
pub use tree::StateTree;
pub use view::{StateView, ViewError};
