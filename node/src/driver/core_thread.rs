//! The thread that owns the core: events in, one at a time; effects out, each a call that does not block.
//!
//! One event at a time, in the order in which they came; the effects of one are carried out before the next is looked
//! at. While the body of templates grows, its steps and the other events take turns. If the core fails or panics the thread ends, everyone who waits is told, and the node stops.

use std::collections::HashMap;
use std::thread::JoinHandle;

use printsy_ledger::LedgerError;
use tokio::sync::{mpsc, oneshot};

use crate::core::{Core, Effect, Event, Ticket};
use crate::handle::{NodeHandle, Waiting};
use crate::node::NodeError;

/// How many events wait for the core at the most; beyond it their senders wait.
pub(crate) const EVENT_QUEUE: usize = 1_024;

/// What a node does when a peer proves a heavier chain that leaves what is final here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// It raises the alarm and goes on with its own chain.
    #[default]
    Stay,
    /// It raises the alarm and ends, for whoever must not go on with a chain that is in doubt.
    End,
}

/// The running core.
#[derive(Debug)]
pub(crate) struct CoreThread {
    thread: JoinHandle<()>,
    /// None once it was told.
    ended: Option<oneshot::Receiver<Result<(), NodeError>>>,
}

impl CoreThread {
    /// Ends when the core does: because it was told to stop, or because it must. Why is told once.
    ///
    /// # Errors
    /// The node's own trouble. A panic of the core ends the process, since its state may be half changed.
    pub(crate) async fn ended(&mut self) -> Result<(), NodeError> {
        let Some(ended) = &mut self.ended else { return Ok(()) };
        let result = ended.await;
        self.ended = None;
        result.unwrap_or(Err(LedgerError::Panicked.into()))
    }

    /// Waits for the thread itself.
    pub(crate) fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the core's thread panicked");
        }
    }
}

/// Starts the core's thread.
///
/// # Errors
/// Where the system gives no thread.
pub(crate) fn spawn(
    core: Core,
    events: mpsc::Receiver<Event>,
    node: NodeHandle,
    on_conflict: OnConflict,
) -> std::io::Result<CoreThread> {
    let (sender, ended) = oneshot::channel();
    let thread = std::thread::Builder::new().name("core".to_owned()).spawn(move || {
        let result = run(core, events, &node, on_conflict);
        if let Err(NodeError::Ledger(error)) = &result {
            node.doubt(error);
        }
        // Callers whose answers will never come are told so.
        *node.shared.waiting.lock() = Waiting::default();
        // Nobody listens once the node was told to stop.
        let _ = sender.send(result);
    })?;
    Ok(CoreThread { thread, ended: Some(ended) })
}

fn run(
    mut core: Core,
    mut events: mpsc::Receiver<Event>,
    node: &NodeHandle,
    on_conflict: OnConflict,
) -> Result<(), NodeError> {
    let mut was_step = false;
    while let Some(event) = next(&mut events, core.is_growing(), was_step) {
        was_step = matches!(event, Event::Grow);
        let effects = core.handle(event, node.clock().now())?;
        // What the effects would tell is kept nowhere.
        if let Some(lost) = node.lost_datadir() {
            return Err(lost.clone().into());
        }
        node.show(&core);
        for effect in effects {
            carry_out(node, effect);
        }
        if let Some(conflict) = core.alarms().conflict.filter(|_| on_conflict == OnConflict::End) {
            core.ledger().close().map_err(LedgerError::from)?;
            return Err(NodeError::Conflict(conflict));
        }
    }
    Ok(core.ledger().close().map_err(LedgerError::from)?)
}

/// The next event; `None` where the node stops. While a body grows, each event is followed by a step and each step by an
/// event, if one waits: neither is kept waiting by a crowd of the other.
fn next(events: &mut mpsc::Receiver<Event>, is_growing: bool, was_step: bool) -> Option<Event> {
    let event = match (is_growing, was_step) {
        (false, _) => events.blocking_recv(),
        (true, false) => Some(Event::Grow),
        (true, true) => match events.try_recv() {
            Ok(event) => Some(event),
            Err(mpsc::error::TryRecvError::Empty) => Some(Event::Grow),
            Err(mpsc::error::TryRecvError::Disconnected) => None,
        },
    };
    event.filter(|event| !matches!(event, Event::Stop))
}

fn carry_out(node: &NodeHandle, effect: Effect) {
    let network = node.network();
    match effect {
        Effect::PublishOrders(orders) => drop(network.map(|network| network.publish_transactions(orders))),
        Effect::Announce(header) => drop(network.map(|network| network.announce(header))),
        Effect::Verdict(message, verdict) => drop(network.map(|network| network.verdict(message, verdict))),
        Effect::Request(peer, key, request) => drop(network.map(|n| n.request(peer, key, request))),
        Effect::Report(peer, fault) => drop(network.map(|network| network.report(peer, fault))),
        Effect::OrderAnswer(ticket, result) => {
            answer(&mut node.shared.waiting.lock().orders, ticket, result);
        }
        Effect::BlockAnswer(ticket, result) => {
            answer(&mut node.shared.waiting.lock().blocks, ticket, result);
        }
        Effect::TemplateAnswer(ticket, result) => {
            answer(&mut node.shared.waiting.lock().templates, ticket, result);
        }
        Effect::TipMoved => {
            node.note_tip();
            changed(node);
        }
        Effect::MempoolChanged | Effect::PeersChanged | Effect::StorageChanged => changed(node),
    }
}

/// Wakes whoever waits for a change.
fn changed(node: &NodeHandle) {
    node.shared.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
}

fn answer<T>(waiting: &mut HashMap<Ticket, oneshot::Sender<T>>, ticket: Ticket, answer: T) {
    if let Some(sender) = waiting.remove(&ticket) {
        // A caller that went away wants no answer.
        let _ = sender.send(answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_events_take_turns_while_a_body_grows() {
        let (sender, mut events) = mpsc::channel(8);
        for _ in 0..2 {
            sender.blocking_send(Event::Tick).unwrap();
        }
        let mut next = |is_growing, was_step| next(&mut events, is_growing, was_step);
        assert!(matches!(next(false, false), Some(Event::Tick)));
        // What follows from an event was told: now the step, whatever else waits.
        assert!(matches!(next(true, false), Some(Event::Grow)));
        assert!(matches!(next(true, true), Some(Event::Tick)));
        assert!(matches!(next(true, false), Some(Event::Grow)));
        assert!(matches!(next(true, true), Some(Event::Grow)), "nothing else happens");
        sender.blocking_send(Event::Stop).unwrap();
        assert!(next(true, true).is_none());
    }
}
