//! What a node is asked about a find: to judge it, and whether its chain holds it.

use printsy_consensus::Hash;
use printsy_rpc::block::{BlockSelector, GetHeader, GetHeaderParams};
use printsy_rpc::mining::{SubmitBlock, SubmitBlockParams};
use printsy_rpc::{ClientError, RpcReason};

use super::link::{Link, clean, sentence};
use crate::desk::Outcome;

/// Whether a node's chain holds a block; not, where it does not say.
pub async fn is_on_chain(link: &Link, block: Hash) -> bool {
    let params = GetHeaderParams { block: BlockSelector::Hash(block.into()) };
    match link.call::<GetHeader>(&params).await {
        Ok(header) => header.confirmations > 0,
        Err(error) => {
            tracing::debug!(hash = %block, why = sentence(&error), "not found on the chain");
            false
        }
    }
}

/// Hands a block in.
pub async fn hand_in(link: &Link, params: &SubmitBlockParams) -> Outcome {
    match link.call::<SubmitBlock>(params).await {
        Ok(mut submission) => {
            submission.rule = submission.rule.map(|rule| clean(&rule));
            submission.reason = submission.reason.map(|reason| clean(&reason));
            Outcome::Judged(submission)
        }
        Err(ClientError::Refused(error)) if error.reason() == Some(RpcReason::UnknownTemplate) => {
            Outcome::Forgotten
        }
        Err(error) => Outcome::NotNow(sentence(&error)),
    }
}
