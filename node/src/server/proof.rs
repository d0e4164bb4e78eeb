//! `getProof`, `getInclusionProof`: what the ledger proves, told with what it takes to check it alone.
//!
//! A proof of the past may read many blocks, so that only a few are made at once; whoever comes then waits.

use std::sync::Arc;

use printsy_consensus::{Hash, StateKey};
use printsy_ledger::{ProveError, ProvenEditions, ProvenHeader, ProvenInclusion, ProvenLine, Reader};
use printsy_rpc::chain::NetworkParams;
use printsy_rpc::market::{GetTransactionParams, ImageParams};
use printsy_rpc::proof::{
    EditionProof, EditionsProof, GetInclusionProof, GetProof, GetProofParams, InclusionProof, ProofSubject,
    ProvenBlock, StatePath, StateProof, StepInfo,
};
use printsy_rpc::text::Height;
use printsy_rpc::{ErrorData, HashHex, RpcError, RpcReason, TransactionHex};

use super::context::Context;
use super::errors;
use super::market::known_image;
use super::methods::{Caller, Serve};

impl Serve for GetProof {
    async fn answer(
        context: Arc<Context>,
        params: GetProofParams,
        _: Caller,
    ) -> Result<StateProof, RpcError> {
        let key = match params.of {
            ProofSubject::Image(image) => StateKey::Edition(known_image(&context, ImageParams { image })?),
            ProofSubject::Account(account) => StateKey::Account(account.0),
            ProofSubject::Miner(miner) => StateKey::Miner(miner.0),
        };
        let height = params.height.map(Height::get);
        let proven = made(&context, move |reader| reader.prove_state(&key, height)).await?;
        let (genesis, network) = network(&context);
        let block = block(&proven.header);
        Ok(StateProof { genesis, network, block, of: params.of, proof: StatePath::from(&proven.proof) })
    }
}

impl Serve for GetInclusionProof {
    async fn answer(
        context: Arc<Context>,
        params: GetTransactionParams,
        _: Caller,
    ) -> Result<InclusionProof, RpcError> {
        let txid = Hash::from(params.tx_id);
        let proven = made(&context, move |reader| reader.prove_inclusion(&txid)).await?;
        let ProvenInclusion { header, transaction, index, count, branch, editions: numbers } = proven;
        let (genesis, network) = network(&context);
        Ok(InclusionProof {
            genesis,
            network,
            block: block(&header),
            transaction: TransactionHex::from(&transaction),
            index,
            count,
            branch: branch.into_iter().map(HashHex::from).collect(),
            editions: numbers.as_ref().map(editions),
        })
    }
}

/// Makes a proof off the async threads, once there is a place for it.
async fn made<T: Send + 'static>(
    context: &Arc<Context>,
    prove: impl FnOnce(&Reader) -> Result<T, ProveError> + Send + 'static,
) -> Result<T, RpcError> {
    let place = context.proofs.clone().acquire_owned().await.expect("the semaphore is never closed");
    let proven = context.read(move |reader| {
        // The work goes on where its caller hangs up: it keeps its place until it is done.
        let _place = place;
        match prove(reader) {
            Err(ProveError::Ledger(error)) => Err(error),
            other => Ok(other),
        }
    });
    proven.await?.map_err(|error| not_proven(&error))
}

fn not_proven(error: &ProveError) -> RpcError {
    let mut data = ErrorData::new(RpcReason::NotFound);
    if let ProveError::OutOfReach { height, lowest, tip } = error {
        data.height = Some(*height);
        (data.lowest_height, data.highest_height) = (Some(*lowest), Some(*tip));
    }
    if let ProveError::TooMuchSince { image } = error {
        data.image = Some(*image);
    }
    match error {
        // Its own words are the ledger's; a caller is told what any method would say.
        ProveError::Ledger(_) => errors::storage("this node cannot read what was asked for"),
        other => RpcError::refused(other.to_string(), data),
    }
}

fn network(context: &Context) -> (HashHex, NetworkParams) {
    let genesis = context.node.reader().genesis();
    (genesis.hash().into(), NetworkParams::from(genesis.params()))
}

fn block(header: &ProvenHeader) -> ProvenBlock {
    ProvenBlock::new(&header.signed, header.registration.as_ref())
}

fn editions(proven: &ProvenEditions) -> EditionsProof {
    EditionsProof { block: block(&proven.header), lines: proven.lines.iter().map(line).collect() }
}

fn line(proven: &ProvenLine) -> EditionProof {
    EditionProof {
        image: proven.image,
        from: proven.from,
        to: proven.to,
        register: proven.register.into(),
        since: proven.since.iter().map(StepInfo::from).collect(),
        proof: StatePath::from(&proven.proof),
    }
}
