//! `printsyd` as it is run: made ready by `init`, started, asked, stopped, and started again.
#![allow(clippy::unwrap_used, reason = "test code, also outside of test functions")]

#[path = "cli_run/access.rs"]
mod access;
#[path = "cli_run/chain.rs"]
mod chain;
#[path = "cli_run/conflict.rs"]
mod conflict;
#[path = "cli_run/disk.rs"]
mod disk;
mod program;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use printsy_consensus::{Action, Body, Genesis, Line, SecretKey, Transaction, codec};
use program::{Running, address_in, get, printsyd, run};
use serde_json::{Value, json};
use tempfile::TempDir;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn dev_is_ready_says_how_to_buy_and_stops_with_zero() {
    let home = TempDir::new().unwrap();
    for signal in ["TERM", "INT"] {
        let mut node =
            Running::start(printsyd(home.path(), &["run", "--dev", "--rpc-listen", "127.0.0.1:0"]));
        let address = address_in(&node.wait_for("is ready at http://"));
        node.wait_for("buy 25 --key dev:alice");
        let answer = get(address, "/livez");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let (code, stdout) = node.stop_by(signal);
        assert_eq!((code, stdout.as_str()), (0, ""));
    }
    assert_eq!(program::contents(home.path()).len(), 0, "in memory");
}

#[test]
fn a_used_port_ends_with_seven() {
    let home = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let ended =
        run(printsyd(home.path(), &["run", "--dev", "--log", "error", "--rpc-listen", &address.to_string()]));
    ended.refuses(7, &[&address.to_string(), "--rpc-listen"]);
    let multiaddr = format!("/ip4/127.0.0.1/tcp/{}", address.port());
    let line = ["run", "--dev", "--log", "error", "--rpc-listen", "127.0.0.1:0", "--listen", &multiaddr];
    run(printsyd(home.path(), &line)).refuses(7, &[&multiaddr, "--listen"]);
}

#[test]
fn what_init_prepares_runs_without_being_told_anything() {
    let home = TempDir::new().unwrap();
    let line = [
        "init",
        "--network",
        "dev-shop",
        "--registrar",
        "dev:registrar",
        "--miner",
        "dev:miner-1=one",
        "--hash-rate",
        "1k",
    ];
    let ended = run(printsyd(home.path(), &line));
    assert_eq!(ended.code, 0, "{ended:?}");
    let datadir = home.path().join(".local/share/printsy/node");
    assert!(ended.stderr.contains(text(&datadir)), "{ended:?}");
    // The configuration in the datadir is found there, and asks for what this test needs.
    let config = datadir.join("printsyd.toml");
    let text_before = fs::read_to_string(&config).unwrap();
    let changed = text_before
        .replace("# listen = \"127.0.0.1:8645\"", "listen = \"127.0.0.1:0\"")
        .replace("# listen = [\"/ip4/0.0.0.0/tcp/8640\"]", "listen = [\"/ip4/127.0.0.1/tcp/0\"]");
    assert_ne!(changed, text_before);
    fs::write(&config, changed).unwrap();
    for _ in 0..2 {
        let mut node = Running::start(printsyd(home.path(), &["run", "--log-format", "json"]));
        let line = node.wait_for("\"ready\"");
        let line: Value = serde_json::from_str(&line).unwrap();
        let address: SocketAddr = line["rpc"].as_str().unwrap().parse().unwrap();
        assert!(get(address, "/readyz").starts_with("HTTP/1.1 200"));
        assert_eq!(node.stop_by("TERM").0, 0);
    }
    assert!(datadir.join("index").is_dir());
}

#[test]
fn an_unreachable_bootnode_is_no_reason_to_end() {
    let home = TempDir::new().unwrap();
    // Bound and closed again: nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let bootnode = format!("/ip4/127.0.0.1/tcp/{port}");
    let line = ["run", "--dev", "--rpc-listen", "127.0.0.1:0", "--bootnodes", &bootnode];
    let mut node = Running::start(printsyd(home.path(), &line));
    let address = address_in(&node.wait_for("is ready at http://"));
    assert!(get(address, "/livez").starts_with("HTTP/1.1 200"));
    assert_eq!(node.stop_by("TERM").0, 0);
}

#[test]
fn a_configuration_that_moves_its_own_datadir_is_refused() {
    let home = TempDir::new().unwrap();
    let datadir = home.path().join(".local/share/printsy/node");
    fs::create_dir_all(&datadir).unwrap();
    fs::write(datadir.join("printsyd.toml"), "[storage]\ndatadir = \"elsewhere\"\n").unwrap();
    run(printsyd(home.path(), &["run"])).refuses(3, &["printsyd.toml", "storage.datadir", "--config"]);
}

/// Asks the node's RPC: the whole answer, or none where the node has gone.
fn ask(address: SocketAddr, method: &str, params: Value) -> Option<Value> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (_, answer) = text.split_once("\r\n\r\n")?;
    Some(serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {text}")))
}

/// Calls a method of the node's RPC: its result.
fn call(address: SocketAddr, method: &str, params: Value) -> Value {
    let mut answer = ask(address, method, params).expect("the node answers");
    assert!(answer.get("error").is_none(), "{method}: {answer}");
    answer["result"].take()
}

/// A signed purchase on the network of `--dev`, as an RPC takes it.
fn purchase(image: u64, quantity: u32, reference: u8) -> String {
    purchase_on(&printsy_node::dev::genesis(), image, quantity, reference)
}

/// A signed purchase on a network.
fn purchase_on(genesis: &Genesis, image: u64, quantity: u32, reference: u8) -> String {
    let alice = SecretKey::development("alice");
    let lines = vec![Line { image, quantity }].try_into().unwrap();
    let action = Action::Purchase { lines, total: 0 };
    let body = Body { sender: alice.public_key(), reference: [reference; 16], expires_at: 300, action };
    hex::encode(codec::encode(&body.sign(&genesis.hash(), &alice)))
}

#[test]
fn what_was_answered_survives_kill_nine() {
    let home = TempDir::new().unwrap();
    let datadir = home.path().join("kept");
    let line = ["run", "--dev", "--datadir", text(&datadir), "--rpc-listen", "127.0.0.1:0"];
    let start = || {
        let mut node = Running::start(printsyd(home.path(), &line));
        let address = address_in(&node.wait_for("is ready at http://"));
        (node, address)
    };
    let available = |address| call(address, "isAvailable", json!([25]));
    // Orders and blocks, then killed; dropping the handle sends SIGKILL.
    let (node, address) = start();
    let mut sold = 0;
    for reference in 1..=5 {
        sold += u32::from(reference);
        let status = call(address, "executeTransaction", json!([purchase(25, reference.into(), reference)]));
        assert_eq!(status["status"], "included", "{status}");
    }
    call(address, "generateBlocks", json!([20]));
    let before = available(address);
    assert_eq!((&before["sold"], &before["remaining"]), (&json!(sold), &json!(100 - sold)), "{before}");
    drop(node);
    // Started again: the same answer of the same tip. Killed right after an answer, with nothing in between.
    let (node, address) = start();
    assert_eq!(available(address), before);
    let made = call(address, "generateBlocks", json!([3]));
    drop(node);
    let (node, address) = start();
    let after = available(address);
    assert_eq!(after["tip"], made["tip"], "the block that was answered");
    assert_eq!((&after["sold"], &after["lastBlock"]), (&before["sold"], &before["lastBlock"]));
    // And right after an order was answered as included.
    let status = call(address, "executeTransaction", json!([purchase(25, 7, 9)]));
    drop(node);
    let (node, address) = start();
    let after = available(address);
    assert_eq!((&after["sold"], &after["lastBlock"]["hash"]), (&json!(sold + 7), &status["block"]["hash"]));
    assert_eq!(node.stop_by("TERM").0, 0);
}

/// A copy of a stopped node's datadir, for another node. (One that knows no peers has no key of its own.)
fn copy_datadir(from: &Path, to: &Path) {
    for (file, bytes) in program::contents(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, bytes).unwrap();
    }
}

/// Starts `--dev` on a datadir.
fn dev(home: &TempDir, datadir: &Path) -> (Running, SocketAddr) {
    let line = ["run", "--dev", "--datadir", text(datadir), "--rpc-listen", "127.0.0.1:0"];
    let mut node = Running::start(printsyd(home.path(), &line));
    let address = address_in(&node.wait_for("is ready at http://"));
    (node, address)
}

/// Flips a bit in the middle of a file.
fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn replay_and_audit_say_what_a_datadir_is_and_where_it_is_damaged() {
    let home = TempDir::new().unwrap();
    let datadir = home.path().join("kept");
    let (node, address) = dev(&home, &datadir);
    for reference in 1..=3 {
        call(address, "executeTransaction", json!([purchase(25, reference.into(), reference)]));
    }
    call(address, "generateBlocks", json!([5]));
    let tip = call(address, "getChain", json!([]))["tip"].clone();
    // A node that runs keeps others out.
    let line = |command, more: &[&str]| {
        printsyd(home.path(), &[&[command, "--datadir", text(&datadir), "--log", "warn"], more].concat())
    };
    run(line("replay", &[])).refuses(4, &["kept"]);
    run(line("audit", &[])).refuses(4, &["kept"]);
    assert_eq!(node.stop_by("TERM").0, 0);
    let before = program::contents(&datadir);
    let replayed = run(line("replay", &[]));
    assert_eq!(replayed.code, 0, "{replayed:?}");
    assert!(replayed.stdout.contains(&format!("height 8\ntip {}\n", tip["hash"].as_str().unwrap())));
    assert!(replayed.stdout.contains("executed 3 transactions in 8 blocks"), "{replayed:?}");
    let audited = run(line("audit", &[]));
    assert_eq!(audited.code, 0, "{audited:?}");
    let report: Value = serde_json::from_str(&audited.stdout).unwrap();
    assert_eq!((&report["ok"], &report["tip"]["hash"]), (&json!(true), &tip["hash"]), "{report:#}");
    assert_eq!((&report["counts"]["transactions"], &report["counts"]["sold"]), (&json!(3), &json!("6")));
    let invariants: Vec<_> =
        report["invariants"].as_array().unwrap().iter().map(|check| &check["id"]).collect();
    assert_eq!(invariants, ["I1", "I4", "I5", "I6", "I7"]);
    assert_eq!(report["index"]["mark"]["hash"], tip["hash"], "{report:#}");
    assert!(report["index"]["checks"].as_array().unwrap().iter().all(|check| check["ok"] == json!(true)));
    let mut after = program::contents(&datadir);
    let lock = datadir.join("lock");
    after.insert(lock.clone(), before[&lock].clone());
    assert!(after == before, "neither changes anything");
    // headers.dat is no part of the replay, and all of it is of the audit.
    flip(&datadir.join("headers.dat"));
    assert_eq!(run(line("replay", &[])).code, 0);
    let file = home.path().join("report.json");
    let audited = run(line("audit", &["--report", text(&file)]));
    assert_eq!((audited.code, audited.stdout.as_str()), (5, ""), "{audited:?}");
    assert!(
        audited
            .stderr
            .contains("printsyd: error: the audit found 1 thing wrong, first headers.dat: height 4")
    );
    let report: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(report["files"][0]["findings"][0]["height"], 4, "{report:#}");
    assert_eq!(run(line("reindex", &[])).code, 0);
    assert_eq!(run(line("audit", &[])).code, 0, "made again, it is clean");
    flip(&datadir.join("journal/00000000000000000000.seg"));
    run(line("replay", &[])).refuses(5, &["journal/00000000000000000000.seg", "at byte"]);
    let audited = run(line("audit", &["--report", text(&file)]));
    assert_eq!(audited.code, 5, "{audited:?}");
    let report: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!((&report["ok"], &report["replay"]["ok"]), (&json!(false), &json!(false)), "{report:#}");
}

#[test]
fn audit_against_another_node_finds_the_first_block_they_differ_in() {
    let home = TempDir::new().unwrap();
    let (ours, theirs) = (home.path().join("ours"), home.path().join("theirs"));
    let (node, address) = dev(&home, &ours);
    call(address, "generateBlocks", json!([7]));
    let common = call(address, "getChain", json!([]))["tip"].clone();
    assert_eq!(node.stop_by("TERM").0, 0);
    copy_datadir(&ours, &theirs);
    let (other, other_address) = dev(&home, &theirs);
    let url = format!("http://{other_address}");
    let line = |more: &[&str]| {
        let line = ["audit", "--datadir", text(&ours), "--log", "warn", "--against"];
        run(printsyd(home.path(), &[&line[..], more].concat()))
    };
    let compared = |code: i32| {
        let ended = line(&[&url, "--only-compare"]);
        assert_eq!(ended.code, code, "{ended:?}");
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        report["against"].clone()
    };
    let says = |against: &Value, words: &str| {
        assert!(against["what"].as_str().unwrap().contains(words), "{against:#}");
    };
    says(&compared(0), "is the same, 7 blocks");
    call(other_address, "executeTransaction", json!([purchase(25, 1, 1)]));
    says(&compared(0), "longer, 8 blocks to our 7");
    // Ours goes another way: first the tips differ, then what is final.
    let (node, address) = dev(&home, &ours);
    call(address, "executeTransaction", json!([purchase(25, 2, 2)]));
    call(address, "generateBlocks", json!([2]));
    let first = call(address, "getHeader", json!([8]))["hash"].clone();
    assert_eq!(node.stop_by("TERM").0, 0);
    let against = compared(0);
    says(&against, "the tips may still meet");
    assert_eq!(against["firstDifferent"]["ours"]["hash"], first, "{against:#}");
    assert_eq!(against["firstDifferent"]["theirs"]["height"], 8, "{against:#}");
    assert_eq!(against["lastCommon"]["hash"], common["hash"], "{against:#}");
    let (node, address) = dev(&home, &ours);
    call(address, "generateBlocks", json!([100]));
    assert_eq!(node.stop_by("TERM").0, 0);
    says(&compared(5), "wrong for good");
    let whole = line(&[&url]);
    assert_eq!(whole.code, 5, "{whole:?}");
    let report: Value = serde_json::from_str(&whole.stdout).unwrap();
    assert_eq!((&report["replay"]["ok"], &report["against"]["ok"]), (&json!(true), &json!(false)));
    assert_eq!(other.stop_by("TERM").0, 0);
    // Nobody there any more, and no URL.
    line(&[&url]).refuses(1, &[&url, "is it running?"]);
    line(&["https://example.invalid"]).refuses(2, &["http"]);
    let genesis = concat!(env!("CARGO_MANIFEST_DIR"), "/../genesis.json");
    let foreign = ["run", "--genesis", genesis, "--listen", "", "--rpc-listen", "127.0.0.1:0"];
    let mut node = Running::start(printsyd(home.path(), &[&foreign[..], &["--log-format", "json"]].concat()));
    let ready: Value = serde_json::from_str(&node.wait_for("\"ready\"")).unwrap();
    line(&[&format!("http://{}", ready["rpc"].as_str().unwrap())]).refuses(6, &["dev-local", "dev-solo"]);
    assert_eq!(node.stop_by("TERM").0, 0);
    let alone = run(printsyd(home.path(), &["audit", "--datadir", text(&ours), "--only-compare"]));
    assert_eq!(alone.code, 2, "{alone:?}");
}

/// What was told of orders is told again after a clean stop, also where a start in between came to nothing.
#[test]
fn what_was_told_of_orders_is_told_again_after_a_stop() {
    let home = TempDir::new().unwrap();
    let datadir = home.path().join("kept");
    let (node, _) = dev(&home, &datadir);
    assert_eq!(node.stop_by("TERM").0, 0);
    // On the same network a node that does not mine by itself, so that orders wait.
    let run_at = |rpc: &str| {
        let listen = ["--listen", "/ip4/127.0.0.1/tcp/0", "--log-format", "json"];
        let line = ["run", "--datadir", text(&datadir), "--rpc-listen", rpc];
        printsyd(home.path(), &[&line[..], &listen[..]].concat())
    };
    let start = || {
        let mut node = Running::start(run_at("127.0.0.1:0"));
        let ready: Value = serde_json::from_str(&node.wait_for("\"ready\"")).unwrap();
        (node, ready["rpc"].as_str().unwrap().parse().unwrap())
    };
    let (node, address) = start();
    let send = |address, order: &str| ask(address, "executeTransaction", json!([order, "admitted"])).unwrap();
    let id = |order: &str| {
        let order: Transaction = codec::decode(&hex::decode(order).unwrap()).unwrap();
        order.body.txid().to_string()
    };
    let [fresh, buried, sold_out, waits] =
        [purchase(25, 99, 1), purchase(26, 1, 2), purchase(25, 2, 3), purchase(27, 1, 4)];
    for order in [&buried, &fresh] {
        assert_eq!(send(address, order)["result"]["status"], "pending");
        call(address, "generateBlocks", json!([if order == &buried { 101 } else { 1 }]));
    }
    let refused = send(address, &sold_out)["error"].take();
    assert_eq!((&refused["data"]["reason"], &refused["data"]["sold"]), (&json!("soldOut"), &json!(99)));
    assert_eq!(send(address, &waits)["result"]["status"], "pending");
    let told = |address| {
        let orders = [&buried, &fresh, &sold_out, &waits];
        orders.map(|order| call(address, "getTransaction", json!([id(order)])))
    };
    let before = told(address);
    let statuses = ["final", "included", "refused", "pending"];
    assert_eq!(before.each_ref().map(|told| told["status"].as_str().unwrap()), statuses);
    assert_eq!(before[2]["history"][0]["reason"], "soldOut");
    let pending = |address| call(address, "isAvailable", json!([27]))["pending"].take();
    assert_eq!(pending(address), 1);
    assert_eq!(node.stop_by("TERM").0, 0);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(run(run_at(&taken.local_addr().unwrap().to_string())).code, 7);
    let (node, address) = start();
    assert_eq!(told(address), before);
    // Killed before anything happened: still as it was.
    drop(node);
    let (node, address) = start();
    assert_eq!((told(address), pending(address)), (before, json!(1)));
    // Judged anew, and told no differently.
    assert_eq!(send(address, &sold_out)["error"], refused);
    call(address, "generateBlocks", json!([1]));
    let included = call(address, "getTransaction", json!([id(&waits)]));
    let history: Vec<&str> = included["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["status"].as_str().unwrap())
        .collect();
    assert_eq!(history, ["pending", "included"], "{included}");
    assert_eq!(node.stop_by("TERM").0, 0);
}
