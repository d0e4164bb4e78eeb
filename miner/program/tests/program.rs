//! The program around the search: what it says to a wrong command line, how it ends, what it measures.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use printsy_rpc::{ErrorData, RpcError, RpcReason};
use serde_json::Value;
use support::mock::{EASY, HARD, Mock, Says, Tells};
use support::{Running, miner};

/// Runs it to its end: exit code, standard output, standard error.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = miner(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_wrong_command_line_is_2_and_a_wrong_key_or_address_3() {
    let home = tempfile::tempdir().unwrap();
    let missing = home.path().join("no.key");
    let missing = missing.to_str().unwrap();
    let two_hosts = ["--node", "http://127.0.0.1:1", "--node", "http://localhost:1"];
    for (line, code, says) in [
        (&["--nonsense"][..], 2, "--nonsense"),
        (&[], 2, "--key"),
        (&["--key", "dev:a", "--threads", "0"], 2, "threads"),
        (&["--key", "dev:a", "--threads", "5000"], 2, "threads"),
        (&["--key", "dev:a", "--kernel", "abacus"], 2, "portable"),
        (&["--key", "dev:a", "--log", "info,x=loud"], 2, "filter"),
        (&["--bench", "--selftest"], 2, "--selftest"),
        (&["--key", missing], 3, "no.key"),
        (&["--key", "dev:Not A Name"], 3, "name"),
        (&["--key", "dev:a", "--node", "https://node.example"], 3, "ssh"),
        (&["--key", "dev:a", "--node", "node.example:8645"], 3, "http://"),
        (&["--key", "dev:a", "--genesis", missing], 3, "no.key"),
        (&["--key", "dev:a", "--token-file", missing], 3, "no.key"),
        (&[&["--key", "dev:a", "--token-file", missing][..], &two_hosts].concat(), 3, "several hosts"),
    ] {
        let (ended, stdout, stderr) = run(line);
        assert_eq!((ended, stdout.as_str()), (code, ""), "{line:?}: {stderr}");
        assert!(stderr.contains(says), "{line:?}: {stderr}");
    }
}

#[test]
fn the_self_test_and_the_measurement_name_every_kernel() {
    let (code, out, err) = run(&["--selftest"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.lines().all(|line| line.ends_with(" right")) && out.contains("portable"), "{out}");
    let (code, out, _) = run(&["--bench", "--kernel", "portable", "--threads", "1", "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["kernels"][0]["kernel"]), (0, &"portable".into()));
    assert!(report["kernels"][0]["hashesPerSecond"].as_u64() > Some(1_000), "{report}");
}

#[test]
fn the_manual_and_the_completions_tell_every_option_and_command() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("man1");
    // A key in the environment, as where a rig runs, is in nobody's way.
    let mut man = miner(&["man", "--to", folder.to_str().unwrap()]);
    let ended = man.env("PRINTSY_MINER_KEY", "dev:miner-1").output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let (code, bash, stderr) = run(&["completions", "bash"]);
    assert_eq!(code, 0, "{stderr}");
    for command in ["man", "completions"] {
        assert!(folder.join(format!("printsy-miner-{command}.1")).is_file(), "{command}");
        assert!(bash.contains(command), "{command}");
    }
    let page = std::fs::read_to_string(folder.join("printsy-miner.1")).unwrap();
    let (_, help, _) = run(&["--help"]);
    let words = help.split(|c: char| c.is_whitespace() || ",[]".contains(c));
    let options: Vec<&str> = words.filter(|word| word.starts_with("--")).collect();
    assert!(options.len() > 10, "{help}");
    for option in options {
        assert!(bash.contains(option), "{option}");
        assert!(page.contains(&option.replace('-', "\\-")), "{option}: {page}");
    }
    let used = home.path().join("file");
    std::fs::write(&used, "").unwrap();
    let (code, _, stderr) = run(&["man", "--to", used.to_str().unwrap()]);
    assert_eq!((code, stderr.contains("cannot write the pages")), (1, true), "{stderr}");
    assert_eq!(run(&["completions", "abacus"]).0, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_it_with_0_and_a_second_does_no_harm() {
    let node = Mock::start(Tells::Pushes, Says::template(1, HARD, 1)).await;
    for signal in ["TERM", "INT"] {
        let mut miner = Running::start(&[&node.url]);
        miner.says("mining");
        miner.signal(signal);
        let (code, said, stderr) = miner.stop_by(signal);
        assert_eq!((code, stderr.as_str()), (0, ""));
        assert!(said.iter().any(|line| line["message"] == "so far"), "{said:?}");
    }
    // Also before it has found a node.
    let mut miner = Running::start(&["http://127.0.0.1:9"]);
    miner.says("no answer from the node");
    assert_eq!(miner.stop_by("TERM").0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_waits_for_no_node_and_what_is_lost_by_that_is_told() {
    let busy = RpcError::refused("this node is stopping", ErrorData::new(RpcReason::Storage));
    let says = Says { verdict: Err(busy), ..Says::template(1, EASY, 1) };
    let node = Mock::start(Tells::Pushes, says).await;
    let mut miner = Running::start(&[&node.url]);
    miner.says("block not judged yet, kept");
    miner.signal("INT");
    miner.says("stopping");
    let (code, said, stderr) = miner.stop_by("TERM");
    assert_eq!((code, stderr.as_str()), (0, ""));
    for message in ["stopping at once", "block lost", "so far"] {
        assert!(said.iter().any(|line| line["message"] == message), "{message}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_offered_where_it_was_told_and_a_used_port_is_7() {
    let node = Mock::start(Tells::Pushes, Says::template(7, HARD, 1)).await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let line = ["--key", "dev:miner-1", "--threads", "1", "--json", "--node", &node.url];
    let line = [&line[..], &["--metrics-listen", &address]].concat();
    let (code, _, stderr) = Running::spawn(miner(&line)).end();
    assert_eq!(code, 7, "{stderr}");
    assert!(stderr.contains(&address), "{stderr}");
    drop(taken);
    let mut running = Running::spawn(miner(&line));
    running.says("mining");
    let get = |path: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = get("/metrics");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("printsy_rig_height 7") && answer.contains("printsy_rig_node 0"), "{answer}");
    assert!(get("/").starts_with("HTTP/1.1 404"));
    assert_eq!(running.stop_by("TERM").0, 0);
}
