//! The laws of the chain, of mining and of the development network's methods over RPC.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

#[path = "server_chain/miners.rs"]
mod miners;
#[path = "server_chain/own_miner.rs"]
mod own_miner;
mod server_support;
mod support;

use printsy_consensus::{Action, Hash, Header, Target, Transaction, block_message, codec};
use serde_json::{Value, json};

use server_support::{address, error, get, result, serving};
use support::{key, mine, network, purchase, sign};

fn miner(name: &str) -> String {
    key(name).public_key().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_is_told_by_height_and_by_hash_in_three_ways() {
    let genesis = network("dev-blocks", |_| {});
    let node = serving(&genesis, |_| {}).await;
    let order = purchase(&genesis, "alice", 4, 1, 1);
    support::submit(node.handle(), &order).await.unwrap();
    mine(node.handle(), "miner-1", 1).await;
    mine(node.handle(), "miner-2", 1).await;
    let block = result(address(&node), "getBlock", json!({ "height": 1 })).await;
    assert_eq!(block["transactions"], json!([order.body.txid().to_string()]));
    assert_eq!((&block["confirmations"], &block["minerName"]), (&json!(2), &json!("miner 1")));
    let hash = block["hash"].as_str().unwrap();
    assert_eq!(result(address(&node), "getBlock", json!({ "hash": hash })).await, block);
    let bytes = result(address(&node), "getBlock", json!([1, "hex"])).await;
    assert_eq!(bytes["transactions"], json!([hex::encode(codec::encode(&order))]));
    let full = result(address(&node), "getBlock", json!([hash, "full"])).await;
    assert_eq!(full["transactions"][0]["action"]["lines"], json!([{ "image": 4, "quantity": 1 }]));

    let header = result(address(&node), "getHeader", json!([1])).await;
    assert_eq!(header["hash"], block["hash"]);
    assert_eq!(result(address(&node), "getHeader", json!([hash])).await, header);
    let first = result(address(&node), "getBlock", json!([0])).await;
    assert_eq!(
        (&first["transactions"], &first["miner"], &first["size"]),
        (&json!([]), &Value::Null, &json!(228))
    );
    assert_eq!(first["hash"], genesis.hash().to_string());
    assert_eq!(result(address(&node), "getBlock", json!([genesis.hash().to_string()])).await, first);
    assert_eq!(result(address(&node), "getHeader", json!([0])).await["hash"], first["hash"]);
    for missing in [json!([3]), json!(["ab".repeat(32)])] {
        assert_eq!(error(address(&node), "getBlock", missing.clone()).await["code"], 3002);
        assert_eq!(error(address(&node), "getHeader", missing).await["code"], 3002);
    }
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_its_rules_and_its_miners_are_told() {
    let genesis = network("dev-chain", |json| json["finalityDepth"] = json!(1));
    let node = serving(&genesis, |_| {}).await;
    mine(node.handle(), "miner-1", 3).await;
    mine(node.handle(), "miner-2", 1).await;
    let chain = result(address(&node), "getChain", json!([])).await;
    assert_eq!(chain["network"], "dev-chain");
    assert_eq!(chain["genesis"], genesis.hash().to_string());
    assert_eq!((&chain["tip"]["height"], &chain["final"]["height"]), (&json!(4), &json!(3)));
    assert_eq!(chain["sync"], json!({ "state": "synced", "height": 4, "best": 4 }));
    assert_eq!(chain["difficulty"], 1.0);
    let third = result(address(&node), "getHeader", json!([3])).await;
    assert_eq!(chain["final"]["hash"], third["hash"]);
    let params = result(address(&node), "getParams", json!({})).await;
    let told: Value = serde_json::from_str(&genesis.to_json()).unwrap();
    assert_eq!(params, told);
    let miners = result(address(&node), "getMiners", json!([])).await;
    let made: Vec<Value> =
        miners.as_array().unwrap().iter().map(|m| json!([m["name"], m["blocks"], m["share"]])).collect();
    for expected in [json!(["miner 1", 3, 0.75]), json!(["miner 2", 1, 0.25]), json!(["miner 3", 0, 0.0])] {
        assert!(made.contains(&expected), "{made:?}");
    }
    assert_eq!(result(address(&node), "getPeers", json!([])).await, json!([]));
    assert_eq!(
        result(address(&node), "getMempool", json!([])).await,
        json!({ "transactions": 0, "bytes": 0 })
    );
    node.stop().await.unwrap();
}

/// The nonce, in its bytes as hex, and the signature for a template as it came.
fn solve(template: &Value, name: &str) -> (Header, String, String) {
    let bytes = hex::decode(template["header"].as_str().unwrap()).unwrap();
    let mut header = Header::from_bytes(bytes.as_slice().try_into().unwrap());
    let target = Target::from_bits(header.bits).unwrap();
    assert_eq!(template["target"], hex::encode(target.to_be_bytes()));
    while !target.is_met_by(&header.id()) {
        header.nonce += 1;
    }
    let signature = key(name).sign(&block_message(&header.id()));
    (header, hex::encode(header.nonce.to_le_bytes()), hex::encode(signature))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_ground_elsewhere_becomes_a_block() {
    let genesis = network("dev-template", |_| {});
    let node = serving(&genesis, |_| {}).await;
    support::submit(node.handle(), &purchase(&genesis, "alice", 4, 1, 1)).await.unwrap();
    let template = result(address(&node), "getBlockTemplate", json!([miner("miner-1")])).await;
    assert_eq!((&template["height"], &template["transactions"]), (&json!(1), &json!(1)));
    assert_eq!(template["parent"], genesis.hash().to_string());
    let (header, nonce, signature) = solve(&template, "miner-1");
    assert_eq!(template["notBefore"], header.time - genesis.params().max_future_ms);
    let found = json!({ "templateId": template["templateId"], "nonce": nonce, "signature": signature });
    let verdict = result(address(&node), "submitBlock", found.clone()).await;
    assert_eq!((&verdict["verdict"], &verdict["tip"]["height"]), (&json!("accepted"), &json!(1)));
    assert_eq!(verdict["hash"], header.id().to_string());
    assert_eq!(result(address(&node), "submitBlock", found).await["verdict"], "duplicate");

    let unknown = json!({ "templateId": "00".repeat(32), "nonce": nonce, "signature": signature });
    let refused = error(address(&node), "submitBlock", unknown).await;
    assert_eq!((&refused["code"], &refused["data"]["reason"]), (&json!(2001), &json!("unknownTemplate")));
    let refused = error(address(&node), "getBlockTemplate", json!([miner("alice")])).await;
    assert_eq!((&refused["code"], &refused["data"]["rule"]), (&json!(1008), &json!("B3")));
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_for_templates_spoils_none_that_is_worked_on() {
    let genesis = network("dev-flood", |_| {});
    let node = serving(&genesis, |_| {}).await;
    let ask = async || result(address(&node), "getBlockTemplate", json!([miner("miner-1")])).await;
    let work = ask().await;
    let made = metric(&node, "printsy_template_made_total").await;
    // Well within five seconds: what others ask, and what changes meanwhile, leaves the template good.
    for reference in 1..=20 {
        let order = purchase(&genesis, "alice", u64::from(reference), 1, reference);
        support::submit(node.handle(), &order).await.unwrap();
        let crowd = (0..20).map(|_| ask());
        let told = futures::future::join_all(crowd).await;
        if reference == 1 {
            assert_eq!(told[0]["transactions"], 1, "the first changes are told at once");
            assert!(told.iter().all(|template| *template == told[0]), "the crowd is told one template");
        }
    }
    let made = metric(&node, "printsy_template_made_total").await - made;
    assert!(made <= 10, "400 questions cost the core {made} templates");
    let (_, nonce, signature) = solve(&work, "miner-1");
    let found = json!({ "templateId": work["templateId"], "nonce": nonce, "signature": signature });
    assert_eq!(result(address(&node), "submitBlock", found).await["verdict"], "accepted");
    let next = ask().await;
    assert_eq!(
        (&next["height"], &next["transactions"]),
        (&json!(2), &json!(20)),
        "a new tip, a new template"
    );
    node.stop().await.unwrap();
}

async fn metric(node: &printsy_node::node::Node, name: &str) -> u64 {
    let metrics = get(address(node), "/metrics").await.body;
    let line =
        metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{metrics}"));
    line.trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_block_contains_is_a_verdict_and_never_an_error() {
    let genesis = network("dev-verdicts", |_| {});
    let node = serving(&genesis, |_| {}).await;
    let template = result(address(&node), "getBlockTemplate", json!([miner("miner-1")])).await;
    let (header, _, signature) = solve(&template, "miner-1");
    let body = |header: &Header, signature: &str, rest: &str| json!({ "block": format!("{}{signature}{rest}", hex::encode(header.to_bytes())) });
    let forged = "ab".repeat(64);
    let mut orphan = header;
    orphan.parent = Hash([7; 32]);
    while !Target::from_bits(orphan.bits).unwrap().is_met_by(&orphan.id()) {
        orphan.nonce += 1;
    }
    let orphan_signature = hex::encode(key("miner-1").sign(&block_message(&orphan.id())));
    for (block, verdict, rule) in [
        (json!({ "block": "" }), "refused", json!("C1")),
        (json!({ "block": "00ff" }), "refused", json!("C1")),
        (body(&header, &signature, "0000000000"), "refused", json!("C4")),
        (body(&header, &forged, "00000000"), "refused", json!("H8")),
        (body(&orphan, &orphan_signature, "00000000"), "unknownParent", json!("H2")),
        (body(&header, &signature, "00000000"), "accepted", Value::Null),
    ] {
        let answer = result(address(&node), "submitBlock", block).await;
        assert_eq!((&answer["verdict"], &answer["rule"]), (&json!(verdict), &rule), "{answer}");
        assert!(answer["hash"].is_string() && answer["tip"]["hash"].is_string(), "{answer}");
    }
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_generated_on_demand_on_a_development_network() {
    let genesis = network("dev-generate", |_| {});
    let node = serving(&genesis, |_| {}).await;
    let made = result(address(&node), "generateBlocks", json!([25])).await;
    assert_eq!(made["hashes"].as_array().unwrap().len(), 25);
    assert_eq!((&made["tip"]["height"], &made["tip"]["hash"]), (&json!(25), &made["hashes"][24]));
    node.stop().await.unwrap();

    let keyless = serving(&genesis, |options| options.generate_key = None).await;
    let refused = error(address(&keyless), "generateBlocks", json!([1])).await;
    assert_eq!(refused["code"], 4001, "{refused}");
    keyless.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn generating_stops_where_time_does_and_goes_on_when_the_clock_does() {
    let genesis = network("dev-slots", |json| {
        json["targetIntervalMs"] = json!(60_000);
        json["minIntervalMs"] = json!(60_000);
        json["maxFutureMs"] = json!(120_000);
    });
    let node = serving(&genesis, |_| {}).await;
    let refused = error(address(&node), "generateBlocks", json!([10])).await;
    assert_eq!((&refused["code"], &refused["data"]["rule"]), (&json!(4002), &json!("H7")), "{refused}");
    assert!(refused["data"]["retryAfterMs"].as_u64().unwrap() <= 60_000, "{refused}");
    let height = support::height(node.handle());
    assert!((1..10).contains(&height), "{height}");
    let ahead = node.handle().clock().now() + 3_600_000;
    let clock = result(address(&node), "setClock", json!([ahead])).await;
    assert!(clock["ms"].as_u64().unwrap() >= ahead);
    result(address(&node), "generateBlocks", json!([2])).await;
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_is_not_set_to_a_time_that_would_stop_the_chain() {
    let genesis = network("dev-absurd", |_| {});
    let node = serving(&genesis, |_| {}).await;
    let (now, day) = (node.handle().clock().now(), 24 * 3_600_000);
    let years = 3_650 * day;
    for absurd in [0, now - years - day, now + years + day, (1 << 53) - 1] {
        let refused = error(address(&node), "setClock", json!([absurd])).await;
        assert_eq!(refused["code"], -32602, "{refused}");
        assert!(refused["message"].as_str().unwrap().contains("within ten years"), "{refused}");
        assert!(node.handle().clock().now().abs_diff(now) < day, "the clock is as it was");
    }
    // The bound is to the machine's time, not to what was set before.
    for far in [now + years - day, now + years - 1, now - years + day] {
        assert!(result(address(&node), "setClock", json!([far])).await["ms"].as_u64().unwrap() >= far);
    }
    let refused = error(address(&node), "setClock", json!([now + years + day])).await;
    assert_eq!(refused["code"], -32602, "{refused}");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_s_network_neither_generates_nor_turns_its_clock() {
    let genesis = network("shop", |json| json["admission"] = json!("registered"));
    let node = serving(&genesis, |_| {}).await;
    for (method, params) in [("generateBlocks", json!([1])), ("setClock", json!([1]))] {
        let refused = error(address(&node), method, params).await;
        assert_eq!((&refused["code"], &refused["data"]["reason"]), (&json!(4001), &json!("unauthorized")));
    }
    assert_eq!(support::height(node.handle()), 0);
    node.stop().await.unwrap();
}

/// Alice and bob buy image 4 in one block, alice reviews it in the next and again in the third, where bob buys image 9.
async fn storied(
    genesis: &std::sync::Arc<printsy_consensus::Genesis>,
) -> (printsy_node::node::Node, Vec<String>) {
    let node = serving(genesis, |_| {}).await;
    let review = |rating, text: &str, reference| {
        let text = text.as_bytes().to_vec().try_into().unwrap();
        sign(genesis, "alice", Action::Review { image: 4, rating, text }, reference)
    };
    let blocks: [Vec<Transaction>; 3] = [
        vec![purchase(genesis, "alice", 4, 2, 1), purchase(genesis, "bob", 4, 1, 2)],
        vec![review(3, "fine", 3)],
        vec![review(5, "finer", 4), purchase(genesis, "bob", 9, 1, 5)],
    ];
    for orders in &blocks {
        for order in orders {
            support::submit(node.handle(), order).await.unwrap();
        }
        mine(node.handle(), "miner-1", 1).await;
    }
    (node, blocks.iter().flatten().map(|order| order.body.txid().to_string()).collect())
}

/// All pages of a list, as it was asked for by name.
async fn pages(
    server: std::net::SocketAddr,
    method: &str,
    of: (&str, &Value),
    limit: u64,
    list: &str,
) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let params = json!({ of.0: of.1, "cursor": cursor, "limit": limit });
        let mut page = result(server, method, params).await;
        assert_eq!(page["tip"]["height"], 3);
        all.append(page[list].as_array_mut().unwrap());
        cursor = page["next"].take();
        if cursor.is_null() {
            return all;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_owners_reviews_and_holdings_are_told_page_by_page() {
    let genesis = network("dev-history", |json| json["finalityDepth"] = json!(2));
    let (node, txids) = storied(&genesis).await;
    let (server, alice, bob) = (address(&node), miner("alice"), miner("bob"));
    let by_position = |params| async move { (result(server, "getHistory", params).await)["entries"].take() };

    let account = pages(server, "getHistory", ("account", &json!(alice)), 2, "entries").await;
    assert_eq!(account.len(), 3);
    assert_eq!(result(server, "getAccount", json!([alice])).await["transactions"], 3);
    assert_eq!(by_position(json!([alice])).await, json!(account));
    let first = &account[2];
    assert_eq!((&first["txId"], &first["sender"]), (&json!(txids[0]), &json!(alice)));
    assert_eq!(first["action"]["lines"], json!([{ "image": 4, "quantity": 2 }]));
    assert_eq!(first["editions"][0]["image"], 4);
    assert_eq!((&first["confirmations"], &first["final"]), (&json!(3), &json!(true)));
    assert_eq!((&account[0]["confirmations"], &account[0]["final"]), (&json!(1), &json!(false)));
    assert!(account[0].get("editions").is_none());
    let block = result(server, "getBlock", json!([1])).await;
    assert_eq!((&first["hash"], &first["time"]), (&block["hash"], &block["time"]));

    let image = pages(server, "getHistory", ("image", &json!(4)), 1, "entries").await;
    assert_eq!(by_position(json!([4])).await, json!(image));
    let heights: Vec<&Value> = image.iter().map(|entry| &entry["position"]["height"]).collect();
    assert_eq!(heights, [3, 2, 1, 1]);

    let owners = pages(server, "getOwners", ("image", &json!(4)), 1, "owners").await;
    assert_eq!(result(server, "getOwners", json!([4, null, 1_000])).await["owners"], json!(owners));
    let mut counted: Vec<(u64, u64, &str)> = owners
        .iter()
        .map(|owner| {
            (
                owner["from"].as_u64().unwrap(),
                owner["to"].as_u64().unwrap(),
                owner["account"].as_str().unwrap(),
            )
        })
        .collect();
    assert!(owners.iter().all(|owner| owner["position"]["height"] == 1 && owner["txId"].is_string()));
    counted.sort_unstable();
    assert_eq!((counted[0].0, counted[0].1 + 1, counted[1].1), (1, counted[1].0, 3));
    for (from, to, account) in counted {
        assert_eq!(to - from + 1, if account == alice { 2 } else { 1 });
    }

    let reviews = pages(server, "getReviews", ("image", &json!(4)), 1, "reviews").await;
    assert_eq!(result(server, "getReviews", json!([4])).await["reviews"], json!(reviews));
    let told: Vec<_> =
        reviews.iter().map(|review| json!([review["rating"], review["text"], review["replaced"]])).collect();
    assert_eq!(told, [json!([5, "finer", false]), json!([3, "fine", true])]);
    assert_eq!((&reviews[1]["account"], &reviews[1]["txId"]), (&json!(alice), &json!(txids[2])));

    let holdings = pages(server, "getHoldings", ("account", &json!(bob)), 1, "holdings").await;
    assert_eq!(holdings, [json!({ "image": 4, "quantity": 1 }), json!({ "image": 9, "quantity": 1 })]);
    assert_eq!(result(server, "getHoldings", json!([bob])).await["holdings"], json!(holdings));
    let holdings = result(server, "getHoldings", json!([alice])).await;
    assert_eq!(holdings["holdings"], json!([{ "image": 4, "quantity": 2, "rating": 5 }]));

    // Nobody's, and nothing yet.
    let nobody = result(server, "getHistory", json!([miner("carol")])).await;
    assert_eq!((&nobody["entries"], &nobody["next"]), (&json!([]), &Value::Null));
    assert_eq!(result(server, "getReviews", json!([9])).await["reviews"], json!([]));
    assert_eq!(result(server, "getHoldings", json!([miner("carol")])).await["holdings"], json!([]));
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_does_not_fit_is_an_error_of_the_params() {
    let genesis = network("dev-cursors", |_| {});
    let (node, _) = storied(&genesis).await;
    let (server, alice, bob) = (address(&node), miner("alice"), miner("bob"));
    let page = result(server, "getHistory", json!([alice, null, 2])).await;
    let cursor = page["next"].as_str().unwrap().to_owned();
    let other_block = format!("{}{:02x}", &cursor[..38], u8::from_str_radix(&cursor[38..], 16).unwrap() ^ 1);
    let beyond = format!("{:016x}{}", 77, &cursor[16..]);
    for params in
        [json!([alice, other_block]), json!([alice, beyond]), json!([bob, cursor]), json!([9, cursor])]
    {
        let refused = error(server, "getHistory", params.clone()).await;
        assert_eq!(refused["code"], -32602, "{params}: {refused}");
        assert!(refused["message"].as_str().unwrap().contains("begin again"), "{refused}");
    }
    // Of the image it is an entry too, a purchase and no review.
    assert_eq!(result(server, "getHistory", json!([4, cursor])).await["next"], Value::Null);
    assert_eq!(error(server, "getReviews", json!([4, cursor])).await["code"], -32602);

    // A reorganisation takes the blocks off: what was told is no more.
    let other = serving(&genesis, |_| {}).await;
    mine(other.handle(), "miner-2", 4).await;
    for height in 1..=4 {
        let block = other.handle().reader().block_at(height).unwrap().unwrap();
        node.handle().submit_block(block.bytes).await.unwrap();
    }
    assert_eq!(support::tip(node.handle()), support::tip(other.handle()));
    assert_eq!(error(server, "getHistory", json!([alice, cursor])).await["code"], -32602);
    let none = result(server, "getHistory", json!([alice])).await;
    assert_eq!((&none["entries"], &none["tip"]["height"]), (&json!([]), &json!(4)));

    for (method, params) in [
        ("getHistory", json!([1_000_000])),
        ("getOwners", json!([1_000_000])),
        ("getReviews", json!([1_000_000])),
    ] {
        let refused = error(server, method, params).await;
        assert_eq!((&refused["code"], &refused["data"]["rule"]), (&json!(1010), &json!("T5")), "{method}");
    }
    for node in [node, other] {
        node.stop().await.unwrap();
    }
}
