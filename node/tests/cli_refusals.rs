//! What `printsyd` refuses before it runs: one line that says what is wrong, and the code for it.
#![allow(clippy::unwrap_used, reason = "test code, also outside of test functions")]

mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use printsy_consensus::Genesis;
use printsy_node::datadir::{Datadir, GivenGenesis};
use printsy_node::{dev, exit};
use program::{Running, contents, printsyd, run};
use serde_json::{Value, json};
use tempfile::TempDir;

fn refused(home: &TempDir, arguments: &[&str]) -> program::Ended {
    run(printsyd(home.path(), arguments))
}

fn home() -> TempDir {
    TempDir::new().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The genesis file of `--dev`, changed.
fn genesis_file(folder: &TempDir, change: impl Fn(&mut Value)) -> PathBuf {
    let mut genesis: Value = serde_json::from_str(&dev::genesis().to_json()).unwrap();
    change(&mut genesis);
    let path = folder.path().join("given.json");
    fs::write(&path, genesis.to_string()).unwrap();
    path
}

#[test]
fn a_line_that_is_not_understood_ends_with_two() {
    let home = home();
    for line in [
        &[][..],
        &["walk"],
        &["run", "--colour"],
        &["run", "--threads", "many"],
        &["run", "--dev", "--genesis", "g"],
        &["init", "--network", "dev-x"],
        &["init", "--network", "dev-x", "--registrar", "a", "--miner", "b=c", "--hash-rate", "fast"],
    ] {
        let ended = refused(&home, line);
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(!ended.stderr.is_empty(), "{ended:?}");
    }
    refused(&home, &["run", "--dev", "--rpc-listen", "8645"]).refuses(2, &["--rpc-listen", "127.0.0.1:8645"]);
    refused(&home, &["run", "--dev", "--listen", "1.2.3.4:5"]).refuses(2, &["--listen", "/tcp/"]);
    refused(&home, &["run", "--dev", "--log-format", "xml"]).refuses(2, &["text or json"]);
    refused(&home, &["run", "--mine"]).refuses(2, &["--miner-key"]);
    assert_eq!(contents(home.path()).len(), 0, "nothing was made");
}

#[test]
fn version_and_help_are_data_and_no_error() {
    let home = home();
    let version = refused(&home, &["--version"]);
    assert_eq!((version.code, version.stderr.as_str()), (0, ""));
    assert_eq!(version.stdout.trim(), concat!("printsyd ", env!("CARGO_PKG_VERSION")));
    assert_eq!(refused(&home, &["run", "--help"]).code, 0);
}

/// One change for each rule of genesis that breaks this rule and no other.
fn broken() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("G1", "network", json!("dev-SOLO")),
        ("G2", "maxEditions", json!(1_000_001)),
        ("G3", "halfLifeMs", json!(999)),
        ("G4", "bits", json!("20ffffff")),
        ("G5", "finalityDepth", json!(0)),
        ("G6", "maxBlockBytes", json!(65_535)),
        ("G7", "registrars", json!([])),
        ("G8", "miners", json!([{"key": address("miner-1"), "name": " "}])),
        ("G9", "network", json!("solo")),
        ("G10", "maxFutureMs", json!(0)),
    ]
}

fn address(name: &str) -> String {
    printsy_consensus::SecretKey::development(name).public_key().to_string()
}

#[test]
fn a_genesis_that_breaks_a_rule_ends_with_three_and_the_rule() {
    let home = home();
    let datadir = home.path().join("node");
    for (rule, key, value) in broken() {
        let path = genesis_file(&home, |genesis| genesis[key] = value.clone());
        let ended = refused(&home, &["run", "--datadir", text(&datadir), "--genesis", text(&path)]);
        ended.refuses(3, &[text(&path), &format!(": {rule}: ")]);
        assert!(!datadir.exists(), "{rule}");
    }
}

#[test]
fn a_genesis_that_cannot_be_read_ends_with_three() {
    let home = home();
    let datadir = home.path().join("node");
    let with = |path: &Path| refused(&home, &["run", "--datadir", text(&datadir), "--genesis", text(path)]);
    with(&home.path().join("none.json")).refuses(3, &["none.json", "No such file"]);
    with(home.path()).refuses(3, &["not a file"]);
    let unknown = genesis_file(&home, |genesis| genesis["colour"] = json!("red"));
    with(&unknown).refuses(3, &["colour"]);
    fs::write(&unknown, "{").unwrap();
    with(&unknown).refuses(3, &["given.json"]);
    refused(&home, &["run", "--datadir", text(&datadir)]).refuses(3, &["--genesis", "init"]);
    assert!(!datadir.exists());
}

#[test]
fn a_datadir_in_use_ends_with_four_and_names_the_process() {
    let home = home();
    let path = home.path().join("node");
    let given = GivenGenesis::built_in(dev::genesis(), "the test");
    let (_held, _) = Datadir::open(&path, Some(given)).unwrap();
    let before = contents(&path);
    let holder = format!("process {} ", std::process::id());
    refused(&home, &["run", "--datadir", text(&path)]).refuses(4, &[&holder, text(&path)]);
    refused(&home, &["init", "--datadir", text(&path)]).refuses(4, &[&holder]);
    assert_eq!(contents(&path), before);
}

#[test]
fn a_running_node_keeps_its_datadir() {
    let home = home();
    let path = home.path().join("node");
    let line = ["run", "--dev", "--datadir", text(&path), "--rpc-listen", "127.0.0.1:0"];
    let mut node = Running::start(printsyd(home.path(), &line));
    node.wait_for("is ready");
    refused(&home, &line).refuses(4, &[&format!("process {} ", node.id())]);
    assert_eq!(node.stop_by("TERM").0, 0);
}

#[test]
fn a_datadir_of_another_network_ends_with_six_untouched() {
    let home = home();
    let path = home.path().join("node");
    let given = GivenGenesis::built_in(dev::genesis(), "the test");
    drop(Datadir::open(&path, Some(given)).unwrap());
    let other = genesis_file(&home, |genesis| genesis["network"] = json!("dev-other"));
    let other_hash = Genesis::from_json(&fs::read_to_string(&other).unwrap()).unwrap().hash().to_string();
    let own_hash = dev::genesis().hash().to_string();
    let before = contents(&path);
    let line = ["run", "--datadir", text(&path), "--genesis", text(&other)];
    refused(&home, &line).refuses(6, &[&own_hash, &other_hash, "dev-solo", "dev-other"]);
    let line = ["init", "--datadir", text(&path), "--genesis", text(&other)];
    refused(&home, &line).refuses(6, &[&own_hash, &other_hash]);
    assert_eq!(contents(&path), before);
}

#[test]
fn an_unknown_key_ends_with_three_and_the_nearest() {
    let home = home();
    let file = home.path().join("c.toml");
    fs::write(&file, "[rpc]\nlisten = \"127.0.0.1:0\"\nlissten = 1\n").unwrap();
    let line = ["run", "--dev", "--config", text(&file)];
    refused(&home, &line).refuses(3, &["c.toml:3:", "rpc.lissten", "rpc.listen"]);
    let mut command = printsyd(home.path(), &["run", "--dev"]);
    command.env("PRINTSY_LOG__FORMAD", "json");
    run(command).refuses(3, &["PRINTSY_LOG__FORMAD", "PRINTSY_LOG__FORMAT"]);
    let none = home.path().join("none.toml");
    let line = ["run", "--dev", "--config", text(&none)];
    refused(&home, &line).refuses(3, &["none.toml"]);
}

#[test]
fn a_wrong_key_ends_with_three_and_is_never_shown() {
    let home = home();
    let secret = "c0ffee".repeat(10) + "c0ff";
    let file = home.path().join("miner.key");
    fs::write(&file, format!("printsy key 1\naddress prt1x\nsecret {secret}\n")).unwrap();
    set_mode(&file, "644");
    let line =
        |key| ["run", "--dev", "--mine", "--rpc-listen", "127.0.0.1:0", "--log", "off", "--miner-key", key];
    refused(&home, &line(text(&file))).refuses(3, &["chmod 600"]);
    set_mode(&file, "600");
    let ended = refused(&home, &line(text(&file)));
    ended.refuses(3, &["miner.key"]);
    assert!(!ended.stderr.contains(&secret));
    refused(&home, &line("none.key")).refuses(3, &["none.key"]);
    refused(&home, &line("dev:NOBODY")).refuses(2, &["--miner-key"]);
}

fn set_mode(path: &Path, mode: &str) {
    assert!(Command::new("chmod").arg(mode).arg(path).status().unwrap().success());
}

#[test]
fn the_manual_names_every_key_and_code() {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operating.md");
    let manual = fs::read_to_string(manual).unwrap();
    for key in printsy_node::config::keys::KEYS {
        let row = format!("| `{}` | ", key.name);
        let row = manual.lines().find(|line| line.starts_with(&row));
        let row = row.unwrap_or_else(|| panic!("no row for {}", key.name));
        assert!(row.contains(&key.variable()), "{row}");
        assert!(key.flag.is_none_or(|flag| row.contains(&format!("`{flag}"))), "{row}");
        let default = format!("`{}`", key.default.unwrap_or_default());
        assert!(key.default.is_none() || row.contains(&default), "{row}");
    }
    let last = exit::Failure::FinalityConflict(String::new()).code();
    for code in 0..=last {
        assert!(manual.lines().any(|line| line.starts_with(&format!("| {code} | "))), "{code}");
    }
}
