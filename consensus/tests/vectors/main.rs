//! Published and independently made vectors: they freeze every byte and every number of the protocol.
//!
//! `bip340.csv` and `asert/` are the published vectors of the two algorithms that the protocol takes over;
//! `protocol.json` was made by an independent model of this protocol. Where code and vectors disagree, the code
//! is wrong.

mod asert;
mod bip340;
mod protocol;
#[path = "../support/mod.rs"]
mod support;
