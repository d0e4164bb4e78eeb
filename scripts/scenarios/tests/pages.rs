//! The commands of the README and of docs/mining.md, run as they say, with the real programs: only ports and folders
//! are others.
//!
//! The programs are those of the same build: `cargo test --release --workspace`, the README's own command.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::disallowed_methods, reason = "it times what a person waits for")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rexpect::session::{PtySession, spawn_command};

/// How long anything may take before the test gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);

const README: &str = include_str!("../../../README.md");
const MINING: &str = include_str!("../../../docs/mining.md");

/// The commands of a section's shell blocks, continued lines joined.
fn commands(document: &str, section: &str) -> Vec<String> {
    let (_, rest) = document.split_once(&format!("## {section}\n")).expect("the document has the section");
    let section = rest.split("\n## ").next().unwrap();
    let blocks = section.split("```").skip(1).step_by(2);
    blocks
        .flat_map(|block| {
            let joined = block.replace("\\\n", " ");
            joined.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

/// The commands of a section that call one of our programs.
fn calls(document: &str, section: &str, program: &str) -> Vec<Vec<String>> {
    let prefix = format!("target/release/{program} ");
    let lines = commands(document, section).into_iter();
    lines.filter_map(|line| line.strip_prefix(&prefix).map(words)).collect()
}

/// Words as a shell splits them, quotes kept together.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('"').enumerate();
    parts
        .flat_map(|(at, part)| match at % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
            _ => vec![part.to_owned()],
        })
        .collect()
}

fn program(name: &str) -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_printsy-scenarios")).with_file_name(name);
    assert!(beside.is_file(), "{} is not built: run the tests of the whole workspace", beside.display());
    beside
}

/// A daemon, ended by its own handle, with the lines it says.
struct Daemon {
    child: Child,
    lines: Receiver<String>,
}

impl Daemon {
    fn start(name: &str, arguments: &[String], home: &Path) -> Self {
        let mut child = Command::new(program(name))
            .args(arguments)
            .current_dir(home)
            .env("HOME", home)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    fn wait_for(&self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("it never said {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn wallet(arguments: &[String], rpc: &str, home: &Path) -> Output {
    Command::new(program("printsy"))
        .args(arguments)
        .env("PRINTSY_RPC", rpc)
        .env("HOME", home)
        .env_remove("XDG_DATA_HOME")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_first_purchase_goes_as_the_readme_says() {
    let home = tempfile::tempdir().unwrap();
    let mut run = calls(README, "A first purchase", "printsyd").remove(0);
    run.extend(["--rpc-listen".to_owned(), "127.0.0.1:0".to_owned()]);
    let started = Instant::now();
    let daemon = Daemon::start("printsyd", &run, home.path());
    let line = daemon.wait_for("is ready at http://");
    assert!(started.elapsed() < Duration::from_secs(2), "ready after {:?}", started.elapsed());
    let (_, rest) = line.split_once("ready at ").unwrap();
    let rpc = rest.split_whitespace().next().unwrap().to_owned();
    let steps = calls(README, "A first purchase", "printsy");
    let [before, buy, after, new_key, buy_with_it] = steps.as_slice() else { panic!("{steps:?}") };
    assert!(said(&wallet(before, &rpc, home.path())).contains("100 of 100 left"));
    let asked = Instant::now();
    let bought = said(&wallet(buy, &rpc, home.path()));
    assert!(asked.elapsed() < Duration::from_secs(1), "confirmed after {:?}", asked.elapsed());
    assert!(bought.contains("edition 1 of 100, in block 1"), "{bought}");
    let left = said(&wallet(after, &rpc, home.path()));
    assert!(left.contains("99 of 100 left") && left.contains("block 1"), "{left}");
    make_key(&mut at_a_terminal(new_key, &rpc, home.path()));
    let mut buying = at_a_terminal(buy_with_it, &rpc, home.path());
    for (asked, typed) in [("send it? [y/N] ", "y"), ("password of mine: ", PASSWORD)] {
        buying.exp_string(asked).unwrap();
        buying.send_line(typed).unwrap();
    }
    buying.exp_string("edition 2 of 100").unwrap();
    buying.exp_eof().unwrap();
}

const PASSWORD: &str = "open sesame";

/// The wallet as a person has it: at a terminal.
fn at_a_terminal(arguments: &[String], rpc: &str, home: &Path) -> PtySession {
    let mut command = Command::new(program("printsy"));
    command.args(arguments).env("PRINTSY_RPC", rpc).env("HOME", home).env_remove("XDG_DATA_HOME");
    spawn_command(command, Some(u64::try_from(PATIENCE.as_millis()).unwrap())).unwrap()
}

/// Chooses a password, and writes three of the words that were shown.
fn make_key(session: &mut PtySession) {
    for asked in ["new password for mine: ", "the same once more: "] {
        session.exp_string(asked).unwrap();
        session.send_line(PASSWORD).unwrap();
    }
    session.exp_string("These words are your key").unwrap();
    let shown = session.exp_string("They are shown this once").unwrap();
    let lines = shown.lines().filter_map(|line| line.trim().split_once("  "));
    let words: Vec<&str> = lines.map(|(_, word)| word.trim()).collect();
    for _ in 0..3 {
        session.exp_string("word ").unwrap();
        let number: usize = session.exp_string(": ").unwrap().trim().parse().unwrap();
        session.send_line(words[number - 1]).unwrap();
    }
    session.exp_string("mine  prt1").unwrap();
    session.exp_eof().unwrap();
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_second_node_joins_and_mines_as_the_readme_says() {
    let home = tempfile::tempdir().unwrap();
    let (peer, own_peer, rpc, own_rpc) = (free_port(), free_port(), free_port(), free_port());
    let genesis = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../genesis.json");
    let elsewhere = |word: String| {
        let word = word.replace("/tcp/7645", &format!("/tcp/{peer}"));
        let word = word.replace("/ip4/127.0.0.1/tcp/7646", &format!("/ip4/127.0.0.1/tcp/{own_peer}"));
        let word = word.replace("127.0.0.1:8646", &format!("127.0.0.1:{own_rpc}"));
        if word == "genesis.json" { genesis.to_str().unwrap().to_owned() } else { word }
    };
    let runs = calls(README, "Join a network, and mine", "printsyd");
    let [first, second] = runs.as_slice() else { panic!("{runs:?}") };
    let mut first: Vec<String> = first.iter().cloned().map(elsewhere).collect();
    first.extend(["--rpc-listen".to_owned(), format!("127.0.0.1:{rpc}")]);
    let second: Vec<String> = second.iter().cloned().map(elsewhere).collect();
    let follower = Daemon::start("printsyd", &first, home.path());
    follower.wait_for("ready");
    let _miner = Daemon::start("printsyd", &second, home.path());
    follower.wait_for("block connected");
    let [new_key, mut register] = calls(README, "Join a network, and mine", "printsy").try_into().unwrap();
    let made = said(&wallet(&new_key, &format!("http://127.0.0.1:{rpc}"), home.path()));
    let address = register.iter().position(|word| word == "ADDRESS").expect("the README names the address");
    register[address] = made.split_whitespace().nth(1).unwrap().to_owned();
    let rpc = format!("http://127.0.0.1:{rpc}");
    said(&wallet(&register, &rpc, home.path()));
}

/// What docs/mining.md calls its own: the operator's node, and the miner's.
#[test]
fn the_first_block_is_mined_as_the_manual_says() {
    let home = tempfile::tempdir().unwrap();
    let (peer, own_peer, rpc, own_rpc) = (free_port(), free_port(), free_port(), free_port());
    let genesis = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../genesis.json");
    let elsewhere = |words: Vec<String>| -> Vec<String> {
        let place = |word: String| {
            let word = word.replace('~', home.path().to_str().unwrap());
            let word = word.replace("127.0.0.1:8645", &format!("127.0.0.1:{rpc}"));
            let word = word.replace("127.0.0.1:8647", &format!("127.0.0.1:{own_rpc}"));
            let word = word.replace("/tcp/7645", &format!("/tcp/{peer}"));
            let word = word.replace("/tcp/7647", &format!("/tcp/{own_peer}"));
            if word == "genesis.json" { genesis.to_str().unwrap().to_owned() } else { word }
        };
        words.into_iter().map(place).collect()
    };
    // The operator's node, which mines itself: so there is somebody to confirm the registration.
    let operator = "run --genesis genesis.json --datadir operator --listen /ip4/127.0.0.1/tcp/7645 --rpc-listen \
                    127.0.0.1:8645 --mine --miner-key dev:miner-1 --threads 1";
    let node = Daemon::start("printsyd", &elsewhere(words(operator)), home.path());
    node.wait_for("ready");
    let mut miners = calls(MINING, "The first block", "printsy-miner").into_iter().map(elsewhere);
    let self_test = miners.next().unwrap();
    let tested = Command::new(program("printsy-miner")).args(&self_test).output().unwrap();
    assert!(said(&tested).lines().all(|line| line.ends_with("right")));
    let url = format!("http://127.0.0.1:{rpc}");
    let steps = calls(MINING, "The first block", "printsy");
    let [new_key, register] = steps.as_slice() else { panic!("{steps:?}") };
    let made = said(&wallet(new_key, &url, home.path()));
    let address = made.split_whitespace().nth(1).unwrap();
    let register: Vec<String> = register.iter().map(|word| word.replace("ADDRESS", address)).collect();
    let mut run = miners.next().unwrap();
    run.extend(["--threads".to_owned(), "1".to_owned()]);
    let miner = Daemon::start("printsy-miner", &run, home.path());
    miner.wait_for("no work from the node");
    said(&wallet(&register, &url, home.path()));
    miner.wait_for("mining");
    miner.wait_for("block accepted");
    drop(miner);
    let own = calls(MINING, "A node that mines", "printsyd").remove(0);
    let own = Daemon::start("printsyd", &elsewhere(own), home.path());
    own.wait_for("block connected");
}
