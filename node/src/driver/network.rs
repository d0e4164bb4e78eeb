//! The network's driver: what peers say is checked in isolation here, off the core's thread, and becomes events;
//! what they ask is answered from the ledger's reader.

use std::sync::Arc;

use printsy_consensus::codec;
use printsy_consensus::{
    CheckedHeader, CheckedTransaction, Hash, SignedHeader, Transaction, check_transactions,
};
use printsy_ledger::Reader;
use printsy_p2p::{Event as NetworkEvent, PeerKey, RequestFailure, RequestKey, Response};
use rayon::prelude::*;
use tokio::sync::{Semaphore, mpsc};

use crate::core::{Bodies, Event, Gossiped, OrderSource, OrdersFailure, PeerAnswer};
use crate::handle::{NodeHandle, check_block};

use super::serve::answer_request;

/// How many messages of peers are checked, and requests answered, at once at the most; beyond it the network
/// is not read on.
const MAX_JOBS: usize = 64;
/// How many signatures one batch verifies: enough for the gain, few enough to spread over the cores.
const SIGNATURES_PER_BATCH: usize = 64;

/// Turns what the network says into events until it ends.
pub(crate) async fn run(node: NodeHandle, mut events: mpsc::Receiver<NetworkEvent>) {
    let jobs = Arc::new(Semaphore::new(MAX_JOBS));
    while let Some(event) = events.recv().await {
        if let NetworkEvent::Disconnected { peer } = &event {
            node.shared.peer_heights.lock().remove(peer);
        }
        if let Some(event) = at_once(&event) {
            if node.send(event).await.is_none() {
                return;
            }
            continue;
        }
        let Ok(permit) = jobs.clone().acquire_owned().await else { return };
        let node = node.clone();
        tokio::spawn(async move {
            check(&node, event).await;
            drop(permit);
        });
    }
}

/// Events that need no checking.
fn at_once(event: &NetworkEvent) -> Option<Event> {
    match event {
        NetworkEvent::Connected { peer, direction } => {
            Some(Event::Connected { peer: *peer, direction: *direction })
        }
        NetworkEvent::Disconnected { peer } => Some(Event::Disconnected { peer: *peer }),
        _ => None,
    }
}

async fn check(node: &NodeHandle, event: NetworkEvent) {
    let worker = node.clone();
    let checked = tokio::task::spawn_blocking(move || match event {
        NetworkEvent::Transactions { peer, message, batch } => {
            Some(check_batch(worker.reader(), Gossiped { peer, message }, batch))
        }
        NetworkEvent::Announcement { peer, message, header } => {
            let from = Gossiped { peer, message };
            let header = CheckedHeader::check(*header);
            if let Ok(header) = &header {
                worker.hear_height(peer, header.header().height);
            }
            Some(Event::Announced { header, from })
        }
        NetworkEvent::Request { peer, reply, request } => answer_request(&worker, peer, reply, request),
        NetworkEvent::Response { peer, request, result } => {
            check_response(&worker, peer, request, result);
            None
        }
        NetworkEvent::Connected { .. } | NetworkEvent::Disconnected { .. } => None,
    });
    match checked.await {
        Ok(Some(event)) => {
            // Where the core is gone, the node is stopping.
            let _ = node.send(event).await;
        }
        Ok(None) => {}
        Err(error) => tracing::error!(%error, "checking what a peer sent failed"),
    }
}

/// Decodes and checks orders; says whether all of them could be.
fn check_orders(reader: &Reader, batch: Vec<Vec<u8>>) -> (Vec<CheckedTransaction>, bool) {
    let genesis = reader.genesis();
    let total = batch.len();
    let mut known = Vec::new();
    let mut unknown: Vec<Transaction> = Vec::new();
    for bytes in batch {
        let Ok(transaction) = codec::decode::<Transaction>(&bytes) else { continue };
        match reader.waiting_order(&transaction.body.txid()).filter(|waiting| waiting.bytes() == bytes) {
            Some(waiting) => known.push(waiting),
            None => unknown.push(transaction),
        }
    }
    let checked: Vec<CheckedTransaction> = unknown
        .par_chunks(SIGNATURES_PER_BATCH)
        .flat_map_iter(|chunk| check_transactions(genesis.params(), &genesis.hash(), chunk.to_vec()))
        .flatten_iter()
        .collect();
    known.extend(checked);
    let all_good = known.len() == total;
    (known, all_good)
}

fn check_batch(reader: &Reader, from: Gossiped, batch: Vec<Vec<u8>>) -> Event {
    let (orders, all_good) = check_orders(reader, batch);
    if orders.is_empty() && !all_good {
        return Event::BadOrders { source: from, failure: OrdersFailure::Malformed };
    }
    Event::Orders { source: OrderSource::Gossip { from, all_good }, orders }
}

/// Checks a peer's answer. The answer itself ends the request; orders in it come as orders.
fn check_response(
    node: &NodeHandle,
    peer: PeerKey,
    request: RequestKey,
    result: Result<Response, RequestFailure>,
) {
    let answer = match result {
        Err(failure) => PeerAnswer::Failed(failure),
        Ok(Response::Status(status)) => {
            node.hear_height(peer, status.height);
            PeerAnswer::Status(status)
        }
        Ok(Response::Headers(headers)) => check_headers(&headers),
        Ok(Response::Blocks(blocks)) => PeerAnswer::Bodies(check_bodies(node.reader(), blocks)),
        Ok(Response::Pending(txids)) => PeerAnswer::Pending(txids),
        Ok(Response::Transactions(batch)) => {
            let (orders, all_good) = check_orders(node.reader(), batch);
            if !all_good && let Some(network) = node.network() {
                network.report(peer, printsy_p2p::Misbehaviour::Malformed);
            }
            send_blocking(node, Event::Orders { source: OrderSource::Peer(peer), orders });
            PeerAnswer::Orders
        }
    };
    send_blocking(node, Event::Answer { peer, request, answer });
}

fn send_blocking(node: &NodeHandle, event: Event) {
    // Where the core is gone, the node is stopping.
    let _ = node.shared.events.blocking_send(event);
}

/// Checks headers in parallel: those before the first bad one count.
fn check_headers(headers: &[SignedHeader]) -> PeerAnswer {
    let checked: Vec<_> = headers.par_iter().map(|header| CheckedHeader::check(*header)).collect();
    let mut good = Vec::with_capacity(checked.len());
    for header in checked {
        match header {
            Ok(header) => good.push(header),
            Err(error) => return PeerAnswer::Headers(good, Some(error)),
        }
    }
    PeerAnswer::Headers(good, None)
}

fn check_bodies(reader: &Reader, blocks: Vec<Vec<u8>>) -> Bodies {
    let check = |bytes: Vec<u8>| {
        let id = header_id(&bytes);
        check_block(reader, bytes).map(Arc::new).map_err(|error| (id, error))
    };
    blocks.into_par_iter().map(check).collect()
}

/// The id of the header that bytes begin with; zero, which is no block's, where they are too short for one.
fn header_id(bytes: &[u8]) -> Hash {
    bytes.first_chunk().map_or(Hash::ZERO, |header| SignedHeader::from_bytes(header).header.id())
}
