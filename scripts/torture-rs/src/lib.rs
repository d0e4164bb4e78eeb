//! The long runs: a node is killed, its disk loses writes, its chain is reorganised, thousands of times, and after
//! each nothing that was acknowledged may be missing.
//!
//! Each campaign is a module with one entry, takes a seed and a count, ends at the first law broken, and answers
//! one [`report::Report`]. `scripts/torture` runs them at length; this crate's tests run them short. The naive
//! model of the ledger's own tests is used here as it stands there, by its path.

pub mod corruption;
pub mod crashes;
mod files;
mod fused;
mod history;
pub mod kills;
pub mod reorganisations;
pub mod report;
pub mod scale;
mod seeds;
pub mod templates;

#[path = "../../../ledger/tests/support/mod.rs"]
mod support;
