//! The way of a transaction: checked off this thread, admitted here against the tip and what waits, published.
//!
//! A refused order goes no further: it is not gossiped, and no template will ever hold it.

use printsy_consensus::CheckedTransaction;
use printsy_ledger::{Admitted, Origin};
use printsy_p2p::Verdict;

use super::event::{Effect, Gossiped, OrderAnswer, OrderRefusal, OrderSource, OrdersFailure, Ticket};
use super::{Core, MAX_INDEX_LAG_ROWS};

impl Core {
    /// Orders, checked: admit each, publish what is new, answer.
    pub(super) fn take_orders(&mut self, source: OrderSource, orders: Vec<CheckedTransaction>) {
        let origin = match source {
            OrderSource::Local(_) => Origin::Own,
            OrderSource::Gossip { .. } | OrderSource::Peer(_) => Origin::Peer,
        };
        let mut fresh = Vec::new();
        let mut answers = Vec::new();
        for order in orders {
            let answer = self.admit(&order, origin);
            if matches!(answer, Ok((_, Admitted::New))) {
                fresh.push(order.bytes().to_vec());
            }
            answers.push(answer);
        }
        if !fresh.is_empty() {
            self.effects.push(Effect::MempoolChanged);
        }
        self.answer_orders(source, answers, fresh);
    }

    fn admit(&mut self, order: &CheckedTransaction, origin: Origin) -> OrderAnswer {
        self.accepts_orders()?;
        let txid = order.txid();
        match self.ledger.admit(order, origin, self.now) {
            Ok(admitted) => {
                self.metrics.order_admitted();
                Ok((txid, admitted))
            }
            Err(error) => {
                self.metrics.order_refused();
                tracing::debug!(tx = %txid, %error, "order refused");
                Err(error.into())
            }
        }
    }

    /// Whether this node may judge orders at all.
    pub(super) fn accepts_orders(&self) -> Result<(), OrderRefusal> {
        if self.sync_state().is_syncing() {
            return Err(OrderRefusal::Syncing);
        }
        if let Some(room) = self.low_room() {
            return Err(OrderRefusal::Storage(room.to_string()));
        }
        if let Some(failure) = self.ledger.index_failure() {
            return Err(OrderRefusal::Storage(format!("the index failed: {failure}")));
        }
        let lag = self.ledger.index_lag();
        if lag > MAX_INDEX_LAG_ROWS {
            return Err(OrderRefusal::Storage(format!("the index is {lag} rows behind")));
        }
        Ok(())
    }

    /// A caller gets its answer, and its order is published. A batch is accepted if all of it is admitted or
    /// known, ignored if any fails by state, rejected if any is malformed; its good members then travel on in
    /// a batch of this node's own.
    fn answer_orders(&mut self, source: OrderSource, answers: Vec<OrderAnswer>, fresh: Vec<Vec<u8>>) {
        match source {
            OrderSource::Local(ticket) => {
                self.publish(fresh);
                for answer in answers {
                    self.effects.push(Effect::OrderAnswer(ticket, answer));
                }
            }
            OrderSource::Gossip { from, all_good } => {
                let verdict = match (all_good, answers.iter().all(Result::is_ok)) {
                    (false, _) => Verdict::Reject,
                    (true, false) => Verdict::Ignore,
                    (true, true) => Verdict::Accept,
                };
                if verdict != Verdict::Accept {
                    self.publish(fresh);
                }
                self.effects.push(Effect::Verdict(from.message, verdict));
            }
            OrderSource::Peer(_) => self.publish(fresh),
        }
    }

    fn publish(&mut self, orders: Vec<Vec<u8>>) {
        if !orders.is_empty() {
            self.effects.push(Effect::PublishOrders(orders));
        }
    }

    /// A batch of which nothing could be checked.
    pub(super) fn refuse_orders(&mut self, source: Gossiped, failure: OrdersFailure) {
        let verdict = match failure {
            OrdersFailure::Malformed => Verdict::Reject,
            OrdersFailure::Busy => Verdict::Ignore,
        };
        self.effects.push(Effect::Verdict(source.message, verdict));
    }

    /// What would become of an order, changing nothing.
    pub(super) fn validate_order(&mut self, ticket: Ticket, order: &CheckedTransaction) {
        let answer = self.accepts_orders().and_then(|()| Ok((order.txid(), self.ledger.validate(order)?)));
        self.effects.push(Effect::OrderAnswer(ticket, answer));
    }
}
