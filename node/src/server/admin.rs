//! `generateBlocks`, `setClock`: for tests and demonstrations, on development networks.
//!
//! Blocks are made like any others, with a key the server was given: a template, a search, a signature, a
//! verdict. One call generates at a time, and stops where the caller hangs up or the server stops.

use std::sync::Arc;

use parking_lot::Mutex;
use printsy_consensus::{SecretKey, Target};
use printsy_ledger::Template;
use printsy_miner::{Cancel, Job, Miner, Search};
use printsy_rpc::admin::{Clock, ClockParams, GenerateBlocks, GenerateBlocksParams, Generated, SetClock};
use printsy_rpc::{ErrorData, HashHex, RpcError, RpcReason};

use super::context::{Context, detached, stopped};
use super::errors;
use super::market::tip_of;
use super::methods::{Caller, Serve};
use crate::core::{BlockAnswer, BlockVerdict};
use crate::handle::Submission;

/// How many blocks in a row may come too late before generating gives up: another miner is faster.
const MAX_LOST: usize = 16;
/// How far from the machine's time the clock may be set, ms: ten years. A block's time is a floor for all that
/// follow, so one block at an absurd time would stop the chain for good.
const MAX_CLOCK_OFFSET_MS: u64 = 10 * 365 * 24 * 3_600 * 1_000;
/// What JSON-RPC calls an internal error: here with a sentence, for it is the caller's own network.
const INTERNAL: i32 = -32603;

/// Makes blocks with one key.
#[derive(Debug)]
pub(super) struct Generator {
    key: SecretKey,
    /// Made when first asked for: its threads would idle otherwise.
    miner: Mutex<Option<Arc<Miner>>>,
    turn: tokio::sync::Mutex<()>,
}

impl Generator {
    pub(super) fn new(key: SecretKey) -> Self {
        Self { key, miner: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    fn miner(&self) -> Result<Arc<Miner>, RpcError> {
        let mut miner = self.miner.lock();
        if let Some(miner) = &*miner {
            return Ok(miner.clone());
        }
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let made = Miner::new(threads.min(printsy_miner::MAX_THREADS));
        let made = Arc::new(made.map_err(|error| failed(error.to_string()))?);
        Ok(miner.insert(made).clone())
    }
}

/// Gives a search up when whoever wanted it is gone.
struct GiveUp(Cancel);

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Serve for GenerateBlocks {
    async fn answer(
        context: Arc<Context>,
        params: GenerateBlocksParams,
        _: Caller,
    ) -> Result<Generated, RpcError> {
        allow(&context)?;
        let generator = context.generator.as_ref();
        let generator =
            generator.ok_or_else(|| not_here("this node was given no key to generate blocks with"))?;
        let _turn = generator.turn.lock().await;
        let mut hashes: Vec<HashHex> = Vec::new();
        let mut lost = 0;
        while hashes.len() < usize::try_from(params.count.get()).unwrap_or(usize::MAX) {
            let (answer, template) = generate(&context, generator).await?;
            match answer.verdict {
                BlockVerdict::Accepted => {
                    hashes.push(answer.id.into());
                    lost = 0;
                }
                BlockVerdict::Stale | BlockVerdict::Duplicate if lost < MAX_LOST => lost += 1,
                BlockVerdict::Held => return Err(held(&context, &template, hashes.len())),
                verdict => {
                    let reason = answer.reason.unwrap_or_default();
                    let done = hashes.len();
                    return Err(failed(format!(
                        "after {done} blocks the next one was {verdict:?}: {reason}"
                    )));
                }
            }
        }
        Ok(Generated { hashes, tip: tip_of(&context.node.reader().snapshot()) })
    }
}

/// One block: a template, a search, a verdict.
async fn generate(
    context: &Arc<Context>,
    generator: &Generator,
) -> Result<(BlockAnswer, Arc<Template>), RpcError> {
    let (node, public) = (context.node.clone(), generator.key.public_key());
    let answer = detached(async move { node.whole_template(public).await }).await?;
    let (_, template) = answer.ok_or_else(errors::stopping)?.map_err(|error| errors::no_template(&error))?;
    let template = Arc::new(template);
    let nonce = search(context, generator.miner()?, &template).await?;
    let (node, key, found) = (context.node.clone(), generator.key.clone(), template.clone());
    let judged = detached(async move { node.submit_own(&found, nonce, &key).await }).await?;
    match judged.map_err(errors::not_submitted)? {
        Submission::Judged(answer) => Ok((*answer, template)),
        Submission::Unchecked { error, .. } => Err(failed(format!("the block made breaks a rule: {error}"))),
    }
}

async fn search(context: &Arc<Context>, miner: Arc<Miner>, template: &Template) -> Result<u64, RpcError> {
    let target = Target::from_bits(template.header.bits).expect("H4: the bits of a template are canonical");
    let job = Job::new(&template.header, target);
    let cancel = Cancel::new();
    let _give_up = GiveUp(cancel.clone());
    let mut stopping = context.stopping.clone();
    let search = tokio::task::spawn_blocking(move || miner.search(&job, 0, &cancel));
    let ended = tokio::select! {
        ended = search => ended.map_err(|error| failed(error.to_string()))?,
        () = stopped(&mut stopping) => Search::Cancelled,
    };
    match ended {
        Search::Found { nonce } => Ok(nonce),
        Search::Exhausted => Err(failed("no nonce does the work of this block".to_owned())),
        Search::Cancelled => Err(errors::stopping()),
    }
}

impl Serve for SetClock {
    async fn answer(context: Arc<Context>, params: ClockParams, _: Caller) -> Result<Clock, RpcError> {
        allow(&context)?;
        let ms = params.ms.get();
        // A clock that nobody has set.
        let machine_ms = crate::clock::Clock::default().now();
        if ms.abs_diff(machine_ms) > MAX_CLOCK_OFFSET_MS {
            return Err(RpcError::invalid_params(format!(
                "params of setClock: expected a time within ten years of this machine's, got {ms} ms"
            )));
        }
        context.node.clock().set(ms);
        tracing::warn!(ms, "the clock was set by a caller");
        Ok(Clock { ms: context.node.clock().now() })
    }
}

/// On a development network; who may is asked before.
fn allow(context: &Context) -> Result<(), RpcError> {
    if context.node.params().is_development() {
        return Ok(());
    }
    Err(not_here("this works on development networks alone, whose names begin with dev-"))
}

fn not_here(sentence: &str) -> RpcError {
    RpcError::refused(sentence, ErrorData::new(RpcReason::Unauthorized))
}

fn failed(message: String) -> RpcError {
    RpcError { code: INTERNAL, message, data: None }
}

/// The block's time is ahead of the node's clock by more than the network allows: blocks came too fast.
fn held(context: &Context, template: &Template, done: usize) -> RpcError {
    let earliest = template.header.time.saturating_sub(context.node.params().max_future_ms);
    let mut data = ErrorData::new(RpcReason::RateLimited).rule(printsy_consensus::Rule::H7.id());
    data.retry_after_ms = Some(earliest.saturating_sub(context.node.clock().now()));
    let sentence = format!("after {done} blocks the next one's time is not yet here; wait, or set the clock");
    RpcError::refused(sentence, data)
}
