//! The protocols a node speaks, and how each is set: gossip, sync, Kademlia, identify, ping, and the gates.
//!
//! Only settings stand here; what is done with the protocols' events stands in `driver.rs` and its chapters.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::Duration;

use libp2p::allow_block_list::{self, BlockedPeers};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::gossipsub::{
    self, DataTransform, MessageAuthenticity, MessageId, PeerScoreParams, PeerScoreThresholds, RawMessage,
    TopicHash, TopicScoreParams, ValidationMode, WhitelistSubscriptionFilter,
};
use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::NetworkBehaviour;
use libp2p::{identify, kad, memory_connection_limits, ping};
use printsy_consensus::{SignedHeader, sha256d};

use crate::error::Error;
use crate::hosts;
use crate::limits::{
    GOSSIP_HISTORY, GOSSIP_MESSAGES_PER_FRAME, GOSSIP_OVERHEAD, GOSSIP_QUEUE, GOSSIP_SEEN, Limits,
    MAX_BATCH_BYTES, MAX_SYNC_STREAMS, REQUEST_TIME,
};
use crate::names::Names;
use crate::sync_codec::SyncCodec;

pub(crate) type Gossip = gossipsub::Behaviour<KnownTopics, WhitelistSubscriptionFilter>;

/// All protocols of a node. The gates come first: what they deny, the others never see.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) connections: connection_limits::Behaviour,
    pub(crate) memory: memory_connection_limits::Behaviour,
    pub(crate) hosts: hosts::Behaviour,
    pub(crate) blocked: allow_block_list::Behaviour<BlockedPeers>,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) gossip: Gossip,
    pub(crate) kad: kad::Behaviour<MemoryStore>,
    pub(crate) sync: request_response::Behaviour<SyncCodec>,
}

impl Behaviour {
    pub(crate) fn new(
        keypair: &Keypair,
        names: &Names,
        agent: String,
        limits: &Limits,
        max_block_bytes: usize,
    ) -> Result<Self, Error> {
        let identify = identify::Config::new(names.identity.clone(), keypair.public())
            .with_agent_version(agent)
            // The book keeps addresses; identify would tell each protocol of each address that any peer claims.
            .with_cache_size(0)
            .with_push_listen_addr_updates(true);
        let sync_config = request_response::Config::default()
            .with_request_timeout(REQUEST_TIME)
            .with_max_concurrent_streams(MAX_SYNC_STREAMS);
        Ok(Self {
            connections: connection_limits::Behaviour::new(
                ConnectionLimits::default()
                    .with_max_pending_incoming(Some(limits.max_pending))
                    .with_max_pending_outgoing(Some(limits.max_pending))
                    .with_max_established_incoming(Some(limits.max_inbound))
                    .with_max_established_outgoing(Some(limits.max_outbound))
                    .with_max_established_per_peer(Some(limits.max_per_peer)),
            ),
            memory: memory_connection_limits::Behaviour::with_max_bytes(limits.max_process_bytes),
            hosts: hosts::Behaviour::new(limits.max_per_host),
            blocked: allow_block_list::Behaviour::default(),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::default(),
            gossip: gossip(names)?,
            kad: kademlia(keypair, names),
            sync: request_response::Behaviour::with_codec(
                SyncCodec::new(max_block_bytes),
                [(names.sync.clone(), ProtocolSupport::Full)],
                sync_config,
            ),
        })
    }
}

/// Kademlia for finding peers alone: it answers everybody, and stores nothing for anybody.
fn kademlia(keypair: &Keypair, names: &Names) -> kad::Behaviour<MemoryStore> {
    let own = keypair.public().to_peer_id();
    let mut config = kad::Config::new(names.kad.clone());
    config.set_record_filtering(kad::StoreInserts::FilterBoth);
    let nothing = MemoryStoreConfig {
        max_records: 0,
        max_value_bytes: 0,
        max_providers_per_key: 0,
        max_provided_keys: 0,
    };
    let mut kad = kad::Behaviour::with_config(own, MemoryStore::with_config(own, nothing), config);
    // Left to itself it answers only nodes that have proved a public address, and private networks have none.
    kad.set_mode(Some(kad::Mode::Server));
    kad
}

fn gossip(names: &Names) -> Result<Gossip, Error> {
    let setup = |reason: String| Error::Setup { reason };
    let topics = [names.transactions.hash(), names.blocks.hash()];
    let mut config = gossipsub::ConfigBuilder::default();
    config
        .protocol_id_prefix(names.gossip.clone())
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(message_id)
        .heartbeat_initial_delay(Duration::from_secs(1))
        .history_length(GOSSIP_HISTORY)
        .duplicate_cache_time(GOSSIP_SEEN)
        .max_transmit_size(MAX_BATCH_BYTES + GOSSIP_OVERHEAD)
        .max_transmit_size_for_topic(MAX_BATCH_BYTES + GOSSIP_OVERHEAD, names.transactions.hash())
        .max_transmit_size_for_topic(SignedHeader::LEN + GOSSIP_OVERHEAD, names.blocks.hash())
        .max_publish_messages(GOSSIP_MESSAGES_PER_FRAME)
        .connection_handler_queue_len(GOSSIP_QUEUE);
    let config = config.build().map_err(|error| setup(error.to_string()))?;
    let known: HashSet<_> = topics.iter().cloned().collect();
    let mut gossip = Gossip::new_with_subscription_filter_and_transform(
        MessageAuthenticity::Anonymous,
        config,
        WhitelistSubscriptionFilter(known.clone()),
        KnownTopics(known),
    )
    .map_err(|reason| setup(reason.to_owned()))?;
    gossip.with_peer_score(score_params(&topics), score_thresholds()).map_err(setup)?;
    for topic in [&names.transactions, &names.blocks] {
        gossip.subscribe(topic).map_err(|error| setup(error.to_string()))?;
    }
    Ok(gossip)
}

/// The hash of topic and content: the same bytes under the wrong topic must not count as the right message seen.
fn message_id(message: &gossipsub::Message) -> MessageId {
    let mut bytes = message.topic.as_str().as_bytes().to_vec();
    bytes.extend_from_slice(&message.data);
    MessageId::new(&sha256d(&bytes).0)
}

/// Scores fall by fault alone: what our own score says, invalid messages, and breaking gossip's own rules.
/// Delivery counts, time in the mesh, shared addresses and slowness weigh nothing: they are no faults, and a
/// quiet network of one machine would look guilty.
fn score_params(topics: &[TopicHash]) -> PeerScoreParams {
    let topic = TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.0,
        first_message_deliveries_weight: 0.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -10.0,
        invalid_message_deliveries_decay: 0.97,
        ..TopicScoreParams::default()
    };
    PeerScoreParams {
        topics: topics.iter().map(|hash| (hash.clone(), topic.clone())).collect::<HashMap<_, _>>(),
        app_specific_weight: 1.0,
        ip_colocation_factor_weight: 0.0,
        slow_peer_weight: 0.0,
        behaviour_penalty_weight: -5.0,
        behaviour_penalty_threshold: 6.0,
        behaviour_penalty_decay: 0.9,
        ..PeerScoreParams::default()
    }
}

/// Half a ban's score and gossip stops; at a ban's score the peer is not listened to.
fn score_thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: -40.0,
        publish_threshold: -60.0,
        graylist_threshold: -100.0,
        ..PeerScoreThresholds::default()
    }
}

/// Refuses messages of foreign topics before gossip keeps them: it would, for the length of its history.
#[derive(Clone, Debug)]
pub(crate) struct KnownTopics(HashSet<TopicHash>);

impl DataTransform for KnownTopics {
    fn inbound_transform(&self, raw: RawMessage) -> io::Result<gossipsub::Message> {
        if !self.0.contains(&raw.topic) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "unknown topic"));
        }
        let RawMessage { source, data, sequence_number, topic, .. } = raw;
        Ok(gossipsub::Message { source, data, sequence_number, topic })
    }

    fn outbound_transform(&self, _: &TopicHash, data: Vec<u8>) -> io::Result<Vec<u8>> {
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use libp2p::Multiaddr;
    use libp2p::swarm::ConnectionId;
    use printsy_consensus::Hash;

    use super::*;

    fn message(topic: TopicHash, data: &[u8]) -> RawMessage {
        RawMessage {
            source: None,
            data: data.to_vec(),
            sequence_number: None,
            topic,
            signature: None,
            key: None,
            validated: false,
        }
    }

    #[test]
    fn messages_of_foreign_topics_are_refused_before_they_are_kept() {
        let names = Names::of(Hash::ZERO);
        let other = Names::of(Hash([1; 32]));
        let known = KnownTopics(HashSet::from([names.transactions.hash(), names.blocks.hash()]));
        assert!(known.inbound_transform(message(names.blocks.hash(), b"x")).is_ok());
        assert!(known.inbound_transform(message(names.transactions.hash(), b"x")).is_ok());
        assert!(known.inbound_transform(message(other.blocks.hash(), b"x")).is_err());
    }

    #[test]
    fn a_node_has_a_share_of_connections_for_each_host() {
        let (keypair, names) = (Keypair::generate_ed25519(), Names::of(Hash::ZERO));
        let limits = Limits::default();
        let mut behaviour = Behaviour::new(&keypair, &names, String::new(), &limits, 65_536).unwrap();
        let mut knock = |number: usize, host: &str| {
            let remote = format!("/ip4/{host}/tcp/{number}").parse().unwrap();
            let connection = ConnectionId::new_unchecked(number);
            behaviour.handle_pending_inbound_connection(connection, &Multiaddr::empty(), &remote).is_ok()
        };
        let inside = (1..=20).filter(|number| knock(*number, "1.2.3.4"));
        assert_eq!(inside.count(), limits.max_per_host);
        assert!(knock(21, "1.2.3.5"), "others come in");
    }

    #[test]
    fn a_message_is_known_by_its_topic_and_its_content() {
        let names = Names::of(Hash::ZERO);
        let known = KnownTopics(HashSet::from([names.transactions.hash(), names.blocks.hash()]));
        let id = |topic: &gossipsub::IdentTopic, data: &[u8]| {
            message_id(&known.inbound_transform(message(topic.hash(), data)).unwrap())
        };
        assert_eq!(id(&names.blocks, b"x"), id(&names.blocks, b"x"));
        assert_ne!(id(&names.blocks, b"x"), id(&names.blocks, b"y"));
        assert_ne!(id(&names.blocks, b"x"), id(&names.transactions, b"x"));
    }
}
