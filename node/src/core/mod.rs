//! The node as one state machine: events in, effects out, no await, one writer.
//!
//! [`Core::handle`] is called by one thread with everything that happens and this node's clock; what it returns
//! is for the drivers around it to carry out. Commit is a call, not an effect: `handle` returns only after the
//! fdatasync of whatever its effects tell the world. Same events, same clock, same run.
//!
//! - `event`: what happens, what is to be done
//! - `orders`: the way of a transaction
//! - `blocks`: the way of a block, whoever brought it
//! - `sync`: headers first; `fetch`: then bodies, from several peers at once
//! - `alarm`: a peer's heavier chain that leaves what is final here
//! - `peers`: what this node knows of each peer
//! - `templates`: work for miners; `foreign`: blocks by this node's key that it did not make
//! - `room`: orders and mining end before the disk does
//!
//! Checking in isolation (bytes, signatures) happened before: events carry what was checked, or who sent what
//! could not be.

mod alarm;
mod blocks;
mod event;
mod fetch;
mod foreign;
mod orders;
mod peers;
mod room;
mod sync;
mod templates;

use std::collections::{BTreeMap, BTreeSet};

use printsy_consensus::{CheckedTransaction, Hash};
use printsy_ledger::store::MAX_LAG_ROWS;
use printsy_ledger::{Ledger, LedgerError};

pub use alarm::{Alarms, Conflict};
pub use event::{
    BlockAnswer, BlockSource, BlockVerdict, Bodies, Effect, Event, Gossiped, OrderAnswer, OrderRefusal,
    OrderSource, OrdersFailure, PeerAnswer, TemplateAnswer, TemplateBody, TemplateRefusal, Ticket,
};
pub use room::Room;
pub use sync::{FAR_AHEAD, SYNCING_AHEAD, SyncState};

use blocks::{Announced, Held};
use fetch::Plan;
use foreign::Watch;
use peers::Peers;
use room::Guard;
use sync::{Progress, Requests};
use templates::{Growing, Pace};

use crate::metrics::Metrics;

/// How many rows the index may lag behind the journal before orders are refused: half of what makes blocks wait for it.
pub const MAX_INDEX_LAG_ROWS: usize = MAX_LAG_ROWS / 2;

/// How often a tick takes blocks that a repair set aside, so that other events get their turn.
const REPAIR_ROUNDS: usize = 4;

/// The node's state machine.
#[derive(Debug)]
pub struct Core {
    ledger: Ledger,
    peers: Peers,
    requests: Requests,
    held: Held,
    plan: Plan,
    progress: Progress,
    guard: Guard,
    pace: Pace,
    growing: Growing,
    watch: Option<Watch>,
    /// The alarms that stood after the last event.
    alarms: Alarms,
    /// Headers by miners that the tip does not know.
    strangers: BTreeSet<Hash>,
    /// Announcements whose block is on its way.
    announced: BTreeMap<Hash, Announced>,
    /// This node's clock at the event being handled, ms.
    now: u64,
    metrics: Metrics,
    effects: Vec<Effect>,
}

impl Core {
    /// A node on this ledger, without peers.
    #[must_use]
    pub fn new(ledger: Ledger, metrics: Metrics) -> Self {
        let mut core = Self {
            ledger,
            peers: Peers::default(),
            requests: Requests::default(),
            held: Held::default(),
            plan: Plan::default(),
            progress: Progress::default(),
            guard: Guard::default(),
            pace: Pace::default(),
            growing: Growing::default(),
            watch: None,
            alarms: Alarms::default(),
            strangers: BTreeSet::new(),
            announced: BTreeMap::new(),
            now: 0,
            metrics,
            effects: Vec::new(),
        };
        core.observe();
        core
    }

    /// The ledger, to read.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What follows from `event` at `now` (ms since 1970, this node's clock).
    ///
    /// # Errors
    /// This node's own trouble: it must stop. Nothing that was answered is lost.
    pub fn handle(&mut self, event: Event, now: u64) -> Result<Vec<Effect>, LedgerError> {
        self.now = now;
        match event {
            Event::Tick => self.tick()?,
            Event::Grow => self.grow()?,
            Event::Room(room) => self.take_room(room),
            Event::Stop => {}
            Event::Orders { source, orders } => self.take_orders(source, orders),
            Event::BadOrders { source, failure } => self.refuse_orders(source, failure),
            Event::Validate { ticket, order } => self.validate_order(ticket, &order),
            Event::Block { source, block } => self.take_block(source, block)?,
            Event::Announced { header, from } => self.take_announcement(header, from)?,
            Event::BadBlock { id } => self.condemn(&id),
            Event::Template { ticket, miner, body } => self.make_template(ticket, miner, body)?,
            Event::Connected { peer, direction } => self.meet(peer, direction),
            Event::Disconnected { peer } => self.lose(peer),
            Event::PeerStatus { peer, status } => self.hear_status(peer, &status),
            Event::Answer { peer, request, answer } => self.take_answer(peer, request, answer)?,
        }
        self.observe();
        Ok(std::mem::take(&mut self.effects))
    }

    /// Time passed: what was held may be due, what was asked may be late, own orders may need saying again.
    fn tick(&mut self) -> Result<(), LedgerError> {
        self.repair()?;
        // Where the index ended nothing will do but a new start, and whoever starts nodes again should know.
        self.ledger.check_index()?;
        self.release_held()?;
        let mut due = self.ledger.due_orders(self.now);
        if !due.is_empty() {
            // The mempool gives them in no order: same events, same effects.
            due.sort_unstable_by_key(CheckedTransaction::txid);
            let orders = due.iter().map(|order| order.bytes().to_vec()).collect();
            self.effects.push(Effect::PublishOrders(orders));
        }
        self.forget_late_announcements();
        self.peers.forget_lacking(self.now);
        self.retry_headers();
        self.judge_alarms();
        self.watch_progress();
        self.ledger.settle(!self.sync_state().is_syncing())?;
        self.schedule();
        Ok(())
    }

    /// Takes what a repair of the journal set aside, as far as it leads now.
    fn repair(&mut self) -> Result<(), LedgerError> {
        for _ in 0..REPAIR_ROUNDS {
            if !self.ledger.feed_salvage()? {
                break;
            }
            self.advance()?;
        }
        Ok(())
    }

    /// Writes what the metrics show of the state.
    fn observe(&mut self) {
        let tip = self.ledger.tip();
        self.metrics.chain(tip.height(), self.ledger.final_height());
        self.metrics.mempool(self.ledger.mempool().len(), self.ledger.mempool().bytes());
        self.metrics.ledger(self.ledger.index_lag(), self.ledger.tree().len());
        self.metrics.templated(self.ledger.templated_orders(), self.ledger.template_faults());
        self.watch_alarms();
    }
}
