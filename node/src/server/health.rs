//! `/livez`, `/readyz`, `/metrics`: whether the process answers, whether it is of use, and its numbers.
//!
//! Ready means that a shop may send its orders here. The checks are cheap and read memory alone, for a load
//! balancer asks every second.

use std::sync::Arc;

use axum::extract::{Extension, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use printsy_rpc::{RpcReason, Scope};
use prometheus_client::encoding::text::encode;
use serde::Serialize;

use super::access::Visitor;
use super::context::Context;
use super::http::Front;
use crate::core::{MAX_INDEX_LAG_ROWS, SYNCING_AHEAD, SyncState};

/// A tip older than this many times the network's interval, and than [`OLD_TIP_MS`], is worth an alarm.
const OLD_TIP_INTERVALS: u64 = 30;
/// No tip younger than this is worth an alarm, ms.
const OLD_TIP_MS: u64 = 60_000;

/// The type of what Prometheus reads.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One thing that makes a node ready.
#[derive(Clone, Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    detail: String,
    /// Where it begins to fail.
    threshold: String,
}

/// `/livez`: the process answers.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// `/readyz`: 200, or 503 with what fails; `?verbose` tells all.
pub(super) async fn ready(State(front): State<Arc<Front>>, RawQuery(query): RawQuery) -> Response {
    let checks = checks(&front.context);
    let is_ready = checks.iter().all(|check| check.ok);
    let verbose = query.is_some_and(|query| query.split('&').any(|part| part.starts_with("verbose")));
    let told: Vec<&Check> = checks.iter().filter(|check| verbose || !check.ok).collect();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let json = serde_json::to_string(&told).expect("a list of names and sentences is always JSON");
    (status, [(CONTENT_TYPE, "application/json")], json).into_response()
}

/// `/metrics`: for Prometheus.
pub(super) async fn metrics(State(front): State<Arc<Front>>, visitor: Extension<Visitor>) -> Response {
    if let Err(error) = front.context.access.admit(&visitor, Scope::Read) {
        let status = match error.reason() {
            Some(RpcReason::RateLimited) => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::UNAUTHORIZED,
        };
        return (status, [(WWW_AUTHENTICATE, "Bearer")], format!("{error}\n")).into_response();
    }
    let mut text = String::new();
    match encode(&mut text, &front.registry) {
        Ok(()) => ([(CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn checks(context: &Context) -> Vec<Check> {
    let mut checks = vec![
        synced(context),
        disk(context),
        index(context),
        journal(context),
        finality(context),
        tip(context),
    ];
    if context.expects_peers {
        checks.push(peers(context));
    }
    if context.node.mining_key().is_some() {
        checks.push(key(context));
    }
    checks
}

fn synced(context: &Context) -> Check {
    let height = context.node.reader().snapshot().tip.height();
    let best = context.node.best_height();
    let (ok, detail) = match context.node.sync_state() {
        SyncState::Synced if best >= height + SYNCING_AHEAD => {
            (true, format!("at height {height}; nobody gives the blocks of headers up to {best}"))
        }
        SyncState::Synced => (true, format!("at height {height}")),
        SyncState::Syncing { best } => (false, format!("at height {height} of {best}")),
    };
    Check { name: "synced", ok, detail, threshold: format!("{SYNCING_AHEAD} blocks behind") }
}

fn disk(context: &Context) -> Check {
    let (ok, detail) = match (context.node.low_room(), context.node.room()) {
        (Some(low), _) => (false, low.to_string()),
        (None, Some(room)) => (true, format!("{} MiB are free", room.free_bytes >> 20)),
        (None, None) => (true, "not watched: nothing is kept on a disk".to_owned()),
    };
    let threshold = match context.node.room() {
        Some(room) => format!("less than {} MiB free", room.least_bytes >> 20),
        None => "none".to_owned(),
    };
    Check { name: "disk", ok, detail, threshold }
}

fn index(context: &Context) -> Check {
    let reader = context.node.reader();
    let (ok, detail) = match (reader.index_failure(), reader.index_lag()) {
        // Why is told to the operator by the log: paths are nobody else's business.
        (Some(_), _) => (false, "the index failed".to_owned()),
        (None, lag) => (lag <= MAX_INDEX_LAG_ROWS, format!("{lag} rows behind the journal")),
    };
    Check { name: "index", ok, detail, threshold: format!("more than {MAX_INDEX_LAG_ROWS} rows behind") }
}

fn journal(context: &Context) -> Check {
    let ok = !context.node.is_damaged();
    let detail =
        if ok { "no damage seen" } else { "damage was read: start the node again, and it is repaired" };
    Check { name: "journal", ok, detail: detail.to_owned(), threshold: "any damage".to_owned() }
}

fn finality(context: &Context) -> Check {
    let alarms = context.node.alarms();
    let (ok, mut detail) = match (alarms.conflict, alarms.beyond_room) {
        (Some(conflict), _) => (false, conflict.to_string()),
        (None, Some(height)) => (
            false,
            format!(
                "a branch of more work, up to height {height}, does not fit into memory: nothing becomes final"
            ),
        ),
        (None, None) => {
            (true, format!("final up to height {}", context.node.reader().snapshot().final_height))
        }
    };
    // It proves nothing, so that it does not make a node unready.
    if alarms.newer > 0 {
        detail += &format!("; {} peers follow newer rules: look for an update", alarms.newer);
    }
    let threshold = "a heavier chain proved that leaves it, or one that does not fit into memory".to_owned();
    Check { name: "finality", ok, detail, threshold }
}

fn tip(context: &Context) -> Check {
    let time = context.node.reader().snapshot().tip.header.header().time;
    let age = context.node.clock().now().saturating_sub(time);
    let old = context.node.params().target_interval_ms.saturating_mul(OLD_TIP_INTERVALS).max(OLD_TIP_MS);
    // A network of one makes blocks when there is something to put into them.
    let ok = age <= old || !context.expects_peers;
    let threshold = if context.expects_peers {
        format!("more than {} seconds old", old / 1_000)
    } else {
        "none: the node is alone".to_owned()
    };
    Check { name: "tip", ok, detail: format!("{} seconds old", age / 1_000), threshold }
}

/// It does not make a node unready: orders are as safe here as anywhere.
fn key(context: &Context) -> Check {
    let detail = match context.node.metrics().foreign_blocks() {
        0 => "no block by this node's mining key was made elsewhere".to_owned(),
        count => format!("{count} blocks by this node's mining key were made elsewhere: see the log"),
    };
    Check { name: "miningKey", ok: true, detail, threshold: "none: it is told, and logged".to_owned() }
}

fn peers(context: &Context) -> Check {
    let count = context.node.network().map_or(0, printsy_p2p::Network::peer_count);
    Check { name: "peers", ok: count > 0, detail: format!("{count} connected"), threshold: "none".to_owned() }
}
