//! `subscribeBlocks`.

use printsy_node::node::Node;
use serde_json::{Value, json};

use crate::give_blocks;
use crate::reader::Reader;
use crate::server_support::{address, result, serving};
use crate::support::{self, mine, network, purchase};

async fn block(node: &Node, selector: Value) -> Value {
    result(address(node), "getBlock", json!([selector])).await
}

fn after(block: &Value) -> Value {
    json!({ "after": { "height": block["height"], "hash": block["hash"] } })
}

/// A reader's chain, as the events make it: each connected block stands on the last, each disconnected one is it.
struct Chain {
    blocks: Vec<(u64, Value)>,
    seq: u64,
}

impl Chain {
    fn from(block: &Value) -> Self {
        Self { blocks: vec![(block["height"].as_u64().unwrap(), block["hash"].clone())], seq: 0 }
    }

    fn take(&mut self, event: &Value) {
        assert_eq!(event["seq"], self.seq, "{event}");
        self.seq += 1;
        let block = &event["block"];
        let (height, hash) = (block["height"].as_u64().unwrap(), block["hash"].clone());
        match event["event"].as_str().unwrap() {
            "connected" => {
                if let Some((last, id)) = self.blocks.last() {
                    assert_eq!((height, &block["parent"]), (last + 1, id), "{event}");
                }
                self.blocks.push((height, hash));
            }
            "disconnected" => match self.blocks.pop() {
                Some(last) => assert_eq!(last, (height, hash), "{event}"),
                None => panic!("it has no block to lose: {event}"),
            },
            other => panic!("{other}"),
        }
        if self.blocks.is_empty() {
            // It began with a block that left the chain: what it stands on now is that block's parent.
            self.blocks.push((height - 1, block["parent"].clone()));
        }
    }

    fn tip(&self) -> &(u64, Value) {
        self.blocks.last().unwrap()
    }
}

async fn follow_to(reader: &mut Reader, id: u64, chain: &mut Chain, node: &Node) {
    let tip = (support::height(node.handle()), json!(support::tip(node.handle()).to_string()));
    while *chain.tip() != tip {
        chain.take(&reader.item("blocks", id).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_told_as_they_come_and_from_any_block_on() {
    let genesis = network("dev-events", |_| {});
    let node = serving(&genesis, |_| {}).await;
    mine(node.handle(), "miner-1", 40).await;
    let mut reader = Reader::open(address(&node)).await;
    let live = reader.subscribe("subscribeBlocks", json!([])).await;
    support::submit(node.handle(), &purchase(&genesis, "alice", 1, 1, 1)).await.unwrap();
    mine(node.handle(), "miner-2", 1).await;
    let event = reader.item("blocks", live).await;
    assert_eq!((&event["seq"], &event["event"]), (&json!(0), &json!("connected")));
    assert_eq!(event["block"], block(&node, json!(41)).await, "the present tip was not told again");
    reader.call("unsubscribeBlocks", json!([live])).await;
    // Forty blocks are more than are read at once.
    for from in [0, 1, 17, 40] {
        let from = block(&node, json!(from)).await;
        let id = reader.subscribe("subscribeBlocks", after(&from)).await;
        let mut chain = Chain::from(&from);
        follow_to(&mut reader, id, &mut chain, &node).await;
        mine(node.handle(), "miner-3", 1).await;
        follow_to(&mut reader, id, &mut chain, &node).await;
        reader.call("unsubscribeBlocks", json!([id])).await;
    }
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorganisation_is_told_down_and_up_again() {
    let genesis = network("dev-turns", |_| {});
    let (node, other) = (serving(&genesis, |_| {}).await, serving(&genesis, |_| {}).await);
    mine(node.handle(), "miner-1", 2).await;
    give_blocks(&node, &other, 1).await;
    mine(node.handle(), "miner-1", 3).await;
    let lost = block(&node, json!(5)).await;
    let mut reader = Reader::open(address(&node)).await;
    let id = reader.subscribe("subscribeBlocks", json!({ "after": null })).await;
    mine(other.handle(), "miner-2", 4).await;
    give_blocks(&other, &node, 3).await;
    let mut chain = Chain::from(&lost);
    for expected in ["disconnected"; 3].into_iter().chain(["connected"; 4]) {
        let event = reader.item("blocks", id).await;
        assert_eq!(event["event"], expected, "{event}");
        if expected == "disconnected" {
            assert_eq!(event["block"]["confirmations"], 0);
        }
        chain.take(&event);
    }
    assert_eq!(chain.tip().0, 6);
    reader.call("unsubscribeBlocks", json!([id])).await;

    // Somebody else comes back, who last had the block that is no longer on the chain.
    let mut late = Reader::open(address(&node)).await;
    let id = late.subscribe("subscribeBlocks", after(&lost)).await;
    let mut resumed = Chain::from(&lost);
    follow_to(&mut late, id, &mut resumed, &node).await;
    assert_eq!(resumed.seq, 3 + 4);

    for (height, hash, code) in [
        (3, json!("ab".repeat(32)), 3002),
        (4, lost["hash"].clone(), -32602),
        (1, json!(genesis.hash().to_string()), -32602),
    ] {
        let unknown = json!([{ "height": height, "hash": hash }]);
        assert_eq!(late.refused("subscribeBlocks", unknown).await["code"], code);
    }
    for wrong in [json!([{ "height": 1 }]), json!({ "from": 1 }), json!([null, 1]), json!(["x"])] {
        assert_eq!(late.refused("subscribeBlocks", wrong).await["code"], -32602);
    }
    for node in [node, other] {
        node.stop().await.unwrap();
    }
}

/// Whatever the chain does while a reader catches up, what it has is a chain, block by block, and in the end the node's.
#[tokio::test(flavor = "multi_thread")]
async fn no_reorganisation_during_a_catch_up_leaves_a_gap_or_a_repetition() {
    let genesis = network("dev-catchup", |_| {});
    let (node, other) = (serving(&genesis, |_| {}).await, serving(&genesis, |_| {}).await);
    mine(node.handle(), "miner-1", 60).await;
    give_blocks(&node, &other, 1).await;
    let first = block(&node, json!(0)).await;
    let mut readers = Vec::new();
    for _ in 0..4 {
        let mut reader = Reader::open(address(&node)).await;
        let id = reader.subscribe("subscribeBlocks", after(&first)).await;
        readers.push((reader, id, Chain::from(&first)));
    }
    for turn in 0..12 {
        // Each time the one that is behind makes two more blocks than the other has, from a common block on.
        let (ahead, behind) = if turn % 2 == 0 { (&node, &other) } else { (&other, &node) };
        let common = support::height(ahead.handle()).min(support::height(behind.handle()));
        mine(ahead.handle(), "miner-1", 1).await;
        mine(behind.handle(), "miner-2", 3).await;
        give_blocks(behind, ahead, common.saturating_sub(3).max(1)).await;
        // Readers at different places of the backlog.
        let step = usize::try_from(turn).unwrap() % readers.len();
        let (reader, id, chain) = &mut readers[step];
        for _ in 0..7 {
            if *chain.tip()
                == (support::height(node.handle()), json!(support::tip(node.handle()).to_string()))
            {
                break;
            }
            chain.take(&reader.item("blocks", *id).await);
        }
    }
    give_blocks(&other, &node, 60).await;
    for (reader, id, chain) in &mut readers {
        follow_to(reader, *id, chain, &node).await;
        for (height, hash) in &chain.blocks {
            let record = node.handle().reader().header_at(*height).unwrap().unwrap();
            assert_eq!(*hash, record.signed.header.id().to_string());
        }
    }
    for node in [node, other] {
        node.stop().await.unwrap();
    }
}
