//! `printsy-miner`: mines with the work that any node hands out, on a machine of its own.
//!
//! It asks nodes for templates, searches nonces with the library `printsy-miner`, signs what it finds with the
//! miner's key, which never leaves it, and hands it in. It knows no chain: what to mine is a node's word, held against
//! everything that can be checked without one.
//!
//! - [`desk`]: what is searched and handed in, decided without a clock, a thread or a socket
//! - [`work`]: a template, checked
//! - [`engine`]: the thread that searches
//! - [`nodes`]: who is asked for work, and how
//! - [`run`]: puts them together, from the first connection to the last block
//! - [`cli`], [`exit`], [`tell`], [`metrics`], [`mod@bench`], [`manual`]: the program around it

pub mod bench;
pub mod cli;
pub mod clock;
pub mod desk;
pub mod engine;
pub mod exit;
pub mod manual;
pub mod metrics;
pub mod nodes;
pub mod run;
mod setup;
pub mod tell;
pub mod work;
