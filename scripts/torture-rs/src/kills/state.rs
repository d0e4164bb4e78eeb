//! The node's word on images and accounts, held against a replica that executed every block of its chain.
//!
//! An answer is of some tip. `isAvailable` names it; for the others the tip is looked at before and after, and an
//! answer in between two different ones is asked for again.

use anyhow::{Result, ensure};
use printsy_consensus::{Account, Edition, Entry, Hash, PublicKey, StateKey};
use printsy_rpc::market::{
    AccountParams, Availability, GetAccount, GetEdition, ImageParams, IsAvailable, Position,
};
use printsy_rpc::{Address, Client};

use super::model::Model;
use super::orders::{FIRST_LISTED, WINDOW};
use crate::support::Random;

/// How many images, and how many accounts, are compared at a time.
const SAMPLES: usize = 6;
/// How often one is asked for anew whose tip moved away.
const TRIES: usize = 8;

/// Compares some images and some accounts; answers how many.
///
/// # Errors
/// The first that differs.
pub async fn compare(
    client: &Client,
    model: &mut Model,
    accounts: &[PublicKey],
    window: u64,
    random: &mut Random,
) -> Result<u64> {
    let mut compared = 0;
    for _ in 0..SAMPLES {
        let first =
            if random.chance(6) { FIRST_LISTED } else { window.saturating_sub(random.below(2 * WINDOW)) };
        let image = first + random.below(WINDOW);
        let account = accounts[random.index(accounts.len())];
        for _ in 0..TRIES {
            let before = available(client, image).await?;
            let params = ImageParams { image: image.try_into().map_err(anyhow::Error::msg)? };
            let edition = client.call::<GetEdition>(&params).await?;
            let params = AccountParams { account: Address(account) };
            let told = client.call::<GetAccount>(&params).await?;
            let after = available(client, image).await?;
            if before.tip != after.tip {
                continue;
            }
            let tip = Hash::from(before.tip.hash);
            if model.state(&tip).is_none() {
                model.follow(client).await?;
            }
            let Some(state) = model.state(&tip) else { continue };
            let sold = state.sold(image);
            let edition_entry = match state.entry(&StateKey::Edition(image)) {
                Some(Entry::Edition(entry)) => entry,
                _ => Edition::default(),
            };
            let account_entry = match state.entry(&StateKey::Account(account)) {
                Some(Entry::Account(entry)) => entry,
                _ => Account::default(),
            };
            same_image(&edition_entry, sold, &before, &edition)?;
            same_account(&account_entry, &told)?;
            compared += 2;
            break;
        }
    }
    Ok(compared)
}

async fn available(client: &Client, image: u64) -> Result<Availability> {
    let image = image.try_into().map_err(anyhow::Error::msg)?;
    Ok(client.call::<IsAvailable>(&ImageParams { image }).await?)
}

fn same_image(
    entry: &Edition,
    counted: u64,
    available: &Availability,
    edition: &printsy_rpc::market::Edition,
) -> Result<()> {
    let expected = (u64::from(entry.sold), entry.price, entry.reviews, Hash(entry.register.0));
    let got = (u64::from(edition.sold), edition.price.0, edition.reviews, Hash::from(edition.register));
    ensure!(expected == got, "image {}: expected {expected:?}, the node says {got:?}", available.image);
    ensure!(
        counted == u64::from(entry.sold),
        "image {}: {counted} counted, {} sold",
        available.image,
        entry.sold
    );
    ensure!(available.sold == entry.sold, "image {}: isAvailable says {available:?}", available.image);
    ensure!(
        available.remaining == available.max - entry.sold && edition.remaining == available.remaining,
        "image {}: {available:?}, {edition:?}",
        available.image
    );
    ensure!(edition.last == entry.last.map(place), "image {}: last {:?}", available.image, edition.last);
    ensure!(edition.last_review == entry.last_review.map(place), "image {}: last review", available.image);
    Ok(())
}

fn same_account(entry: &Account, told: &printsy_rpc::market::Account) -> Result<()> {
    let last = (entry.transactions > 0).then(|| place(entry.last));
    let expected = (entry.balance, entry.transactions, last);
    let got = (told.balance.0, told.transactions, told.last);
    ensure!(expected == got, "account {}: expected {expected:?}, the node says {got:?}", told.account);
    Ok(())
}

fn place(position: printsy_consensus::Position) -> Position {
    Position { height: position.height, index: position.index }
}
