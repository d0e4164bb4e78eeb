//! The node as its servers see it: read the ledger, hand things to the core, wait for what becomes of them.
//!
//! Cheap to clone. Checking in isolation happens here, off the core's thread.

mod mining;
mod state;
mod templates;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use printsy_consensus::codec::{self, DecodeError};
use printsy_consensus::{
    BlockCheckError, CheckedBlock, CheckedTransaction, Fault, Hash, Params, PublicKey, SignedHeader,
    Transaction, TransactionError, check_transaction,
};
use printsy_ledger::{Admitted, LedgerError, Reader};
use printsy_p2p::{Network, PeerKey};
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::Clock;
use crate::core::{
    BlockAnswer, BlockSource, Event, OrderAnswer, OrderRefusal, OrderSource, TemplateAnswer, Ticket,
};
use crate::guard::DatadirLost;
use crate::metrics::Metrics;
use mining::TipMoved;
pub(crate) use mining::Work;
use state::State;
use templates::{Templates, Turns};

/// How many peers' heights are remembered at the most: far more than there are peers.
const MAX_PEER_HEIGHTS: usize = 1_024;

/// Why an order is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its bytes are no transaction.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It breaks a rule in isolation.
    #[error(transparent)]
    Check(#[from] TransactionError),
    /// It is refused in context.
    #[error(transparent)]
    Order(#[from] OrderRefusal),
    /// The node is stopping.
    #[error("this node is stopping")]
    Stopping,
}

/// What became of a submitted block.
#[derive(Clone, Debug)]
pub enum Submission {
    /// The core judged it.
    Judged(Box<BlockAnswer>),
    /// It breaks a rule in isolation. Without an id where its bytes are no block.
    Unchecked {
        /// The header's id, if there is a header.
        id: Option<Hash>,
        /// What it breaks.
        error: BlockCheckError,
    },
}

/// Why a block cannot be submitted at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// This node did not make that template, or has forgotten it.
    #[error("this node knows no such template: ask for a new one")]
    UnknownTemplate,
    /// The node is stopping.
    #[error("this node is stopping")]
    Stopping,
}

/// Callers that wait for the core's answers.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) orders: HashMap<Ticket, oneshot::Sender<OrderAnswer>>,
    pub(crate) blocks: HashMap<Ticket, oneshot::Sender<BlockAnswer>>,
    pub(crate) templates: HashMap<Ticket, oneshot::Sender<TemplateAnswer>>,
}

/// The handle.
#[derive(Clone, Debug)]
pub struct NodeHandle {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) reader: Reader,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) network: Option<Network>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) waiting: Mutex<Waiting>,
    pub(crate) tickets: AtomicU64,
    /// Counts every change of the tip or the mempool.
    pub(crate) changes: watch::Sender<u64>,
    /// Whether a caller asked the node to stop.
    stop_asked: watch::Sender<bool>,
    state: Mutex<State>,
    lost: OnceLock<DatadirLost>,
    /// The height each peer last spoke of.
    pub(crate) peer_heights: Mutex<HashMap<PeerKey, u64>>,
    is_damaged: AtomicBool,
    templates: Mutex<Templates>,
    turns: Turns,
    tip_moved: Mutex<TipMoved>,
    /// The key that this node mines with, if it does.
    mining_key: OnceLock<PublicKey>,
}

impl NodeHandle {
    pub(crate) fn new(
        reader: Reader,
        clock: Clock,
        metrics: Metrics,
        network: Option<Network>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let shared = Shared {
            reader,
            clock,
            metrics,
            network,
            events,
            waiting: Mutex::default(),
            tickets: AtomicU64::new(0),
            changes: watch::Sender::new(0),
            stop_asked: watch::Sender::new(false),
            state: Mutex::default(),
            lost: OnceLock::new(),
            peer_heights: Mutex::default(),
            is_damaged: AtomicBool::new(false),
            templates: Mutex::default(),
            turns: Turns::default(),
            tip_moved: Mutex::default(),
            mining_key: OnceLock::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The ledger, to read.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.shared.reader
    }

    /// The network's parameters.
    #[must_use]
    pub fn params(&self) -> &Params {
        self.shared.reader.genesis().params()
    }

    /// Notes damage that a read came upon, for `/readyz` and for the next start.
    pub(crate) fn doubt(&self, error: &LedgerError) {
        if self.shared.reader.doubt(error) {
            self.shared.is_damaged.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a read came upon damage since the start.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.shared.is_damaged.load(Ordering::Relaxed)
    }

    /// This node's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// The node's metrics.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// The network, unless the node runs alone.
    #[must_use]
    pub fn network(&self) -> Option<&Network> {
        self.shared.network.as_ref()
    }

    /// The height a peer last spoke of, if it did.
    #[must_use]
    pub fn peer_height(&self, peer: PeerKey) -> Option<u64> {
        self.shared.peer_heights.lock().get(&peer).copied()
    }

    /// Notes the height a peer spoke of.
    pub(crate) fn hear_height(&self, peer: PeerKey, height: u64) {
        let mut heights = self.shared.peer_heights.lock();
        // A check that ends after its peer left must not leave something behind for good.
        if heights.len() >= MAX_PEER_HEIGHTS {
            heights.clear();
        }
        heights.insert(peer, height);
    }

    /// Wakes at every change of the tip or the mempool.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Asks whoever runs the node to stop it.
    pub fn ask_stop(&self) {
        self.shared.stop_asked.send_replace(true);
    }

    /// Waits until a caller asks the node to stop.
    pub async fn stop_asked(&self) {
        let mut asked = self.shared.stop_asked.subscribe();
        // The handle keeps the sender, so this only ever waits.
        let _ = asked.wait_for(|asked| *asked).await;
    }

    fn ticket(&self) -> Ticket {
        Ticket(self.shared.tickets.fetch_add(1, Ordering::Relaxed))
    }

    /// Decodes and checks an order in isolation, off this task.
    ///
    /// # Errors
    /// The C or T rule it breaks.
    pub async fn check_order(&self, bytes: Vec<u8>) -> Result<CheckedTransaction, Refusal> {
        let transaction: Transaction = codec::decode(&bytes)?;
        let known = self.shared.reader.waiting_order(&transaction.body.txid());
        if let Some(known) = known.filter(|known| known.bytes() == bytes) {
            return Ok(known);
        }
        let genesis = self.shared.reader.genesis().clone();
        let check = move || check_transaction(genesis.params(), &genesis.hash(), transaction);
        Ok(tokio::task::spawn_blocking(check).await.map_err(|_| Refusal::Stopping)??)
    }

    /// Hands a checked order to the core: admitted and published, known, or refused.
    ///
    /// # Errors
    /// Why it is refused.
    pub async fn submit_order(&self, order: CheckedTransaction) -> Result<Admitted, Refusal> {
        let ticket = self.ticket();
        self.order_event(ticket, Event::Orders { source: OrderSource::Local(ticket), orders: vec![order] })
            .await
    }

    /// What [`NodeHandle::submit_order`] would say, changing nothing.
    ///
    /// # Errors
    /// Why it would be refused.
    pub async fn validate_order(&self, order: CheckedTransaction) -> Result<Admitted, Refusal> {
        let ticket = self.ticket();
        self.order_event(ticket, Event::Validate { ticket, order }).await
    }

    async fn order_event(&self, ticket: Ticket, event: Event) -> Result<Admitted, Refusal> {
        let (sender, answer) = oneshot::channel();
        self.shared.waiting.lock().orders.insert(ticket, sender);
        self.send(event).await.ok_or(Refusal::Stopping)?;
        let (_, admitted) = answer.await.map_err(|_| Refusal::Stopping)??;
        Ok(admitted)
    }

    /// Submits a whole block: checked off this task, then judged by the core.
    ///
    /// # Errors
    /// [`SubmitError::Stopping`].
    pub async fn submit_block(&self, bytes: Vec<u8>) -> Result<Submission, SubmitError> {
        self.judge_block(bytes, BlockSource::Local).await
    }

    async fn judge_block(
        &self,
        bytes: Vec<u8>,
        source: fn(Ticket) -> BlockSource,
    ) -> Result<Submission, SubmitError> {
        let id = bytes.first_chunk().map(|header| SignedHeader::from_bytes(header).header.id());
        let block = match self.check_block(bytes).await.ok_or(SubmitError::Stopping)? {
            Ok(block) => block,
            Err(error) => {
                if let Some(id) = id.filter(|_| error.fault() == Fault::Block) {
                    self.send(Event::BadBlock { id }).await.ok_or(SubmitError::Stopping)?;
                }
                return Ok(Submission::Unchecked { id, error });
            }
        };
        let ticket = self.ticket();
        let (sender, answer) = oneshot::channel();
        self.shared.waiting.lock().blocks.insert(ticket, sender);
        let event = Event::Block { source: source(ticket), block: Arc::new(block) };
        self.send(event).await.ok_or(SubmitError::Stopping)?;
        let answer = answer.await.map_err(|_| SubmitError::Stopping)?;
        Ok(Submission::Judged(Box::new(answer)))
    }

    async fn check_block(&self, bytes: Vec<u8>) -> Option<Result<CheckedBlock, BlockCheckError>> {
        let reader = self.shared.reader.clone();
        tokio::task::spawn_blocking(move || check_block(&reader, bytes)).await.ok()
    }

    /// Whether the core takes no more events.
    pub(crate) fn is_stopping(&self) -> bool {
        self.shared.events.is_closed()
    }

    pub(crate) async fn send(&self, event: Event) -> Option<()> {
        self.shared.events.send(event).await.ok()
    }
}

/// Checks a block in isolation; orders that wait here were checked when they came.
pub(crate) fn check_block(reader: &Reader, bytes: Vec<u8>) -> Result<CheckedBlock, BlockCheckError> {
    let genesis = reader.genesis();
    CheckedBlock::check(genesis.params(), &genesis.hash(), bytes, &|leaf| reader.waiting_leaf(leaf))
}
