//! Connections: accepted up to a bound, each served by its own task, ended together.
//!
//! hyper speaks HTTP/1 here, with a bound on the size of headers and on the time they may take; who stops reading is
//! cut off. A WebSocket
//! leaves its connection's task, so each request carries the connection's permit along: what was upgraded
//! still counts.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tower::Service;

use super::access::Visitor;
use super::context::stopped;
use super::host::Hosts;
use super::http::Front;
use super::limits::{ACCEPT_PAUSE, HEADER_BYTES, HEADER_TIME, WRITE_TIME};
use super::patience::Patient;

/// What is looked at before a request is let in.
#[derive(Clone, Debug)]
pub(super) struct Door {
    /// Under which names the server is called, and whose pages may call it.
    pub(super) hosts: Hosts,
    /// Whether a proxy stands before it.
    pub(super) behind_proxy: bool,
}

/// Keeps a connection counted; only ever held.
#[derive(Clone, Debug)]
struct Counted {
    _permit: Arc<OwnedSemaphorePermit>,
}

/// Accepts and serves until told to stop, then waits until every connection has ended.
pub(super) async fn run(
    listener: TcpListener,
    front: Arc<Front>,
    door: Door,
    max_connections: usize,
    mut stopping: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(max_connections));
    let router = front.clone().router();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stopped(&mut stopping) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            (socket, remote, permit) = accept(&listener, &places) => {
                let connection = Connection {
                    router: router.clone(),
                    door: door.clone(),
                    remote,
                    counted: Counted { _permit: Arc::new(permit) },
                };
                connections.spawn(connection.serve(socket, stopping.clone()));
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    tokio::join!(drained, front.end_sessions());
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let permit = places.clone().acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((socket, remote)) => return (socket, remote, permit),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

#[derive(Clone)]
struct Connection {
    router: Router,
    door: Door,
    remote: SocketAddr,
    counted: Counted,
}

impl Connection {
    async fn serve(self, socket: TcpStream, mut stopping: watch::Receiver<bool>) {
        // Only a hint: without it answers are a little later.
        let _ = socket.set_nodelay(true);
        let remote = self.remote;
        let service = service_fn(move |request| self.clone().answer(request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .max_buf_size(HEADER_BYTES)
            .serve_connection(TokioIo::new(Patient::new(socket, WRITE_TIME)), service)
            .with_upgrades();
        tokio::pin!(connection);
        let result = tokio::select! {
            result = &mut connection => result,
            () = stopped(&mut stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%remote, %error, "connection ended");
        }
    }

    async fn answer(mut self, mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        if !self.door.hosts.allow(request.uri(), request.headers()) {
            let sentence = "this server does not answer to that host or origin\n";
            let mut response = Response::new(Body::from(sentence));
            *response.status_mut() = StatusCode::FORBIDDEN;
            return Ok(response);
        }
        let readers = self.door.hosts.cross_origin(request.headers());
        if let Some(preflight) = readers.as_ref().and_then(|readers| readers.preflight(&request)) {
            return Ok(preflight);
        }
        let is_for_here = Hosts::is_for_this_machine(request.uri(), request.headers());
        let mut visitor = Visitor::of(self.remote, self.door.behind_proxy, request.headers_mut());
        visitor.is_local &= is_for_here;
        request.extensions_mut().insert(visitor);
        request.extensions_mut().insert(self.counted);
        let mut response = self.router.call(request).await?;
        readers.inspect(|readers| readers.allow(&mut response));
        Ok(response)
    }
}
