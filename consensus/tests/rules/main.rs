//! Every rule of the protocol at its exact boundary: what is just allowed, and what is just not.
//!
//! A test's name begins with its rule's id: `t5_accepts_..` and `t5_refuses_..`. A refusing test asserts the
//! rule's id and whose fault it is, by the table of docs/protocol.md section 4. `covered` reads these very files
//! and fails if a rule of `Rule::ALL` lacks either.

mod block;
mod codec;
mod covered;
mod genesis;
mod header;
mod state;
#[path = "../support/mod.rs"]
mod support;
mod transaction;
