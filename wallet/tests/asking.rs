//! The laws of asking: what a person is shown and asked, through the seam at which a test answers for them.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::collections::VecDeque;

use anyhow::{Context, Result};
use clap::Parser;
use printsy_keys::{Cost, KeyFile, Keyring, SecretString};
use printsy_wallet::answer::Answer;
use printsy_wallet::ask::{Person, confirm};
use printsy_wallet::cli::{Cli, Command};
use printsy_wallet::{keys, password};

const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

/// Somebody who answers from a list, and remembers what they were told.
#[derive(Default)]
struct Actor {
    answers: VecDeque<String>,
    told: Vec<String>,
    /// Answers what `word N: ` asks from the words that were shown.
    knows_words: bool,
}

impl Actor {
    fn answering(answers: &[&str]) -> Self {
        Self { answers: answers.iter().map(|text| (*text).to_owned()).collect(), ..Self::default() }
    }

    /// The words that were shown, as `  3  letter`.
    fn shown(&self) -> Vec<String> {
        let lines = self.told.iter().filter_map(|line| line.trim().split_once("  "));
        lines
            .filter(|(number, _)| number.parse::<usize>().is_ok())
            .map(|(_, word)| word.trim().to_owned())
            .collect()
    }
}

impl Person for Actor {
    fn is_there(&self) -> bool {
        true
    }

    fn tell(&mut self, text: &str) {
        self.told.push(text.to_owned());
    }

    fn ask(&mut self, question: &str) -> Result<String> {
        self.told.push(question.to_owned());
        if let (true, Some(at)) = (self.knows_words, question.strip_prefix("word ")) {
            let at: usize = at.trim_end_matches(": ").parse()?;
            return Ok(self.shown()[at - 1].clone());
        }
        self.answers.pop_front().context("asked once too often")
    }

    fn ask_secret(&mut self, question: &str) -> Result<SecretString> {
        self.told.push(question.to_owned());
        Ok(self.answers.pop_front().context("asked once too often")?.into())
    }
}

/// Nobody: every question is a failure.
struct Nobody;

impl Person for Nobody {
    fn is_there(&self) -> bool {
        false
    }

    fn tell(&mut self, _text: &str) {}

    fn ask(&mut self, question: &str) -> Result<String> {
        panic!("nobody is there to be asked {question:?}")
    }

    fn ask_secret(&mut self, question: &str) -> Result<SecretString> {
        panic!("nobody is there to be asked {question:?}")
    }
}

fn run(ring: &Keyring, person: &mut dyn Person, line: &str) -> Result<Answer> {
    let cli = Cli::try_parse_from(format!("printsy keys {line}").split(' ')).unwrap();
    let Command::Keys(command) = &cli.command else { panic!() };
    keys::keys(&cli, command, ring, CHEAP, person)
}

fn ring() -> (tempfile::TempDir, Keyring) {
    let folder = tempfile::tempdir().unwrap();
    let ring = Keyring::new(folder.path().join("keys"));
    (folder, ring)
}

#[test]
fn only_yes_is_yes() {
    for (answer, is_yes) in [
        ("y", true),
        ("Y", true),
        ("yes", true),
        ("", false),
        ("n", false),
        ("no", false),
        ("yess", false),
        ("sure", false),
    ] {
        let mut person = Actor::answering(&[answer]);
        let confirmed = confirm(&mut person, "about to buy", "send it?", (false, false));
        assert_eq!(confirmed.is_ok(), is_yes, "{answer}");
        assert_eq!(person.told, ["about to buy", "send it? [y/N] "]);
    }
}

#[test]
fn yes_asks_nothing_and_still_shows_what_is_done() {
    let mut person = Actor::answering(&[]);
    confirm(&mut person, "about to buy", "send it?", (true, false)).unwrap();
    assert_eq!(person.told, ["about to buy"]);
}

#[test]
fn where_nobody_is_there_a_key_that_guards_something_needs_yes() {
    for (yes, guards_nothing, passes) in
        [(false, false, false), (true, false, true), (false, true, true), (true, true, true)]
    {
        assert_eq!(confirm(&mut Nobody, "about to buy", "send it?", (yes, guards_nothing)).is_ok(), passes);
    }
    // With somebody there, even a key that everybody has is asked about.
    assert!(confirm(&mut Actor::answering(&["n"]), "about to buy", "send it?", (false, true)).is_err());
}

#[test]
fn new_words_are_shown_once_and_asked_for_before_the_key_is_kept() {
    for (option, count) in [("", 12), (" --words 12", 12), (" --words 24", 24)] {
        let (_folder, ring) = ring();
        let mut person = Actor { knows_words: true, ..Actor::answering(&["open sesame", "open sesame"]) };
        let answer = run(&ring, &mut person, &format!("new alice{option}")).unwrap();
        let shown = person.shown();
        assert_eq!(shown.len(), count);
        assert_eq!(person.told.iter().filter(|line| line.starts_with("word ")).count(), 3);
        let told = format!("{} {} {:?}", answer.text, answer.json, answer.notes);
        assert!(!told.contains(&shown.join(" ")), "the words go to the terminal and nowhere else");

        // Those words are the key's, and come back when they are asked for.
        let again = run(&ring, &mut Actor::answering(&["y", "open sesame"]), "words alice").unwrap();
        assert_eq!(again.text, shown.join(" "));
        let restored =
            run(&ring, &mut Actor::answering(&[&shown.join(" "), "other", "other"]), "restore back").unwrap();
        assert_eq!(restored.json["address"], answer.json["address"]);
    }
}

#[test]
fn a_key_whose_words_were_not_written_down_is_not_kept() {
    let (_folder, ring) = ring();
    let mut person = Actor::answering(&["open sesame", "open sesame", "no", "no", "no"]);
    let error = run(&ring, &mut person, "new alice").unwrap_err().to_string();
    assert!(error.contains("nothing was kept"), "{error}");
    assert!(ring.list().unwrap().is_empty());
}

#[test]
fn a_taken_name_is_refused_before_anything_is_asked() {
    let (_folder, ring) = ring();
    run(&ring, &mut Nobody, "new alice --plain").unwrap();
    let alice = "prt1cyg3w3p2lnj9flknm9sh2xzurpupl8yr30htskyt7mpd270zn8sqkvkqja";
    for line in ["new alice", "restore alice", "import alice some.key", &format!("watch alice {alice}")] {
        let error = run(&ring, &mut Actor::answering(&[]), line).unwrap_err().to_string();
        assert!(error.contains("never overwritten"), "{line}: {error}");
    }
}

#[test]
fn a_new_password_is_typed_twice_alike() {
    let (_folder, ring) = ring();
    let mut person = Actor { knows_words: true, ..Actor::answering(&["one", "two", "", "short", "short"]) };
    run(&ring, &mut person, "new alice").unwrap();
    for said in ["they differ; once more", "a password is not empty; once more"] {
        assert!(person.told.iter().any(|line| line == said), "{said}: {:?}", person.told);
    }
    assert!(person.told.iter().any(|line| line.starts_with("that is short")));
    let KeyFile::Keystore(kept) = ring.read("alice").unwrap() else { panic!() };
    assert!(kept.open(&"short".to_owned().into()).is_ok());
}

#[test]
fn a_mistyped_password_may_be_typed_again_and_not_for_ever() {
    let (_folder, ring) = ring();
    let mut person = Actor { knows_words: true, ..Actor::answering(&["open sesame", "open sesame"]) };
    run(&ring, &mut person, "new alice").unwrap();
    let KeyFile::Keystore(kept) = ring.read("alice").unwrap() else { panic!() };
    let mut person = Actor::answering(&["wrong", "wrong", "open sesame"]);
    assert!(password::open(&kept, None, &mut person).is_ok());
    assert_eq!(person.told.iter().filter(|line| line.starts_with("wrong password for alice")).count(), 2);
    let error = password::open(&kept, None, &mut Actor::answering(&["wrong"; 3])).unwrap_err();
    assert_eq!(error.to_string(), "wrong password for alice");
}

#[test]
fn another_password_and_the_end_of_a_key_are_asked_for() {
    let (_folder, ring) = ring();
    let mut person = Actor { knows_words: true, ..Actor::answering(&["open sesame", "open sesame"]) };
    run(&ring, &mut person, "new alice").unwrap();
    run(&ring, &mut Actor::answering(&["open sesame", "abracadabra", "abracadabra"]), "passwd alice")
        .unwrap();
    assert!(
        run(&ring, &mut Actor::answering(&["y", "open sesame", "open sesame", "open sesame"]), "words alice")
            .is_err()
    );
    assert!(run(&ring, &mut Actor::answering(&["n"]), "remove alice").is_err());
    assert!(ring.read("alice").is_ok());
    run(&ring, &mut Actor::answering(&["y"]), "remove alice").unwrap();
    assert!(ring.list().unwrap().is_empty());
}

#[test]
fn a_plain_key_is_taken_over_under_a_password() {
    let (folder, ring) = ring();
    let made = run(&ring, &mut Nobody, "new plain --plain").unwrap();
    let file = ring.path("plain");
    let line = format!("import alice {}", file.display());
    let taken = run(&ring, &mut Actor::answering(&["open sesame", "open sesame"]), &line).unwrap();
    assert_eq!(taken.json["address"], made.json["address"]);
    assert!(ring.read("alice").unwrap().is_locked());
    // A keystore of another folder comes with its password, under a new name.
    let copy = folder.path().join("copy.key");
    std::fs::copy(ring.path("alice"), &copy).unwrap();
    let line = format!("import again {}", copy.display());
    run(&ring, &mut Actor::answering(&["open sesame"]), &line).unwrap();
    assert_eq!(ring.read("again").unwrap().address(), ring.read("alice").unwrap().address());
}
