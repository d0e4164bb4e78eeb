//! What can go wrong here: the crate's one error enum.
//!
//! All of it happens at the start or in a call of the node's; what peers do wrong is never an error but a
//! [`crate::Misbehaviour`], and a request that got no answer is a [`crate::RequestFailure`].

use std::io;

/// Why the network could not start, a call was refused, or the task ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address is not one of the form `/ip4/1.2.3.4/tcp/8640` (`/ip6`, `/dns4`, `/dns6`, `/dns` alike), with or
    /// without `/p2p/PEER`.
    #[error("bad address {address:?}: {reason}, want /ip4/1.2.3.4/tcp/8640 with or without /p2p/PEER")]
    BadAddress {
        /// The address as it was given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A text is not a peer id.
    #[error("bad peer id {peer:?}: {reason}")]
    BadPeerId {
        /// The text as it was given.
        peer: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another process listens where this one should.
    #[error("cannot listen on {address}: the port is in use")]
    ListenInUse {
        /// The address as it was configured.
        address: String,
    },
    /// The operating system refused the listener.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address as it was configured.
        address: String,
        /// What it said.
        source: io::Error,
    },
    /// The transport could not be set up.
    #[error("cannot set up the network: {reason}")]
    Setup {
        /// What the library said.
        reason: String,
    },
    /// The task that owns the network ended without being told to: a bug, and the process should end.
    #[error("the network task died")]
    TaskDied,
}
