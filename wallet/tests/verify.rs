//! `printsy verify`, without any node: the proofs are those that docs/rpc.md shows, which a real node made.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The answer that docs/rpc.md shows for a method.
fn shown(method: &str) -> String {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rpc.md")).unwrap();
    let section = page.split(&format!("\n### {method}\n")).nth(1).unwrap();
    section.split("```json\n").nth(2).unwrap().split("```").next().unwrap().to_owned()
}

/// Runs the program with this on its standard input; no node is there to be asked.
fn verify(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_printsy"));
    command.args(["--rpc", "http://127.0.0.1:1", "verify", "-"]).args(arguments).env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command line that is not understood ends before it has read anything.
    let written = child.stdin.take().unwrap().write_all(input.as_bytes());
    assert!(written.is_ok() || child.wait().unwrap().code() == Some(2));
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_certificate_of_purchase_is_read_out() {
    let proof = shown("getInclusionProof");
    let genesis =
        serde_json::from_str::<Value>(&proof).unwrap()["result"]["genesis"].as_str().unwrap().to_owned();
    let told = verify(&["--genesis", &genesis], &proof);
    let out = text(&told.stdout);
    assert!(told.status.success(), "{told:?}");
    assert!(out.contains("bought editions 1 to 2 of image 25"), "{out}");
    assert!(out.contains("miner 1") && out.contains("network dev-docs"), "{out}");
    let told = verify(&["--json"], &proof);
    let json: Value = serde_json::from_str(&text(&told.stdout)).unwrap();
    assert_eq!(json["shows"]["editions"][0]["from"], 1);
    assert_eq!(json["genesis"], genesis);
    assert!(text(&told.stderr).contains("--genesis"), "what is left to trust is said");
}

#[test]
fn that_an_image_was_never_bought_is_read_out() {
    let told = verify(&[], &shown("getProof"));
    assert!(told.status.success(), "{told:?}");
    let out = text(&told.stdout);
    assert!(out.starts_with("image 26 was never bought or listed: all 3 editions are left"), "{out}");
}

#[test]
fn what_does_not_hold_ends_with_one_and_a_sentence() {
    let proof = shown("getInclusionProof");
    let other = "ab".repeat(32);
    for (arguments, input, why) in [
        (vec!["--genesis", other.as_str()], proof.clone(), "is of network"),
        (vec!["--block", other.as_str()], proof.clone(), "none of those given"),
        (vec![], proof.replace("\"index\": 0", "\"index\": 1"), "branch does not lead"),
        (vec![], proof.replace("\"to\": 2", "\"to\": 3"), "edition numbers of image 25"),
        (vec![], "{".to_owned(), "no proof"),
        (vec!["--genesis", "/nowhere/genesis.json"], proof.clone(), "cannot read /nowhere/genesis.json"),
    ] {
        let told = verify(&arguments, &input);
        assert_eq!(told.status.code(), Some(1), "{told:?}");
        assert_eq!(text(&told.stdout), "");
        assert!(text(&told.stderr).contains(why), "{why}: {told:?}");
    }
    let told = verify(&["--block", "zz"], &proof);
    assert_eq!(told.status.code(), Some(2));
}
