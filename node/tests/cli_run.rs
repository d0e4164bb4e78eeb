//! `printsyd` as it is run: made ready by `init`, started, asked, stopped, and started again.
#![allow(clippy::unwrap_used, reason = "test code, also outside of test functions")]

mod program;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use printsy_consensus::{Action, Body, Genesis, Line, SecretKey, codec};
use program::{Ended, Running, printsyd, run};
use serde_json::{Value, json};
use tempfile::TempDir;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The address in `is ready at http://ADDRESS (`.
fn address_in(line: &str) -> SocketAddr {
    let (_, rest) = line.split_once("http://").unwrap();
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
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

/// Calls a method of the node's RPC: its result.
fn call(address: SocketAddr, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (_, answer) = text.split_once("\r\n\r\n").unwrap();
    let mut answer: Value = serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(answer.get("error").is_none(), "{method}: {answer}");
    answer["result"].take()
}

/// A signed purchase, as an RPC takes it.
fn purchase(genesis: &Genesis, image: u64, quantity: u32, reference: u8) -> String {
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
    let genesis = printsy_node::dev::genesis();
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
        let status =
            call(address, "executeTransaction", json!([purchase(&genesis, 25, reference.into(), reference)]));
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
    let status = call(address, "executeTransaction", json!([purchase(&genesis, 25, 7, 9)]));
    drop(node);
    let (node, address) = start();
    let after = available(address);
    assert_eq!((&after["sold"], &after["lastBlock"]["hash"]), (&json!(sold + 7), &status["block"]["hash"]));
    assert_eq!(node.stop_by("TERM").0, 0);
}

/// The genesis file of a network like that of `--dev`, on which a block is final under two others.
fn shallow_genesis(folder: &Path) -> PathBuf {
    let mut genesis: Value = serde_json::from_str(&printsy_node::dev::genesis().to_json()).unwrap();
    genesis["finalityDepth"] = json!(2);
    let path = folder.join("shallow.json");
    fs::write(&path, genesis.to_string()).unwrap();
    path
}

/// A node on its datadir that other nodes can dial, and where its RPC is.
fn start_at(home: &Path, datadir: &Path, more: &[&str]) -> (Running, SocketAddr) {
    let line = ["run", "--datadir", text(datadir), "--rpc-listen", "127.0.0.1:0", "--log-format", "json"];
    let listen = ["--listen", "/ip4/127.0.0.1/tcp/0"];
    let mut node = Running::start(printsyd(home, &[&line[..], &listen[..], more].concat()));
    let ready: Value = serde_json::from_str(&node.wait_for("\"ready\"")).unwrap();
    (node, ready["rpc"].as_str().unwrap().parse().unwrap())
}

/// Asks until the answer is as it should be, half a minute at the most.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..600 {
        if is_so() {
            return;
        }
        // Nothing that a program could await: another process' state.
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("never so: {what}");
}

fn offline(home: &Path, line: &[&str]) -> Ended {
    run(printsyd(home, &[line, &["--log", "error"]].concat()))
}

#[track_caller]
fn says(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, code, "{ended:?}");
    let said = format!("{}{}", ended.stdout, ended.stderr);
    words.iter().for_each(|word| assert!(said.contains(word), "{word}: {ended:?}"));
}

#[test]
fn a_chain_is_moved_by_a_file_and_a_finality_conflict_is_resolved() {
    let home = TempDir::new().unwrap();
    let home = home.path();
    let (one, two, file) = (home.join("one"), home.join("two"), home.join("chain.prt"));
    let genesis = shallow_genesis(home);
    let network = Genesis::from_json(&fs::read_to_string(&genesis).unwrap()).unwrap();
    let (node, rpc) = start_at(home, &one, &["--genesis", text(&genesis)]);
    call(rpc, "generateBlocks", json!([3]));
    let bought = call(rpc, "executeTransaction", json!([purchase(&network, 25, 2, 1), "admitted"]));
    assert_eq!(bought["status"], "pending", "{bought}");
    call(rpc, "generateBlocks", json!([1]));
    let common = call(rpc, "getChain", json!([]))["tip"].clone();
    assert_eq!(common["height"], 4);
    let in_use = offline(home, &["export", "--datadir", text(&one), "--to", text(&file)]);
    in_use.refuses(4, &["process"]);
    assert_eq!(node.stop_by("TERM").0, 0);

    // Out of one datadir, into another that is not there yet.
    let export = ["export", "--datadir", text(&one), "--to", text(&file)];
    says(&offline(home, &export), 0, &["exported 4 blocks", common["hash"].as_str().unwrap()]);
    let whole = fs::read(&file).unwrap();
    offline(home, &export).refuses(2, &["--force"]);
    says(&offline(home, &[&export[..], &["--force"]].concat()), 0, &["exported 4 blocks"]);
    assert_eq!(fs::read(&file).unwrap(), whole);
    offline(home, &["export", "--datadir", text(&one), "--to", text(home)]).refuses(2, &["is no file"]);
    offline(home, &["export", "--datadir", text(&one), "--to", text(&home.join("x")), "--up-to", "5"])
        .refuses(2, &["height 4"]);
    let import = ["import", text(&file), "--datadir", text(&two)];
    fs::write(&file, &whole[..whole.len() - 200]).unwrap();
    offline(home, &import).refuses(5, &["damaged after height 3", "ends at height 3"]);
    fs::write(&file, &whole).unwrap();
    says(&offline(home, &import), 0, &["imported 1 blocks with 1 transactions", "3 were there before"]);
    assert_eq!(fs::read(two.join("genesis.json")).unwrap(), fs::read(one.join("genesis.json")).unwrap());
    let mut piped = printsyd(home, &["import", "-", "--datadir", text(&two), "--log", "error"]);
    piped.stdin(fs::File::open(&file).unwrap());
    says(&run(piped), 0, &["imported 0 blocks", "4 were there before"]);
    let solo = home.join("solo");
    fs::create_dir(&solo).unwrap();
    fs::write(solo.join("genesis.json"), printsy_node::dev::genesis().to_json()).unwrap();
    offline(home, &["import", text(&file), "--datadir", text(&solo)])
        .refuses(6, &["chain.prt", "datadir of its own"]);
    assert_eq!(fs::read_dir(home).unwrap().filter(|entry| is_hidden(entry.as_ref().unwrap())).count(), 0);

    // Each goes on alone, until what the other has is below its final block.
    let (node, rpc) = start_at(home, &one, &[]);
    assert_eq!(call(rpc, "isAvailable", json!([25]))["sold"], 2);
    call(rpc, "generateBlocks", json!([5]));
    let own = call(rpc, "getChain", json!([]));
    assert_eq!((&own["tip"]["height"], &own["final"]["height"]), (&json!(9), &json!(7)));
    assert_eq!(node.stop_by("TERM").0, 0);
    let (other, other_rpc) = start_at(home, &two, &[]);
    call(other_rpc, "generateBlocks", json!([12]));
    let best = call(other_rpc, "getChain", json!([]));
    let bootnode = best["listen"][0].as_str().unwrap().to_owned();
    let (node, rpc) = start_at(home, &one, &["--bootnodes", &bootnode]);
    wait_until("they met", || call(rpc, "getChain", json!([]))["peers"] == 1);
    assert_eq!(call(rpc, "getChain", json!([]))["tip"], own["tip"], "a final block is never left");
    assert_eq!(node.stop_by("TERM").0, 0);

    let (tip, decided) = (own["tip"]["hash"].as_str().unwrap(), best["tip"]["hash"].as_str().unwrap());
    let url = format!("http://{other_rpc}");
    let resolve = |to: &str, more: &[&str]| {
        offline(home, &[&["resolve", "--datadir", text(&one), "--to", to], more].concat())
    };
    resolve(decided, &["--yes"]).refuses(2, &["--from URL"]);
    resolve(tip, &["--yes", "--from", &url]).refuses(2, &["is no block of the chain of"]);
    resolve(own["final"]["hash"].as_str().unwrap(), &["--yes"]).refuses(2, &["there is no conflict"]);
    says(&resolve(tip, &["--yes"]), 0, &["nothing to do"]);
    let asked = resolve(decided, &["--from", &url]);
    says(&asked, 2, &["5 blocks with 0 transactions", "--yes", "nothing was changed"]);
    says(&resolve(tip, &["--yes"]), 0, &["nothing to do"]);
    let taken = resolve(decided, &["--yes", "--from", &url]);
    says(&taken, 0, &["took back 5 blocks", "height 4", common["hash"].as_str().unwrap()]);
    says(&resolve(common["hash"].as_str().unwrap(), &["--yes"]), 0, &["nothing to do"]);

    let (node, rpc) = start_at(home, &one, &["--bootnodes", &bootnode]);
    wait_until("the other chain is followed", || call(rpc, "getChain", json!([]))["tip"] == best["tip"]);
    assert_eq!(call(rpc, "isAvailable", json!([25]))["sold"], 2);
    assert_eq!(node.stop_by("TERM").0, 0);
    assert_eq!(other.stop_by("TERM").0, 0);
}

fn is_hidden(entry: &fs::DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with('.')
}
