//! The blocks of a node's chain, as it serves them: ids, and whole blocks put together from their parts.
//!
//! Fetched by height over JSON-RPC, and not judged here: that is the [`replica`](crate::replica)'s affair.

use anyhow::{Context, Result, bail};
use printsy_consensus::EMPTY_BLOCK_BYTES;
use printsy_rpc::block::{
    BlockSelector, GetBlock, GetBlockParams, GetHeader, GetHeaderParams, Transactions, Verbosity,
};
use printsy_rpc::{Client, ClientError, HashHex, RpcReason};

/// The id of a node's block at `height`; `None` where it has none.
///
/// # Errors
/// If it does not answer.
pub async fn header_id(node: &Client, height: u64) -> Result<Option<HashHex>> {
    let height = height.try_into().map_err(anyhow::Error::msg)?;
    match node.call::<GetHeader>(&GetHeaderParams { block: BlockSelector::Height(height) }).await {
        Ok(header) => Ok(Some(header.hash)),
        Err(ClientError::Refused(error)) if error.reason() == Some(RpcReason::NotFound) => Ok(None),
        Err(error) => Err(error).with_context(|| node.url().to_owned()),
    }
}

/// The bytes of a node's block at `height`; `None` where it has none.
///
/// # Errors
/// If it does not answer, or not with a block.
pub async fn block_bytes(node: &Client, height: u64) -> Result<Option<Vec<u8>>> {
    let height = height.try_into().map_err(anyhow::Error::msg)?;
    let params = GetBlockParams { block: BlockSelector::Height(height), verbosity: Some(Verbosity::Hex) };
    let block = match node.call::<GetBlock>(&params).await {
        Ok(block) => block,
        Err(ClientError::Refused(error)) if error.reason() == Some(RpcReason::NotFound) => return Ok(None),
        Err(error) => return Err(error).with_context(|| node.url().to_owned()),
    };
    let transactions = match block.transactions {
        Transactions::Hex(transactions) => transactions,
        // An empty list reads as ids.
        Transactions::Ids(ids) if ids.is_empty() => Vec::new(),
        other => bail!("expected a block's transactions in hex, got {other:?}"),
    };
    let mut bytes = Vec::with_capacity(EMPTY_BLOCK_BYTES);
    bytes.extend_from_slice(&block.header.hex.0);
    bytes.extend_from_slice(&block.header.signature.0);
    bytes.extend_from_slice(&u32::try_from(transactions.len())?.to_le_bytes());
    transactions.iter().for_each(|transaction| bytes.extend_from_slice(transaction.as_bytes()));
    Ok(Some(bytes))
}
