//! docs/rpc.md is what the code says: every method is called on a real node, and the page that is made of the calls and of
//! `rpc.discover` is held against the one in the repository. `scripts/rpc-docs` writes it.
//!
//! The network begins in the future and allows it, so that block times follow from the blocks alone; what else is of
//! the moment (a node's own times, hashes of blocks that threads raced for) is put aside.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

#[path = "rpc_docs/render.rs"]
mod render;
mod server_support;
mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use printsy_consensus::{Action, Genesis, Header, Target, Transaction, block_message, codec};
use printsy_node::OnConflict;
use printsy_node::clock::Clock;
use printsy_node::logging::{self, LogFormat};
use printsy_node::node::{Node, NodeOptions};
use printsy_node::server::ServerOptions;
use printsy_node::storage::Storage;
use printsy_p2p::Limits;
use serde_json::{Value, json};

use render::Examples;
use server_support::{Session, address, result};
use support::{key, mine, network, purchase, sign};

/// What stands for a time of the node's own clock.
const A_TIME: u64 = 2_500_000_000_000;

fn genesis() -> Arc<Genesis> {
    network("dev-docs", |json| {
        json["time"] = json!(2_500_000_000_000_u64);
        json["maxFutureMs"] = json!(1_u64 << 40);
    })
}

async fn node(genesis: &Arc<Genesis>) -> Node {
    let mut server = ServerOptions::new("127.0.0.1:0".parse().unwrap(), genesis.params());
    server.generate_key = Some(key("miner-1"));
    server.logs = Some(logging::install("error", LogFormat::Text).unwrap());
    let network = printsy_p2p::Config {
        genesis: genesis.hash(),
        node_key: [7; 32],
        listen: Vec::new(),
        bootnodes: Vec::new(),
        known_peers: Vec::new(),
        agent: "printsyd".to_owned(),
        limits: Limits::default(),
        max_block_bytes: genesis.params().max_block_bytes,
    };
    Node::start(NodeOptions {
        genesis: genesis.clone(),
        storage: Storage::Memory,
        network: Some(network),
        mining: None,
        server: Some(server),
        clock: Clock::default(),
        guard: None,
        on_conflict: OnConflict::Stay,
    })
    .await
    .unwrap()
}

fn hex(order: &Transaction) -> String {
    hex::encode(codec::encode(order))
}

/// Calls, and what came of them.
struct Recorder {
    at: SocketAddr,
    examples: Examples,
}

impl Recorder {
    async fn call(&mut self, method: &str, params: Value) -> Value {
        let answer = result(self.at, method, params.clone()).await;
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut shown = answer.clone();
        put_moments_aside(&mut shown);
        let told = json!({ "jsonrpc": "2.0", "id": 1, "result": shown });
        self.examples.insert(method.to_owned(), (request, vec![told]));
        answer
    }

    /// A subscription, and the first of what it tells.
    async fn subscribe(&mut self, method: &str, params: Value) {
        let mut session = Session::open(self.at, "Host: localhost\r\n").await.unwrap();
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        session.send(&request.to_string()).await;
        let mut told = vec![session.receive().await.unwrap(), session.receive().await.unwrap()];
        assert!(told[0]["result"].is_number(), "{told:?}");
        // Its number is drawn at random.
        told[0]["result"] = json!(1);
        told[1]["params"]["subscription"] = json!(1);
        told.iter_mut().for_each(put_moments_aside);
        self.examples.insert(method.to_owned(), (request, told));
    }

    /// What is shown of an answer that differs from call to call, or is very long.
    fn show(&mut self, method: &str, change: impl FnOnce(&mut Value)) {
        change(&mut self.examples.get_mut(method).unwrap().1[0]["result"]);
    }
}

/// Times at which the node saw something.
fn put_moments_aside(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.contains_key("status") && map.contains_key("time") {
                map.insert("time".to_owned(), json!(A_TIME));
            }
            map.values_mut().for_each(put_moments_aside);
        }
        Value::Array(items) => items.iter_mut().for_each(put_moments_aside),
        _ => {}
    }
}

async fn record(genesis: &Arc<Genesis>, node: &Node) -> Examples {
    let mut calls = Recorder { at: address(node), examples: Examples::new() };
    orders(&mut calls, genesis, node).await;
    lists(&mut calls).await;
    chain(&mut calls, node).await;
    mining(&mut calls).await;
    subscriptions(&mut calls, genesis).await;
    admin(&mut calls).await;
    calls.examples
}

async fn orders(calls: &mut Recorder, genesis: &Genesis, node: &Node) {
    let order = purchase(genesis, "alice", 25, 2, 1);
    let id = order.body.txid().to_string();
    support::submit(node.handle(), &order).await.unwrap();
    let issue = sign(genesis, "issuer", Action::Issue { to: key("alice").public_key(), amount: 1_250 }, 2);
    support::submit(node.handle(), &issue).await.unwrap();
    mine(node.handle(), "miner-1", 1).await;
    let text = b"as sharp as on the page".to_vec().try_into().unwrap();
    let review = sign(genesis, "alice", Action::Review { image: 25, rating: 5, text }, 3);
    support::submit(node.handle(), &review).await.unwrap();
    mine(node.handle(), "miner-2", 1).await;
    calls.call("isAvailable", json!({ "image": 25 })).await;
    calls.call("executeTransaction", json!({ "transaction": hex(&order), "wait": "included" })).await;
    let late = purchase(genesis, "bob", 25, 2, 4);
    calls.call("executeTransactions", json!({ "transactions": [hex(&order), hex(&late)] })).await;
    let fits = purchase(genesis, "bob", 25, 1, 5);
    calls.call("validateTransaction", json!([hex(&fits)])).await;
    calls.call("getTransaction", json!({ "txId": id })).await;
    calls.call("getInclusionProof", json!({ "txId": id })).await;
}

async fn lists(calls: &mut Recorder) {
    let alice = key("alice").public_key().to_string();
    calls.call("getEdition", json!({ "image": 25 })).await;
    calls.call("getOwners", json!({ "image": 25, "limit": 10 })).await;
    calls.call("getAccount", json!({ "account": alice })).await;
    calls.call("getHoldings", json!([alice])).await;
    calls.call("getHistory", json!({ "account": alice, "limit": 1 })).await;
    calls.call("getReviews", json!({ "image": 25 })).await;
    calls.call("getProof", json!({ "image": 26, "height": 1 })).await;
}

async fn chain(calls: &mut Recorder, node: &Node) {
    calls.call("getChain", json!([])).await;
    let tip = support::tip(node.handle()).to_string();
    calls.call("getHeader", json!({ "hash": tip })).await;
    calls.call("getBlock", json!({ "height": 1, "verbosity": "ids" })).await;
    calls.call("getParams", json!({})).await;
    calls.call("getPeers", json!([])).await;
    calls.call("getMiners", json!([])).await;
    calls.call("getMempool", json!({ "verbose": true })).await;
    calls.call("getSupply", json!([])).await;
    calls.call("rpc.discover", json!([])).await;
    calls.show("rpc.discover", |document| {
        document["methods"] = json!(["(here every method)"]);
        document["components"] = json!({ "schemas": "(here every type)" });
    });
}

async fn mining(calls: &mut Recorder) {
    let miner = key("miner-3").public_key().to_string();
    let template = calls.call("getBlockTemplate", json!({ "miner": miner })).await;
    let bytes = hex::decode(template["header"].as_str().unwrap()).unwrap();
    let mut header = Header::from_bytes(bytes.as_slice().try_into().unwrap());
    while !Target::from_bits(header.bits).unwrap().is_met_by(&header.id()) {
        header.nonce += 1;
    }
    let signature = hex::encode(key("miner-3").sign(&block_message(&header.id())));
    let nonce = hex::encode(header.nonce.to_le_bytes());
    let found = json!({ "templateId": template["templateId"], "nonce": nonce, "signature": signature });
    calls.call("submitBlock", found).await;
}

async fn subscriptions(calls: &mut Recorder, genesis: &Genesis) {
    let miner = key("miner-3").public_key().to_string();
    calls.subscribe("subscribeBlockTemplate", json!({ "miner": miner })).await;
    let begin = json!({ "height": 0, "hash": genesis.hash().to_string() });
    calls.subscribe("subscribeBlocks", json!({ "after": begin })).await;
    let order = purchase(genesis, "alice", 25, 2, 1).body.txid().to_string();
    calls.subscribe("subscribeTransaction", json!({ "txId": order })).await;
    calls.subscribe("subscribeAvailability", json!({ "images": [25] })).await;
}

async fn admin(calls: &mut Recorder) {
    let peer = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
    calls.call("addPeer", json!({ "address": "/ip4/127.0.0.1/tcp/1" })).await;
    calls.call("ban", json!({ "peerId": peer, "seconds": 3_600 })).await;
    let banned = async {
        while calls.call("listBanned", json!([])).await == json!([]) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(server_support::PATIENCE, banned).await.unwrap();
    calls.show("listBanned", |list| list[0]["secondsLeft"] = json!(3_599));
    calls.call("unban", json!({ "peerId": peer })).await;
    calls.call("setLogLevel", json!({ "level": "info,printsy_p2p=debug" })).await;
    result(calls.at, "setLogLevel", json!(["error"])).await;
    calls.call("generateBlocks", json!({ "count": 1 })).await;
    calls.show("generateBlocks", |made| {
        made["hashes"] = json!(["0".repeat(64)]);
        made["tip"]["hash"] = json!("0".repeat(64));
    });
    let ms = Clock::default().now();
    calls.call("setClock", json!({ "ms": ms })).await;
    calls.examples.get_mut("setClock").unwrap().0["params"]["ms"] = json!(A_TIME);
    calls.show("setClock", |clock| clock["ms"] = json!(A_TIME));
    calls.call("stop", json!([])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_in_the_repository_is_what_the_code_says() {
    let genesis = genesis();
    let node = node(&genesis).await;
    let document = result(address(&node), "rpc.discover", json!([])).await;
    assert_eq!(document, printsy_rpc::openrpc::document());
    let examples = record(&genesis, &node).await;
    let asked = node.handle().stop_asked();
    tokio::time::timeout(server_support::PATIENCE, asked).await.unwrap();
    node.stop().await.unwrap();
    let page = render::page(&document, &examples);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rpc.md");
    if std::env::var_os("WRITE_RPC_DOCS").is_some() {
        std::fs::write(path, page).unwrap();
        return;
    }
    let held = std::fs::read_to_string(path).unwrap_or_default();
    for (at, (held, made)) in held.lines().zip(page.lines()).enumerate() {
        assert_eq!(held, made, "docs/rpc.md:{}: out of date; scripts/rpc-docs writes it", at + 1);
    }
    assert_eq!(held, page, "docs/rpc.md is out of date; scripts/rpc-docs writes it");
}
