//! What the tests of the server share: a node that serves on loopback, and a caller that writes its own bytes,
//! so that it can also say what no proper client would.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use printsy_consensus::Genesis;
use printsy_node::clock::Clock;
use printsy_node::datadir::{Datadir, GivenGenesis};
use printsy_node::node::{MiningOptions, Node, NodeOptions};
use printsy_node::server::ServerOptions;
use printsy_node::storage::Storage;
use printsy_node::{MiningMode, OnConflict};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::key;

/// How long any answer may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A node alone, in memory, that serves on loopback and generates blocks with `miner-1`.
pub async fn serving(genesis: &Arc<Genesis>, change: impl FnOnce(&mut ServerOptions)) -> Node {
    start(genesis, None, change).await
}

/// The same, mining by itself while orders wait.
pub async fn mining(genesis: &Arc<Genesis>) -> Node {
    start(genesis, Some(MiningMode::OnDemand), |_| {}).await
}

/// The same, mining by itself all the time.
pub async fn always_mining(genesis: &Arc<Genesis>) -> Node {
    start(genesis, Some(MiningMode::Always), |_| {}).await
}

/// A number of `/metrics`.
pub async fn metric(address: SocketAddr, name: &str) -> f64 {
    number(&get(address, "/metrics").await.body, name)
}

/// A number out of what `/metrics` said.
pub fn number(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}")).trim().parse().unwrap()
}

async fn start(
    genesis: &Arc<Genesis>,
    mode: Option<MiningMode>,
    change: impl FnOnce(&mut ServerOptions),
) -> Node {
    let mut server = ServerOptions::new("127.0.0.1:0".parse().unwrap(), genesis.params());
    server.generate_key = Some(key("miner-1"));
    change(&mut server);
    let mining = mode.map(|mode| MiningOptions {
        key: key("miner-1"),
        threads: 1,
        kernel: None,
        mode,
        wait_for_peer: false,
    });
    let options = NodeOptions {
        genesis: genesis.clone(),
        storage: Storage::Memory,
        network: None,
        mining,
        server: Some(server),
        clock: Clock::default(),
        guard: None,
        on_conflict: OnConflict::Stay,
    };
    Node::start(options).await.unwrap()
}

/// A node in a folder, on a disk that has less room than the node asks for.
pub async fn with_little_room(genesis: &Arc<Genesis>, folder: &std::path::Path) -> Node {
    let given =
        GivenGenesis { genesis: (**genesis).clone(), text: genesis.to_json(), from: "a test".to_owned() };
    let (datadir, _) = Datadir::open(folder, Some(given)).unwrap();
    let options = NodeOptions {
        genesis: genesis.clone(),
        storage: Storage::Datadir(folder.to_owned()),
        network: None,
        mining: None,
        server: Some(ServerOptions::new("127.0.0.1:0".parse().unwrap(), genesis.params())),
        clock: Clock::default(),
        guard: Some(datadir.guard(u64::MAX / 4).unwrap()),
        on_conflict: OnConflict::Stay,
    };
    let node = Node::start(options).await.unwrap();
    // The folder outlives the node, and no other process wants it.
    drop(datadir);
    node
}

/// Where a node serves.
pub fn address(node: &Node) -> SocketAddr {
    node.server().unwrap().local_addr()
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its head, as it came.
    pub head: String,
    /// Its body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Writes these very bytes and reads the answer until the server closes.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let exchange = async {
        // A server that has heard enough may close before all is written.
        let _ = socket.write_all(bytes).await;
        let mut text = Vec::new();
        let _ = socket.read_to_end(&mut text).await;
        String::from_utf8(text).unwrap()
    };
    let text = tokio::time::timeout(PATIENCE, exchange).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// A request with this method, path, headers (each `Name: value\r\n`) and body.
pub async fn request(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    raw(address, text.as_bytes()).await
}

/// `GET`.
pub async fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, "GET", path, "Host: localhost\r\n", "").await
}

/// `POST` of JSON to the RPC path.
pub async fn post(address: SocketAddr, body: &str) -> Answer {
    let headers = "Host: localhost\r\nContent-Type: application/json\r\n";
    request(address, "POST", "/", headers, body).await
}

/// A call with these params: the whole answer object.
pub async fn call(address: SocketAddr, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let answer = post(address, &body.to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// A call that succeeds: its result.
pub async fn result(address: SocketAddr, method: &str, params: Value) -> Value {
    let mut answer = call(address, method, params).await;
    assert!(answer.get("error").is_none(), "{method}: {answer}");
    answer["result"].take()
}

/// A call that is refused: its error.
pub async fn error(address: SocketAddr, method: &str, params: Value) -> Value {
    let mut answer = call(address, method, params).await;
    assert!(answer.get("result").is_none(), "{method}: {answer}");
    answer["error"].take()
}

/// A WebSocket session, as little of one as the tests need: text frames below 64 KiB.
pub struct Session(TcpStream);

impl Session {
    /// Opens one with these further headers; or the status that refuses it.
    pub async fn open(address: SocketAddr, headers: &str) -> Result<Self, u16> {
        Self::over(TcpStream::connect(address).await.unwrap(), headers).await
    }

    /// Opens one whose system keeps little of what is not read.
    pub async fn open_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        Self::over(socket.connect(address).await.unwrap(), "Host: localhost\r\n").await.unwrap()
    }

    async fn over(mut socket: TcpStream, headers: &str) -> Result<Self, u16> {
        let text = format!(
            "GET / HTTP/1.1\r\n{headers}Connection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        socket.write_all(text.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        let status = String::from_utf8(head).unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        if status == 101 { Ok(Self(socket)) } else { Err(status) }
    }

    /// Sends a text.
    pub async fn send(&mut self, text: &str) {
        let mut frame = vec![0x81];
        match u16::try_from(text.len()) {
            Ok(short @ 0..126) => frame.push(0x80 | u8::try_from(short).unwrap()),
            Ok(long) => {
                frame.push(0x80 | 126);
                frame.extend(long.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 127);
                frame.extend(u64::try_from(text.len()).unwrap().to_be_bytes());
            }
        }
        // A mask of zeros leaves the text as it is.
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        self.0.write_all(&frame).await.unwrap();
    }

    /// The next text, as JSON; `None` once the session is closed.
    pub async fn receive(&mut self) -> Option<Value> {
        let read = async {
            loop {
                let kind = self.0.read_u8().await.ok()? & 0x0f;
                let length = match self.0.read_u8().await.ok()? {
                    126 => usize::from(self.0.read_u16().await.ok()?),
                    127 => usize::try_from(self.0.read_u64().await.ok()?).unwrap(),
                    short => usize::from(short),
                };
                let mut text = vec![0; length];
                self.0.read_exact(&mut text).await.ok()?;
                match kind {
                    1 => return Some(serde_json::from_slice(&text).unwrap()),
                    8 => return None,
                    _ => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, read).await.unwrap()
    }
}
