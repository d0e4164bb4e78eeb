//! Three real nodes in one process over real sockets.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use printsy_consensus::{CheckedBlock, SignedHeader, Target, block_bytes, block_message, codec};
use printsy_node::MiningMode;
use printsy_node::core::BlockVerdict;
use printsy_node::handle::Submission;
use printsy_node::node::Node;

use support::{
    Plan, addresses, height, key, mine, network, purchase, start, submit, tip, until, until_confirmed,
};

async fn three(genesis: &std::sync::Arc<printsy_consensus::Genesis>) -> [Node; 3] {
    let a = start(genesis, 1, Plan::default(), None).await;
    let b = start(genesis, 2, Plan::joining(&[&a]), None).await;
    let c = start(genesis, 3, Plan::joining(&[&a, &b]), None).await;
    for node in [&a, &b, &c] {
        until(node.handle(), "it has two peers", |node| node.network().unwrap().peer_count() == 2).await;
    }
    [a, b, c]
}

async fn stop(nodes: impl IntoIterator<Item = Node>) {
    for node in nodes {
        node.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_on_one_is_seen_by_all() {
    let genesis = network("dev-three", |_| {});
    let nodes = three(&genesis).await;
    let order = purchase(&genesis, "alice", 25, 2, 1);
    let txid = order.body.txid();
    submit(nodes[2].handle(), &order).await.unwrap();
    for node in &nodes {
        until(node.handle(), "the order waits", |node| node.reader().waiting_order(&txid).is_some()).await;
        assert_eq!(node.handle().reader().availability(25).pending, 2);
    }
    mine(nodes[0].handle(), "miner-1", 1).await;
    for node in &nodes {
        until_confirmed(node.handle(), &txid).await;
        let seen = node.handle().reader().availability(25);
        assert_eq!((seen.remaining, seen.pending, seen.snapshot.tip.id()), (1, 0, tip(nodes[0].handle())));
    }
    stop(nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_joiner_comes_to_the_same_chain() {
    let genesis = network("dev-late", |_| {});
    let a = start(&genesis, 1, Plan::default(), None).await;
    for reference in 0..3 {
        submit(a.handle(), &purchase(&genesis, "alice", u64::from(reference), 1, reference)).await.unwrap();
        mine(a.handle(), "miner-1", 50).await;
    }
    let pending = purchase(&genesis, "bob", 7, 1, 9);
    submit(a.handle(), &pending).await.unwrap();
    let late = start(&genesis, 2, Plan::joining(&[&a]), None).await;
    until(late.handle(), "it has caught up", |node| tip(node) == tip(a.handle())).await;
    assert_eq!(height(late.handle()), 150);
    assert_eq!(late.handle().reader().availability(1).remaining, 2);
    mine(a.handle(), "miner-2", 1).await;
    until_confirmed(late.handle(), &pending.body.txid()).await;
    stop([a, late]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tip_is_left_after_two_chains_meet() {
    let genesis = network("dev-fork", |_| {});
    let a = start(&genesis, 1, Plan::default(), None).await;
    let b = start(&genesis, 2, Plan::default(), None).await;
    // The same last editions are sold to others on each side.
    let (on_a, on_b) = (purchase(&genesis, "alice", 25, 3, 1), purchase(&genesis, "bob", 25, 3, 2));
    submit(a.handle(), &on_a).await.unwrap();
    submit(b.handle(), &on_b).await.unwrap();
    mine(a.handle(), "miner-1", 3).await;
    mine(b.handle(), "miner-2", 5).await;
    let heavier = tip(b.handle());
    a.handle().network().unwrap().add_peer(&addresses(&b)[0]).unwrap();
    until(a.handle(), "it took the heavier chain", |node| tip(node) == heavier).await;
    assert_eq!(tip(b.handle()), heavier);
    let displaced = a.handle().reader().order(&on_a.body.txid()).unwrap().unwrap();
    assert!(displaced.confirmed.is_none() && displaced.waiting.is_none(), "{displaced:?}");
    assert!(a.handle().reader().order(&on_b.body.txid()).unwrap().unwrap().confirmed.is_some());
    stop([a, b]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn between_equals_the_lower_id_wins_everywhere() {
    let genesis = network("dev-equal", |_| {});
    let a = start(&genesis, 1, Plan::default(), None).await;
    let b = start(&genesis, 2, Plan::default(), None).await;
    mine(a.handle(), "miner-1", 1).await;
    mine(b.handle(), "miner-2", 1).await;
    let lower = tip(a.handle()).min(tip(b.handle()));
    b.handle().network().unwrap().add_peer(&addresses(&a)[0]).unwrap();
    for node in [&a, &b] {
        until(node.handle(), "it has the lower id", |node| tip(node) == lower).await;
    }
    stop([a, b]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn miners_at_work_together_agree() {
    let genesis = network("dev-miners", |json| {
        json["minIntervalMs"] = 50.into();
        json["bits"] = "2000ffff".into();
    });
    let a = start(&genesis, 1, Plan::default().mining("miner-1", MiningMode::Always), None).await;
    let b = start(&genesis, 2, Plan::joining(&[&a]).mining("miner-2", MiningMode::Always), None).await;
    let c = start(&genesis, 3, Plan::joining(&[&a, &b]), None).await;
    let order = purchase(&genesis, "alice", 25, 1, 1);
    submit(c.handle(), &order).await.unwrap();
    let txid = order.body.txid();
    for node in [&a, &b, &c] {
        until_confirmed(node.handle(), &txid).await;
        until(node.handle(), "it is ten blocks on", |node| height(node) >= 10).await;
    }
    // Five blocks down they agree, whatever happens at the tip.
    let at = |node: &Node| node.handle().reader().header_at(5).unwrap().unwrap().signed.header.id();
    until(c.handle(), "the fifth block is the same", |_| at(&a) == at(&b) && at(&b) == at(&c)).await;
    stop([a, b, c]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_winner_is_refused_by_all_and_the_next_block_confirms() {
    let genesis = network("dev-invalid", |_| {});
    let nodes = three(&genesis).await;
    let order = purchase(&genesis, "alice", 25, 1, 1);
    let txid = order.body.txid();
    submit(nodes[2].handle(), &order).await.unwrap();
    for node in &nodes {
        until(node.handle(), "the order waits", |node| node.reader().waiting_order(&txid).is_some()).await;
    }
    let bad = invalid_block(nodes[0].handle()).await;
    for node in &nodes {
        let answer = node.handle().submit_block(bad.clone()).await.unwrap();
        let Submission::Judged(answer) = answer else { panic!("{answer:?}") };
        assert_eq!(answer.verdict, BlockVerdict::Refused);
        assert_eq!(answer.rule, Some(printsy_consensus::Rule::B6), "{answer:?}");
        assert!(node.handle().reader().waiting_order(&txid).is_some(), "the order still waits");
        assert_eq!(height(node.handle()), 0);
    }
    mine(nodes[1].handle(), "miner-2", 1).await;
    for node in &nodes {
        until_confirmed(node.handle(), &txid).await;
    }
    stop(nodes).await;
}

/// A block with real work and a registered miner's signature whose state root is off by a bit.
async fn invalid_block(node: &printsy_node::handle::NodeHandle) -> Vec<u8> {
    let miner = key("miner-1");
    let (_, template) = node.template(miner.public_key()).await.unwrap().unwrap();
    assert_eq!(template.transactions.len(), 1);
    let mut header = template.header;
    header.state_root.0[31] ^= 1;
    let target = Target::from_bits(header.bits).unwrap();
    while !target.is_met_by(&header.id()) {
        header.nonce += 1;
    }
    let signature = miner.sign(&block_message(&header.id()));
    let bytes = block_bytes(&SignedHeader { header, signature }, &template.transactions);
    let (params, genesis) = (node.params().clone(), node.reader().genesis().hash());
    assert!(CheckedBlock::check(&params, &genesis, bytes.clone(), &|_| None).is_ok(), "good in isolation");
    assert!(codec::decode::<printsy_consensus::Block>(&bytes).is_ok());
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_of_another_genesis_is_refused() {
    let ours = network("dev-ours", |_| {});
    let theirs = network("dev-theirs", |_| {});
    let a = start(&ours, 1, Plan::default(), None).await;
    let foreign = start(&theirs, 2, Plan::joining(&[&a]), None).await;
    mine(foreign.handle(), "miner-1", 2).await;
    let friend = start(&ours, 3, Plan::joining(&[&a]), None).await;
    mine(friend.handle(), "miner-1", 1).await;
    until(a.handle(), "the friend's block is there", |node| height(node) == 1).await;
    assert_eq!(a.handle().network().unwrap().peer_count(), 1);
    assert_eq!(foreign.handle().network().unwrap().peer_count(), 0);
    stop([a, foreign, friend]).await;
}
