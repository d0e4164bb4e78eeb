//! What is watched, what was told of it last, and what of an answer is news: the same whether a node was asked or told
//! by itself.

use std::collections::{BTreeMap, VecDeque};

use anyhow::Result;
use printsy_rpc::HashHex;
use printsy_rpc::NoParams;
use printsy_rpc::block::{BlockSelector, GetHeader, GetHeaderParams, HeaderInfo};
use printsy_rpc::chain::GetChain;
use printsy_rpc::market::{
    Availability, GetTransaction, GetTransactionParams, IsAvailable, Status, TransactionStatus,
};
use serde_json::json;

use super::Counted;
use crate::answer::Outcome;
use crate::read::image_params;
use crate::session::Session;
use crate::tell;

/// How many blocks back a reorganisation is told block by block.
const MAX_REMEMBERED: usize = 256;
/// How many blocks are caught up with at the most by asking, where they came faster than they were asked for.
const MAX_CAUGHT_UP: u64 = 256;

/// What is watched.
pub(super) enum View<'a> {
    Blocks(Blocks),
    Order(Order),
    Images(Images<'a>),
}

impl<'a> View<'a> {
    /// An order if there is one, else images if there are any, else blocks.
    pub(super) fn of(tx_id: Option<HashHex>, images: &'a [u64]) -> Self {
        match tx_id {
            Some(id) => Self::Order(Order { id, last: None }),
            None if !images.is_empty() => Self::Images(Images { images, last: BTreeMap::new() }),
            None => Self::Blocks(Blocks::default()),
        }
    }

    /// Asks once; an outcome if there will be nothing more to see.
    pub(super) async fn look(
        &mut self,
        session: &Session,
        lines: &mut Counted<'_>,
    ) -> Result<Option<Outcome>> {
        match self {
            Self::Blocks(blocks) => blocks.look(session, lines).await.map(|()| None),
            Self::Order(order) => order.look(session, lines).await,
            Self::Images(images) => images.look(session, lines).await.map(|()| None),
        }
    }
}

/// The chain's end, as it was told.
#[derive(Default)]
pub(super) struct Blocks {
    known: VecDeque<(u64, HashHex)>,
}

impl Blocks {
    /// The last block that was told and still stands.
    pub(super) fn last(&self) -> Option<(u64, HashHex)> {
        self.known.back().copied()
    }

    /// Tells the blocks that have gone, the newest first, then those that have come.
    async fn look(&mut self, session: &Session, lines: &mut Counted<'_>) -> Result<()> {
        let tip = session.ask::<GetChain>(&NoParams {}).await?.tip;
        if self.last() == Some((tip.height, tip.hash)) {
            return Ok(());
        }
        while let Some((height, hash)) = self.last() {
            if height <= tip.height && header(session, height).await?.hash == hash {
                break;
            }
            self.gone(height, hash, lines)?;
        }
        let next = self.last().map_or(tip.height, |(height, _)| height + 1);
        for height in next.max(tip.height.saturating_sub(MAX_CAUGHT_UP))..=tip.height {
            self.came(&header(session, height).await?, lines)?;
        }
        Ok(())
    }

    /// A block joined the chain.
    pub(super) fn came(&mut self, header: &HeaderInfo, lines: &mut Counted<'_>) -> Result<()> {
        lines.line(&tell::came(header), &json!({ "event": "connected", "block": header }))?;
        self.known.push_back((header.height, header.hash));
        if self.known.len() > MAX_REMEMBERED {
            self.known.pop_front();
        }
        Ok(())
    }

    /// The last block left the chain.
    pub(super) fn gone(&mut self, height: u64, hash: HashHex, lines: &mut Counted<'_>) -> Result<()> {
        self.known.pop_back();
        let block = json!({ "height": height, "hash": hash });
        lines.line(&tell::gone(height, &hash), &json!({ "event": "disconnected", "block": block }))
    }
}

async fn header(session: &Session, height: u64) -> Result<HeaderInfo> {
    let height = height.try_into().map_err(anyhow::Error::msg)?;
    Ok(session.ask::<GetHeader>(&GetHeaderParams { block: BlockSelector::Height(height) }).await?)
}

/// An order, and what it was when it was told last.
pub(super) struct Order {
    id: HashHex,
    last: Option<(TransactionStatus, Option<HashHex>)>,
}

impl Order {
    /// What asks for it, and subscribes to it.
    pub(super) fn params(&self) -> GetTransactionParams {
        GetTransactionParams { tx_id: self.id }
    }

    async fn look(&mut self, session: &Session, lines: &mut Counted<'_>) -> Result<Option<Outcome>> {
        let status = session.ask::<GetTransaction>(&self.params()).await?;
        self.hear(session, &status, lines).await
    }

    /// Tells a status if it is news; an outcome if nothing more can become of it.
    pub(super) async fn hear(
        &mut self,
        session: &Session,
        status: &Status,
        lines: &mut Counted<'_>,
    ) -> Result<Option<Outcome>> {
        let now = (status.status, status.block.as_ref().map(|block| block.hash));
        if self.last != Some(now) {
            lines.line(&tell::status(status), &serde_json::to_value(status)?)?;
            self.last = Some(now);
        }
        Ok(match status.status {
            TransactionStatus::Final => Some(Outcome::Done),
            TransactionStatus::Refused => Some(Outcome::Refused),
            TransactionStatus::Expired if is_over(session, status).await? => Some(Outcome::Refused),
            _ => None,
        })
    }
}

/// Whether the last height of an order is final.
async fn is_over(session: &Session, status: &Status) -> Result<bool> {
    let chain = session.ask::<GetChain>(&NoParams {}).await?;
    Ok(tell::expiry_of(status).is_some_and(|height| height <= chain.final_block.height))
}

/// Images, and what was told of each last.
pub(super) struct Images<'a> {
    images: &'a [u64],
    last: BTreeMap<u64, String>,
}

impl Images<'_> {
    /// Which.
    pub(super) fn numbers(&self) -> &[u64] {
        self.images
    }

    async fn look(&mut self, session: &Session, lines: &mut Counted<'_>) -> Result<()> {
        for image in self.images {
            let availability = session.ask::<IsAvailable>(&image_params(*image)?).await?;
            self.hear(&availability, lines)?;
        }
        Ok(())
    }

    /// Tells what can be had of an image, if it is news.
    pub(super) fn hear(&mut self, availability: &Availability, lines: &mut Counted<'_>) -> Result<()> {
        let text = tell::availability(availability);
        if self.last.get(&availability.image) != Some(&text) {
            lines.line(&text, &serde_json::to_value(availability)?)?;
            self.last.insert(availability.image, text);
        }
        Ok(())
    }
}
