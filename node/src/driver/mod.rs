//! The drivers: between the world and the core.

mod core_thread;
mod miner;
mod network;
mod serve;

pub(crate) use core_thread::{CoreThread, EVENT_QUEUE, spawn as spawn_core};
pub(crate) use miner::{Mining, spawn as spawn_miner};
pub(crate) use network::run as run_network;

pub use miner::MiningMode;
