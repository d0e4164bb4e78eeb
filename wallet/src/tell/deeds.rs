//! What an action does, as a buyer would say it: in the imperative before it is sent, in the past once it is done.

use printsy_consensus::{Action, Body, PublicKey};
use printsy_rpc::HashHex;
use printsy_rpc::chain::{CatalogueInfo, NetworkParams};
use printsy_rpc::market::Edition;
use printsy_rpc::transaction::ActionInfo;

use super::{count, plain};

/// A verb in both its forms, and what follows it.
struct Deed {
    will: &'static str,
    did: &'static str,
    rest: String,
}

fn deed(action: &ActionInfo) -> Deed {
    let (will, did, rest) = match action {
        ActionInfo::Purchase { lines, total } => {
            let editions: u64 = lines.iter().map(|line| u64::from(line.quantity)).sum();
            ("buy", "bought", format!("{} for {total}", count(editions, "edition", "editions")))
        }
        ActionInfo::Review { image, rating, .. } => {
            ("review", "reviewed", format!("image {image} with {rating} of 5"))
        }
        ActionInfo::Transfer { to, amount } => ("transfer", "transferred", format!("{amount} to {to}")),
        ActionInfo::Issue { to, amount } => ("issue", "issued", format!("{amount} to {to}")),
        ActionInfo::Redeem { amount } => ("redeem", "redeemed", amount.to_string()),
        ActionInfo::List { image, seller, price, editions } => {
            let editions = count((*editions).into(), "edition", "editions");
            ("list", "listed", format!("image {image}: {editions} at {price}, paid to {seller}"))
        }
        ActionInfo::RegisterMiner { miner, name } => {
            ("register", "registered", format!("miner {miner} as {}", plain(name)))
        }
        ActionInfo::RevokeMiner { miner } => ("revoke", "revoked", format!("miner {miner}")),
        ActionInfo::Admit { account } => ("admit", "admitted", account.to_string()),
        ActionInfo::Expel { account } => ("expel", "expelled", account.to_string()),
    };
    Deed { will, did, rest }
}

/// What an action did, in the past tense, once it is in a block.
#[must_use]
pub fn done(action: &Action) -> String {
    did(&ActionInfo::from(action))
}

/// The same of an action that a node told.
#[must_use]
pub(super) fn did(action: &ActionInfo) -> String {
    let Deed { did, rest, .. } = deed(action);
    format!("{did} {rest}")
}

/// What an action will do.
#[must_use]
pub fn will(action: &Action) -> String {
    let Deed { will, rest, .. } = deed(&ActionInfo::from(action));
    format!("{will} {rest}")
}

/// All that is about to be sent: each line of a cart with its price, the total, from whom, to which network.
///
/// `editions` are the images of a cart as they stand, line by line.
#[must_use]
pub fn summary(
    action: &Action,
    editions: &[Edition],
    sender: &PublicKey,
    params: &NetworkParams,
    url: &str,
) -> String {
    let mut text = String::new();
    if let Action::Purchase { lines, .. } = action {
        for (line, edition) in lines.iter().zip(editions) {
            let quantity = count(line.quantity.into(), "edition", "editions");
            let cost = u128::from(edition.price.0) * u128::from(line.quantity);
            let is_on_sale = edition.listed || params.catalogue == CatalogueInfo::Open;
            let (price, left) = match (is_on_sale, edition.price.0) {
                (false, _) => ("not on sale here".to_owned(), String::new()),
                (true, 0) => ("free".to_owned(), format!(" ({} left)", edition.remaining)),
                (true, price) => (format!("{price} each, {cost}"), format!(" ({} left)", edition.remaining)),
            };
            text.push_str(&format!("  image {}: {quantity}, {price}{left}\n", line.image));
        }
    }
    if let Action::Review { text: review, .. } = action {
        text.push_str(&format!("  {}\n", plain(&String::from_utf8_lossy(review))));
    }
    let network = plain(&params.network);
    format!("about to {}\n{text}  from {sender}\n  on the network {network}, by {}", will(action), plain(url))
}

/// All that an order built elsewhere would do: nothing of it is believed but what its bytes say.
#[must_use]
pub fn order_summary(body: &Body, network: &str, genesis: &HashHex) -> String {
    let mut text = String::new();
    if let Action::Purchase { lines, .. } = &body.action {
        for line in lines.iter() {
            let quantity = count(line.quantity.into(), "edition", "editions");
            text.push_str(&format!("  image {}: {quantity}\n", line.image));
        }
    }
    if let Action::Review { text: review, .. } = &body.action {
        text.push_str(&format!("  {}\n", plain(&String::from_utf8_lossy(review))));
    }
    format!(
        "order: {}\n{text}  from {}\n  on the network {}, genesis {genesis}\n  valid up to block {}",
        will(&body.action),
        body.sender,
        plain(network),
        body.expires_at
    )
}
