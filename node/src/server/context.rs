//! What the methods share: the node, what the server may do, and the two events that end a wait.
//!
//! Waiters look again at each new tip and not at each change of the mempool: an order that waits leaves the
//! mempool only when the tip moves. One task watches the node for all of them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use printsy_consensus::{Hash, SecretKey};
use printsy_ledger::{LedgerError, Reader};
use printsy_rpc::RpcError;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::ServerOptions;
use super::access::{Access, Places};
use super::admin::Generator;
use super::errors;
use super::large::Large;
use super::limits::{
    LARGE_ANSWERS_KIB, LARGE_READS_AT_ONCE, MAX_SUBSCRIPTIONS, MAX_WATCHED_IMAGES_IN_ALL, PROOFS_AT_ONCE,
    READS_AT_ONCE, SMALL_ANSWER_BYTES, SUBSCRIPTIONS_PER_ADDRESS,
};
use crate::handle::NodeHandle;
use crate::logging::LogControl;

/// What the methods share.
pub(super) struct Context {
    pub(super) node: NodeHandle,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) generator: Option<Generator>,
    pub(super) expects_peers: bool,
    /// Places for subscriptions, of all sessions together.
    pub(super) subscriptions: Arc<Semaphore>,
    /// The same of each address.
    pub(super) subscriptions_of_address: Arc<Places>,
    /// Places for images that subscriptions watch, of all together.
    pub(super) watched_images: Arc<Semaphore>,
    /// How long a notification waits for its reader.
    pub(super) reader_patience: Duration,
    pub(super) access: Arc<Access>,
    pub(super) logs: Option<LogControl>,
    /// Places for proofs that are being made.
    pub(super) proofs: Arc<Semaphore>,
    /// Places for large answers and notifications that are on their way.
    pub(super) answers: Large,
    /// Places for reads.
    reads: Arc<Semaphore>,
    /// Places for answers that are made from many blocks.
    pub(super) large_reads: Arc<Semaphore>,
    tips: watch::Sender<Hash>,
    /// The last trouble with the storage that was logged: the same is not logged at every call.
    trouble: Mutex<String>,
    /// When the present sync was first seen, and the height then.
    sync_began: Mutex<Option<(Instant, u64)>>,
}

impl Context {
    pub(super) fn new(
        node: NodeHandle,
        options: &ServerOptions,
        access: Arc<Access>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let tip = node.reader().snapshot().tip.id();
        Self {
            node,
            stopping,
            generator: options.generate_key.clone().map(|key: SecretKey| Generator::new(key)),
            expects_peers: options.expects_peers,
            subscriptions: Arc::new(Semaphore::new(MAX_SUBSCRIPTIONS)),
            subscriptions_of_address: Places::new(SUBSCRIPTIONS_PER_ADDRESS),
            watched_images: Arc::new(Semaphore::new(MAX_WATCHED_IMAGES_IN_ALL)),
            reader_patience: options.reader_patience,
            access,
            logs: options.logs.clone(),
            proofs: Arc::new(Semaphore::new(PROOFS_AT_ONCE)),
            answers: Large::new(LARGE_ANSWERS_KIB, SMALL_ANSWER_BYTES),
            reads: Arc::new(Semaphore::new(READS_AT_ONCE)),
            large_reads: Arc::new(Semaphore::new(LARGE_READS_AT_ONCE)),
            tips: watch::Sender::new(tip),
            trouble: Mutex::default(),
            sync_began: Mutex::default(),
        }
    }

    /// The tips to come.
    pub(super) fn tips(&self) -> watch::Receiver<Hash> {
        self.tips.subscribe()
    }

    /// Passes each new tip on, for as long as the node changes.
    pub(super) async fn follow_tip(&self) {
        let mut changes = self.node.changes();
        loop {
            let tip = self.node.reader().snapshot().tip.id();
            self.tips.send_if_modified(|shown| std::mem::replace(shown, tip) != tip);
            self.watch_sync();
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Notes when a sync begins and that it ended.
    fn watch_sync(&self) {
        let mut began = self.sync_began.lock();
        if !self.node.sync_state().is_syncing() {
            *began = None;
        } else if began.is_none() {
            *began = Some((Instant::now(), self.node.reader().snapshot().tip.height()));
        }
    }

    /// How many blocks a second were connected since the present sync began.
    pub(super) fn sync_rate(&self, height: u64) -> Option<f64> {
        let (at, from) = (*self.sync_began.lock())?;
        let connected = u32::try_from(height.saturating_sub(from)).unwrap_or(u32::MAX);
        Some(f64::from(connected) / at.elapsed().as_secs_f64().max(0.001))
    }

    /// Reads what may touch the disk, off the async threads, once there is a place for it.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Reader) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let reader = self.node.reader().clone();
        let place = self.reads.clone().acquire_owned().await.expect("the semaphore is never closed");
        let reading = move || {
            // A caller that hangs up takes nothing back: what was begun keeps its place until it is done.
            let _place = place;
            read(&reader)
        };
        match tokio::task::spawn_blocking(reading).await {
            Ok(result) => result.map_err(|error| self.storage(&error)),
            Err(error) => Err(crashed(&error)),
        }
    }

    /// How many reads may still begin.
    #[cfg(test)]
    pub(super) fn reads_left(&self) -> usize {
        self.reads.available_permits()
    }

    /// What a caller is told of this node's trouble; the operator is told once.
    pub(super) fn storage(&self, error: &LedgerError) -> RpcError {
        let text = error.to_string();
        if matches!(error, LedgerError::Moving) {
            return errors::storage(&text);
        }
        let mut trouble = self.trouble.lock();
        if *trouble != text {
            tracing::error!(%error, "cannot read what a caller asked for");
            self.node.doubt(error);
            *trouble = text;
        }
        errors::storage("this node cannot read what was asked for; its operator is told why")
    }
}

/// Runs to its end whether or not the caller stays: what was begun with the core is not left half asked.
pub(super) async fn detached<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> Result<T, RpcError> {
    tokio::spawn(task).await.map_err(|error| crashed(&error))
}

fn crashed(error: &tokio::task::JoinError) -> RpcError {
    tracing::error!(%error, "a call did not end well");
    RpcError::internal()
}

/// Resolves once the server is told to stop, or is gone.
pub(super) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error says that the sender is gone, which is a stop too.
    let _ = stopping.wait_for(|stop| *stop).await;
}
