//! The wallet against a real node: every command a buyer and a registrar have, with the real programs.
//!
//! The programs are those of the same build: `cargo test --release --workspace`, the README's own command.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod built;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use rexpect::session::{PtySession, spawn_command};

use built::program;

/// How long anything may take before the test gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node alone on its own easy network, and the home of a wallet.
struct Shop {
    node: Child,
    rpc: String,
    home: tempfile::TempDir,
}

impl Shop {
    fn open() -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut node = Command::new(program("printsyd"))
            .args(["run", "--dev", "--rpc-listen", "127.0.0.1:0"])
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stderr = node.stderr.take().unwrap();
        std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let rpc = loop {
            let line = lines.recv_timeout(PATIENCE).expect("the node is ready in time");
            if let Some((_, rest)) = line.split_once("ready at ") {
                break rest.split_whitespace().next().unwrap().to_owned();
            }
        };
        // What it says further is read to its end all the same: a full pipe would stop it.
        std::thread::spawn(move || lines.iter().for_each(drop));
        Self { node, rpc, home }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(program("printsy"));
        command.args(line.split(' ')).env("PRINTSY_RPC", &self.rpc).env("XDG_DATA_HOME", self.home.path());
        command
    }

    /// Runs the wallet; its exit code, and both its streams.
    fn run(&self, line: &str) -> (i32, String, String) {
        let output = self.command(line).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// The same, where nothing may fail.
    #[track_caller]
    fn say(&self, line: &str) -> String {
        let (code, out, err) = self.run(line);
        assert_eq!(code, 0, "{line}: {out} {err}");
        out
    }

    fn at_a_terminal(&self, line: &str) -> PtySession {
        spawn_command(self.command(line), Some(u64::try_from(PATIENCE.as_millis()).unwrap())).unwrap()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.node.kill().unwrap();
        self.node.wait().unwrap();
    }
}

#[test]
fn a_buyer_s_and_a_registrar_s_commands_do_what_they_say() {
    let shop = Shop::open();
    shop.say("keys new seller --plain");
    shop.say("keys new mine --plain");
    let mine = shop.say("keys list --json");
    let mine: Vec<&str> = mine.split('"').filter(|word| word.starts_with("prt1")).collect();
    let [mine, seller] = mine.as_slice() else { panic!("{mine:?}") };

    assert!(
        shop.say("list 9 --seller seller --price 100 --editions 10 --key dev:registrar")
            .contains("10 editions at 100")
    );
    assert!(shop.say("issue mine 1000 --key dev:issuer").starts_with(&format!("issued 1000 to {mine}")));
    let bought = shop.say("buy 25 7:2 9:3 --key mine --yes");
    for said in [
        "image 7: editions 1 to 2 of 100",
        "image 9: editions 1 to 3 of 10 for 300",
        "image 25: edition 1 of 100",
    ] {
        assert!(bought.contains(said), "{bought}");
    }
    assert_eq!(shop.say("balance mine"), format!("{mine}: balance 700, 2 transactions\n"));
    assert_eq!(shop.say("balance seller"), format!("{seller}: balance 300, 2 transactions\n"));
    assert_eq!(
        shop.say("holdings --key mine"),
        "image 7: 2 editions\nimage 9: 3 editions\nimage 25: 1 edition\n"
    );
    let first = shop.run("holdings mine --limit 2");
    let cursor = first.2.trim().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(shop.say(&format!("holdings mine --cursor {cursor}")), "image 25: 1 edition\n");

    shop.say("review 9 --rating 4 --text fine --key mine --yes");
    let reviews = shop.say("reviews 9");
    assert!(reviews.starts_with("4 of 5, by prt1") && reviews.ends_with("\n    fine\n"), "{reviews}");
    assert!(shop.say("owners 9").starts_with(&format!("editions 1 to 3: {mine}, block ")));
    shop.say("transfer seller 50 --key mine --yes");
    shop.say("redeem 50 --key mine --yes");
    let history = shop.say("history mine");
    let deeds: Vec<&str> =
        ["redeemed 50", "transferred 50", "reviewed image 9", "bought 6 editions for 300", "issued 1000"]
            .into();
    assert_eq!(history.lines().count(), deeds.len(), "{history}");
    for (line, deed) in history.lines().zip(deeds) {
        assert!(line.contains(deed), "{line}: {deed}");
    }
    assert_eq!(shop.say("history --image 9").lines().count(), 2);

    assert!(shop.say("register-miner mine --name newcomer --key dev:registrar").contains("as newcomer"));
    assert!(shop.say("miners").lines().any(|line| line.starts_with(&format!("newcomer  {mine}: 0 blocks"))));
    shop.say("revoke-miner mine --key dev:registrar");
    assert!(!shop.say("miners").contains("newcomer"));
    let (code, _, err) = shop.run("revoke-miner mine --key dev:registrar");
    assert_eq!((code, err.starts_with("printsy: order ")), (1, true), "{err}");
    let (code, _, err) = shop.run("expel mine --key dev:registrar");
    assert_eq!(code, 1, "nothing would change: {err}");
    shop.say("admit mine --key dev:registrar");
    shop.say("expel mine --key dev:registrar");
}

#[test]
fn what_was_sent_is_asked_for_sent_again_and_watched() {
    let shop = Shop::open();
    let (code, _, err) = shop.run("buy 25 --key dev:alice");
    assert_eq!(code, 0);
    let txid = err.lines().next().unwrap().strip_prefix("printsy: order ").unwrap().to_owned();
    assert!(shop.say(&format!("status {txid}")).starts_with("included in block 1 "));
    assert!(shop.say("orders").starts_with(&txid));
    // Once more is not twice.
    assert!(shop.say(&format!("resend {txid}")).contains("image 25: edition 1"));
    assert!(shop.say("available 25").contains("99 of 100 left"));
    let seen = shop.say(&format!("watch {txid} --count 1 --json"));
    assert!(seen.contains("\"included\""), "{seen}");
    assert!(shop.say("watch --image 25 --count 1").starts_with("image 25: 99 of 100 left"));
    assert!(shop.say("watch --count 1").contains("  block 1 ("));
}

#[test]
fn at_a_terminal_nothing_is_sent_that_was_not_confirmed() {
    let shop = Shop::open();
    shop.say("list 9 --seller dev:bob --price 100 --editions 10 --key dev:registrar");
    shop.say("issue dev:alice 1000 --key dev:issuer");
    for (answer, sold) in [("n", 0), ("y", 2)] {
        let mut session = shop.at_a_terminal("buy 9:2 --key dev:alice");
        session.exp_string("about to buy 2 editions for 200").unwrap();
        session.exp_string("image 9: 2 editions, 100 each, 200 (10 left)").unwrap();
        session.exp_string("from prt1").unwrap();
        session.exp_string("send it? [y/N] ").unwrap();
        session.send_line(answer).unwrap();
        session.exp_eof().unwrap();
        session.process().wait().unwrap();
        assert!(shop.say("available 9").contains(&format!("{} of 10 left", 10 - sold)));
    }
    let mut session = shop.at_a_terminal("buy 9 --key dev:alice --yes");
    session.exp_string("about to buy 1 edition for 100").unwrap();
    session.exp_string("bought image 9: edition 3").unwrap();
    session.exp_eof().unwrap();
}
