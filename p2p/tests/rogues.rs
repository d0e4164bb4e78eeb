//! Peers that are no nodes: the same protocols in the hands of somebody with other intentions.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;

use std::io;
use std::time::Duration;

use common::{GENESIS, Node, config, eventually, header, node, patiently};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::gossipsub::{self, IdentTopic, MessageAuthenticity, MessageId, ValidationMode};
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, identify, noise, tcp, yamux};
use printsy_p2p::{BanReason, Config, Event, Limits, Request, RequestKey, Response};

/// Writes whatever it is told to, and reads whatever comes, or nothing.
#[derive(Clone, Default)]
struct RawCodec {
    is_deaf: bool,
}

impl request_response::Codec for RawCodec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, _: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        Ok(Vec::new())
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        if self.is_deaf {
            std::future::pending::<()>().await;
        }
        let mut bytes = Vec::new();
        io.read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }
}

#[derive(NetworkBehaviour)]
struct Rogue {
    identify: identify::Behaviour,
    gossip: gossipsub::Behaviour,
    sync: request_response::Behaviour<RawCodec>,
    push: request_response::Behaviour<RawCodec>,
}

const PREFIX: &str = "/printsy/abababab";

fn topic(name: &str) -> IdentTopic {
    IdentTopic::new(format!("{PREFIX}/{name}/1"))
}

fn rogue(identity: String, codec: RawCodec) -> Swarm<Rogue> {
    let config = gossipsub::ConfigBuilder::default()
        .protocol_id_prefix(format!("{PREFIX}/gossip"))
        .validation_mode(ValidationMode::Anonymous)
        .message_id_fn(|message| MessageId::new(&message.data))
        .max_transmit_size(1 << 20)
        .build()
        .unwrap();
    let mut gossip = gossipsub::Behaviour::new(MessageAuthenticity::Anonymous, config).unwrap();
    for name in ["transactions", "blocks"] {
        gossip.subscribe(&topic(name)).unwrap();
    }
    let raw = |protocol: StreamProtocol| {
        let config = request_response::Config::default()
            .with_max_concurrent_streams(1_000)
            .with_request_timeout(Duration::from_secs(600));
        let protocols = [(protocol, ProtocolSupport::Full)];
        request_response::Behaviour::with_codec(codec.clone(), protocols, config)
    };
    let sync = raw(StreamProtocol::try_from_owned(format!("{PREFIX}/sync/1")).unwrap());
    let push = raw(identify::PUSH_PROTOCOL_NAME);
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|keypair| Rogue {
            identify: identify::Behaviour::new(identify::Config::new(identity, keypair.public())),
            gossip,
            sync,
            push,
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
        .build()
}

/// A rogue that says it is of this network, connected to the node, which has subscribed.
async fn welcome_rogue(node: &mut Node) -> (Swarm<Rogue>, PeerId) {
    welcome(node, RawCodec::default()).await
}

async fn welcome(node: &mut Node, codec: RawCodec) -> (Swarm<Rogue>, PeerId) {
    let mut rogue = rogue(format!("/printsy/{GENESIS}/1"), codec);
    let address: Multiaddr = node.address().parse().unwrap();
    rogue.dial(address).unwrap();
    let mut target = None;
    let mut subscriptions = 0;
    patiently("the rogue to be let in", async {
        while subscriptions < 2 {
            match rogue.select_next_some().await {
                SwarmEvent::ConnectionEstablished { peer_id, .. } => target = Some(peer_id),
                SwarmEvent::Behaviour(RogueEvent::Gossip(gossipsub::Event::Subscribed { .. })) => {
                    subscriptions += 1;
                }
                _ => {}
            }
        }
    })
    .await;
    tokio::select! {
        _ = node.connected() => {}
        () = drive(&mut rogue) => {}
    }
    (rogue, target.unwrap())
}

async fn drive(rogue: &mut Swarm<Rogue>) {
    loop {
        rogue.select_next_some().await;
    }
}

async fn is_banned(node: &mut Node, rogue: &mut Swarm<Rogue>) {
    tokio::select! {
        _ = node.disconnected() => {}
        () = drive(rogue) => {}
    }
    let banned = node.network.banned();
    assert_eq!(banned.len(), 1);
    assert_eq!(banned[0].peer_id, rogue.local_peer_id().to_string());
    assert_eq!(banned[0].reason, BanReason::Misbehaviour);
}

#[tokio::test]
async fn gossiped_garbage_ends_in_a_ban_and_reaches_nobody() {
    for name in ["transactions", "blocks"] {
        let mut node = node(config(1)).await;
        let (mut rogue, _) = welcome_rogue(&mut node).await;
        for garbage in [b"garbage".to_vec(), vec![0xff; 300]] {
            rogue.behaviour_mut().gossip.publish(topic(name), garbage).unwrap();
        }
        // `disconnected` would pass over a message; so the metric tells that none came through.
        is_banned(&mut node, &mut rogue).await;
        assert_eq!(node.metric("printsy_p2p_verdicts_total{verdict=\"reject\"}"), Some(2));
        assert_eq!(node.metric("printsy_p2p_faults_total{kind=\"malformed\"}"), Some(2));
    }
}

#[tokio::test]
async fn a_header_under_the_wrong_topic_does_not_hide_the_right_one() {
    let mut node = node(config(1)).await;
    let (mut rogue, _) = welcome_rogue(&mut node).await;
    let bytes = header(5).to_bytes().to_vec();
    // The rogue's own gossip takes both for one message, so the second comes from a second rogue.
    rogue.behaviour_mut().gossip.publish(topic("transactions"), bytes.clone()).unwrap();
    let (mut second, _) = tokio::select! {
        welcomed = welcome_rogue(&mut node) => welcomed,
        () = drive(&mut rogue) => unreachable!("it drives for ever"),
    };
    second.behaviour_mut().gossip.publish(topic("blocks"), bytes).unwrap();
    let announced = tokio::select! {
        header = node.until(|event| match event {
            Event::Announcement { header, .. } => Some(header),
            _ => None,
        }) => header,
        () = drive(&mut rogue) => unreachable!("it drives for ever"),
        () = drive(&mut second) => unreachable!("it drives for ever"),
    };
    assert_eq!(*announced, header(5));
}

#[tokio::test]
async fn malformed_requests_end_in_a_ban() {
    let unknown_tag = vec![1, 0, 0, 0, 9];
    let trailing = vec![2, 0, 0, 0, 3, 0];
    let too_long = u32::MAX.to_le_bytes().to_vec();
    let huge_count = vec![3, 0, 0, 0, 2, 0xff, 0xff];
    for first in [trailing, too_long, huge_count] {
        let mut node = node(config(1)).await;
        let (mut rogue, target) = welcome_rogue(&mut node).await;
        for bytes in [first, unknown_tag.clone()] {
            rogue.behaviour_mut().sync.send_request(&target, bytes);
        }
        is_banned(&mut node, &mut rogue).await;
    }
}

#[tokio::test]
async fn a_flood_of_requests_is_bounded_and_charged() {
    let mut node = node(config(1)).await;
    let (mut rogue, target) = welcome_rogue(&mut node).await;
    let pending = vec![1, 0, 0, 0, 3];
    for _ in 0..40 {
        rogue.behaviour_mut().sync.send_request(&target, pending.clone());
    }
    // The node answers none: 16 are handed to it, each one more costs, and the tenth ends it.
    is_banned(&mut node, &mut rogue).await;
    assert_eq!(node.metric("printsy_p2p_faults_total{kind=\"flood\"}"), Some(10));
}

/// A request for one block.
fn block_request() -> Vec<u8> {
    let mut bytes = vec![35, 0, 0, 0, 2, 1, 0];
    bytes.extend([7; 32]);
    bytes
}

/// Answers the next requests for blocks with one block of `size` bytes each.
async fn give_blocks(node: &mut Node, count: usize, size: usize) {
    for _ in 0..count {
        let reply = node.until(|event| match event {
            Event::Request { reply, request: Request::Blocks { .. }, .. } => Some(reply),
            _ => None,
        });
        let reply = reply.await;
        node.network.respond(reply, Response::Blocks(vec![vec![1; size]]));
    }
}

#[tokio::test]
async fn who_reads_no_answers_leaves_those_of_others_room_and_is_charged() {
    const BLOCK: u32 = 4 << 20;
    let size = usize::try_from(BLOCK).unwrap();
    // Room for two blocks and a bit in all: what one peer may have on its way.
    let limits = Limits { max_answer_bytes: 2 * size + 1_000, ..Limits::default() };
    let mut node = node(Config { max_block_bytes: BLOCK, limits, ..config(1) }).await;
    let (mut rogue, target) = welcome(&mut node, RawCodec { is_deaf: true }).await;
    for _ in 0..10 {
        rogue.behaviour_mut().sync.send_request(&target, block_request());
    }
    let rogue = tokio::spawn(async move { drive(&mut rogue).await });
    give_blocks(&mut node, 10, size).await;
    let bootnodes = vec![node.address()];
    let mut honest =
        common::node(Config { listen: Vec::new(), bootnodes, max_block_bytes: BLOCK, ..config(2) }).await;
    let peer = honest.connected().await;
    for number in 0..3 {
        let ids = vec![GENESIS].try_into().unwrap();
        honest.network.request(peer, RequestKey(number), Request::Blocks { ids });
        give_blocks(&mut node, 1, size).await;
        let answer = honest.until(|event| match event {
            Event::Response { result, .. } => Some(result),
            _ => None,
        });
        assert_eq!(answer.await, Ok(Response::Blocks(vec![vec![1; size]])));
    }
    // The two that were given run out, and are charged; the others were not given.
    let unread = || node.metric("printsy_p2p_faults_total{kind=\"unread\"}");
    eventually("the unread answers to run out", || unread() == Some(2)).await;
    rogue.abort();
}

#[tokio::test]
async fn requests_whose_answers_nobody_reads_count_as_open() {
    // More than the multiplexer takes off a stream that is not read.
    const BLOCK: u32 = 512 << 10;
    let mut node = node(Config { max_block_bytes: BLOCK, ..config(1) }).await;
    let (mut rogue, target) = welcome(&mut node, RawCodec { is_deaf: true }).await;
    let size = usize::try_from(BLOCK).unwrap();
    for _ in 0..16 {
        rogue.behaviour_mut().sync.send_request(&target, block_request());
    }
    // These fit its share, so that none is let go; the node answers no more.
    tokio::select! {
        () = give_blocks(&mut node, 3, size) => {}
        () = drive(&mut rogue) => {}
    }
    for _ in 0..10 {
        rogue.behaviour_mut().sync.send_request(&target, block_request());
    }
    is_banned(&mut node, &mut rogue).await;
    assert_eq!(node.metric("printsy_p2p_faults_total{kind=\"flood\"}"), Some(10));
}

/// An identify message that says nothing but that its sender listens at 400 addresses, others in each round.
fn many_addresses(round: u16) -> Vec<u8> {
    let mut message = Vec::new();
    for number in 0..400 {
        let [high, low] = round.to_be_bytes();
        let address: Multiaddr = format!("/ip4/127.1.{high}.{low}/tcp/{}", 1_000 + number).parse().unwrap();
        let bytes = address.to_vec();
        message.extend([0x12, u8::try_from(bytes.len()).unwrap()]);
        message.extend(bytes);
    }
    let [high, low] = u16::try_from(message.len()).unwrap().to_be_bytes();
    let mut framed = vec![low & 0x7f | 0x80, high << 1 | low >> 7];
    framed.extend(message);
    framed
}

#[tokio::test]
async fn of_the_addresses_a_peer_pushes_again_and_again_a_few_are_kept() {
    const ROUNDS: u16 = 150;
    let mut node = node(config(1)).await;
    let (mut rogue, target) = welcome_rogue(&mut node).await;
    for round in 0..ROUNDS {
        rogue.behaviour_mut().push.send_request(&target, many_addresses(round));
        patiently("a push to be taken", async {
            while !matches!(rogue.select_next_some().await, SwarmEvent::Behaviour(RogueEvent::Push(_))) {}
        })
        .await;
    }
    let received = "libp2p_identify_received_total";
    let pushed = || node.metric(received).is_some_and(|count| count > u64::from(ROUNDS));
    tokio::select! {
        () = eventually("all pushes to be heard", pushed) => {}
        () = drive(&mut rogue) => {}
    }
    let updates: u64 = node.metrics("libp2p_kad_routing_updated_total").iter().sum();
    assert!(updates <= 4, "the table was changed {updates} times");
    assert!(node.network.peer_addresses().len() <= 4, "{:?}", node.network.peer_addresses());
    assert_eq!(node.network.peer_count(), 1, "telling addresses is no fault");
}

#[tokio::test]
async fn a_peer_that_names_another_network_is_not_told_to_the_node() {
    let mut node = node(config(1)).await;
    let mut stranger = rogue("/printsy/ffff/1".to_owned(), RawCodec::default());
    stranger.dial(node.address().parse::<Multiaddr>().unwrap()).unwrap();
    let stranger_id = *stranger.local_peer_id();
    tokio::select! {
        () = eventually("the stranger to be refused", || !node.network.banned().is_empty()) => {}
        () = drive(&mut stranger) => {}
    }
    assert_eq!(node.network.banned()[0].peer_id, stranger_id.to_string());
    assert_eq!(node.network.banned()[0].reason, BanReason::OtherNetwork);
    assert!(node.events.try_recv().is_err());
}
