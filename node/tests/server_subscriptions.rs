//! The laws of subscriptions over WebSocket: what is told is complete, in order and without repetition; every end is
//! told with its reason; nobody waits for a slow reader.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

#[path = "server_subscriptions/blocks.rs"]
mod blocks;
#[path = "server_subscriptions/reader.rs"]
mod reader;
mod server_support;
#[path = "server_subscriptions/sessions.rs"]
mod sessions;
mod support;
#[path = "server_subscriptions/templates.rs"]
mod templates;

use printsy_consensus::Transaction;
use printsy_node::node::Node;
use serde_json::{Value, json};

use reader::Reader;
use server_support::{address, result, serving};
use support::{mine, network, purchase};

/// Gives a node the other's blocks from a height on.
async fn give_blocks(from: &Node, to: &Node, height: u64) {
    for height in height..=support::height(from.handle()) {
        let block = from.handle().reader().block_at(height).unwrap().unwrap();
        to.handle().submit_block(block.bytes).await.unwrap();
    }
}

fn txid(order: &Transaction) -> Value {
    json!(order.body.txid().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_followed_until_it_is_final() {
    let genesis = network("dev-follow", |json| json["finalityDepth"] = json!(2));
    let node = serving(&genesis, |_| {}).await;
    let order = purchase(&genesis, "alice", 1, 1, 1);
    let mut reader = Reader::open(address(&node)).await;
    let unknown = reader.refused("subscribeTransaction", json!([txid(&order)])).await;
    assert_eq!((&unknown["code"], &unknown["data"]["reason"]), (&json!(3002), &json!("notFound")));
    support::submit(node.handle(), &order).await.unwrap();
    let id = reader.subscribe("subscribeTransaction", json!({ "txId": txid(&order) })).await;
    let told = reader.item("transaction", id).await;
    assert_eq!((&told["status"], &told["txId"]), (&json!("pending"), &txid(&order)));
    // Other orders, and blocks that only confirm it once more, are no change of it.
    support::submit(node.handle(), &purchase(&genesis, "bob", 2, 1, 1)).await.unwrap();
    mine(node.handle(), "miner-1", 1).await;
    let told = reader.item("transaction", id).await;
    assert_eq!((&told["status"], &told["block"]["height"]), (&json!("included"), &json!(1)));
    assert_eq!(told["editions"], json!([{ "image": 1, "from": 1, "to": 1 }]));
    mine(node.handle(), "miner-1", 2).await;
    let told = reader.item("transaction", id).await;
    assert_eq!(told["status"], "final");
    assert_eq!(told["history"].as_array().unwrap().len(), 3, "{told}");
    let end = reader.end("transaction", id).await;
    assert_eq!((&end["code"], &end["data"]["reason"]), (&json!(4004), &json!("ended")), "{end}");
    // Asked for when all is over, it is told once.
    let id = reader.subscribe("subscribeTransaction", json!([txid(&order)])).await;
    assert_eq!(
        reader.item("transaction", id).await,
        result(address(&node), "getTransaction", json!([txid(&order)])).await
    );
    assert_eq!(reader.end("transaction", id).await["data"]["reason"], "ended");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_s_way_through_a_reorganisation_is_told_to_its_end_for_good() {
    let genesis = network("dev-displace", |json| json["finalityDepth"] = json!(8));
    let (node, other) = (serving(&genesis, |_| {}).await, serving(&genesis, |_| {}).await);
    let order = support::expiring(&genesis, "alice", 1, 3, 12);
    support::submit(node.handle(), &order).await.unwrap();
    mine(node.handle(), "miner-1", 1).await;
    let mut reader = Reader::open(address(&node)).await;
    let id = reader.subscribe("subscribeTransaction", json!([txid(&order)])).await;
    assert_eq!(reader.item("transaction", id).await["status"], "included");
    // The other branch sells a copy to somebody else.
    support::submit(other.handle(), &purchase(&genesis, "bob", 1, 1, 2)).await.unwrap();
    mine(other.handle(), "miner-2", 2).await;
    give_blocks(&other, &node, 1).await;
    let told = reader.item("transaction", id).await;
    assert_eq!((&told["status"], &told["confirmations"]), (&json!("displaced"), &json!(0)), "{told}");
    mine(node.handle(), "miner-1", 10).await;
    assert_eq!(reader.item("transaction", id).await["status"], "expired");
    // Up to here another branch could still hold it.
    mine(node.handle(), "miner-1", 8).await;
    let end = reader.end("transaction", id).await;
    assert_eq!(end["data"]["reason"], "ended", "{end}");
    for node in [node, other] {
        node.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn availability_is_told_now_and_whenever_it_changes() {
    let genesis = network("dev-watch", |_| {});
    let node = serving(&genesis, |_| {}).await;
    let mut reader = Reader::open(address(&node)).await;
    let id = reader.subscribe("subscribeAvailability", json!({ "images": [7, 3, 7] })).await;
    for image in [7, 3] {
        let told = reader.item("availability", id).await;
        assert_eq!(told, result(address(&node), "isAvailable", json!([image])).await);
    }
    // A tip alone, and what happens to others, is no change.
    mine(node.handle(), "miner-1", 1).await;
    support::submit(node.handle(), &purchase(&genesis, "bob", 8, 1, 1)).await.unwrap();
    support::submit(node.handle(), &purchase(&genesis, "alice", 3, 3, 1)).await.unwrap();
    let told = reader.item("availability", id).await;
    assert_eq!((&told["image"], &told["available"], &told["pending"]), (&json!(3), &json!(false), &json!(3)));
    mine(node.handle(), "miner-1", 1).await;
    let told = reader.item("availability", id).await;
    assert_eq!(
        (&told["sold"], &told["pending"], &told["lastBlock"]["height"]),
        (&json!(3), &json!(0), &json!(2))
    );
    for (images, code, said) in [
        (json!([]), -32602, "1 to 256"),
        (json!((0..257).collect::<Vec<u32>>()), -32602, "1 to 256"),
        (json!([1_000_000]), 1010, "T5"),
        (json!([-1]), -32602, "integer"),
    ] {
        let error = reader.refused("subscribeAvailability", json!([images])).await;
        assert_eq!(error["code"], code, "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_sale_in_another_block_is_a_change() {
    let genesis = network("dev-moved", |_| {});
    let (node, other) = (serving(&genesis, |_| {}).await, serving(&genesis, |_| {}).await);
    let order = purchase(&genesis, "alice", 3, 1, 1);
    for node in [&node, &other] {
        support::submit(node.handle(), &order).await.unwrap();
    }
    mine(node.handle(), "miner-1", 1).await;
    mine(other.handle(), "miner-2", 2).await;
    let mut reader = Reader::open(address(&node)).await;
    let id = reader.subscribe("subscribeAvailability", json!([[3]])).await;
    let before = reader.item("availability", id).await;
    give_blocks(&other, &node, 1).await;
    let after = reader.item("availability", id).await;
    assert_eq!((&before["sold"], &after["sold"]), (&json!(1), &json!(1)));
    assert_eq!(after["lastBlock"]["height"], 1);
    assert_ne!(after["lastBlock"]["hash"], before["lastBlock"]["hash"]);
    for node in [node, other] {
        node.stop().await.unwrap();
    }
}
