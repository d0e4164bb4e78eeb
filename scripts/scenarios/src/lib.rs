//! A development network of four nodes on one machine, and the scenarios that Printsy exists for, acted on it.
//!
//! Everything is done the way a user would: the nodes are `printsyd` processes with ports and datadirs of their
//! own, the buyer is the `printsy` wallet, and what a node thinks is asked over JSON-RPC. The one thing no honest
//! program offers, a block that is invalid in spite of its proof of work, is made here by [`craft`], with the
//! help of a [`replica`] that executes every block by itself and so also checks the nodes' word.
//!
//! Reading order: `folder`, `calibrate`: what a network needs before it starts. `process`, `network`, `http`,
//! `wallet`, `miner`: the foreign programs; `cut`: a wire between them. `blocks`, `replica`, `craft`: blocks. `stage`, `scenario`: the play.
//! `narrate`, `wait`: how it is told, and how long it waits.

pub mod blocks;
pub mod calibrate;
pub mod craft;
pub mod cut;
pub mod folder;
pub mod http;
pub mod miner;
pub mod narrate;
pub mod network;
pub mod process;
pub mod replica;
pub mod scenario;
pub mod stage;
pub mod wait;
pub mod wallet;
