//! A book of the chain kept by hand: what every transaction does to plain maps, as docs/protocol.md section 3 says.
//!
//! It shares nothing with the live path but decoding and hashing: its own entries, its own wide arithmetic, no rule
//! of consensus' and no state tree. It refuses nothing: what a transaction does is done, so that the count goes on
//! after a fault, and what is wrong with it is told.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use printsy_consensus::{Action, Hash, Line, Params, PublicKey, Tag, Transaction, tagged};

/// Where a transaction stands: height, index.
pub(super) type At = (u64, u32);

/// Which invariant a wrong thing breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// I1: sold(image) <= its editions <= MAX.
    Editions,
    /// I5: balances sum to issued - redeemed, and none is below zero.
    Money,
    /// I7: only registered miners and registrars make blocks.
    Miners,
}

/// Who is told what is wrong.
pub(super) type Tell<'a> = dyn FnMut(Broken, String) + 'a;

/// What was counted of an image.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    pub(super) sold: u64,
    /// 0: not listed.
    pub(super) editions: u32,
    pub(super) price: u64,
    pub(super) seller: [u8; 32],
    pub(super) register: [u8; 32],
    pub(super) last: Option<At>,
    pub(super) reviews: u64,
    pub(super) rating_sum: u64,
    pub(super) last_review: Option<At>,
}

/// What was counted of an account.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    /// Signed, so that money from nothing shows.
    pub(super) balance: i128,
    pub(super) admitted: bool,
    pub(super) transactions: u64,
    pub(super) last: At,
}

/// What was counted of a miner.
#[derive(Clone, Debug, Default)]
pub(super) struct Miner {
    pub(super) name: Vec<u8>,
    pub(super) registered_at: u64,
    pub(super) blocks: u64,
    pub(super) last_height: u64,
}

/// The book at some block.
#[derive(Debug)]
pub(super) struct Book<'a> {
    params: &'a Params,
    pub(super) images: HashMap<u64, Image>,
    pub(super) accounts: HashMap<PublicKey, Account>,
    pub(super) miners: BTreeMap<PublicKey, Miner>,
    pub(super) issued: u128,
    pub(super) redeemed: u128,
    /// The sum of all balances, kept change by change.
    pub(super) balances: i128,
    pub(super) sold: u128,
    ratings: HashMap<(PublicKey, u64), u8>,
}

impl<'a> Book<'a> {
    /// As genesis leaves it.
    pub(super) fn new(params: &'a Params) -> Self {
        let miner = |name: &[u8]| Miner { name: name.to_vec(), ..Miner::default() };
        Self {
            params,
            images: HashMap::new(),
            accounts: HashMap::new(),
            miners: params.miners.iter().map(|entry| (entry.key, miner(&entry.name))).collect(),
            issued: 0,
            redeemed: 0,
            balances: 0,
            sold: 0,
            ratings: HashMap::new(),
        }
    }

    /// Whether this key may make the next block.
    pub(super) fn may_mine(&self, key: &PublicKey) -> bool {
        self.miners.contains_key(key) || self.params.registrars.contains(key)
    }

    /// Counts a block for its miner, after its transactions.
    pub(super) fn note_miner(&mut self, key: &PublicKey, height: u64) {
        if let Some(miner) = self.miners.get_mut(key) {
            miner.blocks = miner.blocks.saturating_add(1);
            miner.last_height = height;
        }
    }

    /// How many entries the state has.
    pub(super) fn entries(&self) -> usize {
        self.images.len() + self.accounts.len() + self.miners.len() + 1
    }

    /// What a transaction does, and what is wrong with it.
    pub(super) fn enter(&mut self, tx: &Transaction, at: At, tell: &mut Tell<'_>) {
        let sender = tx.body.sender;
        let mut touched = BTreeSet::from([sender]);
        match &tx.body.action {
            Action::Purchase { lines, total } => {
                self.pay(sender, *total, tell);
                for line in lines {
                    touched.extend(self.sell(sender, *line, at, tell));
                }
            }
            Action::Review { image, rating, .. } => self.review(sender, *image, *rating, at),
            Action::Transfer { to, amount } => {
                self.pay(sender, *amount, tell);
                self.receive(*to, u128::from(*amount));
                touched.insert(*to);
            }
            Action::Issue { to, amount } => {
                self.issue(sender, *amount, tell);
                self.receive(*to, u128::from(*amount));
                touched.insert(*to);
            }
            Action::Redeem { amount } => {
                self.pay(sender, *amount, tell);
                self.redeemed = self.redeemed.saturating_add(u128::from(*amount));
            }
            Action::List { image, seller, price, editions } => {
                self.list(sender, *image, (*seller, *price, *editions), tell);
                touched.insert(*seller);
            }
            Action::RegisterMiner { miner, name } => {
                self.expect_registrar(sender, Broken::Miners, tell);
                let entry = Miner { name: name.to_vec(), registered_at: at.0, ..Miner::default() };
                self.miners.insert(*miner, entry);
            }
            Action::RevokeMiner { miner } => {
                self.expect_registrar(sender, Broken::Miners, tell);
                self.miners.remove(miner);
            }
            Action::Admit { account } | Action::Expel { account } => {
                let admitted = matches!(tx.body.action, Action::Admit { .. });
                self.accounts.entry(*account).or_default().admitted = admitted;
                touched.insert(*account);
            }
        }
        for key in touched {
            let account = self.accounts.entry(key).or_default();
            account.transactions = account.transactions.saturating_add(1);
            account.last = at;
        }
    }

    fn pay(&mut self, key: PublicKey, amount: u64, tell: &mut Tell<'_>) {
        let account = self.accounts.entry(key).or_default();
        account.balance -= i128::from(amount);
        self.balances -= i128::from(amount);
        if account.balance < 0 {
            tell(Broken::Money, format!("{key} pays {amount} and has {} then", account.balance));
        }
    }

    fn receive(&mut self, key: PublicKey, amount: u128) {
        // A price times a quantity stays below 2^96, and no chain has 2^31 of those in one account.
        let amount = i128::try_from(amount).unwrap_or(i128::MAX);
        let account = self.accounts.entry(key).or_default();
        account.balance = account.balance.saturating_add(amount);
        self.balances = self.balances.saturating_add(amount);
    }

    fn issue(&mut self, sender: PublicKey, amount: u64, tell: &mut Tell<'_>) {
        self.issued = self.issued.saturating_add(u128::from(amount));
        if !self.params.issuers.contains(&sender) {
            tell(Broken::Money, format!("{amount} were issued by {sender}, who is no issuer"));
        }
        if self.issued > u128::from(u64::MAX) {
            tell(Broken::Money, format!("{} were issued in all, beyond 2^64", self.issued));
        }
    }

    /// One line of a purchase; answers the seller credited, if the image is listed.
    fn sell(&mut self, buyer: PublicKey, line: Line, at: At, tell: &mut Tell<'_>) -> Option<PublicKey> {
        let Line { image: number, quantity } = line;
        let image = self.images.entry(number).or_default();
        image.sold = image.sold.saturating_add(u64::from(quantity));
        self.sold = self.sold.saturating_add(u128::from(quantity));
        let editions = if image.editions == 0 { self.params.max_editions } else { image.editions };
        if image.sold > u64::from(editions) {
            tell(Broken::Editions, format!("image {number} has {} sold of {editions}", image.sold));
        }
        image.last = Some(at);
        step(image, 0, &buyer, quantity, at);
        let (seller, amount) = (PublicKey(image.seller), u128::from(image.price) * u128::from(quantity));
        if image.editions == 0 {
            return None;
        }
        self.receive(seller, amount);
        Some(seller)
    }

    fn review(&mut self, sender: PublicKey, number: u64, rating: u8, at: At) {
        let image = self.images.entry(number).or_default();
        let before = self.ratings.insert((sender, number), rating);
        image.reviews = image.reviews.saturating_add(u64::from(before.is_none()));
        let sum = image.rating_sum.saturating_add(u64::from(rating));
        image.rating_sum = sum.saturating_sub(u64::from(before.unwrap_or(0)));
        image.last_review = Some(at);
        step(image, 1, &sender, u32::from(rating), at);
    }

    fn list(&mut self, sender: PublicKey, number: u64, terms: (PublicKey, u64, u32), tell: &mut Tell<'_>) {
        self.expect_registrar(sender, Broken::Editions, tell);
        let (seller, price, editions) = terms;
        let image = self.images.entry(number).or_default();
        (image.seller, image.price, image.editions) = (seller.0, price, editions);
        let max = self.params.max_editions;
        if image.sold > u64::from(editions) || editions > max {
            let sold = image.sold;
            tell(
                Broken::Editions,
                format!("image {number} is listed with {editions}, {sold} sold, MAX {max}"),
            );
        }
    }

    fn expect_registrar(&self, sender: PublicKey, broken: Broken, tell: &mut Tell<'_>) {
        if !self.params.registrars.contains(&sender) {
            tell(broken, format!("{sender} acts as a registrar and is none"));
        }
    }
}

/// `register = H("printsy/register", register, kind, sender, value, sold after it, position)`.
fn step(image: &mut Image, kind: u8, sender: &PublicKey, value: u32, at: At) {
    // Beyond 2^32 the header's root can no longer agree, which is told.
    let sold = u32::try_from(image.sold).unwrap_or(u32::MAX).to_le_bytes();
    let (value, height, index) = (value.to_le_bytes(), at.0.to_le_bytes(), at.1.to_le_bytes());
    let parts: [&[u8]; 7] = [&image.register, &[kind], &sender.0, &value, &sold, &height, &index];
    let Hash(register) = tagged(Tag::Register, &parts);
    image.register = register;
}
