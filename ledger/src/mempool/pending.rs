//! What the waiting orders hold between them: the sums that keep them independent of one another.
//!
//! Each sum is exact: what `add` adds, `subtract` takes away, and what is zero is not kept. Whether an order fits beside
//! them is asked in `admit`.

use std::collections::HashMap;
use std::hash::Hash as StdHash;

use printsy_consensus::{Action, CheckedTransaction, PublicKey, StateKey};

/// Sums over the waiting orders. Each is exact: what `add` adds, `subtract` takes away.
#[derive(Debug, Default)]
pub(super) struct Pending {
    copies: HashMap<u64, u64>,
    copies_of: HashMap<(PublicKey, u64), u64>,
    debits: HashMap<PublicKey, u128>,
    credits: HashMap<PublicKey, u128>,
    orders: HashMap<PublicKey, u64>,
    /// The entry that each waiting registrar's action changes, and the editions where it lists an image.
    actions: HashMap<StateKey, Option<u32>>,
    issued: u128,
    revocations: usize,
}

impl Pending {
    /// How many copies of an image are held.
    pub(super) fn copies(&self, image: u64) -> u64 {
        self.copies.get(&image).copied().unwrap_or(0)
    }

    /// How many copies of an image an account holds.
    pub(super) fn copies_of(&self, account: PublicKey, image: u64) -> u64 {
        self.copies_of.get(&(account, image)).copied().unwrap_or(0)
    }

    /// What an account's waiting orders take from its balance.
    pub(super) fn debits(&self, account: &PublicKey) -> u128 {
        self.debits.get(account).copied().unwrap_or(0)
    }

    /// What waiting transfers and deposits would give an account.
    pub(super) fn credits(&self, account: &PublicKey) -> u128 {
        self.credits.get(account).copied().unwrap_or(0)
    }

    /// How many orders of an account wait.
    pub(super) fn orders(&self, account: &PublicKey) -> u64 {
        self.orders.get(account).copied().unwrap_or(0)
    }

    /// Whether a registrar's action on this entry waits.
    pub(super) fn has_action(&self, key: &StateKey) -> bool {
        self.actions.contains_key(key)
    }

    /// The editions that a waiting listing gives an image.
    pub(super) fn listed_editions(&self, image: u64) -> Option<u32> {
        self.actions.get(&StateKey::Edition(image)).copied().flatten()
    }

    /// What waiting deposits issue.
    pub(super) fn issued(&self) -> u128 {
        self.issued
    }

    /// How many revocations of miners wait.
    pub(super) fn revocations(&self) -> usize {
        self.revocations
    }

    pub(super) fn add(&mut self, tx: &CheckedTransaction) {
        let sender = *tx.sender();
        add_to(&mut self.orders, sender, 1);
        for (image, quantity) in lines(tx.action()) {
            add_to(&mut self.copies, image, quantity);
            add_to(&mut self.copies_of, (sender, image), quantity);
        }
        if let Some(amount) = debit(tx.action()) {
            *self.debits.entry(sender).or_default() += u128::from(amount);
        }
        if let Some((to, amount)) = credit(tx.action()) {
            *self.credits.entry(to).or_default() += u128::from(amount);
        }
        if let Some(key) = action_key(tx.action()) {
            self.actions.insert(key, editions(tx.action()));
        }
        match tx.action() {
            Action::Issue { amount, .. } => self.issued += u128::from(*amount),
            Action::RevokeMiner { .. } => self.revocations += 1,
            _ => {}
        }
    }

    pub(super) fn subtract(&mut self, tx: &CheckedTransaction) {
        let sender = *tx.sender();
        subtract_from(&mut self.orders, &sender, 1);
        for (image, quantity) in lines(tx.action()) {
            subtract_from(&mut self.copies, &image, quantity);
            subtract_from(&mut self.copies_of, &(sender, image), quantity);
        }
        if let Some(amount) = debit(tx.action()) {
            subtract_wide(&mut self.debits, &sender, amount);
        }
        if let Some((to, amount)) = credit(tx.action()) {
            subtract_wide(&mut self.credits, &to, amount);
        }
        if let Some(key) = action_key(tx.action()) {
            self.actions.remove(&key);
        }
        match tx.action() {
            Action::Issue { amount, .. } => self.issued -= u128::from(*amount),
            Action::RevokeMiner { .. } => self.revocations -= 1,
            _ => {}
        }
    }
}

/// The entry that a registrar's action changes; none for other actions.
pub(super) fn action_key(action: &Action) -> Option<StateKey> {
    match action {
        Action::List { image, .. } => Some(StateKey::Edition(*image)),
        Action::RegisterMiner { miner, .. } | Action::RevokeMiner { miner } => Some(StateKey::Miner(*miner)),
        Action::Admit { account } | Action::Expel { account } => Some(StateKey::Account(*account)),
        _ => None,
    }
}

/// What an action takes from its sender's balance; nothing where the cart is free, so that no sum is kept of
/// what adds nothing to it.
pub(super) fn debit(action: &Action) -> Option<u64> {
    match action {
        Action::Purchase { total, .. } => Some(*total).filter(|total| *total > 0),
        Action::Transfer { amount, .. } | Action::Redeem { amount } => Some(*amount),
        _ => None,
    }
}

fn credit(action: &Action) -> Option<(PublicKey, u64)> {
    match action {
        Action::Transfer { to, amount } | Action::Issue { to, amount } => Some((*to, *amount)),
        _ => None,
    }
}

fn editions(action: &Action) -> Option<u32> {
    match action {
        Action::List { editions, .. } => Some(*editions),
        _ => None,
    }
}

fn lines(action: &Action) -> Vec<(u64, u64)> {
    match action {
        Action::Purchase { lines, .. } => {
            lines.iter().map(|line| (line.image, u64::from(line.quantity))).collect()
        }
        _ => Vec::new(),
    }
}

fn add_to<K: Eq + StdHash>(sums: &mut HashMap<K, u64>, key: K, amount: u64) {
    *sums.entry(key).or_default() += amount;
}

fn subtract_from<K: Eq + StdHash>(sums: &mut HashMap<K, u64>, key: &K, amount: u64) {
    let sum = sums.get_mut(key).expect("what is subtracted was added");
    *sum -= amount;
    if *sum == 0 {
        sums.remove(key);
    }
}

fn subtract_wide(sums: &mut HashMap<PublicKey, u128>, key: &PublicKey, amount: u64) {
    let sum = sums.get_mut(key).expect("what is subtracted was added");
    *sum -= u128::from(amount);
    if *sum == 0 {
        sums.remove(key);
    }
}
