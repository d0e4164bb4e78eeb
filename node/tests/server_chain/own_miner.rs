//! This node's own miner, from the outside: what it makes, when it hands it in, and what it counts.

use serde_json::json;

use crate::server_support::{address, always_mining, get, metric, number};
use crate::support::{self, network, purchase};

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
