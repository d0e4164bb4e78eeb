//! What a command becomes: lines, totals, expiry, a signed transaction. Nothing is asked or sent here.
//!
//! What it needs to know of the chain is given to it, so that what is signed can be tested without a node.

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use printsy_consensus::{
    Action, Body, Hash, Line, MAX_LINES, MAX_NAME_BYTES, MAX_TEXT_BYTES, PublicKey, SecretKey, Transaction,
};
use rand::TryRng;
use rand::rngs::SysRng;

use crate::cli::{Account, Item, OrderCommand};

/// In how many blocks an order expires when nobody says: four minutes of two-second blocks, long enough to be
/// mined through any hiccup and short enough to know soon that it never will be.
pub const DEFAULT_VALIDITY_BLOCKS: u32 = 120;

/// The lines of a cart: ascending by image, each image once.
///
/// # Errors
/// A sentence for an image named twice, and for a cart of more than 256 images.
pub fn lines(items: &[Item], default_quantity: u32) -> Result<Vec<Line>> {
    ensure!(
        items.len() <= MAX_LINES,
        "a cart holds at most {MAX_LINES} images, and this one has {}; buy in parts",
        items.len()
    );
    let line = |item: &Item| Line { image: item.image, quantity: item.quantity.unwrap_or(default_quantity) };
    let mut lines: Vec<Line> = items.iter().map(line).collect();
    lines.sort_unstable_by_key(|line| line.image);
    if let Some(pair) = lines.windows(2).find(|pair| pair[0].image == pair[1].image) {
        bail!("image {0} is named twice; write {0}:QTY for more than one edition", pair[0].image);
    }
    Ok(lines)
}

/// What the cart costs at these prices, one for each line.
///
/// # Errors
/// A sentence if it is beyond any amount, or beyond `most`.
pub fn total(lines: &[Line], prices: &[u64], most: Option<u64>) -> Result<u64> {
    let cost = |(line, price): (&Line, &u64)| u128::from(*price) * u128::from(line.quantity);
    // 256 products of 64 and 32 bits stay far below 2^128.
    let exact: u128 = lines.iter().zip(prices).map(cost).sum();
    let total = u64::try_from(exact).with_context(|| format!("{exact} is more than any account can hold"))?;
    match most {
        Some(most) if total > most => {
            bail!("it costs {total}, more than the {most} of --max-total, so nothing was ordered")
        }
        _ => Ok(total),
    }
}

/// The last height that may include an order made at `tip`.
///
/// # Errors
/// A sentence if `valid_for` is more than the network allows.
pub fn expiry(tip: u64, max_validity: u32, valid_for: Option<u32>) -> Result<u64> {
    let blocks = match valid_for {
        None => DEFAULT_VALIDITY_BLOCKS.min(max_validity),
        Some(blocks) if blocks <= max_validity => blocks,
        Some(blocks) => {
            bail!(
                "an order on this network is valid for at most {max_validity} blocks, and --valid-for says {blocks}"
            )
        }
    };
    tip.checked_add(u64::from(blocks)).context("the node's height is beyond any chain's")
}

/// A purchase.
///
/// # Errors
/// A sentence for more than 256 lines.
pub fn purchase(lines: Vec<Line>, total: u64) -> Result<Action> {
    let lines = lines.try_into().context("a cart holds at most 256 images; buy in parts")?;
    Ok(Action::Purchase { lines, total })
}

/// A review.
///
/// # Errors
/// A sentence for a text that is too long.
pub fn review(image: u64, rating: u8, text: &str) -> Result<Action> {
    let bytes = text.as_bytes().to_vec();
    let text = bytes.try_into().with_context(|| {
        format!("a review's text is at most {MAX_TEXT_BYTES} bytes, and this one has {}", text.len())
    })?;
    Ok(Action::Review { image, rating, text })
}

/// A miner's registration.
///
/// # Errors
/// A sentence for a name that is too long.
pub fn register_miner(miner: PublicKey, name: &str) -> Result<Action> {
    let bytes = name.as_bytes().to_vec();
    let name = bytes.try_into().with_context(|| {
        format!("a miner's name is at most {MAX_NAME_BYTES} characters, and this one has {}", name.len())
    })?;
    Ok(Action::RegisterMiner { miner, name })
}

/// What a command asks for, where nothing but the accounts in it has to be looked up.
///
/// # Errors
/// What `resolve` says of an account; a sentence for a text or a name that is too long.
///
/// # Panics
/// For a purchase: its total is not in the command.
pub fn action<H: Args>(
    command: &OrderCommand<H>,
    resolve: impl Fn(&Account) -> Result<PublicKey>,
) -> Result<Action> {
    Ok(match command {
        OrderCommand::Buy { .. } => unreachable!("a purchase is made with its total"),
        OrderCommand::ListImage { image, seller, price, editions, .. } => {
            Action::List { image: *image, seller: resolve(seller)?, price: *price, editions: *editions }
        }
        OrderCommand::Transfer { to, amount, .. } => Action::Transfer { to: resolve(to)?, amount: *amount },
        OrderCommand::Issue { to, amount, .. } => Action::Issue { to: resolve(to)?, amount: *amount },
        OrderCommand::Redeem { amount, .. } => Action::Redeem { amount: *amount },
        OrderCommand::Review { image, rating, text, .. } => review(*image, *rating, text)?,
        OrderCommand::Admit { account, .. } => Action::Admit { account: resolve(account)? },
        OrderCommand::Expel { account, .. } => Action::Expel { account: resolve(account)? },
        OrderCommand::RegisterMiner { miner, name, .. } => register_miner(resolve(miner)?, name)?,
        OrderCommand::RevokeMiner { miner, .. } => Action::RevokeMiner { miner: resolve(miner)? },
    })
}

/// An order of `sender`, with a reference of its own.
///
/// # Errors
/// If the system has no randomness.
pub fn body(sender: PublicKey, expires_at: u64, action: Action) -> Result<Body> {
    let mut reference = [0; 16];
    let filled = SysRng.try_fill_bytes(&mut reference);
    filled.context("the system gave no random bytes for the order's reference")?;
    Ok(Body { sender, reference, expires_at, action })
}

/// The signed transaction.
#[must_use]
pub fn sign(
    key: &SecretKey,
    genesis: &Hash,
    expires_at: u64,
    reference: [u8; 16],
    action: Action,
) -> Transaction {
    Body { sender: key.public_key(), reference, expires_at, action }.sign(genesis, key)
}
