//! Orders: actions with names in the place of keys, signed and checked.

use std::cell::Cell;

use printsy_consensus::{
    Action, Body, CheckedTransaction, Genesis, Line, PublicKey, SecretKey, check_transaction,
};

/// The well-known key of a name.
pub fn key(name: &str) -> SecretKey {
    SecretKey::development(name)
}

/// Its public key.
pub fn public(name: &str) -> PublicKey {
    key(name).public_key()
}

thread_local! {
    /// The next reference: of a thread, for every test has its own, so that a run is the same each time.
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// Begins with the references anew.
pub fn begin_references() {
    NEXT.set(0);
}

/// An order that may be included up to a height, unlike every other one of this test.
pub fn order_until(genesis: &Genesis, sender: &str, expires_at: u64, action: Action) -> CheckedTransaction {
    let mut reference = [0; 16];
    reference[..8].copy_from_slice(&NEXT.replace(NEXT.get() + 1).to_le_bytes());
    order_with(genesis, sender, reference, expires_at, action)
}

/// An order with a reference of the caller's choice.
pub fn order_with(
    genesis: &Genesis,
    sender: &str,
    reference: [u8; 16],
    expires_at: u64,
    action: Action,
) -> CheckedTransaction {
    let key = key(sender);
    let body = Body { sender: key.public_key(), reference, expires_at, action };
    check_transaction(genesis.params(), &genesis.hash(), body.sign(&genesis.hash(), &key)).unwrap()
}

/// An order good for as long as can be for the block at `height`.
pub fn order(genesis: &Genesis, height: u64, sender: &str, action: Action) -> CheckedTransaction {
    order_until(genesis, sender, height + u64::from(genesis.params().max_validity), action)
}

/// A purchase of some lines.
pub fn purchase(lines: &[(u64, u32)], total: u64) -> Action {
    let lines: Vec<Line> = lines.iter().map(|&(image, quantity)| Line { image, quantity }).collect();
    Action::Purchase { lines: lines.try_into().unwrap(), total }
}

pub fn review(image: u64, rating: u8, text: &[u8]) -> Action {
    Action::Review { image, rating, text: text.to_vec().try_into().unwrap() }
}

pub fn transfer(to: &str, amount: u64) -> Action {
    Action::Transfer { to: public(to), amount }
}

pub fn issue(to: &str, amount: u64) -> Action {
    Action::Issue { to: public(to), amount }
}

pub fn redeem(amount: u64) -> Action {
    Action::Redeem { amount }
}

pub fn list(image: u64, seller: &str, price: u64, editions: u32) -> Action {
    Action::List { image, seller: public(seller), price, editions }
}

pub fn register_miner(miner: &str) -> Action {
    Action::RegisterMiner { miner: public(miner), name: miner.as_bytes().to_vec().try_into().unwrap() }
}

pub fn revoke_miner(miner: &str) -> Action {
    Action::RevokeMiner { miner: public(miner) }
}

pub fn admit(account: &str) -> Action {
    Action::Admit { account: public(account) }
}

pub fn expel(account: &str) -> Action {
    Action::Expel { account: public(account) }
}
