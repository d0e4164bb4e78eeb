//! `executeTransaction`, `executeTransactions`, `validateTransaction`: orders handed to the node, and the wait
//! for what becomes of them.
//!
//! The way of an order: checked in isolation off this task, known already? else handed to the core, which
//! admits or refuses it at once; then its status is read again at each new tip until it is where the caller
//! wants it, its time is up, or the server stops. Not there in time is no error.

use std::sync::Arc;
use std::time::Duration;

use printsy_consensus::{CheckedTransaction, Hash, StateError, Transaction, check_transactions, codec};
use printsy_ledger::{AdmitError, Reader};
use printsy_rpc::market::{
    DEFAULT_TIMEOUT_MS, ExecuteManyParams, ExecuteParams, ExecuteTransaction, ExecuteTransactions, Outcome,
    Status, TransactionStatus, ValidateParams, ValidateTransaction, Wait,
};
use printsy_rpc::text::TimeoutMs;
use printsy_rpc::{RpcError, TransactionHex};
use rayon::prelude::*;
use tokio::time::{Instant, timeout_at};

use super::access::Credential;
use super::context::{Context, detached, stopped};
use super::errors;
use super::methods::{Caller, Serve};
use super::status::{self, Told};
use crate::core::OrderRefusal;
use crate::handle::Refusal;

/// How many signatures one batch verifies: enough for the gain, few enough to spread over the cores.
const SIGNATURES_PER_BATCH: usize = 64;

/// How far to wait, until when, and for whom.
#[derive(Clone, Copy, Debug)]
struct Patience {
    wait: Wait,
    until: Instant,
    credential: Credential,
}

impl Patience {
    fn new(wait: Option<Wait>, timeout_ms: Option<TimeoutMs>, caller: Caller) -> Self {
        let usual = if caller.in_batch { Wait::Admitted } else { Wait::default() };
        let time = timeout_ms.map_or(DEFAULT_TIMEOUT_MS, TimeoutMs::get);
        let until = Instant::now() + Duration::from_millis(time);
        Self { wait: wait.unwrap_or(usual), until, credential: caller.visitor.credential }
    }
}

impl Serve for ExecuteTransaction {
    async fn answer(
        context: Arc<Context>,
        params: ExecuteParams,
        caller: Caller,
    ) -> Result<Status, RpcError> {
        let patience = Patience::new(params.wait, params.timeout_ms, caller);
        let checked = context.node.check_order(params.transaction.into_bytes()).await;
        let order = checked.map_err(|error| errors::refusal(context.node.params(), &error, None))?;
        let txid = order.txid();
        admit(&context, order).await?;
        follow(&context, txid, patience).await
    }
}

impl Serve for ExecuteTransactions {
    /// Admitted in their order, so that the earlier of two that exclude each other wins.
    async fn answer(
        context: Arc<Context>,
        params: ExecuteManyParams,
        caller: Caller,
    ) -> Result<Vec<Outcome>, RpcError> {
        let patience = Patience::new(params.wait, params.timeout_ms, caller);
        let list = params.transactions.into_inner();
        // The call itself was counted before: each further order is one more.
        let further = u32::try_from(list.len().saturating_sub(1)).unwrap_or(u32::MAX);
        context.access.charge(&caller.visitor, further)?;
        let checked = context.read(move |reader| Ok(check_all(reader, list))).await?;
        let mut admitted = Vec::with_capacity(checked.len());
        for order in checked {
            admitted.push(match order {
                Ok(order) => {
                    let txid = order.txid();
                    admit(&context, order).await.map(|()| txid)
                }
                Err(error) => Err(errors::refusal(context.node.params(), &error, None)),
            });
        }
        let mut outcomes = Vec::with_capacity(admitted.len());
        for order in admitted {
            let told = match order {
                Ok(txid) => follow(&context, txid, patience).await,
                Err(error) => Err(error),
            };
            outcomes.push(match told {
                Ok(status) => Outcome::Status(Box::new(status)),
                Err(error) => Outcome::Error(error),
            });
        }
        Ok(outcomes)
    }
}

impl Serve for ValidateTransaction {
    async fn answer(context: Arc<Context>, params: ValidateParams, _: Caller) -> Result<Status, RpcError> {
        let refused = |error: &Refusal, txid| errors::refusal(context.node.params(), error, txid);
        let checked = context.node.check_order(params.transaction.into_bytes()).await;
        let order = checked.map_err(|error| refused(&error, None))?;
        let txid = order.txid();
        if let Some(status) = taken(&context, txid).await? {
            return Ok(status);
        }
        let (node, handed) = (context.node.clone(), order.clone());
        match detached(async move { node.validate_order(handed).await }).await? {
            Ok(_) => Ok(status::unseen(&order)),
            Err(error) if is_confirmed(&error) => match taken(&context, txid).await? {
                Some(status) => Ok(status),
                None => Err(refused(&error, Some(txid))),
            },
            Err(error) => Err(refused(&error, Some(txid))),
        }
    }
}

/// Decodes and checks many in isolation, signatures in batches; what waits here was checked when it came.
fn check_all(reader: &Reader, list: Vec<TransactionHex>) -> Vec<Result<CheckedTransaction, Refusal>> {
    let chunks = list.par_chunks(SIGNATURES_PER_BATCH).flat_map_iter(|chunk| check_some(reader, chunk));
    chunks.collect()
}

fn check_some(reader: &Reader, chunk: &[TransactionHex]) -> Vec<Result<CheckedTransaction, Refusal>> {
    let mut unknown = Vec::new();
    let decoded: Vec<Result<Option<CheckedTransaction>, Refusal>> = chunk
        .iter()
        .map(|bytes| {
            let transaction: Transaction = codec::decode(bytes.as_bytes())?;
            let known = reader.waiting_order(&transaction.body.txid());
            let known = known.filter(|known| known.bytes() == bytes.as_bytes());
            if known.is_none() {
                unknown.push(transaction);
            }
            Ok(known)
        })
        .collect();
    let genesis = reader.genesis();
    let mut checked = check_transactions(genesis.params(), &genesis.hash(), unknown).into_iter();
    let each = decoded.into_iter().map(|known| match known? {
        Some(known) => Ok(known),
        None => Ok(checked.next().expect("one answer for each that was unknown")?),
    });
    each.collect()
}

/// Sees to it that the node holds the order, or has it on the chain.
async fn admit(context: &Arc<Context>, order: CheckedTransaction) -> Result<(), RpcError> {
    let txid = order.txid();
    if taken(context, txid).await?.is_some() {
        return Ok(());
    }
    let node = context.node.clone();
    match detached(async move { node.submit_order(order).await }).await? {
        Ok(_) => Ok(()),
        // Confirmed between the look and the submission.
        Err(error) if is_confirmed(&error) && taken(context, txid).await?.is_some() => Ok(()),
        Err(error) => Err(errors::refusal(context.node.params(), &error, Some(txid))),
    }
}

fn is_confirmed(error: &Refusal) -> bool {
    matches!(error, Refusal::Order(OrderRefusal::Admit(AdmitError::State(StateError::Duplicate))))
}

/// The status of an order that waits, is confirmed, or may still come back to the chain by itself: the same bytes
/// again are answered with it. A refused one is judged anew.
async fn taken(context: &Arc<Context>, txid: Hash) -> Result<Option<Status>, RpcError> {
    let told = context.read(move |reader| status::read(reader, &txid)).await?;
    let is_taken = |status: &Status| {
        use TransactionStatus::{Displaced, Expired, Final, Included, Pending};
        matches!(status.status, Pending | Included | Final | Displaced | Expired)
    };
    Ok(told.map(|told| told.status).filter(is_taken))
}

/// The status of an order once it is where the caller wants it; as it stands when the time is up, the server stops, or
/// the caller's token is taken away: a session ends only when its calls have ended.
async fn follow(context: &Arc<Context>, txid: Hash, patience: Patience) -> Result<Status, RpcError> {
    // Before the first look, so that no tip in between is missed.
    let mut tips = context.tips();
    let mut stopping = context.stopping.clone();
    let revoked = context.access.revoked(patience.credential);
    tokio::pin!(revoked);
    let _counted = context.node.metrics().rpc_waits();
    loop {
        let told = look(context, txid).await?;
        if is_done(context, &told, txid, patience.wait)? {
            return Ok(told.status);
        }
        let news = async {
            loop {
                // The context keeps the sender, so this only ever waits.
                let _ = tips.changed().await;
                if is_worth_a_look(context, &told.status, txid) {
                    return;
                }
            }
        };
        let ended = tokio::select! {
            waited = timeout_at(patience.until, news) => waited.is_err(),
            () = stopped(&mut stopping) => true,
            () = &mut revoked => true,
        };
        if ended {
            return look(context, txid).await.map(|told| told.status);
        }
    }
}

async fn look(context: &Arc<Context>, txid: Hash) -> Result<Told, RpcError> {
    let told = context.read(move |reader| status::read(reader, &txid)).await?;
    told.ok_or_else(|| errors::not_found("this node no longer knows the order; send the same bytes again"))
}

/// Whether the wait is over. A refusal ends it as the error of its reason; what is displaced may come back.
fn is_done(context: &Context, told: &Told, txid: Hash, wait: Wait) -> Result<bool, RpcError> {
    if told.status.status == TransactionStatus::Refused
        && let Some(reason) = &told.refusal
    {
        return Err(errors::dropped(context.node.params(), reason, txid));
    }
    Ok(match told.status.status {
        TransactionStatus::Final | TransactionStatus::Expired | TransactionStatus::Refused => true,
        TransactionStatus::Included => wait != Wait::Final,
        TransactionStatus::Pending | TransactionStatus::Displaced => wait == Wait::Admitted,
    })
}

/// Whether a new tip may have changed it, as far as memory tells: an order that still waits is where it was,
/// and one that is included is awaited only for the final height.
fn is_worth_a_look(context: &Context, status: &Status, txid: Hash) -> bool {
    let reader = context.node.reader();
    match (status.status, status.block) {
        (TransactionStatus::Pending, _) => reader.waiting_order(&txid).is_none(),
        (TransactionStatus::Included, Some(block)) => {
            reader.snapshot().final_height >= block.height || reader.waiting_order(&txid).is_some()
        }
        _ => true,
    }
}
