//! The laws of kept orders: what was sent can be sent again, bytes for bytes, and the outbox does not grow for ever.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use printsy_keys::Keyring;
use printsy_rpc::chain::{Chain, MempoolSize, Sync, SyncState, Tip};
use printsy_rpc::market::BlockRef;
use printsy_rpc::{Hex, TransactionHex};
use printsy_wallet::outbox::{Kept, MAX_KEPT, Outbox};

fn chain(final_height: u64) -> Chain {
    Chain {
        network: "dev-test".to_owned(),
        genesis: Hex([9; 32]),
        tip: Tip { height: final_height, hash: Hex([0xab; 32]), time: 5 },
        final_block: BlockRef { height: final_height, hash: Hex([0xab; 32]) },
        work: Hex([0; 32]),
        difficulty: 1.0,
        sync: Sync { state: SyncState::Synced, height: 0, best: 0, rate: None, seconds_left: None },
        mempool: MempoolSize { transactions: 0, bytes: 0 },
        peers: 0,
        peer_id: String::new(),
        listen: vec![],
        version: String::new(),
    }
}

/// Order `number` of a network, which expires at that height.
fn order(number: u16, genesis: u8) -> Kept {
    let mut id = [genesis; 32];
    id[..2].copy_from_slice(&number.to_be_bytes());
    Kept {
        tx_id: Hex(id),
        network: "dev-test".to_owned(),
        genesis: Hex([genesis; 32]),
        expires_at: number.into(),
        sent: number.into(),
        what: "redeem 5".to_owned(),
        transaction: TransactionHex::new(vec![7; 200]).unwrap(),
    }
}

fn outbox() -> (tempfile::TempDir, Outbox) {
    let folder = tempfile::tempdir().unwrap();
    let outbox = Outbox::beside(&Keyring::new(folder.path().join("keys")));
    (folder, outbox)
}

#[test]
fn what_is_kept_is_what_was_sent() {
    let (folder, outbox) = outbox();
    assert!(outbox.list().unwrap().is_empty());
    assert_eq!(outbox.get(&Hex([1; 32])).unwrap(), None);
    outbox.keep(&order(5, 9), &chain(0)).unwrap();
    // The same once more is one order.
    outbox.keep(&order(5, 9), &chain(0)).unwrap();
    outbox.keep(&order(6, 9), &chain(0)).unwrap();
    assert_eq!(outbox.get(&order(5, 9).tx_id).unwrap(), Some(order(5, 9)));
    assert_eq!(outbox.list().unwrap(), [order(6, 9), order(5, 9)], "the last sent first");
    let orders = folder.path().join("orders");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&orders), 0o700);
    for file in fs::read_dir(&orders).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
}

#[test]
fn a_full_outbox_forgets_what_is_over_and_then_what_is_oldest() {
    let (folder, outbox) = outbox();
    let full = u16::try_from(MAX_KEPT).unwrap();
    // Half of them are of another network, of which this chain says nothing.
    let numbered = |number: u16| order(number, if number.is_multiple_of(2) { 9 } else { 8 });
    assert!(outbox.keep(&numbered(1), &chain(0)).unwrap().is_empty());
    for number in 2..=full {
        // As `keep` writes them, without a sync each: that would take this test's time.
        let kept = numbered(number);
        let path = folder.path().join("orders").join(format!("{}.order", kept.tx_id));
        fs::write(path, serde_json::to_string(&kept).unwrap()).unwrap();
    }
    // Up to height 10 all is final here: five orders of this network are over, and nobody is told of them.
    let gone = outbox.keep(&order(full + 1, 9), &chain(10)).unwrap();
    assert!(gone.is_empty());
    let kept = outbox.list().unwrap();
    assert_eq!(kept.len(), MAX_KEPT - 5 + 1);
    assert!(!kept.iter().any(|order| order.genesis == Hex([9; 32]) && order.expires_at <= 10));
    // Nothing more is over: from then on the oldest goes, and is named.
    for number in full + 2..=full + 5 {
        assert!(outbox.keep(&order(number, 9), &chain(10)).unwrap().is_empty());
    }
    let gone = outbox.keep(&order(full + 6, 9), &chain(10)).unwrap();
    assert_eq!(gone, [order(1, 8).tx_id]);
    assert_eq!(outbox.list().unwrap().len(), MAX_KEPT);
}

#[test]
fn a_damaged_file_hides_no_other_and_makes_room_first() {
    let (folder, outbox) = outbox();
    outbox.keep(&order(5, 9), &chain(0)).unwrap();
    fs::write(folder.path().join("orders/damaged.order"), "{").unwrap();
    fs::write(folder.path().join("orders/notes.txt"), "mine").unwrap();
    assert_eq!(outbox.list().unwrap(), [order(5, 9)]);
    let damaged = folder.path().join("orders").join(format!("{}.order", order(6, 9).tx_id));
    fs::write(damaged, "x".repeat(100_000)).unwrap();
    assert!(outbox.get(&order(6, 9).tx_id).is_err());
}
