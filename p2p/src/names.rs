//! Names that carry the genesis: nodes of two networks share no protocol, no topic and no name.
//!
//! Protocols and topics carry the first 8 hex digits, which keep networks apart that never meant to meet.
//! What two nodes tell each other first, identify's protocol version, carries all 64: it decides whether they
//! are of one network.

use libp2p::StreamProtocol;
use libp2p::gossipsub::IdentTopic;
use printsy_consensus::Hash;

/// The names of one network.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// What identify says: equal or not of this network.
    pub(crate) identity: String,
    /// The request-response protocol.
    pub(crate) sync: StreamProtocol,
    /// The Kademlia protocol.
    pub(crate) kad: StreamProtocol,
    /// Prefix of the gossip protocol's versions.
    pub(crate) gossip: String,
    /// The topic of transaction batches.
    pub(crate) transactions: IdentTopic,
    /// The topic of block headers.
    pub(crate) blocks: IdentTopic,
}

impl Names {
    pub(crate) fn of(genesis: Hash) -> Self {
        let full = genesis.to_string();
        let prefix = format!("/printsy/{}", &full[..8]);
        let protocol = |name: &str| {
            StreamProtocol::try_from_owned(format!("{prefix}/{name}/1")).expect("it begins with a slash")
        };
        Self {
            identity: format!("/printsy/{full}/1"),
            sync: protocol("sync"),
            kad: protocol("kad"),
            gossip: format!("{prefix}/gossip"),
            transactions: IdentTopic::new(format!("{prefix}/transactions/1")),
            blocks: IdentTopic::new(format!("{prefix}/blocks/1")),
        }
    }
}
