//! What the tests of running nodes share: an easy network, nodes on loopback with real sockets, orders.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use printsy_consensus::{Action, Body, Genesis, Hash, Line, SecretKey, Transaction, codec};
use printsy_ledger::Admitted;
use printsy_node::clock::Clock;
use printsy_node::handle::{NodeHandle, Refusal};
use printsy_node::node::{MiningOptions, Node, NodeOptions};
use printsy_node::storage::Storage;
use printsy_node::{MiningMode, OnConflict};
use printsy_p2p::Limits;

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The well-known development key of a name.
pub fn key(name: &str) -> SecretKey {
    SecretKey::development(name)
}

/// An easy network whose difficulty stays where it is, unless `change` says otherwise.
pub fn network(name: &str, change: impl FnOnce(&mut serde_json::Value)) -> Arc<Genesis> {
    let address = |name: &str| key(name).public_key().to_string();
    let miners: Vec<_> = (1..=3)
        .map(|n| serde_json::json!({ "key": address(&format!("miner-{n}")), "name": format!("miner {n}") }))
        .collect();
    let mut json = serde_json::json!({
        "network": name, "time": 1_790_000_000_000_u64,
        "maxImages": 1_000_000, "maxEditions": 3, "maxPerAccount": 0,
        "catalogue": "open", "admission": "open",
        "targetIntervalMs": 1000, "minIntervalMs": 1, "halfLifeMs": 1_u64 << 40, "bits": "207fffff",
        "finalityDepth": 100, "maxValidity": 300, "maxBlockBytes": 4_194_304,
        "maxPerSender": 0, "minerSpacing": 0, "maxFutureMs": 600_000,
        "registrars": [address("registrar")], "issuers": [address("issuer")], "miners": miners,
    });
    change(&mut json);
    Arc::new(Genesis::from_json(&json.to_string()).unwrap())
}

/// What a node of a test is.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Addresses of peers to join.
    pub bootnodes: Vec<String>,
    /// The development key it mines with, and when.
    pub mines: Option<(&'static str, MiningMode)>,
    /// Whether it has no network at all.
    pub alone: bool,
}

impl Plan {
    /// A node that joins these peers.
    pub fn joining(nodes: &[&Node]) -> Self {
        Self { bootnodes: nodes.iter().flat_map(|node| addresses(node)).collect(), ..Self::default() }
    }

    /// The same, mining.
    pub fn mining(mut self, key: &'static str, mode: MiningMode) -> Self {
        self.mines = Some((key, mode));
        self
    }
}

/// Starts a node on loopback; in memory, or in a folder.
pub async fn start(genesis: &Arc<Genesis>, seed: u8, plan: Plan, folder: Option<&Path>) -> Node {
    let network = printsy_p2p::Config {
        genesis: genesis.hash(),
        node_key: [seed; 32],
        listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()],
        bootnodes: plan.bootnodes,
        known_peers: Vec::new(),
        agent: "printsy-test".to_owned(),
        limits: Limits::default(),
        max_block_bytes: genesis.params().max_block_bytes,
    };
    let mining = plan.mines.map(|(name, mode)| MiningOptions {
        key: key(name),
        threads: 1,
        kernel: None,
        mode,
        wait_for_peer: false,
    });
    let options = NodeOptions {
        genesis: genesis.clone(),
        storage: folder.map_or(Storage::Memory, |folder| Storage::Datadir(folder.to_owned())),
        network: (!plan.alone).then_some(network),
        mining,
        server: None,
        clock: Clock::default(),
        guard: None,
        on_conflict: OnConflict::Stay,
    };
    Node::start(options).await.unwrap()
}

/// Where a node listens.
pub fn addresses(node: &Node) -> Vec<String> {
    node.handle().network().map(|network| network.listen_addresses()).unwrap_or_default()
}

/// A signed purchase of one image.
pub fn purchase(genesis: &Genesis, buyer: &str, image: u64, quantity: u32, reference: u8) -> Transaction {
    let lines = vec![Line { image, quantity }].try_into().unwrap();
    sign(genesis, buyer, Action::Purchase { lines, total: 0 }, reference)
}

/// A signed purchase of one image that expires at a height.
pub fn expiring(genesis: &Genesis, buyer: &str, image: u64, quantity: u32, expires_at: u64) -> Transaction {
    let mut order = purchase(genesis, buyer, image, quantity, 1);
    order.body.expires_at = expires_at;
    order.body.sign(&genesis.hash(), &key(buyer))
}

/// Signs an action with a development key.
pub fn sign(genesis: &Genesis, sender: &str, action: Action, reference: u8) -> Transaction {
    let key = key(sender);
    Body { sender: key.public_key(), reference: [reference; 16], expires_at: 290, action }
        .sign(&genesis.hash(), &key)
}

/// Hands an order to a node, as its RPC does.
pub async fn submit(node: &NodeHandle, order: &Transaction) -> Result<Admitted, Refusal> {
    let checked = node.check_order(codec::encode(order)).await?;
    node.submit_order(checked).await
}

/// Waits until something holds of a node, looking at it each time its tip, its mempool or its peers change.
pub async fn until(node: &NodeHandle, what: &str, holds: impl Fn(&NodeHandle) -> bool) {
    let mut changes = node.changes();
    let wait = async {
        while !holds(node) {
            changes.changed().await.unwrap();
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "waited in vain until {what}");
}

/// Waits until an order is confirmed on a node.
pub async fn until_confirmed(node: &NodeHandle, txid: &Hash) {
    until(node, "the order is confirmed", |node| {
        node.reader().order(txid).unwrap().is_some_and(|order| order.confirmed.is_some())
    })
    .await;
}

/// The node's tip.
pub fn tip(node: &NodeHandle) -> Hash {
    node.reader().snapshot().tip.id()
}

/// The node's height.
pub fn height(node: &NodeHandle) -> u64 {
    node.reader().snapshot().tip.height()
}

/// Mines blocks on a node with a development key, whatever waits there in them.
pub async fn mine(node: &NodeHandle, miner: &str, count: usize) {
    use printsy_node::core::BlockVerdict;
    use printsy_node::handle::Submission;
    let secret = key(miner);
    for _ in 0..count {
        let (id, template) = node.template(secret.public_key()).await.unwrap().unwrap();
        let mut header = template.header;
        let target = printsy_consensus::Target::from_bits(header.bits).unwrap();
        while !target.is_met_by(&header.id()) {
            header.nonce += 1;
        }
        let signature = secret.sign(&printsy_consensus::block_message(&header.id()));
        match node.submit_template(&id, header.nonce, signature).await.unwrap() {
            Submission::Judged(answer) => assert_eq!(answer.verdict, BlockVerdict::Accepted, "{answer:?}"),
            other @ Submission::Unchecked { .. } => panic!("{other:?}"),
        }
    }
}
