//! The laws of access: who may call what, how often, and whose pages read the answers.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod server_support;
mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use printsy_consensus::{Genesis, codec};
use printsy_node::node::Node;
use printsy_node::server::ServerOptions;
use printsy_node::tokens::{Secret, Tokens, parse_scopes};
use printsy_rpc::{METHODS, Scope};
use serde_json::{Value, json};

use server_support::{Answer, Session, address, request, serving};
use support::{network, purchase};

/// A network that is not one of development.
fn business() -> Arc<Genesis> {
    network("shop", |json| json["admission"] = json!("registered"))
}

fn bearer(secret: &Secret) -> String {
    format!("Authorization: Bearer {}\r\n", *secret.reveal())
}

async fn post_with(address: SocketAddr, headers: &str, body: &str) -> Answer {
    let headers = format!("Host: localhost\r\nContent-Type: application/json\r\n{headers}");
    request(address, "POST", "/", &headers, body).await
}

async fn call_with(address: SocketAddr, headers: &str, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    post_with(address, headers, &body.to_string()).await.json()
}

fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or(0)
}

async fn serving_with(genesis: &Arc<Genesis>, change: impl FnOnce(&mut ServerOptions)) -> (Node, SocketAddr) {
    let node = serving(genesis, change).await;
    let at = address(&node);
    (node, at)
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_asks_for_the_cookie_or_a_token_and_nothing_else_does_by_itself() {
    let cookie = Secret::generate().unwrap();
    let shown = cookie.clone();
    let (node, at) = serving_with(&business(), |options| options.access.cookie = Some(shown)).await;
    for method in METHODS {
        let without = call_with(at, "", method.name, json!({ "surplus": 1 })).await;
        let expected = if method.scope == Scope::Admin { 4001 } else { -32602 };
        assert_eq!(code(&without), expected, "{}: {without}", method.name);
        let with = call_with(at, &bearer(&cookie), method.name, json!({ "surplus": 1 })).await;
        assert_eq!(code(&with), -32602, "{}: {with}", method.name);
        let wrong = call_with(at, &bearer(&Secret::generate().unwrap()), method.name, json!({})).await;
        assert_eq!((code(&wrong), &wrong["error"]["data"]["reason"]), (4001, &json!("unauthorized")));
        assert!(!wrong.to_string().contains(cookie.reveal().as_str()));
    }
    let refused = call_with(at, &bearer(&cookie), "generateBlocks", json!([1])).await;
    assert_eq!(code(&refused), 4001, "not of development: {refused}");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_development_network_lets_its_own_machine_in_and_not_what_a_proxy_passes_on() {
    let (node, at) = serving_with(&network("dev-access", |_| {}), |_| {}).await;
    assert_eq!(code(&call_with(at, "", "generateBlocks", json!([1])).await), 0);
    for name in ["X-Forwarded-For", "Forwarded", "X-Real-IP"] {
        let passed_on = call_with(at, &format!("{name}: 192.0.2.1\r\n"), "generateBlocks", json!([1])).await;
        assert_eq!(code(&passed_on), 4001, "{name}");
    }
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_for_its_scopes_until_it_is_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let mut tokens = Tokens::default();
    let reader = tokens.create("reader", parse_scopes("read").unwrap()).unwrap();
    let shop = tokens.create("shop", parse_scopes("read,submit").unwrap()).unwrap();
    tokens.save(folder.path()).unwrap();
    let datadir = folder.path().to_owned();
    let (node, at) = serving_with(&business(), |options| {
        options.access.tokens_in = Some(datadir);
        options.access.require_token = parse_scopes("read,submit,mine").unwrap();
    })
    .await;
    for (headers, allowed) in [
        (String::new(), ""),
        (bearer(&reader), "read"),
        (bearer(&shop), "read,submit"),
        ("Authorization: Basic dXNlcjpwYXNz\r\n".to_owned(), ""),
    ] {
        for method in METHODS {
            let answer = call_with(at, &headers, method.name, json!({ "surplus": 1 })).await;
            let expected = if allowed.split(',').any(|s| s == method.scope.name()) { -32602 } else { 4001 };
            assert_eq!(code(&answer), expected, "{} for {allowed:?}: {answer}", method.name);
        }
        let metrics = request(at, "GET", "/metrics", &format!("Host: localhost\r\n{headers}"), "").await;
        assert_eq!(metrics.status, if allowed.is_empty() { 401 } else { 200 });
        for open in ["/livez", "/readyz"] {
            assert_eq!(request(at, "GET", open, "Host: localhost\r\n", "").await.status, 200);
        }
    }
    // A session is asked at each call, a batch for each of its calls.
    let mut session = Session::open(at, &format!("Host: localhost\r\n{}", bearer(&reader))).await.unwrap();
    let calls = r#"[{"jsonrpc":"2.0","id":1,"method":"getChain"},{"jsonrpc":"2.0","id":2,"method":"stop"}]"#;
    session.send(calls).await;
    let answers = session.receive().await.unwrap();
    assert_eq!((&answers[0]["result"]["network"], code(&answers[1])), (&json!("shop"), 4001));

    let mut nobody = Session::open(at, "Host: localhost\r\n").await.unwrap();
    nobody.send(r#"{"jsonrpc":"2.0","id":1,"method":"subscribeBlocks"}"#).await;
    assert_eq!(code(&nobody.receive().await.unwrap()), 4001, "subscriptions are calls as well");

    assert!(tokens.remove("reader"));
    tokens.save(folder.path()).unwrap();
    let gone = async {
        while code(&call_with(at, &bearer(&reader), "getChain", json!([])).await) != 4001 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap();
    assert_eq!(code(&call_with(at, &bearer(&shop), "getChain", json!([])).await), 0);
    assert_eq!(session.receive().await, None, "a session that it opened ends");
    let mut other = Session::open(at, &format!("Host: localhost\r\n{}", bearer(&shop))).await.unwrap();
    other.send(r#"{"jsonrpc":"2.0","id":3,"method":"getChain"}"#).await;
    assert_eq!(code(&other.receive().await.unwrap()), 0);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_taken_away_ends_a_session_younger_than_it_whatever_waits_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut tokens = Tokens::default();
    let datadir = folder.path().to_owned();
    let genesis = network("dev-tokens", |_| {});
    let (node, at) = serving_with(&genesis, |options| {
        options.access.tokens_in = Some(datadir);
        options.access.require_token = parse_scopes("read,submit").unwrap();
    })
    .await;
    let shop = tokens.create("shop", parse_scopes("read,submit").unwrap()).unwrap();
    // Opened before the node knows the token.
    let mut session = Session::open(at, &format!("Host: localhost\r\n{}", bearer(&shop))).await.unwrap();
    tokens.save(folder.path()).unwrap();
    let known = async {
        loop {
            session.send(r#"{"jsonrpc":"2.0","id":1,"method":"getChain"}"#).await;
            if code(&session.receive().await.unwrap()) == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), known).await.unwrap();
    let order = hex::encode(codec::encode(&purchase(&genesis, "alice", 25, 1, 1)));
    let params = json!({ "transaction": order, "wait": "final", "timeoutMs": 600_000 });
    let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "executeTransaction", "params": params });
    session.send(&call.to_string()).await;
    support::until(node.handle(), "the order is held", |node| node.reader().mempool_size().0 == 1).await;
    assert!(tokens.remove("shop"));
    tokens.save(folder.path()).unwrap();
    let ended = async {
        let answer = session.receive().await.unwrap();
        assert_eq!(answer["result"]["status"], json!("pending"), "the status as it stands: {answer}");
        assert_eq!(session.receive().await, None);
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap();
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_calls_are_told_when_to_come_again() {
    let (node, at) =
        serving_with(&network("dev-rates", |_| {}), |options| options.access.local_rate = 100).await;
    let batch = |count: usize| {
        let one = |id| json!({ "jsonrpc": "2.0", "id": id, "method": "isAvailable", "params": [id] });
        Value::from((0..count).map(one).collect::<Vec<_>>()).to_string()
    };
    let mut refused = Vec::new();
    for _ in 0..4 {
        let answers = post_with(at, "", &batch(100)).await.json();
        refused.extend(answers.as_array().unwrap().iter().filter(|answer| code(answer) != 0).cloned());
    }
    assert!(!refused.is_empty());
    for answer in &refused {
        let data = &answer["error"]["data"];
        assert_eq!(
            (code(answer), &data["reason"], &data["retryable"]),
            (4002, &json!("rateLimited"), &json!(true))
        );
        assert!((1..=1_001).contains(&data["retryAfterMs"].as_u64().unwrap()), "{answer}");
    }
    let wait = refused.last().unwrap()["error"]["data"]["retryAfterMs"].as_u64().unwrap();
    tokio::time::sleep(Duration::from_millis(wait)).await;
    assert_eq!(code(&call_with(at, "", "isAvailable", json!([1])).await), 0, "it is as was told");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_each_address_it_names_has_a_rate_of_its_own() {
    let (node, at) = serving_with(&network("dev-proxy", |_| {}), |options| {
        options.access.behind_proxy = true;
        options.access.rate = 1;
    })
    .await;
    let from = |address: &str| format!("X-Forwarded-For: 198.51.100.7, {address}\r\n");
    let mut codes = Vec::new();
    for _ in 0..150 {
        codes.push(code(&call_with(at, &from("192.0.2.1"), "getParams", json!([])).await));
    }
    assert!(codes.contains(&4002), "{codes:?}");
    assert_eq!(code(&call_with(at, &from("192.0.2.2"), "getParams", json!([])).await), 0);
    node.stop().await.unwrap();
}

/// What a proxy on this machine says of who called.
fn forwarded(address: &str) -> String {
    format!("Host: localhost\r\nX-Forwarded-For: {address}\r\n")
}

/// A node behind a proxy, without a bound on rates.
async fn behind_proxy(name: &str) -> (Node, SocketAddr) {
    serving_with(&network(name, |_| {}), |options| {
        options.access.behind_proxy = true;
        options.access.rate = 0;
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_so_many_sessions_and_leaves_room_for_others() {
    let (node, at) = behind_proxy("dev-sessions").await;
    let mut sessions = Vec::new();
    for _ in 0..16 {
        sessions.push(Session::open(at, &forwarded("192.0.2.1")).await.unwrap());
    }
    assert_eq!(Session::open(at, &forwarded("192.0.2.1")).await.err(), Some(503));
    assert!(Session::open(at, &forwarded("192.0.2.2")).await.is_ok());
    drop(sessions);
    let again = async {
        while Session::open(at, &forwarded("192.0.2.1")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), again).await.unwrap();
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_so_many_subscriptions_in_all_its_sessions() {
    let (node, at) = behind_proxy("dev-subscribers").await;
    let begin = r#"{"jsonrpc":"2.0","id":1,"method":"subscribeBlocks"}"#;
    let mut sessions = Vec::new();
    for _ in 0..4 {
        let mut session = Session::open(at, &forwarded("192.0.2.1")).await.unwrap();
        for _ in 0..32 {
            session.send(begin).await;
        }
        let mut begun = 0;
        while begun < 32 {
            let said = session.receive().await.unwrap();
            assert_eq!(code(&said), 0, "{said}");
            begun += usize::from(said["id"] == 1);
        }
        sessions.push(session);
    }
    let mut fifth = Session::open(at, &forwarded("192.0.2.1")).await.unwrap();
    fifth.send(begin).await;
    let refused = fifth.receive().await.unwrap();
    assert_eq!((code(&refused), &refused["error"]["data"]["reason"]), (4002, &json!("rateLimited")));
    let mut other = Session::open(at, &forwarded("192.0.2.2")).await.unwrap();
    other.send(begin).await;
    assert_eq!(code(&other.receive().await.unwrap()), 0);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_so_many_calls_open_through_a_proxy() {
    let genesis = network("dev-open", |_| {});
    let (node, at) = behind_proxy("dev-open").await;
    let order = hex::encode(codec::encode(&purchase(&genesis, "alice", 1, 1, 1)));
    let wait = json!({ "jsonrpc": "2.0", "id": 1, "method": "executeTransaction", "params": [order] });
    let headers = format!("{}Content-Type: application/json\r\n", forwarded("192.0.2.1"));
    let calls: Vec<_> = (0..128)
        .map(|_| {
            let (headers, body) = (headers.clone(), wait.to_string());
            tokio::spawn(async move { request(at, "POST", "/", &headers, &body).await.status })
        })
        .collect();
    // None is answered before a block, which nobody makes: once all are there, one more is too many.
    let full = async {
        while request(at, "GET", "/livez", &forwarded("192.0.2.1"), "").await.status != 503 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), full).await.unwrap();
    assert_eq!(request(at, "GET", "/livez", &forwarded("192.0.2.2"), "").await.status, 200);
    node.stop().await.unwrap();
    let mut answered = 0;
    for call in calls {
        answered += usize::from(call.await.unwrap() == 200);
    }
    assert_eq!(answered, 128);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_orders_in_one_call_count_as_so_many_calls() {
    let genesis = network("dev-bulk", |_| {});
    let (node, at) = serving_with(&genesis, |options| options.access.local_rate = 1_000).await;
    let order = |n: u64| hex::encode(codec::encode(&purchase(&genesis, "alice", n, 1, 1)));
    let all: Vec<String> = (0..1_000).map(order).collect();
    let taken = call_with(at, "", "executeTransactions", json!([all, "admitted"])).await;
    assert_eq!(taken["result"].as_array().map(Vec::len), Some(1_000), "a whole call passes: {taken:.300}");
    let first = hex::encode(codec::encode(&purchase(&genesis, "bob", 1_500, 1, 1)));
    let mut many = all;
    many[0] = first.clone();
    let refused = call_with(at, "", "executeTransactions", json!([many, "admitted"])).await;
    assert_eq!(code(&refused), 4002, "{refused:.300}");
    let wait = refused["error"]["data"]["retryAfterMs"].as_u64().unwrap();
    assert!((1..=1_001).contains(&wait), "{refused}");
    assert_eq!(node.handle().reader().mempool_size().0, 1_000);
    node.stop().await.unwrap();

    let (node, at) = serving_with(&genesis, |options| options.access.local_rate = 1).await;
    let refused = call_with(at, "", "executeTransactions", json!([many, "admitted"])).await;
    let data = &refused["error"]["data"];
    assert_eq!((code(&refused), &data["retryable"]), (4002, &json!(false)), "never at once: {refused:.300}");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_named_origin_may_read_and_no_others() {
    let (node, at) = serving_with(&network("dev-cors", |_| {}), |options| {
        options.cors_origins = vec!["https://shop.example".to_owned()];
    })
    .await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"getChain"}"#;
    let shop = post_with(at, "Origin: https://shop.example\r\n", call).await;
    assert_eq!(shop.status, 200);
    assert!(
        shop.head.to_lowercase().contains("access-control-allow-origin: https://shop.example"),
        "{}",
        shop.head
    );
    let ask = |origin: &str| {
        format!("Host: localhost\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\n")
    };
    let preflight = request(at, "OPTIONS", "/", &ask("https://shop.example"), "").await;
    assert_eq!(preflight.status, 204, "{preflight:?}");
    assert!(
        preflight.head.to_lowercase().contains("access-control-allow-headers: authorization, content-type")
    );
    for origin in ["https://evil.example", "http://shop.example", "null"] {
        let foreign = post_with(at, &format!("Origin: {origin}\r\n"), call).await;
        assert_eq!(foreign.status, 403, "{origin}");
        assert!(!foreign.head.to_lowercase().contains("access-control"), "{}", foreign.head);
        assert_eq!(request(at, "OPTIONS", "/", &ask(origin), "").await.status, 403);
    }
    let own = post_with(at, "Origin: http://localhost:3000\r\n", call).await;
    assert!(own.status == 200 && !own.head.to_lowercase().contains("access-control"), "{}", own.head);
    node.stop().await.unwrap();
}
