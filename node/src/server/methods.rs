//! How a method is served: its params read strictly, its answer or refusal counted, a panic contained.
//!
//! [`Serve`] is what each method's file implements; [`register`] is the one way in which any of them reaches
//! jsonrpsee, and [`all`] the list. A panic in a handler costs its caller the answer and nobody else: handlers
//! change no state but through the core, which lives on another thread.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use jsonrpsee::RpcModule;
use jsonrpsee::server::{Extensions, RegisterMethodError};
use jsonrpsee::types::{ErrorObjectOwned, Params};
use printsy_rpc::admin::{AddPeer, Ban, GenerateBlocks, ListBanned, SetClock, SetLogLevel, Stop, Unban};
use printsy_rpc::block::{GetBlock, GetHeader};
use printsy_rpc::chain::{GetChain, GetMempool, GetMiners, GetParams, GetPeers, GetSupply};
use printsy_rpc::history::{GetHistory, GetHoldings, GetOwners, GetReviews};
use printsy_rpc::market::{
    ExecuteTransaction, ExecuteTransactions, GetAccount, GetEdition, GetTransaction, IsAvailable,
    ValidateTransaction,
};
use printsy_rpc::mining::{GetBlockTemplate, SubmitBlock};
use printsy_rpc::openrpc::Discover;
use printsy_rpc::proof::{GetInclusionProof, GetProof};
use printsy_rpc::{Method, RpcError, parse_params};
use serde_json::value::{RawValue, to_raw_value};

use super::access::Visitor;
use super::context::{Context, detached};
use super::gate::InBatch;

/// Who calls, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    /// From where, and what it shows.
    pub(super) visitor: Visitor,
    /// Whether the call is one of a batch.
    pub(super) in_batch: bool,
}

impl Caller {
    fn of(extensions: &Extensions) -> Self {
        Self { visitor: Visitor::of_call(extensions), in_batch: extensions.get::<InBatch>().is_some() }
    }
}

/// A method this server answers.
pub(super) trait Serve:
    Method<Params: Send + 'static, Result: Clone + Send + 'static> + 'static
{
    /// Whether an answer may hold many blocks while it is made: so few of these are made at once.
    const READS_MUCH: bool = false;

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
    register::<GetOwners>(&mut module)?;
    register::<GetAccount>(&mut module)?;
    register::<GetHoldings>(&mut module)?;
    register::<GetHistory>(&mut module)?;
    register::<GetReviews>(&mut module)?;
    register::<GetProof>(&mut module)?;
    register::<GetInclusionProof>(&mut module)?;
    register::<GetChain>(&mut module)?;
    register::<GetHeader>(&mut module)?;
    register::<GetBlock>(&mut module)?;
    register::<GetParams>(&mut module)?;
    register::<GetPeers>(&mut module)?;
    register::<GetMiners>(&mut module)?;
    register::<GetMempool>(&mut module)?;
    register::<GetSupply>(&mut module)?;
    register::<Discover>(&mut module)?;
    register::<GetBlockTemplate>(&mut module)?;
    register::<SubmitBlock>(&mut module)?;
    register::<AddPeer>(&mut module)?;
    register::<Ban>(&mut module)?;
    register::<Unban>(&mut module)?;
    register::<ListBanned>(&mut module)?;
    register::<Stop>(&mut module)?;
    register::<SetLogLevel>(&mut module)?;
    register::<GenerateBlocks>(&mut module)?;
    register::<SetClock>(&mut module)?;
    Ok(module)
}

fn register<M: Serve>(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    let answer = |params: Params<'static>, context: Arc<Context>, extensions: Extensions| async move {
        let answer = run::<M>(params, context.clone(), Caller::of(&extensions)).await;
        context.node.metrics().rpc_call(answer.is_err());
        answer.map_err(ErrorObjectOwned::from)
    };
    module.register_async_method(M::NAME, answer).map(drop)
}

async fn run<M: Serve>(
    params: Params<'static>,
    context: Arc<Context>,
    caller: Caller,
) -> Result<Box<RawValue>, RpcError> {
    let answer = async {
        context.access.admit(&caller.visitor, M::SCOPE)?;
        let read = parse_params::<M>(params.as_str())?;
        // The text is as large as the body: it is not kept while the call waits.
        drop(params);
        if !M::READS_MUCH {
            return written::<M>(context, read, caller).await;
        }
        let place = context.large_reads.clone().acquire_owned().await.expect("the semaphore is never closed");
        // Blocks that are being read are read to the end where the caller hangs up: so they keep their place until then,
        // and until the answer is written, for what it is made from is larger.
        detached(async move {
            let _place = place;
            written::<M>(context, read, caller).await
        })
        .await?
    };
    match AssertUnwindSafe(answer).catch_unwind().await {
        Ok(answer) => answer,
        Err(_) => {
            tracing::error!(method = M::NAME, "a handler panicked");
            Err(RpcError::internal())
        }
    }
}

/// The answer, written here at once: what jsonrpsee writes through its bound costs it a call for each piece.
async fn written<M: Serve>(
    context: Arc<Context>,
    params: M::Params,
    caller: Caller,
) -> Result<Box<RawValue>, RpcError> {
    let answer = M::answer(context, params, caller).await?;
    Ok(to_raw_value(&answer).expect("an answer is always JSON"))
}

#[cfg(test)]
mod tests {
    use parking_lot::{Condvar, Mutex};
    use printsy_rpc::{METHODS, NoParams, RpcReason, Scope};
    use schemars::JsonSchema;
    use tokio::sync::watch;

    use super::*;
    use crate::OnConflict;
    use crate::clock::Clock;
    use crate::node::{Node, NodeOptions};
    use crate::server::ServerOptions;
    use crate::server::access::Access;
    use crate::server::limits::{LARGE_READS_AT_ONCE, READS_AT_ONCE};
    use crate::storage::Storage;
    use crate::tokens::Tokens;

    /// A method whose handler panics.
    #[derive(JsonSchema)]
    struct Panics;

    impl Method for Panics {
        const NAME: &'static str = "panics";
        const SCOPE: Scope = Scope::Read;
        const ERRORS: &'static [RpcReason] = &[];
        type Params = NoParams;
        type Result = ();
    }

    impl Serve for Panics {
        async fn answer(_: Arc<Context>, _: NoParams, _: Caller) -> Result<(), RpcError> {
            panic!("on purpose")
        }
    }

    /// A method that reads until it is told to end.
    #[derive(JsonSchema)]
    struct ReadsOn;

    /// How many read, and whether they are told to end.
    static READING: (Mutex<(usize, bool)>, Condvar) = (Mutex::new((0, false)), Condvar::new());

    impl Method for ReadsOn {
        const NAME: &'static str = "readsOn";
        const SCOPE: Scope = Scope::Read;
        const ERRORS: &'static [RpcReason] = &[];
        type Params = NoParams;
        type Result = ();
    }

    impl Serve for ReadsOn {
        const READS_MUCH: bool = true;

        async fn answer(context: Arc<Context>, _: NoParams, _: Caller) -> Result<(), RpcError> {
            let read = |_: &printsy_ledger::Reader| {
                let (state, changed) = &READING;
                let mut state = state.lock();
                state.0 += 1;
                changed.notify_all();
                changed.wait_while(&mut state, |(_, ends)| !*ends);
                Ok(())
            };
            context.read(read).await
        }
    }

    async fn context() -> (Node, Arc<Context>) {
        let genesis = Arc::new(crate::dev::genesis());
        let options = ServerOptions::new(([127, 0, 0, 1], 0).into(), genesis.params());
        let node = NodeOptions {
            genesis,
            storage: Storage::Memory,
            network: None,
            mining: None,
            server: None,
            clock: Clock::default(),
            guard: None,
            on_conflict: OnConflict::Stay,
        };
        let node = Node::start(node).await.unwrap();
        let access = Arc::new(Access::new(&options.access, Tokens::default(), true));
        let context = Context::new(node.handle().clone(), &options, access, watch::channel(false).1);
        (node, Arc::new(context))
    }

    #[tokio::test]
    async fn the_methods_are_those_of_the_interface() {
        let (node, context) = context().await;
        let module = all(context).unwrap();
        let mut served: Vec<&str> = module.method_names().collect();
        let mut promised = METHODS.map(|method| method.name).to_vec();
        served.sort_unstable();
        promised.sort_unstable();
        assert_eq!(served, promised);
        node.stop().await.unwrap();
    }

    #[tokio::test]
    async fn a_read_keeps_its_place_though_its_caller_hangs_up() {
        let (node, context) = context().await;
        let mut module = all(context.clone()).unwrap();
        register::<ReadsOn>(&mut module).unwrap();
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..2 * LARGE_READS_AT_ONCE {
            let module = module.clone();
            let call = r#"{"jsonrpc":"2.0","id":1,"method":"readsOn"}"#;
            callers.spawn(async move { module.raw_json_request(call, 1).await.is_ok() });
        }
        let all_read = || {
            let (state, changed) = &READING;
            changed.wait_while(&mut state.lock(), |(reading, _)| *reading < LARGE_READS_AT_ONCE);
        };
        tokio::task::spawn_blocking(all_read).await.unwrap();
        callers.shutdown().await;
        assert_eq!(context.large_reads.available_permits(), 0, "they are read on");
        let reads = READS_AT_ONCE - LARGE_READS_AT_ONCE;
        assert_eq!(context.reads_left(), reads, "no other has begun");
        READING.0.lock().1 = true;
        READING.1.notify_all();
        let all = u32::try_from(LARGE_READS_AT_ONCE).unwrap();
        drop(context.large_reads.acquire_many(all).await.unwrap());
        node.stop().await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_costs_its_caller_the_answer_and_nobody_else() {
        let (node, context) = context().await;
        let mut module = all(context).unwrap();
        register::<Panics>(&mut module).unwrap();
        for _ in 0..2 {
            let call = r#"{"jsonrpc":"2.0","id":1,"method":"panics"}"#;
            let (answer, _) = module.raw_json_request(call, 1).await.unwrap();
            assert!(answer.get().contains("-32603"), "{answer}");
            let call = r#"{"jsonrpc":"2.0","id":1,"method":"getChain"}"#;
            let (answer, _) = module.raw_json_request(call, 1).await.unwrap();
            assert!(answer.get().contains("dev-solo"), "{answer}");
        }
        node.stop().await.unwrap();
    }
}
