//! Large answers: those that nobody reads are bounded together, and each gives its places back once it is read.

use std::net::SocketAddr;

use printsy_consensus::codec;
use printsy_rpc::Client;
use printsy_rpc::NoParams;
use printsy_rpc::openrpc::Discover;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{node, support};
use crate::server_support::{PATIENCE, Session, address, post, result};

/// The places of large answers, in bytes: the bound of the server.
const PLACES: usize = 256 << 20;

/// As many descriptions of the interface as one batch may ask for.
fn descriptions() -> String {
    let calls = (0..100).map(|id| json!({ "jsonrpc": "2.0", "id": id, "method": "rpc.discover" }));
    serde_json::Value::from_iter(calls).to_string()
}

/// Asks and does not read.
async fn ask(address: SocketAddr, body: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice()).await.unwrap();
    socket
}

/// Whether all calls of a batch are answered now, and none with that there is no place for its answer.
async fn is_answered(address: SocketAddr, body: &str) -> bool {
    let answers = post(address, body).await.json();
    let answers = answers.as_array().expect("an answer to each call");
    assert_eq!(answers.len(), 100);
    let refusals = answers.iter().filter(|answer| answer["result"].is_null());
    let refusals: Vec<_> = refusals.map(|answer| (&answer["id"], &answer["error"]["data"])).collect();
    for (id, refusal) in &refusals {
        assert!(id.is_u64() && refusal["reason"] == "rateLimited", "{id}: {refusal}");
        assert!(refusal["retryAfterMs"].is_u64(), "{refusal}");
    }
    refusals.is_empty()
}

/// Holds that what was asked for fills the places, leaves small answers alone, and frees all where its callers hang up.
async fn fills_the_places(address: SocketAddr, unread: Vec<TcpStream>) {
    let body = descriptions();
    let crowded = async { while is_answered(address, &body).await {} };
    timeout(PATIENCE, crowded).await.expect("the places are taken at some time");
    assert_eq!(result(address, "isAvailable", json!([7])).await["remaining"], 3);
    drop(unread);
    let free = async { while !is_answered(address, &body).await {} };
    timeout(PATIENCE, free).await.expect("whoever hangs up gives its places back");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_are_bounded_and_shut_small_ones_out_of_nothing() {
    let node = node().await;
    let (address, body) = (address(&node), descriptions());
    let length = post(address, &body).await.body.len();
    assert!(length > 4 << 20, "{length} bytes are more than the system takes of an answer that nobody reads");
    let mut unread = Vec::new();
    for _ in 0..PLACES / length + 2 {
        unread.push(ask(address, &body).await);
    }
    fills_the_places(address, unread).await;
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_a_batch_are_bounded_while_a_later_call_of_it_waits() {
    let node = node().await;
    let (address, genesis) = (address(&node), node.handle().reader().genesis().clone());
    let order = hex::encode(codec::encode(&support::purchase(&genesis, "alice", 1, 1, 1)));
    let mut calls: Vec<_> =
        (0..99).map(|id| json!({ "jsonrpc": "2.0", "id": id, "method": "rpc.discover" })).collect();
    let params = json!({ "transaction": order, "wait": "final", "timeoutMs": 600_000 });
    calls.push(json!({ "jsonrpc": "2.0", "id": 99, "method": "executeTransaction", "params": params }));
    let length = post(address, &descriptions()).await.body.len();
    let mut waiting = Vec::new();
    for _ in 0..PLACES / length + 2 {
        waiting.push(ask(address, &json!(calls).to_string()).await);
    }
    fills_the_places(address, waiting).await;
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_bounded_whatever_makes_it_large() {
    let node = node().await;
    let address = address(&node);
    let id = "a".repeat(12 << 20);
    for call in [json!({ "jsonrpc": "2.0", "id": id, "method": "subscribeBlocks" }), json!({ "id": id })] {
        let mut unread = Vec::new();
        for _ in 0..PLACES / id.len() + 2 {
            unread.push(ask(address, &call.to_string()).await);
        }
        fills_the_places(address, unread).await;
    }
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_its_answers_may_ask_for_any_number() {
    let node = node().await;
    let client = Client::new(&format!("http://{}", address(&node))).unwrap();
    let length = serde_json::to_string(&client.call::<Discover>(&NoParams {}).await.unwrap()).unwrap().len();
    assert!(length > 16 << 10, "{length} bytes are a large answer");
    for _ in 0..PLACES / length + 100 {
        client.call::<Discover>(&NoParams {}).await.unwrap();
    }
    let mut session = Session::open(address(&node), "Host: localhost\r\n").await.unwrap();
    for asked in 0..PLACES / (100 * length) + 3 {
        session.send(&descriptions()).await;
        assert!(session.receive().await.unwrap().is_array(), "batch {asked}");
        // The same on its own, so that answers of several sizes are on their way at once.
        session.send(r#"{"jsonrpc":"2.0","id":1,"method":"rpc.discover"}"#).await;
        assert!(session.receive().await.unwrap()["result"].is_object(), "call {asked}");
    }
    node.stop().await.unwrap();
}
