//! Random orders of the harness' own customers, and the order book they are sent from again.
//!
//! Half of them are purchases of free images out of a window that moves on, so that there are always images with
//! editions left and others that are sold out; the rest are purchases at a price, transfers, reviews, deposits,
//! withdrawals and listings. What is not valid just now is refused, which is an answer too.

use std::collections::VecDeque;

use anyhow::{Context, Result};
use printsy_consensus::{
    Action, Body, CheckedTransaction, Genesis, Line, PublicKey, SecretKey, check_transaction,
};

use crate::support::Random;

/// How many customers there are.
const BUYERS: u64 = 8;
/// How many images are on sale at a time.
pub const WINDOW: u64 = 20;
/// The first of the images that are listed at a price.
pub const FIRST_LISTED: u64 = 1_000_000;
/// How many of those there are.
const LISTED: u64 = 6;
/// How many orders are remembered to be sent again, and to be put into the harness' own blocks.
const REMEMBERED: usize = 400;

/// Customers, with their keys at hand.
#[derive(Debug)]
pub struct Customers {
    genesis: Genesis,
    buyers: Vec<SecretKey>,
    issuer: SecretKey,
    registrar: SecretKey,
    /// Of every sixteen, the first eight bytes of a reference: no two orders of a run are the same.
    references: u64,
    sent: VecDeque<CheckedTransaction>,
}

impl Customers {
    /// The customers of a network.
    #[must_use]
    pub fn new(genesis: Genesis) -> Self {
        let buyers = (0..BUYERS).map(|n| SecretKey::development(&format!("buyer-{n}"))).collect();
        let (issuer, registrar) = (SecretKey::development("issuer"), SecretKey::development("registrar"));
        Self { genesis, buyers, issuer, registrar, references: 0, sent: VecDeque::new() }
    }

    /// Everybody whose account is worth a look.
    #[must_use]
    pub fn accounts(&self) -> Vec<PublicKey> {
        let names = self.buyers.iter().chain([&self.issuer, &self.registrar]);
        names.map(SecretKey::public_key).collect()
    }

    /// An order, mostly new, now and then one that was sent before. `window` is the first image on sale, `height`
    /// the next block's.
    ///
    /// # Errors
    /// Never: what is made here is well formed.
    pub fn order(&mut self, random: &mut Random, window: u64, height: u64) -> Result<CheckedTransaction> {
        if random.chance(8) && !self.sent.is_empty() {
            return Ok(self.sent[random.index(self.sent.len())].clone());
        }
        let order = self.fresh(random, window, height)?;
        self.sent.push_back(order.clone());
        if self.sent.len() > REMEMBERED {
            self.sent.pop_front();
        }
        Ok(order)
    }

    /// Some orders that were sent before, in any order.
    pub fn sent(&self, random: &mut Random, count: usize) -> Vec<CheckedTransaction> {
        (0..count.min(self.sent.len())).map(|_| self.sent[random.index(self.sent.len())].clone()).collect()
    }

    fn fresh(&mut self, random: &mut Random, window: u64, height: u64) -> Result<CheckedTransaction> {
        let buyer = self.buyers[random.index(self.buyers.len())].clone();
        let image = window + random.below(WINDOW);
        let listed = FIRST_LISTED + random.below(LISTED);
        let (key, action) = match random.below(20) {
            0..=9 => (buyer, cart(random, image)?),
            10 | 11 => (buyer, purchase(vec![Line { image: listed, quantity: 1 }], price(listed))?),
            12..=14 => {
                // T11: not to oneself.
                let to = self.somebody(random);
                let to = if to == buyer.public_key() { self.registrar.public_key() } else { to };
                (buyer, Action::Transfer { to, amount: 1 + random.below(50) })
            }
            15 | 16 => {
                let rating = u8::try_from(1 + random.below(5))?;
                let text = vec![b'x'; random.index(60)].try_into().context("a short text")?;
                (buyer, Action::Review { image, rating, text })
            }
            17 => (buyer, Action::Redeem { amount: 1 + random.below(20) }),
            18 => (self.issuer.clone(), Action::Issue { to: self.somebody(random), amount: 1_000 }),
            _ => {
                let seller = self.somebody(random);
                let editions = 50 + u32::try_from(random.below(50))?;
                let action = Action::List { image: listed, seller, price: price(listed), editions };
                (self.registrar.clone(), action)
            }
        };
        let mut reference = [0; 16];
        self.references += 1;
        reference[..8].copy_from_slice(&self.references.to_le_bytes());
        let expires_at = height + 15 + random.below(200);
        let body = Body { sender: key.public_key(), reference, expires_at, action };
        let genesis = self.genesis.hash();
        Ok(check_transaction(self.genesis.params(), &genesis, body.sign(&genesis, &key))?)
    }

    fn somebody(&self, random: &mut Random) -> PublicKey {
        self.buyers[random.index(self.buyers.len())].public_key()
    }
}

/// One to three free images.
fn cart(random: &mut Random, image: u64) -> Result<Action> {
    let mut lines = Vec::new();
    for image in image..image + 1 + random.below(3) {
        lines.push(Line { image, quantity: 1 + u32::try_from(random.below(3))? });
    }
    purchase(lines, 0)
}

fn purchase(lines: Vec<Line>, total: u64) -> Result<Action> {
    Ok(Action::Purchase { lines: lines.try_into().context("a few lines")?, total })
}

/// What one of a listed image costs.
fn price(image: u64) -> u64 {
    1 + image % 7
}
