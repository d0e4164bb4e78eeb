//! The drivers: between the world and the core.
//!
//! `core_thread` owns the core; `network` and `serve` stand between it and peers; `miner` is this node's own miner;
//! `disk` looks after the datadir. They turn the world into events and effects into the world, and decide nothing.

mod core_thread;
mod disk;
mod miner;
mod network;
mod serve;

pub(crate) use core_thread::{CoreThread, EVENT_QUEUE, spawn as spawn_core};
pub(crate) use disk::run as run_disk;
pub(crate) use miner::{Mining, spawn as spawn_miner};
pub(crate) use network::run as run_network;

pub use core_thread::OnConflict;
pub use miner::MiningMode;
