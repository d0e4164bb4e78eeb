//! `getHistory`, `getOwners`, `getReviews`, `getHoldings`: lists read from the journal and the index, page by page.
//!
//! A page is read off the async threads, is of one moment of the chain, and is bounded by the ledger. What is final and
//! how deep it lies is told of that same moment.

use std::sync::Arc;

use printsy_consensus::Action;
use printsy_ledger::{
    Cursor as Place, HoldingOf, LedgerError, Page, Passage, Reader, Reviewed, Snapshot, Subject,
};
use printsy_rpc::history::{
    Cursor, DEFAULT_LIMIT, GetHistory, GetHistoryParams, GetHoldings, GetHoldingsParams, GetOwners,
    GetReviews, History, HistoryEntry, HistoryOf, Holding, Holdings, HoldingsCursor, ImagePageParams, Owner,
    Owners, PageLimit, Review, Reviews,
};
use printsy_rpc::market::ImageParams;
use printsy_rpc::transaction::TransactionInfo;
use printsy_rpc::{Method, RpcError};

use super::context::Context;
use super::market::{known_image, position, tip_of};
use super::methods::{Caller, Serve};
use super::status::editions;

impl Serve for GetHistory {
    const READS_MUCH: bool = true;

    async fn answer(context: Arc<Context>, params: GetHistoryParams, _: Caller) -> Result<History, RpcError> {
        let subject = match params.of {
            HistoryOf::Account(account) => Subject::Account(account.0),
            HistoryOf::Image(image) => Subject::Image(known_image(&context, ImageParams { image })?),
        };
        let (cursor, limit) = (place(params.cursor), entries(params.limit));
        let read = move |reader: &Reader| {
            let page = reader.history(subject, cursor, limit)?;
            Ok(page.map(|page| History {
                tip: tip_of(&page.snapshot),
                entries: page.entries.iter().map(|entry| history_entry(&page.snapshot, entry)).collect(),
                next: next(page.next),
            }))
        };
        listed::<Self>(&context, read).await
    }
}

impl Serve for GetOwners {
    const READS_MUCH: bool = true;

    async fn answer(context: Arc<Context>, params: ImagePageParams, _: Caller) -> Result<Owners, RpcError> {
        let image = known_image(&context, ImageParams { image: params.image })?;
        let (cursor, limit) = (place(params.cursor), entries(params.limit));
        let read = move |reader: &Reader| {
            let page = reader.history(Subject::Purchases(image), cursor, limit)?;
            page.map(|page| owners(image, &page)).transpose()
        };
        listed::<Self>(&context, read).await
    }
}

impl Serve for GetReviews {
    const READS_MUCH: bool = true;

    async fn answer(context: Arc<Context>, params: ImagePageParams, _: Caller) -> Result<Reviews, RpcError> {
        let image = known_image(&context, ImageParams { image: params.image })?;
        let (cursor, limit) = (place(params.cursor), entries(params.limit));
        let read = move |reader: &Reader| {
            let page = reader.reviews(image, cursor, limit)?;
            page.map(reviews).transpose()
        };
        listed::<Self>(&context, read).await
    }
}

impl Serve for GetHoldings {
    const READS_MUCH: bool = true;

    async fn answer(
        context: Arc<Context>,
        params: GetHoldingsParams,
        _: Caller,
    ) -> Result<Holdings, RpcError> {
        let from = params.cursor.map_or(0, |cursor| u64::from_be_bytes(cursor.0));
        let (account, limit) = (params.account.0, entries(params.limit));
        context
            .read(move |reader| {
                let page = reader.holdings(&account, from, limit)?;
                Ok(Holdings {
                    tip: tip_of(&page.snapshot),
                    holdings: page.holdings.iter().map(holding).collect(),
                    next: page.next.map(|image| HoldingsCursor::from(image.to_be_bytes())),
                })
            })
            .await
    }
}

/// Reads a page; where its cursor does not fit, that is an error of the params.
async fn listed<M: Method<Result: Send + 'static>>(
    context: &Arc<Context>,
    read: impl FnOnce(&Reader) -> Result<Option<M::Result>, LedgerError> + Send + 'static,
) -> Result<M::Result, RpcError> {
    let page = context.read(read).await?;
    page.ok_or_else(|| {
        RpcError::invalid_params(format!(
            "params of {}: the cursor names nothing of this list on the chain now; begin again without one",
            M::NAME
        ))
    })
}

fn place(cursor: Option<Cursor>) -> Option<Place> {
    cursor.map(|cursor| Place::from_bytes(&cursor.0))
}

fn next(place: Option<Place>) -> Option<Cursor> {
    place.map(|place| Cursor::from(place.to_bytes()))
}

fn entries(limit: Option<PageLimit>) -> usize {
    usize::try_from(limit.map_or(DEFAULT_LIMIT, PageLimit::get)).expect("a thousand at the most")
}

fn history_entry(now: &Snapshot, entry: &Passage) -> HistoryEntry {
    let place = entry.confirmed.position;
    HistoryEntry {
        position: position(place),
        hash: entry.block.into(),
        time: entry.time,
        confirmations: now.tip.height().saturating_sub(place.height).saturating_add(1),
        is_final: place.height <= now.final_height,
        editions: editions(&entry.confirmed),
        transaction: TransactionInfo::from(&entry.confirmed.transaction),
    }
}

fn owners(image: u64, page: &Page<Passage>) -> Result<Owners, LedgerError> {
    let owner = |entry: &Passage| {
        let numbers = entry.confirmed.edition_numbers();
        let bought = numbers.iter().find(|numbers| numbers.image == image);
        let (height, id) = (entry.confirmed.position.height, entry.block);
        let bought = bought.ok_or(LedgerError::MissingBlock { id, height })?;
        let body = &entry.confirmed.transaction.body;
        Ok(Owner {
            account: body.sender.into(),
            quantity: bought.to.saturating_sub(bought.from).saturating_add(1),
            from: bought.from,
            to: bought.to,
            position: position(entry.confirmed.position),
            tx_id: body.txid().into(),
        })
    };
    let owners: Result<Vec<Owner>, LedgerError> = page.entries.iter().map(owner).collect();
    Ok(Owners { tip: tip_of(&page.snapshot), owners: owners?, next: next(page.next) })
}

fn reviews(page: Page<Reviewed>) -> Result<Reviews, LedgerError> {
    let review = |entry: Reviewed| {
        let Passage { confirmed, block: id, .. } = entry.passage;
        let tx_id = confirmed.transaction.body.txid().into();
        let body = confirmed.transaction.body;
        let Action::Review { rating, text, .. } = body.action else {
            return Err(LedgerError::MissingBlock { id, height: confirmed.position.height });
        };
        Ok(Review {
            rating,
            text: String::from_utf8_lossy(&text).into_owned(),
            account: body.sender.into(),
            position: position(confirmed.position),
            tx_id,
            replaced: entry.replaced,
        })
    };
    let reviews: Result<Vec<Review>, LedgerError> = page.entries.into_iter().map(review).collect();
    Ok(Reviews { tip: tip_of(&page.snapshot), reviews: reviews?, next: next(page.next) })
}

fn holding(held: &HoldingOf) -> Holding {
    let rating = held.holding.rating;
    Holding { image: held.image, quantity: held.holding.quantity, rating: (rating > 0).then_some(rating) }
}
