//! The sentences, held still: what a buyer reads.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod network;

use printsy_consensus::{Action, Hash, Line, PublicKey, SecretKey, codec};
use printsy_rpc::chain::{CatalogueInfo, MinerInfo, NetworkParams, Supply};
use printsy_rpc::history::{History, HistoryEntry, Holding, Holdings, Owner, Owners, Review, Reviews};
use printsy_rpc::market::{
    Account, Availability, BlockRef, Edition, EditionRange, InBlock, Position, Status, StatusChange,
    TransactionStatus, Wait,
};
use printsy_rpc::transaction::TransactionInfo;
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

fn keys() -> (PublicKey, PublicKey) {
    let key = |name| SecretKey::development(name).public_key();
    (key("alice"), key("bob"))
}

fn network() -> NetworkParams {
    NetworkParams::from(&network::params())
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
fn who_waited_in_vain_is_told_never_to_order_twice() {
    let id = "cd".repeat(32);
    let again = format!(
        "so never order again before that; ask `printsy status {id}`, or send the very same order once more with \
         `printsy resend {id}`"
    );
    assert_eq!(
        tell::not_reached(&status(TransactionStatus::Pending)),
        format!("order {id} is in no block yet: it may happen until its last height is final, {again}")
    );
    let alice = SecretKey::development("alice");
    let transaction = order::sign(&alice, &Hash([7; 32]), 126, [1; 16], Action::Redeem { amount: 5 });
    for (stage, what) in [
        (TransactionStatus::Pending, "is in no block yet"),
        (TransactionStatus::Included, "is in a block, which is not final yet"),
        (TransactionStatus::Displaced, "was taken out of its block by a reorganisation"),
        (TransactionStatus::Expired, "has expired, though not for good yet"),
    ] {
        let mut known = status(stage);
        known.transaction = TransactionHex::new(codec::encode(&transaction)).unwrap();
        assert_eq!(
            tell::not_reached(&known),
            format!("order {id} {what}: it may happen until block 126 is final, {again}")
        );
    }
    assert_eq!(
        tell::not_reached(&status(TransactionStatus::Refused)),
        format!("order {id} was refused; ask `printsy status {id}` before you order again")
    );
}

#[test]
fn what_is_about_to_be_sent_is_told_with_prices_total_and_whom() {
    let (alice, bob) = keys();
    let cart = [Line { image: 7, quantity: 1 }, Line { image: 25, quantity: 2 }];
    let buy = order::purchase(cart.to_vec(), 500).unwrap();
    let told =
        tell::summary(&buy, &[edition(7, 0), edition(25, 250)], &alice, &network(), "http://127.0.0.1:1");
    assert_eq!(
        told,
        format!(
            "about to buy 3 editions for 500\n  image 7: 1 edition, free (100 left)\n  image 25: 2 editions, 250 \
             each, 500 (100 left)\n  from {alice}\n  on the network dev-test, by http://127.0.0.1:1"
        )
    );
    let listed = NetworkParams { catalogue: CatalogueInfo::Listed, ..network() };
    let told = tell::summary(&buy, &[edition(7, 0), edition(25, 250)], &alice, &listed, "x");
    assert!(
        told.contains("\n  image 7: 1 edition, not on sale here\n  image 25: 2 editions, 250 each"),
        "{told}"
    );
    let pay = Action::Transfer { to: bob, amount: 5 };
    assert!(
        tell::summary(&pay, &[], &alice, &network(), "x")
            .starts_with(&format!("about to transfer 5 to {bob}\n"))
    );
    let review = order::review(25, 5, "fine\nand large").unwrap();
    let told = tell::summary(&review, &[], &alice, &network(), "x");
    assert!(told.starts_with("about to review image 25 with 5 of 5\n  fine and large\n  from "), "{told}");
}

#[test]
fn lists_have_a_line_for_each_entry() {
    let (alice, _) = keys();
    let position = Position { height: 7, index: 0 };
    let owner =
        Owner { account: Address(alice), quantity: 2, from: 3, to: 4, position, tx_id: Hex([0xcd; 32]) };
    let owners = Owners { tip: block(), owners: vec![owner], next: None };
    assert_eq!(
        tell::owners(&owners),
        format!("editions 3 to 4: {alice}, block 7, order {}", "cd".repeat(32))
    );
    let holdings = Holdings {
        tip: block(),
        holdings: vec![
            Holding { image: 7, quantity: 1, rating: None },
            Holding { image: 25, quantity: 2, rating: Some(5) },
        ],
        next: None,
    };
    assert_eq!(tell::holdings(&holdings), "image 7: 1 edition\nimage 25: 2 editions, rated 5 of 5");
    let review = Review {
        rating: 5,
        text: "fine\nand large\u{1b}[2J\u{202e}".to_owned(),
        account: Address(alice),
        position,
        tx_id: Hex([0; 32]),
        replaced: Some(true),
    };
    let reviews = Reviews { tip: block(), reviews: vec![review], next: None };
    assert_eq!(
        tell::reviews(&reviews),
        format!("5 of 5, replaced since, by {alice}, block 7\n    fine\n    and large [2J ")
    );
    let miner = MinerInfo {
        name: "one".to_owned(),
        key: Address(alice),
        registered_at: 0,
        blocks: 9,
        share: 0.25,
        last_height: 7,
    };
    assert_eq!(
        tell::miners(&[miner]),
        format!("one  {alice}: 9 blocks, last in block 7, 25.0 % of the last 1000, registered at 0")
    );
}

#[test]
fn history_tells_when_what_and_who() {
    let alice = SecretKey::development("alice");
    let buy = order::purchase(vec![Line { image: 25, quantity: 2 }], 500).unwrap();
    let transaction = order::sign(&alice, &Hash([7; 32]), 126, [1; 16], buy);
    let entry = HistoryEntry {
        position: Position { height: 7, index: 0 },
        hash: Hex([0xab; 32]),
        time: 1_700_000_000_000,
        confirmations: 1,
        is_final: false,
        editions: Some(vec![EditionRange { image: 25, from: 1, to: 2 }]),
        transaction: TransactionInfo::from(&transaction),
    };
    let history = History { tip: block(), entries: vec![entry], next: None };
    assert_eq!(
        tell::history(&history),
        format!(
            "2023-11-14 22:13:20  block 7 (abababab...), included: bought 2 editions for 500; image 25: editions 1 to 2, by {}, order {}",
            alice.public_key(),
            transaction.body.txid()
        )
    );
}

#[test]
fn dates_are_those_of_the_calendar() {
    for (seconds, date) in [
        (0, "1970-01-01 00:00:00"),
        (951_782_399, "2000-02-28 23:59:59"),
        (951_782_400, "2000-02-29 00:00:00"),
        (951_868_800, "2000-03-01 00:00:00"),
        (1_709_164_800, "2024-02-29 00:00:00"),
        (4_107_542_400, "2100-03-01 00:00:00"),
        (1_798_761_599, "2026-12-31 23:59:59"),
    ] {
        assert_eq!(tell::date(seconds * 1_000), date);
    }
}

#[test]
fn a_node_s_words_move_no_cursor() {
    let told = tell::plain("a\u{1b}[2Jb\rc\nd\u{9b}e\u{202e}f");
    assert_eq!(told, "a [2Jb c d e f");
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
fn the_supply_tells_what_was_deposited_and_withdrawn() {
    let supply =
        Supply { issued: Amount(1300), redeemed: Amount(400), outstanding: Amount(900), tip: block() };
    assert_eq!(tell::supply(&supply), "issued 1300, redeemed 400, outstanding 900, at block 7 (abababab...)");
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
    let of_rule = |reason, rule: &str, message: &str| {
        tell::refusal(&RpcError::refused(message, ErrorData::new(reason).rule(rule)))
    };
    assert_eq!(
        of_rule(RpcReason::NotListed, "S6", "S6: image 3 is not listed"),
        "image 3 is not listed (S6); it is not on sale: only what a registrar listed can be bought here"
    );
    for (sold, expected) in [
        (
            1,
            "sold out: image 1 has 1 of 3 sold, 3 requested (S4); 2 editions are left: buy no more than that",
        ),
        (2, "sold out: image 1 has 2 of 3 sold, 3 requested (S4); 1 edition is left: buy no more than that"),
        (3, "sold out: image 1 has 3 of 3 sold, 3 requested (S4)"),
    ] {
        let data =
            ErrorData { max: Some(3), sold: Some(sold), ..ErrorData::new(RpcReason::SoldOut).rule("S4") };
        let message = format!("S4: sold out: image 1 has {sold} of 3 sold, 3 requested");
        assert_eq!(tell::refusal(&RpcError::refused(message, data)), expected);
    }
    for (rule, said) in [("S3", "only admitted accounts"), ("S10", "use a key that has the role")] {
        assert!(of_rule(RpcReason::NotAuthorized, rule, "no").contains(said), "{rule}");
    }
    assert_eq!(tell::refusal(&RpcError::internal()), "the node refused: internal error (-32603)");
    for reason in RpcReason::ALL {
        let told = told(reason, "no");
        assert!(!told.contains('\n'));
        // What the node says is enough for some of them; every other says what to do.
        let says_all = ["soldOut", "malformed", "refusedByRegistry", "ended"].contains(&reason.name());
        assert_eq!(told == "no", says_all, "{reason}: {told}");
    }
}
