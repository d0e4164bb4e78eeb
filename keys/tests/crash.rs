//! The law of crashes: whenever the machine stops while a key is written, the name holds a key that opens, the old
//! one or the new one, or nothing where there was nothing; and once the write has returned, it is the new one.
//!
//! Every file operation is noted, then the machine is stopped after each of them in turn, and everything that was not
//! synced is lost in every way: bytes of a file from the first lost one on, and any choice of changes of names.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use printsy_keys::disk::{self, Files};
use printsy_keys::{Cost, KeyError, KeyFile, KeyPath, Keyring, Keystore, SecretString, Words};

const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

/// One operation on a file, by the file's name alone.
#[derive(Clone, Debug)]
enum Operation {
    Write(String, Vec<u8>),
    Sync(String),
    Link(String, String),
    Rename(String, String),
    Remove(String),
    SyncFolder,
}

/// Notes what is done, and does nothing.
#[derive(Default)]
struct Recorder(RefCell<Vec<Operation>>);

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

impl Recorder {
    fn note(&self, operation: Operation) -> io::Result<()> {
        self.0.borrow_mut().push(operation);
        Ok(())
    }
}

impl Files for Recorder {
    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.note(Operation::Write(name(path), bytes.to_vec()))
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.note(Operation::Sync(name(path)))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note(Operation::Link(name(from), name(to)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note(Operation::Rename(name(from), name(to)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.note(Operation::Remove(name(path)))
    }

    fn sync_folder(&self, _path: &Path) -> io::Result<()> {
        self.note(Operation::SyncFolder)
    }
}

/// A folder as names and files apart, as a disk has them: a name leads to a file by number.
#[derive(Clone, Default)]
struct Folder {
    names: BTreeMap<String, usize>,
    files: Vec<Vec<u8>>,
}

impl Folder {
    fn with(name: &str, bytes: &[u8]) -> Self {
        Self { names: BTreeMap::from([(name.to_owned(), 0)]), files: vec![bytes.to_vec()] }
    }

    fn rename(&mut self, change: &NameChange) {
        match change {
            NameChange::Add(name, file) => drop(self.names.insert(name.clone(), *file)),
            NameChange::Remove(name) => drop(self.names.remove(name)),
            NameChange::Move(from, to, file) => {
                self.names.remove(from);
                self.names.insert(to.clone(), *file);
            }
        }
    }
}

/// A change of names, which is durable as a whole or not at all.
#[derive(Clone, Debug)]
enum NameChange {
    Add(String, usize),
    Remove(String),
    Move(String, String, usize),
}

/// All that may be found after a stop after `operations`, begun from `before`.
fn after_a_stop(before: &Folder, operations: &[Operation]) -> Vec<Folder> {
    let (mut live, mut durable) = (before.clone(), before.clone());
    let mut unsynced_names: Vec<NameChange> = Vec::new();
    let mut unsynced_files: Vec<usize> = Vec::new();
    for operation in operations {
        let change = match operation {
            Operation::Write(name, bytes) => {
                live.files.push(bytes.clone());
                unsynced_files.push(live.files.len() - 1);
                NameChange::Add(name.clone(), live.files.len() - 1)
            }
            Operation::Sync(name) => {
                let file = live.names[name];
                unsynced_files.retain(|other| *other != file);
                continue;
            }
            Operation::Link(from, to) => NameChange::Add(to.clone(), live.names[from]),
            Operation::Rename(from, to) => NameChange::Move(from.clone(), to.clone(), live.names[from]),
            Operation::Remove(name) => NameChange::Remove(name.clone()),
            Operation::SyncFolder => {
                unsynced_names.drain(..).for_each(|change| durable.rename(&change));
                continue;
            }
        };
        live.rename(&change);
        unsynced_names.push(change);
    }
    let mut found = Vec::new();
    for choice in 0..1_u32 << unsynced_names.len() {
        let mut names = durable.clone();
        names.files.clone_from(&live.files);
        let kept = unsynced_names.iter().enumerate().filter(|(at, _)| choice & (1 << at) != 0);
        kept.for_each(|(_, change)| names.rename(change));
        found.push(names.clone());
        for file in &unsynced_files {
            for part in [0, 1, live.files[*file].len() / 2, live.files[*file].len() - 1] {
                let mut torn = names.clone();
                torn.files[*file].truncate(part);
                found.push(torn);
            }
        }
    }
    found
}

/// Puts a folder on the real disk.
fn lay(folder: &Folder, at: &Path) {
    for (name, file) in &folder.names {
        let path = at.join(name);
        fs::write(&path, &folder.files[*file]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

fn password(text: &str) -> SecretString {
    text.to_owned().into()
}

fn keystore(word: &str) -> Keystore {
    let words = Words::parse(&format!("{}about", "abandon ".repeat(11))).unwrap();
    Keystore::with_words("alice", 5, (&words, KeyPath::default()), &password(word), CHEAP).unwrap()
}

/// Which of the two passwords opens what is found; none where there is no key.
fn opens(folder: &Folder) -> Option<&'static str> {
    let home = tempfile::tempdir().unwrap();
    lay(folder, home.path());
    let read = match Keyring::new(home.path().to_owned()).read("alice") {
        Ok(KeyFile::Keystore(read)) => read,
        Err(KeyError::Missing { .. }) => return None,
        other => panic!("half a key: {other:?}"),
    };
    let opens = |word: &&str| read.open(&password(word)).is_ok();
    Some(["old", "new"].into_iter().find(opens).expect("a key that opens"))
}

fn recorded(act: impl FnOnce(&Recorder)) -> Vec<Operation> {
    let recorder = Recorder::default();
    act(&recorder);
    recorder.0.into_inner()
}

#[test]
fn a_new_key_is_there_whole_or_not_at_all_after_a_stop_at_any_operation() {
    let bytes = keystore("new").to_json();
    let operations =
        recorded(|files| disk::create(files, Path::new("keys/alice.key"), bytes.as_bytes()).unwrap());
    let mut seen = 0;
    for stop in 0..=operations.len() {
        for folder in after_a_stop(&Folder::default(), &operations[..stop]) {
            let found = opens(&folder);
            assert!(matches!(found, None | Some("new")), "{found:?} after {stop} of {operations:?}");
            assert!(stop < operations.len() || found == Some("new"), "told written, and it is not");
            seen += 1;
        }
    }
    assert!(seen > operations.len(), "nothing was lost in any of them");
}

#[test]
fn a_changed_key_is_the_old_or_the_new_one_after_a_stop_at_any_operation() {
    let before = Folder::with("alice.key", keystore("old").to_json().as_bytes());
    let bytes = keystore("new").to_json();
    let operations =
        recorded(|files| disk::replace(files, Path::new("keys/alice.key"), bytes.as_bytes()).unwrap());
    for stop in 0..=operations.len() {
        for folder in after_a_stop(&before, &operations[..stop]) {
            let found = opens(&folder).unwrap_or_else(|| panic!("gone after {stop} of {operations:?}"));
            assert!(stop < operations.len() || found == "new", "told written, and it is not");
        }
    }
}

#[test]
fn a_removed_key_is_whole_or_gone_after_a_stop_at_any_operation() {
    let before = Folder::with("alice.key", keystore("old").to_json().as_bytes());
    let operations = recorded(|files| disk::remove(files, Path::new("keys/alice.key")).unwrap());
    for stop in 0..=operations.len() {
        for folder in after_a_stop(&before, &operations[..stop]) {
            let found = opens(&folder);
            assert!(stop < operations.len() || found.is_none(), "told removed, and it is not");
        }
    }
}

/// The test's own test: an order of operations that is wrong is found out.
#[test]
fn a_write_in_its_place_would_be_found_out() {
    let bytes = keystore("new").to_json().into_bytes();
    let careless = [Operation::Write("alice.key".to_owned(), bytes), Operation::Sync("alice.key".to_owned())];
    let torn = after_a_stop(&Folder::default(), &careless[..1]);
    let outcome = |folder: &Folder| std::panic::catch_unwind(|| opens(folder)).is_err();
    assert!(torn.iter().any(outcome));
}
