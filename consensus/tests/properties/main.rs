//! Laws that hold for any values, tried by seed: a law that fails names the seed, and runs the same again.
//!
//! Where the crate is clever (the state tree, the header tree, batches, diffs and undo), a naive model stands
//! beside it: see `support/`.

mod batch;
mod decode;
mod execution;
mod headers;
#[path = "../support/mod.rs"]
mod support;
mod tree;
