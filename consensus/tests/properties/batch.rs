//! Many transactions checked at once are judged as each would be alone.

use printsy_consensus::{
    CheckedTransaction, Transaction, TransactionError, check_transaction, check_transactions,
};

use crate::support::chain::{purchase, redeem, review};
use crate::support::random::{for_seeds, random_order};
use crate::support::{Chain, Random, chain_with, public};

/// A way to spoil an order, or none.
fn spoil(random: &mut Random, chain: &Chain, mut tx: Transaction, one_in: u64) -> Transaction {
    if !random.chance(one_in) {
        return tx;
    }
    let bit = random.index(512);
    match random.below(8) {
        0 | 1 => tx.signature[bit / 8] ^= 1 << (bit % 8),
        2 => tx.body.expires_at += 1,
        3 => tx.body.sender = public("bob"),
        4 => tx.body.sender.0 = [255; 32],
        5 => tx.body.action = redeem(0),
        6 => tx.body.action = purchase(&[(chain.params().max_images, 1)], 0),
        _ => tx.body.action = review(1, 6, b"\xff"),
    }
    tx
}

type Verdict = Result<CheckedTransaction, TransactionError>;

fn one_by_one(chain: &Chain, batch: &[Transaction]) -> Vec<Verdict> {
    let hash = chain.genesis.hash();
    batch.iter().map(|tx| check_transaction(chain.params(), &hash, tx.clone())).collect()
}

#[test]
fn a_batch_is_judged_as_one_by_one() {
    let tally = std::cell::Cell::new((0, 0));
    for_seeds(0..120, |random| {
        let mut chain = chain_with(|_| {});
        // None bad, few bad, many bad: the batch as a whole holds, or each is looked at alone.
        let one_in = random.pick(&[u64::MAX, 12, 3]);
        let batch: Vec<Transaction> = (0..random.index(24))
            .map(|_| {
                let tx = random_order(random, &mut chain);
                spoil(random, &chain, tx, one_in)
            })
            .collect();
        let alone = one_by_one(&chain, &batch);
        let good = alone.iter().filter(|verdict| verdict.is_ok()).count();
        tally.set((tally.get().0 + good, tally.get().1 + alone.len() - good));
        assert_eq!(check_transactions(chain.params(), &chain.genesis.hash(), batch), alone);
    });
    let (good, bad) = tally.get();
    assert!(good > 300 && bad > 100, "{good} good and {bad} bad are too few to mean anything");
}

#[test]
fn one_bad_signature_anywhere_fails_alone() {
    let mut chain = chain_with(|_| {});
    let mut random = Random::new(1);
    let batch: Vec<Transaction> = (0..12).map(|_| random_order(&mut random, &mut chain)).collect();
    for bad in 0..batch.len() {
        let mut batch = batch.clone();
        batch[bad].signature[50] ^= 1;
        let verdicts = check_transactions(chain.params(), &chain.genesis.hash(), batch);
        for (at, verdict) in verdicts.iter().enumerate() {
            assert_eq!(
                verdict.as_ref().err(),
                (at == bad).then_some(&TransactionError::Signature),
                "{bad}, {at}"
            );
        }
    }
}

/// The same bad signature twice, and a bad one beside its mirror image, cancel nothing out.
#[test]
fn bad_ones_do_not_cancel_out() {
    let mut chain = chain_with(|_| {});
    let one = chain.order("alice", redeem(1));
    let two = chain.order("alice", redeem(2));
    let swapped = [
        Transaction { signature: two.signature, ..one.clone() },
        Transaction { signature: one.signature, ..two.clone() },
    ];
    let mut halves = [one, two];
    let (head, tail) = halves.split_at_mut(1);
    head[0].signature[32..].swap_with_slice(&mut tail[0].signature[32..]);
    for batch in [swapped, halves] {
        let verdicts = check_transactions(chain.params(), &chain.genesis.hash(), batch.to_vec());
        assert!(verdicts.iter().all(|verdict| *verdict == Err(TransactionError::Signature)));
    }
}
