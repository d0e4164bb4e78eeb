//! The program at a real terminal: what a person sees and types.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::path::Path;
use std::process::Command;

use rexpect::session::{PtySession, spawn_command};

/// How long anything may take before the test gives up on it.
const PATIENCE_MS: u64 = 60_000;

/// `printsy` with these words at a terminal of its own.
fn at_a_terminal(home: &Path, words: &str) -> PtySession {
    let mut command = Command::new(env!("CARGO_BIN_EXE_printsy"));
    command.args(words.split(' ')).env("XDG_DATA_HOME", home).env("PRINTSY_RPC", "http://127.0.0.1:1");
    spawn_command(command, Some(PATIENCE_MS)).unwrap()
}

/// The exit code, once the program has ended.
fn code(session: &PtySession) -> i32 {
    match session.process().wait().unwrap() {
        rexpect::process::wait::WaitStatus::Exited(_, code) => code,
        other => panic!("{other:?}"),
    }
}

/// Makes a key as a person does; answers with its words.
fn new_key(home: &Path, name: &str, password: &str) -> Vec<String> {
    let mut session = at_a_terminal(home, &format!("keys new {name}"));
    session.exp_string(&format!("new password for {name}: ")).unwrap();
    session.send_line(password).unwrap();
    session.exp_string("the same once more: ").unwrap();
    session.send_line(password).unwrap();
    let before = session.exp_string("These words are your key").unwrap();
    assert!(!before.contains(password), "a password is not shown while it is typed: {before:?}");
    let text = session.exp_string("They are shown this once").unwrap();
    let lines = text.lines().filter_map(|line| line.trim().split_once("  "));
    let words: Vec<String> = lines.map(|(_, word)| word.trim().to_owned()).collect();
    assert_eq!(words.len(), 12, "{text}");
    for _ in 0..3 {
        session.exp_string("word ").unwrap();
        let number = session.exp_string(": ").unwrap();
        let at: usize = number.trim().parse().unwrap();
        session.send_line(&words[at - 1]).unwrap();
    }
    session.exp_string(&format!("{name}  prt1")).unwrap();
    session.exp_eof().unwrap();
    assert_eq!(code(&session), 0);
    words
}

#[test]
fn a_person_makes_a_key_writes_its_words_down_and_restores_it_elsewhere() {
    let home = tempfile::tempdir().unwrap();
    let words = new_key(home.path(), "mine", "open sesame");
    let mut list = at_a_terminal(home.path(), "keys list");
    let listed = list.exp_eof().unwrap();
    let address = listed.split_whitespace().find(|word| word.starts_with("prt1")).unwrap().to_owned();

    let empty = tempfile::tempdir().unwrap();
    let mut session = at_a_terminal(empty.path(), "keys restore back");
    session.exp_string("the words").unwrap();
    session.exp_string(": ").unwrap();
    session.send_line(&words.join(" ")).unwrap();
    let shown = session.exp_string(&format!("these words make {address}")).unwrap();
    assert!(!shown.contains(&words[0..3].join(" ")), "words are not shown while they are typed");
    session.exp_string("new password for back: ").unwrap();
    session.send_line("another one").unwrap();
    session.exp_string("the same once more: ").unwrap();
    session.send_line("another one").unwrap();
    session.exp_string(&format!("back  {address}")).unwrap();
    session.exp_eof().unwrap();
    assert_eq!(code(&session), 0);
}

#[test]
fn what_is_removed_is_confirmed_at_the_terminal() {
    let home = tempfile::tempdir().unwrap();
    at_a_terminal(home.path(), "keys new plain --plain").exp_eof().unwrap();
    for (answer, expected, left) in [("n", 1, true), ("", 1, true), ("y", 0, false)] {
        let mut session = at_a_terminal(home.path(), "keys remove plain");
        session.exp_string("a key without a password").unwrap();
        session.exp_string("remove it? [y/N] ").unwrap();
        session.send_line(answer).unwrap();
        session.exp_eof().unwrap();
        assert_eq!(code(&session), expected, "{answer:?}");
        assert_eq!(home.path().join("printsy/keys/plain.key").exists(), left, "{answer:?}");
    }
}

#[test]
fn who_goes_away_has_confirmed_nothing() {
    let home = tempfile::tempdir().unwrap();
    at_a_terminal(home.path(), "keys new plain --plain").exp_eof().unwrap();
    let mut session = at_a_terminal(home.path(), "keys remove plain");
    session.exp_string("[y/N] ").unwrap();
    session.send_control('d').unwrap();
    session.exp_eof().unwrap();
    assert_eq!(code(&session), 1);
    assert!(home.path().join("printsy/keys/plain.key").exists());
}
