//! `isAvailable`, `getEdition`, `getAccount`, `getTransaction`: reads of the marketplace.
//!
//! The first three are answered from memory, but for the id of a block below the tip, which is one read of a
//! hot file, off the async threads. Counts and tip of one answer are of one moment.

use std::sync::Arc;

use printsy_consensus::{Catalogue, Edition as Entry, Position as Place};
use printsy_ledger::{Availability as Left, LedgerError, Reader, Snapshot};
use printsy_rpc::market::{
    Account, AccountParams, Availability, BlockRef, Edition, GetAccount, GetEdition, GetTransaction,
    GetTransactionParams, ImageParams, IsAvailable, Position, Status,
};
use printsy_rpc::{Address, Amount, RpcError};

use super::context::Context;
use super::errors;
use super::methods::{Caller, Serve};
use super::status;

impl Serve for IsAvailable {
    async fn answer(context: Arc<Context>, params: ImageParams, _: Caller) -> Result<Availability, RpcError> {
        let image = known_image(&context, params)?;
        available(&context, image).await
    }
}

/// Whether an image is to be had now.
pub(super) async fn available(context: &Arc<Context>, image: u64) -> Result<Availability, RpcError> {
    let left = context.node.reader().availability(image);
    let (left, last_block) = match left.edition.and_then(|edition| edition.last) {
        None => (left, None),
        Some(last) if last.height == left.snapshot.tip.height() => {
            let tip = tip_of(&left.snapshot);
            (left, Some(tip))
        }
        Some(_) => context.read(move |reader| with_last_sale(reader, image)).await?,
    };
    Ok(availability(context, image, &left, last_block))
}

/// All that decides what [`available`] says on one chain, read from memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    edition: Option<Entry>,
    remaining: u32,
    pending: u32,
    takes_orders: bool,
}

/// Looks at an image.
pub(super) fn see(context: &Context, image: u64) -> Seen {
    let left = context.node.reader().availability(image);
    Seen {
        edition: left.edition,
        remaining: left.remaining,
        pending: left.pending,
        takes_orders: context.node.takes_orders(),
    }
}

/// The image, if the network has it (T5).
pub(super) fn known_image(context: &Context, params: ImageParams) -> Result<u64, RpcError> {
    let image = params.image.get();
    let network = context.node.params();
    if image < network.max_images { Ok(image) } else { Err(errors::no_such_image(network, image)) }
}

/// What is left of an image and the block that last sold one, whose id is read from the disk: both of one moment.
fn with_last_sale(reader: &Reader, image: u64) -> Result<(Left, Option<BlockRef>), LedgerError> {
    reader.at_one_moment(|now| {
        let left = reader.availability(image);
        let Some(last) = left.edition.and_then(|edition| edition.last) else { return Ok((left, None)) };
        let record = now.header_at(last.height)?;
        let block =
            record.map(|record| BlockRef { height: last.height, hash: record.signed.header.id().into() });
        Ok((left, block))
    })
}

fn availability(context: &Context, image: u64, left: &Left, last_block: Option<BlockRef>) -> Availability {
    let entry = left.edition.unwrap_or_default();
    let is_sold = context.node.params().catalogue == Catalogue::Open || entry.is_listed();
    let is_left = left.remaining > left.pending;
    Availability {
        image,
        available: is_left && is_sold && context.node.takes_orders(),
        remaining: left.remaining,
        max: left.max,
        sold: entry.sold,
        pending: left.pending,
        price: Amount(entry.price),
        last_block,
        tip: tip_of(&left.snapshot),
    }
}

/// The tip by both its names.
pub(super) fn tip_of(snapshot: &Snapshot) -> BlockRef {
    BlockRef { height: snapshot.tip.height(), hash: snapshot.tip.id().into() }
}

impl Serve for GetEdition {
    async fn answer(context: Arc<Context>, params: ImageParams, _: Caller) -> Result<Edition, RpcError> {
        let image = known_image(&context, params)?;
        let left = context.node.reader().availability(image);
        let entry = left.edition.unwrap_or_default();
        Ok(Edition {
            image,
            listed: entry.is_listed(),
            editions: left.max,
            sold: entry.sold,
            remaining: left.remaining,
            price: Amount(entry.price),
            seller: Address::unless_none(entry.seller),
            register: entry.register.into(),
            reviews: entry.reviews,
            average_rating: average_rating(&entry),
            last: entry.last.map(position),
            last_review: entry.last_review.map(position),
        })
    }
}

/// The mean of the ratings, none without reviews.
fn average_rating(entry: &Entry) -> Option<f64> {
    // Five for each of at most 2^32 reviewers: far below 2^53, where every whole number is a float.
    #[allow(clippy::cast_precision_loss, reason = "see above")]
    let sum = entry.rating_sum as f64;
    (entry.reviews > 0).then(|| sum / f64::from(entry.reviews))
}

/// A place in the chain as it is told.
pub(super) fn position(place: Place) -> Position {
    Position { height: place.height, index: place.index }
}

impl Serve for GetAccount {
    async fn answer(context: Arc<Context>, params: AccountParams, _: Caller) -> Result<Account, RpcError> {
        let entry = context.node.reader().snapshot().account(&params.account.0);
        let last = entry.filter(|entry| entry.transactions > 0).map(|entry| position(entry.last));
        let entry = entry.unwrap_or_default();
        Ok(Account {
            account: params.account,
            balance: Amount(entry.balance),
            transactions: entry.transactions,
            admitted: entry.admitted,
            last,
        })
    }
}

impl Serve for GetTransaction {
    async fn answer(
        context: Arc<Context>,
        params: GetTransactionParams,
        _: Caller,
    ) -> Result<Status, RpcError> {
        let txid = params.tx_id.into();
        let told = context.read(move |reader| status::read(reader, &txid)).await?;
        let told = told.ok_or_else(|| {
            errors::not_found("this node knows no such transaction; that is not to say never")
        });
        Ok(told?.status)
    }
}
