//! Measures what the RPC of one node in this process bears: single calls of `isAvailable` against a bare hyper server that
//! echoes, batches of a hundred against single calls, and the patience of a caller beside a thousand slow connections.
//!
//! `cargo run --release --locked -p printsy-node --example rpc_load [SECONDS]`. Everything is on the loopback, in one
//! process, by the same client; figures are of this machine.
#![allow(clippy::print_stdout, reason = "a program that prints what it measured")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use printsy_node::OnConflict;
use printsy_node::clock::Clock;
use printsy_node::node::{Node, NodeOptions};
use printsy_node::server::ServerOptions;
use printsy_node::storage::Storage;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// As the daemon's.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How many callers call at once.
const CALLERS: usize = 16;
/// How many rounds the first three measurements have.
const ROUNDS: usize = 7;
/// How many calls a batch has.
const BATCH: u64 = 100;
/// How many connections send a byte a second.
const SLOW: usize = 1_000;

#[tokio::main]
async fn main() {
    let seconds =
        std::env::args().nth(1).map_or(1.0, |text| text.parse().expect("usage: rpc_load [SECONDS]"));
    let time = Duration::from_secs_f64(seconds);
    let node = node().await;
    let at = node.server().unwrap().local_addr();
    let (one, many) = (call(25), batch());
    let echo = echo_server().await;
    let mut rounds: [Vec<u64>; 3] = Default::default();
    // A first round warms up. Rounds are interleaved: what else the machine does meets all three.
    for round in 0..=ROUNDS {
        for (answered, (at, body)) in rounds.iter_mut().zip([(echo, &one), (at, &one), (at, &many)]) {
            let requests = load(at, body, time).await;
            if round > 0 {
                answered.push(requests);
            }
        }
    }
    let [echo, single, batched] = rounds.map(median);
    let rate = |requests: u64| requests * 1_000 / u64::try_from(time.as_millis().max(1)).unwrap();
    println!("bare hyper echo        {:>9} requests/s, the median of {ROUNDS} rounds", rate(echo));
    println!(
        "isAvailable, single    {:>9} calls/s, {:.2} of the echo (wanted: 0.65)",
        rate(single),
        ratio(single, echo)
    );
    println!(
        "isAvailable, by {BATCH}    {:>9} calls/s, {:.1} times single (wanted: 8)",
        rate(batched * BATCH),
        ratio(batched * BATCH, single)
    );
    let alone = patience(at, &one, time).await;
    let slow = slow_connections(at).await;
    let beside = patience(at, &one, time).await;
    println!(
        "p99 of isAvailable     {alone:?} alone, {beside:?} beside {} slow connections (wanted: 50ms)",
        slow.len()
    );
    slow.into_iter().for_each(|task| task.abort());
    node.stop().await.unwrap();
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

fn ratio(a: u64, b: u64) -> f64 {
    f64::from(u32::try_from(a).unwrap_or(u32::MAX)) / f64::from(u32::try_from(b.max(1)).unwrap_or(u32::MAX))
}

fn call(id: u64) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"isAvailable","params":{{"image":{id}}}}}"#)
}

fn batch() -> String {
    let calls: Vec<String> = (0..BATCH).map(call).collect();
    format!("[{}]", calls.join(","))
}

async fn node() -> Node {
    let genesis = Arc::new(printsy_node::dev::genesis());
    let server = ServerOptions::new(([127, 0, 0, 1], 0).into(), genesis.params());
    Node::start(NodeOptions {
        genesis,
        storage: Storage::Memory,
        network: None,
        mining: None,
        server: Some(server),
        clock: Clock::default(),
        guard: None,
        on_conflict: OnConflict::Stay,
    })
    .await
    .unwrap()
}

/// A server that answers each request with its body, and does nothing else.
async fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            socket.set_nodelay(true).unwrap();
            let answer = |request: Request<Incoming>| async move {
                let body = axum::body::to_bytes(Body::new(request.into_body()), 1 << 20).await.unwrap();
                Ok::<_, Infallible>(Response::new(Body::from(body)))
            };
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(answer)));
        }
    });
    at
}

/// How many requests were answered in this time, by all callers.
async fn load(at: SocketAddr, body: &str, time: Duration) -> u64 {
    let end = Instant::now() + time;
    let callers = (0..CALLERS).map(|_| {
        let body = body.to_owned();
        tokio::spawn(async move {
            let mut caller = Caller::open(at).await;
            let mut answered = 0;
            while Instant::now() < end {
                caller.post(&body).await;
                answered += 1;
            }
            answered
        })
    });
    futures::future::join_all(callers).await.into_iter().map(|answered| answered.unwrap()).sum()
}

/// How long 99 of 100 calls of one caller took at the most.
async fn patience(at: SocketAddr, body: &str, time: Duration) -> Duration {
    let mut caller = Caller::open(at).await;
    let end = Instant::now() + time;
    let mut took = Vec::new();
    while Instant::now() < end {
        let begin = Instant::now();
        caller.post(body).await;
        took.push(begin.elapsed());
    }
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

/// Connections that send the head of a request a byte a second.
async fn slow_connections(at: SocketAddr) -> Vec<tokio::task::JoinHandle<()>> {
    let mut tasks = Vec::new();
    for _ in 0..SLOW {
        let mut socket = TcpStream::connect(at).await.unwrap();
        tasks.push(tokio::spawn(async move {
            for byte in b"POST / HTTP/1.1\r\nHost: localhost\r\nX: ".iter().cycle() {
                if socket.write_u8(*byte).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }));
    }
    tasks
}

/// One connection that is kept open.
struct Caller(BufReader<TcpStream>);

impl Caller {
    async fn open(at: SocketAddr) -> Self {
        let socket = TcpStream::connect(at).await.unwrap();
        socket.set_nodelay(true).unwrap();
        Self(BufReader::new(socket))
    }

    async fn post(&mut self, body: &str) {
        let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length:";
        self.0.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
        let (mut length, mut line) = (0, String::new());
        loop {
            line.clear();
            tokio::io::AsyncBufReadExt::read_line(&mut self.0, &mut line).await.unwrap();
            match line.to_ascii_lowercase().strip_prefix("content-length:") {
                Some(text) => length = text.trim().parse().unwrap(),
                None if line == "\r\n" => break,
                None => assert!(!line.is_empty(), "the server closed the connection"),
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer).await.unwrap();
    }
}
