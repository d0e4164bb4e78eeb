//! Subscriptions: how one is begun, fed and ended.
//!
//! [`Serve`] is what each subscription's file implements: from strict params to a [`Feed`], which has the next item
//! whenever there is one. A feed keeps a place in what it tells of and no queue: a reader that is a little late costs
//! nothing, and what it is told next is what holds then. The one queue is the session's, of few messages; a reader that
//! leaves it full for some seconds has its subscription ended with a word, and is never waited for. Where the server
//! stops, each subscription says so.

mod availability;
mod block_template;
mod blocks;
mod transaction;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use jsonrpsee::core::error::SubscriptionError;
use jsonrpsee::core::server::{IntoSubscriptionCloseResponse, SubscriptionCloseResponse};
use jsonrpsee::server::{Extensions, RegisterMethodError};
use jsonrpsee::types::{ErrorObjectOwned, Params};
use jsonrpsee::{PendingSubscriptionSink, RpcModule, SendTimeoutError, SubscriptionSink};
use printsy_rpc::subscription::{
    SubscribeAvailability, SubscribeBlockTemplate, SubscribeBlocks, SubscribeTransaction,
};
use printsy_rpc::{ErrorData, RpcError, RpcReason, Subscription, parse_params_of};
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::access::{Place, Visitor};
use super::context::{Context, stopped};
use super::errors;
use super::gate::SessionPlaces;
use super::limits::{
    CALLS_RETRY_MS, MAX_SUBSCRIPTIONS, SUBSCRIPTIONS_PER_ADDRESS, SUBSCRIPTIONS_PER_WEBSOCKET,
};
use super::outbox::Outbox;

/// What a subscription tells, one item after the other.
trait Feed: Send {
    /// What it tells.
    type Item;

    /// The next item, once there is one; or why none follows any more.
    fn next(&mut self) -> impl Future<Output = Result<Self::Item, RpcError>> + Send;
}

/// A subscription that this server offers.
trait Serve: Subscription<Params: Send, Item: Send + Sync> + 'static {
    /// What tells its items.
    type Feed: Feed<Item = Self::Item>;

    /// Its feed, or why it is refused.
    fn open(
        context: Arc<Context>,
        params: Self::Params,
    ) -> impl Future<Output = Result<Self::Feed, RpcError>> + Send;
}

/// Every subscription, ready to be begun.
pub(super) fn all(context: Arc<Context>) -> Result<RpcModule<Context>, RegisterMethodError> {
    let mut module = RpcModule::from_arc(context);
    register::<SubscribeBlockTemplate>(&mut module)?;
    register::<SubscribeBlocks>(&mut module)?;
    register::<SubscribeTransaction>(&mut module)?;
    register::<SubscribeAvailability>(&mut module)?;
    Ok(module)
}

fn register<S: Serve>(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    let names = S::NAMES;
    let run = |params: Params<'static>, pending: PendingSubscriptionSink, context, extensions| async move {
        run::<S>(params, pending, context, &extensions).await
    };
    module.register_subscription(names.subscribe, names.notification, names.unsubscribe, run).map(drop)
}

/// A subscription from its call to its end.
async fn run<S: Serve>(
    params: Params<'static>,
    pending: PendingSubscriptionSink,
    context: Arc<Context>,
    extensions: &Extensions,
) -> End {
    let metrics = context.node.metrics().clone();
    let begin = async {
        let visitor = Visitor::of_call(extensions);
        context.access.admit(&visitor, S::SCOPE)?;
        let places = Places::take(&context, extensions, &visitor)?;
        let read = parse_params_of(S::NAMES.subscribe, params.as_str())?;
        drop(params);
        Ok((places, S::open(context.clone(), read).await?))
    };
    let (places, mut feed) = match contained::<S, _>(begin).await {
        Ok(begun) => begun,
        Err(error) => {
            metrics.rpc_call(true);
            pending.reject(ErrorObjectOwned::from(error)).await;
            return End::untold();
        }
    };
    metrics.rpc_call(false);
    let Ok(sink) = pending.accept().await else { return End::untold() };
    metrics.subscribed();
    let way = Way::of(extensions);
    let error = feed_until_end::<S>(&context, &mut feed, &sink, &way).await;
    metrics.unsubscribed();
    if error.as_ref().is_some_and(|error| error.reason() == Some(RpcReason::SlowReader)) {
        metrics.slow_reader();
    }
    End { error, _places: Some(places) }
}

/// Passes items on until the reader is gone (`None`), or there is a reason to end.
async fn feed_until_end<S: Serve>(
    context: &Context,
    feed: &mut impl Feed<Item = S::Item>,
    sink: &SubscriptionSink,
    way: &Way,
) -> Option<RpcError> {
    let mut stopping = context.stopping.clone();
    loop {
        let next = tokio::select! {
            next = contained::<S, _>(feed.next()) => next,
            () = sink.closed() => return None,
            () = stopped(&mut stopping) => return Some(errors::stopping()),
        };
        let item = match next {
            Ok(item) => to_raw_value(&item).expect("items are structs of strings and numbers, always JSON"),
            Err(error) => return Some(error),
        };
        let told = tokio::select! {
            told = tell(context, item, sink, way) => told,
            () = stopped(&mut stopping) => return Some(errors::stopping()),
        };
        match told {
            Ok(()) => {}
            Err(Untold::Gone) => return None,
            Err(Untold::Late) => return Some(slow_reader()),
        }
    }
}

/// Why an item was not told.
enum Untold {
    /// The session has ended.
    Gone,
    /// Its reader did not make room for it in time.
    Late,
}

/// Tells an item, once there is room for it: for a large one among the large answers, for any in the session's queue.
async fn tell(
    context: &Context,
    item: Box<RawValue>,
    sink: &SubscriptionSink,
    way: &Way,
) -> Result<(), Untold> {
    let bytes = item.get().len();
    let place = context.answers.hold_when_free(way.visitor.address, bytes);
    let place = tokio::select! {
        place = timeout(context.reader_patience, place) => place.map_err(|_| Untold::Late)?,
        () = sink.closed() => return Err(Untold::Gone),
    };
    if let Some(outbox) = &way.outbox {
        outbox.put(bytes, place);
    }
    sink.send_timeout(item, context.reader_patience).await.map_err(|error| match error {
        SendTimeoutError::Closed(_) => Untold::Gone,
        SendTimeoutError::Timeout(_) => Untold::Late,
    })
}

/// Whom a subscription tells, and by which connection.
struct Way {
    visitor: Visitor,
    outbox: Option<Outbox>,
}

impl Way {
    fn of(extensions: &Extensions) -> Self {
        Self { visitor: Visitor::of_call(extensions), outbox: extensions.get::<Outbox>().cloned() }
    }
}

/// A panic costs its own subscription, and nobody else.
async fn contained<S: Serve, T>(work: impl Future<Output = Result<T, RpcError>>) -> Result<T, RpcError> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(subscription = S::NAMES.subscribe, "a subscription panicked");
        Err(RpcError::internal())
    })
}

/// A subscription's places: one among its session's, one among its address's, one among all. Only ever held.
#[derive(Debug)]
struct Places {
    _in_session: OwnedSemaphorePermit,
    _of_address: Place,
    _in_all: OwnedSemaphorePermit,
}

impl Places {
    fn take(context: &Context, extensions: &Extensions, visitor: &Visitor) -> Result<Self, RpcError> {
        let session = extensions.get::<SessionPlaces>().ok_or_else(RpcError::internal)?;
        Ok(Self {
            _in_session: take(&session.0).ok_or_else(|| {
                let most = SUBSCRIPTIONS_PER_WEBSOCKET;
                too_many(format!("this session has {most} subscriptions, as many as it may"))
            })?,
            _of_address: context.subscriptions_of_address.take(visitor.address).ok_or_else(|| {
                let most = SUBSCRIPTIONS_PER_ADDRESS;
                too_many(format!("this address has {most} subscriptions, as many as it may"))
            })?,
            _in_all: take(&context.subscriptions).ok_or_else(|| {
                too_many(format!("this node has {MAX_SUBSCRIPTIONS} subscriptions, as many as it takes"))
            })?,
        })
    }
}

fn take(places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    places.clone().try_acquire_owned().ok()
}

fn too_many(sentence: String) -> RpcError {
    let mut data = ErrorData::new(RpcReason::RateLimited);
    data.retry_after_ms = Some(CALLS_RETRY_MS);
    RpcError::refused(sentence, data)
}

fn slow_reader() -> RpcError {
    let sentence = "this reader did not take what it was told in time; subscribe again";
    RpcError::refused(sentence, ErrorData::new(RpcReason::SlowReader))
}

/// Nothing more can follow.
fn ended(sentence: &str) -> RpcError {
    RpcError::refused(sentence, ErrorData::new(RpcReason::Ended))
}

/// How a subscription ended: the last notification, if anybody is there to read it.
#[derive(Debug)]
struct End {
    error: Option<RpcError>,
    /// Kept until the last word is made, right before it is sent: a stopping server waits for that.
    _places: Option<Places>,
}

impl End {
    fn untold() -> Self {
        Self { error: None, _places: None }
    }
}

impl IntoSubscriptionCloseResponse for End {
    fn into_response(self) -> SubscriptionCloseResponse {
        match self.error.map(|error| to_raw_value(&error)) {
            Some(Ok(json)) => SubscriptionCloseResponse::NotifErr(SubscriptionError::from_json(json)),
            _ => SubscriptionCloseResponse::None,
        }
    }
}
