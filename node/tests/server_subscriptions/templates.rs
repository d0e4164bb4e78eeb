//! `subscribeBlockTemplate`.

use printsy_consensus::{Action, Hash, Header, Target, block_message};
use serde_json::{Value, json};

use crate::reader::Reader;
use crate::server_support::{address, result, serving};
use crate::support::{self, key, mine, network, purchase, sign};

fn miner(name: &str) -> String {
    key(name).public_key().to_string()
}

/// The submission of a template's block.
fn solve(template: &Value, name: &str) -> Value {
    let bytes = hex::decode(template["header"].as_str().unwrap()).unwrap();
    let mut header = Header::from_bytes(bytes.as_slice().try_into().unwrap());
    let target = Target::from_bits(header.bits).unwrap();
    while !target.is_met_by(&header.id()) {
        header.nonce += 1;
    }
    let signature = key(name).sign(&block_message(&header.id()));
    let nonce = hex::encode(header.nonce.to_le_bytes());
    json!({ "templateId": template["templateId"], "nonce": nonce, "signature": hex::encode(signature) })
}

fn work(template: &Value) -> (u64, u64) {
    (template["height"].as_u64().unwrap(), template["transactions"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_tip_brings_an_empty_template_at_once_and_then_the_full_one() {
    let genesis = network("dev-push", |json| json["bits"] = json!("1f00ffff"));
    let node = serving(&genesis, |_| {}).await;
    let orders = [1, 2].map(|image| purchase(&genesis, "alice", image, 1, 1));
    support::submit(node.handle(), &orders[0]).await.unwrap();
    let mut reader = Reader::open(address(&node)).await;
    let id = reader.subscribe("subscribeBlockTemplate", json!({ "miner": miner("miner-1") })).await;
    let empty = reader.item("blockTemplate", id).await;
    assert_eq!((work(&empty), &empty["parent"]), ((1, 0), &json!(genesis.hash().to_string())));
    let full = reader.item("blockTemplate", id).await;
    assert_eq!(work(&full), (1, 1));
    // Whichever of them is worked on can be submitted.
    support::submit(node.handle(), &orders[1]).await.unwrap();
    assert_eq!(result(address(&node), "submitBlock", solve(&empty, "miner-1")).await["verdict"], "accepted");
    let next = loop {
        // The second order may have brought one more on the old tip.
        let next = reader.item("blockTemplate", id).await;
        if work(&next).0 == 2 {
            break next;
        }
        assert_eq!(work(&next), (1, 2));
    };
    assert_eq!(work(&next), (2, 0));
    let full = reader.item("blockTemplate", id).await;
    assert_eq!(work(&full), (2, 2));
    assert_eq!(result(address(&node), "submitBlock", solve(&full, "miner-1")).await["verdict"], "accepted");
    // Nothing waits: the empty one is all there is, until an order comes.
    assert_eq!(work(&reader.item("blockTemplate", id).await), (3, 0));
    support::submit(node.handle(), &purchase(&genesis, "bob", 9, 1, 1)).await.unwrap();
    assert_eq!(work(&reader.item("blockTemplate", id).await), (3, 1));
    assert_eq!(reader.call("unsubscribeBlockTemplate", json!([id])).await["result"], true);
    mine(node.handle(), "miner-2", 1).await;
    let answer = reader.call("unsubscribeBlockTemplate", json!({ "subscription": id })).await;
    assert_eq!(answer["result"], false, "there is none any more");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_on_a_new_tip_is_given_an_empty_template_at_once_and_then_the_full_one() {
    let genesis = network("dev-poll", |json| json["bits"] = json!("1f00ffff"));
    let node = serving(&genesis, |_| {}).await;
    let ask = async |name: &str| result(address(&node), "getBlockTemplate", json!([miner(name)])).await;
    for height in 1..=2_u32 {
        let order = purchase(&genesis, "alice", u64::from(height), 1, 1);
        support::submit(node.handle(), &order).await.unwrap();
        let height = u64::from(height);
        assert_eq!(work(&ask("miner-1").await), (height, 0));
        assert_eq!(work(&ask("miner-2").await), (height, 0), "each miner");
        let full = ask("miner-1").await;
        assert_eq!(work(&full), (height, 1));
        assert_eq!(work(&ask("miner-1").await), (height, 1));
        let judged = result(address(&node), "submitBlock", solve(&full, "miner-1")).await;
        assert_eq!(judged["verdict"], "accepted");
    }
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_blocks_are_found_at_once_the_first_template_is_the_full_one() {
    let genesis = network("dev-at-once", |_| {});
    let node = serving(&genesis, |_| {}).await;
    support::submit(node.handle(), &purchase(&genesis, "alice", 1, 1, 1)).await.unwrap();
    let mut reader = Reader::open(address(&node)).await;
    let id = reader.subscribe("subscribeBlockTemplate", json!([miner("miner-1")])).await;
    let full = reader.item("blockTemplate", id).await;
    assert_eq!(work(&full), (1, 1), "an empty block would be found before the order had a chance");
    assert_eq!(result(address(&node), "submitBlock", solve(&full, "miner-1")).await["verdict"], "accepted");
    assert_eq!(work(&reader.item("blockTemplate", id).await), (2, 0));
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_growing_mempool_brings_at_most_one_template_a_second() {
    let genesis = network("dev-paced", |_| {});
    let node = serving(&genesis, |_| {}).await;
    let mut reader = Reader::open(address(&node)).await;
    let id = reader.subscribe("subscribeBlockTemplate", json!([miner("miner-1")])).await;
    assert_eq!(work(&reader.item("blockTemplate", id).await), (1, 0));
    let begun = tokio::time::Instant::now();
    for image in 1..=40 {
        support::submit(node.handle(), &purchase(&genesis, "alice", image, 1, 1)).await.unwrap();
    }
    let mut pushed: u32 = 0;
    loop {
        pushed += 1;
        if work(&reader.item("blockTemplate", id).await) == (1, 40) {
            break;
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    assert!(f64::from(pushed) <= seconds + 1.0, "{pushed} templates in {seconds} s");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_mine_is_told_why_and_who_may_not_any_more_at_once() {
    let genesis = network("dev-registry", |_| {});
    let node = serving(&genesis, |_| {}).await;
    let mut reader = Reader::open(address(&node)).await;
    let refused = reader.refused("subscribeBlockTemplate", json!([miner("alice")])).await;
    assert_eq!((&refused["code"], &refused["data"]["rule"]), (&json!(1008), &json!("B3")));
    let id = reader.subscribe("subscribeBlockTemplate", json!([miner("miner-1")])).await;
    assert_eq!(work(&reader.item("blockTemplate", id).await), (1, 0));
    let revoke = Action::RevokeMiner { miner: key("miner-1").public_key() };
    support::submit(node.handle(), &sign(&genesis, "registrar", revoke, 1)).await.unwrap();
    assert_eq!(work(&reader.item("blockTemplate", id).await), (1, 1));
    mine(node.handle(), "miner-2", 1).await;
    let end = reader.end("blockTemplate", id).await;
    assert_eq!((&end["data"]["reason"], &end["data"]["rule"]), (&json!("notAuthorized"), &json!("B3")));
    node.stop().await.unwrap();
}

/// B4.
#[tokio::test(flavor = "multi_thread")]
async fn a_miner_that_has_to_pause_gets_nothing_until_its_turn_comes() {
    let genesis = network("dev-spacing", |json| json["minerSpacing"] = json!(2));
    let node = serving(&genesis, |_| {}).await;
    mine(node.handle(), "miner-1", 1).await;
    let refused =
        crate::server_support::error(address(&node), "getBlockTemplate", json!([miner("miner-1")])).await;
    assert_eq!(
        (&refused["data"]["rule"], &refused["data"]["height"]),
        (&json!("B4"), &json!(4)),
        "{refused}"
    );
    assert_eq!(refused["data"]["retryable"], true);
    let mut reader = Reader::open(address(&node)).await;
    let id = reader.subscribe("subscribeBlockTemplate", json!([miner("miner-1")])).await;
    mine(node.handle(), "miner-2", 1).await;
    mine(node.handle(), "miner-3", 1).await;
    let template = reader.item("blockTemplate", id).await;
    assert_eq!(work(&template), (4, 0), "nothing came before");
    // It makes the block, and has to pause: what it has is void, and it is told so.
    assert_eq!(
        result(address(&node), "submitBlock", solve(&template, "miner-1")).await["verdict"],
        "accepted"
    );
    let end = reader.end("blockTemplate", id).await;
    assert_eq!((&end["data"]["rule"], &end["data"]["height"]), (&json!("B4"), &json!(7)), "{end}");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_verdict_on_a_template_s_block_is_told() {
    let genesis = network("dev-judged", |json| json["minIntervalMs"] = json!(500));
    let node = serving(&genesis, |_| {}).await;
    let submit = async |found: Value| result(address(&node), "submitBlock", found).await;
    let template = async |name: &str| result(address(&node), "getBlockTemplate", json!([miner(name)])).await;
    let (ours, theirs) = (template("miner-1").await, template("miner-2").await);
    let found = solve(&ours, "miner-1");

    let mut forged = found.clone();
    forged["signature"] = json!("ab".repeat(64));
    let mut by_another = solve(&ours, "miner-2");
    by_another["nonce"] = found["nonce"].clone();
    for wrong in [forged, by_another] {
        let verdict = submit(wrong).await;
        assert_eq!((&verdict["verdict"], &verdict["rule"]), (&json!("refused"), &json!("H8")), "{verdict}");
    }
    // A nonce that does not do the work.
    let bytes = hex::decode(ours["header"].as_str().unwrap()).unwrap();
    let mut header = Header::from_bytes(bytes.as_slice().try_into().unwrap());
    let target = Target::from_bits(header.bits).unwrap();
    while target.is_met_by(&header.id()) {
        header.nonce += 1;
    }
    let mut idle = found.clone();
    idle["nonce"] = json!(hex::encode(header.nonce.to_le_bytes()));
    idle["signature"] = json!(hex::encode(key("miner-1").sign(&block_message(&header.id()))));
    let verdict = submit(idle).await;
    assert_eq!((&verdict["verdict"], &verdict["rule"]), (&json!("refused"), &json!("H5")), "{verdict}");
    assert_eq!(verdict["hash"], header.id().to_string());

    assert_eq!(submit(found.clone()).await["verdict"], "accepted");
    assert_eq!(submit(found).await["verdict"], "duplicate", "the same nonce twice");
    mine(node.handle(), "miner-3", 1).await;
    let verdict = submit(solve(&theirs, "miner-2")).await;
    assert_eq!(verdict["verdict"], "stale", "its parent is the tip no more");
    assert_eq!(verdict["tip"]["height"], 2);
    let mut unknown = solve(&theirs, "miner-2");
    unknown["templateId"] = json!(Hash([9; 32]).to_string());
    let error = crate::server_support::error(address(&node), "submitBlock", unknown).await;
    assert_eq!(error["data"]["reason"], "unknownTemplate");

    // A block before its time: the clock went back after the template was made.
    let early = template("miner-1").await;
    let time = node.handle().clock().now();
    node.handle().clock().set(early["notBefore"].as_u64().unwrap() - 30_000);
    let verdict = submit(solve(&early, "miner-1")).await;
    assert_eq!((&verdict["verdict"], &verdict["rule"]), (&json!("held"), &json!("H7")), "{verdict}");
    node.handle().clock().set(time + 60_000);
    support::until(node.handle(), "the held block is taken", |node| support::height(node) == 3).await;
    node.stop().await.unwrap();
}
