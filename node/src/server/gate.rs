//! Between the transport and the methods: marks the calls of a batch, and bounds those of a session.
//!
//! jsonrpsee makes one gate for each HTTP request and one for each WebSocket session, so the bound is a
//! session's own. A batch counts as one call: its calls are run one after the other.

use std::future::Future;
use std::sync::Arc;

use jsonrpsee::core::middleware::{Batch, Notification, RpcServiceT};
use jsonrpsee::server::MethodResponse;
use jsonrpsee::types::{ErrorObjectOwned, Id, Request};
use printsy_rpc::{ErrorData, RpcError, RpcReason};
use tokio::sync::Semaphore;
use tower::Layer;

use super::limits::{CALLS_PER_WEBSOCKET, CALLS_RETRY_MS};

/// Marks a call of a batch, in its extensions.
#[derive(Clone, Copy, Debug)]
pub(super) struct InBatch;

/// Makes gates.
#[derive(Clone, Copy, Debug)]
pub(super) struct GateLayer;

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { inner: Arc::new(inner), places: Arc::new(Semaphore::new(CALLS_PER_WEBSOCKET)) }
    }
}

/// The gate of one HTTP request or one session.
#[derive(Debug)]
pub(super) struct Gate<S> {
    inner: Arc<S>,
    places: Arc<Semaphore>,
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

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let (inner, places) = (self.inner.clone(), self.places.clone());
        async move {
            match places.try_acquire() {
                Ok(_place) => inner.call(request).await,
                Err(_) => MethodResponse::error(request.id, too_many()),
            }
        }
    }

    fn batch<'a>(&self, mut batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let (inner, places) = (self.inner.clone(), self.places.clone());
        for entry in batch.iter_mut().flatten() {
            entry.extensions_mut().insert(InBatch);
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

fn too_many() -> ErrorObjectOwned {
    let mut data = ErrorData::new(RpcReason::RateLimited);
    data.retry_after_ms = Some(CALLS_RETRY_MS);
    RpcError::refused(format!("this session has {CALLS_PER_WEBSOCKET} calls open, as many as it may"), data)
        .into()
}
