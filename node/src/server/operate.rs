//! The methods by which an operator works on the node itself: its peers, its log, its end; and what the interface is.
//!
//! Who may call them is asked before (`access`). Peers are the network's: what is said of them here reaches it as a
//! command, and shows in its next snapshot.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use printsy_p2p::{BanInfo, BanReason as Why, Network, check_address};
use printsy_rpc::admin::{
    AddPeer, AddPeerParams, AddedPeer, Ban, BanParams, BanReason, BanSeconds, Banned, DEFAULT_BAN_SECONDS,
    ListBanned, LogLevel, LogLevelParams, SetLogLevel, Stop, Stopping, Unban, UnbanParams, Unbanned,
};
use printsy_rpc::openrpc::{Discover, Document};
use printsy_rpc::{NoParams, RpcError};

use super::context::Context;
use super::errors;
use super::methods::{Caller, Serve};

/// The longest filter of the log that is taken.
const MAX_FILTER_BYTES: usize = 1_000;

/// Made once: it is the same for every caller.
static DOCUMENT: LazyLock<Document> = LazyLock::new(Document::new);

impl Serve for Discover {
    async fn answer(_: Arc<Context>, _: NoParams, _: Caller) -> Result<Document, RpcError> {
        Ok(DOCUMENT.clone())
    }
}

impl Serve for AddPeer {
    async fn answer(context: Arc<Context>, params: AddPeerParams, _: Caller) -> Result<AddedPeer, RpcError> {
        let network = network(&context)?;
        let is_address = check_address(&params.address).is_ok() && network.add_peer(&params.address).is_ok();
        if !is_address {
            let expected = "params of addPeer: expected an address like /ip4/192.0.2.1/tcp/8640";
            return Err(RpcError::invalid_params(expected));
        }
        tracing::info!(address = %params.address, "a caller added a peer");
        Ok(AddedPeer { address: params.address })
    }
}

impl Serve for Ban {
    async fn answer(context: Arc<Context>, params: BanParams, _: Caller) -> Result<Banned, RpcError> {
        let seconds_left = params.seconds.map_or(DEFAULT_BAN_SECONDS, BanSeconds::get);
        let banned = network(&context)?.ban(&params.peer_id, Duration::from_secs(seconds_left));
        banned.map_err(|_| no_peer_id("ban"))?;
        tracing::info!(peer = %params.peer_id, seconds_left, "a caller banned a peer");
        Ok(Banned { peer_id: params.peer_id, reason: BanReason::Operator, seconds_left })
    }
}

impl Serve for Unban {
    async fn answer(context: Arc<Context>, params: UnbanParams, _: Caller) -> Result<Unbanned, RpcError> {
        let network = network(&context)?;
        let was_banned = network.banned().iter().any(|ban| ban.peer_id == params.peer_id);
        network.unban(&params.peer_id).map_err(|_| no_peer_id("unban"))?;
        tracing::info!(peer = %params.peer_id, was_banned, "a caller let a peer in again");
        Ok(Unbanned { peer_id: params.peer_id, was_banned })
    }
}

impl Serve for ListBanned {
    async fn answer(context: Arc<Context>, _: NoParams, _: Caller) -> Result<Vec<Banned>, RpcError> {
        let mut banned: Vec<Banned> = network(&context)?.banned().into_iter().map(banned).collect();
        banned.sort_by(|a, b| a.peer_id.cmp(&b.peer_id));
        Ok(banned)
    }
}

impl Serve for Stop {
    async fn answer(context: Arc<Context>, _: NoParams, _: Caller) -> Result<Stopping, RpcError> {
        tracing::info!("a caller stops the node");
        context.node.ask_stop();
        Ok(Stopping { stopping: true })
    }
}

impl Serve for SetLogLevel {
    async fn answer(context: Arc<Context>, params: LogLevelParams, _: Caller) -> Result<LogLevel, RpcError> {
        let logs = context.logs.as_ref();
        let logs =
            logs.ok_or_else(|| errors::not_found("the log of this process is not this node's to set"))?;
        let before = if params.level.len() <= MAX_FILTER_BYTES { logs.set(&params.level) } else { None };
        let before = before.ok_or_else(|| {
            let expected = "a level such as debug, or levels by target such as info,printsy_p2p=debug";
            RpcError::invalid_params(format!("params of setLogLevel: expected {expected}"))
        })?;
        tracing::info!(level = %params.level, %before, "a caller set what is logged");
        Ok(LogLevel { level: params.level, before })
    }
}

fn network(context: &Context) -> Result<&Network, RpcError> {
    context.node.network().ok_or_else(|| errors::not_found("this node runs alone, without a network"))
}

fn no_peer_id(method: &str) -> RpcError {
    RpcError::invalid_params(format!("params of {method}: expected a peer id, as getPeers tells it"))
}

fn banned(info: BanInfo) -> Banned {
    Banned {
        peer_id: info.peer_id,
        reason: match info.reason {
            Why::Operator => BanReason::Operator,
            Why::Misbehaviour => BanReason::Misbehaviour,
            Why::OtherNetwork => BanReason::OtherNetwork,
        },
        seconds_left: info.remaining.as_secs(),
    }
}
