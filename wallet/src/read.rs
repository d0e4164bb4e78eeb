//! The questions: what a node answers, told to a person or as it is.

use anyhow::{Context, Result};
use printsy_rpc::NoParams;
use printsy_rpc::chain::{GetMiners, GetSupply};
use printsy_rpc::history::{
    GetHistory, GetHistoryParams, GetHoldings, GetHoldingsParams, GetOwners, GetReviews, HistoryOf,
    ImagePageParams,
};
use printsy_rpc::market::{
    AccountParams, GetAccount, GetTransaction, GetTransactionParams, ImageParams, IsAvailable, Status,
};
use printsy_rpc::{Address, ClientError, HashHex, RpcReason};
use serde::Serialize;
use serde_json::json;

use crate::answer::{Answer, Outcome};
use crate::cli::{Account, NodeCommand, Page};
use crate::outbox::Kept;
use crate::run::Desk;
use crate::session::Session;
use crate::tell;

/// Asks what `command` asks; `None` for a command that is no question.
///
/// # Errors
/// The node's refusal, or what kept it from answering.
pub async fn read(desk: &Desk<'_>, session: &Session, command: &NodeCommand) -> Result<Option<Answer>> {
    Ok(Some(match command {
        NodeCommand::Chain => Answer::new(tell::chain(session.chain()), session.chain())?,
        NodeCommand::Available { image } => {
            let availability = session.ask::<IsAvailable>(&image_params(*image)?).await?;
            Answer::new(tell::availability(&availability), &availability)?
        }
        NodeCommand::Status { tx_id } => status(desk, session, *tx_id).await?,
        NodeCommand::Balance { account } => {
            let account = who(desk, session, account.as_ref())?;
            let account = session.ask::<GetAccount>(&AccountParams { account }).await?;
            Answer::new(tell::account(&account), &account)?
        }
        NodeCommand::Holdings { account, limit, cursor } => {
            let account = who(desk, session, account.as_ref())?;
            let limit = Some((*limit).try_into().map_err(anyhow::Error::msg)?);
            let params = GetHoldingsParams { account, cursor: *cursor, limit };
            let held = session.ask::<GetHoldings>(&params).await?;
            page(tell::holdings(&held), &held, held.next.map(|next| next.to_string()), "nothing")?
        }
        NodeCommand::History { account, image, page: at } => {
            let of = match image {
                Some(image) => HistoryOf::Image(image_params(*image)?.image),
                None => HistoryOf::Account(who(desk, session, account.as_ref())?),
            };
            let params = GetHistoryParams { of, cursor: at.cursor, limit: Some(limit(*at)?) };
            let told = session.ask::<GetHistory>(&params).await?;
            page(tell::history(&told), &told, told.next.map(|next| next.to_string()), "nothing yet")?
        }
        NodeCommand::Owners { image, page: at } => {
            let told = session.ask::<GetOwners>(&image_page(*image, *at)?).await?;
            page(tell::owners(&told), &told, told.next.map(|next| next.to_string()), "nobody bought it yet")?
        }
        NodeCommand::Reviews { image, page: at } => {
            let told = session.ask::<GetReviews>(&image_page(*image, *at)?).await?;
            page(
                tell::reviews(&told),
                &told,
                told.next.map(|next| next.to_string()),
                "nobody reviewed it yet",
            )?
        }
        NodeCommand::Miners => {
            let miners = session.ask::<GetMiners>(&NoParams {}).await?;
            Answer::new(tell::miners(&miners), &miners)?
        }
        NodeCommand::Supply => {
            let supply = session.ask::<GetSupply>(&NoParams {}).await?;
            Answer::new(tell::supply(&supply), &supply)?
        }
        NodeCommand::Order(_) | NodeCommand::Resend { .. } | NodeCommand::Watch { .. } => return Ok(None),
    }))
}

/// A page of a list: a word where it is empty, and where it goes on.
fn page(text: String, data: &impl Serialize, next: Option<String>, empty: &str) -> Result<Answer> {
    let is_empty = text.is_empty();
    let answer = Answer::new(text, data)?;
    Ok(match next {
        Some(next) => answer.note(format!("there is more: --cursor {next}")),
        None if is_empty => answer.note(empty.to_owned()),
        None => answer,
    })
}

fn who(desk: &Desk<'_>, session: &Session, account: Option<&Account>) -> Result<Address> {
    let network = &session.chain().network;
    Ok(Address(match account {
        Some(account) => desk.resolve(account, network)?,
        None => desk.signer(network)?.address(),
    }))
}

/// What became of a transaction. Of one that the node does not know and that was sent from here, the outbox tells
/// whether it may still happen.
async fn status(desk: &Desk<'_>, session: &Session, tx_id: HashHex) -> Result<Answer> {
    let asked = session.ask::<GetTransaction>(&GetTransactionParams { tx_id }).await;
    match asked {
        Ok(status) => {
            let answer = Answer::new(tell::status(&status), &status)?;
            Ok(match safe_to_order_again(session, &status) {
                true => answer.note(
                    "its last height is final, so it can never happen: it is safe to order again".into(),
                ),
                false => answer,
            })
        }
        Err(ClientError::Refused(refusal)) if refusal.reason() == Some(RpcReason::NotFound) => {
            let kept = desk.home.as_ref().map(|home| home.outbox.get(&tx_id)).transpose()?.flatten();
            match kept.filter(|kept| kept.genesis == session.chain().genesis) {
                Some(kept) => unknown(session, &kept),
                None => Err(ClientError::Refused(refusal).into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether an order that is in no block can never be in one any more.
fn safe_to_order_again(session: &Session, status: &Status) -> bool {
    let chain = session.chain();
    let is_over = tell::expiry_of(status).is_some_and(|height| height <= chain.final_block.height);
    is_over && status.block.is_none()
}

/// An order of ours that the node has never seen, or has forgotten.
fn unknown(session: &Session, kept: &Kept) -> Result<Answer> {
    let chain = session.chain();
    let id = kept.tx_id.to_string();
    let is_over = kept.expires_at <= chain.final_block.height;
    let json = json!({ "txId": kept.tx_id, "status": "unknown", "expiresAt": kept.expires_at, "final": is_over, "kept": kept });
    let text = format!("unknown to this node: to {}, sent {}", kept.what, tell::date(kept.sent));
    let answer = Answer::new(text, &json)?;
    Ok(if is_over {
        let note = "its last height is final without it, so it can never happen: it is safe to order again";
        Answer { outcome: Outcome::Refused, ..answer.note(note.to_owned()) }
    } else {
        Answer { outcome: Outcome::Open, ..answer.note(tell::never_twice(&id, Some(kept.expires_at))) }
    })
}

/// The params of a question about an image.
///
/// # Errors
/// For a number beyond what JSON holds.
pub fn image_params(image: u64) -> Result<ImageParams> {
    Ok(ImageParams { image: image.try_into().map_err(anyhow::Error::msg).context("no such image")? })
}

fn image_page(image: u64, page: Page) -> Result<ImagePageParams> {
    let image = image_params(image)?.image;
    Ok(ImagePageParams { image, cursor: page.cursor, limit: Some(limit(page)?) })
}

fn limit(page: Page) -> Result<printsy_rpc::history::PageLimit> {
    page.limit.try_into().map_err(anyhow::Error::msg)
}
