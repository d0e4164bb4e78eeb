//! The node: one state machine, with drivers around it that turn the world into events and effects into the
//! world.
//!
//! - [`core`]: the state machine; it owns the ledger and is owned by one thread
//! - `driver`: that thread, the network, the miner, the disk
//! - [`handle`]: what servers hold of a running node
//! - [`server`]: JSON-RPC, health and metrics on one port
//! - [`node`]: a running node, put together; what the daemon and the tests start
//! - [`storage`]: where its ledger is, and opening it; `progress`: showing how far that is
//! - [`commands`]: what `printsyd` does with the datadir of a stopped node
//! - [`tokens`]: the secrets that let RPC callers in
//! - [`guard`]: whether the datadir is there, writable, and has room
//! - `daemon`, `cli`, `config`, `datadir`, `init`, `dev`, `logging`, `exit`: the program `printsyd`

pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod core;
pub mod daemon;
pub mod datadir;
pub mod dev;
pub mod doctor;
mod driver;
pub mod exit;
pub mod guard;
pub mod handle;
pub mod init;
pub mod logging;
pub mod manual;
pub mod metrics;
pub mod node;
mod notify;
pub mod progress;
pub mod server;
pub mod storage;
pub mod tokens;

pub use driver::{MiningMode, OnConflict};
