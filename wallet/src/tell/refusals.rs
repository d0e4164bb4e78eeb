//! Why a node refused, in one sentence for who ordered: the node's own words, and what to do about it.
//!
//! The rule's name stands behind the words, for who wants to look it up in docs/protocol.md.

use printsy_rpc::{ErrorData, RpcError, RpcReason};

use super::{count, plain};

/// A node's refusal: its own sentence, and what to do about it.
#[must_use]
pub fn refusal(error: &RpcError) -> String {
    let message = plain(&error.message);
    let Some(data) = &error.data else {
        return format!("the node refused: {message} ({})", error.code);
    };
    let words = match data.rule.as_deref().and_then(|rule| Some((message.strip_prefix(rule)?, rule))) {
        Some((rest, rule)) => format!("{} ({})", rest.trim_start_matches([':', ' ']), plain(rule)),
        None => message,
    };
    match advice(data) {
        Some(advice) => format!("{words}; {advice}"),
        None => words,
    }
}

fn advice(data: &ErrorData) -> Option<String> {
    let advice = match data.reason {
        RpcReason::SoldOut => return left(data),
        RpcReason::NotAuthorized => authority(data.rule.as_deref()),
        RpcReason::Malformed | RpcReason::RefusedByRegistry | RpcReason::Ended => return None,
        RpcReason::AccountLimit => "see `printsy holdings` for what you have of it",
        RpcReason::HeldByPending => "try again in a moment: if those orders fail, editions come free",
        RpcReason::BadSignature => "is this node of the network you meant? see `printsy chain`",
        RpcReason::Expired | RpcReason::NotYet | RpcReason::ExpiresTooSoon => {
            "order again, or with another --valid-for"
        }
        RpcReason::NotListed => "it is not on sale: only what a registrar listed can be bought here",
        RpcReason::PriceChanged => "nothing was paid; order again to see the new price",
        RpcReason::InsufficientBalance => {
            "nothing was paid; an issuer credits deposits, `printsy balance` tells them"
        }
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
    };
    Some(advice.to_owned())
}

/// How many editions could still be bought, where fewer than that were wanted.
fn left(data: &ErrorData) -> Option<String> {
    let left = data.max?.checked_sub(data.sold?)?;
    (left > 0).then(|| format!("{} left: buy no more than that", count(left, "edition is", "editions are")))
}

fn authority(rule: Option<&str>) -> &'static str {
    match rule {
        Some("S3") => {
            "only admitted accounts take part in this network: ask the shop, whose registrar runs `printsy admit ADDRESS`"
        }
        _ => "use a key that has the role (--key)",
    }
}
