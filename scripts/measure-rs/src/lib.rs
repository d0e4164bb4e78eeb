//! Measurements of the real programs on one machine, each against a bar that the project set itself.
//!
//! Each measurement is a module with one entry; it answers [`table::Row`]s: what was measured, the bar, and whether it
//! is met. What happened when is read from the programs' own logs, whose times are of one clock: nothing here stands in
//! the way of what is measured. `scripts/measure` runs them; a short form of the quick ones stands among the tests.

pub mod logs;
pub mod network;
pub mod place;
pub mod table;
pub mod turn;
pub mod validation;
