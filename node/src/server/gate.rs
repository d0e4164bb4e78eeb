//! Between the transport and the methods: marks the calls of a batch, bounds those of a session, and lets large answers out
//! only where there is a place for them.
//!
//! jsonrpsee makes one gate for each HTTP request and one for each WebSocket session, so the bounds are a
//! session's own. A batch counts as one call: its calls are run one after the other. Subscriptions are turned away here
//! where there is nobody to tell: over plain HTTP, and within a batch, whose answers come all together.

use std::future::Future;
use std::sync::Arc;

use jsonrpsee::core::middleware::{Batch, BatchEntry, Notification, RpcServiceT};
use jsonrpsee::core::server::BatchResponseBuilder;
use jsonrpsee::server::{Extensions, MethodResponse};
use jsonrpsee::types::{ErrorObjectOwned, Id, Request};
use printsy_rpc::subscription::UnsubscribeParams;
use printsy_rpc::{ErrorData, RpcError, RpcReason, SUBSCRIPTIONS, parse_params_of};
use serde_json::value::to_raw_value;
use tokio::sync::Semaphore;
use tower::Layer;

use super::access::Visitor;
use super::large::{Held, Large};
use super::limits::{
    CALLS_PER_WEBSOCKET, CALLS_RETRY_MS, LARGE_ANSWERS_RETRY_MS, REPEATED_ID_BYTES,
    SUBSCRIPTIONS_PER_WEBSOCKET,
};
use super::outbox::Outbox;

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
    pub(super) answers: Large,
    /// The most bytes of an answer.
    pub(super) max_answer: usize,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate {
            inner: Arc::new(inner),
            answers: self.answers.clone(),
            max_answer: self.max_answer,
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
    answers: Large,
    max_answer: usize,
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
            let id = repeated(&request.id);
            let answer = match admitted {
                Err(error) => MethodResponse::error(request.id, ErrorObjectOwned::from(error)),
                Ok(()) => match places.try_acquire() {
                    Ok(_place) => inner.call(request).await,
                    Err(_) => MethodResponse::error(request.id, too_many()),
                },
            };
            way.let_out(answer, id)
        }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let (inner, places, transport) = (self.inner.clone(), self.places.clone(), self.transport);
        let first = batch.iter().find_map(|entry| entry.as_ref().ok());
        let way = first.map(|entry| WayOut::of(entry.extensions(), &self.answers));
        let answers = BatchResponseBuilder::new_with_limit(self.max_answer);
        async move {
            match places.try_acquire() {
                Ok(_place) => answer_each(batch, transport, &*inner, answers, way).await,
                Err(_) => MethodResponse::error(Id::Null, too_many()),
            }
        }
    }

    fn notification<'a>(&self, n: Notification<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.notification(n)
    }
}

/// The calls of a batch, one after the other. Each answer takes its place as it is made: those that are done are not free
/// while a later call waits.
async fn answer_each<S>(
    batch: Batch<'_>,
    transport: Transport,
    inner: &S,
    mut answers: BatchResponseBuilder,
    way: Option<WayOut>,
) -> MethodResponse
where
    S: RpcServiceT<MethodResponse = MethodResponse>,
{
    let mut held = way.as_ref().map(WayOut::begin);
    let mut bytes = 0;
    let mut has_notification = false;
    for entry in batch {
        let (id, answer) = match entry {
            Ok(BatchEntry::Notification(_)) => {
                has_notification = true;
                continue;
            }
            Ok(BatchEntry::Call(mut call)) => {
                let id = repeated(&call.id);
                let answer = match admit(transport, &mut call).and_then(|()| admit_in_batch(&call)) {
                    Err(error) => MethodResponse::error(call.id, ErrorObjectOwned::from(error)),
                    Ok(()) => {
                        call.extensions_mut().insert(InBatch);
                        inner.call(call).await
                    }
                };
                (id, answer)
            }
            Err(error) => {
                let (error, id) = error.into_parts();
                (repeated(&id), MethodResponse::error(id, error))
            }
        };
        let wanted = bytes + answer.as_ref().len();
        let answer = match held.as_mut().map_or(Ok(()), |held| held.grow_to(wanted)) {
            Ok(()) => answer,
            Err(_) => MethodResponse::error(id, crowded()),
        };
        bytes += answer.as_ref().len();
        if let Err(too_large) = answers.append(answer) {
            return too_large;
        }
    }
    if has_notification && answers.is_empty() {
        return MethodResponse::notification();
    }
    let answer = MethodResponse::from_batch(answers.finish());
    if let (Some(way), Some(held)) = (way, held) {
        way.put(answer.as_ref().len(), held);
    }
    answer
}

/// How the answer to a call leaves.
struct WayOut {
    /// None where no connection is: nothing waits there.
    outbox: Option<Outbox>,
    visitor: Visitor,
    answers: Large,
}

impl WayOut {
    fn of(extensions: &Extensions, answers: &Large) -> Self {
        Self {
            outbox: extensions.get::<Outbox>().cloned(),
            visitor: Visitor::of_call(extensions),
            answers: answers.clone(),
        }
    }

    /// The places of an answer that has no bytes yet.
    fn begin(&self) -> Held {
        self.answers.begin(self.visitor.address)
    }

    /// An answer of so many bytes is on its way.
    fn put(self, bytes: usize, held: Held) {
        if let Some(outbox) = self.outbox {
            outbox.put(bytes, held);
        }
    }

    /// The answer, or that there is no place for it now.
    fn let_out(self, answer: MethodResponse, id: Id<'static>) -> MethodResponse {
        let bytes = answer.as_ref().len();
        if self.answers.is_small(bytes) {
            return answer;
        }
        match self.answers.hold(self.visitor.address, bytes) {
            Ok(held) => {
                self.put(bytes, held);
                answer
            }
            Err(_) => MethodResponse::error(id, crowded()),
        }
    }
}

/// The id that a refusal to answer repeats: none where it is itself what takes the room.
fn repeated(id: &Id<'_>) -> Id<'static> {
    match id {
        Id::Str(text) if text.len() > REPEATED_ID_BYTES => Id::Null,
        id => id.clone().into_owned(),
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
