//! The laws of proofs: what a node proves holds without it, and nothing in it can be changed.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod server_support;
mod support;

use std::net::SocketAddr;

use printsy_consensus::{Action, Genesis, Hash, Line, PublicKey, Transaction};
use printsy_node::handle::NodeHandle;
use printsy_rpc::market::EditionRange;
use printsy_rpc::proof::verify::{Claim, ProofRefused, Trust, Verified, verify};
use serde_json::{Value, json};

use server_support::{address, error, result, serving};
use support::{key, mine, network, purchase, sign, submit};

fn public(name: &str) -> PublicKey {
    key(name).public_key()
}

fn cart(genesis: &Genesis, buyer: &str, lines: &[(u64, u32)], reference: u8) -> Transaction {
    let lines: Vec<Line> =
        lines.iter().map(|(image, quantity)| Line { image: *image, quantity: *quantity }).collect();
    sign(genesis, buyer, Action::Purchase { lines: lines.try_into().unwrap(), total: 0 }, reference)
}

fn review(genesis: &Genesis, by: &str, image: u64, rating: u8, reference: u8) -> Transaction {
    sign(genesis, by, Action::Review { image, rating, text: Vec::new().try_into().unwrap() }, reference)
}

/// One block with these orders in it.
async fn block_of(node: &NodeHandle, orders: &[&Transaction]) {
    for order in orders {
        submit(node, order).await.unwrap();
    }
    mine(node, "miner-1", 1).await;
}

async fn proof(address: SocketAddr, params: Value) -> Value {
    result(address, "getProof", params).await
}

async fn certificate(address: SocketAddr, order: &Transaction) -> Value {
    result(address, "getInclusionProof", json!({ "txId": order.body.txid().to_string() })).await
}

fn shown(proof: &Value) -> Verified {
    verify(&proof.to_string(), &Trust::default()).unwrap_or_else(|error| panic!("{error}: {proof}"))
}

fn ranges(proof: &Value) -> Vec<(u64, u32, u32)> {
    match shown(proof).claim {
        Claim::Transaction { editions: Some((ranges, _)), .. } => {
            ranges.into_iter().map(|EditionRange { image, from, to }| (image, from, to)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_an_image_is_shown_and_that_it_was_never_bought() {
    let genesis = network("dev-proofs", |json| json["maxEditions"] = json!(5));
    let node = serving(&genesis, |_| {}).await;
    let (at, handle) = (address(&node), node.handle());
    block_of(handle, &[&purchase(&genesis, "alice", 25, 2, 1)]).await;
    let bought = proof(at, json!({ "image": 25 })).await;
    let verified = shown(&bought);
    match &verified.claim {
        Claim::Image { image: 25, entry: Some(entry), editions: 5 } => assert_eq!(entry.sold, 2),
        other => panic!("{other:?}"),
    }
    assert_eq!((verified.genesis, verified.network.as_str()), (genesis.hash(), "dev-proofs"));
    assert_eq!((verified.block.height, verified.block.id), (1, support::tip(handle)));
    assert_eq!(verified.block.miner_name.as_deref(), Some("miner 1"));
    assert_eq!(proof(at, json!([25])).await, bought, "by position a number is an image");

    let never = shown(&proof(at, json!({ "image": 26 })).await);
    assert_eq!(never.claim, Claim::Image { image: 26, entry: None, editions: 5 });
    let account = shown(&proof(at, json!([public("alice").to_string()])).await);
    assert!(matches!(account.claim, Claim::Account { entry: Some(entry), .. } if entry.transactions == 1));
    let nobody = shown(&proof(at, json!({ "account": public("bob").to_string() })).await);
    assert!(matches!(nobody.claim, Claim::Account { entry: None, .. }));
    let miner = shown(&proof(at, json!({ "miner": public("miner-1").to_string() })).await);
    assert!(matches!(miner.claim, Claim::Miner { entry: Some(entry), .. } if entry.blocks == 1));
    let none = shown(&proof(at, json!({ "miner": public("alice").to_string() })).await);
    assert!(matches!(none.claim, Claim::Miner { entry: None, .. }));
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_shown_as_it_was_within_reach_and_beyond_the_reach_is_named() {
    let genesis = network("dev-past", |json| json["maxEditions"] = json!(50));
    let node = serving(&genesis, |_| {}).await;
    let (at, handle) = (address(&node), node.handle());
    for height in 1..=20u8 {
        block_of(handle, &[&purchase(&genesis, "alice", 7, 1, height)]).await;
    }
    for height in 0..=20u64 {
        let verified = shown(&proof(at, json!({ "image": 7, "height": height })).await);
        let Claim::Image { entry, .. } = &verified.claim else { panic!("{verified:?}") };
        assert_eq!(u64::from(entry.map_or(0, |entry| entry.sold)), height);
        assert_eq!(verified.block.height, height);
    }
    let beyond = error(at, "getProof", json!([7, 21])).await;
    assert_eq!((&beyond["code"], &beyond["data"]["highestHeight"]), (&json!(3002), &json!(20)), "{beyond}");
    assert_eq!(beyond["data"]["lowestHeight"], 0);
    result(at, "generateBlocks", json!([2_048])).await;
    let refused = error(at, "getProof", json!([7, 19])).await;
    assert_eq!((&refused["code"], &refused["data"]["lowestHeight"]), (&json!(3002), &json!(20)), "{refused}");
    assert_eq!(refused["data"]["highestHeight"], 2_068);
    assert!(refused["message"].as_str().unwrap().contains("from 20 to 2068"), "{refused}");
    let lowest = shown(&proof(at, json!([7, 20])).await);
    assert!(matches!(lowest.claim, Claim::Image { entry: Some(entry), .. } if entry.sold == 20));
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_shows_its_edition_numbers_whatever_happened_in_its_block_and_since() {
    let genesis = network("dev-certificates", |json| json["maxEditions"] = json!(50));
    let node = serving(&genesis, |_| {}).await;
    let (at, handle) = (address(&node), node.handle());
    let first = cart(&genesis, "alice", &[(3, 2), (4, 1)], 1);
    let second = cart(&genesis, "bob", &[(3, 3)], 2);
    block_of(handle, &[&first, &second]).await;
    let reviews = [review(&genesis, "alice", 3, 5, 3), review(&genesis, "bob", 3, 1, 4)];
    let third = cart(&genesis, "carol", &[(3, 1), (4, 4), (5, 50)], 5);
    block_of(handle, &[&reviews[0], &reviews[1], &third]).await;
    let transfer = sign(&genesis, "issuer", Action::Issue { to: public("alice"), amount: 5 }, 6);
    block_of(handle, &[&transfer]).await;
    for (order, _) in [(&first, ()), (&second, ()), (&third, ())] {
        let told = result(at, "getTransaction", json!([order.body.txid().to_string()])).await;
        let told: Vec<(u64, u32, u32)> = told["editions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|range| serde_json::from_value::<EditionRange>(range.clone()).unwrap())
            .map(|range| (range.image, range.from, range.to))
            .collect();
        assert_eq!(ranges(&certificate(at, order).await), told);
    }
    let plain = certificate(at, &transfer).await;
    assert!(plain.get("editions").is_none());
    assert!(matches!(shown(&plain).claim, Claim::Transaction { editions: None, index: 0, count: 1, .. }));

    // Beyond the reach of its own block's state, a later one shows it.
    result(at, "generateBlocks", json!([2_050])).await;
    let later = certificate(at, &first).await;
    assert_eq!(ranges(&later), [(3, 1, 2), (4, 1, 1)]);
    let since: Vec<usize> = later["editions"]["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["since"].as_array().unwrap().len())
        .collect();
    assert_eq!(since, [4, 1], "bob's purchase, two reviews and carol's; carol's");
    let unknown = error(at, "getInclusionProof", json!(["ab".repeat(32)])).await;
    assert_eq!(unknown["code"], 3002);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miner_that_a_registrar_registered_is_shown_by_the_registrar_s_word() {
    let genesis = network("dev-registered", |_| {});
    let node = serving(&genesis, |_| {}).await;
    let (at, handle) = (address(&node), node.handle());
    let name = b"newcomer".to_vec().try_into().unwrap();
    let register = Action::RegisterMiner { miner: public("newcomer"), name };
    block_of(handle, &[&sign(&genesis, "registrar", register, 1)]).await;
    submit(handle, &purchase(&genesis, "alice", 9, 1, 2)).await.unwrap();
    mine(handle, "newcomer", 1).await;
    let told = proof(at, json!([9])).await;
    assert_eq!(shown(&told).block.miner_name.as_deref(), Some("newcomer"));
    let without = |change: fn(&mut Value)| {
        let mut changed = told.clone();
        change(&mut changed);
        verify(&changed.to_string(), &Trust::default()).unwrap_err()
    };
    let missing = without(|proof| drop(proof["block"].as_object_mut().unwrap().remove("registration")));
    assert!(matches!(&missing, ProofRefused::Header { why, .. } if why.contains("registered")), "{missing}");
    mine(handle, "miner-1", 1).await;
    let mut needless = proof(at, json!([9])).await;
    needless["block"]["registration"] = told["block"]["registration"].clone();
    assert!(verify(&needless.to_string(), &Trust::default()).is_err());
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn trust_in_another_network_or_another_block_refuses() {
    let genesis = network("dev-trust", |_| {});
    let node = serving(&genesis, |_| {}).await;
    let order = purchase(&genesis, "alice", 25, 2, 1);
    block_of(node.handle(), &[&order]).await;
    let told = certificate(address(&node), &order).await.to_string();
    let tip = support::tip(node.handle());
    let with = |genesis, blocks: &[Hash]| verify(&told, &Trust { genesis, blocks: blocks.to_vec() });
    assert!(with(Some(genesis.hash()), &[tip]).is_ok());
    assert!(with(None, &[Hash::ZERO, tip]).is_ok());
    assert!(matches!(with(Some(Hash::ZERO), &[]), Err(ProofRefused::OtherNetwork { .. })));
    assert!(matches!(with(None, &[Hash::ZERO]), Err(ProofRefused::UnknownBlock { height: 1, .. })));
    let answer =
        json!({ "jsonrpc": "2.0", "id": 1, "result": serde_json::from_str::<Value>(&told).unwrap() });
    assert!(verify(&answer.to_string(), &Trust::default()).is_ok(), "the whole answer as curl writes it");
    for bad in ["", "{}", "[]", "7", r#"{"jsonrpc":"2.0","id":1,"error":{"code":3002,"message":"no"}}"#] {
        assert!(matches!(verify(bad, &Trust::default()), Err(ProofRefused::Form(_))), "{bad}");
    }
    node.stop().await.unwrap();
}

/// Every byte of a text changed, one at a time and in several ways: what is still text and is still taken must read as
/// the very same proof.
fn no_change_is_taken(text: &str) {
    let original: Value = serde_json::from_str(text).unwrap();
    assert!(verify(text, &Trust::default()).is_ok());
    for at in 0..text.len() {
        for flip in [0x01, 0x02, 0x10, 0x40] {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= flip;
            let Ok(changed) = std::str::from_utf8(&bytes) else { continue };
            if verify(changed, &Trust::default()).is_ok() {
                let read: Value = serde_json::from_str(changed).unwrap();
                assert_eq!(read, original, "byte {at} changed by {flip:#x} is taken: {changed}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_in_which_any_byte_was_changed_is_refused() {
    let genesis = network("dev-tamper", |json| json["maxEditions"] = json!(50));
    let node = serving(&genesis, |_| {}).await;
    let (at, handle) = (address(&node), node.handle());
    let name = b"newcomer".to_vec().try_into().unwrap();
    let register = Action::RegisterMiner { miner: public("newcomer"), name };
    block_of(handle, &[&sign(&genesis, "registrar", register, 1)]).await;
    let order = cart(&genesis, "alice", &[(3, 2), (4, 1)], 2);
    for order in [&order, &cart(&genesis, "bob", &[(3, 1)], 3), &cart(&genesis, "bob", &[(6, 1)], 4)] {
        submit(handle, order).await.unwrap();
    }
    mine(handle, "newcomer", 1).await;
    let proofs = [
        proof(at, json!({ "image": 3 })).await,
        proof(at, json!({ "image": 999 })).await,
        proof(at, json!({ "account": public("alice").to_string() })).await,
        certificate(at, &order).await,
    ];
    node.stop().await.unwrap();
    proofs.iter().for_each(|proof| no_change_is_taken(&proof.to_string()));
}
