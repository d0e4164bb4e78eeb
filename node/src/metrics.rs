//! The node's metrics, in libp2p's own registry: `printsy_<area>_<what>_<unit>`.
//!
//! Counters, gauges and one histogram; who writes them says so by a method here, so that every name stands in this file.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
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
    beyond_room: Level,
    disk_free: Level,
    mempool_transactions: Level,
    mempool_bytes: Level,
    orders_admitted: Counter,
    orders_refused: Counter,
    templates: Counter,
    template_transactions: Level,
    template_orders: Level,
    template_faults: Level,
    index_lag: Level,
    headers: Level,
    rpc_calls: Counter,
    rpc_errors: Counter,
    rpc_waiting: Level,
    rpc_subscriptions: Level,
    rpc_slow_readers: Counter,
    miner_hashes: Counter,
    miner_blocks: Counter,
    miner_accepted: Counter,
    miner_stale: Counter,
    miner_refused: Counter,
    miner_lost: Counter,
    miner_foreign: Counter,
    miner_stale_hashes: Counter,
    miner_turn: Turns,
}

/// What becomes of a block of this node's own miner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mined {
    /// It was found.
    Found,
    /// It is on the chain.
    Accepted,
    /// Another was there before it.
    Stale,
    /// It broke a rule.
    Refused,
    /// The node stopped before it could be submitted.
    Lost,
}

/// How long new tips waited for their first hash, in seconds.
#[derive(Clone, Debug)]
struct Turns(Histogram);

impl Default for Turns {
    fn default() -> Self {
        Self(Histogram::new([0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0]))
    }
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
        let open = m.rpc_subscriptions.clone();
        registry.register("rpc_subscriptions", "Subscriptions now", open);
        let slow = m.rpc_slow_readers.clone();
        registry.register("rpc_slow_readers", "Subscriptions ended because their reader was too slow", slow);
        metrics.register_miner(registry);
        metrics
    }

    fn register_miner(&self, registry: &mut Registry) {
        let counters = [
            ("miner_hashes", "Nonces tried by this node's own miner", &self.miner_hashes),
            (
                "miner_stale_hashes",
                "About how many of them when the tip was another",
                &self.miner_stale_hashes,
            ),
            ("miner_blocks", "Blocks found by this node's own miner", &self.miner_blocks),
            ("miner_blocks_accepted", "Those on the chain when they were submitted", &self.miner_accepted),
            ("miner_blocks_stale", "Those that came too late", &self.miner_stale),
            ("miner_blocks_refused", "Those that broke a rule: mistakes of this node", &self.miner_refused),
            ("miner_blocks_lost", "Those that the node stopped too soon for", &self.miner_lost),
            ("miner_foreign_blocks", "Blocks by this node's key that it did not make", &self.miner_foreign),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        let turn = self.miner_turn.0.clone();
        registry.register("miner_turn_seconds", "How long new tips waited for their first hash", turn);
    }

    fn register_chain(&self, registry: &mut Registry) {
        registry.register("chain_height", "Height of the tip", self.height.clone());
        registry.register("chain_final_height", "Height of the last final block", self.final_height.clone());
        let best = self.best_height.clone();
        registry.register(
            "sync_best_height",
            "Height of the header of most work, with its block or without",
            best,
        );
        let connected = self.blocks_connected.clone();
        registry.register("chain_blocks_connected", "Blocks that joined the chain", connected);
        let disconnected = self.blocks_disconnected.clone();
        registry.register("chain_blocks_disconnected", "Blocks that left the chain", disconnected);
        let refused = self.blocks_refused.clone();
        registry.register("chain_blocks_refused", "Blocks that broke a rule in context", refused);
        let alarms = self.alarms.clone();
        registry.register(
            "chain_alarms",
            "Alarms raised: a peer's chain leaves a final block, follows newer rules, or does not fit into memory",
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
        let beyond_room = self.beyond_room.clone();
        registry.register(
            "chain_beyond_room",
            "Whether a branch of more work is not followed because its blocks do not fit into memory",
            beyond_room,
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
        let faults = self.template_faults.clone();
        registry.register(
            "template_faults",
            "Templates made that broke a rule: mistakes of this node",
            faults,
        );
    }

    /// Where the chain stands.
    pub fn chain(&self, height: u64, final_height: u64) {
        self.height.set(height);
        self.final_height.set(final_height);
    }

    /// How high the header of most work is.
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

    /// A peer's chain leaves a final block of ours, follows newer rules, or does not fit into memory.
    pub fn alarm(&self) {
        self.alarms.inc();
    }

    /// The alarms that stand.
    pub fn standing(&self, conflicts: usize, newer: usize, beyond_room: usize) {
        self.conflicts.set(conflicts as u64);
        self.newer.set(newer as u64);
        self.beyond_room.set(beyond_room as u64);
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

    /// How many orders were put into templates since the start, and how many templates broke a rule.
    pub fn templated(&self, orders: u64, faults: u64) {
        self.template_orders.set(orders);
        self.template_faults.set(faults);
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

    /// A subscription began.
    pub fn subscribed(&self) {
        self.rpc_subscriptions.inc();
    }

    /// A subscription ended.
    pub fn unsubscribed(&self) {
        self.rpc_subscriptions.dec();
    }

    /// How many subscriptions ended because their reader was too slow.
    #[must_use]
    pub fn slow_readers(&self) -> u64 {
        self.rpc_slow_readers.get()
    }

    /// A subscription's reader was too slow.
    pub fn slow_reader(&self) {
        self.rpc_slow_readers.inc();
    }

    /// This node's miner tried nonces, some of them when the tip was another.
    pub fn hashes(&self, count: u64, stale: u64) {
        self.miner_hashes.inc_by(count);
        self.miner_stale_hashes.inc_by(stale);
    }

    /// This node's miner began to search on a new tip, so long after it was the tip.
    pub fn turned(&self, after: Duration) {
        self.miner_turn.0.observe(after.as_secs_f64());
    }

    /// A block of this node's miner.
    pub fn mined(&self, block: Mined) {
        match block {
            Mined::Found => self.miner_blocks.inc(),
            Mined::Accepted => self.miner_accepted.inc(),
            Mined::Stale => self.miner_stale.inc(),
            Mined::Refused => self.miner_refused.inc(),
            Mined::Lost => self.miner_lost.inc(),
        };
    }

    /// How many blocks this node's own miner has found.
    #[must_use]
    pub fn found_blocks(&self) -> u64 {
        self.miner_blocks.get()
    }

    /// How many blocks of this node's own miner were lost because it stopped.
    #[must_use]
    pub fn lost_blocks(&self) -> u64 {
        self.miner_lost.get()
    }

    /// A block by this node's mining key that it did not make.
    pub fn foreign_block(&self) {
        self.miner_foreign.inc();
    }

    /// How many blocks by this node's mining key it did not make.
    #[must_use]
    pub fn foreign_blocks(&self) -> u64 {
        self.miner_foreign.get()
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
