//! T1 to T12: a transaction alone. Outside a block the sender is to blame; inside one whose root matches it,
//! the block is.

use printsy_consensus::{
    Action, Body, Fault, Hash, Params, PublicKey, Rule, Transaction, check_transaction, check_transactions,
};

use crate::support::chain::{
    admit, expel, issue, list, purchase, redeem, register_miner, review, revoke_miner, transfer,
};
use crate::support::{Chain, chain_with, key, public};

/// A key off the curve (from the published vectors of BIP-340), and the least number that is none at all.
fn no_keys() -> [PublicKey; 3] {
    let off = |text: &str| PublicKey(hex::decode(text).expect("hex").try_into().expect("32 bytes"));
    [
        off("eefdea4cdb677750a420fee807eacf21eb9898ae79b9768766e4faa04a2d4a34"),
        off("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f"),
        PublicKey::NONE,
    ]
}

fn chain() -> Chain {
    chain_with(|_| {})
}

fn check(chain: &Chain, tx: &Transaction) -> Result<(), (Rule, Fault)> {
    let result = check_transaction(chain.params(), &chain.genesis.hash(), tx.clone());
    result.map(|_| ()).map_err(|error| (error.rule(), error.fault()))
}

fn accepts(action: Action) {
    accepts_with(|_| {}, action);
}

fn accepts_with(change: impl FnOnce(&mut Params), action: Action) {
    let mut chain = chain_with(change);
    let tx = chain.order("alice", action);
    assert_eq!(check(&chain, &tx), Ok(()), "{tx:?}");
}

fn refuses(action: Action, rule: Rule) {
    let mut chain = chain();
    let tx = chain.order("alice", action);
    refuses_order(&chain, &tx, rule);
}

/// Refused alone, in a batch, and within an otherwise perfect block.
fn refuses_order(chain: &Chain, tx: &Transaction, rule: Rule) {
    assert_eq!(check(chain, tx), Err((rule, Fault::Sender)), "{tx:?}");
    let mut batch = check_transactions(chain.params(), &chain.genesis.hash(), vec![tx.clone()]);
    assert_eq!(batch.remove(0).expect_err("refused in a batch").rule(), rule);
    let refused =
        chain.judge(&chain.block("miner-1", std::slice::from_ref(tx))).expect_err("an invalid block");
    assert_eq!((refused.rule, refused.fault), (Some(rule), Fault::Block), "{refused:?}");
}

fn signed_by(chain: &Chain, sender: PublicKey, action: Action, signer: &str) -> Transaction {
    Body { sender, reference: [0; 16], expires_at: 5, action }.sign(&chain.genesis.hash(), &key(signer))
}

#[test]
fn t1_accepts_a_sender_on_the_curve() {
    accepts(redeem(1));
}

#[test]
fn t1_refuses_a_sender_that_is_no_key() {
    let chain = chain();
    for sender in no_keys() {
        let tx = signed_by(&chain, sender, redeem(1), "alice");
        refuses_order(&chain, &tx, Rule::T1);
    }
}

#[test]
fn t2_accepts_any_signature_of_the_sender_over_the_order() {
    let mut chain = chain();
    let mut tx = chain.order("alice", redeem(1));
    let message = printsy_consensus::signing_message(&chain.genesis.hash(), &tx.body.txid());
    let again = key("alice").sign_bytes(&message.0, &[7; 32]);
    assert_ne!(again, tx.signature, "other randomness signs otherwise");
    tx.signature = again;
    assert_eq!(check(&chain, &tx), Ok(()));
}

#[test]
fn t2_refuses_a_signature_by_another_key() {
    let chain = chain();
    refuses_order(&chain, &signed_by(&chain, public("alice"), redeem(1), "bob"), Rule::T2);
}

#[test]
fn t2_refuses_a_signature_for_another_network() {
    let mut chain = chain();
    let other = chain_with(|params| params.time += 1);
    assert_ne!(chain.genesis.hash(), other.genesis.hash());
    let tx = chain.body("alice", redeem(1)).sign(&other.genesis.hash(), &key("alice"));
    refuses_order(&chain, &tx, Rule::T2);
}

/// Nothing of what is signed can be changed: each field, each bit of the signature, the text of a review.
#[test]
fn t2_refuses_any_other_field_under_the_same_signature() {
    let mut chain = chain();
    let tx = chain.order("alice", purchase(&[(1, 1), (2, 1)], 3));
    let change = |change: &dyn Fn(&mut Body)| {
        let mut other = tx.clone();
        change(&mut other.body);
        refuses_order(&chain, &other, Rule::T2);
    };
    change(&|body| body.sender = public("bob"));
    change(&|body| body.reference[15] ^= 1);
    change(&|body| body.expires_at += 1);
    change(&|body| body.action = purchase(&[(1, 1), (2, 2)], 3));
    change(&|body| body.action = purchase(&[(1, 1), (3, 1)], 3));
    change(&|body| body.action = purchase(&[(1, 1)], 3));
    change(&|body| body.action = purchase(&[(1, 1), (2, 1)], 4));
    change(&|body| body.action = redeem(3));
    let review = chain.order("alice", review(1, 5, b"good"));
    let mut other = review.clone();
    other.body.action = crate::support::chain::review(1, 5, b"gooe");
    refuses_order(&chain, &other, Rule::T2);
}

/// The same fields mean another thing under another tag: an Issue is not a Transfer, an Expel not an Admit.
#[test]
fn t2_refuses_a_signature_for_another_action() {
    let mut chain = chain();
    for (signed, shown) in [
        (transfer("bob", 5), issue("bob", 5)),
        (admit("bob"), expel("bob")),
        (revoke_miner("bob"), admit("bob")),
    ] {
        let mut tx = chain.order("alice", signed);
        tx.body.action = shown;
        refuses_order(&chain, &tx, Rule::T2);
    }
}

#[test]
fn t2_refuses_every_flipped_bit_of_the_signature() {
    let mut chain = chain();
    let tx = chain.order("alice", redeem(1));
    for bit in 0..512 {
        let mut other = tx.clone();
        other.signature[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(check(&chain, &other), Err((Rule::T2, Fault::Sender)), "bit {bit}");
    }
    let zero = Transaction { signature: [0; 64], ..tx.clone() };
    refuses_order(&chain, &zero, Rule::T2);
    let full = Transaction { signature: [255; 64], ..tx };
    refuses_order(&chain, &full, Rule::T2);
}

#[test]
fn t3_accepts_a_purchase_of_one_line() {
    accepts(purchase(&[(0, 1)], 0));
}

#[test]
fn t3_refuses_a_purchase_of_nothing() {
    refuses(purchase(&[], 0), Rule::T3);
}

#[test]
fn t4_accepts_lines_that_ascend_by_one() {
    accepts(purchase(&[(0, 1), (1, 1), (2, 1)], 0));
    let most: Vec<(u64, u32)> = (0..256).map(|image| (image, 1)).collect();
    accepts(purchase(&most, 0));
}

#[test]
fn t4_refuses_lines_that_repeat_or_descend() {
    refuses(purchase(&[(1, 1), (1, 1)], 0), Rule::T4);
    refuses(purchase(&[(1, 1), (0, 1)], 0), Rule::T4);
    refuses(purchase(&[(0, 1), (2, 1), (1, 1)], 0), Rule::T4);
}

#[test]
fn t5_accepts_the_last_image() {
    accepts(purchase(&[(999, 1)], 0));
    accepts(review(999, 1, b""));
    accepts(list(999, "bob", 0, 1));
}

#[test]
fn t5_refuses_the_first_image_beyond() {
    for image in [1_000, u64::MAX] {
        refuses(purchase(&[(0, 1), (image, 1)], 0), Rule::T5);
        refuses(review(image, 1, b""), Rule::T5);
        refuses(list(image, "bob", 0, 1), Rule::T5);
    }
}

#[test]
fn t6_accepts_one_and_max() {
    for quantity in [1, 5] {
        accepts(purchase(&[(0, quantity)], 0));
        accepts(list(0, "bob", 0, quantity));
    }
    accepts_with(|params| params.max_editions = 1_000_000, purchase(&[(0, 1_000_000)], 0));
}

#[test]
fn t6_refuses_none_and_one_more_than_max() {
    for quantity in [0, 6, u32::MAX] {
        refuses(purchase(&[(0, 1), (1, quantity)], 0), Rule::T6);
        refuses(list(0, "bob", 0, quantity), Rule::T6);
    }
}

#[test]
fn t7_accepts_one_to_five() {
    (1..=5).for_each(|rating| accepts(review(0, rating, b"")));
}

#[test]
fn t7_refuses_zero_and_six() {
    [0, 6, 255].into_iter().for_each(|rating| refuses(review(0, rating, b""), Rule::T7));
}

#[test]
fn t8_accepts_text_up_to_the_edge_of_every_forbidden_range() {
    for text in
        ["", "\u{a}", "\u{20}", "\u{7e}", "\u{a0}", "\u{2028}", "\u{fdd0}", "\u{10ffff}", "gut \u{e9}"]
    {
        accepts(review(0, 1, text.as_bytes()));
    }
    accepts(review(0, 1, &[b'x'; 1_024]));
}

#[test]
fn t8_refuses_control_characters_and_what_is_not_utf8() {
    let controls = (0..0x20).filter(|&code| code != 0x0a).chain(0x7f..=0x9f);
    for code in controls {
        let text = format!("a{}b", char::from_u32(code).unwrap());
        refuses(review(0, 1, text.as_bytes()), Rule::T8);
    }
    // A lone continuation, a cut character, an overlong slash, a surrogate, beyond U+10FFFF.
    let no_utf8: [&[u8]; 5] = [b"\x80", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"];
    no_utf8.into_iter().for_each(|text| refuses(review(0, 1, text), Rule::T8));
}

#[test]
fn t9_accepts_an_amount_of_one() {
    accepts(transfer("bob", 1));
    accepts(issue("bob", 1));
    accepts(redeem(1));
    accepts(redeem(u64::MAX));
}

#[test]
fn t9_refuses_an_amount_of_nothing() {
    refuses(transfer("bob", 0), Rule::T9);
    refuses(issue("bob", 0), Rule::T9);
    refuses(redeem(0), Rule::T9);
}

#[test]
fn t10_accepts_keys_on_the_curve() {
    accepts(transfer("bob", 1));
    accepts(issue("alice", 1));
    accepts(list(0, "alice", 0, 1));
    accepts(register_miner("miner-4"));
    accepts(revoke_miner("miner-1"));
    accepts(admit("alice"));
    accepts(expel("alice"));
}

#[test]
fn t10_refuses_every_other_key_that_is_none() {
    for key in no_keys() {
        refuses(Action::Transfer { to: key, amount: 1 }, Rule::T10);
        refuses(Action::Issue { to: key, amount: 1 }, Rule::T10);
        refuses(Action::List { image: 0, seller: key, price: 0, editions: 1 }, Rule::T10);
        let name = b"x".to_vec().try_into().unwrap();
        refuses(Action::RegisterMiner { miner: key, name }, Rule::T10);
        refuses(Action::RevokeMiner { miner: key }, Rule::T10);
        refuses(Action::Admit { account: key }, Rule::T10);
        refuses(Action::Expel { account: key }, Rule::T10);
    }
}

#[test]
fn t11_accepts_a_transfer_to_another_and_a_deposit_to_oneself() {
    accepts(transfer("bob", 1));
    accepts(issue("alice", 1));
}

#[test]
fn t11_refuses_a_transfer_to_oneself() {
    refuses(transfer("alice", 1), Rule::T11);
}

fn named(name: &[u8]) -> Action {
    let name = name.to_vec().try_into().expect("at most 32 bytes");
    Action::RegisterMiner { miner: public("miner-4"), name }
}

#[test]
fn t12_accepts_one_to_32_printable_characters() {
    for name in [&b"x"[..], b"a b", b"!", b"~", &[b'x'; 32]] {
        accepts(named(name));
    }
}

#[test]
fn t12_refuses_empty_unprintable_and_padded_names() {
    for name in [&b""[..], b" ", b" x", b"x ", b"a\x1fb", b"a\x7fb", b"a\nb", b"a\0", b"\xc3\xa9", b"\xff"] {
        refuses(named(name), Rule::T12);
    }
}

/// The id covers all that is signed and nothing else.
#[test]
fn the_txid_covers_every_field_but_the_signature() {
    let mut chain = chain();
    let body = chain.body("alice", review(1, 5, b"good"));
    let ids: Vec<Hash> = [
        body.clone(),
        Body { sender: public("bob"), ..body.clone() },
        Body { reference: [9; 16], ..body.clone() },
        Body { expires_at: body.expires_at + 1, ..body.clone() },
        Body { action: review(2, 5, b"good"), ..body.clone() },
        Body { action: review(1, 4, b"good"), ..body.clone() },
        Body { action: review(1, 5, b"goo"), ..body.clone() },
        Body { action: review(1, 5, b""), ..body },
    ]
    .iter()
    .map(Body::txid)
    .collect();
    for (at, id) in ids.iter().enumerate() {
        assert!(!ids[at + 1..].contains(id), "{at}");
    }
}
