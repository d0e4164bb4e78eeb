//! Checking a journalled block on all cores: signatures are most of what a replay costs.
//!
//! The transactions are checked in as many shares as there are cores; the block is then checked as any other, with
//! those known that passed. One that did not is simply not known: the block's own check says what is wrong with it.

use std::collections::HashMap;
use std::num::NonZero;
use std::thread;

use printsy_consensus::{
    Block, BlockCheckError, CheckedBlock, CheckedTransaction, Genesis, Hash, Transaction, check_transactions,
    codec,
};

/// A share of fewer transactions is not worth a thread: they are checked in about two milliseconds.
const MIN_SHARE: usize = 32;

/// As [`CheckedBlock::check`], on all cores.
pub(super) fn check_block(genesis: &Genesis, bytes: Vec<u8>) -> Result<CheckedBlock, BlockCheckError> {
    let block: Block = codec::decode(&bytes)?;
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let share = block.transactions.len().div_ceil(cores).max(MIN_SHARE);
    let known = if block.transactions.len() > share {
        check_shares(genesis, &block.transactions, share)
    } else {
        HashMap::new()
    };
    CheckedBlock::check(genesis.params(), &genesis.hash(), bytes, &|leaf| known.get(leaf).cloned())
}

/// The transactions that pass their T rules, by their leaves.
fn check_shares(
    genesis: &Genesis,
    transactions: &[Transaction],
    share: usize,
) -> HashMap<Hash, CheckedTransaction> {
    let check = |share: &[Transaction]| {
        let checked = check_transactions(genesis.params(), &genesis.hash(), share.to_vec());
        checked.into_iter().flatten().map(|tx| (tx.leaf(), tx)).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let shares: Vec<_> =
            transactions.chunks(share).map(|share| scope.spawn(move || check(share))).collect();
        // A share whose thread panicked is not known; the block's own check comes upon it again.
        shares.into_iter().filter_map(|share| share.join().ok()).flatten().collect()
    })
}
