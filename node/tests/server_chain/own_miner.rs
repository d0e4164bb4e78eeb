//! This node's own miner, from the outside: what it makes, when it hands it in, and what it counts.

use std::time::Duration;

use printsy_consensus::{Hash, SignedHeader, Target, block_bytes, block_message};
use printsy_ledger::Template;
use printsy_node::MiningMode;
use printsy_node::core::BlockVerdict;
use printsy_node::handle::{NodeHandle, Submission};
use serde_json::json;
use tokio::time::Instant;

use crate::server_support::{address, always_mining, get, metric, number};
use crate::support::{self, Plan, network, purchase};

#[tokio::test(flavor = "multi_thread")]
async fn every_block_found_is_counted_and_each_new_tip_is_turned_to() {
    let genesis = network("dev-mines", |json| json["bits"] = json!("1f00ffff"));
    let node = always_mining(&genesis).await;
    let orders: Vec<_> = (1..=5).map(|image| purchase(&genesis, "alice", image, 1, 1)).collect();
    for order in &orders {
        support::submit(node.handle(), order).await.unwrap();
        support::until_confirmed(node.handle(), &order.body.txid()).await;
    }
    support::until(node.handle(), "it goes on", |node| support::height(node) >= 12).await;
    let server = address(&node);
    // All of one moment, for it goes on.
    let metrics = get(server, "/metrics").await.body;
    let count = |name: &str| number(&metrics, &format!("printsy_{name}"));
    let (found, accepted) = (count("miner_blocks_total"), count("miner_blocks_accepted_total"));
    assert_eq!((count("miner_blocks_refused_total"), count("miner_blocks_stale_total")), (0.0, 0.0));
    // One may be on its way.
    assert!(
        accepted >= 11.0 && (0.0..=1.0).contains(&(found - accepted)),
        "{found} found, {accepted} accepted"
    );
    assert_eq!((count("miner_foreign_blocks_total"), count("template_faults")), (0.0, 0.0));
    let turns = count("miner_turn_seconds_count");
    assert!(turns >= 11.0, "{turns} turns");
    assert!(count("miner_stale_hashes_total") <= count("miner_hashes_total"));
    let checks = get(server, "/readyz?verbose").await.json();
    let key = checks.as_array().unwrap().iter().find(|check| check["name"] == "miningKey").unwrap();
    assert_eq!(key["ok"], true);
    node.stop().await.unwrap();
}

/// Waits until the miner of this node has found so many blocks.
async fn until_counted(node: &NodeHandle, count: u64) {
    let found = async {
        while node.metrics().found_blocks() < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(support::PATIENCE, found).await.unwrap();
}

async fn until_found(server: std::net::SocketAddr, count: f64) {
    let found = async {
        while metric(server, "printsy_miner_blocks_total").await < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(support::PATIENCE, found).await.unwrap();
}

/// H6: on this network a block is to be an hour after its parent.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_found_before_its_slot_is_handed_in_when_that_comes() {
    let genesis = network("dev-slots", |json| {
        json["targetIntervalMs"] = json!(3_600_000);
        json["minIntervalMs"] = json!(3_600_000);
        json["maxFutureMs"] = json!(3_600_000);
    });
    let node = always_mining(&genesis).await;
    let server = address(&node);
    for height in 1..=3_u32 {
        support::until(node.handle(), "its slot has come", |node| support::height(node) == u64::from(height))
            .await;
        until_found(server, f64::from(height + 1)).await;
        assert_eq!(support::height(node.handle()), u64::from(height), "the next one waits");
        let clock = node.handle().clock();
        clock.set(clock.now() + 3_600_000);
    }
    assert_eq!(metric(server, "printsy_miner_blocks_refused_total").await, 0.0);
    node.stop().await.unwrap();
}

/// Another block of this template than `above`, and with a lower id than it: between the two, it is the tip.
fn lower_sibling(template: &Template, above: &Hash) -> Vec<u8> {
    let mut header = template.header;
    let target = Target::from_bits(header.bits).unwrap();
    while !target.is_met_by(&header.id()) || header.id() >= *above {
        header.nonce += 1;
    }
    let signature = support::key("miner-2").sign(&block_message(&header.id()));
    block_bytes(&SignedHeader { header, signature }, &template.transactions)
}

/// The block that waits stands on a block that is the tip no more; it has more work than the tip, and would win.
#[tokio::test(flavor = "multi_thread")]
async fn a_sibling_of_the_parent_that_becomes_the_tip_brings_no_slot_forward() {
    let interval = 5_000;
    let genesis = network("dev-siblings", |json| {
        json["targetIntervalMs"] = json!(interval);
        json["minIntervalMs"] = json!(interval);
    });
    let elsewhere = support::start(&genesis, 2, Plan { alone: true, ..Plan::default() }, None).await;
    let other = support::key("miner-2").public_key();
    let (_, on_genesis) = elsewhere.handle().template(other).await.unwrap().unwrap();
    let node = always_mining(&genesis).await;
    let handle = node.handle();
    support::until(handle, "it mines", |node| support::height(node) == 1).await;
    let parent = *handle.reader().snapshot().tip.header.header();
    until_found(address(&node), 2.0).await;
    let sibling = lower_sibling(&on_genesis, &parent.id());
    let Submission::Judged(answer) = handle.submit_block(sibling).await.unwrap() else {
        panic!("it is sound")
    };
    assert_eq!(answer.verdict, BlockVerdict::Accepted);
    assert_ne!(support::tip(handle), parent.id());
    support::until(handle, "the slot has come", |node| support::height(node) == 2).await;
    assert!(handle.clock().now() >= parent.time + interval, "it was early");
    assert_eq!(handle.reader().snapshot().tip.header.header().parent, parent.id());
    node.stop().await.unwrap();
    elsewhere.stop().await.unwrap();
}

/// Each time somebody else's block is there first, the miner turns to it at once and finds the next, which waits again.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_waits_is_given_up_as_soon_as_another_takes_its_place() {
    let genesis = network("dev-beaten", |json| {
        json["targetIntervalMs"] = json!(3_600_000);
        json["minIntervalMs"] = json!(3_600_000);
        json["maxFutureMs"] = json!(36_000_000);
    });
    let node = always_mining(&genesis).await;
    let handle = node.handle();
    until_counted(handle, 2).await;
    let mut slowest = Duration::ZERO;
    for round in 1..=5 {
        support::mine(handle, "miner-2", 1).await;
        let since = Instant::now();
        until_counted(handle, 2 + round).await;
        slowest = slowest.max(since.elapsed());
    }
    assert!(slowest < Duration::from_millis(400), "{slowest:?}: it looked at its clock and not at the tip");
    node.stop().await.unwrap();
}

/// Its slot is an hour away. Peers would take it by then (H7), but not where this node's clock was set back meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_waits_when_the_node_stops_is_taken_where_h7_allows_and_else_told_as_lost() {
    for (set_back, kept) in [(0, true), (7_200_000, false)] {
        let genesis = network("dev-stops", |json| {
            json["targetIntervalMs"] = json!(3_600_000);
            json["minIntervalMs"] = json!(3_600_000);
            json["maxFutureMs"] = json!(3_600_000);
        });
        let folder = tempfile::tempdir().unwrap();
        let alone = Plan { alone: true, ..Plan::default() };
        let mining = alone.clone().mining("miner-1", MiningMode::Always);
        let node = support::start(&genesis, 1, mining, Some(folder.path())).await;
        // Not its handle: that holds the datadir.
        let metrics = node.handle().metrics().clone();
        until_counted(node.handle(), 2).await;
        assert_eq!(support::height(node.handle()), 1, "the second waits");
        let clock = node.handle().clock();
        clock.set(clock.now() - set_back);
        node.stop().await.unwrap();
        assert_eq!(metrics.lost_blocks(), u64::from(!kept));
        let node = support::start(&genesis, 1, alone, Some(folder.path())).await;
        assert_eq!(support::height(node.handle()), 1 + u64::from(kept));
        node.stop().await.unwrap();
    }
}

/// A node whose clock is late by far makes blocks all the same: it waits for the interval, and not for its clock.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_clock_does_not_keep_a_block_longer_than_the_interval() {
    let genesis = network("dev-late", |json| json["minIntervalMs"] = json!(50));
    let node = always_mining(&genesis).await;
    support::until(node.handle(), "it mines", |node| support::height(node) >= 1).await;
    let clock = node.handle().clock();
    clock.set(clock.now() - 300_000);
    let height = support::height(node.handle());
    support::until(node.handle(), "it goes on", |node| support::height(node) >= height + 3).await;
    node.stop().await.unwrap();
}
