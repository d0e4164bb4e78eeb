//! What a node tells by itself, for as long as one connection lasts.

use anyhow::Result;
use printsy_rpc::subscription::{
    BlockChange, BlockEvent, ImageList, KnownBlock, SubscribeAvailability, SubscribeAvailabilityParams,
    SubscribeBlocks, SubscribeBlocksParams, SubscribeTransaction,
};
use printsy_rpc::text::ImageId;
use printsy_rpc::{ClientError, Feed, HashHex, RpcReason, Session as Told};

use super::Watching;
use super::view::View;
use crate::answer::Outcome;

/// Follows what is watched until the connection ends, which is an error; an outcome if nothing more can come.
pub(super) async fn follow(told: &Told, watching: &mut Watching<'_>) -> Result<Option<Outcome>> {
    match &watching.view {
        View::Blocks(_) => blocks(told, watching).await,
        View::Order(_) => order(told, watching).await,
        View::Images(_) => images(told, watching).await,
    }
}

async fn blocks(told: &Told, watching: &mut Watching<'_>) -> Result<Option<Outcome>> {
    loop {
        let mut feed = from_the_last(told, watching).await?;
        watching.is_away = false;
        let before = last(watching);
        match hear(&mut feed, watching).await {
            // Who is slower than the node is told the rest, as long as they come on.
            Err(error) if has_ended(&error) && last(watching) != before => {}
            heard => return heard,
        }
    }
}

fn has_ended(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ClientError::Ended { .. }))
}

fn last(watching: &Watching<'_>) -> Option<(u64, HashHex)> {
    match &watching.view {
        View::Blocks(blocks) => blocks.last(),
        _ => None,
    }
}

/// One subscription, to its end.
async fn hear(feed: &mut Feed<BlockEvent>, watching: &mut Watching<'_>) -> Result<Option<Outcome>> {
    loop {
        if let Some(outcome) = watching.lines.end() {
            return Ok(Some(outcome));
        }
        let event = feed.next().await?;
        let View::Blocks(blocks) = &mut watching.view else { return Ok(None) };
        let header = &event.block.header;
        match event.event {
            BlockChange::Connected => blocks.came(header, &mut watching.lines)?,
            BlockChange::Disconnected => blocks.gone(header.height, header.hash, &mut watching.lines)?,
        }
    }
}

/// What follows the last block that was told.
async fn from_the_last(told: &Told, watching: &mut Watching<'_>) -> Result<Feed<BlockEvent>> {
    let Some(after) = after(watching)? else { return from_the_tip(told, watching).await };
    match told.subscribe::<SubscribeBlocks>(&after).await {
        Err(ClientError::Refused(refusal)) if refusal.reason() == Some(RpcReason::NotFound) => {
            from_the_tip(told, watching).await
        }
        feed => Ok(feed?),
    }
}

/// The last block that was told, as a node is told of it.
fn after(watching: &Watching<'_>) -> Result<Option<SubscribeBlocksParams>> {
    let known = last(watching).map(|(height, hash)| {
        let height = height.try_into().map_err(anyhow::Error::msg)?;
        anyhow::Ok(SubscribeBlocksParams { after: Some(KnownBlock { height, hash }) })
    });
    known.transpose()
}

/// At the beginning, and where the node never had the block that was told last: what leads to the tip is asked for, and
/// the news follows that.
async fn from_the_tip(told: &Told, watching: &mut Watching<'_>) -> Result<Feed<BlockEvent>> {
    watching.look().await?;
    let after = after(watching)?.unwrap_or_default();
    Ok(told.subscribe::<SubscribeBlocks>(&after).await?)
}

async fn order(told: &Told, watching: &mut Watching<'_>) -> Result<Option<Outcome>> {
    let View::Order(order) = &watching.view else { return Ok(None) };
    let mut feed = told.subscribe::<SubscribeTransaction>(&order.params()).await?;
    watching.is_away = false;
    loop {
        let status = match feed.next().await {
            Ok(status) => status,
            // Either it is over with the order, or with the connection: the answer tells.
            Err(ClientError::Ended { .. }) => return watching.look().await,
            Err(error) => return Err(error.into()),
        };
        let View::Order(order) = &mut watching.view else { return Ok(None) };
        let outcome = order.hear(watching.session, &status, &mut watching.lines).await?;
        if let Some(outcome) = outcome.or(watching.lines.end()) {
            return Ok(Some(outcome));
        }
    }
}

async fn images(told: &Told, watching: &mut Watching<'_>) -> Result<Option<Outcome>> {
    let View::Images(images) = &watching.view else { return Ok(None) };
    let numbers = images.numbers().iter().map(|image| ImageId::try_from(*image));
    let numbers = numbers.collect::<Result<Vec<_>, _>>().map_err(anyhow::Error::msg)?;
    let images = ImageList::try_from(numbers).map_err(anyhow::Error::msg)?;
    let mut feed = told.subscribe::<SubscribeAvailability>(&SubscribeAvailabilityParams { images }).await?;
    watching.is_away = false;
    loop {
        let availability = feed.next().await?;
        let View::Images(images) = &mut watching.view else { return Ok(None) };
        images.hear(&availability, &mut watching.lines)?;
        if let Some(outcome) = watching.lines.end() {
            return Ok(Some(outcome));
        }
    }
}
