//! The routes of the one port: JSON-RPC at `/` by POST and WebSocket, health and metrics by GET.
//!
//! A body is read before the call is looked at, within the bounds of `body`; jsonrpsee only ever sees it whole.
//! What is wrong before there is a call is answered by an HTTP status.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use jsonrpsee::core::middleware::RpcServiceBuilder;
use jsonrpsee::server::{
    BatchRequestConfig, Methods, PingConfig, RegisterMethodError, Server, ServerConfig, ServerHandle,
    StopHandle, TowerService, http as answers, stop_channel, ws,
};
use prometheus_client::registry::Registry;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tower::Service;
use tower::layer::util::{Identity, Stack};

use super::access::{Place, Places, Visitor};
use super::body::{self, BadBody};
use super::context::Context;
use super::envelope;
use super::gate::{GateLayer, Transport};
use super::large::Large;
use super::limits::{
    FAREWELL_TIME, LARGE_BODIES_KIB, MAX_SUBSCRIPTIONS, MAX_WEBSOCKETS, SMALL_BODY_BYTES, WEBSOCKET_ANSWERS,
    WEBSOCKET_BYTES, WEBSOCKETS_PER_ADDRESS,
};
use super::outbox::Outbox;
use super::{ServerOptions, health, methods, subscriptions};

/// jsonrpsee's own bound refuses with a code that no table has: the gate and `subscriptions` keep ours.
const NO_BOUND: u32 = 1 << 20;

type Calls = TowerService<Stack<GateLayer, Identity>, Identity>;

/// What the routes share.
pub(super) struct Front {
    pub(super) context: Arc<Context>,
    pub(super) registry: Arc<Registry>,
    http: Calls,
    sessions_by: SessionsBy,
    max_body: u32,
    large_bodies: Large,
    sessions: Arc<Semaphore>,
    sessions_of_address: Arc<Places>,
    /// Tells WebSocket sessions to end.
    end: ServerHandle,
}

/// What a session is made of.
struct SessionsBy {
    config: ServerConfig,
    gate: GateLayer,
    methods: Methods,
    /// That all of them are to end.
    stop: StopHandle,
}

/// Keeps a WebSocket session counted; only ever held.
#[derive(Clone, Debug)]
struct Session {
    _permit: Arc<OwnedSemaphorePermit>,
    _of_address: Arc<Place>,
}

impl Front {
    /// The routes' share, with every method registered.
    pub(super) fn new(
        context: Arc<Context>,
        options: &ServerOptions,
        registry: Arc<Registry>,
    ) -> Result<Arc<Self>, RegisterMethodError> {
        let mut methods = methods::all(context.clone())?;
        methods.merge(subscriptions::all(context.clone())?)?;
        let methods: Methods = methods.into();
        let (stop, end) = stop_channel();
        let answer = options.max_answer_bytes;
        let max_answer = usize::try_from(answer).unwrap_or(usize::MAX);
        let gate = |transport| GateLayer { transport, answers: context.answers.clone(), max_answer };
        let http = config(options, options.max_body_bytes, answer).build();
        let websocket = config(options, options.max_body_bytes.min(WEBSOCKET_BYTES), answer)
            .set_message_buffer_capacity(WEBSOCKET_ANSWERS)
            .enable_ws_ping(PingConfig::default())
            .build();
        Ok(Arc::new(Self {
            http: calls(http, gate(Transport::Http), methods.clone(), stop.clone()),
            sessions_by: SessionsBy { config: websocket, gate: gate(Transport::WebSocket), methods, stop },
            max_body: options.max_body_bytes,
            large_bodies: Large::new(LARGE_BODIES_KIB, SMALL_BODY_BYTES),
            sessions: Arc::new(Semaphore::new(MAX_WEBSOCKETS)),
            sessions_of_address: Places::new(WEBSOCKETS_PER_ADDRESS),
            context,
            registry,
            end,
        }))
    }

    /// The routes.
    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/", any(call))
            .route("/livez", get(health::live))
            .route("/readyz", get(health::ready))
            .route("/metrics", get(health::metrics))
            .with_state(self)
    }

    /// Ends the WebSocket sessions, once their subscriptions have said so, and waits until they have.
    pub(super) async fn end_sessions(&self) {
        let every = u32::try_from(MAX_SUBSCRIPTIONS).expect("a small constant");
        // Who does not read is not waited for.
        drop(timeout(FAREWELL_TIME, self.context.subscriptions.acquire_many(every)).await);
        // Where nobody listens there is no session.
        let _ = self.end.stop();
        let all = u32::try_from(MAX_WEBSOCKETS).expect("a small constant");
        // The semaphore is never closed, so this only ever waits.
        drop(self.sessions.acquire_many(all).await);
    }
}

fn config(options: &ServerOptions, request: u32, answer: u32) -> jsonrpsee::server::ServerConfigBuilder {
    ServerConfig::builder()
        .max_request_body_size(request)
        .max_response_body_size(answer)
        .max_connections(u32::try_from(options.max_connections).unwrap_or(u32::MAX))
        .max_subscriptions_per_connection(NO_BOUND)
        .set_batch_request_config(BatchRequestConfig::Limit(options.max_batch))
}

fn calls(config: ServerConfig, gate: GateLayer, methods: Methods, stop: StopHandle) -> Calls {
    Server::builder()
        .set_config(config)
        .set_rpc_middleware(RpcServiceBuilder::new().layer(gate))
        .to_service_builder()
        .build(methods, stop)
}

/// `/`: a WebSocket, or calls by POST.
async fn call(State(front): State<Arc<Front>>, request: Request) -> Response {
    if ws::is_upgrade_request(&request) {
        return open_session(&front, request).await;
    }
    if request.method() != Method::POST {
        return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "POST")], "calls come by POST\n").into_response();
    }
    if !answers::is_json(request.headers().get(CONTENT_TYPE)) {
        let sentence = "calls have the content type application/json\n";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence).into_response();
    }
    let max = usize::try_from(front.max_body).unwrap_or(usize::MAX);
    let length = request.headers().get(CONTENT_LENGTH).and_then(length_of);
    if length.is_some_and(|length| length > max) {
        return answers::response::too_large(front.max_body).map(Body::new);
    }
    let (mut parts, body) = request.into_parts();
    // Each call of a batch is given a copy of these: who calls, and by which connection, is all that is asked for.
    let visitor = Visitor::of_call(&parts.extensions);
    let outbox = parts.extensions.remove::<Outbox>();
    parts.extensions.clear();
    parts.extensions.insert(visitor);
    outbox.clone().map(|outbox| parts.extensions.insert(outbox));
    match body::read(&front.large_bodies, visitor.address, body, length, max).await {
        Err(BadBody::Crowded) => {
            (StatusCode::SERVICE_UNAVAILABLE, "too many large bodies at once\n").into_response()
        }
        Err(BadBody::Slow) => (StatusCode::REQUEST_TIMEOUT, "the body took too long\n").into_response(),
        Err(BadBody::TooLarge) => answers::response::too_large(front.max_body).map(Body::new),
        Err(BadBody::Broken) => answers::response::malformed().map(Body::new),
        // Its places are kept until the call is answered.
        Ok((bytes, _places)) => {
            let text = envelope::begin(Bytes::from(bytes));
            // jsonrpsee makes a copy of its own: a large one is not kept beside it.
            let kept = (text.len() <= SMALL_BODY_BYTES).then(|| text.clone());
            let response = pass(front.http.clone(), Request::from_parts(parts, Body::from(text))).await;
            let response = envelope::amended(response, kept).await;
            counted(&front.context.answers, visitor, outbox.as_ref(), response)
        }
    }
}

/// An answer with its places: the gate has counted those to calls, and nobody yet what jsonrpsee says of what is none.
fn counted(answers: &Large, visitor: Visitor, outbox: Option<&Outbox>, response: Response) -> Response {
    let bytes = response.body().size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let (Some(outbox), Some(bytes)) = (outbox, bytes) else { return response };
    if answers.is_small(bytes) || outbox.has(bytes) {
        return response;
    }
    match answers.hold(visitor.address, bytes) {
        Ok(held) => {
            outbox.put(bytes, held);
            response
        }
        Err(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "too many large answers are on their way\n").into_response()
        }
    }
}

async fn open_session(front: &Front, mut request: Request) -> Response {
    let visitor = Visitor::of_call(request.extensions());
    let Some(place) = front.sessions_of_address.take(visitor.address) else {
        let sentence = "too many sessions of this address at once\n";
        return (StatusCode::SERVICE_UNAVAILABLE, sentence).into_response();
    };
    let Ok(permit) = front.sessions.clone().try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many sessions at once\n").into_response();
    };
    request.extensions_mut().insert(Session { _permit: Arc::new(permit), _of_address: Arc::new(place) });
    let SessionsBy { config, gate, methods, .. } = &front.sessions_by;
    let (stop, end) = stop_channel();
    let session = calls(config.clone(), gate.clone(), methods.clone(), stop);
    let revoked = front.context.access.revoked(visitor.credential);
    tokio::spawn(end_in_time(revoked, front.sessions_by.stop.clone(), end));
    pass(session, request).await
}

/// Ends a session when all end, or the token is taken away that opened it; goes when it has ended by itself.
async fn end_in_time(revoked: impl Future<Output = ()>, all: StopHandle, end: ServerHandle) {
    tokio::select! {
        () = end.clone().stopped() => return,
        () = all.shutdown() => {}
        () = revoked => {}
    }
    // It may have ended this moment.
    let _ = end.stop();
}

async fn pass(mut calls: Calls, request: Request) -> Response {
    match calls.call(request).await {
        Ok(response) => response.map(Body::new),
        Err(error) => {
            tracing::error!(%error, "a call could not be answered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn length_of(value: &HeaderValue) -> Option<usize> {
    value.to_str().ok()?.parse().ok()
}
