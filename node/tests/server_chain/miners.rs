//! Miners as they are told: by name for every block, and what each did, across revocations and reorganisations.

use printsy_consensus::{Action, Transaction};
use printsy_node::node::Node;
use serde_json::{Value, json};

use crate::server_support::{address, result, serving};
use crate::support::{self, key, mine, network, sign};

fn register(genesis: &printsy_consensus::Genesis, miner: &str, name: &str, reference: u8) -> Transaction {
    let name = name.as_bytes().to_vec().try_into().unwrap();
    sign(genesis, "registrar", Action::RegisterMiner { miner: key(miner).public_key(), name }, reference)
}

fn revoke(genesis: &printsy_consensus::Genesis, miner: &str, reference: u8) -> Transaction {
    sign(genesis, "registrar", Action::RevokeMiner { miner: key(miner).public_key() }, reference)
}

async fn names(node: &Node, heights: std::ops::RangeInclusive<u64>) -> Vec<Value> {
    let mut names = Vec::new();
    for height in heights {
        let header = result(address(node), "getHeader", json!([height])).await;
        let block = result(address(node), "getBlock", json!([height])).await;
        let by_hash = result(address(node), "getHeader", json!([header["hash"]])).await;
        assert_eq!(block["minerName"], header["minerName"]);
        assert_eq!(by_hash, header);
        names.push(header["minerName"].clone());
    }
    names
}

async fn miner(node: &Node, name: &str) -> Option<Value> {
    let miners = result(address(node), "getMiners", json!([])).await;
    miners.as_array().unwrap().iter().find(|miner| miner["name"] == name).cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_has_the_name_its_miner_had_when_it_made_it() {
    let genesis = network("dev-names", |_| {});
    let node = serving(&genesis, |_| {}).await;
    mine(node.handle(), "miner-1", 1).await;
    // Revoked by a block of its own.
    support::submit(node.handle(), &revoke(&genesis, "miner-1", 1)).await.unwrap();
    mine(node.handle(), "miner-1", 1).await;
    mine(node.handle(), "registrar", 1).await;
    support::submit(node.handle(), &register(&genesis, "miner-1", "another name", 2)).await.unwrap();
    mine(node.handle(), "miner-2", 1).await;
    mine(node.handle(), "miner-1", 1).await;
    let told = names(&node, 0..=5).await;
    assert_eq!(
        told,
        [
            json!(null),
            json!("miner 1"),
            json!("miner 1"),
            json!(null),
            json!("miner 2"),
            json!("another name")
        ]
    );
    let registered = miner(&node, "another name").await.unwrap();
    assert_eq!(
        (&registered["registeredAt"], &registered["blocks"], &registered["lastHeight"]),
        (&json!(4), &json!(1), &json!(5)),
        "what it made before it was revoked is not counted: {registered}"
    );
    assert_eq!(registered["share"], 0.6, "it made three of the last five blocks");
    assert!(miner(&node, "miner 1").await.is_none());
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorganisation_takes_back_what_miners_did_and_who_they_are() {
    let genesis = network("dev-turned", |_| {});
    let (node, other) = (serving(&genesis, |_| {}).await, serving(&genesis, |_| {}).await);
    support::submit(node.handle(), &register(&genesis, "miner-4", "on one branch", 1)).await.unwrap();
    mine(node.handle(), "miner-1", 1).await;
    mine(node.handle(), "miner-4", 1).await;
    let lost = result(address(&node), "getHeader", json!([2])).await;
    assert_eq!(lost["minerName"], "on one branch");
    assert_eq!(miner(&node, "on one branch").await.unwrap()["blocks"], 1);
    mine(other.handle(), "miner-2", 3).await;
    for height in 1..=3 {
        let block = other.handle().reader().block_at(height).unwrap().unwrap();
        node.handle().submit_block(block.bytes).await.unwrap();
    }
    assert_eq!(support::tip(node.handle()), support::tip(other.handle()));
    assert!(miner(&node, "on one branch").await.is_none(), "its registration waits again");
    assert_eq!(miner(&node, "miner 1").await.unwrap()["lastHeight"], 0);
    let second = miner(&node, "miner 2").await.unwrap();
    assert_eq!(
        (&second["blocks"], &second["share"], &second["lastHeight"]),
        (&json!(3), &json!(1.0), &json!(3))
    );
    // The block that left the chain is told as it was.
    let off_chain = result(address(&node), "getHeader", json!([lost["hash"]])).await;
    assert_eq!((&off_chain["minerName"], &off_chain["confirmations"]), (&json!("on one branch"), &json!(0)));
    for node in [node, other] {
        node.stop().await.unwrap();
    }
}
