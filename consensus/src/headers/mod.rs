//! Headers in context: the rules that place one (H1 to H8), and the tree that chooses the chain.
//!
//! `rules` judges one header against its parent and the clock; `tree` keeps those that are not final and says how the
//! tip moves. Neither knows a body: that one is at hand is told to the tree from outside.

mod rules;
mod tree;

pub use rules::{CheckedHeader, HeaderError, verify_header};
pub use tree::{HeaderTree, Inserted, Placed, TipMove};
