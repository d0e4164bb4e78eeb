//! The session's law: what a node tells arrives as it was sent; whatever goes wrong is one sentence and an end.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::time::Duration;

use jsonrpsee::RpcModule;
use jsonrpsee::server::{Server, ServerConfig, ServerHandle};
use jsonrpsee::types::ErrorObjectOwned;
use printsy_consensus::SecretKey;
use printsy_rpc::mining::{GetBlockTemplate, GetBlockTemplateParams, Template};
use printsy_rpc::subscription::SubscribeBlockTemplate;
use printsy_rpc::{Address, ClientError, ErrorData, Hex, Method, RpcError, RpcReason, Session, Subscription};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use tokio::time::timeout;

/// Longer than anything takes, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);
const MAX_BYTES: u32 = 64 << 10;

fn template(height: u64) -> Template {
    Template {
        template_id: Hex([1; 32]),
        header: Hex([2; 160]),
        target: Hex([3; 32]),
        height,
        parent: Hex([4; 32]),
        transactions: 0,
        not_before: 0,
    }
}

fn params() -> GetBlockTemplateParams {
    GetBlockTemplateParams { miner: Address(SecretKey::development("miner-1").public_key()) }
}

/// A node that tells `items`, or refuses the subscription where there are none, and refuses `getBlockTemplate`.
async fn node(items: Vec<Value>, config: ServerConfig) -> (String, ServerHandle) {
    let mut module = RpcModule::new(items);
    let refusal = || RpcError::refused("this node is syncing", ErrorData::new(RpcReason::Syncing));
    let names = SubscribeBlockTemplate::NAMES;
    module
        .register_subscription(
            names.subscribe,
            names.notification,
            names.unsubscribe,
            move |_, pending, items, _| async move {
                if items.is_empty() {
                    pending.reject(ErrorObjectOwned::from(refusal())).await;
                    return Ok(());
                }
                let sink = pending.accept().await?;
                for item in items.iter() {
                    sink.send(to_raw_value(item).unwrap()).await?;
                }
                sink.closed().await;
                Ok::<(), jsonrpsee::core::SubscriptionError>(())
            },
        )
        .unwrap();
    module
        .register_method(GetBlockTemplate::NAME, move |_, _, _| -> Result<u64, ErrorObjectOwned> {
            Err(refusal().into())
        })
        .unwrap();
    let server = Server::builder().set_config(config).build("127.0.0.1:0").await.unwrap();
    (format!("http://{}", server.local_addr().unwrap()), server.start(module))
}

async fn open(url: &str) -> Session {
    Session::open(url, MAX_BYTES).await.unwrap()
}

#[tokio::test]
async fn what_a_node_tells_arrives_in_its_order_and_its_refusals_as_they_were_sent() {
    let items = (1..=20).map(|height| json!(template(height))).collect();
    let (url, _server) = node(items, ServerConfig::default()).await;
    let session = open(&url).await;
    let mut feed = session.subscribe::<SubscribeBlockTemplate>(&params()).await.unwrap();
    for height in 1..=20 {
        assert_eq!(timeout(PATIENCE, feed.next()).await.unwrap().unwrap(), template(height));
    }
    let refused = session.call::<GetBlockTemplate>(&params()).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused(error) if error.reason() == Some(RpcReason::Syncing)));
    let (url, _server) = node(vec![], ServerConfig::default()).await;
    let refused = open(&url).await.subscribe::<SubscribeBlockTemplate>(&params()).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused(error) if error.reason() == Some(RpcReason::Syncing)));
}

#[tokio::test]
async fn the_end_of_a_node_ends_its_session_and_the_feed() {
    let (url, server) = node(vec![json!(template(1))], ServerConfig::default()).await;
    let session = open(&url).await;
    let mut feed = session.subscribe::<SubscribeBlockTemplate>(&params()).await.unwrap();
    timeout(PATIENCE, feed.next()).await.unwrap().unwrap();
    server.stop().unwrap();
    let ended = timeout(PATIENCE, feed.next()).await.unwrap().unwrap_err();
    assert!(matches!(ended, ClientError::Ended { .. }), "{ended}");
    let ended = timeout(PATIENCE, session.ended()).await.unwrap();
    assert!(ended.to_string().starts_with(&format!("the connection to {url} ended")), "{ended}");
    assert!(session.call::<GetBlockTemplate>(&params()).await.is_err());
}

#[tokio::test]
async fn a_message_beyond_the_bound_ends_the_session_and_one_of_another_type_is_called_that() {
    let (url, _server) = node(vec![json!("x".repeat(100 << 10))], ServerConfig::default()).await;
    let session = open(&url).await;
    let mut feed = session.subscribe::<SubscribeBlockTemplate>(&params()).await.unwrap();
    assert!(timeout(PATIENCE, feed.next()).await.unwrap().is_err());
    let ended = timeout(PATIENCE, session.ended()).await.unwrap().to_string();
    assert!(ended.len() < 400, "{ended}");
    let (url, _server) = node(vec![json!({ "header": "00" })], ServerConfig::default()).await;
    let session = open(&url).await;
    let mut feed = session.subscribe::<SubscribeBlockTemplate>(&params()).await.unwrap();
    let error = timeout(PATIENCE, feed.next()).await.unwrap().unwrap_err();
    assert!(matches!(error, ClientError::NotANode { .. }), "{error}");
}

#[tokio::test]
async fn who_takes_no_websocket_is_told_apart_from_nobody_there() {
    let (url, _server) = node(vec![], ServerConfig::builder().http_only().build()).await;
    let error = Session::open(&url, MAX_BYTES).await.unwrap_err();
    assert!(matches!(error, ClientError::NotANode { .. }), "{error}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = Session::open(&format!("http://{free}"), MAX_BYTES).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    for wrong in
        ["127.0.0.1:8645", "ws://127.0.0.1:1", "", "http://", "http://user@host/", "https://a.example"]
    {
        let error = Session::open(wrong, MAX_BYTES).await.unwrap_err();
        assert!(matches!(error, ClientError::Url { .. }), "{wrong}: {error}");
    }
}
