//! What the test programs of this crate share.
//!
//! `naive`: hashes, roots and proofs written straight from docs/protocol.md, with nothing of the crate in them.
//! `model`: the state as plain maps and the effects of transactions as plain statements. `chain`: a network, its
//! tip, and the building and judging of blocks on it. `random`: a seeded generator and random valid orders.
//!
//! The model is independent of `execute/` and `state/tree.rs`: a block that `chain` builds carries the root that
//! the model came to, so every block that is accepted is a comparison of the two.
#![allow(dead_code, unused_imports, reason = "each test program uses its own part of this")]

pub mod chain;
pub mod model;
pub mod naive;
pub mod random;

pub use chain::{Chain, Refused, base_params, chain_with, genesis_with, key, public};
pub use model::Model;
pub use random::Random;
