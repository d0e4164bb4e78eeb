//! `getChain`, `getParams`, `getPeers`, `getMiners`, `getMempool`, `getSupply`: where this node and its network stand.
//!
//! All of it is read from memory but the headers that shares and the final block's hash are counted from. Numbers of one
//! answer are of one snapshot.

use std::collections::HashMap;
use std::sync::Arc;

use printsy_consensus::{PublicKey, Target};
use printsy_ledger::{LedgerError, MAX_TRANSACTIONS, Moment, Reader};
use printsy_p2p::{Direction as Side, PeerInfo};
use printsy_rpc::chain::{
    Chain, Direction, GetChain, GetMempool, GetMempoolParams, GetMiners, GetParams, GetPeers, GetSupply,
    Mempool, MempoolSize, MinerInfo, NetworkParams, Peer, Supply, Sync, SyncState, Tip,
};
use printsy_rpc::market::BlockRef;
use printsy_rpc::{Address, Amount, HashHex, NoParams, RpcError};

use super::context::Context;
use super::market::tip_of;
use super::methods::{Caller, Serve};
use crate::core::SyncState as Following;

/// Over how many blocks a miner's share is counted.
const SHARE_BLOCKS: u64 = 1_000;

impl Serve for GetChain {
    async fn answer(context: Arc<Context>, _: NoParams, _: Caller) -> Result<Chain, RpcError> {
        let reader = context.node.reader();
        let snapshot = reader.snapshot();
        let (header, height) = (snapshot.tip.header.header(), snapshot.tip.height());
        let final_height = snapshot.final_height;
        let final_block = context.read(move |reader| reader.header_at(final_height)).await?;
        let final_hash = final_block.map_or(reader.genesis().hash(), |record| record.signed.header.id());
        let (transactions, bytes) = reader.mempool_size();
        let network = context.node.network();
        Ok(Chain {
            network: context.node.params().network_name(),
            genesis: reader.genesis().hash().into(),
            tip: Tip { height, hash: snapshot.tip.id().into(), time: header.time },
            final_block: BlockRef { height: snapshot.final_height, hash: final_hash.into() },
            work: snapshot.tip.work.to_be_bytes().into(),
            difficulty: difficulty(context.node.params().bits, header.bits),
            sync: sync(&context, height),
            mempool: MempoolSize { transactions: count(transactions), bytes: count(bytes) },
            peers: network.map_or(0, |network| u32::try_from(network.peer_count()).unwrap_or(u32::MAX)),
            peer_id: network.map(printsy_p2p::Network::peer_id).unwrap_or_default(),
            listen: network.map(printsy_p2p::Network::listen_addresses).unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }
}

/// A number of things in memory, which always fits.
pub(super) fn count(things: usize) -> u64 {
    u64::try_from(things).unwrap_or(u64::MAX)
}

/// How much more work a block of `bits` is than one of the easiest target.
fn difficulty(easiest: u32, bits: u32) -> f64 {
    let work = |bits| {
        let target = Target::from_bits(bits).expect("G4 and H4: bits of the chain are canonical");
        target.work().to_be_bytes().iter().fold(0.0, |sum, byte| sum * 256.0 + f64::from(*byte))
    };
    work(bits) / work(easiest)
}

fn sync(context: &Context, height: u64) -> Sync {
    let state = match context.node.sync_state() {
        Following::Synced => SyncState::Synced,
        Following::Syncing { .. } => SyncState::Syncing,
    };
    // The core may not have shown yet what it has published.
    let best = context.node.best_height().max(height);
    // In blocks a second.
    let rate = context.sync_rate(height).filter(|rate| state == SyncState::Syncing && *rate > 0.0);
    let seconds_left = rate.map(|rate| rounded_up(blocks(best.saturating_sub(height)) / rate));
    Sync { state, height, best, rate: rate.map(rounded_up), seconds_left }
}

fn blocks(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate for people: it saturates"
)]
fn rounded_up(estimate: f64) -> u64 {
    estimate.ceil() as u64
}

impl Serve for GetParams {
    async fn answer(context: Arc<Context>, _: NoParams, _: Caller) -> Result<NetworkParams, RpcError> {
        Ok(context.node.params().into())
    }
}

impl Serve for GetPeers {
    async fn answer(context: Arc<Context>, _: NoParams, _: Caller) -> Result<Vec<Peer>, RpcError> {
        let peers = context.node.network().map(printsy_p2p::Network::peers).unwrap_or_default();
        Ok(peers.into_iter().map(|info| peer(context.node.peer_height(info.key), info)).collect())
    }
}

fn peer(height: Option<u64>, info: PeerInfo) -> Peer {
    Peer {
        peer_id: info.peer_id,
        address: info.address,
        direction: match info.direction {
            Side::Inbound => Direction::Inbound,
            Side::Outbound => Direction::Outbound,
        },
        agent: info.agent,
        height,
        score: i64::from(info.score),
    }
}

impl Serve for GetMiners {
    const READS_MUCH: bool = true;

    async fn answer(context: Arc<Context>, _: NoParams, _: Caller) -> Result<Vec<MinerInfo>, RpcError> {
        context.read(miners).await
    }
}

fn miners(reader: &Reader) -> Result<Vec<MinerInfo>, LedgerError> {
    // The registry and the blocks that are counted are of one chain.
    reader.at_one_moment(miners_now)
}

fn miners_now(now: &Moment<'_>) -> Result<Vec<MinerInfo>, LedgerError> {
    let snapshot = now.snapshot();
    let tip = snapshot.tip.height();
    let first = tip.saturating_sub(SHARE_BLOCKS - 1).max(1);
    let wanted = usize::try_from(SHARE_BLOCKS).expect("a small constant");
    let mut made: HashMap<PublicKey, u32> = HashMap::new();
    let mut total = 0u32;
    for record in now.headers_from(first, wanted)? {
        *made.entry(record.signed.header.miner).or_default() += 1;
        total += 1;
    }
    let share = |key: &PublicKey| f64::from(made.get(key).copied().unwrap_or(0)) / f64::from(total.max(1));
    let infos = snapshot.miners().into_iter().map(|(key, miner)| MinerInfo {
        name: String::from_utf8_lossy(&miner.name).into_owned(),
        share: share(&key),
        key: Address(key),
        registered_at: miner.registered_at,
        blocks: miner.blocks,
        last_height: miner.last_height,
    });
    Ok(infos.collect())
}

impl Serve for GetMempool {
    const READS_MUCH: bool = true;

    async fn answer(context: Arc<Context>, params: GetMempoolParams, _: Caller) -> Result<Mempool, RpcError> {
        let (transactions, bytes) = context.node.reader().mempool_size();
        let (transactions, bytes) = (count(transactions), count(bytes));
        if params.verbose != Some(true) {
            return Ok(Mempool { transactions, bytes, tx_ids: None });
        }
        let waiting = context.read(|reader| Ok(reader.waiting(MAX_TRANSACTIONS))).await?;
        // Counted from the same list, so that one answer does not contradict itself.
        let bytes = waiting.iter().map(|order| order.bytes().len()).sum();
        let mut ids: Vec<HashHex> = waiting.iter().map(|order| order.txid().into()).collect();
        ids.sort_unstable();
        Ok(Mempool { transactions: count(ids.len()), bytes: count(bytes), tx_ids: Some(ids) })
    }
}

impl Serve for GetSupply {
    async fn answer(context: Arc<Context>, _: NoParams, _: Caller) -> Result<Supply, RpcError> {
        let snapshot = context.node.reader().snapshot();
        let supply = snapshot.supply();
        Ok(Supply {
            issued: Amount(supply.issued),
            redeemed: Amount(supply.redeemed),
            outstanding: Amount(supply.issued.saturating_sub(supply.redeemed)),
            tip: tip_of(&snapshot),
        })
    }
}
