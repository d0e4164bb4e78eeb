//! What all subscriptions have in common: how they are called, how many there may be, how they end.

use serde_json::{Value, json};

use crate::reader::Reader;
use crate::server_support::{Session, address, error, post, serving};
use crate::support::{key, mine, network};

fn subscriptions() -> [(&'static str, Value); 4] {
    let miner = key("miner-1").public_key().to_string();
    [
        ("BlockTemplate", json!([miner])),
        ("Blocks", json!([])),
        ("Transaction", json!(["00".repeat(32)])),
        ("Availability", json!([[1]])),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_a_call_of_its_own_over_a_websocket() {
    let genesis = network("dev-transports", |_| {});
    let node = serving(&genesis, |_| {}).await;
    for (name, params) in subscriptions() {
        for (method, params) in
            [(format!("subscribe{name}"), params), (format!("unsubscribe{name}"), json!([1]))]
        {
            let refused = error(address(&node), &method, params).await;
            assert_eq!(refused["code"], -32600, "{refused}");
            assert!(refused["message"].as_str().unwrap().contains("WebSocket"), "{refused}");
        }
    }
    let mut session = Session::open(address(&node), "Host: localhost\r\n").await.unwrap();
    let batch = json!([
        { "jsonrpc": "2.0", "id": 1, "method": "subscribeBlocks" },
        { "jsonrpc": "2.0", "id": 2, "method": "getChain" },
        { "jsonrpc": "2.0", "id": 3, "method": "unsubscribeBlocks", "params": [5] },
        { "jsonrpc": "2.0", "id": 4, "method": "unsubscribeBlocks", "params": [5, 6] },
    ]);
    session.send(&batch.to_string()).await;
    let answers = session.receive().await.unwrap();
    assert_eq!((&answers[0]["id"], &answers[0]["error"]["code"]), (&json!(1), &json!(-32600)), "{answers}");
    assert!(answers[1]["result"]["tip"].is_object(), "{answers}");
    assert_eq!(answers[2]["result"], false);
    assert_eq!(answers[3]["error"]["code"], -32602);
    let batch = post(address(&node), &batch.to_string()).await.json();
    assert_eq!(batch[0]["error"]["code"], -32600, "{batch}");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn params_are_strict() {
    let genesis = network("dev-strict", |_| {});
    let node = serving(&genesis, |_| {}).await;
    let mut reader = Reader::open(address(&node)).await;
    for (name, params) in subscriptions() {
        let mut surplus = params.clone();
        surplus.as_array_mut().unwrap().resize(3, json!(1));
        for wrong in [surplus, json!({ "unknown": 1 }), json!({ "miner": 1, "images": 1, "txId": 1 })] {
            let refused = reader.refused(&format!("subscribe{name}"), wrong).await;
            assert_eq!(refused["code"], -32602, "{refused}");
        }
        for wrong in
            [json!([]), json!([1, 2]), json!(["1"]), json!({ "subscription": 1, "more": 1 }), json!([-1])]
        {
            let refused = reader.refused(&format!("unsubscribe{name}"), wrong).await;
            assert_eq!(refused["code"], -32602, "{refused}");
        }
    }
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_so_many_subscriptions_and_no_more() {
    let genesis = network("dev-places", |_| {});
    let node = serving(&genesis, |_| {}).await;
    let mut reader = Reader::open(address(&node)).await;
    let first = reader.subscribe("subscribeBlocks", json!([])).await;
    for _ in 1..32 {
        reader.subscribe("subscribeBlocks", json!([])).await;
    }
    let refused = reader.refused("subscribeAvailability", json!([[1]])).await;
    assert_eq!((&refused["code"], &refused["data"]["reason"]), (&json!(4002), &json!("rateLimited")));
    assert!(refused["data"]["retryAfterMs"].is_u64());
    // Another session has its own, and one that ends makes room.
    Reader::open(address(&node)).await.subscribe("subscribeBlocks", json!([])).await;
    assert_eq!(reader.call("unsubscribeBlocks", json!([first])).await["result"], true);
    let made = async {
        // Its place is free once its task has seen the end.
        while reader.call("subscribeBlocks", json!([])).await.get("error").is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::server_support::PATIENCE, made).await.unwrap();
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_tells_every_subscription() {
    let genesis = network("dev-farewell", |_| {});
    let node = serving(&genesis, |_| {}).await;
    let mut reader = Reader::open(address(&node)).await;
    let blocks = reader.subscribe("subscribeBlocks", json!([])).await;
    let mut other = Reader::open(address(&node)).await;
    let template =
        other.subscribe("subscribeBlockTemplate", json!([key("miner-1").public_key().to_string()])).await;
    other.item("blockTemplate", template).await;
    node.stop().await.unwrap();
    let end = reader.end("blocks", blocks).await;
    assert_eq!((&end["code"], &end["data"]["retryable"]), (&json!(3003), &json!(true)), "{end}");
    assert!(end["message"].as_str().unwrap().contains("stopping"), "{end}");
    assert!(other.end("blockTemplate", template).await["message"].is_string());
    assert_eq!(reader.message().await, None, "then the session ends");
    assert_eq!(other.message().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_told_and_dropped() {
    let genesis = network("dev-slow", |_| {});
    let node =
        serving(&genesis, |options| options.reader_patience = std::time::Duration::from_millis(200)).await;
    // Some 250 kilobytes for each subscription, of which nothing is read: more than the system keeps of it.
    mine(node.handle(), "miner-1", 200).await;
    let after = json!([{ "height": 0, "hash": genesis.hash().to_string() }]);
    let mut reader = Reader::over(Session::open_narrow(address(&node)).await);
    for _ in 0..32 {
        reader.send("subscribeBlocks", after.clone()).await;
    }
    let metrics = node.handle().metrics().clone();
    let dropped = async {
        while metrics.slow_readers() == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::server_support::PATIENCE, dropped).await.unwrap();
    // Nobody waited for it.
    mine(node.handle(), "miner-2", 1).await;
    // The word is there for who reads at last.
    let told = loop {
        let message = reader.message().await.expect("the session is open still");
        if message["params"]["error"]["data"]["reason"] == "slowReader" {
            break message;
        }
    };
    assert_eq!(told["params"]["error"]["code"], 4003, "{told}");
    assert_eq!(told["method"], "blocks");
    node.stop().await.unwrap();
}
