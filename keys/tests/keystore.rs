//! The laws of keys under a password: the password alone opens them, a change is noticed, a hostile file costs
//! nothing, and a crash at any moment leaves a key that opens.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use printsy_keys::{
    Cost, KeyError, KeyFile, KeyPath, KeySource, Keyring, Keystore, SecretKey, SecretString, WordCount, Words,
};
use serde_json::{Value, json};

/// As cheap as argon2id can be: tests are about the file.
pub const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

fn password(text: &str) -> SecretString {
    text.to_owned().into()
}

fn words() -> Words {
    Words::parse(&format!("{}about", "abandon ".repeat(11))).unwrap()
}

fn with_words(name: &str) -> Keystore {
    Keystore::with_words(name, 5, (&words(), KeyPath::default()), &password("open sesame"), CHEAP).unwrap()
}

/// Writes this text as the file of `alice`, for its owner's eyes.
fn put(ring: &Keyring, text: &str) -> PathBuf {
    fs::create_dir_all(ring.folder()).unwrap();
    let path = ring.path("alice");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn keystore(ring: &Keyring) -> Result<Keystore, KeyError> {
    match ring.read("alice")? {
        KeyFile::Keystore(keystore) => Ok(keystore),
        KeyFile::Plain(_) => panic!("a plain file"),
    }
}

fn ring() -> (tempfile::TempDir, Keyring) {
    let folder = tempfile::tempdir().unwrap();
    let ring = Keyring::new(folder.path().join("keys"));
    (folder, ring)
}

#[test]
fn the_password_opens_what_it_closed_and_no_other_does() {
    let (_folder, ring) = ring();
    let key = SecretKey::development("alice");
    let secret = Keystore::with_secret("alice", 5, &key, &password("open sesame"), CHEAP).unwrap();
    for made in [with_words("alice"), secret] {
        let _ = ring.remove("alice");
        let path = ring.keep(&made).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let read = keystore(&ring).unwrap();
        assert_eq!(read, made);
        let opened = read.open(&password("open sesame")).unwrap();
        assert_eq!(opened.key.public_key(), made.address());
        for wrong in ["", "open sesam", "open sesame ", "Open sesame"] {
            let error = read.open(&password(wrong)).unwrap_err();
            assert_eq!(error.to_string(), "wrong password for alice");
            assert!(matches!(error, KeyError::WrongPassword { .. }));
        }
    }
}

#[test]
fn words_restore_the_key_on_an_empty_machine() {
    for count in [WordCount::Twelve, WordCount::TwentyFour] {
        let (_here, ring) = ring();
        let words = Words::generate(count).unwrap();
        let path = KeyPath::new(0, 7).unwrap();
        let made = Keystore::with_words("alice", 5, (&words, path), &password("one"), CHEAP).unwrap();
        ring.keep(&made).unwrap();
        let on_paper = words.text().to_uppercase().replace(' ', " \n ");

        let elsewhere = Words::parse(&on_paper).unwrap();
        assert_eq!(elsewhere.key(path).unwrap().public_key(), made.address());
        let opened = keystore(&ring).unwrap().open(&password("one")).unwrap();
        let (again, at) = opened.words.unwrap();
        assert_eq!((again.text(), at), (words.text(), path), "the words can be shown again");
    }
}

#[test]
fn wrong_words_are_named_by_their_place_and_never_shown() {
    let eleven = "abandon ".repeat(11);
    for (text, expected) in [
        (eleven.clone(), "expected 12, 15, 18, 21 or 24 words, got 11"),
        (String::new(), "got 0"),
        (
            format!("{}secretword about", "abandon ".repeat(10)),
            "word 11 is not one of BIP-39's English words",
        ),
        (format!("{eleven}abandon"), "their checksum does not fit"),
        ("abandon ".repeat(500), "at most 1024 bytes"),
    ] {
        let error = Words::parse(&text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("secretword"));
    }
    assert_eq!(format!("{:?}", words()), "Words(hidden)");
}

#[test]
fn paths_have_one_text() {
    for (account, index) in [(0, 0), (1, 2), ((1 << 31) - 1, (1 << 31) - 1)] {
        let path = KeyPath::new(account, index).unwrap();
        assert_eq!(path.to_string().parse::<KeyPath>().unwrap(), path);
    }
    assert!(KeyPath::new(1 << 31, 0).is_err() && KeyPath::new(0, 1 << 31).is_err());
    let wrong =
        ["", "m", "m/44'/0'/0'/0/0", "m/44'/7369332'/0'/0", "m/44'/7369332'/0'/1/0", "m/44'/7369332'/0/0/0"];
    let odd = [
        "m/44'/7369332'/0'/0/01",
        "m/44'/7369332'/+0'/0/0",
        "m/44'/7369332'/0'/0/0/0",
        "m/44'/7369332'/0'/0/2147483648",
    ];
    for text in wrong.into_iter().chain(odd) {
        assert!(text.parse::<KeyPath>().is_err(), "{text}");
    }
}

#[test]
fn the_public_part_is_read_without_the_password_and_a_change_of_it_is_noticed() {
    let (_folder, ring) = ring();
    let good: Value = serde_json::from_str(&with_words("alice").to_json()).unwrap();
    let bob = SecretKey::development("bob").public_key().to_string();
    put(&ring, &good.to_string());
    assert_eq!(ring.read("alice").unwrap().address(), with_words("alice").address());
    assert_eq!(keystore(&ring).unwrap().path(), Some(KeyPath::default()));
    for (field, value) in [
        ("/address", json!(bob)),
        ("/created", json!(6)),
        ("/path", json!("m/44'/7369332'/0'/0/1")),
        ("/cipher/nonce", json!("00".repeat(24))),
        ("/cipher/text", json!("00".repeat(32))),
    ] {
        let mut changed = good.clone();
        *changed.pointer_mut(field).unwrap() = value;
        put(&ring, &changed.to_string());
        let error = keystore(&ring).unwrap().open(&password("open sesame")).unwrap_err();
        assert!(matches!(error, KeyError::Changed { .. }), "{field}: {error}");
        assert!(error.to_string().contains("do not use it"), "{error}");
    }
    // What says how the password is stretched stretches it into something else.
    for (field, value) in [
        ("/kdf/memoryKib", json!(16)),
        ("/kdf/passes", json!(2)),
        ("/kdf/salt", json!("00".repeat(16))),
        ("/kdf/check", json!("00".repeat(16))),
    ] {
        let mut changed = good.clone();
        *changed.pointer_mut(field).unwrap() = value;
        put(&ring, &changed.to_string());
        assert!(keystore(&ring).unwrap().open(&password("open sesame")).is_err(), "{field}");
    }
}

#[test]
fn every_byte_of_the_file_counts() {
    let (_folder, ring) = ring();
    let good = with_words("alice").to_json();
    let address = with_words("alice").address();
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(text) = String::from_utf8(bytes) else { continue };
        put(&ring, &text);
        let Ok(read) = keystore(&ring) else { continue };
        // A file that still opens says the same: white space, or a digit's case.
        if let Ok(opened) = read.open(&password("open sesame")) {
            assert_eq!((opened.key.public_key(), read.address()), (address, address), "byte {at}");
        }
    }
    for cut in 0..good.trim_end().len() {
        put(&ring, &good[..cut]);
        assert!(ring.read("alice").is_err(), "cut at {cut}");
    }
}

#[test]
fn a_key_in_another_s_place_is_noticed_before_it_signs() {
    let (_folder, ring) = ring();
    put(&ring, &with_words("mallory").to_json());
    let error = ring.read("alice").unwrap_err();
    assert!(matches!(&error, KeyError::Misnamed { name, .. } if name == "mallory"), "{error}");
    assert!(ring.list().unwrap()[0].key.is_err());
}

#[test]
fn a_hostile_file_is_refused_before_any_work_is_done_for_it() {
    let (_folder, ring) = ring();
    let good: Value = serde_json::from_str(&with_words("alice").to_json()).unwrap();
    for (field, value) in [
        ("/kdf/memoryKib", json!(u32::MAX)),
        ("/kdf/memoryKib", json!(1024 * 1024 + 1)),
        ("/kdf/memoryKib", json!(7)),
        ("/kdf/passes", json!(u32::MAX)),
        ("/kdf/passes", json!(0)),
        ("/kdf/lanes", json!(u32::MAX)),
        ("/kdf/lanes", json!(0)),
        ("/kdf/name", json!("scrypt")),
        ("/kdf/salt", json!("")),
        ("/kdf/salt", json!("00".repeat(17))),
        ("/cipher/name", json!("none")),
        ("/cipher/text", json!("")),
        ("/cipher/text", json!("00".repeat(16))),
        ("/cipher/text", json!("00".repeat(31))),
        ("/cipher/text", json!("00".repeat(1000))),
        ("/cipher/text", json!("zz")),
        ("/created", json!(-1)),
        ("/created", json!(1.5)),
        ("/name", json!("../alice")),
        ("/address", json!("prt1")),
        ("/path", json!(null)),
        ("/holds", json!("secret")),
        ("/holds", json!("nothing")),
        ("/holds", json!("everything")),
        ("/kdf", json!(null)),
        ("/cipher", json!(null)),
        ("/format", json!("other")),
    ] {
        let mut changed = good.clone();
        *changed.pointer_mut(field).unwrap() = value.clone();
        put(&ring, &changed.to_string());
        let error = ring.read("alice").unwrap_err();
        assert!(matches!(error, KeyError::NotAKey { .. }), "{field} {value}: {error}");
    }
    // Each within its bound, and together too much.
    let mut changed = good.clone();
    changed["kdf"]["memoryKib"] = json!(1024 * 1024);
    changed["kdf"]["passes"] = json!(5);
    put(&ring, &changed.to_string());
    assert!(ring.read("alice").is_err());
    let mut more = good.clone();
    more["more"] = json!(1);
    put(&ring, &more.to_string());
    assert!(ring.read("alice").is_err());
    put(&ring, &format!("{good}{}", " ".repeat(5000)));
    assert!(ring.read("alice").is_err());
    put(&ring, &"[".repeat(4000).replacen('[', "{", 1));
    assert!(ring.read("alice").is_err());
    let mut newer = good;
    newer["version"] = json!(3);
    newer["something"] = json!("new");
    put(&ring, &newer.to_string());
    assert!(matches!(ring.read("alice").unwrap_err(), KeyError::Version { got: 3, known: 2, .. }));
}

#[test]
fn what_is_refused_shows_no_secret() {
    let (_folder, ring) = ring();
    let text = with_words("alice").to_json().replace("\"holds\"", "\"holdz\"");
    put(&ring, &text);
    let error = ring.read("alice").unwrap_err();
    let sealed: Value = serde_json::from_str(&text).unwrap();
    let sealed = sealed["cipher"]["text"].as_str().unwrap();
    assert!(!format!("{error} {error:?}").contains(&sealed[..16]));
    let opened = with_words("alice").open(&password("open sesame")).unwrap();
    let told = format!("{opened:?} {:?}", password("open sesame"));
    assert!(!told.contains("abandon") && !told.contains("sesame"), "{told}");
    assert!(!told.contains(&hex::encode(opened.key.to_bytes())[..8]));
}

#[test]
fn another_password_takes_the_place_of_the_old_one() {
    let (_folder, ring) = ring();
    ring.keep(&with_words("alice")).unwrap();
    let old = keystore(&ring).unwrap();
    assert!(old.with_password(&password("wrong"), &password("new"), CHEAP).is_err());
    ring.replace(&old.with_password(&password("open sesame"), &password("new"), CHEAP).unwrap()).unwrap();
    let new = keystore(&ring).unwrap();
    assert!(matches!(new.open(&password("open sesame")), Err(KeyError::WrongPassword { .. })));
    assert_eq!(new.open(&password("new")).unwrap().words.unwrap().0.text(), words().text());
    assert_eq!((new.address(), new.created(), new.path()), (old.address(), old.created(), old.path()));
    assert!(matches!(ring.replace(&with_words("nobody")), Err(KeyError::Missing { .. })));
}

#[test]
fn the_same_password_typed_on_another_machine_opens() {
    let composed =
        Keystore::with_words("alice", 5, (&words(), KeyPath::default()), &password("\u{e9}t\u{e9}"), CHEAP);
    assert!(composed.unwrap().open(&password("e\u{301}te\u{301}")).is_ok());
}

#[test]
fn an_address_to_watch_signs_nothing() {
    let (_folder, ring) = ring();
    let bob = SecretKey::development("bob").public_key();
    let path = ring.keep(&Keystore::watch_only("alice", 5, bob).unwrap()).unwrap();
    let read = ring.read("alice").unwrap();
    assert_eq!((read.address(), read.is_locked()), (bob, false));
    assert!(matches!(keystore(&ring).unwrap().open(&password("x")), Err(KeyError::WatchOnlyName { .. })));
    assert!(matches!(KeySource::File(path).load("prints"), Err(KeyError::WatchOnly { .. })));
}

#[test]
fn who_asks_nobody_is_told_what_key_it_needs() {
    let (_folder, ring) = ring();
    let path = ring.keep(&with_words("alice")).unwrap();
    let source = KeySource::File(path);
    let error = source.load("prints").unwrap_err();
    assert!(error.to_string().contains("printsy keys new NAME --plain"), "{error}");
    assert_eq!(source.address("prints").unwrap(), with_words("alice").address());
}

#[test]
fn a_removed_key_is_gone() {
    let (_folder, ring) = ring();
    let path = ring.keep(&with_words("alice")).unwrap();
    ring.remove("alice").unwrap();
    assert!(!path.exists());
    assert!(matches!(ring.remove("alice"), Err(KeyError::Missing { .. })));
    assert!(matches!(ring.remove("../alice"), Err(KeyError::Name { .. })));
}

#[test]
fn what_a_stopped_writer_left_is_cleared_away_and_others_files_are_not() {
    let (_folder, ring) = ring();
    fs::create_dir_all(ring.folder()).unwrap();
    fs::write(ring.folder().join(".new-key-0123456789abcdef"), "a secret").unwrap();
    fs::write(ring.folder().join("notes.txt"), "mine").unwrap();
    ring.keep(&with_words("alice")).unwrap();
    let left = |name: &str| Path::exists(&ring.folder().join(name));
    assert!(!left(".new-key-0123456789abcdef") && left("notes.txt") && left("alice.key"));
}

/// The cost of people's keys is what the crate says, and opens: the one test that pays it.
#[test]
fn the_standard_cost_is_bearable() {
    assert!(Cost::STANDARD.is_bearable());
    let made = Keystore::watch_only("alice", 5, SecretKey::development("a").public_key()).unwrap();
    assert!(made.is_watch_only());
    let key = SecretKey::development("alice");
    let made = Keystore::with_secret("alice", 5, &key, &password("x"), Cost::STANDARD).unwrap();
    assert_eq!(made.open(&password("x")).unwrap().key.public_key(), key.public_key());
}
