//! Headers in context: the rules that place one (H1 to H8), and the tree that chooses the chain.

mod rules;
mod tree;

pub use rules::{CheckedHeader, HeaderError, verify_header};
pub use tree::{HeaderTree, Inserted, Placed, TipMove};
