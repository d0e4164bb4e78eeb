//! What honest nodes must agree on, and nothing else: the Printsy protocol, version 1 (docs/protocol.md).
//!
//! Pure: no async, no I/O, no clock, no randomness, no floats, no threads, no iteration over hash maps. Time
//! and state are arguments. Block size is consensus; message size is p2p's, eviction the mempool's, bans p2p's.
//!
//! # Words for stages
//! Bytes are decoded into a [`Transaction`] or [`Block`] (bounded, nothing else); `check_*` makes of it a
//! [`CheckedTransaction`] or [`CheckedBlock`] (every rule that needs no other block); `verify_*` holds it
//! against a state or a parent and yields [`Applied`]. There is no third word and no flag that skips a stage:
//! an easy network is a genesis.
//!
//! # Reading order
//! `codec`, `hash`, `key`: bytes. `transaction`, `check`: orders alone. `header`, `target`, `headers`: proof of
//! work and the choice of chain. `state`, `execute`: orders and blocks in context. `block`, `branch`: bodies.
//! `params`, `genesis`: what a network fixes for good. `rule`: the names of all rules.
#![deny(clippy::float_arithmetic, clippy::arithmetic_side_effects, clippy::iter_over_hash_type)]

mod block;
mod branch;
mod check;
pub mod codec;
mod execute;
mod genesis;
mod hash;
mod header;
mod headers;
mod key;
mod params;
mod rule;
mod state;
mod target;
mod transaction;

pub use block::*;
pub use branch::{root_of_branch, transactions_branch};
pub use check::*;
pub use execute::*;
pub use genesis::*;
pub use hash::*;
pub use header::*;
pub use headers::*;
pub use key::*;
pub use params::*;
pub use rule::*;
pub use state::*;
pub use target::*;
pub use transaction::*;
