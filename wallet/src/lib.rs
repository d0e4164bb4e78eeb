//! The wallet, as a library that its program and its tests share: `printsy` is a few lines around it.
//!
//! - [`cli`]: what may be written on the command line
//! - [`ask`], [`password`], [`signer`]: who is at the terminal, what opens a key, whose key it is
//! - [`order`]: what a command becomes as a transaction
//! - [`session`]: one node, asked and sent to
//! - [`place`], [`outbox`], [`offline`]: the way of an order, the copies kept of them, an order in three steps
//! - [`keys`], [`read`], [`watch`]: the other commands; [`run`] leads to each
//! - [`answer`], [`tell`]: what a command comes to, and the sentences for people
//! - [`verify`]: proofs, checked without any node; [`manual`]: what the program says of itself
//!
//! Data goes to standard output, everything else to standard error; a secret key goes nowhere, and words only where
//! they are asked for.

pub mod answer;
pub mod ask;
pub mod cli;
mod clock;
pub mod keys;
pub mod manual;
pub mod offline;
pub mod order;
pub mod outbox;
pub mod password;
pub mod place;
pub mod read;
pub mod run;
pub mod session;
pub mod signer;
pub mod tell;
pub mod verify;
pub mod watch;
