//! A running node, put together from its parts: what the daemon and the tests start and stop.
//!
//! The order of starting is the order of dependence: ledger, network, servers, core, miner. The order of stopping is
//! that of promises: servers first, so that whoever waits is answered, and the core last.

use std::sync::Arc;
use std::time::Duration;

use printsy_consensus::{Genesis, SecretKey};
use printsy_ledger::store::{Missing, StoreError};
use printsy_ledger::{LedgerError, OpenReport};
use printsy_miner::{Kernel, Miner};
use printsy_p2p::Network;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::clock::Clock;
use crate::core::{Conflict, Core, Event};
use crate::driver::{
    CoreThread, EVENT_QUEUE, Mining, MiningMode, OnConflict, run_disk, run_network, spawn_core, spawn_miner,
};
use crate::guard::{DatadirLost, DiskGuard};
use crate::handle::NodeHandle;
use crate::metrics::Metrics;
use crate::server::{Server, ServerError, ServerOptions, serve};
use crate::storage::{self, Storage};

/// How often the core is told that time passed.
const TICK: Duration = Duration::from_millis(200);
/// How long a task may take to end once the node has stopped.
const TASK_PATIENCE: Duration = Duration::from_secs(3);

/// How a node mines.
#[derive(Clone, Debug)]
pub struct MiningOptions {
    /// The key that signs its blocks.
    pub key: SecretKey,
    /// How many threads search.
    pub threads: usize,
    /// What they search with; the fastest where none is said.
    pub kernel: Option<Kernel>,
    /// When it mines.
    pub mode: MiningMode,
    /// Whether it waits for its first peer before it mines.
    pub wait_for_peer: bool,
}

/// All that a node is started with.
pub struct NodeOptions {
    /// The network's genesis.
    pub genesis: Arc<Genesis>,
    /// Where it keeps its ledger.
    pub storage: Storage,
    /// The network it joins; none for a node that runs alone.
    pub network: Option<printsy_p2p::Config>,
    /// How it mines, if it does.
    pub mining: Option<MiningOptions>,
    /// The servers it offers, if any.
    pub server: Option<ServerOptions>,
    /// Its clock.
    pub clock: Clock,
    /// Looks after the datadir, if there is one.
    pub guard: Option<DiskGuard>,
    /// What it does about a heavier chain that leaves what is final here.
    pub on_conflict: OnConflict,
}

/// Why a node does not start, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The ledger's trouble.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The network's trouble.
    #[error(transparent)]
    Network(#[from] printsy_p2p::Error),
    /// The miner's trouble.
    #[error(transparent)]
    Miner(#[from] printsy_miner::Error),
    /// The server's trouble.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The datadir is gone, or takes no writes.
    #[error(transparent)]
    Datadir(#[from] DatadirLost),
    /// A peer has a heavier chain that leaves what is final here, and the node was told to end then.
    #[error("{0}")]
    Conflict(Conflict),
    /// A driver's task ended while the node ran.
    #[error("a part of the node panicked; it stops")]
    Task,
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl From<StoreError> for NodeError {
    fn from(error: StoreError) -> Self {
        Self::Ledger(error.into())
    }
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    handle: NodeHandle,
    core: CoreThread,
    server: Option<Server>,
    tasks: Vec<JoinHandle<()>>,
    miner: Option<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    opened: OpenReport,
}

impl Node {
    /// Starts a node: the ledger first, then the network, the servers, the miner.
    ///
    /// # Errors
    /// [`NodeError`]; whatever was started is stopped again.
    pub async fn start(options: NodeOptions) -> Result<Self, NodeError> {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let missing = match &options.network {
            Some(network) if network.knows_peers() => Missing::Fetch,
            _ => Missing::Refuse,
        };
        let (ledger, opened) = storage::open(options.genesis, &options.storage, missing)?;
        let (network, network_events) = match options.network {
            Some(config) => {
                let (network, events) = printsy_p2p::start(config, &mut registry).await?;
                (Some(network), Some(events))
            }
            None => (None, None),
        };
        let (events, queue) = mpsc::channel(EVENT_QUEUE);
        let handle =
            NodeHandle::new(ledger.reader(), options.clock, metrics.clone(), network.clone(), events);
        let mut core = Core::new(ledger, metrics);
        if let Some(mining) = &options.mining {
            let key = mining.key.public_key();
            core.watch_key(key, handle.clock().now());
            handle.mines_with(key);
        }
        // Before anybody can ask: a node in the midst of a repair is not ready.
        handle.show(&core);
        let server = match options.server {
            Some(options) => Some(
                serve(options, handle.clone(), Arc::new(registry))
                    .await
                    .inspect_err(|_| network.iter().for_each(Network::shutdown))?,
            ),
            None => None,
        };
        let core = spawn_core(core, queue, handle.clone(), options.on_conflict).map_err(NodeError::Thread)?;
        let (stop, stopping) = watch::channel(false);
        let mut tasks = vec![tokio::spawn(tick(handle.clone()))];
        if let Some(guard) = options.guard {
            tasks.push(tokio::spawn(run_disk(handle.clone(), guard, stopping.clone())));
        }
        if let Some(events) = network_events {
            tasks.push(tokio::spawn(run_network(handle.clone(), events)));
        }
        let mut node = Self { handle, core, server, tasks, miner: None, stop, opened };
        if let Some(mining) = options.mining {
            node.start_mining(mining, stopping)?;
        }
        Ok(node)
    }

    fn start_mining(
        &mut self,
        options: MiningOptions,
        stopping: watch::Receiver<bool>,
    ) -> Result<(), NodeError> {
        let miner = match options.kernel {
            Some(kernel) => Miner::with_kernel(options.threads, kernel)?,
            None => Miner::new(options.threads)?,
        };
        for error in miner.skipped() {
            tracing::warn!(%error, "a faster kernel is not used: this processor is not to be trusted");
        }
        let mining =
            Mining { key: options.key, miner, mode: options.mode, wait_for_peer: options.wait_for_peer };
        self.miner = Some(spawn_miner(self.handle.clone(), mining, stopping));
        Ok(())
    }

    /// What servers and tests hold of it.
    #[must_use]
    pub fn handle(&self) -> &NodeHandle {
        &self.handle
    }

    /// Its servers.
    #[must_use]
    pub fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    /// What opening the ledger found.
    #[must_use]
    pub fn opened(&self) -> &OpenReport {
        &self.opened
    }

    /// Waits until the node cannot go on.
    ///
    /// # Errors
    /// Always: why.
    pub async fn failed(&mut self) -> Result<(), NodeError> {
        let network = self.handle.network().cloned();
        let network = async move {
            match network {
                Some(network) => network.closed().await,
                None => std::future::pending().await,
            }
        };
        let server = async {
            match &mut self.server {
                Some(server) => server.ended().await,
                None => std::future::pending().await,
            }
        };
        let miner = async {
            match &mut self.miner {
                Some(miner) => drop(miner.await),
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            () = server => return Err(NodeError::Task),
            result = self.core.ended() => return result,
            result = network => return Ok(result?),
            () = miner => None,
            (_, ended, _) = futures::future::select_all(&mut self.tasks) => Some(ended),
        };
        // It is not waited for again.
        match ended {
            Some(ended) => drop(self.tasks.swap_remove(ended)),
            None => self.miner = None,
        }
        if self.handle.is_stopping() {
            // The core is gone, and the tasks with it: it knows why.
            return self.core.ended().await;
        }
        // A task that ends while the node runs has panicked, and has said so.
        Err(NodeError::Task)
    }

    /// Stops the node: servers first, so that whoever waits is answered; then the miner, the network, and last
    /// the core, which writes the checkpoint.
    ///
    /// # Errors
    /// Where the last write fails; nothing is lost, the next start catches up from the journal.
    pub async fn stop(mut self) -> Result<(), NodeError> {
        self.stop.send_replace(true);
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
        // What it found goes on the chain first, and to the peers.
        if let Some(miner) = self.miner.take() {
            end(miner).await;
        }
        if let Some(network) = self.handle.network() {
            network.shutdown();
            if let Err(error) = network.closed().await {
                tracing::warn!(%error, "the network did not end well");
            }
        }
        // Where the core is gone already, there is nobody to tell.
        let _ = self.handle.send(Event::Stop).await;
        let result = self.core.ended().await;
        self.core.join();
        // Each of them ends by itself now; what they hold of the ledger is let go before this returns.
        for task in self.tasks {
            end(task).await;
        }
        result
    }
}

/// Waits for a task that ends by itself now, but not for ever.
async fn end(mut task: JoinHandle<()>) {
    if timeout(TASK_PATIENCE, &mut task).await.is_err() {
        tracing::warn!("a task did not end in time");
        task.abort();
    }
}

async fn tick(node: NodeHandle) {
    let mut interval = interval(TICK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        if node.send(Event::Tick).await.is_none() {
            return;
        }
    }
}
