//! The way of an order: what it will do, a confirmation, the key, the signature, a copy kept, the sending, the answer.
//!
//! A person may think for minutes before they say yes, so the order is made for the tip as it is after that. Its price
//! is the one they agreed to: the network refuses it if it has changed.

use anyhow::{Result, ensure};
use printsy_consensus::{Action, Line};
use printsy_rpc::chain::GetParams;
use printsy_rpc::market::{Edition, Status, TransactionStatus};
use printsy_rpc::{ClientError, HashHex, NoParams};

use crate::answer::{Answer, Outcome};
use crate::ask::confirm;
use crate::cli::orders::Waiting;
use crate::cli::{OrderCommand, Send};
use crate::clock::now_ms;
use crate::outbox::Kept;
use crate::run::Desk;
use crate::session::{Order, Session};
use crate::{order, tell};

/// What is ordered, and the images of a cart as they stand.
struct Wish {
    action: Action,
    editions: Vec<Edition>,
}

/// Makes an order, has it confirmed, and sends it.
///
/// # Errors
/// Whatever kept it from being sent; a refusal by the node is a `ClientError` with the node's own error.
pub async fn place(desk: &mut Desk<'_>, session: Session, command: &OrderCommand<Send>) -> Result<Answer> {
    let signer = desk.signer(&session.chain().network)?;
    signer.must_sign()?;
    let Wish { action, editions } = wish(desk, &session, command).await?;
    let params = session.ask::<GetParams>(&NoParams {}).await?;
    let summary = tell::summary(&action, &editions, &signer.address(), &params, session.url());
    confirm(desk.person, &summary, "send it?", (desk.cli.yes, signer.guards_nothing()))?;
    let key = signer.unlock(desk.cli.password_file.as_ref(), desk.person)?;
    let session = if desk.person.is_there() { again(session).await? } else { session };
    let expires_at = session.expiry(command.how().validity).await?;
    let body = order::body(key.public_key(), expires_at, action)?;
    let order = Order::sign(body, &session.genesis(), &key)?;
    send(desk, &session, &order, &editions, command.how().waiting).await
}

/// A new session with the same node: the tip has moved on, and the connection may have gone.
async fn again(session: Session) -> Result<Session> {
    let new = session.again().await?;
    ensure!(new.chain().genesis == session.chain().genesis, "{} is of another network now", session.url());
    Ok(new)
}

async fn wish(desk: &Desk<'_>, session: &Session, command: &OrderCommand<Send>) -> Result<Wish> {
    let OrderCommand::Buy { items, quantity, max_total, .. } = command else {
        let network = &session.chain().network;
        let action = order::action(command, |account| desk.resolve(account, network))?;
        return Ok(Wish { action, editions: Vec::new() });
    };
    let lines = order::lines(items, *quantity)?;
    let editions = editions(session, &lines).await?;
    let prices: Vec<u64> = editions.iter().map(|edition| edition.price.0).collect();
    let total = order::total(&lines, &prices, *max_total)?;
    Ok(Wish { action: order::purchase(lines, total)?, editions })
}

/// The images of a cart as they stand, line by line.
///
/// # Errors
/// As the client.
pub async fn editions(session: &Session, lines: &[Line]) -> Result<Vec<Edition>> {
    let mut editions = Vec::with_capacity(lines.len());
    for line in lines {
        editions.push(session.edition(line.image).await?);
    }
    Ok(editions)
}

/// Keeps an order, names it, sends it and tells what became of it: who stops the wallet while it waits can ask for it.
///
/// # Errors
/// As [`place`].
pub async fn send(
    desk: &Desk<'_>,
    session: &Session,
    order: &Order,
    editions: &[Edition],
    waiting: Waiting,
) -> Result<Answer> {
    let Keeping { is_new, notes } = keep(desk, session, order);
    if !desk.cli.json {
        eprintln!("printsy: order {}", order.txid());
    }
    // Said now: whatever comes of the sending, who waits for it should know.
    notes.iter().for_each(|note| eprintln!("printsy: {note}"));
    let sent = session.send(order, waiting).await;
    if let (Err(error), Some(home)) = (&sent, &desk.home)
        && is_new
        && is_refused_for_good(error)
    {
        home.outbox.forget(&order.txid());
    }
    answer_of(&sent?, &order.body().action, editions, waiting)
}

/// What is to be said of the keeping.
struct Keeping {
    is_new: bool,
    notes: Vec<String>,
}

fn keep(desk: &Desk<'_>, session: &Session, order: &Order) -> Keeping {
    let Some(home) = &desk.home else {
        let note = "the order is not kept here, since neither HOME nor XDG_DATA_HOME says where".to_owned();
        return Keeping { is_new: true, notes: vec![note] };
    };
    let chain = session.chain();
    let tx_id = HashHex::from(order.txid());
    let is_new = matches!(home.outbox.get(&tx_id), Ok(None));
    let kept = Kept {
        tx_id,
        network: chain.network.clone(),
        genesis: chain.genesis,
        expires_at: order.expires_at(),
        sent: now_ms(),
        what: tell::will(&order.body().action),
        transaction: order.hex().clone(),
    };
    let notes = match home.outbox.keep(&kept, chain) {
        Ok(gone) => gone.iter().map(|id| format!("order {id} is kept no longer, to make room")).collect(),
        // An order that cannot be kept can still be made: a read-only home is no reason to sell nothing.
        Err(error) => vec![format!("the order is not kept here: {error:#}")],
    };
    Keeping { is_new, notes }
}

/// Whether the node refused it and will always: then nobody else has seen it, and nothing is under way.
fn is_refused_for_good(error: &anyhow::Error) -> bool {
    match error.downcast_ref() {
        Some(ClientError::Refused(refusal)) => refusal.data.as_ref().is_some_and(|data| !data.retryable),
        _ => false,
    }
}

/// The answer to an order: what it did once it is in a block, and a note where it is not as far as was asked.
fn answer_of(status: &Status, action: &Action, editions: &[Edition], waiting: Waiting) -> Result<Answer> {
    let confirmed = match action {
        Action::Purchase { lines, .. } => tell::bought(status, lines, editions),
        other => tell::confirmed(status, &tell::done(other)),
    };
    let is_confirmed = matches!(status.status, TransactionStatus::Included | TransactionStatus::Final);
    let has_reached = tell::has_reached(status.status, waiting.wait.into());
    let text = match (is_confirmed, has_reached) {
        (true, _) => confirmed,
        (false, true) => tell::sent(status),
        (false, false) => tell::status(status),
    };
    let answer = Answer::new(text, status)?;
    if has_reached {
        return Ok(answer);
    }
    let outcome = match status.status {
        TransactionStatus::Refused => Outcome::Refused,
        _ => Outcome::Open,
    };
    Ok(Answer { outcome, ..answer.note(tell::not_reached(status)) })
}
