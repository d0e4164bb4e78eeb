//! B1 to B6: a body under its header, and a block on its parent's state.

use printsy_consensus::{CheckedBlock, Fault, Hash, MAX_TRANSACTION_BYTES, Rule, Transaction, codec};

use crate::support::chain::{bytes_of, issue, purchase, redeem, register_miner, review, revoke_miner, seal};
use crate::support::{Chain, Refused, chain_with, key};

fn chain() -> Chain {
    chain_with(|_| {})
}

fn accepts(chain: &mut Chain, miner: &str, transactions: &[Transaction]) {
    if let Err(refused) = chain.extend(miner, transactions) {
        panic!("{refused:?}");
    }
}

fn refuses(chain: &Chain, miner: &str, transactions: &[Transaction], rule: Rule) {
    is_refused(chain.judge(&chain.block(miner, transactions)), rule, Fault::Block);
}

fn is_refused<T: std::fmt::Debug>(result: Result<T, Refused>, rule: Rule, fault: Fault) {
    let refused = result.expect_err("an invalid block");
    assert_eq!((refused.rule, refused.fault), (Some(rule), fault), "{refused:?}");
}

/// Reviews that make a block of exactly `size` bytes.
fn body_of(chain: &mut Chain, size: usize) -> Vec<Transaction> {
    const EMPTY_REVIEW: usize = 32 + 16 + 8 + 1 + 8 + 1 + 2 + 64;
    let mut left = size - 228;
    let mut body = Vec::new();
    while left > 0 {
        // What is left after this one is nothing, or enough for another.
        let next = match left {
            0..=1_156 => left,
            1_157..=1_400 => 600,
            _ => 1_156,
        };
        body.push(chain.order("alice", review(1, 3, &vec![b'x'; next - EMPTY_REVIEW])));
        left -= next;
    }
    body
}

#[test]
fn b1_accepts_a_block_of_exactly_the_maximum() {
    let mut chain = chain();
    chain.confirm("alice", purchase(&[(1, 1)], 0));
    let body = body_of(&mut chain, 65_536);
    assert_eq!(chain.block("miner-1", &body).len(), 65_536);
    accepts(&mut chain, "miner-1", &body);
}

#[test]
fn b1_refuses_one_byte_more_and_blames_who_sent_it() {
    let mut chain = chain();
    chain.confirm("alice", purchase(&[(1, 1)], 0));
    let body = body_of(&mut chain, 65_537);
    let bytes = chain.block("miner-1", &body);
    assert_eq!(bytes.len(), 65_537);
    is_refused(chain.judge(&bytes), Rule::B1, Fault::Sender);
}

#[test]
fn b1_accepts_the_largest_transaction() {
    let mut chain = chain();
    let lines: Vec<(u64, u32)> = (0..256).map(|image| (image, 1)).collect();
    let tx = chain.order("alice", purchase(&lines, 0));
    assert_eq!(codec::encode(&tx).len(), MAX_TRANSACTION_BYTES);
    accepts(&mut chain, "miner-1", &[tx]);
    assert_eq!(chain.model.editions.len(), 256);
}

#[test]
fn b2_accepts_the_root_of_its_transactions_in_any_number() {
    for count in 0..10 {
        let mut chain = chain();
        let body: Vec<Transaction> = (0..count).map(|_| chain.order("issuer", issue("alice", 1))).collect();
        accepts(&mut chain, "miner-1", &body);
    }
}

/// A mutated body under a good header says nothing about the block: the very block is then still welcome.
#[test]
fn b2_refuses_any_other_body_and_blames_who_sent_it() {
    let mut chain = chain();
    let body: Vec<Transaction> = (0..5).map(|_| chain.order("issuer", issue("alice", 1))).collect();
    let other = chain.order("issuer", issue("alice", 1));
    let bytes = chain.block("miner-1", &body);
    let header = codec::decode::<printsy_consensus::Block>(&bytes).unwrap().header;
    let message = printsy_consensus::signing_message(&chain.genesis.hash(), &body[0].body.txid());
    let mut resigned = body[0].clone();
    resigned.signature = key("issuer").sign_bytes(&message.0, &[3; 32]);
    let swapped = [&body[1..2], &body[..1], &body[2..]].concat();
    let replaced = [&body[..4], &[other.clone()][..]].concat();
    let duplicated = [&body[..], &body[4..]].concat();
    let longer = [&body[..], &[other][..]].concat();
    let resigned = [&[resigned][..], &body[1..]].concat();
    for wrong in [&body[..4], &[], &swapped, &replaced, &duplicated, &longer, &resigned] {
        is_refused(chain.judge(&bytes_of(&header, wrong)), Rule::B2, Fault::Sender);
    }
    assert!(chain.judge(&bytes).is_ok());
}

#[test]
fn b2_refuses_a_root_off_by_a_bit() {
    let chain = chain();
    let mut header = chain.header("miner-1", &[]);
    header.transactions_root.0[31] ^= 1;
    is_refused(chain.judge(&seal(header, "miner-1", &[])), Rule::B2, Fault::Sender);
}

#[test]
fn b3_accepts_registered_miners_and_registrars() {
    let mut chain = chain();
    for miner in ["miner-1", "miner-2", "miner-3", "registrar"] {
        accepts(&mut chain, miner, &[]);
    }
    assert_eq!(chain.model.miners.len(), 3, "a registrar that mines is not registered by it");
}

#[test]
fn b3_accepts_a_miner_from_the_block_after_its_registration() {
    let mut chain = chain();
    chain.confirm("registrar", register_miner("miner-4"));
    accepts(&mut chain, "miner-4", &[]);
}

/// A miner may revoke itself out of the count of its own block, for the parent's state is what counts.
#[test]
fn b3_accepts_a_miner_whose_own_block_revokes_it() {
    let mut chain = chain();
    let tx = chain.order("registrar", revoke_miner("miner-1"));
    accepts(&mut chain, "miner-1", &[tx]);
    refuses(&chain, "miner-1", &[], Rule::B3);
}

#[test]
fn b3_refuses_the_unregistered_the_revoked_and_the_just_registered() {
    let mut chain = chain();
    refuses(&chain, "miner-4", &[], Rule::B3);
    refuses(&chain, "issuer", &[], Rule::B3);
    let tx = chain.order("registrar", register_miner("miner-4"));
    refuses(&chain, "miner-4", &[tx], Rule::B3);
    chain.confirm("registrar", revoke_miner("miner-2"));
    refuses(&chain, "miner-2", &[], Rule::B3);
}

fn spaced(spacing: u32) -> Chain {
    chain_with(|params| params.miner_spacing = spacing)
}

#[test]
fn b4_accepts_a_miner_again_after_its_pause() {
    let mut chain = spaced(1);
    for miner in ["miner-1", "miner-2", "miner-1", "registrar", "miner-1"] {
        accepts(&mut chain, miner, &[]);
    }
    let mut chain = spaced(0);
    for _ in 0..3 {
        accepts(&mut chain, "miner-1", &[]);
    }
}

/// The pause is never longer than leaves one miner to go on: registered miners less one.
#[test]
fn b4_accepts_a_pause_no_longer_than_there_are_others() {
    let mut chain = spaced(50);
    for miner in ["miner-1", "miner-2", "miner-3", "miner-1", "miner-2"] {
        accepts(&mut chain, miner, &[]);
    }
    chain.confirm_by("miner-3", "registrar", revoke_miner("miner-1"));
    accepts(&mut chain, "miner-2", &[]);
    chain.confirm_by("miner-3", "registrar", revoke_miner("miner-2"));
    accepts(&mut chain, "miner-3", &[]);
    accepts(&mut chain, "miner-3", &[]);
}

#[test]
fn b4_refuses_a_miner_within_its_pause() {
    let mut chain = spaced(2);
    accepts(&mut chain, "miner-1", &[]);
    refuses(&chain, "miner-1", &[], Rule::B4);
    accepts(&mut chain, "miner-2", &[]);
    refuses(&chain, "miner-1", &[], Rule::B4);
    refuses(&chain, "miner-2", &[], Rule::B4);
    accepts(&mut chain, "miner-3", &[]);
    accepts(&mut chain, "miner-1", &[]);
    accepts(&mut chain, "registrar", &[]);
    refuses(&chain, "registrar", &[], Rule::B4);
}

fn limited() -> Chain {
    chain_with(|params| params.max_per_sender = 2)
}

fn orders(chain: &mut Chain, sender: &str, count: usize) -> Vec<Transaction> {
    (0..count).map(|_| chain.order(sender, purchase(&[(1, 1)], 0))).collect()
}

#[test]
fn b5_accepts_as_many_of_one_sender_as_allowed() {
    let mut chain = limited();
    let body = [orders(&mut chain, "alice", 2), orders(&mut chain, "bob", 2)].concat();
    accepts(&mut chain, "miner-1", &body);
    let mut unlimited = self::chain();
    let body = orders(&mut unlimited, "alice", 5);
    accepts(&mut unlimited, "miner-1", &body);
}

#[test]
fn b5_accepts_any_number_of_registrars_and_issuers() {
    let mut chain = limited();
    let body = [orders(&mut chain, "registrar", 3)].concat();
    accepts(&mut chain, "miner-1", &body);
    let body: Vec<Transaction> = (0..4).map(|_| chain.order("issuer", issue("alice", 1))).collect();
    accepts(&mut chain, "miner-1", &body);
}

#[test]
fn b5_refuses_one_more_of_one_sender() {
    let mut chain = limited();
    let body = [orders(&mut chain, "alice", 2), orders(&mut chain, "bob", 1), orders(&mut chain, "alice", 1)];
    refuses(&chain, "miner-1", &body.concat(), Rule::B5);
}

#[test]
fn b6_accepts_the_root_that_the_model_comes_to() {
    let mut chain = chain();
    let body = [chain.order("issuer", issue("alice", 9)), chain.order("alice", redeem(4))];
    accepts(&mut chain, "miner-1", &body);
}

#[test]
fn b6_refuses_every_other_root() {
    let mut chain = chain();
    let body = [chain.order("issuer", issue("alice", 9))];
    let header = chain.header("miner-1", &body);
    for root in [Hash::ZERO, chain.tip.state_root, chain.header("miner-2", &body).state_root] {
        let block = seal(printsy_consensus::Header { state_root: root, ..header }, "miner-1", &body);
        is_refused(chain.judge(&block), Rule::B6, Fault::Block);
    }
    for bit in [0, 255] {
        let mut wrong = header;
        wrong.state_root.0[bit / 8] ^= 0x80 >> (bit % 8);
        is_refused(chain.judge(&seal(wrong, "miner-1", &body)), Rule::B6, Fault::Block);
    }
}

/// One bad order makes a block invalid wherever it stands, and nothing of the block happens.
#[test]
fn a_bad_order_anywhere_makes_the_block_invalid() {
    let mut chain = chain();
    let good: Vec<Transaction> = (0..4).map(|_| chain.order("issuer", issue("alice", 1))).collect();
    let bad = chain.order("alice", redeem(1_000));
    for place in 0..=good.len() {
        let mut body = good.clone();
        body.insert(place, bad.clone());
        refuses(&chain, "miner-1", &body, Rule::S8);
    }
    accepts(&mut chain, "miner-1", &good);
}

/// Only miners still registered after the transactions are counted.
#[test]
fn a_block_is_counted_for_its_registered_miner_alone() {
    let mut chain = chain();
    let entry = |chain: &Chain, name| chain.model.miners.get(&crate::support::public(name)).cloned();
    chain.pass(2);
    let before = entry(&chain, "miner-1").unwrap();
    assert_eq!((before.blocks, before.last_height), (2, 2));
    let revoke = chain.order("registrar", revoke_miner("miner-1"));
    let register = chain.order("registrar", register_miner("miner-1"));
    accepts(&mut chain, "miner-1", &[revoke.clone(), register]);
    let again = entry(&chain, "miner-1").unwrap();
    assert_eq!((again.registered_at, again.blocks, again.last_height), (3, 1, 3));
    let register = chain.order("registrar", register_miner("registrar"));
    accepts(&mut chain, "registrar", &[register]);
    assert_eq!(entry(&chain, "registrar").unwrap().blocks, 1, "registered by the very block it made");
}

/// What was checked before is recognised by all of its bytes, and changes no verdict.
#[test]
fn known_transactions_change_no_verdict() {
    let mut chain = chain();
    let body: Vec<Transaction> = (0..4).map(|_| chain.order("issuer", issue("alice", 1))).collect();
    let known: Vec<_> = body[..3].iter().map(|tx| chain.checked(tx)).collect();
    let look_up = |leaf: &Hash| known.iter().find(|tx| tx.leaf() == *leaf).cloned();
    let check = |bytes: Vec<u8>| CheckedBlock::check(chain.params(), &chain.genesis.hash(), bytes, &look_up);
    let block = check(chain.block("miner-1", &body)).unwrap();
    let ids: Vec<Hash> = block.transactions().iter().map(|tx| tx.txid()).collect();
    assert_eq!(ids, body.iter().map(|tx| tx.body.txid()).collect::<Vec<_>>());
    for place in 0..4 {
        let mut wrong = body.clone();
        wrong[place].signature[40] ^= 1;
        let error = check(chain.block("miner-1", &wrong)).unwrap_err();
        assert_eq!((error.rule(), error.fault()), (Rule::T2, Fault::Block), "{place}");
    }
}
