//! Connections: accepted up to a bound, each served by its own task, ended together.
//!
//! hyper speaks HTTP/1 here, with a bound on the size of headers and on the time they may take; who stops reading is
//! cut off. A WebSocket
//! leaves its connection's task, so each request carries the connection's permit along: what was upgraded
//! still counts.

use std::convert::Infallible;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
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

use super::access::{Place, Places, Proxies, Visitor};
use super::context::stopped;
use super::host::Hosts;
use super::http::Front;
use super::limits::{ACCEPT_PAUSE, HEADER_BYTES, HEADER_TIME, WRITE_TIME};
use super::outbox::Outbox;
use super::patience::Patient;

/// What is looked at before a request is let in.
#[derive(Clone, Debug)]
pub(super) struct Door {
    /// Under which names the server is called, and whose pages may call it.
    pub(super) hosts: Hosts,
    /// Whose word counts of who calls.
    pub(super) proxies: Proxies,
    /// The connections of each address.
    pub(super) places: Arc<Places>,
}

impl Door {
    /// A place for a connection. A proxy's has none of its own: each request by it is counted for whom it is passed on.
    fn admit(&self, address: IpAddr) -> Option<Place> {
        if self.proxies.trust(address) { Some(Places::uncounted()) } else { self.places.take(address) }
    }
}

/// What a connection too many of its address is told. It costs no task and no place.
const TOO_MANY: &str = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-type: text/plain\r\n\
                        content-length: 47\r\n\r\ntoo many connections from this address at once\n";

/// Keeps a connection counted, and what a proxy passes on by it; only ever held.
#[derive(Clone, Debug)]
struct Counted {
    _permit: Arc<OwnedSemaphorePermit>,
    _of_address: Arc<Place>,
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
                let Some(place) = door.admit(remote.ip()) else {
                    turn_away(socket);
                    continue;
                };
                let connection = Connection {
                    router: router.clone(),
                    door: door.clone(),
                    remote,
                    counted: Counted { _permit: Arc::new(permit), _of_address: Arc::new(place) },
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

/// What was never written to takes this much at once, whoever reads it.
fn turn_away(socket: TcpStream) {
    if let Ok(mut socket) = socket.into_std() {
        // Who does not take it hears nothing.
        let _ = socket.write(TOO_MANY.as_bytes());
    }
}

fn refusal(status: StatusCode, sentence: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(sentence));
    *response.status_mut() = status;
    response
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
        let outbox = Outbox::default();
        let stream = Patient::new(socket, WRITE_TIME, outbox.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(outbox.clone());
            self.clone().answer(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .max_buf_size(HEADER_BYTES)
            .serve_connection(TokioIo::new(stream), service)
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
            return Ok(refusal(StatusCode::FORBIDDEN, sentence));
        }
        let readers = self.door.hosts.cross_origin(request.headers());
        if let Some(preflight) = readers.as_ref().and_then(|readers| readers.preflight(&request)) {
            return Ok(preflight);
        }
        let is_for_here = Hosts::is_for_this_machine(request.uri(), request.headers());
        let mut visitor = Visitor::of(self.remote, &self.door.proxies, request.headers_mut());
        visitor.is_local &= is_for_here;
        let is_passed_on = visitor.address != self.remote.ip().to_canonical();
        let place = is_passed_on.then(|| self.door.places.take(visitor.address));
        let Some(_passed_on) = place.map_or(Some(None), |place| place.map(Some)) else {
            let sentence = "too many calls from this address at once\n";
            return Ok(refusal(StatusCode::SERVICE_UNAVAILABLE, sentence));
        };
        request.extensions_mut().insert(visitor);
        request.extensions_mut().insert(self.counted);
        let mut response = self.router.call(request).await?;
        readers.inspect(|readers| readers.allow(&mut response));
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_connection_too_many_is_told_is_http() {
        let (head, body) = TOO_MANY.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503 "));
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
    }

    #[test]
    fn an_address_has_so_many_connections_and_a_trusted_proxy_any_number() {
        let proxies = Proxies { is_behind_one: true, trusted: vec!["192.0.2.9".parse().unwrap()] };
        let hosts = Hosts::new("127.0.0.1".parse().unwrap(), &[], &[]);
        let door = Door { hosts, proxies, places: Places::new(1) };
        let _held = door.admit("192.0.2.1".parse().unwrap()).unwrap();
        assert!(door.admit("192.0.2.1".parse().unwrap()).is_none());
        let held: Vec<_> = (0..9).map(|_| door.admit("192.0.2.9".parse().unwrap())).collect();
        assert!(held.iter().all(Option::is_some));
    }

    #[tokio::test]
    async fn a_connection_that_is_turned_away_reads_why() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut caller = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        turn_away(listener.accept().await.unwrap().0);
        let mut told = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut caller, &mut told).await.unwrap();
        assert_eq!(told, TOO_MANY);
    }
}
