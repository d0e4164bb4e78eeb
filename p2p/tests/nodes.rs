//! Honest nodes over real sockets: how they meet, ask, answer and gossip.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;

use std::time::Duration;

use common::{GENESIS, MAX_BLOCK_BYTES, Node, config, dialler, eventually, header, node, patiently, status};
use printsy_consensus::Hash;
use printsy_consensus::codec::List;
use printsy_p2p::{
    BanReason, Config, Direction, Error, Event, Limits, MessageKey, PeerKey, ReplyKey, Request,
    RequestFailure, RequestKey, Response, Verdict, start,
};
use prometheus_client::registry::Registry;

/// An address whose port is free and stays so: on Linux, one of a loopback host that no other test uses.
fn free_address() -> String {
    let host = if cfg!(target_os = "linux") { "127.0.77.1" } else { "127.0.0.1" };
    let listener = std::net::TcpListener::bind((host, 0)).unwrap();
    format!("/ip4/{host}/tcp/{}", listener.local_addr().unwrap().port())
}

/// Publishes again until the other has it: before the first subscription arrives there is nobody to send to.
async fn publish(from: &Node, to: &mut Node, transaction: &[u8]) -> (MessageKey, Vec<Vec<u8>>) {
    let mut again = tokio::time::interval(Duration::from_millis(200));
    patiently("a gossiped batch", async {
        loop {
            tokio::select! {
                _ = again.tick() => from.network.publish_transactions(vec![transaction.to_vec()]),
                event = to.events.recv() => {
                    if let Some(Event::Transactions { message, batch, .. }) = event {
                        return (message, batch);
                    }
                }
            }
        }
    })
    .await
}

async fn batch(node: &mut Node) -> (MessageKey, Vec<Vec<u8>>) {
    node.until(|event| match event {
        Event::Transactions { message, batch, .. } => Some((message, batch)),
        _ => None,
    })
    .await
}

async fn request(node: &mut Node) -> (PeerKey, ReplyKey, Request) {
    node.until(|event| match event {
        Event::Request { peer, reply, request } => Some((peer, reply, request)),
        _ => None,
    })
    .await
}

async fn response(node: &mut Node) -> (RequestKey, Result<Response, RequestFailure>) {
    node.until(|event| match event {
        Event::Response { request, result, .. } => Some((request, result)),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn two_nodes_meet_and_exchange_status() {
    let mut a = node(config(1)).await;
    let mut b = dialler(2, &[&a]).await;
    let b_at_a = a.connected().await;
    let a_at_b = b.connected().await;

    // The very first thing after meeting, from both sides at once.
    b.network.request(a_at_b, RequestKey(7), Request::Status(status(10)));
    a.network.request(b_at_a, RequestKey(7), Request::Status(status(20)));
    let (peer, reply, asked) = request(&mut a).await;
    assert_eq!((peer, asked), (b_at_a, Request::Status(status(10))));
    a.network.respond(reply, Response::Status(status(20)));
    let (_, reply, asked) = request(&mut b).await;
    assert_eq!(asked, Request::Status(status(20)));
    b.network.respond(reply, Response::Status(status(10)));
    assert_eq!(response(&mut b).await, (RequestKey(7), Ok(Response::Status(status(20)))));
    assert_eq!(response(&mut a).await, (RequestKey(7), Ok(Response::Status(status(10)))));

    let seen = a.network.peers();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].key, seen[0].direction), (b_at_a, Direction::Inbound));
    assert_eq!((seen[0].agent.as_str(), seen[0].score), ("test/2", 0));
    assert_eq!(seen[0].peer_id, b.network.peer_id());
    assert_eq!(b.network.peers()[0].direction, Direction::Outbound);
    assert_eq!(a.metric("printsy_p2p_peers{direction=\"inbound\"}"), Some(1));
}

#[tokio::test]
async fn every_kind_of_request_is_answered_in_kind_and_within_bounds() {
    let mut a = node(config(1)).await;
    let mut b = dialler(2, &[&a]).await;
    let peer = b.connected().await;
    let ids = |count: u8| (0..count).map(|byte| Hash([byte; 32])).collect::<Vec<_>>();
    let block = vec![5; usize::try_from(MAX_BLOCK_BYTES).unwrap() - 100];
    let full = vec![6; usize::try_from(MAX_BLOCK_BYTES).unwrap()];
    let exchanges = [
        (
            Request::Headers { locator: ids(3).try_into().unwrap(), stop: Hash([9; 32]) },
            Response::Headers(vec![header(1); 2_000]),
            Response::Headers(vec![header(1); 2_000]),
        ),
        (
            Request::Blocks { ids: ids(3).try_into().unwrap() },
            Response::Blocks(vec![block.clone(), vec![1; 50], block.clone()]),
            Response::Blocks(vec![block.clone(), vec![1; 50]]),
        ),
        (
            Request::Blocks { ids: ids(2).try_into().unwrap() },
            Response::Blocks(vec![full.clone(), vec![1]]),
            Response::Blocks(vec![full]),
        ),
        (Request::Pending, Response::Pending(ids(200)), Response::Pending(ids(200))),
        (
            Request::Transactions { ids: List::new() },
            Response::Transactions(vec![vec![3; 4_096]; 1_001]),
            Response::Transactions(vec![vec![3; 4_096]; 1_000]),
        ),
    ];
    for (number, (asked, answered, received)) in (0..).zip(exchanges) {
        b.network.request(peer, RequestKey(number), asked.clone());
        let (_, reply, got) = request(&mut a).await;
        assert_eq!(got, asked);
        a.network.respond(reply, answered);
        assert_eq!(response(&mut b).await, (RequestKey(number), Ok(received)));
    }
    assert_eq!((a.network.peers()[0].score, b.network.peers()[0].score), (0, 0));
}

#[tokio::test]
async fn gossip_travels_only_after_its_verdict() {
    // A line: neither end can be dialled, so that they never meet.
    let mut b = node(config(2)).await;
    let mut a = dialler(1, &[&b]).await;
    let mut c = dialler(3, &[&b]).await;
    a.connected().await;
    c.connected().await;
    let (held, _) = publish(&a, &mut b, b"held").await;
    let (accepted, _) = publish(&a, &mut b, b"accepted").await;
    let (ignored, _) = publish(&a, &mut b, b"ignored").await;
    b.network.verdict(ignored, Verdict::Ignore);
    b.network.verdict(accepted, Verdict::Accept);
    let (_, first) = batch(&mut c).await;
    assert_eq!(first, [b"accepted".to_vec()]);
    b.network.verdict(held, Verdict::Accept);
    let (_, second) = batch(&mut c).await;
    assert_eq!(second, [b"held".to_vec()]);
}

#[tokio::test]
async fn headers_are_announced_to_all() {
    let mut b = node(config(2)).await;
    let mut a = dialler(1, &[&b]).await;
    let mut c = dialler(3, &[&b]).await;
    a.connected().await;
    c.connected().await;
    // Once a batch has gone the whole way, everybody has heard of everybody's subscriptions.
    let (message, _) = publish(&a, &mut b, b"first").await;
    b.network.verdict(message, Verdict::Accept);
    batch(&mut c).await;
    a.network.announce(header(3));
    let announcement = |event| match event {
        Event::Announcement { message, header, .. } => Some((message, header)),
        _ => None,
    };
    let (message, announced) = b.until(announcement).await;
    assert_eq!(*announced, header(3));
    b.network.verdict(message, Verdict::Accept);
    let (_, announced) = c.until(announcement).await;
    assert_eq!(*announced, header(3));
}

#[tokio::test]
async fn a_message_without_a_verdict_is_ignored_in_time() {
    let mut b = node(config(2)).await;
    let mut a = dialler(1, &[&b]).await;
    a.connected().await;
    let (message, _) = publish(&a, &mut b, b"forgotten").await;
    let ignored = "printsy_p2p_verdicts_total{verdict=\"ignore\"}";
    eventually("the message to be ignored", || b.metric(ignored) == Some(1)).await;
    b.network.verdict(message, Verdict::Reject);
    publish(&a, &mut b, b"next").await;
    assert_eq!(b.network.peers()[0].score, 0, "a verdict too late charges nobody");
}

#[tokio::test]
async fn rejected_messages_lower_the_score_and_end_in_a_ban() {
    let mut b = node(config(2)).await;
    let mut a = dialler(1, &[&b]).await;
    a.connected().await;
    let a_at_b = b.connected().await;
    let (message, _) = publish(&a, &mut b, b"bad").await;
    b.network.verdict(message, Verdict::Reject);
    eventually("the score to fall", || b.network.peers()[0].score <= -49).await;
    b.network.report(a_at_b, printsy_p2p::Misbehaviour::InvalidBlock);
    assert_eq!(b.disconnected().await, a_at_b);
    a.disconnected().await;
    let banned = b.network.banned();
    assert_eq!(banned.len(), 1);
    assert_eq!((&banned[0].peer_id, banned[0].reason), (&a.network.peer_id(), BanReason::Misbehaviour));
    assert!(banned[0].remaining > Duration::from_secs(3_500));

    // The ban keeps it out; its end lets it in again.
    b.network.unban(&a.network.peer_id()).unwrap();
    b.connected().await;
    assert!(b.network.banned().is_empty());
}

#[tokio::test]
async fn an_operator_bans_and_lets_in_again() {
    let mut b = node(config(2)).await;
    let mut a = dialler(1, &[&b]).await;
    a.connected().await;
    b.connected().await;
    b.network.ban(&a.network.peer_id(), Duration::from_secs(5)).unwrap();
    let is_banned = || b.network.banned().first().is_some_and(|ban| ban.reason == BanReason::Operator);
    eventually("the ban to be told", is_banned).await;
    b.disconnected().await;
    b.connected().await; // the ban ended by itself, and the other kept trying
    assert!(matches!(b.network.ban("nobody", Duration::ZERO), Err(Error::BadPeerId { .. })));
}

#[tokio::test]
async fn another_genesis_is_refused_by_both() {
    let mut a = node(config(1)).await;
    // The first 8 hex digits are the same, so that all protocols match: what is compared is the whole.
    let mut other = GENESIS;
    other.0[31] ^= 1;
    let mut b = node(Config { genesis: other, bootnodes: vec![a.address()], ..config(2) }).await;
    let mut friend = dialler(3, &[&a]).await;
    eventually("both to refuse", || !a.network.banned().is_empty() && !b.network.banned().is_empty()).await;
    assert_eq!(a.network.banned()[0].peer_id, b.network.peer_id());
    assert_eq!(a.network.banned()[0].reason, BanReason::OtherNetwork);
    assert_eq!(b.network.banned()[0].reason, BanReason::OtherNetwork);
    friend.connected().await;
    let first = a.connected().await;
    assert_eq!(a.network.peers()[0].key, first);
    assert_eq!(a.network.peers()[0].peer_id, friend.network.peer_id(), "the stranger was never told");
    assert!(b.events.try_recv().is_err(), "nor were we told to it");
}

#[tokio::test]
async fn a_port_in_use_is_a_clear_error() {
    let a = node(config(1)).await;
    let address = a.address();
    let taken = address.split("/p2p/").next().unwrap().to_owned();
    let config = Config { listen: vec![taken.clone()], ..config(2) };
    match start(config, &mut Registry::default()).await {
        Err(Error::ListenInUse { address }) => assert_eq!(address, taken),
        other => panic!("got {:?}", other.map(|_| ())),
    }
}

#[tokio::test]
async fn bad_addresses_are_named() {
    for text in ["10.0.0.1:80", "/ip4/10.0.0.1/udp/5", ""] {
        let bad = vec![text.to_owned()];
        let as_listener = Config { listen: bad.clone(), ..config(1) };
        let as_bootnode = Config { bootnodes: bad.clone(), ..config(1) };
        for config in [as_listener, as_bootnode] {
            let error =
                start(config, &mut Registry::default()).await.map(drop).expect_err("the address is bad");
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
        // What was remembered is no operator's mistake.
        let remembered = node(Config { known_peers: bad, ..config(1) }).await;
        assert!(remembered.network.add_peer(text).is_err());
    }
}

#[tokio::test]
async fn a_node_finds_another_through_a_third() {
    let b = node(config(2)).await;
    let meet = |seed| Config { bootnodes: vec![b.address()], ..config(seed) };
    let a = node(meet(1)).await;
    let c = node(meet(3)).await;
    let knows = |node: &Node, other: &Node| {
        node.network.peers().iter().any(|peer| peer.peer_id == other.network.peer_id())
    };
    eventually("the two to meet", || knows(&a, &c) && knows(&c, &a)).await;
}

#[tokio::test]
async fn remembered_peers_are_dialled_after_a_restart() {
    let mut b = node(config(2)).await;
    let mut a = dialler(1, &[&b]).await;
    a.connected().await;
    b.connected().await;
    eventually("the address to be worth saving", || !a.network.peer_addresses().is_empty()).await;
    let known_peers = a.network.peer_addresses();
    assert_eq!(known_peers, [b.address()]);
    a.network.shutdown();
    patiently("the end", a.network.closed()).await.unwrap();
    b.disconnected().await;
    let mut again = node(Config { known_peers, ..config(1) }).await;
    again.connected().await;
}

#[tokio::test]
async fn a_bootnode_that_comes_up_late_is_found() {
    // A port that nobody listens on yet.
    let address = free_address();
    let mut a = node(Config { bootnodes: vec![address.clone()], ..config(1) }).await;
    let refused = "libp2p_swarm_outgoing_connection_error_total";
    eventually("the first dial to fail", || a.metric(refused).is_some()).await;
    let mut b = node(Config { listen: vec![address], ..config(2) }).await;
    b.connected().await;
    a.connected().await;
}

#[tokio::test]
async fn a_node_that_is_its_own_bootnode_goes_on() {
    let address = free_address();
    let own = Config { listen: vec![address.clone()], bootnodes: vec![address], ..config(1) };
    let mut a = node(own).await;
    let mut b = dialler(2, &[&a]).await;
    b.connected().await;
    a.connected().await;
    assert_eq!(a.network.peer_count(), 1);
}

#[tokio::test]
async fn add_peer_dials_at_once() {
    let mut a = node(config(1)).await;
    let mut b = node(config(2)).await;
    a.network.add_peer(&b.address()).unwrap();
    a.connected().await;
    b.connected().await;
}

#[tokio::test]
async fn a_request_ends_once_whatever_becomes_of_the_peer() {
    let mut a = node(config(1)).await;
    let mut b = dialler(2, &[&a]).await;
    let peer = b.connected().await;

    b.network.request(PeerKey(999), RequestKey(1), Request::Pending);
    assert_eq!(response(&mut b).await, (RequestKey(1), Err(RequestFailure::Disconnected)));

    b.network.request(peer, RequestKey(2), Request::Pending);
    let (_, reply, _) = request(&mut a).await;
    a.network.refuse(reply);
    assert_eq!(response(&mut b).await, (RequestKey(2), Err(RequestFailure::Refused)));

    // Eight may be open; the ninth is too many. The answerer never answers and then dies.
    for number in 10..19 {
        b.network.request(peer, RequestKey(number), Request::Pending);
    }
    assert_eq!(response(&mut b).await, (RequestKey(18), Err(RequestFailure::Busy)));
    for _ in 0..8 {
        request(&mut a).await;
    }
    a.network.shutdown();
    let mut ended = Vec::new();
    for _ in 0..8 {
        let (request, result) = response(&mut b).await;
        assert_eq!(result, Err(RequestFailure::Disconnected));
        ended.push(request);
    }
    ended.sort();
    assert_eq!(ended, (10..18).map(RequestKey).collect::<Vec<_>>());
    assert_eq!(b.disconnected().await, peer);
    b.network.request(peer, RequestKey(20), Request::Pending);
    assert_eq!(response(&mut b).await, (RequestKey(20), Err(RequestFailure::Disconnected)));
}

#[tokio::test]
async fn an_answer_of_the_wrong_kind_is_charged_to_its_sender() {
    let mut a = node(config(1)).await;
    let mut b = dialler(2, &[&a]).await;
    let peer = b.connected().await;
    b.network.request(peer, RequestKey(1), Request::Pending);
    let (_, reply, _) = request(&mut a).await;
    a.network.respond(reply, Response::Status(status(1)));
    assert_eq!(response(&mut b).await, (RequestKey(1), Err(RequestFailure::Malformed)));
    eventually("the score to fall", || b.network.peers()[0].score <= -49).await;
}

#[tokio::test]
async fn a_node_that_takes_no_events_loses_none() {
    let mut b = node(config(2)).await;
    let mut a = dialler(1, &[&b]).await;
    let peer = a.connected().await;
    let b_key = b.connected().await;
    assert_eq!(b.network.peers()[0].key, b_key);
    // More than the event queue holds, all failing at once, while nobody reads.
    for number in 0..1_000 {
        a.network.request(PeerKey(0), RequestKey(number), Request::Pending);
    }
    for number in 0..1_000 {
        assert_eq!(response(&mut a).await, (RequestKey(number), Err(RequestFailure::Disconnected)));
    }
    a.network.request(peer, RequestKey(1_000), Request::Pending);
    let (_, reply, _) = request(&mut b).await;
    b.network.respond(reply, Response::Pending(Vec::new()));
    assert_eq!(response(&mut a).await, (RequestKey(1_000), Ok(Response::Pending(Vec::new()))));
}

#[tokio::test]
async fn no_more_peers_come_in_than_there_are_places() {
    let limits = Limits { max_inbound: 2, ..Limits::default() };
    let mut a = node(Config { limits, ..config(1) }).await;
    let _first = dialler(2, &[&a]).await;
    let _second = dialler(3, &[&a]).await;
    a.connected().await;
    a.connected().await;
    let mut third = dialler(4, &[&a]).await;
    let denied = "libp2p_swarm_connections_incoming_error_total";
    eventually("the third to be turned away", || a.metric(denied).is_some()).await;
    assert_eq!(a.network.peer_count(), 2);
    assert!(third.events.try_recv().is_err());
    // A place that falls free is taken by whoever keeps trying.
    a.network.disconnect(a.network.peers()[0].key);
    a.disconnected().await;
    a.connected().await;
}
