//! `getBlockTemplate`, `submitBlock`: work for miners elsewhere, and what they found.
//!
//! What a block contains never gives an error, always a verdict; an error says that there was nothing to judge.

use std::sync::Arc;

use printsy_consensus::{Hash, Target};
use printsy_ledger::Template as Made;
use printsy_rpc::RpcError;
use printsy_rpc::market::BlockRef;
use printsy_rpc::mining::{
    GetBlockTemplate, GetBlockTemplateParams, Submission, SubmitBlock, SubmitBlockParams, Template, Verdict,
};

use super::chain::count;
use super::context::{Context, detached};
use super::errors;
use super::market::tip_of;
use super::methods::{Caller, Serve};
use crate::core::{BlockAnswer, BlockVerdict};
use crate::handle::Submission as Judged;

impl Serve for GetBlockTemplate {
    async fn answer(
        context: Arc<Context>,
        params: GetBlockTemplateParams,
        _: Caller,
    ) -> Result<Template, RpcError> {
        let node = context.node.clone();
        let answer = detached(async move { node.next_template(params.miner.0).await }).await?;
        let (id, template) =
            answer.ok_or_else(errors::stopping)?.map_err(|error| errors::no_template(&error))?;
        Ok(told(&context, id, &template))
    }
}

/// A template as it is told.
pub(super) fn told(context: &Context, id: Hash, template: &Made) -> Template {
    let header = &template.header;
    let target = Target::from_bits(header.bits).expect("H4: the bits of a template are canonical");
    Template {
        template_id: id.into(),
        header: header.to_bytes().into(),
        target: target.to_be_bytes().into(),
        height: header.height,
        parent: header.parent.into(),
        transactions: count(template.transactions.len()),
        // H7: a peer takes it once its clock is within this of the header's time.
        not_before: header.time.saturating_sub(context.node.params().max_future_ms),
    }
}

impl Serve for SubmitBlock {
    async fn answer(
        context: Arc<Context>,
        params: SubmitBlockParams,
        _: Caller,
    ) -> Result<Submission, RpcError> {
        let node = context.node.clone();
        let judged = detached(async move {
            match params {
                SubmitBlockParams::Template { template_id, nonce, signature } => {
                    let id: Hash = template_id.into();
                    node.submit_template(&id, nonce.nonce(), signature.0).await
                }
                SubmitBlockParams::Block { block } => node.submit_block(block.into_bytes()).await,
            }
        });
        match judged.await?.map_err(errors::not_submitted)? {
            Judged::Judged(answer) => Ok(submission(*answer)),
            Judged::Unchecked { id, error } => {
                let tip = tip_of(&context.node.reader().snapshot());
                let hash = id.unwrap_or(Hash::ZERO).into();
                Ok(Submission::refused(error.rule(), error.to_string(), hash, tip))
            }
        }
    }
}

fn submission(answer: BlockAnswer) -> Submission {
    let tip = BlockRef { height: answer.tip.height(), hash: answer.tip.id().into() };
    Submission {
        verdict: match answer.verdict {
            BlockVerdict::Accepted => Verdict::Accepted,
            BlockVerdict::Stale => Verdict::Stale,
            BlockVerdict::Duplicate => Verdict::Duplicate,
            BlockVerdict::Held => Verdict::Held,
            BlockVerdict::UnknownParent => Verdict::UnknownParent,
            BlockVerdict::Refused => Verdict::Refused,
        },
        rule: answer.rule.map(|rule| rule.id().to_owned()),
        reason: answer.reason,
        hash: answer.id.into(),
        tip,
    }
}
