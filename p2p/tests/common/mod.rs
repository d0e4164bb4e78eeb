//! What the tests of the network share: nodes on loopback, and waiting for what they say.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::future::Future;
use std::time::Duration;

use printsy_consensus::{Hash, SignedHeader};
use printsy_p2p::{Config, Event, Limits, Network, PeerKey, Status, start};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Long enough for a loaded machine; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const GENESIS: Hash = Hash([0xab; 32]);
pub const MAX_BLOCK_BYTES: u32 = 65_536;

pub struct Node {
    pub network: Network,
    pub events: mpsc::Receiver<Event>,
    registry: Registry,
}

/// A node that listens on loopback and knows nobody.
pub fn config(seed: u8) -> Config {
    Config {
        genesis: GENESIS,
        node_key: [seed; 32],
        listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()],
        bootnodes: Vec::new(),
        known_peers: Vec::new(),
        agent: format!("test/{seed}"),
        limits: Limits::default(),
        max_block_bytes: MAX_BLOCK_BYTES,
    }
}

pub async fn node(config: Config) -> Node {
    let mut registry = Registry::default();
    let (network, events) = start(config, &mut registry).await.unwrap();
    Node { network, events, registry }
}

/// A node that dials `others` and cannot be dialled.
pub async fn dialler(seed: u8, others: &[&Node]) -> Node {
    let bootnodes = others.iter().map(|other| other.address()).collect();
    node(Config { listen: Vec::new(), bootnodes, ..config(seed) }).await
}

impl Node {
    pub fn address(&self) -> String {
        self.network.listen_addresses()[0].clone()
    }

    pub async fn next(&mut self) -> Event {
        patiently("an event", self.events.recv()).await.expect("the network runs")
    }

    /// The next event that `pick` takes; others are let go.
    pub async fn until<T>(&mut self, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        loop {
            if let Some(picked) = pick(self.next().await) {
                return picked;
            }
        }
    }

    pub async fn connected(&mut self) -> PeerKey {
        self.until(|event| match event {
            Event::Connected { peer, .. } => Some(peer),
            _ => None,
        })
        .await
    }

    pub async fn disconnected(&mut self) -> PeerKey {
        self.until(|event| match event {
            Event::Disconnected { peer } => Some(peer),
            _ => None,
        })
        .await
    }

    /// The value of one line of the metrics, or none if there is no such line.
    pub fn metric(&self, name: &str) -> Option<u64> {
        self.metrics(name).first().copied()
    }

    /// The values of all lines of the metrics that begin so.
    pub fn metrics(&self, name: &str) -> Vec<u64> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry).unwrap();
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect()
    }
}

pub async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// Waits for something that no event tells.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    patiently(what, async {
        let mut look = tokio::time::interval(Duration::from_millis(20));
        while !holds() {
            look.tick().await;
        }
    })
    .await;
}

pub fn status(height: u64) -> Status {
    Status { genesis: GENESIS, tip: Hash([1; 32]), height, work: [2; 32], final_height: 0 }
}

pub fn header(byte: u8) -> SignedHeader {
    SignedHeader::from_bytes(&[byte; SignedHeader::LEN])
}
