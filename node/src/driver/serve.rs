//! What peers ask, answered from the ledger's reader: on the caller's thread, never the core's.
//!
//! Answers are bounded by the protocol's limits and read what is published and journalled, so that what a peer is told
//! is durable. What a request tells of the peer itself becomes an event for the core.

use printsy_consensus::Hash;
use printsy_ledger::{LedgerError, Reader};
use printsy_p2p::limits::{MAX_HEADERS, MAX_PENDING};
use printsy_p2p::{PeerKey, ReplyKey, Request, Response, Status};

use crate::core::Event;
use crate::handle::NodeHandle;

/// Answers a request; what it tells of the peer becomes an event.
pub(crate) fn answer_request(
    node: &NodeHandle,
    peer: PeerKey,
    reply: ReplyKey,
    request: Request,
) -> Option<Event> {
    let network = node.network()?;
    let reader = node.reader();
    let (response, event) = match request {
        Request::Status(status) => {
            node.hear_height(peer, status.height);
            (Ok(own_status(reader)), Some(Event::PeerStatus { peer, status }))
        }
        Request::Headers { locator, stop } => (headers(reader, &locator, &stop), None),
        Request::Blocks { ids } => (blocks(reader, &ids, node.params().max_block_bytes), None),
        Request::Pending => (Ok(pending(reader)), None),
        Request::Transactions { ids } => (Ok(transactions(reader, &ids)), None),
    };
    match response {
        Ok(response) => network.respond(reply, response),
        Err(error) => {
            tracing::error!(%error, "a peer's request could not be answered");
            node.doubt(&error);
            network.refuse(reply);
        }
    }
    event
}

fn own_status(reader: &Reader) -> Response {
    let snapshot = reader.snapshot();
    Response::Status(Status {
        genesis: reader.genesis().hash(),
        tip: snapshot.tip.id(),
        height: snapshot.tip.height(),
        work: snapshot.tip.work.to_be_bytes(),
        final_height: snapshot.final_height,
    })
}

/// The headers after the first id of the locator that is on the chain; after genesis where none is.
fn headers(reader: &Reader, locator: &[Hash], stop: &Hash) -> Result<Response, LedgerError> {
    // At one moment, so that the headers do follow the locator's id.
    let records = reader.at_one_moment(|now| {
        let mut from = 0;
        for id in locator {
            if let Some(height) = now.height_on_chain(id)? {
                from = height;
                break;
            }
        }
        now.headers_from(from.saturating_add(1), MAX_HEADERS)
    })?;
    let mut headers = Vec::new();
    for record in records {
        headers.push(record.signed);
        if record.signed.header.id() == *stop {
            break;
        }
    }
    Ok(Response::Headers(headers))
}

/// The blocks asked for, as many as fit: up to the largest block's size in total, or the first alone.
fn blocks(reader: &Reader, ids: &[Hash], max_bytes: u32) -> Result<Response, LedgerError> {
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    let mut total = 0usize;
    for id in ids {
        let Some(bytes) = reader.block_bytes(id)? else { continue };
        total = total.saturating_add(bytes.len());
        if !blocks.is_empty() && u32::try_from(total).is_ok_and(|total| total > max_bytes) {
            break;
        }
        blocks.push(bytes);
    }
    Ok(Response::Blocks(blocks))
}

fn pending(reader: &Reader) -> Response {
    Response::Pending(reader.waiting(MAX_PENDING).iter().map(|order| order.txid()).collect())
}

fn transactions(reader: &Reader, ids: &[Hash]) -> Response {
    let found = ids.iter().filter_map(|id| reader.waiting_order(id));
    Response::Transactions(found.map(|order| order.bytes().to_vec()).collect())
}
