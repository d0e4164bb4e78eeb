//! The forger's blocks against the protocol's rules, without any node: each is perfect but for its one flaw.
#![allow(clippy::unwrap_used, reason = "test helpers may panic like tests")]

use std::sync::Arc;

use printsy_consensus::{BlockError, CheckedTransaction, Genesis, Rule, SecretKey};
use printsy_miner::{Cancel, Miner};
use printsy_scenarios::craft::{Draft, Flaw, purchase};
use printsy_scenarios::replica::Replica;

/// The development network with work that is no work, and a single edition of each image.
fn replica() -> Replica {
    let template = Genesis::from_json(include_str!("../../../genesis.json")).unwrap();
    let mut params = template.params().clone();
    params.bits = 0x207f_ffff;
    params.max_editions = 1;
    Replica::new(Genesis::new(params).unwrap())
}

fn order(replica: &Replica, name: &str, image: u64) -> CheckedTransaction {
    let expires_at = replica.tip().height + 50;
    purchase(replica.genesis(), &SecretKey::development(name), image, 0, expires_at).unwrap()
}

/// A worked and signed block on the replica's tip.
async fn forge(replica: &Replica, orders: Vec<CheckedTransaction>, flaw: &Flaw) -> (Vec<u8>, u64) {
    let key = SecretKey::development("miner-1");
    let now = replica.tip().time + 1_000;
    let draft = Draft::new(replica, key.public_key(), now, orders, flaw).unwrap();
    let miner = Arc::new(Miner::new(1).unwrap());
    let draft = draft.work(&miner, &Cancel::new()).await.unwrap().unwrap();
    (draft.sign(&key), now)
}

#[tokio::test]
async fn a_block_without_a_flaw_is_valid() {
    let mut replica = replica();
    for image in 1..=3 {
        let (block, now) = forge(&replica, vec![order(&replica, "alice", image)], &Flaw::None).await;
        replica.connect(block, now).unwrap();
    }
    assert_eq!((replica.tip().height, replica.transactions()), (3, 3));
    assert_eq!((replica.sold(1), replica.sold(4)), (1, 0));
}

#[tokio::test]
async fn a_flawed_block_breaks_its_rule_and_no_other() {
    let mut replica = replica();
    let (block, now) = forge(&replica, vec![order(&replica, "alice", 1)], &Flaw::None).await;
    replica.connect(block, now).unwrap();
    for flaw in [Flaw::StateRoot, Flaw::SoldOut(order(&replica, "mallory", 1))] {
        let (block, now) = forge(&replica, vec![order(&replica, "bob", 2)], &flaw).await;
        let before = *replica.tip();
        let error = replica.connect(block, now).unwrap_err();
        let rule = error.downcast_ref::<BlockError>().and_then(BlockError::rule);
        assert_eq!(rule, flaw.rule(), "{error:#}");
        assert!(matches!(rule, Some(Rule::B6 | Rule::S4)));
        assert_eq!(*replica.tip(), before, "a refused block changes nothing");
    }
    let (block, now) = forge(&replica, vec![order(&replica, "bob", 2)], &Flaw::None).await;
    replica.connect(block, now).unwrap();
}

#[tokio::test]
async fn a_block_that_is_not_on_the_tip_is_no_verdict_on_it() {
    let mut replica = replica();
    let (first, now) = forge(&replica, Vec::new(), &Flaw::None).await;
    let (rival, _) = forge(&replica, vec![order(&replica, "bob", 2)], &Flaw::None).await;
    replica.connect(first, now).unwrap();
    let error = replica.connect(rival, now).unwrap_err();
    assert!(error.downcast_ref::<BlockError>().is_none(), "{error:#}");
}

#[tokio::test]
async fn work_ends_when_it_is_given_up() {
    let template = Genesis::from_json(include_str!("../../../genesis.json")).unwrap();
    let mut params = template.params().clone();
    params.bits = 0x0400_8000; // a target of eight bits in 256: never
    let replica = Replica::new(Genesis::new(params).unwrap());
    let key = SecretKey::development("miner-1").public_key();
    let draft = Draft::new(&replica, key, 0, Vec::new(), &Flaw::None).unwrap();
    let (miner, cancel) = (Arc::new(Miner::new(1).unwrap()), Cancel::new());
    cancel.cancel();
    assert!(draft.clone().work(&miner, &cancel).await.unwrap().is_none());
    // Dropped unfinished, it leaves the miner free for the next search.
    let never = Cancel::new();
    tokio::select! {
        biased;
        _ = draft.clone().work(&miner, &never) => panic!("no nonce does this work"),
        () = tokio::task::yield_now() => {}
    }
    assert!(draft.work(&miner, &cancel).await.unwrap().is_none());
}
