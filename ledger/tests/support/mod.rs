//! What the test programs above the store share.
//!
//! `world`: every block of a network by its id, each with the state it leaves as plain maps, applied one block
//! after another from genesis by consensus' own rules. It builds blocks with any body on any block, and is the
//! replay that a ledger's reorganisations, restarts and recounts are held against. `node`: a ledger on a disk
//! and an index in memory, fed by hand. `forge`: journals that no node writes. `checkpoint`: a checkpoint beside the map it
//! is held against. `random`: a seeded generator and random orders of all ten actions. `templates`: the law of templates, at any length.
#![allow(dead_code, unused_imports, reason = "each test program uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "in a test, a panic is the report")]

pub mod checkpoint;
pub mod forge;
pub mod node;
pub mod orders;
pub mod random;
pub mod templates;
pub mod world;

pub use forge::{Forge, Forged};
pub use node::Node;
pub use orders::{
    admit, expel, issue, key, list, order, order_until, public, purchase, redeem, register_miner, review,
    revoke_miner, transfer,
};
pub use random::{Random, for_seeds, random_genesis, random_order};
pub use world::{World, base_params, genesis_with};
