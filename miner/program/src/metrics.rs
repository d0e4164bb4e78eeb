//! The program's metrics, `printsy_rig_<what>_<unit>`, and the little server that offers them. `printsy_miner_*` are a
//! node's, of its own miner.
//!
//! The same handles are what the status line and the summary are made of, so that no number is counted twice.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use printsy_consensus::Rule;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::desk::What;
use crate::exit::Failure;

/// The most connections to the server at once: one scraper, and somebody who looks.
const MAX_CONNECTIONS: usize = 16;
/// The most bytes of a request's headers.
const HEADER_BYTES: usize = 16 << 10;
/// How long a request's headers may take.
const HEADER_TIME: Duration = Duration::from_secs(5);
/// How long a connection may last: it is for one answer.
const CONNECTION_TIME: Duration = Duration::from_secs(30);
/// The pause after a connection could not be accepted: the system is out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

type Label = [(&'static str, &'static str); 1];
type Level = Gauge<u64, AtomicU64>;

/// Handles to the metrics. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    blocks: Family<Label, Counter>,
    refusals: Family<Label, Counter>,
    hashes: Counter,
    hash_rate: Level,
    templates: Counter,
    nonsense: Counter,
    nodes_lost: Counter,
    nodes: Level,
    height: Level,
    node: Gauge,
    mining: Level,
}

impl Metrics {
    /// New metrics, registered.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        // Nothing is followed yet.
        m.node.set(-1);
        // An alarm sees a count rise, and the first of a fate only if it rises from 0.
        for fate in FATES {
            m.blocks.get_or_create(&[("outcome", fate)]).inc_by(0);
        }
        let r = registry.sub_registry_with_prefix("printsy_rig");
        r.register("blocks", "Blocks by what became of them", m.blocks.clone());
        r.register("blocks_refused", "Blocks refused, by the rule", m.refusals.clone());
        r.register("hashes", "Nonces tried", m.hashes.clone());
        r.register("hashes_per_second", "Nonces tried a second, of late", m.hash_rate.clone());
        r.register("templates", "Templates taken for work", m.templates.clone());
        r.register("templates_refused", "Templates that were none", m.nonsense.clone());
        r.register("nodes_lost", "Connections to nodes that ended or failed", m.nodes_lost.clone());
        r.register("nodes", "Nodes that are connected now", m.nodes.clone());
        r.register("height", "The height of the block that is searched", m.height.clone());
        r.register("node", "The node that is followed, by its place; -1: none", m.node.clone());
        r.register("searching", "Whether anything is searched now", m.mining.clone());
        m
    }

    /// A block's fate, counted.
    pub fn block(&self, what: &What) {
        self.blocks.get_or_create(&[("outcome", outcome(what))]).inc();
        if let What::Refused { rule, .. } = what {
            // A node's word: what is no rule of ours must not grow the table.
            let rule = Rule::ALL.iter().map(|known| known.id()).find(|id| id == rule).unwrap_or("other");
            self.refusals.get_or_create(&[("rule", rule)]).inc();
        }
    }

    /// How many blocks came to this, by the name of it.
    #[must_use]
    pub fn blocks(&self, outcome: &'static str) -> u64 {
        self.blocks.get_or_create(&[("outcome", outcome)]).get()
    }

    /// So many more nonces were tried, and this is the rate.
    pub fn hashes(&self, more: u64, per_second: u64) {
        self.hashes.inc_by(more);
        self.hash_rate.set(per_second);
    }

    /// A template was taken for work.
    pub fn template(&self) {
        self.templates.inc();
    }

    /// A template was none.
    pub fn nonsense(&self) {
        self.nonsense.inc();
    }

    /// A connection ended, or failed.
    pub fn node_lost(&self) {
        self.nodes_lost.inc();
    }

    /// So many nodes are connected.
    pub fn nodes(&self, connected: usize) {
        self.nodes.set(u64::try_from(connected).unwrap_or(u64::MAX));
    }

    /// What is searched now: the height, and the node's place, from 0.
    pub fn searching(&self, now: Option<(u64, usize)>) {
        self.mining.set(u64::from(now.is_some()));
        match now {
            Some((height, node)) => {
                self.height.set(height);
                self.node.set(i64::try_from(node).unwrap_or(i64::MAX));
            }
            None => {
                self.node.set(-1);
            }
        }
    }
}

/// The names of all fates.
const FATES: [&str; 8] = ["found", "accepted", "held", "stale", "duplicate", "refused", "lost", "wrong"];

/// The name of a block's fate.
fn outcome(what: &What) -> &'static str {
    match what {
        What::Found { .. } => "found",
        What::Accepted => "accepted",
        What::Held => "held",
        What::Stale => "stale",
        What::Duplicate => "duplicate",
        What::Refused { .. } => "refused",
        What::Lost { .. } => "lost",
        What::Wrong => "wrong",
    }
}

/// Listens where the metrics are to be offered.
///
/// # Errors
/// [`Failure::PortInUse`], or what else the system says.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Failure::PortInUse(format!(
            "another process listens on {address}; choose another --metrics-listen"
        )),
        _ => Failure::Config(format!("cannot listen on {address} (--metrics-listen): {error}")),
    })
}

/// Offers the metrics at `GET /metrics`, for ever.
pub async fn serve(listener: TcpListener, registry: Arc<Registry>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((socket, _)) => {
                let registry = registry.clone();
                tokio::spawn(async move {
                    // However it ends, it concerns nobody but who asked.
                    let _ = timeout(CONNECTION_TIME, connection(socket, registry)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(socket: TcpStream, registry: Arc<Registry>) {
    let service = service_fn(move |request| {
        let answer = answer(&request, &registry);
        async move { Ok::<_, Infallible>(answer) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(socket), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a reader of metrics left");
    }
}

fn answer(request: &Request<Incoming>, registry: &Registry) -> Response<String> {
    let mut text = String::new();
    let is_known = request.method() == Method::GET && request.uri().path() == "/metrics";
    if !is_known || encode(&mut text, registry).is_err() {
        let mut response = Response::new("metrics are at GET /metrics\n".to_owned());
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    }
    let mut response = Response::new(text);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response.headers_mut().insert(CONTENT_TYPE, kind.parse().expect("the text stands here and is a value"));
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_a_node_calls_a_rule_cannot_grow_the_metrics() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        for n in 0..1_000 {
            let rule = format!("X{n}");
            metrics.block(&What::Refused { rule, reason: String::new() });
        }
        metrics.block(&What::Refused { rule: "B3".to_owned(), reason: String::new() });
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        assert!(text.contains("printsy_rig_blocks_refused_total{rule=\"other\"} 1000"), "{text}");
        assert!(text.contains("printsy_rig_blocks_refused_total{rule=\"B3\"} 1"), "{text}");
        assert!(text.contains("printsy_rig_blocks_total{outcome=\"refused\"} 1001"), "{text}");
        assert!(text.contains("printsy_rig_node -1"), "{text}");
        assert!(text.lines().count() < 60, "{text}");
    }

    #[test]
    fn every_fate_is_counted_from_0() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let lines = |registry: &Registry| {
            let mut text = String::new();
            encode(&mut text, registry).unwrap();
            text.lines().filter(|line| line.starts_with("printsy_rig_blocks_total{")).count()
        };
        assert_eq!(lines(&registry), FATES.len());
        let (rule, reason) = (String::new(), String::new());
        for what in [
            What::Found { wait_ms: 0 },
            What::Accepted,
            What::Held,
            What::Stale,
            What::Duplicate,
            What::Refused { rule, reason: reason.clone() },
            What::Lost { reason },
            What::Wrong,
        ] {
            metrics.block(&what);
            assert_eq!(metrics.blocks(outcome(&what)), 1, "{what:?}");
        }
        assert_eq!(lines(&registry), FATES.len(), "a fate that the list does not have");
    }

    #[test]
    fn every_metric_of_a_rig_that_alerts_and_dashboard_name_is_there() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        // Rules have no count before one was broken.
        metrics.block(&What::Refused { rule: "B3".to_owned(), reason: String::new() });
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let told = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let told = told
            .map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() });
        let told: BTreeSet<String> = told.collect();
        for file in [
            include_str!("../../../scripts/operate/alerts.yml"),
            include_str!("../../../scripts/operate/grafana.json"),
            include_str!("../../../docs/mining.md"),
        ] {
            let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
            let named = file.match_indices("printsy_rig_").map(|(at, _)| &file[at..]);
            let named = named.map(|text| text.split(|c| !is_part(c)).next().unwrap());
            let named: BTreeSet<&str> = named.filter(|name| *name != "printsy_rig_").collect();
            assert!(named.len() >= 3, "{named:?}");
            for name in named {
                assert!(told.contains(name), "{name} is named, and these are told: {told:?}");
            }
        }
    }
}
