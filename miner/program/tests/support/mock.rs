//! A node that says what a test wants it to say, over HTTP and WebSocket.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jsonrpsee::core::SubscriptionError;
use jsonrpsee::server::{PendingSubscriptionSink, RpcModule, Server, ServerConfig, ServerHandle};
use jsonrpsee::types::ErrorObjectOwned;
use printsy_consensus::{
    Genesis, Hash, Header, Params, PublicKey, SecretKey, SignedHeader, Target, VERSION, transactions_root,
};
use printsy_rpc::block::{GetHeader, HeaderInfo};
use printsy_rpc::chain::{
    Chain, GetChain, GetParams, MempoolSize, NetworkParams, Sync as SyncInfo, SyncState, Tip,
};
use printsy_rpc::market::BlockRef;
use printsy_rpc::mining::{GetBlockTemplate, Submission, SubmitBlock, SubmitBlockParams, Template, Verdict};
use printsy_rpc::subscription::SubscribeBlockTemplate;
use printsy_rpc::{ErrorData, Hex, Method, RpcError, RpcReason, Subscription, parse_params};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::network::params;

/// A target that one in two nonces meets, and one that none does in a test's time.
pub const EASY: u32 = 0x207f_ffff;
pub const HARD: u32 = 0x0700_ffff;

pub fn miner_key() -> PublicKey {
    SecretKey::development("miner-1").public_key()
}

/// What a node says, to be changed while it runs.
#[derive(Clone)]
pub struct Says {
    /// The template: any JSON; or why there is none.
    pub template: Result<Value, RpcError>,
    /// What becomes of blocks.
    pub verdict: Result<Verdict, RpcError>,
    /// Whether its chain holds whatever block it is asked about.
    pub is_on_chain: bool,
    /// What the parameters of its network are.
    pub params: NetworkParams,
    /// What it calls its network.
    pub genesis: Hash,
}

impl Says {
    /// Nothing yet, and all blocks accepted.
    pub fn nothing() -> Self {
        let genesis = Genesis::new(params()).unwrap();
        Self {
            template: Err(RpcError::refused("this node is syncing", ErrorData::new(RpcReason::Syncing))),
            verdict: Ok(Verdict::Accepted),
            is_on_chain: false,
            params: NetworkParams::from(genesis.params()),
            genesis: genesis.hash(),
        }
    }

    /// Nothing yet, of a network whose blocks are an hour apart at the least.
    pub fn slow_network() -> Self {
        let hour = 3_600_000;
        let params = Params {
            min_interval_ms: hour,
            target_interval_ms: hour,
            half_life_ms: 60 * hour,
            max_future_ms: hour,
            ..params()
        };
        let genesis = Genesis::new(params).unwrap();
        Self { params: NetworkParams::from(genesis.params()), genesis: genesis.hash(), ..Self::nothing() }
    }

    /// A template at a height; `body` 0 is an empty block.
    pub fn template(height: u64, bits: u32, body: u8) -> Self {
        Self { template: Ok(json!(template(&header(height, bits, body)))), ..Self::nothing() }
    }
}

/// The header of a block to be: its parent is a hash of its height.
pub fn header(height: u64, bits: u32, body: u8) -> Header {
    let root = if body == 0 { transactions_root(&[]) } else { Hash([body; 32]) };
    Header {
        version: VERSION,
        // High ids, so that no find is taken for one that beats the tip.
        parent: Hash([u8::try_from(height).unwrap(); 32]),
        transactions_root: root,
        state_root: Hash([9; 32]),
        height,
        // Long ago: its block has no slot to wait for.
        time: 1_000,
        bits,
        miner: miner_key(),
        nonce: 0,
    }
}

pub fn template(header: &Header) -> Template {
    Template {
        template_id: header.id().into(),
        header: header.to_bytes().into(),
        target: Target::from_bits(header.bits).map_or(Hex([0; 32]), |target| target.to_be_bytes().into()),
        height: header.height,
        parent: header.parent.into(),
        transactions: 1,
        not_before: 0,
    }
}

/// How a node tells of new templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// By itself, over a WebSocket.
    Pushes,
    /// Over a WebSocket, but only when asked.
    Answers,
    /// Over a WebSocket, and to whoever subscribes it says nothing at all, not even no.
    Nothing,
    /// By HTTP alone.
    Http,
}

/// The node.
pub struct Mock {
    pub url: String,
    says: watch::Sender<Says>,
    submitted: mpsc::UnboundedReceiver<SubmitBlockParams>,
    asked: Arc<AtomicUsize>,
    server: ServerHandle,
}

struct Inside {
    says: watch::Receiver<Says>,
    submitted: mpsc::UnboundedSender<SubmitBlockParams>,
    asked: Arc<AtomicUsize>,
}

impl Mock {
    pub async fn start(tells: Tells, says: Says) -> Self {
        Self::start_at(tells, says, "127.0.0.1:0").await
    }

    /// At an address that is free again.
    pub async fn start_at(tells: Tells, says: Says, address: &str) -> Self {
        let (sender, receiver) = watch::channel(says);
        let (submitted_to, submitted) = mpsc::unbounded_channel();
        let asked = Arc::new(AtomicUsize::new(0));
        let inside = Inside { says: receiver, submitted: submitted_to, asked: asked.clone() };
        let config = ServerConfig::builder();
        let config = if tells == Tells::Http { config.http_only() } else { config };
        let server = Server::builder().set_config(config.build()).build(address).await.unwrap();
        let url = format!("http://{}", server.local_addr().unwrap());
        let server = server.start(module(inside, tells));
        Self { url, says: sender, submitted, asked, server }
    }

    pub fn say(&self, says: Says) {
        self.says.send_replace(says);
    }

    /// The next block that was handed in.
    pub async fn submitted(&mut self) -> SubmitBlockParams {
        tokio::time::timeout(super::PATIENCE, self.submitted.recv()).await.expect("a block in time").unwrap()
    }

    /// Whether a block was handed in that was not taken yet.
    pub fn has_submitted(&self) -> bool {
        !self.submitted.is_empty()
    }

    /// How many times a template was asked for.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Ends it: its address is free once this returns.
    pub async fn stop(self) -> String {
        self.server.stop().unwrap();
        self.server.stopped().await;
        self.url.trim_start_matches("http://").to_owned()
    }
}

fn module(inside: Inside, tells: Tells) -> RpcModule<Inside> {
    let mut module = RpcModule::new(inside);
    answer::<GetChain>(&mut module, |inside, _| Ok(json!(chain(&inside.says.borrow()))));
    answer::<GetParams>(&mut module, |inside, _| Ok(json!(inside.says.borrow().params)));
    answer::<GetBlockTemplate>(&mut module, |inside, _| {
        inside.asked.fetch_add(1, Ordering::Relaxed);
        inside.says.borrow().template.clone()
    });
    answer::<SubmitBlock>(&mut module, |inside, params| {
        let _ = inside.submitted.send(params);
        let verdict = inside.says.borrow().verdict.clone()?;
        let tip = BlockRef { height: 0, hash: Hex([0; 32]) };
        let mut submission = Submission::new(verdict, Hex([0; 32]), tip);
        if verdict == Verdict::Refused {
            submission.rule = Some("B6".to_owned());
            submission.reason = Some("the state root\u{1b}[2J is another".to_owned());
        }
        Ok(json!(submission))
    });
    answer::<GetHeader>(&mut module, |inside, _| {
        let signed = SignedHeader { header: header(1, EASY, 1), signature: [0; 64] };
        let confirmations = u64::from(inside.says.borrow().is_on_chain);
        Ok(json!(HeaderInfo::new(&signed, None, confirmations)))
    });
    match tells {
        Tells::Pushes => push(&mut module),
        Tells::Nothing => fall_silent(&mut module),
        Tells::Answers | Tells::Http => {}
    }
    module
}

fn fall_silent(module: &mut RpcModule<Inside>) {
    let names = SubscribeBlockTemplate::NAMES;
    let never = |_, pending, _, _| async move {
        std::future::pending::<()>().await;
        drop::<PendingSubscriptionSink>(pending);
        Ok::<(), SubscriptionError>(())
    };
    module.register_subscription(names.subscribe, names.notification, names.unsubscribe, never).unwrap();
}

fn push(module: &mut RpcModule<Inside>) {
    let names = SubscribeBlockTemplate::NAMES;
    module
        .register_subscription(
            names.subscribe,
            names.notification,
            names.unsubscribe,
            |_, pending, inside, _| async move {
                let mut says = inside.says.clone();
                let first = says.borrow().template.clone();
                if let Err(refusal) = first {
                    pending.reject(ErrorObjectOwned::from(refusal)).await;
                    return Ok(());
                }
                let sink = pending.accept().await?;
                loop {
                    let template = says.borrow_and_update().template.clone();
                    if let Ok(template) = template {
                        sink.send(to_raw_value(&template).unwrap()).await?;
                    }
                    tokio::select! {
                        changed = says.changed() => if changed.is_err() { return Ok(()) },
                        () = sink.closed() => return Ok::<(), SubscriptionError>(()),
                    }
                }
            },
        )
        .unwrap();
}

fn answer<M: Method + 'static>(
    module: &mut RpcModule<Inside>,
    respond: impl Fn(&Inside, M::Params) -> Result<Value, RpcError> + Send + Sync + 'static,
) {
    module
        .register_method(M::NAME, move |params, inside, _| {
            let params = parse_params::<M>(params.as_str()).map_err(ErrorObjectOwned::from)?;
            respond(inside, params).map_err(ErrorObjectOwned::from)
        })
        .unwrap();
}

fn chain(says: &Says) -> Chain {
    Chain {
        network: says.params.network.clone(),
        genesis: says.genesis.into(),
        tip: Tip { height: 0, hash: says.genesis.into(), time: 0 },
        final_block: BlockRef { height: 0, hash: says.genesis.into() },
        work: Hex([0; 32]),
        difficulty: 1.0,
        sync: SyncInfo { state: SyncState::Synced, height: 0, best: 0, rate: None, seconds_left: None },
        mempool: MempoolSize { transactions: 0, bytes: 0 },
        peers: 0,
        peer_id: String::new(),
        listen: vec![],
        version: "mock".to_owned(),
    }
}
