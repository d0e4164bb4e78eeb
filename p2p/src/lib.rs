//! The network: peers, gossip, requests and answers, and who is kept out.
//!
//! [`start`] binds the listeners and spawns one task that owns everything below; the node holds a [`Network`] to
//! give it commands, none of which blocks, and a receiver of [`Event`]s in order. The crate moves bytes and
//! bounds them. It does not know what a valid transaction or block is: the node says so by [`Verdict`]s and by
//! reporting [`Misbehaviour`], and the crate keeps score, disconnects and bans. Nothing is forwarded before its
//! verdict. Peers of another genesis are refused before anything of theirs is passed on.
//!
//! - `message.rs` what is said; `wire.rs`, `sync_codec.rs` its bytes; `limits.rs` the table of all bounds
//! - `names.rs`, `behaviour.rs` the protocols and their settings
//! - `network.rs` start and handle; `driver.rs` the task, with its chapters gossip, sync and peering
//! - `address.rs`, `book.rs` whom to dial; `peers.rs` who is connected; `hosts.rs` how many of one host; `bans.rs`
//!   scores and bans

mod address;
mod bans;
mod behaviour;
mod book;
mod driver;
mod error;
mod hosts;
pub mod limits;
mod message;
mod metrics;
mod names;
mod network;
mod peers;
mod sync_codec;
mod wire;

pub use address::check as check_address;
pub use error::Error;
pub use limits::Limits;
pub use message::{
    BanInfo, BanReason, Direction, Event, MessageKey, Misbehaviour, PeerInfo, PeerKey, ReplyKey, Request,
    RequestFailure, RequestKey, Response, Status, Verdict,
};
pub use network::{Config, Network, start};
