//! The laws of answers and errors: what a node says reads back as it was, and its form is frozen.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use printsy_consensus::{Action, Body, Hash, Line, SecretKey};
use printsy_rpc::history::{Cursor, History, HistoryEntry, Holding, Holdings, HoldingsCursor, Review};
use printsy_rpc::market::{
    BlockRef, EditionRange, InBlock, Outcome, Position, Status, StatusChange, TransactionStatus,
};
use printsy_rpc::text::{BitsHex, HashHex, Hex, NonceHex};
use printsy_rpc::transaction::TransactionInfo;
use printsy_rpc::{Amount, ErrorData, RpcError, RpcReason, TransactionHex};
use serde_json::json;

fn status() -> Status {
    Status {
        tx_id: Hex([1; 32]),
        status: TransactionStatus::Included,
        history: vec![StatusChange {
            status: TransactionStatus::Pending,
            time: 5,
            height: None,
            hash: None,
            reason: None,
        }],
        block: Some(InBlock { height: 7, hash: Hex([2; 32]), index: 0 }),
        confirmations: 1,
        editions: Some(vec![EditionRange { image: 25, from: 1, to: 2 }]),
        transaction: TransactionHex::new(vec![0xff]).unwrap(),
    }
}

#[test]
fn a_status_has_this_form() {
    let expected = json!({
        "txId": "01".repeat(32),
        "status": "included",
        "history": [{"status": "pending", "time": 5}],
        "block": {"height": 7, "hash": "02".repeat(32), "index": 0},
        "confirmations": 1,
        "editions": [{"image": 25, "from": 1, "to": 2}],
        "transaction": "ff",
    });
    assert_eq!(serde_json::to_value(status()).unwrap(), expected);
    assert_eq!(serde_json::from_value::<Status>(expected).unwrap(), status());
}

#[test]
fn an_error_has_this_form() {
    let mut data = ErrorData::new(RpcReason::SoldOut).rule("S4");
    data.image = Some(25);
    (data.max, data.sold, data.requested) = (Some(100), Some(100), Some(1));
    let error = RpcError::refused("image 25 is sold out", data);
    let expected = json!({
        "code": 1001,
        "message": "image 25 is sold out",
        "data": {
            "reason": "soldOut", "rule": "S4", "retryable": false,
            "image": 25, "max": 100, "sold": 100, "requested": 1,
        },
    });
    assert_eq!(serde_json::to_value(&error).unwrap(), expected);
    assert_eq!(serde_json::from_value::<RpcError>(expected).unwrap(), error);
}

#[test]
fn every_reason_survives_the_wire_by_its_name_and_code() {
    let mut names = Vec::new();
    for reason in RpcReason::ALL {
        let error = RpcError::refused("no", ErrorData::new(reason));
        let object = jsonrpsee::types::ErrorObjectOwned::from(error.clone());
        assert_eq!(object.code(), reason.code());
        assert_eq!(RpcError::from(object).reason(), Some(reason));
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
        names.push(reason.name());
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), RpcReason::ALL.len());
}

#[test]
fn the_registry_is_frozen() {
    let told: Vec<String> = RpcReason::ALL
        .iter()
        .map(|reason| {
            format!("{} {}{}", reason.code(), reason, if reason.is_retryable() { " retryable" } else { "" })
        })
        .collect();
    let expected = "1001 soldOut\n1002 heldByPending retryable\n1003 badSignature\n1004 expired\n1004 notYet retryable\n\
                    1004 expiresTooSoon\n1005 notListed\n1005 priceChanged\n1006 accountLimit\n\
                    1007 insufficientBalance\n1008 notAuthorized\n1009 notPurchased\n1010 malformed\n\
                    1011 refusedByRegistry\n1012 mempoolFull retryable\n2001 unknownTemplate\n3001 syncing retryable\n\
                    3002 notFound\n3003 storage retryable\n4001 unauthorized\n4002 rateLimited retryable\n\
                    4003 slowReader retryable\n4004 ended";
    assert_eq!(told.join("\n"), expected);
}

#[test]
fn a_newer_node_s_unknown_reason_still_tells_code_and_message() {
    let newer = json!({"code": 1099, "message": "something new", "data": {"reason": "someNewReason", "retryable": true}});
    let error: RpcError = serde_json::from_value(newer).unwrap();
    assert_eq!((error.code, error.message.as_str(), error.data), (1099, "something new", None));
}

#[test]
fn outcomes_are_told_apart() {
    let refused = RpcError::refused("full", ErrorData::new(RpcReason::MempoolFull));
    let outcomes = vec![Outcome::Status(Box::new(status())), Outcome::Error(refused)];
    let json = serde_json::to_string(&outcomes).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Outcome>>(&json).unwrap(), outcomes);
}

#[test]
fn amounts_are_canonical_decimal_strings() {
    for amount in [0, 1, 1250, u64::MAX] {
        let json = serde_json::to_string(&Amount(amount)).unwrap();
        assert_eq!(json, format!("\"{amount}\""));
        assert_eq!(serde_json::from_str::<Amount>(&json).unwrap(), Amount(amount));
    }
    for wrong in
        ["\"\"", "\"01\"", "\"+1\"", "\"-1\"", "\"1.0\"", "\" 1\"", "\"18446744073709551616\"", "1", "null"]
    {
        assert!(serde_json::from_str::<Amount>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn numbers_in_hex_have_the_headers_order() {
    assert_eq!(BitsHex::from_bits(0x1e00_ffff).to_string(), "1e00ffff");
    assert_eq!(BitsHex::from_bits(0x1e00_ffff).bits(), 0x1e00_ffff);
    assert_eq!(NonceHex::from_nonce(1).to_string(), "0100000000000000");
    assert_eq!(NonceHex::from_nonce(1).nonce(), 1);
    assert_eq!(HashHex::from(Hash([3; 32])).to_string(), Hash([3; 32]).to_string());
}

#[test]
fn a_transaction_is_told_field_by_field() {
    let alice = SecretKey::development("alice");
    let lines = vec![Line { image: 25, quantity: 2 }].try_into().unwrap();
    let body = Body {
        sender: alice.public_key(),
        reference: [9; 16],
        expires_at: 120,
        action: Action::Purchase { lines, total: 500 },
    };
    let told = serde_json::to_value(TransactionInfo::from(&body.sign(&Hash::ZERO, &alice))).unwrap();
    assert_eq!(
        told["action"],
        json!({"type": "purchase", "lines": [{"image": 25, "quantity": 2}], "total": "500"})
    );
    assert_eq!(told["expiresAt"], 120);
    assert_eq!(told["sender"], alice.public_key().to_string());
}

#[test]
fn lists_have_this_form() {
    let alice = SecretKey::development("alice");
    let action = Action::Redeem { amount: 7 };
    let body = Body { sender: alice.public_key(), reference: [9; 16], expires_at: 120, action };
    let transaction = TransactionInfo::from(&body.sign(&Hash::ZERO, &alice));
    let entry = HistoryEntry {
        position: Position { height: 7, index: 1 },
        hash: Hex([2; 32]),
        time: 5,
        confirmations: 3,
        is_final: false,
        editions: None,
        transaction: transaction.clone(),
    };
    let tip = BlockRef { height: 9, hash: Hex([3; 32]) };
    let history = History { tip, entries: vec![entry], next: Some(Cursor::from([4; 20])) };
    let mut expected = serde_json::to_value(&transaction).unwrap();
    let own = json!({
        "position": {"height": 7, "index": 1}, "hash": "02".repeat(32), "time": 5, "confirmations": 3, "final": false,
    });
    expected.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    let tip_told = json!({"height": 9, "hash": "03".repeat(32)});
    let expected = json!({"tip": tip_told, "entries": [expected], "next": "04".repeat(20)});
    assert_eq!(serde_json::to_value(&history).unwrap(), expected);
    assert_eq!(serde_json::from_value::<History>(expected).unwrap(), history);

    let holding = Holding { image: 25, quantity: 2, rating: None };
    let holdings = Holdings { tip, holdings: vec![holding], next: None };
    let expected = json!({"tip": tip_told, "holdings": [{"image": 25, "quantity": 2}], "next": null});
    assert_eq!(serde_json::to_value(&holdings).unwrap(), expected);
    assert_eq!(HoldingsCursor::from(25u64.to_be_bytes()).to_string(), "0000000000000019");

    let review = Review {
        rating: 4,
        text: "fine".to_owned(),
        account: alice.public_key().into(),
        position: Position { height: 7, index: 1 },
        tx_id: Hex([1; 32]),
        replaced: None,
    };
    assert_eq!(serde_json::to_value(&review).unwrap()["replaced"], serde_json::Value::Null);
}

#[test]
fn positions_are_plain() {
    let position = Position { height: 1, index: 2 };
    assert_eq!(serde_json::to_value(position).unwrap(), json!({"height": 1, "index": 2}));
}
