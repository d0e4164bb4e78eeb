//! `subscribeTransaction`: an order's status, and each change of it, until nothing more can become of it.

use std::sync::Arc;

use printsy_consensus::{Hash, Transaction, codec};
use printsy_rpc::RpcError;
use printsy_rpc::market::{GetTransactionParams, Status, TransactionStatus};
use printsy_rpc::subscription::SubscribeTransaction;
use tokio::sync::watch;

use super::{Feed, Serve, ended};
use crate::server::context::Context;
use crate::server::{errors, status};

impl Serve for SubscribeTransaction {
    type Feed = Order;

    async fn open(context: Arc<Context>, params: GetTransactionParams) -> Result<Order, RpcError> {
        let (changes, txid) = (context.node.changes(), params.tx_id.into());
        let (tip, final_height) = stand(&context);
        let first = look(&context, txid).await?;
        let order: Transaction =
            codec::decode(first.transaction.as_bytes()).map_err(|_| RpcError::internal())?;
        let expires_at = order.body.expires_at;
        let first = Some(first);
        Ok(Order { context, changes, txid, expires_at, tip, told: None, first, final_height })
    }
}

/// Where the chain stands: its tip and its final height.
fn stand(context: &Context) -> (Hash, u64) {
    let snapshot = context.node.reader().snapshot();
    (snapshot.tip.id(), snapshot.final_height)
}

async fn look(context: &Arc<Context>, txid: Hash) -> Result<Status, RpcError> {
    let told = context.read(move |reader| status::read(reader, &txid)).await?;
    let unknown = || errors::not_found("this node knows no such transaction; that is not to say never");
    Ok(told.ok_or_else(unknown)?.status)
}

/// The feed.
pub(super) struct Order {
    context: Arc<Context>,
    changes: watch::Receiver<u64>,
    txid: Hash,
    /// The last height that may include it.
    expires_at: u64,
    /// The tip when it was last looked at.
    tip: Hash,
    /// What was told last, without its confirmations.
    told: Option<Status>,
    /// Read when it was begun, not told yet.
    first: Option<Status>,
    /// The final height before the order was last looked at: what that look did not find below it never comes.
    final_height: u64,
}

impl Feed for Order {
    type Item = Status;

    async fn next(&mut self) -> Result<Status, RpcError> {
        if let Some(first) = self.first.take() {
            return Ok(self.tell(first));
        }
        loop {
            if let Some(why) = self.is_over() {
                return Err(ended(why));
            }
            // The node keeps the sender while it lives.
            self.changes.changed().await.map_err(|_| errors::stopping())?;
            if !self.is_worth_a_look() {
                continue;
            }
            (self.tip, self.final_height) = stand(&self.context);
            let status = look(&self.context, self.txid).await?;
            if self.told.as_ref() != Some(&without_confirmations(&status)) {
                return Ok(self.tell(status));
            }
        }
    }
}

impl Order {
    fn tell(&mut self, status: Status) -> Status {
        self.told = Some(without_confirmations(&status));
        status
    }

    fn status(&self) -> Option<TransactionStatus> {
        self.told.as_ref().map(|told| told.status)
    }

    /// Why nothing more can become of it.
    fn is_over(&self) -> Option<&'static str> {
        match self.status()? {
            TransactionStatus::Final => Some("the order is final"),
            TransactionStatus::Included => None,
            _ if self.final_height >= self.expires_at => {
                Some("the block at the order's last height is final without it: it can never be")
            }
            _ => None,
        }
    }

    /// Each tip may change it; what comes into the mempool only where it is not there yet.
    fn is_worth_a_look(&self) -> bool {
        let reader = self.context.node.reader();
        let is_waiting = self.status() == Some(TransactionStatus::Pending);
        reader.snapshot().tip.id() != self.tip || (!is_waiting && reader.waiting_order(&self.txid).is_some())
    }
}

/// Each block confirms it once more: no change.
fn without_confirmations(status: &Status) -> Status {
    Status { confirmations: 0, ..status.clone() }
}
