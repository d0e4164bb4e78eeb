//! How a method is served: its params read strictly, its answer or refusal counted, a panic contained.
//!
//! [`Serve`] is what each method's file implements; [`register`] is the one way in which any of them reaches
//! jsonrpsee, and [`all`] the list. A panic in a handler costs its caller the answer and nobody else: handlers
//! change no state but through the core, which lives on another thread.

use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use jsonrpsee::RpcModule;
use jsonrpsee::server::{Extensions, RegisterMethodError};
use jsonrpsee::types::{ErrorObjectOwned, Params};
use printsy_rpc::admin::{GenerateBlocks, SetClock};
use printsy_rpc::block::{GetBlock, GetHeader};
use printsy_rpc::chain::{GetChain, GetMempool, GetMiners, GetParams, GetPeers};
use printsy_rpc::market::{
    ExecuteTransaction, ExecuteTransactions, GetAccount, GetEdition, GetTransaction, IsAvailable,
    ValidateTransaction,
};
use printsy_rpc::mining::{GetBlockTemplate, SubmitBlock};
use printsy_rpc::{Method, RpcError, parse_params};

use super::context::Context;
use super::gate::InBatch;
use super::listen::Remote;

/// Who calls, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    /// From where; unknown only within tests.
    pub(super) remote: Option<SocketAddr>,
    /// Whether the call is one of a batch.
    pub(super) in_batch: bool,
}

impl Caller {
    fn of(extensions: &Extensions) -> Self {
        Self {
            remote: extensions.get::<Remote>().map(|remote| remote.0),
            in_batch: extensions.get::<InBatch>().is_some(),
        }
    }
}

/// A method this server answers.
pub(super) trait Serve: Method<Params: Send, Result: Clone + Send + 'static> + 'static {
    /// The answer.
    fn answer(
        context: Arc<Context>,
        params: Self::Params,
        caller: Caller,
    ) -> impl Future<Output = Result<Self::Result, RpcError>> + Send;
}

/// Every method, ready to be called.
pub(super) fn all(context: Arc<Context>) -> Result<RpcModule<Context>, RegisterMethodError> {
    let mut module = RpcModule::from_arc(context);
    register::<IsAvailable>(&mut module)?;
    register::<ExecuteTransaction>(&mut module)?;
    register::<ExecuteTransactions>(&mut module)?;
    register::<ValidateTransaction>(&mut module)?;
    register::<GetTransaction>(&mut module)?;
    register::<GetEdition>(&mut module)?;
    register::<GetAccount>(&mut module)?;
    register::<GetChain>(&mut module)?;
    register::<GetHeader>(&mut module)?;
    register::<GetBlock>(&mut module)?;
    register::<GetParams>(&mut module)?;
    register::<GetPeers>(&mut module)?;
    register::<GetMiners>(&mut module)?;
    register::<GetMempool>(&mut module)?;
    register::<GetBlockTemplate>(&mut module)?;
    register::<SubmitBlock>(&mut module)?;
    register::<GenerateBlocks>(&mut module)?;
    register::<SetClock>(&mut module)?;
    Ok(module)
}

fn register<M: Serve>(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    let answer = |params: Params<'static>, context: Arc<Context>, extensions: Extensions| async move {
        let metrics = context.node.metrics().clone();
        let answer = run::<M>(params, context, Caller::of(&extensions)).await;
        metrics.rpc_call(answer.is_err());
        answer.map_err(ErrorObjectOwned::from)
    };
    module.register_async_method(M::NAME, answer).map(drop)
}

async fn run<M: Serve>(
    params: Params<'static>,
    context: Arc<Context>,
    caller: Caller,
) -> Result<M::Result, RpcError> {
    let answer = async {
        let read = parse_params::<M>(params.as_str())?;
        // The text is as large as the body: it is not kept while the call waits.
        drop(params);
        M::answer(context, read, caller).await
    };
    match AssertUnwindSafe(answer).catch_unwind().await {
        Ok(answer) => answer,
        Err(_) => {
            tracing::error!(method = M::NAME, "a handler panicked");
            Err(RpcError::internal())
        }
    }
}
