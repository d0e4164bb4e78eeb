//! The contract: every method in every documented way, every error at least once, and whatever else is sent is answered
//! with a documented code.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

#[path = "rpc_contract/generate.rs"]
mod generate;
#[path = "rpc_contract/pipe.rs"]
mod pipe;
mod server_support;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use printsy_consensus::{Action, Body, Genesis, Line, Transaction, codec};
use printsy_node::node::Node;
use printsy_rpc::openrpc::PROTOCOL_ERRORS;
use printsy_rpc::{METHODS, RpcReason};
use serde_json::{Value, json};

use generate::{Random, Seeds};
use pipe::Pipe;
use server_support::{Session, address, post, request, serving};
use support::{key, mine, network, purchase, sign, submit};

/// How many generated requests are sent by default; `RPC_REQUESTS` says otherwise (scripts/rpc-fuzz: 100,000).
const REQUESTS: u64 = 1_000;

fn hex(order: &Transaction) -> String {
    hex::encode(codec::encode(order))
}

fn account(name: &str) -> String {
    key(name).public_key().to_string()
}

fn call(id: u64, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// The same call in each of the ways there are: all answers are one.
async fn in_every_way(
    node: &Node,
    session: &mut Session,
    method: &str,
    named: &Value,
    positional: &Value,
) -> Value {
    let at = address(node);
    let mut answers = Vec::new();
    for params in [named, positional] {
        let single = call(7, method, params);
        answers.push(post(at, &single.to_string()).await.json());
        let batch = post(at, &json!([single, call(8, "getParams", &json!([]))]).to_string()).await.json();
        assert_eq!(batch[1]["id"], 8);
        answers.push(batch[0].clone());
        session.send(&single.to_string()).await;
        answers.push(session.receive().await.unwrap());
        session.send(&json!([single]).to_string()).await;
        answers.push(session.receive().await.unwrap()[0].clone());
    }
    for answer in &answers {
        assert_eq!((&answer["id"], &answer["jsonrpc"]), (&json!(7), &json!("2.0")), "{answer}");
        assert_eq!(answer, &answers[0], "{method}");
    }
    answers.into_iter().next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_is_answered_alike_by_name_by_position_in_batches_and_sessions() {
    let genesis = network("dev-contract", |json| json["finalityDepth"] = json!(1));
    let node = serving(&genesis, |_| {}).await;
    let order = purchase(&genesis, "alice", 25, 2, 1);
    submit(node.handle(), &order).await.unwrap();
    mine(node.handle(), "miner-1", 1).await;
    mine(node.handle(), "miner-2", 2).await;
    let mut session = Session::open(address(&node), "Host: localhost\r\n").await.unwrap();
    let (alice, id, bytes) = (account("alice"), order.body.txid().to_string(), hex(&order));
    let waiting = hex(&purchase(&genesis, "bob", 26, 1, 2));
    let none = json!({});
    let block = "00".repeat(100);
    let cases: Vec<(&str, Value, Value)> = vec![
        ("isAvailable", json!({ "image": 25 }), json!([25])),
        (
            "executeTransaction",
            json!({ "transaction": bytes, "wait": "final", "timeoutMs": 60_000 }),
            json!([bytes, "final", 60_000]),
        ),
        (
            "executeTransactions",
            json!({ "transactions": [bytes, "00"], "wait": null }),
            json!([[bytes, "00"], null, null]),
        ),
        ("validateTransaction", json!({ "transaction": waiting }), json!([waiting])),
        ("getTransaction", json!({ "txId": id }), json!([id])),
        ("getEdition", json!({ "image": 25 }), json!([25])),
        ("getOwners", json!({ "image": 25, "limit": 1 }), json!([25, null, 1])),
        ("getAccount", json!({ "account": alice }), json!([alice])),
        ("getHoldings", json!({ "account": alice, "limit": 5 }), json!([alice, null, 5])),
        ("getHistory", json!({ "account": alice, "cursor": null }), json!([alice])),
        ("getHistory", json!({ "image": 25, "limit": 3 }), json!([25, null, 3])),
        ("getReviews", json!({ "image": 25 }), json!([25])),
        ("getProof", json!({ "image": 25, "height": 1 }), json!([25, 1])),
        ("getProof", json!({ "account": alice }), json!([alice])),
        ("getInclusionProof", json!({ "txId": id }), json!([id])),
        ("getChain", none.clone(), json!([])),
        ("getHeader", json!({ "height": 1 }), json!([1])),
        ("getBlock", json!({ "height": 1, "verbosity": "full" }), json!([1, "full"])),
        ("getBlock", json!({ "height": 1 }), json!([1])),
        ("getParams", none.clone(), json!([])),
        ("getPeers", none.clone(), json!([])),
        ("getMiners", none.clone(), json!([])),
        ("getMempool", json!({ "verbose": true }), json!([true])),
        ("getSupply", none.clone(), json!([])),
        ("rpc.discover", none.clone(), json!([])),
        ("getBlockTemplate", json!({ "miner": account("alice") }), json!([account("alice")])),
        ("submitBlock", json!({ "block": block }), json!([block])),
        ("addPeer", json!({ "address": "/ip4/127.0.0.1/tcp/1" }), json!(["/ip4/127.0.0.1/tcp/1"])),
        ("ban", json!({ "peerId": "x", "seconds": 5 }), json!(["x", 5])),
        ("unban", json!({ "peerId": "x" }), json!(["x"])),
        ("listBanned", none.clone(), json!([])),
        ("setLogLevel", json!({ "level": "info" }), json!(["info"])),
        ("generateBlocks", json!({ "count": 0 }), json!([0])),
        ("setClock", json!({ "ms": 5 }), json!([5])),
        ("stop", none, json!([])),
    ];
    let mut called = BTreeSet::new();
    for (method, named, positional) in &cases {
        let answer = in_every_way(&node, &mut session, method, named, positional).await;
        let documented = documented(method);
        if let Some(code) = answer["error"]["code"].as_i64() {
            assert!(documented.contains(&code), "{method}: {answer}");
        }
        called.insert(*method);
    }
    let all: BTreeSet<&str> = METHODS.iter().map(|method| method.name).collect();
    assert_eq!(called, all);
    tokio::time::timeout(server_support::PATIENCE, node.handle().stop_asked()).await.unwrap();
    node.stop().await.unwrap();
}

/// The codes that a method may answer with.
fn documented(method: &str) -> BTreeSet<i64> {
    let own = METHODS.iter().find(|info| info.name == method).map_or(&[][..], |info| info.errors);
    let common = [RpcReason::Unauthorized, RpcReason::RateLimited];
    let own = own.iter().chain(&common).map(|reason| i64::from(reason.code()));
    own.chain(PROTOCOL_ERRORS.iter().map(|(code, _)| i64::from(*code))).collect()
}

/// The errors that were met, by reason or by code.
#[derive(Default)]
struct Met(BTreeSet<String>);

impl Met {
    /// Calls, expects this error, and holds its data against what every one of ours has.
    async fn expect(&mut self, at: SocketAddr, method: &str, params: Value, reason: RpcReason) -> Value {
        let answer = post(at, &call(1, method, &params).to_string()).await.json();
        let error = &answer["error"];
        assert_eq!(error["code"], reason.code(), "{method} {reason}: {answer}");
        assert_eq!(error["data"]["reason"], reason.name(), "{answer}");
        assert!(error["data"]["retryable"].is_boolean() && error["data"].get("rule").is_some(), "{answer}");
        assert!(
            documented(method).contains(&i64::from(reason.code())),
            "{method} does not document {reason}"
        );
        self.0.insert(reason.name().to_owned());
        error["data"].clone()
    }

    async fn expect_code(&mut self, at: SocketAddr, body: &str, code: i64) {
        let answer = post(at, body).await.json();
        let one = if answer.is_array() { &answer[0] } else { &answer };
        assert_eq!(one["error"]["code"], code, "{body:.80}: {answer}");
        self.0.insert(code.to_string());
    }
}

fn expiring(genesis: &Genesis, expires_at: u64) -> Transaction {
    let alice = key("alice");
    let lines = vec![Line { image: 1, quantity: 1 }].try_into().unwrap();
    let action = Action::Purchase { lines, total: 0 };
    Body { sender: alice.public_key(), reference: [9; 16], expires_at, action }.sign(&genesis.hash(), &alice)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_is_met_with_its_code_and_its_data() {
    let mut met = Met::default();
    refused_orders(&mut met).await;
    refused_calls(&mut met).await;
    closed_catalogue(&mut met).await;
    full_mempool(&mut met).await;
    full_disk(&mut met).await;
    large_answers(&mut met).await;
    // A node behind its peers is made by core_sync, slow readers and ends by the tests of subscriptions. No caller can make
    // a sound node fail (-32603): a test beside `methods` has a handler that panics.
    let elsewhere = ["syncing", "slowReader", "ended", "-32603"];
    let all = RpcReason::ALL.iter().map(|reason| reason.name().to_owned());
    let all = all.chain(PROTOCOL_ERRORS.iter().map(|(code, _)| code.to_string()));
    let missed: Vec<String> =
        all.filter(|name| !met.0.contains(name) && !elsewhere.contains(&name.as_str())).collect();
    assert_eq!(missed, Vec::<String>::new());
}

async fn refused_orders(met: &mut Met) {
    use RpcReason as R;
    let genesis = network("dev-errors", |json| json["maxPerAccount"] = json!(2));
    let node = serving(&genesis, |_| {}).await;
    let at = address(&node);
    submit(node.handle(), &purchase(&genesis, "alice", 1, 2, 1)).await.unwrap();
    submit(node.handle(), &purchase(&genesis, "bob", 1, 1, 2)).await.unwrap();
    submit(node.handle(), &purchase(&genesis, "bob", 2, 2, 3)).await.unwrap();
    mine(node.handle(), "miner-1", 1).await;
    let bob = key("bob").public_key();
    let mut forged = purchase(&genesis, "carol", 9, 1, 4);
    forged.signature[5] ^= 1;
    let dear = Action::Purchase { lines: vec![Line { image: 9, quantity: 1 }].try_into().unwrap(), total: 5 };
    let text = Vec::new().try_into().unwrap();
    let known = Action::RegisterMiner {
        miner: key("miner-1").public_key(),
        name: b"again".to_vec().try_into().unwrap(),
    };
    submit(node.handle(), &purchase(&genesis, "carol", 2, 1, 5)).await.unwrap();
    let held = purchase(&genesis, "dave", 2, 1, 6);
    for (order, reason, data) in [
        (purchase(&genesis, "carol", 1, 1, 7), R::SoldOut, &["image", "max", "sold", "requested"][..]),
        (held, R::HeldByPending, &["image", "max", "sold", "pending", "requested"]),
        (forged, R::BadSignature, &[]),
        (expiring(&genesis, 1), R::Expired, &["height", "expiresAt"]),
        (expiring(&genesis, 1_000), R::NotYet, &["height", "expiresAt"]),
        (expiring(&genesis, 5), R::ExpiresTooSoon, &["height", "expiresAt"]),
        (sign(&genesis, "carol", dear, 8), R::PriceChanged, &["total"]),
        (purchase(&genesis, "bob", 9, 3, 9), R::AccountLimit, &["image", "held", "max", "requested"]),
        (
            sign(&genesis, "alice", Action::Transfer { to: bob, amount: 5 }, 10),
            R::InsufficientBalance,
            &["balance", "total"],
        ),
        (sign(&genesis, "alice", Action::Issue { to: bob, amount: 5 }, 11), R::NotAuthorized, &[]),
        (
            sign(&genesis, "alice", Action::Review { image: 9, rating: 1, text }, 12),
            R::NotPurchased,
            &["image"],
        ),
        (purchase(&genesis, "alice", 1_000_000, 1, 13), R::Malformed, &["image", "max"]),
        (sign(&genesis, "registrar", known, 14), R::RefusedByRegistry, &[]),
    ] {
        for method in ["validateTransaction", "executeTransaction"] {
            let told = met.expect(at, method, json!([hex(&order)]), reason).await;
            for name in data {
                assert!(told.get(*name).is_some(), "{reason} does not tell {name}: {told}");
            }
        }
    }
    let (nonce, signature) = ("00".repeat(8), "00".repeat(64));
    met.expect(at, "submitBlock", json!(["ab".repeat(32), nonce, signature]), R::UnknownTemplate).await;
    met.expect(at, "getTransaction", json!(["ab".repeat(32)]), R::NotFound).await;
    node.stop().await.unwrap();
}

async fn refused_calls(met: &mut Met) {
    let genesis = network("dev-calls", |_| {});
    let node = serving(&genesis, |options| {
        options.access.local_rate = 1;
        options.max_body_bytes = 100_000;
    })
    .await;
    let at = address(&node);
    let headers = format!(
        "Host: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer {}\r\n",
        "ab".repeat(32)
    );
    let body = call(1, "getParams", &json!([])).to_string();
    let refused = request(at, "POST", "/", &headers, &body).await.json();
    assert_eq!(refused["error"]["data"]["reason"], "unauthorized");
    met.0.insert("unauthorized".to_owned());
    met.expect_code(at, "{", -32700).await;
    met.expect_code(at, "[]", -32600).await;
    met.expect_code(at, &call(1, "nothing", &json!([])).to_string(), -32601).await;
    met.expect_code(at, &call(1, "isAvailable", &json!([])).to_string(), -32602).await;
    met.expect_code(at, &" ".repeat(100_001), -32007).await;
    let many = Value::from(vec![call(1, "getParams", &json!([])); 101]).to_string();
    met.expect_code(at, &many, -32010).await;
    let hundred = Value::from(vec![call(1, "getParams", &json!([])); 100]).to_string();
    post(at, &hundred).await;
    let told = met.expect(at, "getParams", json!([]), RpcReason::RateLimited).await;
    assert!(told["retryAfterMs"].as_u64().is_some(), "{told}");
    node.stop().await.unwrap();
}

async fn closed_catalogue(met: &mut Met) {
    let genesis = network("dev-listed", |json| json["catalogue"] = json!("listed"));
    let node = serving(&genesis, |_| {}).await;
    let order = hex(&purchase(&genesis, "alice", 1, 1, 1));
    let told = met.expect(address(&node), "executeTransaction", json!([order]), RpcReason::NotListed).await;
    assert_eq!(told["image"], 1);
    node.stop().await.unwrap();
}

async fn full_mempool(met: &mut Met) {
    let genesis = network("dev-full", |_| {});
    let node = serving(&genesis, |_| {}).await;
    let at = address(&node);
    let order = |n: u64| {
        let lines = vec![Line { image: n, quantity: 1 }].try_into().unwrap();
        hex(&sign(&genesis, "alice", Action::Purchase { lines, total: 0 }, 1))
    };
    for first in [0u64, 1_000] {
        let orders: Vec<String> = (first..first + 1_000).map(order).collect();
        let body = call(1, "executeTransactions", &json!([orders, "admitted"])).to_string();
        let answer = post(at, &body).await.json();
        assert!(answer["result"].as_array().unwrap().iter().all(|one| one["status"] == "pending"));
    }
    met.expect(at, "executeTransaction", json!([order(2_000)]), RpcReason::MempoolFull).await;
    node.stop().await.unwrap();
}

/// A node whose disk has less room than it asks for takes no orders.
async fn full_disk(met: &mut Met) {
    let genesis = network("dev-disk", |_| {});
    let folder = tempfile::tempdir().unwrap();
    let node = server_support::with_little_room(&genesis, folder.path()).await;
    let at = address(&node);
    let looked = async {
        while node.handle().low_room().is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(server_support::PATIENCE, looked).await.unwrap();
    let order = hex(&purchase(&genesis, "alice", 1, 1, 1));
    met.expect(at, "executeTransaction", json!([order]), RpcReason::Storage).await;
    node.stop().await.unwrap();
}

/// A node that gives less than some answers need.
async fn large_answers(met: &mut Met) {
    let node = serving(&network("dev-large", |_| {}), |options| options.max_answer_bytes = 20_000).await;
    let at = address(&node);
    met.expect_code(at, &call(1, "rpc.discover", &json!([])).to_string(), -32008).await;
    let hundred = Value::from(vec![call(1, "getChain", &json!([])); 100]).to_string();
    met.expect_code(at, &hundred, -32011).await;
    node.stop().await.unwrap();
}

/// Values that some method would take.
fn seeds(genesis: &Genesis, order: &Transaction) -> Seeds {
    let more = purchase(genesis, "bob", 30, 1, 7);
    let texts = [
        hex(order),
        hex(&more),
        order.body.txid().to_string(),
        genesis.hash().to_string(),
        account("alice"),
        account("miner-1"),
        "00".repeat(32),
        "00".repeat(20),
        "0000000000000019".to_owned(),
        "ff".repeat(64),
        "00".repeat(228),
        "admitted".to_owned(),
        "included".to_owned(),
        "full".to_owned(),
        "hex".to_owned(),
        "/ip4/127.0.0.1/tcp/1".to_owned(),
        "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp".to_owned(),
        "info".to_owned(),
    ];
    let mut values: Vec<Value> = texts.into_iter().map(Value::from).collect();
    let numbers =
        [0, 1, 2, 3, 25, 100, 1_000, 1_001, 999_999, 1_000_000, u64::from(u32::MAX), 1 << 53, u64::MAX];
    values.extend(numbers.into_iter().map(Value::from));
    values.extend([json!(null), json!(true), json!([hex(order), hex(&more)]), json!(-1), json!(1.5)]);
    Seeds { values }
}

/// Every error of an answer has a documented code, and none is the node's own fault.
fn judge(body: &str, status: u16, answer: &str) {
    if answer.is_empty() {
        return;
    }
    assert!(matches!(status, 200 | 400 | 413), "{status} for {body}: {answer}");
    let Ok(answer) = serde_json::from_str::<Value>(answer) else { panic!("no JSON for {body}: {answer}") };
    let asked: Value = serde_json::from_str(body).unwrap_or_default();
    let method_of = |id: &Value| {
        let calls = asked.as_array().cloned().unwrap_or_else(|| vec![asked.clone()]);
        calls
            .into_iter()
            .find(|call| call["id"] == *id)
            .and_then(|call| call["method"].as_str().map(str::to_owned))
    };
    if answer.is_null() {
        // What has no id that is one is taken for a notification, and gets no answer.
        let id = asked.get("id");
        let is_id = |id: &Value| id.is_null() || id.is_string() || id.is_u64();
        assert!(!id.is_some_and(is_id), "no answer to {body}");
        return;
    }
    let answers = answer.as_array().cloned().unwrap_or_else(|| vec![answer.clone()]);
    for one in answers {
        let Some(error) = one.get("error") else {
            assert!(one.get("result").is_some(), "{body}: {one}");
            continue;
        };
        let code = error["code"].as_i64().unwrap();
        assert_ne!(code, -32603, "{body}: {one}");
        let documented = documented(&method_of(&one["id"]).unwrap_or_default());
        let is_known = documented.contains(&code)
            || RpcReason::ALL.iter().any(|reason| i64::from(reason.code()) == code && asked.is_array());
        assert!(is_known, "an undocumented code for {body}: {one}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_sent_is_answered_with_a_documented_code() {
    let requests = std::env::var("RPC_REQUESTS").ok().and_then(|n| n.parse().ok()).unwrap_or(REQUESTS);
    let seed = std::env::var("RPC_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    eprintln!("{requests} requests from seed {seed}");
    let genesis = network("dev-fuzz", |_| {});
    let node = serving(&genesis, |_| {}).await;
    let order = purchase(&genesis, "alice", 25, 2, 1);
    submit(node.handle(), &order).await.unwrap();
    mine(node.handle(), "miner-1", 2).await;
    let seeds = seeds(&genesis, &order);
    let mut random = Random::new(seed);
    let mut pipe = Pipe::open(address(&node)).await;
    let mut statuses: BTreeMap<u16, u64> = BTreeMap::new();
    for _ in 0..requests {
        let body = generate::body(&mut random, &seeds);
        let (status, answer) = pipe.post(&body).await;
        judge(&body, status, &answer);
        *statuses.entry(status).or_default() += 1;
    }
    eprintln!("statuses: {statuses:?}");
    let (status, answer) = pipe.post(&call(1, "getChain", &json!([])).to_string()).await;
    assert_eq!(status, 200);
    assert!(answer.contains("dev-fuzz"));
    node.stop().await.unwrap();
}
