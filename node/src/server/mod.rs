//! The RPC server: JSON-RPC over HTTP and WebSocket, health and metrics, all on one port.
//!
//! It owns no state of the chain: every answer is read from the ledger's reader or given by the core through
//! the [`NodeHandle`]. What anyone may send is bounded by the table in `limits`.
//!
//! - `subscriptions`: what WebSocket sessions are told as it happens
//! - `listen`: connections; `patience`: how long they may take to read; `host`: whose pages may call; `http`: the routes;
//!   `envelope`: what is a call; `body`, `gate`, `outbox`: bounds on calls and answers; `large`: their places
//! - `access`: who may call what, and how often
//! - `methods`: how a method is read, run and answered; `context`: what the methods share
//! - `market`, `orders`, `status`: images and orders; `chain`, `block`: the chain; `proof`: proofs; `mining`, `admin`:
//!   blocks; `operate`: the node itself
//! - `errors`: refusals as the interface tells them; `health`: `/livez`, `/readyz`, `/metrics`

mod access;
mod admin;
mod block;
mod body;
mod chain;
mod context;
mod cors;
mod envelope;
mod errors;
mod gate;
mod health;
mod history;
mod host;
mod http;
mod large;
mod limits;
mod listen;
mod market;
mod methods;
mod mining;
mod operate;
mod orders;
mod outbox;
mod patience;
mod proof;
mod status;
mod subscriptions;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jsonrpsee::server::RegisterMethodError;
use printsy_consensus::{Params, SecretKey};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::exit::Failure;
use crate::handle::NodeHandle;
use crate::logging::LogControl;
use crate::tokens::Tokens;
use access::{Access, Places, Proxies};
use context::Context;
use host::Hosts;
use http::Front;

pub use access::{AccessOptions, DEFAULT_RATE};
pub use limits::{MAX_BATCH, MAX_CONNECTIONS};

/// How the server is to be.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Where to listen; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// Names besides the loopback's under which callers may know a server that is bound to the loopback.
    pub hosts: Vec<String>,
    /// Origins whose pages may call and read the answers (CORS), such as `https://shop.example`.
    pub cors_origins: Vec<String>,
    /// Who may call what, and how often.
    pub access: AccessOptions,
    /// The process's log, for `setLogLevel`; none where the log is not this node's own.
    pub logs: Option<LogControl>,
    /// The largest body of a request, in bytes.
    pub max_body_bytes: u32,
    /// The largest answer, in bytes: of a call, and of a batch together.
    pub max_answer_bytes: u32,
    /// The most calls of one JSON-RPC batch.
    pub max_batch: u32,
    /// The most connections at once.
    pub max_connections: usize,
    /// How long a notification waits for a slow reader before its subscription ends.
    pub reader_patience: Duration,
    /// The key that `generateBlocks` signs with; without one it refuses.
    pub generate_key: Option<SecretKey>,
    /// Whether this node was told of others, so that having none is worth an alarm.
    pub expects_peers: bool,
}

impl ServerOptions {
    /// The usual options for a network with these parameters.
    #[must_use]
    pub fn new(listen: SocketAddr, params: &Params) -> Self {
        Self {
            listen,
            hosts: Vec::new(),
            cors_origins: Vec::new(),
            access: AccessOptions::default(),
            logs: None,
            max_body_bytes: limits::request_bytes(params),
            max_answer_bytes: limits::answer_bytes(params),
            max_batch: MAX_BATCH,
            max_connections: MAX_CONNECTIONS,
            reader_patience: limits::READER_PATIENCE,
            generate_key: None,
            expects_peers: false,
        }
    }
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Somebody else listens there.
    #[error("cannot listen on {address}: the port is in use; give another with --rpc-listen")]
    InUse {
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// The system does not let it listen.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// The system's words.
        source: std::io::Error,
    },
    /// The file of tokens cannot be read, or is none.
    #[error(transparent)]
    Tokens(Failure),
    /// Two methods of one name: our mistake, found when the server is put together.
    #[error("cannot register the methods: {0}")]
    Methods(#[from] RegisterMethodError),
}

/// A running server. Dropping it stops it at once, without letting calls end.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, answers whoever waits with what there is to say now, lets calls end within a bound.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if timeout(limits::STOP_TIME, &mut self.task).await.is_err() {
            tracing::warn!("calls did not end in time; their connections are cut");
        }
    }

    /// Waits until the server has ended by itself, which only a panic makes it do.
    pub async fn ended(&mut self) {
        // However it ended, it is not there any more.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Binds the port and serves until the server is stopped.
///
/// # Errors
/// [`ServerError`].
pub async fn serve(
    options: ServerOptions,
    node: NodeHandle,
    registry: Arc<Registry>,
) -> Result<Server, ServerError> {
    let address = options.listen;
    let listener = TcpListener::bind(address).await.map_err(|source| refused(address, source))?;
    let address = listener.local_addr().map_err(|source| refused(address, source))?;
    let (stop, stopping) = watch::channel(false);
    let hosts = Hosts::new(address.ip(), &options.hosts, &options.cors_origins);
    let tokens = match &options.access.tokens_in {
        Some(folder) => Tokens::load(folder).map_err(ServerError::Tokens)?,
        None => Tokens::default(),
    };
    let access = Arc::new(Access::new(&options.access, tokens, node.params().is_development()));
    let max_connections = options.max_connections;
    let context = Arc::new(Context::new(node, &options, access.clone(), stopping.clone()));
    let proxies = Proxies {
        is_behind_one: options.access.behind_proxy,
        trusted: options.access.trusted_proxies.clone(),
    };
    let door = listen::Door { hosts, proxies, places: Places::new(limits::CONNECTIONS_PER_ADDRESS) };
    let front = Front::new(context.clone(), &options, registry)?;
    let task = tokio::spawn(async move {
        tokio::select! {
            () = listen::run(listener, front, door, max_connections, stopping) => {}
            () = context.follow_tip() => {}
            () = access.follow_tokens() => {}
        }
    });
    tracing::info!(%address, "serving");
    Ok(Server { address, stop, task })
}

fn refused(address: SocketAddr, source: std::io::Error) -> ServerError {
    match source.kind() {
        std::io::ErrorKind::AddrInUse => ServerError::InUse { address },
        _ => ServerError::Listen { address, source },
    }
}
