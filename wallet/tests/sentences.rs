//! The sentences, held still: what a buyer reads.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use printsy_consensus::{Action, Line, SecretKey};
use printsy_rpc::market::{
    Account, Availability, BlockRef, Edition, EditionRange, InBlock, Status, StatusChange, TransactionStatus,
    Wait,
};
use printsy_rpc::{Address, Amount, ErrorData, Hex, RpcError, RpcReason, TransactionHex};
use printsy_wallet::{order, tell};

fn block() -> BlockRef {
    BlockRef { height: 7, hash: Hex([0xab; 32]) }
}

fn status(status: TransactionStatus) -> Status {
    let is_in_block = matches!(status, TransactionStatus::Included | TransactionStatus::Final);
    Status {
        tx_id: Hex([0xcd; 32]),
        status,
        history: vec![],
        block: is_in_block.then_some(InBlock { height: 7, hash: Hex([0xab; 32]), index: 0 }),
        confirmations: u64::from(is_in_block),
        editions: None,
        transaction: TransactionHex::new(vec![]).unwrap(),
    }
}

fn edition(image: u64, price: u64) -> Edition {
    Edition {
        image,
        listed: price > 0,
        editions: 100,
        sold: 0,
        remaining: 100,
        price: Amount(price),
        seller: None,
        register: Hex([0; 32]),
        reviews: 0,
        average_rating: None,
        last: None,
        last_review: None,
    }
}

#[test]
fn a_purchase_tells_its_edition_and_block() {
    let mut bought = status(TransactionStatus::Included);
    bought.editions = Some(vec![EditionRange { image: 25, from: 1, to: 1 }]);
    let lines = [Line { image: 25, quantity: 1 }];
    assert_eq!(
        tell::bought(&bought, &lines, &[edition(25, 0)]),
        "bought image 25: edition 1 of 100, in block 7 (abababab...)"
    );
}

#[test]
fn a_cart_tells_each_image() {
    let mut bought = status(TransactionStatus::Included);
    bought.editions =
        Some(vec![EditionRange { image: 7, from: 3, to: 3 }, EditionRange { image: 25, from: 1, to: 2 }]);
    let lines = [Line { image: 7, quantity: 1 }, Line { image: 25, quantity: 2 }];
    assert_eq!(
        tell::bought(&bought, &lines, &[edition(7, 0), edition(25, 250)]),
        "bought image 7: edition 3 of 100, in block 7 (abababab...)\n\
         bought image 25: editions 1 to 2 of 100 for 500, in block 7 (abababab...)"
    );
}

#[test]
fn availability_tells_what_is_left() {
    let mut a = Availability {
        image: 25,
        available: true,
        remaining: 99,
        max: 100,
        sold: 1,
        pending: 0,
        price: Amount(0),
        last_block: Some(block()),
        tip: block(),
    };
    assert_eq!(
        tell::availability(&a),
        "image 25: 99 of 100 left, price 0; last sold in block 7 (abababab...)"
    );
    a.pending = 2;
    a.available = false;
    assert_eq!(
        tell::availability(&a),
        "image 25: 99 of 100 left, but not to be had now, 2 in pending orders; last sold in block 7 (abababab...)"
    );
    (a.remaining, a.pending) = (0, 0);
    assert_eq!(
        tell::availability(&a),
        "image 25: sold out, all 100 editions sold; last sold in block 7 (abababab...)"
    );
    (a.remaining, a.available, a.last_block) = (100, true, None);
    assert_eq!(tell::availability(&a), "image 25: 100 of 100 left, price 0; never sold");
}

#[test]
fn every_order_tells_what_it_did() {
    let bob = SecretKey::development("bob").public_key();
    let told = |action: Action| tell::confirmed(&status(TransactionStatus::Included), &tell::done(&action));
    let list = Action::List { image: 25, seller: bob, price: 250, editions: 50 };
    for (action, expected) in [
        (order::review(25, 5, "x").unwrap(), "reviewed image 25 with 5 of 5".to_owned()),
        (Action::Transfer { to: bob, amount: 5 }, format!("transferred 5 to {bob}")),
        (Action::Issue { to: bob, amount: 5 }, format!("issued 5 to {bob}")),
        (Action::Redeem { amount: 5 }, "redeemed 5".to_owned()),
        (list, format!("listed image 25: 50 editions at 250, paid to {bob}")),
        (order::register_miner(bob, "nine").unwrap(), format!("registered miner {bob} as nine")),
        (Action::RevokeMiner { miner: bob }, format!("revoked miner {bob}")),
        (Action::Admit { account: bob }, format!("admitted {bob}")),
        (Action::Expel { account: bob }, format!("expelled {bob}")),
    ] {
        assert_eq!(told(action), format!("{expected}, in block 7 (abababab...)"));
    }
}

#[test]
fn a_status_tells_where_it_stands() {
    let told = |s| tell::status(&status(s));
    assert_eq!(told(TransactionStatus::Pending), "pending: waiting for a block");
    assert_eq!(told(TransactionStatus::Included), "included in block 7 (abababab...), 1 confirmation");
    assert_eq!(told(TransactionStatus::Final), "final in block 7 (abababab...), 1 confirmation");
    let mut refused = status(TransactionStatus::Refused);
    let reason = Some(RpcReason::SoldOut);
    let change =
        StatusChange { status: TransactionStatus::Refused, time: 0, height: None, hash: None, reason };
    refused.history.push(change);
    assert_eq!(tell::status(&refused), "refused (soldOut)");
    let mut bought = status(TransactionStatus::Included);
    bought.editions = Some(vec![EditionRange { image: 25, from: 1, to: 2 }]);
    assert_eq!(
        tell::status(&bought),
        "included in block 7 (abababab...), 1 confirmation\nimage 25: editions 1 to 2"
    );
}

#[test]
fn who_waited_in_vain_is_told_not_to_order_again() {
    let id = "cd".repeat(32);
    assert_eq!(
        tell::not_reached(&status(TransactionStatus::Pending)),
        format!("order {id} is in no block yet; ask `printsy status {id}` before you order again")
    );
}

#[test]
fn an_order_is_done_when_it_came_as_far_as_was_asked() {
    use TransactionStatus::{Displaced, Expired, Final, Included, Pending, Refused};
    for (wait, far_enough) in [
        (Wait::Admitted, vec![Pending, Included, Final]),
        (Wait::Included, vec![Included, Final]),
        (Wait::Final, vec![Final]),
    ] {
        for status in [Pending, Included, Final, Displaced, Refused, Expired] {
            assert_eq!(tell::has_reached(status, wait), far_enough.contains(&status), "{status:?} {wait:?}");
        }
    }
}

#[test]
fn an_account_tells_its_balance() {
    let bob = Address(SecretKey::development("bob").public_key());
    let account =
        Account { account: bob, balance: Amount(1250), transactions: 3, admitted: true, last: None };
    assert_eq!(tell::account(&account), format!("{bob}: balance 1250, 3 transactions, admitted"));
}

#[test]
fn a_refusal_is_one_sentence_with_what_to_do() {
    let told = |reason, message: &str| tell::refusal(&RpcError::refused(message, ErrorData::new(reason)));
    assert_eq!(told(RpcReason::SoldOut, "image 25 is sold out"), "image 25 is sold out");
    assert_eq!(
        told(RpcReason::Syncing, "the node is at 5 of 900"),
        "the node is at 5 of 900; try again when it has caught up, or at another node (--rpc)"
    );
    assert_eq!(tell::refusal(&RpcError::internal()), "the node refused: internal error (-32603)");
    for reason in RpcReason::ALL {
        assert!(!told(reason, "no").contains('\n'));
    }
}
