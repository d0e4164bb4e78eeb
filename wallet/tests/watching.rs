//! The laws of watching where a node tells nothing by itself and is asked: each block once, a reorganisation told block by
//! block, an order until it has come to its end. What nodes tell by themselves is watched in scripts/scenarios/tests.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod network;

use std::sync::{Arc, Mutex};

use jsonrpsee::RpcModule;
use jsonrpsee::server::{Server, ServerConfig, ServerHandle};
use jsonrpsee::types::ErrorObjectOwned;
use network::params;
use printsy_consensus::{Hash, Header, PublicKey, SignedHeader};
use printsy_rpc::block::{BlockSelector, GetHeader, HeaderInfo};
use printsy_rpc::chain::{Chain, GetChain, GetParams, MempoolSize, NetworkParams, Sync, SyncState, Tip};
use printsy_rpc::market::{BlockRef, GetTransaction, InBlock, Status, TransactionStatus};
use printsy_rpc::{ErrorData, Hex, Method, RpcError, RpcReason, TransactionHex, parse_params};
use printsy_wallet::answer::Outcome;
use printsy_wallet::session::Session;
use printsy_wallet::watch::{Lines, watch};
use serde_json::Value;

/// A chain of headers told apart by their nonces, and the status of the one order there is.
struct World {
    nonces: Vec<u64>,
    status: TransactionStatus,
}

type Shared = Arc<Mutex<World>>;

fn header(height: usize, nonce: u64) -> HeaderInfo {
    let header = Header {
        version: 1,
        parent: Hash::ZERO,
        transactions_root: Hash::ZERO,
        state_root: Hash::ZERO,
        height: height.try_into().unwrap(),
        time: 0,
        bits: 0x207f_ffff,
        miner: PublicKey::NONE,
        nonce,
    };
    HeaderInfo::new(&SignedHeader { header, signature: [0; 64] }, Some("one".to_owned()), 1)
}

impl World {
    fn header(&self, height: usize) -> HeaderInfo {
        header(height, self.nonces[height])
    }

    fn chain(&self) -> Chain {
        let height = self.nonces.len() - 1;
        let hash = self.header(height).hash;
        let height = height.try_into().unwrap();
        Chain {
            network: "dev-test".to_owned(),
            genesis: Hex([9; 32]),
            tip: Tip { height, hash, time: 0 },
            final_block: BlockRef { height: 0, hash },
            work: Hex([0; 32]),
            difficulty: 1.0,
            sync: Sync { state: SyncState::Synced, height, best: height, rate: None, seconds_left: None },
            mempool: MempoolSize { transactions: 0, bytes: 0 },
            peers: 0,
            peer_id: String::new(),
            listen: vec![],
            version: String::new(),
        }
    }
}

fn answer<M: Method + 'static>(
    module: &mut RpcModule<()>,
    respond: impl Fn(M::Params) -> Result<M::Result, RpcError> + Send + std::marker::Sync + 'static,
) where
    M::Result: Clone + 'static,
{
    let respond = move |raw: Option<&str>| -> Result<Value, ErrorObjectOwned> {
        let result = parse_params::<M>(raw).and_then(&respond).map_err(ErrorObjectOwned::from)?;
        Ok(serde_json::to_value(result).unwrap())
    };
    module.register_method(M::NAME, move |params, (), _| respond(params.as_str())).unwrap();
}

/// A node that tells nothing by itself: it takes calls over this.
async fn node(world: Shared, config: ServerConfig) -> (String, ServerHandle) {
    let mut module = RpcModule::new(());
    let (chain, headers, order) = (world.clone(), world.clone(), world);
    answer::<GetChain>(&mut module, move |_| Ok(chain.lock().unwrap().chain()));
    let mut quick = params();
    quick.target_interval_ms = 1;
    answer::<GetParams>(&mut module, move |_| Ok(NetworkParams::from(&quick)));
    answer::<GetHeader>(&mut module, move |asked| {
        let world = headers.lock().unwrap();
        let height = match asked.block {
            BlockSelector::Height(height) => usize::try_from(height.get()).unwrap(),
            BlockSelector::Hash(_) => panic!("asked by height"),
        };
        let missing = || RpcError::refused("no such block", ErrorData::new(RpcReason::NotFound));
        if height < world.nonces.len() { Ok(world.header(height)) } else { Err(missing()) }
    });
    answer::<GetTransaction>(&mut module, move |asked| {
        let status = order.lock().unwrap().status;
        let in_block = matches!(status, TransactionStatus::Included | TransactionStatus::Final);
        Ok(Status {
            tx_id: asked.tx_id,
            status,
            history: vec![],
            block: in_block.then_some(InBlock { height: 1, hash: Hex([1; 32]), index: 0 }),
            confirmations: 1,
            editions: None,
            transaction: TransactionHex::new(vec![]).unwrap(),
        })
    });
    let server = Server::builder().set_config(config).build("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    (url, server.start(module))
}

/// Keeps what it is told, and lets the world turn after each line.
struct Turning<F: FnMut(usize, &mut World)> {
    told: Vec<String>,
    world: Shared,
    turn: F,
}

impl<F: FnMut(usize, &mut World)> Lines for Turning<F> {
    fn line(&mut self, text: &str, _json: &Value) -> anyhow::Result<()> {
        self.told.push(text.to_owned());
        (self.turn)(self.told.len(), &mut self.world.lock().unwrap());
        Ok(())
    }

    fn note(&mut self, text: &str) {
        panic!("{text}");
    }
}

/// As behind something that passes no WebSockets on, and where one is opened and no subscription is offered.
fn without_news() -> [ServerConfig; 2] {
    [ServerConfig::builder().http_only().build(), ServerConfig::default()]
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_node_is_asked_blocks_are_told_once_and_a_reorganisation_block_by_block() {
    for config in without_news() {
        blocks_are_told_once(config).await;
    }
}

async fn blocks_are_told_once(config: ServerConfig) {
    let world = Arc::new(Mutex::new(World { nonces: vec![0, 1, 2], status: TransactionStatus::Pending }));
    let (url, _server) = node(world.clone(), config).await;
    let turn = |lines: usize, world: &mut World| match lines {
        1 => world.nonces = vec![0, 1, 2, 3, 4],
        3 => world.nonces = vec![0, 1, 2, 30, 40, 50],
        _ => {}
    };
    let mut lines = Turning { told: vec![], world, turn };
    let session = Session::open(&url).await.unwrap();
    let answer = watch(&session, None, &[], Some(8), &mut lines).await.unwrap();
    assert_eq!(answer.outcome, Outcome::Done);
    let short =
        |height: usize, nonce: u64| format!("{height} ({}...)", &header(height, nonce).hash.to_string()[..8]);
    let came = |height, nonce| format!("1970-01-01 00:00:00  block {}, by one", short(height, nonce));
    let gone = |height, nonce| format!("block {} is gone from the chain", short(height, nonce));
    let expected =
        [came(2, 2), came(3, 3), came(4, 4), gone(4, 4), gone(3, 3), came(3, 30), came(4, 40), came(5, 50)];
    assert_eq!(lines.told, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_node_is_asked_an_order_is_watched_until_it_is_final() {
    for (end, outcome) in
        [(TransactionStatus::Final, Outcome::Done), (TransactionStatus::Refused, Outcome::Refused)]
    {
        let world = Arc::new(Mutex::new(World { nonces: vec![0], status: TransactionStatus::Pending }));
        let (url, _server) = node(world.clone(), ServerConfig::default()).await;
        let turn = |lines: usize, world: &mut World| match lines {
            1 => world.status = TransactionStatus::Included,
            _ => world.status = end,
        };
        let mut lines = Turning { told: vec![], world, turn };
        let session = Session::open(&url).await.unwrap();
        let answer = watch(&session, Some(Hex([7; 32])), &[], None, &mut lines).await.unwrap();
        assert_eq!((answer.outcome, lines.told.len()), (outcome, 3), "{:?}", lines.told);
    }
}
