//! The laws of orders over RPC: one answer for each, refusals before any work, waits that end.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod server_support;
mod support;

use printsy_consensus::{Action, Genesis, Line, Transaction, codec};
use printsy_node::handle::NodeHandle;
use serde_json::{Value, json};

use server_support::{Session, address, call, error, get, mining, post, result, serving};
use support::{height, mine, network, purchase, sign};

fn hex(order: &Transaction) -> String {
    hex::encode(codec::encode(order))
}

fn txid(order: &Transaction) -> String {
    order.body.txid().to_string()
}

/// What the metrics say of a name.
async fn metric(address: std::net::SocketAddr, name: &str) -> u64 {
    let text = get(address, "/metrics").await.body;
    let line = text.lines().find(|line| line.split(' ').next() == Some(name));
    line.unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

fn cart(genesis: &Genesis, lines: &[(u64, u32)], total: u64, reference: u8) -> Transaction {
    let lines: Vec<Line> =
        lines.iter().map(|(image, quantity)| Line { image: *image, quantity: *quantity }).collect();
    sign(genesis, "alice", Action::Purchase { lines: lines.try_into().unwrap(), total }, reference)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_is_answered_with_its_block_and_editions() {
    let genesis = network("dev-buy", |_| {});
    let node = mining(&genesis).await;
    let order = cart(&genesis, &[(25, 2), (26, 1)], 0, 1);
    let status = result(address(&node), "executeTransaction", json!({ "transaction": hex(&order) })).await;
    assert_eq!(status["status"], "included", "{status}");
    assert_eq!(status["txId"], txid(&order));
    assert_eq!(status["confirmations"], 1);
    assert_eq!(status["block"]["height"], 1);
    assert_eq!(
        status["editions"],
        json!([{ "image": 25, "from": 1, "to": 2 }, { "image": 26, "from": 1, "to": 1 }])
    );
    assert_eq!(status["transaction"], hex(&order));
    let stages: Vec<&Value> = status["history"].as_array().unwrap().iter().map(|c| &c["status"]).collect();
    assert_eq!(stages, ["pending", "included"]);
    let left = result(address(&node), "isAvailable", json!([25])).await;
    assert_eq!((&left["remaining"], &left["sold"], &left["available"]), (&json!(1), &json!(2), &json!(true)));
    assert_eq!(left["lastBlock"], left["tip"]);
    assert_eq!(left["lastBlock"]["hash"], status["block"]["hash"]);
    let again = result(address(&node), "executeTransaction", json!([hex(&order)])).await;
    assert_eq!(again, status, "the same order again: its status, never a second sale");
    assert_eq!(result(address(&node), "getTransaction", json!([txid(&order)])).await, status);
    assert_eq!(result(address(&node), "validateTransaction", json!([hex(&order)])).await, status);
    assert_eq!(result(address(&node), "isAvailable", json!([25])).await["sold"], 2);
    let edition = result(address(&node), "getEdition", json!([25])).await;
    assert_eq!((&edition["sold"], &edition["last"]), (&json!(2), &json!({ "height": 1, "index": 0 })));
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sold_out_order_is_refused_before_any_template() {
    let genesis = network("dev-soldout", |_| {});
    let node = mining(&genesis).await;
    let order = purchase(&genesis, "alice", 5, 3, 1);
    result(address(&node), "executeTransaction", json!([hex(&order)])).await;
    let templates = metric(address(&node), "printsy_template_made_total").await;
    let late = purchase(&genesis, "bob", 5, 1, 2);
    for method in ["executeTransaction", "validateTransaction"] {
        let refused = error(address(&node), method, json!([hex(&late)])).await;
        assert_eq!(refused["code"], 1001, "{refused}");
        let data = &refused["data"];
        assert_eq!(
            *data,
            json!({ "reason": "soldOut", "rule": "S4", "retryable": false, "txId": txid(&late),
                    "image": 5, "max": 3, "sold": 3, "requested": 1 })
        );
    }
    assert_eq!(metric(address(&node), "printsy_template_made_total").await, templates);
    assert_eq!(result(address(&node), "getMempool", json!([true])).await["txIds"], json!([]));
    let story = result(address(&node), "getTransaction", json!([txid(&late)])).await;
    assert_eq!((&story["status"], &story["history"][0]["reason"]), (&json!("refused"), &json!("soldOut")));
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_where_the_caller_says_or_with_the_status_as_it_stands() {
    let genesis = network("dev-waits", |json| json["finalityDepth"] = json!(2));
    let node = serving(&genesis, |_| {}).await;
    let order = purchase(&genesis, "alice", 1, 1, 1);
    let admitted = json!({ "transaction": hex(&order), "wait": "admitted" });
    assert_eq!(result(address(&node), "executeTransaction", admitted).await["status"], "pending");
    let short = json!({ "transaction": hex(&order), "wait": "final", "timeoutMs": 50 });
    assert_eq!(result(address(&node), "executeTransaction", short.clone()).await["status"], "pending");
    let left = result(address(&node), "isAvailable", json!([1])).await;
    assert_eq!((&left["pending"], &left["remaining"], &left["sold"]), (&json!(1), &json!(3), &json!(0)));

    let (included, done) = waits(address(&node), &order);
    mine(node.handle(), "miner-1", 1).await;
    assert_eq!(included.await.unwrap()["status"], "included");
    assert_eq!(result(address(&node), "executeTransaction", short).await["status"], "included");
    mine(node.handle(), "miner-2", 2).await;
    let status = done.await.unwrap();
    assert_eq!((&status["status"], &status["confirmations"]), (&json!("final"), &json!(3)));
    node.stop().await.unwrap();
}

type Waiting = tokio::task::JoinHandle<Value>;

/// Two callers that wait for an order: one until it is included, one until it is final.
fn waits(address: std::net::SocketAddr, order: &Transaction) -> (Waiting, Waiting) {
    let wait = |wait: &'static str| {
        let params = json!([hex(order), wait]);
        tokio::spawn(async move { result(address, "executeTransaction", params).await })
    };
    (wait("included"), wait("final"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_answers_whoever_waits() {
    let genesis = network("dev-stop", |_| {});
    let node = serving(&genesis, |_| {}).await;
    let order = purchase(&genesis, "alice", 1, 1, 1);
    let (included, done) = waits(address(&node), &order);
    // Both are at their wait: the stop must not come before the second call is even read.
    let both_wait = async { while metric(address(&node), "printsy_rpc_waiting").await < 2 {} };
    tokio::time::timeout(server_support::PATIENCE, both_wait).await.unwrap();
    node.stop().await.unwrap();
    assert_eq!(included.await.unwrap()["status"], "pending");
    assert_eq!(done.await.unwrap()["status"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_batch_do_not_wait_unless_they_say_so() {
    let genesis = network("dev-batch", |_| {});
    let node = serving(&genesis, |_| {}).await;
    let one = |reference: u8| {
        let order = purchase(&genesis, "alice", u64::from(reference), 1, reference);
        json!({ "jsonrpc": "2.0", "id": reference, "method": "executeTransaction", "params": [hex(&order)] })
    };
    let batch = json!([one(1), one(2)]).to_string();
    let answers = post(address(&node), &batch).await.json();
    assert_eq!(answers[0]["result"]["status"], "pending");
    assert_eq!(answers[1]["result"]["status"], "pending");
    let mut session = Session::open(address(&node), "Host: localhost\r\n").await.unwrap();
    session.send(&batch).await;
    assert_eq!(session.receive().await.unwrap()[1]["result"]["status"], "pending");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_orders_are_answered_in_their_order_and_each_for_itself() {
    let genesis = network("dev-many", |_| {});
    let node = mining(&genesis).await;
    let mut forged = purchase(&genesis, "bob", 1, 1, 9);
    forged.signature[0] ^= 1;
    let orders = [
        purchase(&genesis, "alice", 1, 2, 1),
        forged,
        purchase(&genesis, "bob", 1, 2, 2),
        purchase(&genesis, "bob", 1, 1, 3),
        purchase(&genesis, "alice", 1, 2, 1),
    ];
    let mut list: Vec<String> = orders.iter().map(hex).collect();
    list.push("00".to_owned());
    let outcomes = result(address(&node), "executeTransactions", json!([list])).await;
    assert_eq!(outcomes[0]["status"], "included", "{outcomes}");
    assert_eq!(outcomes[1]["data"]["reason"], "badSignature");
    let late = outcomes[2]["data"]["reason"].as_str().unwrap();
    assert!(late == "heldByPending" || late == "soldOut", "{outcomes}");
    assert_eq!(outcomes[3]["status"], "included");
    assert_eq!(outcomes[4]["txId"], outcomes[0]["txId"]);
    assert_eq!(outcomes[5]["data"]["rule"], "C1");
    let left = result(address(&node), "isAvailable", json!([1])).await;
    assert_eq!((&left["sold"], &left["available"]), (&json!(3), &json!(false)));
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_has_its_code_and_its_numbers() {
    let genesis = network("dev-refusals", |json| json["maxPerAccount"] = json!(2));
    let node = serving(&genesis, |_| {}).await;
    let amount = |amount| Action::Transfer { to: support::key("bob").public_key(), amount };
    let list = |image, price, editions| Action::List {
        image,
        seller: support::key("bob").public_key(),
        price,
        editions,
    };
    accept(node.handle(), address(&node), &sign(&genesis, "registrar", list(7, 50, 2), 1)).await;
    accept(node.handle(), address(&node), &purchase(&genesis, "alice", 1, 1, 2)).await;
    let held = purchase(&genesis, "bob", 1, 2, 3);
    let admitted = json!([hex(&held), "admitted"]);
    result(address(&node), "executeTransaction", admitted).await;

    let mut late = purchase(&genesis, "alice", 3, 1, 0).body;
    let mut expiring = |expires_at| {
        late.expires_at = expires_at;
        late.clone().sign(&genesis.hash(), &support::key("alice"))
    };
    let cases = [
        (expiring(2), json!([1004, "expired", "S1", false]), json!({ "height": 3, "expiresAt": 2 })),
        (expiring(12), json!([1004, "expiresTooSoon", null, false]), json!({ "height": 3, "expiresAt": 12 })),
        (expiring(304), json!([1004, "notYet", "S1", true]), json!({ "height": 3, "expiresAt": 304 })),
        (
            purchase(&genesis, "carol", 1, 1, 4),
            json!([1002, "heldByPending", null, true]),
            json!({ "image": 1, "max": 3, "sold": 1, "pending": 2, "requested": 1 }),
        ),
        (
            purchase(&genesis, "alice", 1, 2, 4),
            json!([1006, "accountLimit", "S5", false]),
            json!({ "image": 1, "held": 1, "max": 2, "requested": 2 }),
        ),
        (
            cart(&genesis, &[(7, 2)], 99, 5),
            json!([1005, "priceChanged", "S7", false]),
            json!({ "total": "100" }),
        ),
        (
            cart(&genesis, &[(7, 2)], 100, 6),
            json!([1007, "insufficientBalance", "S8", false]),
            json!({ "balance": "0", "total": "100" }),
        ),
        (sign(&genesis, "alice", list(8, 1, 1), 7), json!([1008, "notAuthorized", "S12", false]), json!({})),
        (
            sign(&genesis, "alice", Action::Issue { to: support::key("bob").public_key(), amount: 1 }, 7),
            json!([1008, "notAuthorized", "S10", false]),
            json!({}),
        ),
        (
            sign(
                &genesis,
                "carol",
                Action::Review { image: 1, rating: 5, text: Vec::new().try_into().unwrap() },
                8,
            ),
            json!([1009, "notPurchased", "S9", false]),
            json!({ "image": 1 }),
        ),
        (
            sign(&genesis, "registrar", Action::RevokeMiner { miner: support::key("bob").public_key() }, 9),
            json!([1011, "refusedByRegistry", "S14", false]),
            json!({}),
        ),
        (sign(&genesis, "alice", amount(0), 10), json!([1010, "malformed", "T9", false]), json!({})),
        (
            purchase(&genesis, "alice", 1, 4, 11),
            json!([1010, "malformed", "T6", false]),
            json!({ "max": 3, "requested": 4 }),
        ),
    ];
    for (order, expected, numbers) in cases {
        let refused = error(address(&node), "executeTransaction", json!([hex(&order)])).await;
        let data = &refused["data"];
        let got = json!([refused["code"], data["reason"], data["rule"], data["retryable"]]);
        assert_eq!(got, expected, "{refused}");
        for (name, number) in numbers.as_object().unwrap() {
            assert_eq!(data[name], *number, "{name}: {refused}");
        }
    }
    let other = network("dev-other", |_| {});
    let foreign =
        error(address(&node), "executeTransaction", json!([hex(&purchase(&other, "alice", 2, 1, 1))])).await;
    assert_eq!((&foreign["code"], &foreign["data"]["rule"]), (&json!(1003), &json!("T2")));
    node.stop().await.unwrap();
}

/// Sends an order and makes the block that confirms it.
async fn accept(node: &NodeHandle, address: std::net::SocketAddr, order: &Transaction) {
    let before = height(node);
    result(address, "executeTransaction", json!([hex(order), "admitted"])).await;
    mine(node, "miner-1", 1).await;
    assert_eq!(height(node), before + 1);
    assert_eq!(result(address, "getTransaction", json!([txid(order)])).await["status"], "included");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_that_a_pending_deposit_would_cover_is_worth_another_try() {
    let genesis = network("dev-credit", |_| {});
    let node = serving(&genesis, |_| {}).await;
    let deposit = Action::Issue { to: support::key("alice").public_key(), amount: 10 };
    let spend =
        sign(&genesis, "alice", Action::Transfer { to: support::key("bob").public_key(), amount: 10 }, 2);
    let deposit = sign(&genesis, "issuer", deposit, 1);
    result(address(&node), "executeTransaction", json!([hex(&deposit), "admitted"])).await;
    let refused = error(address(&node), "executeTransaction", json!([hex(&spend)])).await;
    assert_eq!((&refused["code"], &refused["data"]["retryable"]), (&json!(1007), &json!(true)));
    mine(node.handle(), "miner-1", 1).await;
    accept(node.handle(), address(&node), &spend).await;
    let bob = support::key("bob").public_key().to_string();
    let account = result(address(&node), "getAccount", json!([bob])).await;
    assert_eq!((&account["balance"], &account["transactions"]), (&json!("10"), &json!(1)));
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_dropped_ends_its_wait_with_the_reason() {
    let genesis = network("dev-dropped", |_| {});
    let (node, other) = (serving(&genesis, |_| {}).await, serving(&genesis, |_| {}).await);
    let order = purchase(&genesis, "alice", 1, 3, 1);
    let (server, params) = (address(&node), json!([hex(&order)]));
    let waiting = tokio::spawn(async move { call(server, "executeTransaction", params).await });
    support::until(node.handle(), "the order waits", |node| node.reader().mempool_size().0 == 1).await;
    // Another node's block changes the price while the order waits here: it is not what was agreed any more.
    let terms = Action::List { image: 1, seller: support::key("bob").public_key(), price: 5, editions: 3 };
    support::submit(other.handle(), &sign(&genesis, "registrar", terms, 1)).await.unwrap();
    mine(other.handle(), "miner-1", 1).await;
    let block = other.handle().reader().block_at(1).unwrap().unwrap();
    node.handle().submit_block(block.bytes).await.unwrap();
    let answer = waiting.await.unwrap();
    assert_eq!(answer["error"]["data"]["reason"], "priceChanged", "{answer}");
    assert_eq!(answer["error"]["data"]["total"], "15");
    for node in [node, other] {
        node.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_sent_is_not_found() {
    let node = serving(&network("dev-unknown", |_| {}), |_| {}).await;
    let refused = error(address(&node), "getTransaction", json!(["ab".repeat(32)])).await;
    assert_eq!((&refused["code"], &refused["data"]["reason"]), (&json!(3002), &json!("notFound")));
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_a_reorganisation_takes_out_is_told_as_displaced() {
    let genesis = network("dev-displaced", |_| {});
    let (node, other) = (serving(&genesis, |_| {}).await, serving(&genesis, |_| {}).await);
    let order = purchase(&genesis, "alice", 1, 3, 1);
    accept(node.handle(), address(&node), &order).await;
    let lost = result(address(&node), "getBlock", json!([1])).await;
    // The other branch has more work, and sold the same copies to somebody else.
    support::submit(other.handle(), &purchase(&genesis, "bob", 1, 1, 2)).await.unwrap();
    mine(other.handle(), "miner-2", 2).await;
    // What is displaced may come back: the wait goes on to its end. It must not end before the branch is here.
    let (server, params) = (address(&node), json!([hex(&order), "final", 5_000]));
    let waiting = tokio::spawn(async move { result(server, "executeTransaction", params).await });
    for height in 1..=2 {
        let block = other.handle().reader().block_at(height).unwrap().unwrap();
        node.handle().submit_block(block.bytes).await.unwrap();
    }
    assert_eq!(support::tip(node.handle()), support::tip(other.handle()));
    let status = waiting.await.unwrap();
    assert_eq!((&status["status"], &status["confirmations"]), (&json!("displaced"), &json!(0)), "{status}");
    let told = status["history"].as_array().unwrap().last().unwrap();
    assert_eq!((&told["status"], &told["reason"]), (&json!("displaced"), &json!("soldOut")));
    let off_chain = result(address(&node), "getBlock", json!([lost["hash"]])).await;
    assert_eq!((&off_chain["confirmations"], &off_chain["transactions"]), (&json!(0), &lost["transactions"]));
    assert_eq!(result(address(&node), "getHeader", json!([lost["hash"]])).await["confirmations"], 0);
    for node in [node, other] {
        node.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_orders_of_one_call_are_all_confirmed() {
    let genesis = network("dev-thousand", |_| {});
    let node = mining(&genesis).await;
    let list: Vec<String> = (0..1_000u64)
        .map(|image| hex(&purchase(&genesis, "alice", image, 1, u8::try_from(image % 256).unwrap())))
        .collect();
    let outcomes = result(address(&node), "executeTransactions", json!([list])).await;
    let outcomes = outcomes.as_array().unwrap();
    assert_eq!(outcomes.len(), 1_000);
    for (image, outcome) in outcomes.iter().enumerate() {
        // The first are final by the time that the last are in a block, where orders come slower than blocks.
        assert!(["included", "final"].contains(&outcome["status"].as_str().unwrap()), "{outcome}");
        assert_eq!(outcome["editions"], json!([{ "image": image, "from": 1, "to": 1 }]));
    }
    assert_eq!(
        error(address(&node), "executeTransactions", json!([vec!["00"; 1_001]])).await["code"],
        -32602
    );
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_order_sent_by_many_at_once_is_one_sale() {
    let genesis = network("dev-same", |_| {});
    let node = mining(&genesis).await;
    let (server, order) = (address(&node), purchase(&genesis, "alice", 1, 1, 1));
    let calls: Vec<Waiting> = (0..100)
        .map(|_| {
            let params = json!([hex(&order)]);
            tokio::spawn(async move { result(server, "executeTransaction", params).await })
        })
        .collect();
    for call in calls {
        let status = call.await.unwrap();
        assert_eq!((&status["status"], &status["txId"]), (&json!("included"), &json!(txid(&order))));
    }
    assert_eq!(result(server, "isAvailable", json!([1])).await["sold"], 1);
    node.stop().await.unwrap();
}
