//! S1 to S17: a transaction in context. Outside a block nobody is to blame, inside one the block is.

use printsy_consensus::{
    Action, Admission, Catalogue, Fault, Position, PublicKey, Rule, StateError, StateView, Transaction,
    signing_message, verify_transaction,
};

use crate::support::chain::{
    admit, expel, issue, list, purchase, redeem, register_miner, review, revoke_miner, transfer,
};
use crate::support::{Chain, chain_with, key, public};

fn chain() -> Chain {
    chain_with(|_| {})
}

/// The order passes every S rule, and its block connects with the state that the model came to.
fn accepts(chain: &mut Chain, sender: &str, action: Action) {
    let tx = chain.order(sender, action);
    accepts_order(chain, &tx);
}

fn accepts_order(chain: &mut Chain, tx: &Transaction) {
    assert_eq!(chain.verify(tx), Ok(()), "{tx:?}");
    if let Err(refused) = chain.extend("miner-1", std::slice::from_ref(tx)) {
        panic!("{refused:?}");
    }
}

fn refuses(chain: &mut Chain, sender: &str, action: Action, rule: Rule) {
    let tx = chain.order(sender, action);
    refuses_order(chain, &tx, rule);
}

fn refuses_order(chain: &Chain, tx: &Transaction, rule: Rule) {
    assert_eq!(chain.verify(tx), Err((rule, Fault::Nobody)), "{tx:?}");
    refuses_block(chain, std::slice::from_ref(tx), rule);
}

fn refuses_block(chain: &Chain, transactions: &[Transaction], rule: Rule) {
    let refused = chain.judge(&chain.block("miner-1", transactions)).expect_err("an invalid block");
    assert_eq!((refused.rule, refused.fault), (Some(rule), Fault::Block), "{refused:?}");
}

/// Gives `account` a balance.
fn fund(chain: &mut Chain, account: &str, amount: u64) {
    chain.confirm("issuer", issue(account, amount));
}

#[test]
fn s1_accepts_this_height_and_the_furthest_ahead() {
    for ahead in [0, 20] {
        let mut chain = chain();
        chain.pass(3);
        let mut body = chain.body("alice", purchase(&[(1, 1)], 0));
        body.expires_at = chain.next_height() + ahead;
        let tx = body.sign(&chain.genesis.hash(), &key("alice"));
        accepts_order(&mut chain, &tx);
    }
}

#[test]
fn s1_refuses_one_block_late_and_one_block_too_far() {
    let mut chain = chain();
    chain.pass(3);
    for expires_at in [0, chain.next_height() - 1, chain.next_height() + 21, u64::MAX] {
        let mut body = chain.body("alice", purchase(&[(1, 1)], 0));
        body.expires_at = expires_at;
        refuses_order(&chain, &body.sign(&chain.genesis.hash(), &key("alice")), Rule::S1);
    }
}

#[test]
fn s1_refuses_late_and_far_by_their_own_names() {
    let mut chain = chain();
    chain.pass(3);
    let mut error = |expires_at| {
        let mut body = chain.body("alice", purchase(&[(1, 1)], 0));
        body.expires_at = expires_at;
        let tx = chain.checked(&body.sign(&chain.genesis.hash(), &key("alice")));
        verify_transaction(chain.params(), &chain.model, 4, &tx).unwrap_err()
    };
    assert_eq!(error(3), StateError::Expired { expires_at: 3, height: 4 });
    assert_eq!(error(25), StateError::NotYet { expires_at: 25, latest: 24 });
}

#[test]
fn s2_accepts_an_equal_order_of_another_reference() {
    let mut chain = chain();
    let (one, two) =
        (chain.order("alice", purchase(&[(1, 1)], 0)), chain.order("alice", purchase(&[(1, 1)], 0)));
    chain.extend("miner-1", &[one, two]).unwrap();
    assert_eq!(chain.model.sold(1), 2);
}

#[test]
fn s2_refuses_the_same_order_again_until_it_expires() {
    let mut chain = chain();
    let tx = chain.confirm("alice", purchase(&[(1, 1)], 0));
    while chain.next_height() <= tx.body.expires_at {
        refuses_order(&chain, &tx, Rule::S2);
        chain.pass(1);
    }
    refuses_order(&chain, &tx, Rule::S1);
}

#[test]
fn s2_refuses_the_same_order_twice_in_one_block() {
    let mut chain = chain();
    let tx = chain.order("alice", purchase(&[(1, 1)], 0));
    refuses_block(&chain, &[tx.clone(), tx], Rule::S2);
}

/// The id does not cover the signature: signing again does not make another order.
#[test]
fn s2_refuses_the_same_order_under_another_signature() {
    let mut chain = chain();
    let mut tx = chain.confirm("alice", purchase(&[(1, 1)], 0));
    let message = signing_message(&chain.genesis.hash(), &tx.body.txid());
    tx.signature = key("alice").sign_bytes(&message.0, &[9; 32]);
    refuses_order(&chain, &tx, Rule::S2);
}

fn registered() -> Chain {
    chain_with(|params| params.admission = Admission::Registered)
}

#[test]
fn s3_accepts_the_admitted_registrars_and_issuers() {
    for sender in ["alice", "registrar", "issuer"] {
        let mut chain = registered();
        chain.confirm("registrar", admit("alice"));
        fund(&mut chain, sender, 10);
        accepts(&mut chain, sender, purchase(&[(1, 1)], 0));
        accepts(&mut chain, sender, review(1, 5, b""));
        accepts(&mut chain, sender, redeem(1));
        for to in ["alice", "registrar", "issuer"].into_iter().filter(|to| *to != sender) {
            accepts(&mut chain, sender, transfer(to, 1));
        }
    }
}

#[test]
fn s3_accepts_anyone_where_admission_is_open_and_deposits_to_anyone() {
    let mut open = chain();
    accepts(&mut open, "bob", purchase(&[(1, 1)], 0));
    let mut registered = registered();
    accepts(&mut registered, "issuer", issue("bob", 1));
}

#[test]
fn s3_refuses_who_is_not_admitted() {
    let mut chain = registered();
    fund(&mut chain, "bob", 10);
    refuses(&mut chain, "bob", purchase(&[(1, 1)], 0), Rule::S3);
    refuses(&mut chain, "bob", review(1, 5, b""), Rule::S3);
    refuses(&mut chain, "bob", transfer("registrar", 1), Rule::S3);
    refuses(&mut chain, "bob", redeem(1), Rule::S3);
}

#[test]
fn s3_refuses_a_transfer_to_who_is_not_admitted() {
    let mut chain = registered();
    chain.confirm("registrar", admit("alice"));
    fund(&mut chain, "alice", 10);
    refuses(&mut chain, "alice", transfer("bob", 1), Rule::S3);
    refuses(&mut chain, "alice", transfer("miner-1", 1), Rule::S3);
}

#[test]
fn s3_refuses_who_was_expelled() {
    let mut chain = registered();
    chain.confirm("registrar", admit("alice"));
    accepts(&mut chain, "alice", purchase(&[(1, 1)], 0));
    chain.confirm("registrar", expel("alice"));
    refuses(&mut chain, "alice", purchase(&[(1, 1)], 0), Rule::S3);
}

#[test]
fn s4_accepts_the_last_edition() {
    let mut chain = chain();
    accepts(&mut chain, "alice", purchase(&[(1, 4)], 0));
    accepts(&mut chain, "bob", purchase(&[(1, 1)], 0));
    assert_eq!(chain.model.sold(1), 5);
    let mut listed = self::chain();
    listed.confirm("registrar", list(2, "carol", 0, 3));
    accepts(&mut listed, "alice", purchase(&[(2, 3)], 0));
}

#[test]
fn s4_refuses_one_more_than_are_left() {
    let mut chain = chain();
    chain.confirm("alice", purchase(&[(1, 4)], 0));
    refuses(&mut chain, "bob", purchase(&[(1, 2)], 0), Rule::S4);
    chain.confirm("bob", purchase(&[(1, 1)], 0));
    refuses(&mut chain, "bob", purchase(&[(1, 1)], 0), Rule::S4);
    chain.confirm("registrar", list(2, "carol", 0, 3));
    refuses(&mut chain, "alice", purchase(&[(2, 4)], 0), Rule::S4);
}

/// A cart is bought whole or not at all; and whoever comes second in a block comes too late.
#[test]
fn s4_refuses_a_cart_with_one_sold_out_line_and_the_second_for_the_last_one() {
    let mut chain = chain();
    chain.confirm("alice", purchase(&[(2, 4)], 0));
    refuses(&mut chain, "bob", purchase(&[(1, 1), (2, 2), (3, 1)], 0), Rule::S4);
    let (first, second) =
        (chain.order("alice", purchase(&[(2, 1)], 0)), chain.order("bob", purchase(&[(2, 1)], 0)));
    refuses_block(&chain, &[first.clone(), second.clone()], Rule::S4);
    chain.extend("miner-1", &[second]).unwrap();
    refuses_order(&chain, &first, Rule::S4);
}

#[test]
fn s4_refuses_with_what_a_buyer_wants_to_know() {
    let mut chain = chain();
    chain.confirm("alice", purchase(&[(1, 4)], 0));
    let tx = chain.order("bob", purchase(&[(1, 2)], 0));
    let error = verify_transaction(chain.params(), &chain.model, 2, &chain.checked(&tx)).unwrap_err();
    assert_eq!(error, StateError::SoldOut { image: 1, editions: 5, sold: 4, requested: 2 });
}

#[test]
fn s5_accepts_up_to_the_limit_of_an_account() {
    let mut chain = chain_with(|params| params.max_per_account = 2);
    accepts(&mut chain, "alice", purchase(&[(1, 1), (2, 2)], 0));
    accepts(&mut chain, "alice", purchase(&[(1, 1)], 0));
    accepts(&mut chain, "bob", purchase(&[(1, 2)], 0));
    let mut unlimited = self::chain();
    accepts(&mut unlimited, "alice", purchase(&[(1, 5)], 0));
}

#[test]
fn s5_refuses_one_more_than_the_limit() {
    let mut chain = chain_with(|params| params.max_per_account = 2);
    refuses(&mut chain, "alice", purchase(&[(1, 3)], 0), Rule::S5);
    chain.confirm("alice", purchase(&[(1, 1)], 0));
    refuses(&mut chain, "alice", purchase(&[(1, 2)], 0), Rule::S5);
    let both = [chain.order("alice", purchase(&[(1, 1)], 0)), chain.order("alice", purchase(&[(1, 1)], 0))];
    refuses_block(&chain, &both, Rule::S5);
}

#[test]
fn s6_accepts_listed_images_and_any_where_the_catalogue_is_open() {
    let mut chain = chain_with(|params| params.catalogue = Catalogue::Listed);
    chain.confirm("registrar", list(1, "carol", 0, 1));
    accepts(&mut chain, "alice", purchase(&[(1, 1)], 0));
    let mut open = self::chain();
    accepts(&mut open, "alice", purchase(&[(1, 1)], 0));
}

#[test]
fn s6_refuses_images_that_nobody_listed() {
    let mut chain = chain_with(|params| params.catalogue = Catalogue::Listed);
    chain.confirm("registrar", list(1, "carol", 0, 1));
    refuses(&mut chain, "alice", purchase(&[(2, 1)], 0), Rule::S6);
    refuses(&mut chain, "alice", purchase(&[(1, 1), (2, 1)], 0), Rule::S6);
}

#[test]
fn s7_accepts_the_exact_total() {
    let mut chain = chain();
    chain.confirm("registrar", list(1, "carol", 7, 5));
    fund(&mut chain, "alice", 100);
    accepts(&mut chain, "alice", purchase(&[(0, 2), (1, 3)], 21));
    assert_eq!(chain.model.balance(&public("alice")), 79);
    assert_eq!(chain.model.balance(&public("carol")), 21);
}

#[test]
fn s7_refuses_one_unit_more_or_less_and_yesterdays_price() {
    let mut chain = chain();
    chain.confirm("registrar", list(1, "carol", 7, 5));
    fund(&mut chain, "alice", 100);
    refuses(&mut chain, "alice", purchase(&[(0, 2), (1, 3)], 20), Rule::S7);
    refuses(&mut chain, "alice", purchase(&[(0, 2), (1, 3)], 22), Rule::S7);
    refuses(&mut chain, "alice", purchase(&[(0, 1)], 1), Rule::S7);
    chain.confirm("registrar", list(1, "carol", 8, 5));
    refuses(&mut chain, "alice", purchase(&[(1, 1)], 7), Rule::S7);
    accepts(&mut chain, "alice", purchase(&[(1, 1)], 8));
}

/// The sum is exact: what it would be modulo 2^64 is not the total.
#[test]
fn s7_refuses_a_total_that_only_wraps_to_the_sum() {
    let mut chain = chain();
    chain.confirm("registrar", list(1, "carol", 1 << 63, 5));
    chain.confirm("registrar", list(2, "carol", u64::MAX, 5));
    fund(&mut chain, "alice", 100);
    refuses(&mut chain, "alice", purchase(&[(1, 2)], 0), Rule::S7);
    refuses(&mut chain, "alice", purchase(&[(2, 2)], u64::MAX - 1), Rule::S7);
    refuses(&mut chain, "alice", purchase(&[(1, 2), (2, 1)], u64::MAX), Rule::S7);
}

#[test]
fn s8_accepts_the_last_unit() {
    let mut chain = chain();
    chain.confirm("registrar", list(1, "carol", 5, 5));
    fund(&mut chain, "alice", 12);
    accepts(&mut chain, "alice", transfer("bob", 5));
    accepts(&mut chain, "alice", purchase(&[(1, 1)], 5));
    accepts(&mut chain, "alice", redeem(2));
    assert_eq!(chain.model.balance(&public("alice")), 0);
    assert_eq!(chain.model.supply.redeemed, 2);
}

#[test]
fn s8_refuses_one_unit_more_than_there_is() {
    let mut chain = chain();
    chain.confirm("registrar", list(1, "carol", 5, 5));
    fund(&mut chain, "alice", 4);
    refuses(&mut chain, "alice", transfer("bob", 5), Rule::S8);
    refuses(&mut chain, "alice", purchase(&[(1, 1)], 5), Rule::S8);
    refuses(&mut chain, "alice", redeem(5), Rule::S8);
    refuses(&mut chain, "dave", transfer("bob", u64::MAX), Rule::S8);
}

/// What came in earlier in a block may go out later in it, and not the other way round.
#[test]
fn s8_refuses_to_spend_in_a_block_what_comes_in_after() {
    let mut chain = chain();
    let (first, then) = (chain.order("issuer", issue("alice", 5)), chain.order("alice", transfer("bob", 5)));
    refuses_block(&chain, &[then.clone(), first.clone()], Rule::S8);
    chain.extend("miner-1", &[first, then]).unwrap();
    assert_eq!(chain.model.balance(&public("bob")), 5);
}

/// A seller may buy its own image: the money goes out and comes back, but it must be there.
#[test]
fn s8_refuses_a_seller_without_the_price_of_its_own_image() {
    let mut chain = chain();
    chain.confirm("registrar", list(1, "carol", 5, 5));
    refuses(&mut chain, "carol", purchase(&[(1, 1)], 5), Rule::S8);
    fund(&mut chain, "carol", 5);
    accepts(&mut chain, "carol", purchase(&[(1, 1)], 5));
    assert_eq!(chain.model.balance(&public("carol")), 5);
}

#[test]
fn s9_accepts_a_review_by_who_holds_one() {
    let mut chain = chain();
    chain.confirm("alice", purchase(&[(1, 1)], 0));
    accepts(&mut chain, "alice", review(1, 5, b"good"));
    accepts(&mut chain, "alice", review(1, 2, b"on second thought"));
    let edition = chain.model.edition(1);
    assert_eq!((edition.reviews, edition.rating_sum), (1, 2));
    assert_eq!(edition.last_review, Some(Position { height: 3, index: 0 }));
    assert_eq!(edition.last, Some(Position { height: 1, index: 0 }));
}

#[test]
fn s9_refuses_a_review_by_who_holds_none() {
    let mut chain = chain();
    refuses(&mut chain, "alice", review(1, 5, b""), Rule::S9);
    chain.confirm("alice", purchase(&[(1, 1)], 0));
    refuses(&mut chain, "alice", review(2, 5, b""), Rule::S9);
    refuses(&mut chain, "bob", review(1, 5, b""), Rule::S9);
}

#[test]
fn s10_accepts_a_deposit_by_an_issuer() {
    let mut chain = chain();
    accepts(&mut chain, "issuer", issue("issuer", 1));
}

#[test]
fn s10_refuses_a_deposit_by_anyone_else() {
    let mut chain = chain();
    for sender in ["alice", "registrar", "miner-1"] {
        refuses(&mut chain, sender, issue("alice", 1), Rule::S10);
    }
}

#[test]
fn s11_accepts_deposits_up_to_2_to_the_64_less_one() {
    let mut chain = chain();
    accepts(&mut chain, "issuer", issue("alice", u64::MAX - 1));
    accepts(&mut chain, "issuer", issue("bob", 1));
    accepts(&mut chain, "alice", transfer("bob", u64::MAX - 1));
    assert_eq!(chain.model.balance(&public("bob")), u64::MAX);
}

/// It is the total ever issued: what was redeemed makes no room.
#[test]
fn s11_refuses_the_deposit_that_reaches_2_to_the_64() {
    let mut chain = chain();
    chain.confirm("issuer", issue("alice", u64::MAX));
    refuses(&mut chain, "issuer", issue("bob", 1), Rule::S11);
    chain.confirm("alice", redeem(1_000));
    refuses(&mut chain, "issuer", issue("bob", 1), Rule::S11);
    assert_eq!(chain.model.supply.issued, u64::MAX);
}

#[test]
fn s12_accepts_the_registrar() {
    let mut chain = chain();
    accepts(&mut chain, "registrar", list(1, "registrar", 0, 1));
    accepts(&mut chain, "registrar", register_miner("miner-4"));
    accepts(&mut chain, "registrar", revoke_miner("miner-4"));
    accepts(&mut chain, "registrar", admit("alice"));
    accepts(&mut chain, "registrar", expel("alice"));
}

#[test]
fn s12_refuses_registry_actions_of_anyone_else() {
    let mut chain = chain();
    chain.confirm("registrar", admit("bob"));
    for sender in ["alice", "issuer", "miner-1"] {
        refuses(&mut chain, sender, list(1, "alice", 0, 1), Rule::S12);
        refuses(&mut chain, sender, register_miner("miner-4"), Rule::S12);
        refuses(&mut chain, sender, revoke_miner("miner-2"), Rule::S12);
        refuses(&mut chain, sender, admit("alice"), Rule::S12);
        refuses(&mut chain, sender, expel("bob"), Rule::S12);
    }
}

#[test]
fn s13_accepts_a_new_miner_and_a_revoked_one_again() {
    let mut chain = chain();
    accepts(&mut chain, "registrar", register_miner("miner-4"));
    accepts(&mut chain, "registrar", revoke_miner("miner-4"));
    accepts(&mut chain, "registrar", register_miner("miner-4"));
    let entry = chain.model.miner(&public("miner-4")).unwrap();
    assert_eq!((entry.registered_at, entry.blocks), (3, 0));
}

#[test]
fn s13_refuses_a_registered_miner() {
    let mut chain = chain();
    refuses(&mut chain, "registrar", register_miner("miner-1"), Rule::S13);
    let both = [
        chain.order("registrar", register_miner("miner-4")),
        chain.order("registrar", register_miner("miner-4")),
    ];
    refuses_block(&chain, &both, Rule::S13);
}

#[test]
fn s14_accepts_to_revoke_a_registered_miner() {
    let mut chain = chain();
    accepts(&mut chain, "registrar", revoke_miner("miner-2"));
    assert_eq!(chain.model.miner(&public("miner-2")), None);
}

#[test]
fn s14_refuses_to_revoke_who_is_not_registered() {
    let mut chain = chain();
    refuses(&mut chain, "registrar", revoke_miner("miner-4"), Rule::S14);
    chain.confirm("registrar", revoke_miner("miner-2"));
    refuses(&mut chain, "registrar", revoke_miner("miner-2"), Rule::S14);
}

#[test]
fn s15_accepts_to_revoke_the_last_but_one() {
    let mut chain = chain();
    accepts(&mut chain, "registrar", revoke_miner("miner-2"));
    accepts(&mut chain, "registrar", revoke_miner("miner-3"));
    assert_eq!(chain.model.miner_count(), 1);
}

#[test]
fn s15_refuses_to_revoke_the_last() {
    let mut chain = chain();
    let revoke = |chain: &mut Chain, miner| chain.order("registrar", revoke_miner(miner));
    let all = ["miner-1", "miner-2", "miner-3"].map(|miner| revoke(&mut chain, miner));
    refuses_block(&chain, &all, Rule::S15);
    chain.extend("miner-1", &all[1..]).unwrap();
    refuses_order(&chain, &all[0], Rule::S15);
    // With another registered before it in the same block, it is not the last.
    let other = chain.order("registrar", register_miner("miner-4"));
    chain.extend("miner-1", &[other, all[0].clone()]).unwrap();
}

#[test]
fn s16_accepts_what_changes_something() {
    let mut chain = chain();
    accepts(&mut chain, "registrar", admit("alice"));
    accepts(&mut chain, "registrar", expel("alice"));
    accepts(&mut chain, "registrar", admit("alice"));
}

#[test]
fn s16_refuses_what_changes_nothing() {
    let mut chain = chain();
    refuses(&mut chain, "registrar", expel("alice"), Rule::S16);
    chain.confirm("registrar", admit("alice"));
    refuses(&mut chain, "registrar", admit("alice"), Rule::S16);
    chain.confirm("registrar", expel("alice"));
    refuses(&mut chain, "registrar", expel("alice"), Rule::S16);
}

#[test]
fn s17_accepts_as_many_editions_as_are_sold() {
    let mut chain = chain();
    chain.confirm("alice", purchase(&[(1, 3)], 0));
    accepts(&mut chain, "registrar", list(1, "carol", 9, 3));
    refuses(&mut chain, "bob", purchase(&[(1, 1)], 9), Rule::S4);
    accepts(&mut chain, "registrar", list(1, "dave", 8, 5));
}

#[test]
fn s17_refuses_fewer_editions_than_are_sold() {
    let mut chain = chain();
    chain.confirm("alice", purchase(&[(1, 3)], 0));
    refuses(&mut chain, "registrar", list(1, "carol", 9, 2), Rule::S17);
    let sale = chain.order("bob", purchase(&[(1, 1)], 0));
    let listing = chain.order("registrar", list(1, "carol", 9, 3));
    refuses_block(&chain, &[sale, listing], Rule::S17);
}

/// Who is touched, and how often: each account once for each transaction.
#[test]
fn accounts_are_touched_once_for_each_transaction() {
    let mut chain = chain();
    let touches = |chain: &Chain, name: &str| chain.model.account(&public(name)).transactions;
    chain.confirm("registrar", list(1, "carol", 0, 5));
    chain.confirm("registrar", list(2, "carol", 0, 5));
    assert_eq!(touches(&chain, "carol"), 2, "the seller of a List");
    assert_eq!(chain.model.edition(1).last, None, "a List is no purchase");
    chain.confirm("alice", purchase(&[(0, 1), (1, 1), (2, 1)], 0));
    assert_eq!(
        touches(&chain, "carol"),
        3,
        "a seller is credited at every sale, at price 0 too, and touched once"
    );
    assert_eq!(touches(&chain, "alice"), 1);
    assert!(!chain.model.accounts.contains_key(&PublicKey::NONE), "an image not listed has no seller");
    chain.confirm("carol", purchase(&[(1, 1)], 0));
    assert_eq!(touches(&chain, "carol"), 4, "buyer and seller in one is one account");
    chain.confirm("registrar", register_miner("miner-4"));
    assert_eq!(touches(&chain, "miner-4"), 0, "a miner is no account");
    chain.confirm("registrar", list(3, "registrar", 0, 5));
    assert_eq!(touches(&chain, "registrar"), 4);
}
