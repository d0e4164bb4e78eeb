//! Execution: what a transaction, and a block of them, does to the state.
//!
//! `verify` holds the S rules and changes nothing; `apply` makes the changes of a transaction that passed
//! them; `block` holds B3 to B6 and runs a whole block; `undo` takes a block back. Changes are staged in an
//! [`Overlay`] over a [`StateView`](crate::StateView) until someone publishes them.

mod apply;
mod block;
mod overlay;
mod undo;
mod verify;

pub use apply::apply_transaction;
pub use block::{
    Applied, BlockError, credit_miner, state_root_after, verify_and_apply_block, verify_and_apply_body,
    verify_miner, verify_per_sender,
};
pub use overlay::{Diff, Overlay, Staged};
pub use undo::{BlockUndo, HoldingBefore, TransactionUndo};
pub use verify::{StateError, verify_transaction};
