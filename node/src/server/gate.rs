//! Between the transport and the methods: marks the calls of a batch, and bounds those of a session.
//!
//! jsonrpsee makes one gate for each HTTP request and one for each WebSocket session, so the bounds are a
//! session's own. A batch counts as one call: its calls are run one after the other. Subscriptions are turned away here
//! where there is nobody to tell: over plain HTTP, and within a batch, whose answers come all together.

use std::future::Future;
use std::sync::Arc;

use jsonrpsee::core::middleware::{Batch, BatchEntry, BatchEntryErr, Notification, RpcServiceT};
use jsonrpsee::server::MethodResponse;
use jsonrpsee::types::{ErrorObjectOwned, Id, Request};
use printsy_rpc::subscription::UnsubscribeParams;
use printsy_rpc::{ErrorData, RpcError, RpcReason, SUBSCRIPTIONS, parse_params_of};
use serde_json::value::to_raw_value;
use tokio::sync::Semaphore;
use tower::Layer;

use super::limits::{CALLS_PER_WEBSOCKET, CALLS_RETRY_MS, SUBSCRIPTIONS_PER_WEBSOCKET};

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
#[derive(Clone, Copy, Debug)]
pub(super) struct GateLayer {
    pub(super) transport: Transport,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate {
            inner: Arc::new(inner),
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
        async move {
            if let Err(error) = admitted {
                return MethodResponse::error(request.id, ErrorObjectOwned::from(error));
            }
            match places.try_acquire() {
                Ok(_place) => inner.call(request).await,
                Err(_) => MethodResponse::error(request.id, too_many()),
            }
        }
    }

    fn batch<'a>(&self, mut batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let (inner, places) = (self.inner.clone(), self.places.clone());
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
            match places.try_acquire() {
                Ok(_place) => inner.batch(batch).await,
                Err(_) => MethodResponse::error(Id::Null, too_many()),
            }
        }
    }

    fn notification<'a>(&self, n: Notification<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.notification(n)
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
    let mut data = ErrorData::new(RpcReason::RateLimited);
    data.retry_after_ms = Some(CALLS_RETRY_MS);
    RpcError::refused(format!("this session has {CALLS_PER_WEBSOCKET} calls open, as many as it may"), data)
        .into()
}
