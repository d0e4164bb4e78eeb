//! The wallet, as a library that its program and its tests share: `printsy` is a few lines around it.
//!
//! - [`cli`]: what may be written on the command line
//! - [`order`]: what a command becomes as a transaction; pure
//! - [`session`]: one node, asked and sent to
//! - [`run`]: the commands, each as question, order, answer
//! - [`tell`]: the sentences for people; pure
//! - [`verify`]: proofs, checked without any node
//!
//! Data goes to standard output, everything else to standard error; a secret key goes nowhere.

pub mod cli;
pub mod order;
pub mod run;
pub mod session;
pub mod tell;
pub mod verify;
