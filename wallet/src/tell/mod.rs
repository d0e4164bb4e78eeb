//! The sentences for people: what happened, where it stands, what went wrong and what to do.
//!
//! Pure text from answers, so that tests can hold every sentence still. What a node says is not believed to be plain
//! text: [`plain`] takes from it what could move a terminal's cursor.
//!
//! - this file: availability, orders and their statuses, accounts, the chain, refusals
//! - `deeds`: what an action does, in the imperative and in the past
//! - `lists`: holdings, history, owners, reviews, miners

mod deeds;
mod lists;

use printsy_consensus::{Line, Transaction, codec};
use printsy_rpc::chain::{Chain, SyncState};
use printsy_rpc::market::{Account, Availability, Edition, EditionRange, Status, TransactionStatus, Wait};
use printsy_rpc::{HashHex, RpcError, RpcReason};

pub use deeds::{done, order_summary, summary, will};
pub use lists::{came, date, gone, history, holdings, miners, owners, reviews};

/// Hex digits of a block's id that are enough for a person to compare.
const SHORT_DIGITS: usize = 8;

/// `7 (ab12cd34...)`: a block by height and the beginning of its id.
fn block(height: u64, hash: &HashHex) -> String {
    let digits = hash.to_string();
    format!("{height} ({}...)", &digits[..SHORT_DIGITS])
}

fn count(number: u64, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// What `isAvailable` answered.
#[must_use]
pub fn availability(a: &Availability) -> String {
    let left = match (a.remaining, a.available) {
        (0, _) => format!("sold out, all {} sold", count(a.max.into(), "edition", "editions")),
        (remaining, true) => format!("{remaining} of {} left, price {}", a.max, a.price),
        (remaining, false) => format!("{remaining} of {} left, but not to be had now", a.max),
    };
    let pending = match a.pending {
        0 => String::new(),
        pending => format!(", {pending} in pending orders"),
    };
    let last = match &a.last_block {
        Some(last) => format!("last sold in block {}", block(last.height, &last.hash)),
        None => "never sold".to_owned(),
    };
    format!("image {}: {left}{pending}; {last}", a.image)
}

/// What a confirmed purchase brought: a line for each image.
///
/// `editions` are the images of the cart as they stood before it, in any order.
#[must_use]
pub fn bought(status: &Status, lines: &[Line], editions: &[Edition]) -> String {
    let Some(in_block) = &status.block else {
        return String::new();
    };
    let place = format!("in block {}", block(in_block.height, &in_block.hash));
    let ranges = status.editions.as_deref().unwrap_or_default();
    let told = ranges.iter().map(|range| {
        let quantity = lines.iter().find(|line| line.image == range.image).map_or(0, |line| line.quantity);
        let image = editions.iter().find(|edition| edition.image == range.image);
        let of = image.map_or_else(String::new, |image| format!(" of {}", image.editions));
        let price = image.map_or(0, |image| u128::from(image.price.0) * u128::from(quantity));
        let paid = if price == 0 { String::new() } else { format!(" for {price}") };
        format!("bought image {}: {}{of}{paid}, {place}", range.image, numbers(range))
    });
    told.collect::<Vec<_>>().join("\n")
}

/// `edition 1` or `editions 1 to 2`.
fn numbers(range: &EditionRange) -> String {
    if range.from == range.to {
        format!("edition {}", range.from)
    } else {
        format!("editions {} to {}", range.from, range.to)
    }
}

/// What an order that is no purchase did, once it is in a block.
#[must_use]
pub fn confirmed(status: &Status, done: &str) -> String {
    match &status.block {
        Some(in_block) => format!("{done}, in block {}", block(in_block.height, &in_block.hash)),
        None => done.to_owned(),
    }
}

/// An order that is on its way, when that was all that was asked.
#[must_use]
pub fn sent(status: &Status) -> String {
    format!("sent, and waiting for a block: {}", status.tx_id)
}

/// Whether an order came as far as was asked.
#[must_use]
pub fn has_reached(status: TransactionStatus, wait: Wait) -> bool {
    match status {
        TransactionStatus::Pending => wait == Wait::Admitted,
        TransactionStatus::Included => wait != Wait::Final,
        TransactionStatus::Final => true,
        TransactionStatus::Displaced | TransactionStatus::Refused | TransactionStatus::Expired => false,
    }
}

/// What to do about an order that may still happen: anything but to order again.
#[must_use]
pub fn never_twice(id: &str, expires_at: Option<u64>) -> String {
    let until = match expires_at {
        Some(height) => format!("block {height} is final"),
        None => "its last height is final".to_owned(),
    };
    format!(
        "it may happen until {until}, so never order again before that; ask `printsy status {id}`, or send the very \
         same order once more with `printsy resend {id}`"
    )
}

/// The last height that may include the order a status is about.
#[must_use]
pub fn expiry_of(status: &Status) -> Option<u64> {
    let transaction: Transaction = codec::decode(status.transaction.as_bytes()).ok()?;
    Some(transaction.body.expires_at)
}

/// Why an order is not where it was asked to be, and what to do: never simply to order again.
#[must_use]
pub fn not_reached(status: &Status) -> String {
    let id = status.tx_id;
    let what = match status.status {
        TransactionStatus::Pending => "is in no block yet",
        TransactionStatus::Included => "is in a block, which is not final yet",
        TransactionStatus::Final => return format!("order {id} is final"),
        TransactionStatus::Displaced => "was taken out of its block by a reorganisation",
        TransactionStatus::Refused => {
            return format!("order {id} was refused; ask `printsy status {id}` before you order again");
        }
        TransactionStatus::Expired => "has expired, though not for good yet",
    };
    format!("order {id} {what}: {}", never_twice(&id.to_string(), expiry_of(status)))
}

/// What became of a transaction.
#[must_use]
pub fn status(s: &Status) -> String {
    let place =
        s.block.as_ref().map(|b| format!(" in block {}", block(b.height, &b.hash))).unwrap_or_default();
    let confirmations = || count(s.confirmations, "confirmation", "confirmations");
    let reason =
        s.history.last().and_then(|change| change.reason).map(|r| format!(" ({r})")).unwrap_or_default();
    let mut text = match s.status {
        TransactionStatus::Pending => "pending: waiting for a block".to_owned(),
        TransactionStatus::Included => format!("included{place}, {}", confirmations()),
        TransactionStatus::Final => format!("final{place}, {}", confirmations()),
        TransactionStatus::Displaced => {
            format!("displaced{reason}: a reorganisation took it out of its block; it may come back")
        }
        TransactionStatus::Refused => format!("refused{reason}"),
        TransactionStatus::Expired => "expired: the chain has passed its last height without it".to_owned(),
    };
    for range in s.editions.as_deref().unwrap_or_default() {
        text.push_str(&format!("\nimage {}: {}", range.image, numbers(range)));
    }
    text
}

/// What an account has.
#[must_use]
pub fn account(a: &Account) -> String {
    let admitted = if a.admitted { ", admitted" } else { "" };
    format!(
        "{}: balance {}, {}{admitted}",
        a.account,
        a.balance,
        count(a.transactions, "transaction", "transactions")
    )
}

/// Where a node stands.
#[must_use]
pub fn chain(c: &Chain) -> String {
    let sync = match c.sync.state {
        SyncState::Synced => "synced".to_owned(),
        SyncState::Syncing => format!("syncing, at {} of {}", c.sync.height, c.sync.best),
    };
    format!(
        "network  {}\ngenesis  {}\ntip      {}\nfinal    {}\nsync     {sync}\nmempool  {}, {} bytes\npeers    {}\n\
         node     {}",
        plain(&c.network),
        c.genesis,
        block(c.tip.height, &c.tip.hash),
        block(c.final_block.height, &c.final_block.hash),
        count(c.mempool.transactions, "transaction", "transactions"),
        c.mempool.bytes,
        c.peers,
        plain(&[c.version.as_str(), c.peer_id.as_str()].join(" ")).trim_end(),
    )
}

/// What a node wrote, without the characters that move a cursor or change what stands on the screen already.
#[must_use]
pub fn plain(text: &str) -> String {
    let hides = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if hides(c) { ' ' } else { c }).collect()
}

/// A node's refusal: its own sentence, and what to do about it.
#[must_use]
pub fn refusal(error: &RpcError) -> String {
    let message = plain(&error.message);
    let Some(data) = &error.data else {
        return format!("the node refused: {message} ({})", error.code);
    };
    match advice(data.reason, data.rule.as_deref()) {
        Some(advice) => format!("{message}; {advice}"),
        None => message,
    }
}

fn advice(reason: RpcReason, rule: Option<&str>) -> Option<&'static str> {
    Some(match reason {
        RpcReason::SoldOut | RpcReason::Malformed | RpcReason::RefusedByRegistry | RpcReason::Ended => {
            return None;
        }
        RpcReason::AccountLimit => "see `printsy holdings` for what you have of it",
        RpcReason::HeldByPending => "try again in a moment: if those orders fail, editions come free",
        RpcReason::BadSignature => "is this node of the network you meant? see `printsy chain`",
        RpcReason::Expired | RpcReason::NotYet | RpcReason::ExpiresTooSoon => {
            "order again, or with another --valid-for"
        }
        RpcReason::NotListed => "only what a registrar listed can be bought here",
        RpcReason::PriceChanged => "order again at the new price",
        RpcReason::InsufficientBalance => "see `printsy balance`",
        RpcReason::NotAuthorized if rule == Some("S3") => {
            "have a registrar admit the account: `printsy admit ADDRESS`"
        }
        RpcReason::NotAuthorized => "use a key that has the role (--key)",
        RpcReason::NotPurchased => "only who bought an image can review it",
        RpcReason::MempoolFull => "try again in a moment, or at another node (--rpc)",
        RpcReason::UnknownTemplate => "ask for a new template",
        RpcReason::Syncing => "try again when it has caught up, or at another node (--rpc)",
        RpcReason::NotFound => "another node may know it (--rpc)",
        RpcReason::Storage => "try another node (--rpc) and tell this one's operator",
        RpcReason::Unauthorized => {
            "give --token-file PATH: the node's operator makes a token (`printsyd tokens add`)"
        }
        RpcReason::RateLimited => "try again in a moment",
        RpcReason::SlowReader => "subscribe again, from where you were",
    })
}
