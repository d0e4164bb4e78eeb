//! The node's metrics, in libp2p's own registry: `printsy_<area>_<what>_<unit>`.
//!
//! Counters and gauges only; who writes them says so by a method here, so that every name stands in this file.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type Level = Gauge<u64, AtomicU64>;

/// Handles to the metrics. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    height: Level,
    final_height: Level,
    best_height: Level,
    blocks_connected: Counter,
    blocks_disconnected: Counter,
    blocks_refused: Counter,
    reorganisations: Counter,
    alarms: Counter,
    conflicts: Level,
    newer: Level,
    disk_free: Level,
    mempool_transactions: Level,
    mempool_bytes: Level,
    orders_admitted: Counter,
    orders_refused: Counter,
    templates: Counter,
    template_transactions: Level,
    template_orders: Level,
    index_lag: Level,
    headers: Level,
    rpc_calls: Counter,
    rpc_errors: Counter,
    rpc_waiting: Level,
    miner_hashes: Counter,
    miner_blocks: Counter,
}

impl Metrics {
    /// New metrics, registered under the prefix `printsy`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("printsy");
        metrics.register_chain(registry);
        metrics.register_orders(registry);
        let m = &metrics;
        registry.register(
            "ledger_index_lag_rows",
            "Rows the index is behind the journal",
            m.index_lag.clone(),
        );
        registry.register("ledger_headers", "Headers in the header tree", m.headers.clone());
        let free = m.disk_free.clone();
        registry.register("disk_free_bytes", "Bytes free for this node on the datadir's file system", free);
        registry.register("rpc_calls", "Calls answered, of any outcome", m.rpc_calls.clone());
        registry.register("rpc_errors", "Calls answered with an error", m.rpc_errors.clone());
        let waiting = m.rpc_waiting.clone();
        registry.register("rpc_waiting", "Calls that wait for what becomes of an order", waiting);
        registry.register("miner_hashes", "Nonces tried by this node's own miner", m.miner_hashes.clone());
        registry.register("miner_blocks", "Blocks found by this node's own miner", m.miner_blocks.clone());
        metrics
    }

    fn register_chain(&self, registry: &mut Registry) {
        registry.register("chain_height", "Height of the tip", self.height.clone());
        registry.register("chain_final_height", "Height of the last final block", self.final_height.clone());
        let best = self.best_height.clone();
        registry.register("sync_best_height", "Height to sync to: the tip's where the node is synced", best);
        let connected = self.blocks_connected.clone();
        registry.register("chain_blocks_connected", "Blocks that joined the chain", connected);
        let disconnected = self.blocks_disconnected.clone();
        registry.register("chain_blocks_disconnected", "Blocks that left the chain", disconnected);
        let refused = self.blocks_refused.clone();
        registry.register("chain_blocks_refused", "Blocks that broke a rule in context", refused);
        let alarms = self.alarms.clone();
        registry.register(
            "chain_alarms",
            "Alarms raised: a peer's chain leaves a final block, or follows newer rules",
            alarms,
        );
        let conflicts = self.conflicts.clone();
        registry.register(
            "chain_conflicts",
            "Peers now whose chain leaves a final block and has more work, by proof",
            conflicts,
        );
        let newer = self.newer.clone();
        registry.register(
            "chain_newer_peers",
            "Peers now that follow rules newer than this program's",
            newer,
        );
        registry.register(
            "chain_reorganisations",
            "Moves that left blocks behind",
            self.reorganisations.clone(),
        );
    }

    fn register_orders(&self, registry: &mut Registry) {
        let waiting = self.mempool_transactions.clone();
        registry.register("mempool_transactions", "Orders that wait", waiting);
        registry.register("mempool_bytes", "Bytes of the orders that wait", self.mempool_bytes.clone());
        let admitted = self.orders_admitted.clone();
        registry.register("mempool_admitted", "Orders admitted, or known already", admitted);
        registry.register("mempool_refused", "Orders refused in context", self.orders_refused.clone());
        registry.register("template_made", "Block templates made", self.templates.clone());
        let last = self.template_transactions.clone();
        registry.register("template_transactions", "Orders in the last template made", last);
        let ever = self.template_orders.clone();
        registry.register("template_orders", "Orders put into the template of a tip, since the start", ever);
    }

    /// Where the chain stands.
    pub fn chain(&self, height: u64, final_height: u64) {
        self.height.set(height);
        self.final_height.set(final_height);
    }

    /// How high the chain is that the node follows or syncs to.
    pub fn sync(&self, best_height: u64) {
        self.best_height.set(best_height);
    }

    /// What waits.
    pub fn mempool(&self, transactions: usize, bytes: usize) {
        self.mempool_transactions.set(transactions as u64);
        self.mempool_bytes.set(bytes as u64);
    }

    /// How the ledger does.
    pub fn ledger(&self, index_lag: usize, headers: usize) {
        self.index_lag.set(index_lag as u64);
        self.headers.set(headers as u64);
    }

    /// The tip moved.
    pub fn tip_moved(&self, connected: usize, disconnected: usize) {
        self.blocks_connected.inc_by(connected as u64);
        self.blocks_disconnected.inc_by(disconnected as u64);
        if disconnected > 0 {
            self.reorganisations.inc();
        }
    }

    /// A peer's chain leaves a final block of ours, or follows newer rules.
    pub fn alarm(&self) {
        self.alarms.inc();
    }

    /// The alarms that stand.
    pub fn standing(&self, conflicts: usize, newer: usize) {
        self.conflicts.set(conflicts as u64);
        self.newer.set(newer as u64);
    }

    /// What is free on the datadir's file system, in bytes.
    pub fn disk(&self, free_bytes: u64) {
        self.disk_free.set(free_bytes);
    }

    /// A block broke a rule.
    pub fn block_refused(&self) {
        self.blocks_refused.inc();
    }

    /// An order was admitted.
    pub fn order_admitted(&self) {
        self.orders_admitted.inc();
    }

    /// An order was refused.
    pub fn order_refused(&self) {
        self.orders_refused.inc();
    }

    /// A template was made.
    pub fn template(&self, transactions: usize) {
        self.templates.inc();
        self.template_transactions.set(transactions as u64);
    }

    /// How many orders were put into templates since the start.
    pub fn templated(&self, orders: u64) {
        self.template_orders.set(orders);
    }

    /// A call was answered.
    pub fn rpc_call(&self, failed: bool) {
        self.rpc_calls.inc();
        if failed {
            self.rpc_errors.inc();
        }
    }

    /// A call waits for an order, until what this gives is dropped.
    pub fn rpc_waits(&self) -> RpcWait {
        self.rpc_waiting.inc();
        RpcWait(self.rpc_waiting.clone())
    }

    /// This node's miner tried nonces.
    pub fn hashes(&self, count: u64) {
        self.miner_hashes.inc_by(count);
    }

    /// This node's miner found a block.
    pub fn block_found(&self) {
        self.miner_blocks.inc();
    }
}

/// A call that waits for an order, counted until this is dropped.
#[derive(Debug)]
pub struct RpcWait(Level);

impl Drop for RpcWait {
    fn drop(&mut self) {
        self.0.dec();
    }
}
