//! `printsy watch`: a line for each new block, each change of an order, or each change of an image, as they come.
//!
//! The node is asked again and again, twice in the network's target interval: nothing can change more often than a
//! block comes, but pending orders, and a person does not see more than two lines a second anyway. A node that does
//! not answer for a while is waited for.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use anyhow::{Result, ensure};
use printsy_rpc::block::{BlockSelector, GetHeader, GetHeaderParams, HeaderInfo};
use printsy_rpc::chain::{GetChain, GetParams};
use printsy_rpc::market::{GetTransaction, GetTransactionParams, IsAvailable, Status, TransactionStatus};
use printsy_rpc::{ClientError, HashHex, NoParams};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::answer::{Answer, Outcome};
use crate::cli::MAX_WATCHED_IMAGES;
use crate::read::image_params;
use crate::session::Session;
use crate::tell;

/// The node is asked no more often than this, however fast its blocks are.
const MIN_PAUSE_MS: u64 = 250;
/// And no less often than this.
const MAX_PAUSE_MS: u64 = 5_000;
/// How many blocks back a reorganisation is told block by block.
const MAX_REMEMBERED: usize = 256;
/// How many blocks are caught up with at the most, where they came faster than they were asked for.
const MAX_CAUGHT_UP: u64 = 256;

/// Where lines go as they come.
pub trait Lines {
    /// One line, for people or as JSON.
    ///
    /// # Errors
    /// If nobody reads any more.
    fn line(&mut self, text: &str, json: &Value) -> Result<()>;

    /// Something that is no data.
    fn note(&mut self, text: &str);
}

/// Watches until `count` lines are written, or what is watched has come to its end.
///
/// # Errors
/// A refusal by the node; too many images.
pub async fn watch(
    session: &Session,
    tx_id: Option<HashHex>,
    images: &[u64],
    count: Option<u64>,
    lines: &mut dyn Lines,
) -> Result<Answer> {
    ensure!(images.len() <= MAX_WATCHED_IMAGES, "at most {MAX_WATCHED_IMAGES} images are watched at once");
    let params = session.ask::<GetParams>(&NoParams {}).await?;
    let pause = Duration::from_millis((params.target_interval_ms / 2).clamp(MIN_PAUSE_MS, MAX_PAUSE_MS));
    let mut counted = Counted { lines, left: count.unwrap_or(u64::MAX) };
    let mut view = match tx_id {
        Some(id) => View::Order { id, last: None },
        None if !images.is_empty() => View::Images { images, last: BTreeMap::new() },
        None => View::Blocks { known: VecDeque::new() },
    };
    let mut is_away = false;
    loop {
        let looked = view.look(session, &mut counted).await;
        match looked {
            Ok(Some(outcome)) => return ended(outcome),
            Ok(None) if counted.left == 0 => return ended(Outcome::Done),
            Ok(None) => is_away = false,
            Err(error) if is_passing(&error) => {
                if !is_away {
                    counted.lines.note(&format!("{error}; waiting for it"));
                }
                is_away = true;
            }
            Err(error) => return Err(error),
        }
        sleep(pause).await;
    }
}

fn ended(outcome: Outcome) -> Result<Answer> {
    Ok(Answer { outcome, ..Answer::new(String::new(), &Value::Null)? })
}

/// Whether the node may answer the same question later.
fn is_passing(error: &anyhow::Error) -> bool {
    match error.downcast_ref() {
        Some(ClientError::Unreachable { .. } | ClientError::Timeout { .. }) => true,
        Some(ClientError::Refused(refusal)) => refusal.data.as_ref().is_some_and(|data| data.retryable),
        _ => false,
    }
}

/// Lines, up to a number of them.
struct Counted<'a> {
    lines: &'a mut dyn Lines,
    left: u64,
}

impl Counted<'_> {
    fn line(&mut self, text: &str, json: &Value) -> Result<()> {
        if self.left > 0 {
            self.lines.line(text, json)?;
            self.left -= 1;
        }
        Ok(())
    }
}

/// What is watched, and what was told of it last.
enum View<'a> {
    Blocks { known: VecDeque<(u64, HashHex)> },
    Order { id: HashHex, last: Option<(TransactionStatus, Option<HashHex>)> },
    Images { images: &'a [u64], last: BTreeMap<u64, String> },
}

impl View<'_> {
    /// Looks once; an outcome if there will be nothing more to see.
    async fn look(&mut self, session: &Session, lines: &mut Counted<'_>) -> Result<Option<Outcome>> {
        match self {
            Self::Blocks { known } => blocks(session, known, lines).await.map(|()| None),
            Self::Order { id, last } => order(session, *id, last, lines).await,
            Self::Images { images, last } => {
                for image in images.iter() {
                    let a = session.ask::<IsAvailable>(&image_params(*image)?).await?;
                    let text = tell::availability(&a);
                    if last.get(image) != Some(&text) {
                        lines.line(&text, &serde_json::to_value(&a)?)?;
                        last.insert(*image, text);
                    }
                }
                Ok(None)
            }
        }
    }
}

/// Tells the blocks that have gone, the newest first, then those that have come.
async fn blocks(
    session: &Session,
    known: &mut VecDeque<(u64, HashHex)>,
    lines: &mut Counted<'_>,
) -> Result<()> {
    let tip = session.ask::<GetChain>(&NoParams {}).await?.tip;
    if known.back() == Some(&(tip.height, tip.hash)) {
        return Ok(());
    }
    while let Some((height, hash)) = known.back().copied() {
        let stands = height <= tip.height && header(session, height).await?.hash == hash;
        if stands {
            break;
        }
        known.pop_back();
        lines.line(
            &tell::gone(height, &hash),
            &json!({ "event": "disconnected", "block": { "height": height, "hash": hash } }),
        )?;
    }
    let next = known.back().map_or(tip.height, |(height, _)| height + 1);
    for height in next.max(tip.height.saturating_sub(MAX_CAUGHT_UP))..=tip.height {
        let header = header(session, height).await?;
        let json = json!({ "event": "connected", "block": header });
        lines.line(&tell::came(&header), &json)?;
        known.push_back((height, header.hash));
        if known.len() > MAX_REMEMBERED {
            known.pop_front();
        }
    }
    Ok(())
}

async fn header(session: &Session, height: u64) -> Result<HeaderInfo> {
    let height = height.try_into().map_err(anyhow::Error::msg)?;
    Ok(session.ask::<GetHeader>(&GetHeaderParams { block: BlockSelector::Height(height) }).await?)
}

async fn order(
    session: &Session,
    tx_id: HashHex,
    last: &mut Option<(TransactionStatus, Option<HashHex>)>,
    lines: &mut Counted<'_>,
) -> Result<Option<Outcome>> {
    let status = session.ask::<GetTransaction>(&GetTransactionParams { tx_id }).await?;
    let now = (status.status, status.block.as_ref().map(|block| block.hash));
    if *last != Some(now) {
        lines.line(&tell::status(&status), &serde_json::to_value(&status)?)?;
        *last = Some(now);
    }
    Ok(match status.status {
        TransactionStatus::Final => Some(Outcome::Done),
        TransactionStatus::Refused => Some(Outcome::Refused),
        TransactionStatus::Expired if is_over(session, &status).await? => Some(Outcome::Refused),
        _ => None,
    })
}

/// Whether the last height of an order is final.
async fn is_over(session: &Session, status: &Status) -> Result<bool> {
    let chain = session.ask::<GetChain>(&NoParams {}).await?;
    Ok(tell::expiry_of(status).is_some_and(|height| height <= chain.final_block.height))
}
