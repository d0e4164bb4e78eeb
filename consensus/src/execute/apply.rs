//! The effects of a transaction that passed every rule (protocol section 3).
//!
//! # Correctness
//! Called only after `verify_transaction` on the same view and overlay: S4 keeps `sold` within the editions,
//! S8 keeps balances from falling below zero, S11 keeps the sum of all balances below 2^64 and so each of
//! them. Those are asserted here, where the state changes.

use std::collections::BTreeMap;

use crate::check::CheckedTransaction;
use crate::hash::Hash;
use crate::key::PublicKey;
use crate::state::{
    Entry, Holding, Miner, Position, RegisterKind, RegisterStep, StateKey, StateRow, StateView, ViewError,
};
use crate::transaction::{Action, Line};

use super::overlay::{Overlay, Staged};
use super::undo::{HoldingBefore, TransactionUndo};

/// Applies a verified transaction at `position` to `overlay` on `base`, and returns what undoes it.
///
/// # Errors
/// Where the view's storage fails. The overlay is then half written and must be dropped.
///
/// # Panics
/// If the transaction was not verified on this state, or the state is not one that rules can lead to.
pub fn apply_transaction(
    base: &impl StateView,
    overlay: &mut Overlay,
    tx: &CheckedTransaction,
    position: Position,
) -> Result<TransactionUndo, ViewError> {
    let mut effects = Effects { base, overlay, sender: *tx.sender(), position, undo: Undo::default() };
    effects.touch(*tx.sender());
    match tx.action() {
        Action::Purchase { lines, total } => effects.purchase(lines, *total)?,
        Action::Review { image, rating, .. } => effects.review(*image, *rating)?,
        Action::Transfer { to, amount } => {
            effects.debit(*amount);
            effects.credit(*to, *amount);
        }
        Action::Issue { to, amount } => {
            effects.issue(*amount);
            effects.credit(*to, *amount);
        }
        Action::Redeem { amount } => {
            effects.debit(*amount);
            effects.redeem(*amount);
        }
        Action::List { image, seller, price, editions } => effects.list(*image, *seller, *price, *editions),
        Action::RegisterMiner { miner, name } => {
            let entry =
                Miner { name: name.clone(), registered_at: position.height, blocks: 0, last_height: 0 };
            effects.set(StateKey::Miner(*miner), Some(Entry::Miner(entry)));
        }
        Action::RevokeMiner { miner } => effects.set(StateKey::Miner(*miner), None),
        Action::Admit { account } => effects.set_admitted(*account, true),
        Action::Expel { account } => effects.set_admitted(*account, false),
    }
    let undo = effects.undo;
    overlay.diff.confirmed.insert((tx.expires_at(), tx.txid()));
    Ok(undo.finish())
}

#[derive(Default)]
struct Undo {
    entries: BTreeMap<StateKey, Option<Entry>>,
    holdings: Vec<HoldingBefore>,
}

impl Undo {
    fn finish(self) -> TransactionUndo {
        let rows = self.entries.into_iter().map(|(key, entry)| StateRow { key, entry });
        TransactionUndo {
            entries: rows
                .collect::<Vec<_>>()
                .try_into()
                .expect("a transaction changes at most MAX_ENTRIES entries"),
            holdings: self.holdings.try_into().expect("a transaction has at most MAX_LINES lines"),
        }
    }
}

struct Effects<'a, V> {
    base: &'a V,
    overlay: &'a mut Overlay,
    sender: PublicKey,
    position: Position,
    undo: Undo,
}

impl<V: StateView> Effects<'_, V> {
    fn view(&self) -> Staged<'_, V> {
        Staged::new(self.base, self.overlay)
    }

    /// Sets an entry, and keeps what was there before the transaction, once.
    fn set(&mut self, key: StateKey, entry: Option<Entry>) {
        if !self.undo.entries.contains_key(&key) {
            let before = self.view().entry(&key);
            self.undo.entries.insert(key, before);
        }
        self.overlay.diff.entries.insert(key, entry);
    }

    /// Accounts touched, each once per transaction: `transactions += 1`, `last =` this position.
    fn touch(&mut self, account: PublicKey) {
        let key = StateKey::Account(account);
        if self.undo.entries.contains_key(&key) {
            return;
        }
        let mut entry = self.view().account(&account);
        entry.transactions = entry.transactions.checked_add(1).expect("fewer than 2^64 transactions ever");
        entry.last = self.position;
        self.set(key, Some(Entry::Account(entry)));
    }

    /// The balance falls by `amount`.
    fn debit(&mut self, amount: u64) {
        let mut entry = self.view().account(&self.sender);
        entry.balance = entry.balance.checked_sub(amount).expect("S8: the balance covers it");
        self.set(StateKey::Account(self.sender), Some(Entry::Account(entry)));
    }

    /// The account is touched, and its balance rises by `amount`.
    fn credit(&mut self, account: PublicKey, amount: u64) {
        self.touch(account);
        let mut entry = self.view().account(&account);
        entry.balance = entry.balance.checked_add(amount).expect("S11: all balances together fit");
        self.set(StateKey::Account(account), Some(Entry::Account(entry)));
    }

    fn issue(&mut self, amount: u64) {
        let mut supply = self.view().supply();
        supply.issued = supply.issued.checked_add(amount).expect("S11: the total ever issued fits");
        self.set(StateKey::Supply, Some(Entry::Supply(supply)));
    }

    fn redeem(&mut self, amount: u64) {
        let mut supply = self.view().supply();
        supply.redeemed = supply.redeemed.checked_add(amount).expect("no more is redeemed than was issued");
        assert!(supply.redeemed <= supply.issued, "no more is redeemed than was issued");
        self.set(StateKey::Supply, Some(Entry::Supply(supply)));
    }

    /// The balance falls by `total`; then line by line.
    fn purchase(&mut self, lines: &[Line], total: u64) -> Result<(), ViewError> {
        self.debit(total);
        lines.iter().try_for_each(|line| self.purchase_line(line))
    }

    /// The sender gets editions `sold+1 ..= sold+quantity`, `sold += quantity`, `last =` this position, a
    /// register step (kind 0, value quantity), and the seller's balance rises by price x quantity.
    fn purchase_line(&mut self, line: &Line) -> Result<(), ViewError> {
        let mut edition = self.view().edition(line.image);
        edition.sold = edition.sold.checked_add(line.quantity).expect("S4: within the editions");
        assert!(
            !edition.is_listed() || edition.sold <= edition.editions,
            "I1: image {} would have {} of {} sold",
            line.image,
            edition.sold,
            edition.editions
        );
        edition.last = Some(self.position);
        edition.register =
            self.register_step(&edition.register, RegisterKind::Purchase, line.quantity, edition.sold);
        self.set(StateKey::Edition(line.image), Some(Entry::Edition(edition)));
        let mut holding = self.keep_holding(line.image)?;
        // Holdings come from the view's storage, which the root does not cover: an absurd one is its damage.
        let quantity = holding.quantity.checked_add(line.quantity);
        holding.quantity = quantity.ok_or_else(|| absurd(line.image, &holding))?;
        self.overlay.diff.holdings.insert((self.sender, line.image), holding);
        if edition.is_listed() {
            let amount = edition.price.checked_mul(u64::from(line.quantity));
            self.credit(edition.seller, amount.expect("S7: the total fits, and so does each line"));
        }
        Ok(())
    }

    /// A register step (kind 1, value rating). The first review of (sender, image) adds 1 to `reviews` and its
    /// rating to `rating_sum`; a later one replaces it. `last_review =` this position.
    fn review(&mut self, image: u64, rating: u8) -> Result<(), ViewError> {
        let mut holding = self.keep_holding(image)?;
        let mut edition = self.view().edition(image);
        if holding.rating == 0 {
            edition.reviews = edition.reviews.checked_add(1).ok_or_else(|| absurd(image, &holding))?;
        }
        edition.rating_sum = edition
            .rating_sum
            .checked_add(u64::from(rating))
            .and_then(|sum| sum.checked_sub(u64::from(holding.rating)))
            .ok_or_else(|| absurd(image, &holding))?;
        edition.last_review = Some(self.position);
        edition.register =
            self.register_step(&edition.register, RegisterKind::Review, u32::from(rating), edition.sold);
        self.set(StateKey::Edition(image), Some(Entry::Edition(edition)));
        holding.rating = rating;
        self.overlay.diff.holdings.insert((self.sender, image), holding);
        Ok(())
    }

    /// List sets the image's editions, price and seller; the seller is touched.
    fn list(&mut self, image: u64, seller: PublicKey, price: u64, editions: u32) {
        let mut edition = self.view().edition(image);
        (edition.editions, edition.price, edition.seller) = (editions, price, seller);
        self.set(StateKey::Edition(image), Some(Entry::Edition(edition)));
        self.touch(seller);
    }

    fn set_admitted(&mut self, account: PublicKey, admitted: bool) {
        self.touch(account);
        let mut entry = self.view().account(&account);
        entry.admitted = admitted;
        self.set(StateKey::Account(account), Some(Entry::Account(entry)));
    }

    /// What the sender holds of an image, kept for the undo: an image stands once in a transaction (T4).
    fn keep_holding(&mut self, image: u64) -> Result<Holding, ViewError> {
        let holding = self.view().holding(&self.sender, image)?;
        self.undo.holdings.push(HoldingBefore { image, holding });
        Ok(holding)
    }

    /// A step of an image's register, by the sender and at this position.
    fn register_step(&self, register: &Hash, kind: RegisterKind, value: u32, sold: u32) -> Hash {
        let step = RegisterStep { kind, sender: self.sender, value, sold, position: self.position };
        step.after(register)
    }
}

fn absurd(image: u64, holding: &Holding) -> ViewError {
    ViewError(format!("a holding of image {image} cannot be: {holding:?}"))
}
