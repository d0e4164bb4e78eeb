//! `getHeader`, `getBlock`: one block of the chain by its height, or any that was ever on it by its id.
//!
//! Block 0 has a header and no body. A block off the chain has no confirmations.

use std::sync::Arc;

use printsy_consensus::{Block, EMPTY_BLOCK_BYTES, Hash, Miner, SignedHeader, codec};
use printsy_ledger::{LedgerError, Moment, Reader, Snapshot, StoredBlock};
use printsy_rpc::block::{
    BlockInfo, BlockSelector, GetBlock, GetBlockParams, GetHeader, GetHeaderParams, HeaderInfo, Transactions,
    Verbosity,
};
use printsy_rpc::transaction::TransactionInfo;
use printsy_rpc::{RpcError, TransactionHex};

use super::chain::count;
use super::context::Context;
use super::errors;
use super::methods::{Caller, Serve};

impl Serve for GetHeader {
    async fn answer(
        context: Arc<Context>,
        params: GetHeaderParams,
        _: Caller,
    ) -> Result<HeaderInfo, RpcError> {
        let info = context.read(move |reader| read_header(reader, params.block)).await?;
        info.ok_or_else(unknown)
    }
}

impl Serve for GetBlock {
    const READS_MUCH: bool = true;

    async fn answer(context: Arc<Context>, params: GetBlockParams, _: Caller) -> Result<BlockInfo, RpcError> {
        let verbosity = params.verbosity.unwrap_or_default();
        let info = context.read(move |reader| read_block(reader, params.block, verbosity)).await?;
        info.ok_or_else(unknown)
    }
}

fn unknown() -> RpcError {
    errors::not_found("this node knows no such block")
}

fn read_header(reader: &Reader, selector: BlockSelector) -> Result<Option<HeaderInfo>, LedgerError> {
    reader.at_one_moment(|now| {
        let height = match selector {
            BlockSelector::Height(height) => Some(height.get()),
            BlockSelector::Hash(hash) => now.height_on_chain(&hash.into())?,
        };
        if let Some(height) = height {
            let Some(record) = now.header_at(height)? else { return Ok(None) };
            let name = name_on_chain(now, &record.signed)?;
            return Ok(Some(header_info(now.snapshot(), &record.signed, name, true)));
        }
        let BlockSelector::Hash(hash) = selector else { return Ok(None) };
        let stored = now.block(&hash.into())?;
        Ok(stored.map(|stored| {
            let name = name_when_made(&stored);
            header_info(now.snapshot(), &stored.record.signed, name, stored.on_chain)
        }))
    })
}

/// What people called the maker of a block of the chain when it made it. Who is registered since before the block had
/// that name then; of anybody else the block's own undo tells.
fn name_on_chain(now: &Moment<'_>, signed: &SignedHeader) -> Result<Option<String>, LedgerError> {
    let header = &signed.header;
    if header.height == 0 {
        return Ok(None);
    }
    match now.snapshot().miner(&header.miner).filter(|miner| miner.registered_at < header.height) {
        Some(miner) => Ok(Some(name_of(&miner))),
        None => Ok(now.block(&header.id())?.and_then(|stored| name_when_made(&stored))),
    }
}

fn name_when_made(stored: &StoredBlock) -> Option<String> {
    stored.undo.miner_before(&stored.block.header.header.miner).map(name_of)
}

fn name_of(miner: &Miner) -> String {
    String::from_utf8_lossy(&miner.name).into_owned()
}

fn header_info(
    snapshot: &Snapshot,
    signed: &SignedHeader,
    name: Option<String>,
    on_chain: bool,
) -> HeaderInfo {
    let above = snapshot.tip.height().saturating_sub(signed.header.height);
    let confirmations = if on_chain { above.saturating_add(1) } else { 0 };
    HeaderInfo::new(signed, name, confirmations)
}

fn read_block(
    reader: &Reader,
    selector: BlockSelector,
    verbosity: Verbosity,
) -> Result<Option<BlockInfo>, LedgerError> {
    if is_genesis(reader, selector) {
        let block = Block { header: *reader.genesis().header(), transactions: Vec::new() };
        let header = header_info(&reader.snapshot(), &block.header, None, true);
        return Ok(Some(block_info(header, &block, EMPTY_BLOCK_BYTES, verbosity)));
    }
    let (snapshot, stored) = reader.at_one_moment(|now| {
        let stored = match selector {
            BlockSelector::Height(height) => now.block_at(height.get())?,
            BlockSelector::Hash(hash) => now.block(&hash.into())?,
        };
        Ok((now.snapshot().clone(), stored))
    })?;
    Ok(stored.map(|stored| stored_info(&snapshot, &stored, verbosity)))
}

/// A block as it is told.
pub(super) fn stored_info(snapshot: &Snapshot, stored: &StoredBlock, verbosity: Verbosity) -> BlockInfo {
    let header = header_info(snapshot, &stored.block.header, name_when_made(stored), stored.on_chain);
    block_info(header, &stored.block, stored.bytes.len(), verbosity)
}

fn is_genesis(reader: &Reader, selector: BlockSelector) -> bool {
    match selector {
        BlockSelector::Height(height) => height.get() == 0,
        BlockSelector::Hash(hash) => Hash::from(hash) == reader.genesis().hash(),
    }
}

fn block_info(header: HeaderInfo, block: &Block, size: usize, verbosity: Verbosity) -> BlockInfo {
    let transactions = &block.transactions;
    let transactions = match verbosity {
        Verbosity::Ids => Transactions::Ids(transactions.iter().map(|tx| tx.body.txid().into()).collect()),
        Verbosity::Full => Transactions::Full(transactions.iter().map(TransactionInfo::from).collect()),
        Verbosity::Hex => {
            let hex =
                |tx| TransactionHex::new(codec::encode(tx)).expect("a transaction is as long as one may be");
            Transactions::Hex(transactions.iter().map(hex).collect())
        }
    };
    BlockInfo { header, size: count(size), transactions }
}
