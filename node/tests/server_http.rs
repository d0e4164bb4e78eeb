//! The laws of the one port: what is answered before there is a call, and what bounds it.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

#[path = "server_http/answers.rs"]
mod answers;
mod server_support;
mod support;

use printsy_node::node::{Node, NodeError, NodeOptions};
use printsy_node::server::{ServerError, ServerOptions};
use printsy_node::storage::Storage;
use printsy_rpc::METHODS;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use server_support::{Session, address, call, error, get, post, raw, request, result, serving};
use support::network;

async fn node() -> Node {
    serving(&network("dev-http", |_| {}), |_| {}).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_of_the_interface_is_answered_and_no_other() {
    let node = node().await;
    for method in METHODS.map(|method| method.name) {
        let answer = call(address(&node), method, json!({ "surplus": 1 })).await;
        assert_eq!(answer["error"]["code"], -32602, "{method}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(method) && message.contains("surplus"), "{message}");
    }
    assert_eq!(error(address(&node), "stopEverything", json!({})).await["code"], -32601);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn params_come_by_name_by_position_or_not_at_all() {
    let node = node().await;
    let by_name = result(address(&node), "isAvailable", json!({ "image": 7 })).await;
    let by_position = result(address(&node), "isAvailable", json!([7])).await;
    assert_eq!(by_name, by_position);
    assert_eq!(by_name["remaining"], 3);
    assert_eq!(by_name["lastBlock"], Value::Null);
    let absent = post(address(&node), r#"{"jsonrpc":"2.0","id":"x","method":"getChain"}"#).await.json();
    assert_eq!((&absent["result"]["network"], &absent["id"]), (&json!("dev-http"), &json!("x")));
    assert_eq!(error(address(&node), "isAvailable", json!([7, 8])).await["code"], -32602);
    assert_eq!(error(address(&node), "isAvailable", json!({ "image": "7" })).await["code"], -32602);
    let beyond = error(address(&node), "isAvailable", json!([1_000_000])).await;
    assert_eq!((&beyond["code"], &beyond["data"]["rule"]), (&json!(1010), &json!("T5")));
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_answered_whole_up_to_its_bound() {
    let node = node().await;
    let calls = |count: usize| {
        let one = |id| json!({ "jsonrpc": "2.0", "id": id, "method": "isAvailable", "params": [id] });
        Value::from((0..count).map(one).collect::<Vec<_>>()).to_string()
    };
    let answers = post(address(&node), &calls(100)).await.json();
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 100);
    for answer in answers {
        assert_eq!(answer["result"]["image"], answer["id"]);
    }
    assert_eq!(post(address(&node), &calls(101)).await.json()["error"]["code"], -32010);
    assert_eq!(post(address(&node), "[]").await.json()["error"]["code"], -32600);
    let mixed = format!(r#"[1,{}]"#, json!({ "jsonrpc": "2.0", "id": 5, "method": "getChain" }));
    let mixed = post(address(&node), &mixed).await.json();
    assert_eq!(mixed[0]["error"]["code"], -32600);
    assert_eq!(mixed[1]["id"], 5);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_call_is_refused_and_the_server_goes_on() {
    let node = node().await;
    for (body, code) in [
        ("", -32700),
        ("{", -32700),
        ("7", -32600),
        ("7 8", -32700),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"getChain"}"#, -32600),
        ("{}", -32600),
        (r#"{"jsonrpc":"2.0","id":-1,"method":"getChain"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"getChain"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":{},"method":"getChain"}"#, -32600),
    ] {
        let answer = post(address(&node), body).await;
        assert_eq!(answer.json()["error"]["code"], code, "{body:?}: {answer:?}");
    }
    let late = format!("{}{}", " \n".repeat(1_000), r#"{"jsonrpc":"2.0","id":1,"method":"getChain"}"#);
    assert!(
        post(address(&node), &late).await.json()["result"].is_object(),
        "blanks before a call are nothing"
    );
    for told in [
        r#"{"jsonrpc":"2.0","method":"getChain"}"#,
        r#"[{"jsonrpc":"2.0","method":"getChain"}]"#,
        r#"{"jsonrpc":"2.0","method":"nobody"}"#,
    ] {
        let answer = post(address(&node), told).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "a notification has no answer: {told}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let answer = post(address(&node), &deep).await;
    assert!(answer.body.contains(r#""code":-32"#), "{answer:?}");
    let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"getMempool","params":{deep}}}"#);
    assert!(post(address(&node), &deep).await.json()["error"]["code"].is_i64());
    assert!(raw(address(&node), b"\x16\x03\x01garbage\r\n\r\n").await.status == 400);
    result(address(&node), "getChain", json!([])).await;
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_come_by_post_as_json_to_one_path() {
    let node = node().await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"getChain"}"#;
    let refused = get(address(&node), "/").await;
    assert_eq!(refused.status, 405);
    assert!(refused.head.to_lowercase().contains("allow: post"), "{}", refused.head);
    for (method, path, kind, status) in [
        ("POST", "/", "text/plain", 415),
        ("POST", "/", "application/x-www-form-urlencoded", 415),
        ("PUT", "/", "application/json", 405),
        ("OPTIONS", "/", "application/json", 405),
        ("POST", "/rpc", "application/json", 404),
        ("POST", "/metrics", "application/json", 405),
        ("POST", "/", "application/json", 200),
    ] {
        let headers = format!("Host: localhost\r\nContent-Type: {kind}\r\n");
        let answer = request(address(&node), method, path, &headers, call).await;
        assert_eq!(answer.status, status, "{method} {path} {kind}: {answer:?}");
        assert!(!answer.head.to_lowercase().contains("access-control"), "no page may read: {}", answer.head);
    }
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_host_or_origin_is_refused() {
    let node = node().await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"getChain"}"#;
    for (names, status) in [
        ("Host: localhost:8645\r\n", 200),
        ("Host: 127.0.0.1\r\n", 200),
        ("Host: [::1]:8645\r\nOrigin: http://localhost\r\n", 200),
        ("Host: evil.example\r\n", 403),
        ("Host: localhost\r\nOrigin: https://evil.example\r\n", 403),
        ("Host: localhost\r\nOrigin: null\r\n", 403),
        ("Host: localhost\r\nHost: localhost\r\n", 403),
        ("", 403),
    ] {
        let headers = format!("{names}Content-Type: application/json\r\n");
        assert_eq!(request(address(&node), "POST", "/", &headers, call).await.status, status, "{names:?}");
        assert_eq!(request(address(&node), "GET", "/metrics", names, "").await.status, status, "{names:?}");
    }
    assert_eq!(Session::open(address(&node), "Host: evil.example\r\n").await.err(), Some(403));
    let foreign = "Host: localhost\r\nOrigin: https://evil.example\r\n";
    assert_eq!(Session::open(address(&node), foreign).await.err(), Some(403));
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_bounded_with_and_without_a_length() {
    let genesis = network("dev-bodies", |_| {});
    let node = serving(&genesis, |options| options.max_body_bytes = 100_000).await;
    let padded = |bytes: usize| {
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"getChain"}"#;
        format!("{call}{}", " ".repeat(bytes - call.len()))
    };
    assert_eq!(post(address(&node), &padded(100_000)).await.status, 200);
    let refused = post(address(&node), &padded(100_001)).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (413, &json!(-32007)));
    let headers = "Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n";
    assert_eq!(raw(address(&node), format!("POST / HTTP/1.1\r\n{headers}").as_bytes()).await.status, 413);
    let chunked = |bytes: usize| {
        let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                    Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{head}{bytes:x}\r\n{}\r\n0\r\n\r\n", padded(bytes))
    };
    assert_eq!(raw(address(&node), chunked(100_000).as_bytes()).await.status, 200);
    assert_eq!(raw(address(&node), chunked(100_001).as_bytes()).await.status, 413);
    let long = format!("Host: localhost\r\nX-Long: {}\r\n", "x".repeat(200_000));
    assert_eq!(request(address(&node), "GET", "/livez", &long, "").await.status, 431);
    node.stop().await.unwrap();
}

/// An upload under way: its head was read, and so much of its body was sent.
async fn upload(address: std::net::SocketAddr, length: &str, sent: usize) -> tokio::net::TcpStream {
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Expect: 100-continue\r\n{length}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    socket.read_exact(&mut go_on).await.unwrap();
    assert!(go_on.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&go_on));
    socket.write_all(&vec![b' '; sent]).await.unwrap();
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_uploads_do_not_shut_large_calls_out() {
    let node = node().await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(upload(address(&node), "Content-Length: 16777216", 1_000).await);
        idle.push(upload(address(&node), "Transfer-Encoding: chunked", 0).await);
    }
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"getChain"}"#;
    let large = format!("{call}{}", " ".repeat(16 << 20));
    assert_eq!(post(address(&node), &large).await.status, 200);
    drop(idle);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_that_stops_loses_its_place() {
    let node = node().await;
    let begin = tokio::time::Instant::now();
    let mut stalled = upload(address(&node), "Content-Length: 16777216", 8 << 20).await;
    let mut answer = Vec::new();
    let read = stalled.read_to_end(&mut answer);
    tokio::time::timeout(server_support::PATIENCE, read).await.unwrap().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
    let took = begin.elapsed();
    assert!(took < std::time::Duration::from_secs(30), "sooner than a body may take that grows: {took:?}");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_beyond_the_bound_waits_for_a_place() {
    let genesis = network("dev-places", |_| {});
    let node = serving(&genesis, |options| options.max_connections = 2).await;
    let session = Session::open(address(&node), "Host: localhost\r\n").await.unwrap();
    let idle = tokio::net::TcpStream::connect(address(&node)).await.unwrap();
    let waiting = tokio::spawn(get_alone(address(&node)));
    // Both places are taken, by an upgraded and by an idle connection: there is no answer for the third.
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), async {
        while !waiting.is_finished() {
            tokio::task::yield_now().await;
        }
    });
    assert!(early.await.is_err(), "a session keeps its place after the upgrade");
    drop(session);
    assert_eq!(waiting.await.unwrap(), 200);
    drop(idle);
    node.stop().await.unwrap();
}

async fn get_alone(address: std::net::SocketAddr) -> u16 {
    get(address, "/livez").await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_answers_the_same_methods() {
    let node = node().await;
    let mut session = Session::open(address(&node), "Host: localhost\r\n").await.unwrap();
    session.send(r#"{"jsonrpc":"2.0","id":1,"method":"isAvailable","params":{"image":3}}"#).await;
    let answer = session.receive().await.unwrap();
    assert_eq!((&answer["id"], &answer["result"]["remaining"]), (&json!(1), &json!(3)));
    session
        .send(r#"[{"jsonrpc":"2.0","id":2,"method":"getChain"},{"jsonrpc":"2.0","id":3,"method":"x"}]"#)
        .await;
    let answer = session.receive().await.unwrap();
    assert_eq!((&answer[0]["id"], &answer[1]["error"]["code"]), (&json!(2), &json!(-32601)));
    session.send("nonsense").await;
    assert_eq!(session.receive().await.unwrap()["error"]["code"], -32700);
    let blanks = " ".repeat(128 << 10);
    session.send(&format!(r#"{{"jsonrpc":"2.0","id":4,"method":"getChain"{blanks}}}"#)).await;
    assert_eq!(session.receive().await.unwrap()["error"]["code"], -32007, "it would be kept while it waits");
    node.stop().await.unwrap();
    assert_eq!(session.receive().await, None, "a stopped server ends its sessions");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_session_has_so_many_calls_open_and_no_more() {
    let genesis = network("dev-calls", |_| {});
    let node = serving(&genesis, |_| {}).await;
    let mut session = Session::open(address(&node), "Host: localhost\r\n").await.unwrap();
    let order = support::purchase(&genesis, "alice", 1, 1, 1);
    let hex = hex::encode(printsy_consensus::codec::encode(&order));
    for id in 0..80 {
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": "executeTransaction", "params": [hex] });
        session.send(&call.to_string()).await;
    }
    for _ in 64..80 {
        let refused = session.receive().await.unwrap();
        assert_eq!(refused["error"]["data"]["reason"], "rateLimited", "{refused}");
    }
    // The others wait for a block that nobody makes; the stop answers them with what there is to say.
    let stop = tokio::spawn(node.stop());
    for _ in 0..64 {
        assert_eq!(session.receive().await.unwrap()["result"]["status"], "pending");
    }
    stop.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_whether_orders_may_come() {
    let node = node().await;
    assert_eq!(get(address(&node), "/livez").await.status, 200);
    let ready = get(address(&node), "/readyz").await;
    assert_eq!((ready.status, ready.json()), (200, json!([])));
    let all = get(address(&node), "/readyz?verbose").await.json();
    let names: Vec<&str> = all.as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["synced", "disk", "index", "journal", "finality", "tip"]);
    let all = all.as_array().unwrap();
    assert!(all.iter().all(|check| !check["threshold"].as_str().unwrap().is_empty()), "{all:?}");
    result(address(&node), "getChain", json!([])).await;
    error(address(&node), "isAvailable", json!([])).await;
    let metrics = get(address(&node), "/metrics").await.body;
    assert!(metrics.contains("printsy_rpc_calls_total 2\n"), "{metrics}");
    assert!(metrics.contains("printsy_rpc_errors_total 1\n"), "{metrics}");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_told_of_peers_is_not_ready_without_one() {
    let genesis = network("dev-lonely", |_| {});
    let node = serving(&genesis, |options| options.expects_peers = true).await;
    let answer = get(address(&node), "/readyz").await;
    assert_eq!(answer.status, 503);
    let failing = answer.json();
    assert!(failing.as_array().unwrap().iter().any(|check| check["name"] == "peers"), "{failing}");
    assert!(failing.as_array().unwrap().iter().all(|check| check["ok"] == false), "{failing}");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_told_as_such() {
    let genesis = network("dev-port", |_| {});
    let node = serving(&genesis, |_| {}).await;
    let taken = address(&node);
    let options = NodeOptions {
        genesis: genesis.clone(),
        storage: Storage::Memory,
        network: None,
        mining: None,
        server: Some(ServerOptions::new(taken, genesis.params())),
        clock: printsy_node::clock::Clock::default(),
        guard: None,
        on_conflict: printsy_node::OnConflict::Stay,
    };
    match Node::start(options).await {
        Err(NodeError::Server(ServerError::InUse { address })) => assert_eq!(address, taken),
        other => panic!("{other:?}"),
    }
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_frees_the_port_and_ends_idle_connections() {
    let node = node().await;
    let address = address(&node);
    let mut idle = tokio::net::TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut some = [0; 16];
    idle.read_exact(&mut some).await.unwrap();
    node.stop().await.unwrap();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    drop(tokio::net::TcpListener::bind(address).await.unwrap());
}
