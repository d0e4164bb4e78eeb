//! The state as plain maps, and what transactions do to it as docs/protocol.md section 3 states it.
//!
//! No rule is checked here: arithmetic wraps, so that a refusing test may build a block around an order that
//! breaks a rule. That nothing wraps for valid orders is what the comparison with the crate shows.

use std::collections::{BTreeMap, BTreeSet};

use printsy_consensus::{
    Account, Action, Diff, Edition, Entry, Hash, Holding, Miner, Params, Position, PublicKey, StateKey,
    StateView, Supply, Transaction, ViewError, codec,
};

use super::naive::{self, PathEntry};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    pub editions: BTreeMap<u64, Edition>,
    pub accounts: BTreeMap<PublicKey, Account>,
    pub miners: BTreeMap<PublicKey, Miner>,
    pub supply: Supply,
    pub holdings: BTreeMap<(PublicKey, u64), Holding>,
    pub confirmed: BTreeSet<(u64, Hash)>,
}

impl Model {
    /// The state that block 0 leaves.
    pub fn genesis(params: &Params) -> Self {
        let entry = |name| Miner { name, registered_at: 0, blocks: 0, last_height: 0 };
        let miners = params.miners.iter().map(|miner| (miner.key, entry(miner.name.clone()))).collect();
        Self { miners, ..Self::default() }
    }

    /// A whole block: every transaction in order, then its miner's count.
    pub fn execute(&mut self, height: u64, miner: &PublicKey, transactions: &[Transaction]) {
        for (tx, index) in transactions.iter().zip(0u32..) {
            self.transact(tx, Position { height, index });
        }
        if let Some(entry) = self.miners.get_mut(miner) {
            entry.blocks += 1;
            entry.last_height = height;
        }
    }

    /// One transaction, at its position.
    pub fn transact(&mut self, tx: &Transaction, at: Position) {
        let sender = tx.body.sender;
        let mut touched = BTreeSet::from([sender]);
        match &tx.body.action {
            Action::Purchase { lines, total } => {
                self.debit(sender, *total);
                for line in lines {
                    touched.extend(self.sell(sender, line.image, line.quantity, at));
                }
            }
            Action::Review { image, rating, .. } => self.review(sender, *image, *rating, at),
            Action::Transfer { to, amount } => {
                self.debit(sender, *amount);
                self.credit(*to, *amount);
                touched.insert(*to);
            }
            Action::Issue { to, amount } => {
                self.supply.issued = self.supply.issued.wrapping_add(*amount);
                self.credit(*to, *amount);
                touched.insert(*to);
            }
            Action::Redeem { amount } => {
                self.debit(sender, *amount);
                self.supply.redeemed = self.supply.redeemed.wrapping_add(*amount);
            }
            Action::List { image, seller, price, editions } => {
                let edition = self.editions.entry(*image).or_default();
                edition.editions = *editions;
                edition.price = *price;
                edition.seller = *seller;
                touched.insert(*seller);
            }
            Action::RegisterMiner { miner, name } => {
                let entry = Miner { name: name.clone(), registered_at: at.height, blocks: 0, last_height: 0 };
                self.miners.insert(*miner, entry);
            }
            Action::RevokeMiner { miner } => {
                self.miners.remove(miner);
            }
            Action::Admit { account } | Action::Expel { account } => {
                let admitted = matches!(tx.body.action, Action::Admit { .. });
                self.accounts.entry(*account).or_default().admitted = admitted;
                touched.insert(*account);
            }
        }
        for account in touched {
            let account = self.accounts.entry(account).or_default();
            account.transactions += 1;
            account.last = at;
        }
        self.confirmed.insert((tx.body.expires_at, tx.body.txid()));
    }

    fn debit(&mut self, account: PublicKey, amount: u64) {
        let account = self.accounts.entry(account).or_default();
        account.balance = account.balance.wrapping_sub(amount);
    }

    fn credit(&mut self, account: PublicKey, amount: u64) {
        let account = self.accounts.entry(account).or_default();
        account.balance = account.balance.wrapping_add(amount);
    }

    /// One line of a purchase; the seller credited, if the image has one.
    fn sell(&mut self, buyer: PublicKey, image: u64, quantity: u32, at: Position) -> Option<PublicKey> {
        let edition = self.editions.entry(image).or_default();
        edition.sold = edition.sold.wrapping_add(quantity);
        edition.last = Some(at);
        edition.register = step(edition, 0, &buyer, quantity, at);
        let holding = self.holdings.entry((buyer, image)).or_default();
        holding.quantity = holding.quantity.wrapping_add(quantity);
        let (listed, seller) = (edition.editions > 0, edition.seller);
        let paid = edition.price.wrapping_mul(u64::from(quantity));
        listed.then(|| {
            self.credit(seller, paid);
            seller
        })
    }

    fn review(&mut self, sender: PublicKey, image: u64, rating: u8, at: Position) {
        let edition = self.editions.entry(image).or_default();
        let holding = self.holdings.entry((sender, image)).or_default();
        if holding.rating == 0 {
            edition.reviews += 1;
        }
        edition.rating_sum = edition.rating_sum.wrapping_sub(u64::from(holding.rating)) + u64::from(rating);
        holding.rating = rating;
        edition.last_review = Some(at);
        edition.register = step(edition, 1, &sender, u32::from(rating), at);
    }

    /// Makes the changes that a diff says.
    pub fn publish(&mut self, diff: &Diff) {
        for (key, entry) in &diff.entries {
            match (key, entry.clone()) {
                (StateKey::Edition(image), Some(Entry::Edition(entry))) => {
                    self.editions.insert(*image, entry);
                }
                (StateKey::Edition(image), None) => {
                    self.editions.remove(image);
                }
                (StateKey::Account(account), Some(Entry::Account(entry))) => {
                    self.accounts.insert(*account, entry);
                }
                (StateKey::Account(account), None) => {
                    self.accounts.remove(account);
                }
                (StateKey::Miner(miner), Some(Entry::Miner(entry))) => {
                    self.miners.insert(*miner, entry);
                }
                (StateKey::Miner(miner), None) => {
                    self.miners.remove(miner);
                }
                (StateKey::Supply, Some(Entry::Supply(entry))) => self.supply = entry,
                other => panic!("an entry of another kind than its key, or the supply removed: {other:?}"),
            }
        }
        for (place, holding) in &diff.holdings {
            if *holding == Holding::default() {
                self.holdings.remove(place);
            } else {
                self.holdings.insert(*place, *holding);
            }
        }
        for item in &diff.unconfirmed {
            self.confirmed.remove(item);
        }
        self.confirmed.extend(diff.confirmed.iter().copied());
    }

    /// Every entry, by its path.
    pub fn entries(&self) -> Vec<PathEntry> {
        let path = |key: &[u8]| naive::tagged("printsy/key", &[key]);
        let editions = self
            .editions
            .iter()
            .map(|(image, entry)| (path(&[&[0][..], &image.to_le_bytes()].concat()), codec::encode(entry)));
        let accounts = self
            .accounts
            .iter()
            .map(|(key, entry)| (path(&[&[1][..], &key.0].concat()), codec::encode(entry)));
        let miners =
            self.miners.iter().map(|(key, entry)| (path(&[&[2][..], &key.0].concat()), codec::encode(entry)));
        let supply = (path(&[3]), codec::encode(&self.supply));
        editions.chain(accounts).chain(miners).chain([supply]).collect()
    }

    /// The root, by the naive tree.
    pub fn root(&self) -> Hash {
        Hash(naive::state_root(&self.entries()))
    }

    pub fn balance(&self, account: &PublicKey) -> u64 {
        self.accounts.get(account).map_or(0, |account| account.balance)
    }

    pub fn sold(&self, image: u64) -> u32 {
        self.editions.get(&image).map_or(0, |edition| edition.sold)
    }
}

fn step(edition: &Edition, kind: u8, sender: &PublicKey, value: u32, at: Position) -> Hash {
    let position = [&at.height.to_le_bytes()[..], &at.index.to_le_bytes()].concat();
    let (value, sold) = (value.to_le_bytes(), edition.sold.to_le_bytes());
    let parts: [&[u8]; 6] = [&edition.register.0, &[kind], &sender.0, &value, &sold, &position];
    Hash(naive::tagged("printsy/register", &parts))
}

impl StateView for Model {
    fn entry(&self, key: &StateKey) -> Option<Entry> {
        match key {
            StateKey::Edition(image) => self.editions.get(image).copied().map(Entry::Edition),
            StateKey::Account(account) => self.accounts.get(account).copied().map(Entry::Account),
            StateKey::Miner(miner) => self.miners.get(miner).cloned().map(Entry::Miner),
            StateKey::Supply => Some(Entry::Supply(self.supply)),
        }
    }

    fn miner_count(&self) -> usize {
        self.miners.len()
    }

    fn holding(&self, account: &PublicKey, image: u64) -> Result<Holding, ViewError> {
        Ok(self.holdings.get(&(*account, image)).copied().unwrap_or_default())
    }

    fn is_confirmed(&self, expires_at: u64, txid: &Hash) -> bool {
        self.confirmed.contains(&(expires_at, *txid))
    }
}
