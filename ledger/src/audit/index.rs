//! The index against the replayed state, row by row, as of the index's mark: what is missing, what is wrong, what
//! is there and should not be.
//!
//! One scan meets every row there is; one walk over the chain's blocks meets every row there should be. Only where
//! the two numbers differ is it looked for which rows make the difference. Nothing is written.

use std::collections::BTreeSet;

use printsy_consensus::{Block, Hash, Position, PublicKey, StateKey, codec};

use super::replay::Replay;
use super::report::{Area, Check, MAX_FINDINGS};
use super::state::ReplayState;
use crate::error::LedgerError;
use crate::progress::{Progress, Watch};
use crate::rows::{
    BLOCK, BlockRow, HOLDING, HoldingRow, STATE, TRANSACTION, block_key, decode_row, holding_key, state_key,
    transaction_key,
};
use crate::store::{IndexView, JournalReader, Mark, StoreError};

/// How many rows are looked through to name the surplus ones: each may cost the reading of a block.
const MAX_NAMED_FROM: u64 = 100_000;

/// A comparison on its way.
struct Comparison<'a> {
    replay: &'a Replay,
    journal: &'a JournalReader,
    view: &'a IndexView,
    state: Check,
    holdings: Check,
    transactions: Check,
    blocks: Check,
    other: Check,
    /// Rows of the state that are of an entry.
    entries: usize,
    /// Rows of holdings that are of one.
    held: usize,
    /// Rows of transactions and blocks, in all.
    transaction_rows: u64,
    block_rows: u64,
    /// Keys of wrong rows, told already.
    told: BTreeSet<Vec<u8>>,
}

/// Compares the index, which stands at `mark`, with the replay, which has come to the same place.
pub(super) fn compare(
    replay: &Replay,
    journal: &JournalReader,
    view: &IndexView,
    mark: &Mark,
    watch: &mut Watch<'_>,
) -> Result<Vec<Check>, LedgerError> {
    let check = |id| Check::new(Area::Index, id);
    let mut comparison = Comparison {
        replay,
        journal,
        view,
        state: check("index.state"),
        holdings: check("index.holdings"),
        transactions: check("index.transactions"),
        blocks: check("index.blocks"),
        other: check("index.other"),
        entries: 0,
        held: 0,
        transaction_rows: 0,
        block_rows: 0,
        told: BTreeSet::new(),
    };
    comparison.scan()?;
    comparison.find_missing_entries()?;
    comparison.find_missing_holdings()?;
    comparison.walk(watch)?;
    let Comparison { state, holdings, transactions, blocks, other, .. } = comparison;
    Ok(vec![check_mark(replay, mark), state, holdings, transactions, blocks, other])
}

/// What the mark says of the chain.
fn check_mark(replay: &Replay, mark: &Mark) -> Check {
    let mut check = Check::new(Area::Index, "index.mark");
    check.checked = 1;
    let got = replay.replayed();
    if (mark.height, mark.tip, mark.final_height) != (got.height, got.tip, got.final_height) {
        let what = format!(
            "it names block {} at height {}, {} final; the journal has {} at {}, {} final",
            mark.tip, mark.height, mark.final_height, got.tip, got.height, got.final_height
        );
        check.find(None, None, what);
    }
    check
}

impl Comparison<'_> {
    /// Every row there is.
    fn scan(&mut self) -> Result<(), StoreError> {
        let view = self.view;
        view.scan(&[], &mut |key, value| {
            match key.first().copied() {
                Some(STATE) => self.meet_entry(key, value),
                Some(HOLDING) => self.meet_holding(key, value),
                Some(TRANSACTION) => self.transaction_rows += 1,
                Some(BLOCK) => self.block_rows += 1,
                _ => {
                    self.other.checked += 1;
                    self.other.find(None, None, format!("row {} is of no kind there is", shown(key)));
                }
            }
            Ok(())
        })
    }

    fn meet_entry(&mut self, row: &[u8], value: &[u8]) {
        self.state.checked += 1;
        let Ok(key) = decode_row::<StateKey>(row.get(1..).unwrap_or_default()) else {
            return self.state.find(None, None, format!("row {} names no entry", shown(row)));
        };
        match self.replay.state().tree().get(&key.path()) {
            Some(expected) => {
                self.entries += 1;
                if expected != value {
                    self.state.find(None, None, format!("the row of {} is wrong", name(&key)));
                }
            }
            None => {
                self.state.find(None, None, format!("there is a row of {}, which is not there", name(&key)))
            }
        }
    }

    fn meet_holding(&mut self, row: &[u8], value: &[u8]) {
        self.holdings.checked += 1;
        let Some((account, image)) = holding_place(row) else {
            return self.holdings.find(None, None, format!("row {} names no holding", shown(row)));
        };
        let got = decode_row::<HoldingRow>(value).ok().map(|row| row.holding);
        let expected = self.replay.state().holdings().get(&(account, image));
        self.held += usize::from(expected.is_some());
        if got.as_ref() != expected || expected.is_none() {
            let (got, expected) = (got.unwrap_or_default(), expected.copied().unwrap_or_default());
            let what = format!(
                "the row of {account} and image {image} has {} with rating {}, the chain {} with rating {}",
                got.quantity, got.rating, expected.quantity, expected.rating
            );
            self.holdings.find(None, None, what);
        }
    }

    fn find_missing_entries(&mut self) -> Result<(), StoreError> {
        let state: &ReplayState = self.replay.state();
        if self.entries == state.keys().len() {
            return Ok(());
        }
        for key in state.keys() {
            if self.view.get(&state_key(key))?.is_none() {
                self.state.find(None, None, format!("there is no row of {}", name(key)));
            }
        }
        Ok(())
    }

    fn find_missing_holdings(&mut self) -> Result<(), StoreError> {
        let holdings = self.replay.state().holdings();
        if self.held == holdings.len() {
            return Ok(());
        }
        for (account, image) in holdings.keys() {
            if self.view.get(&holding_key(account, *image))?.is_none() {
                self.holdings.find(None, None, format!("there is no row of {account} and image {image}"));
            }
        }
        Ok(())
    }

    /// Every row of a transaction or a block that there should be, then those that are too many.
    fn walk(&mut self, watch: &mut Watch<'_>) -> Result<(), LedgerError> {
        let chain = self.replay.chain();
        let (mut transactions, mut blocks) = (0, 0);
        for height in 1..=chain.height() {
            let Some(position) = chain.position(height) else { continue };
            let block = self.block_at(position)?;
            let id = block.header.header.id();
            blocks += self.expect_block(&id, BlockRow { height, position })?;
            for (tx, index) in block.transactions.iter().zip(0u32..) {
                let place = Position { height, index };
                transactions += self.expect_transaction(&id, &tx.body.txid(), place)?;
            }
            let transactions = self.transactions.checked;
            watch(Progress { done: position, total: self.replay.end(), height, transactions });
        }
        for (id, (height, position)) in self.replay.left() {
            blocks += self.expect_block(id, BlockRow { height: *height, position: *position })?;
        }
        if self.transaction_rows > transactions {
            self.name_transactions(self.transaction_rows - transactions)?;
        }
        if self.block_rows > blocks {
            self.name_blocks(self.block_rows - blocks)?;
        }
        Ok(())
    }

    fn expect_block(&mut self, id: &Hash, expected: BlockRow) -> Result<u64, StoreError> {
        self.blocks.checked += 1;
        let key = block_key(id);
        let wrong = match self.view.get(&key)? {
            Some(row) if row == codec::encode(&expected) => return Ok(1),
            Some(_) => "the block's row is wrong",
            None => "the block has no row",
        };
        self.blocks.find(Some(expected.height), Some(*id), wrong);
        Ok(self.tell(key, wrong))
    }

    fn expect_transaction(&mut self, id: &Hash, txid: &Hash, expected: Position) -> Result<u64, StoreError> {
        self.transactions.checked += 1;
        let key = transaction_key(txid);
        let wrong = match self.view.get(&key)? {
            Some(row) if row == codec::encode(&expected) => return Ok(1),
            Some(_) => "is wrong",
            None => "is missing",
        };
        let what = format!("the row of transaction {txid} ({}) {wrong}", expected.index);
        self.transactions.find(Some(expected.height), Some(*id), what);
        Ok(self.tell(key, wrong))
    }

    /// Remembers the key of a row that was told as wrong; answers how many rows there are of it.
    fn tell(&mut self, key: Vec<u8>, wrong: &str) -> u64 {
        if !wrong.ends_with("wrong") {
            return 0;
        }
        if self.told.len() < MAX_FINDINGS {
            self.told.insert(key);
        }
        1
    }

    /// Which rows of transactions are of none on the chain: `surplus` of them.
    fn name_transactions(&mut self, surplus: u64) -> Result<(), LedgerError> {
        // Rows come in the order of ids, which is none: by their places, each block is read once.
        let rows = self.rows_of(TRANSACTION)?.into_iter();
        let mut rows: Vec<_> = rows.map(|(key, value)| (decode_row::<Position>(&value).ok(), key)).collect();
        rows.sort_unstable();
        let (mut named, mut read) = (0, (0, Vec::new()));
        for (place, key) in rows {
            let is_there = match place {
                Some(place) => {
                    if read.0 != place.height {
                        read = (place.height, self.transaction_keys_at(place.height)?);
                    }
                    let index = usize::try_from(place.index).unwrap_or(usize::MAX);
                    read.1.get(index) == Some(&key)
                }
                None => false,
            };
            if !is_there && !self.told.contains(&key) {
                named += 1;
                let what = format!("row {} is of no transaction on the chain", shown(&key));
                self.transactions.find(place.map(|place| place.height), None, what);
            }
        }
        count_unnamed(&mut self.transactions, surplus, named);
        Ok(())
    }

    /// The keys of the rows of a block's transactions, in its order; none off the chain.
    fn transaction_keys_at(&self, height: u64) -> Result<Vec<Vec<u8>>, LedgerError> {
        let Some(position) = self.replay.chain().position(height) else { return Ok(Vec::new()) };
        let block = self.block_at(position)?;
        Ok(block.transactions.iter().map(|tx| transaction_key(&tx.body.txid())).collect())
    }

    /// Which rows of blocks are of none in the journal: `surplus` of them.
    fn name_blocks(&mut self, surplus: u64) -> Result<(), LedgerError> {
        let left: BTreeSet<Vec<u8>> = self.replay.left().keys().map(block_key).collect();
        let mut named = 0;
        for (key, value) in self.rows_of(BLOCK)? {
            let row = decode_row::<BlockRow>(&value).ok();
            let position = row.and_then(|row| self.replay.chain().position(row.height));
            let is_there = match position {
                Some(position) => block_key(&self.block_at(position)?.header.header.id()) == key,
                None => false,
            };
            if !is_there && !left.contains(&key) && !self.told.contains(&key) {
                named += 1;
                let what = format!("row {} is of no block in the journal", shown(&key));
                self.blocks.find(row.map(|row| row.height), None, what);
            }
        }
        count_unnamed(&mut self.blocks, surplus, named);
        Ok(())
    }

    /// The first rows of a kind.
    fn rows_of(&self, kind: u8) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        let (mut rows, mut seen) = (Vec::new(), 0u64);
        self.view.scan(&[kind], &mut |key, value| {
            seen += 1;
            if seen <= MAX_NAMED_FROM {
                rows.push((key.to_vec(), value.to_vec()));
            }
            Ok(())
        })?;
        Ok(rows)
    }

    fn block_at(&self, position: u64) -> Result<Block, LedgerError> {
        let stored = self.journal.block(position)?;
        let block = codec::decode(&stored.block);
        Ok(block.map_err(|error| self.journal.damage(position, &error.to_string()))?)
    }
}

/// Counts the surplus rows that were not come upon by name.
fn count_unnamed(check: &mut Check, surplus: u64, named: u64) {
    let unnamed = surplus.saturating_sub(named);
    if unnamed > 0 {
        check.find(None, None, format!("{unnamed} more rows are of nothing there is"));
        check.wrong = check.wrong.saturating_add(unnamed - 1);
    }
}

fn holding_place(row: &[u8]) -> Option<(PublicKey, u64)> {
    let (account, image) = row.get(1..)?.split_first_chunk::<32>()?;
    Some((PublicKey(*account), u64::from_be_bytes(image.try_into().ok()?)))
}

fn name(key: &StateKey) -> String {
    match key {
        StateKey::Edition(image) => format!("image {image}"),
        StateKey::Account(account) => format!("account {account}"),
        StateKey::Miner(miner) => format!("miner {miner}"),
        StateKey::Supply => "the supply".to_owned(),
    }
}

/// A key as people may look for it: in hex, as long as ours are.
fn shown(key: &[u8]) -> String {
    key.iter().take(48).map(|byte| format!("{byte:02x}")).collect()
}
