//! Between the transport and the methods: marks the calls of a batch, bounds those of a session, and lets large answers out
//! only where there is a place for them.
//!
//! jsonrpsee makes one gate for each HTTP request and one for each WebSocket session, so the bounds are a
//! session's own. A batch counts as one call: its calls are run one after the other. Subscriptions are turned away here
//! where there is nobody to tell: over plain HTTP, and within a batch, whose answers come all together.

use std::future::Future;
use std::sync::Arc;

use jsonrpsee::core::middleware::{Batch, BatchEntry, BatchEntryErr, Notification, RpcServiceT};
use jsonrpsee::server::{Extensions, MethodResponse};
use jsonrpsee::types::{ErrorObjectOwned, Id, Request};
use printsy_rpc::subscription::UnsubscribeParams;
use printsy_rpc::{ErrorData, RpcError, RpcReason, SUBSCRIPTIONS, parse_params_of};
use serde_json::value::to_raw_value;
use tokio::sync::Semaphore;
use tower::Layer;

use super::access::Visitor;
use super::limits::{
    CALLS_PER_WEBSOCKET, CALLS_RETRY_MS, LARGE_ANSWERS_RETRY_MS, SUBSCRIPTIONS_PER_WEBSOCKET,
};
use super::outbox::{Crowded, LargeAnswers, Outbox};

/// What JSON-RPC calls an invalid request: a call that is none where it came.
const INVALID_REQUEST: i32 = -32600;

/// Marks a call of a batch, in its extensions.
#[derive(Clone, Copy, Debug)]
pub(super) struct InBatch;

/// The places for subscriptions of the session that a call came by, in its extensions.
#[derive(Clone, Debug)]
pub(super) struct SessionPlaces(pub(super) Arc<Semaphore>);

/// How calls come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// One request, one answer.
    Http,
    /// A session, which can be told things later.
    WebSocket,
}

/// Makes gates.
#[derive(Clone, Debug)]
pub(super) struct GateLayer {
    pub(super) transport: Transport,
    pub(super) answers: LargeAnswers,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate {
            inner: Arc::new(inner),
            answers: self.answers.clone(),
            transport: self.transport,
            places: Arc::new(Semaphore::new(CALLS_PER_WEBSOCKET)),
            subscriptions: SessionPlaces(Arc::new(Semaphore::new(SUBSCRIPTIONS_PER_WEBSOCKET))),
        }
    }
}

/// The gate of one HTTP request or one session.
#[derive(Debug)]
pub(super) struct Gate<S> {
    inner: Arc<S>,
    answers: LargeAnswers,
    transport: Transport,
    places: Arc<Semaphore>,
    subscriptions: SessionPlaces,
}

impl<S> RpcServiceT for Gate<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Send
        + Sync
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, mut request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let (inner, places) = (self.inner.clone(), self.places.clone());
        let admitted = admit(self.transport, &mut request);
        request.extensions_mut().insert(self.subscriptions.clone());
        let way = WayOut::of(request.extensions(), &self.answers);
        async move {
            if let Err(error) = admitted {
                return MethodResponse::error(request.id, ErrorObjectOwned::from(error));
            }
            let Ok(_place) = places.try_acquire() else {
                return MethodResponse::error(request.id, too_many());
            };
            let id = request.id.clone().into_owned();
            way.let_out(inner.call(request).await, id)
        }
    }

    fn batch<'a>(&self, mut batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let (inner, places) = (self.inner.clone(), self.places.clone());
        let first = batch.iter().find_map(|entry| entry.as_ref().ok());
        let way = first.map(|entry| WayOut::of(entry.extensions(), &self.answers));
        for entry in batch.iter_mut() {
            if let Ok(BatchEntry::Call(call)) = entry
                && let Err(error) = admit(self.transport, call).and_then(|()| admit_in_batch(call))
            {
                *entry = Err(BatchEntryErr::new(call.id.clone(), error.into()));
            }
            if let Ok(entry) = entry {
                entry.extensions_mut().insert(InBatch);
            }
        }
        async move {
            let Ok(_place) = places.try_acquire() else {
                return MethodResponse::error(Id::Null, too_many());
            };
            let answers = inner.batch(batch).await;
            match way {
                Some(way) => way.let_out(answers, Id::Null),
                None => answers,
            }
        }
    }

    fn notification<'a>(&self, n: Notification<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.notification(n)
    }
}

/// How the answer to a call leaves.
struct WayOut {
    /// None where no connection is: nothing waits there.
    outbox: Option<Outbox>,
    visitor: Visitor,
    answers: LargeAnswers,
}

impl WayOut {
    fn of(extensions: &Extensions, answers: &LargeAnswers) -> Self {
        Self {
            outbox: extensions.get::<Outbox>().cloned(),
            visitor: extensions.get::<Visitor>().copied().unwrap_or_else(Visitor::within),
            answers: answers.clone(),
        }
    }

    /// The answer, or that there is no place for it now.
    fn let_out(self, answer: MethodResponse, id: Id<'_>) -> MethodResponse {
        let bytes = answer.as_ref().len();
        let put = self.outbox.map_or(Ok(()), |outbox| outbox.put(&self.answers, self.visitor.address, bytes));
        match put {
            Ok(()) => answer,
            Err(Crowded) => MethodResponse::error(id, crowded()),
        }
    }
}

/// Whether a call may pass this way. What ends a subscription is read strictly here, and passed on by position, for
/// jsonrpsee reads it by position alone, and takes anything else for a number that is not there.
fn admit(transport: Transport, call: &mut Request<'_>) -> Result<(), RpcError> {
    let name = call.method_name();
    let ends = SUBSCRIPTIONS.iter().find(|names| names.unsubscribe == name);
    let begins = SUBSCRIPTIONS.iter().any(|names| names.subscribe == name);
    if (begins || ends.is_some()) && transport == Transport::Http {
        let sentence = format!("{name} needs a WebSocket: open one at this same address");
        return Err(RpcError { code: INVALID_REQUEST, message: sentence, data: None });
    }
    if let Some(names) = ends {
        let raw = call.params.as_ref().map(|raw| raw.get());
        let params: UnsubscribeParams = parse_params_of(names.unsubscribe, raw)?;
        let by_position = to_raw_value(&[params.subscription]).expect("a number is always JSON");
        call.params = Some(std::borrow::Cow::Owned(by_position));
    }
    Ok(())
}

fn admit_in_batch(call: &Request<'_>) -> Result<(), RpcError> {
    let name = call.method_name();
    if SUBSCRIPTIONS.iter().all(|names| names.subscribe != name) {
        return Ok(());
    }
    let message = format!("{name} is a call of its own: it cannot be one of a batch");
    Err(RpcError { code: INVALID_REQUEST, message, data: None })
}

fn too_many() -> ErrorObjectOwned {
    not_now(format!("this session has {CALLS_PER_WEBSOCKET} calls open, as many as it may"), CALLS_RETRY_MS)
}

fn crowded() -> ErrorObjectOwned {
    let sentence = "too many large answers are on their way: read those you asked for, then ask again";
    not_now(sentence.to_owned(), LARGE_ANSWERS_RETRY_MS)
}

fn not_now(sentence: String, retry_after_ms: u64) -> ErrorObjectOwned {
    let mut data = ErrorData::new(RpcReason::RateLimited);
    data.retry_after_ms = Some(retry_after_ms);
    RpcError::refused(sentence, data).into()
}
