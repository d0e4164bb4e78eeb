//! The laws of keys on disk: the owner's alone, never overwritten, never half written, never told.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use printsy_keys::{KeyError, KeyFile, KeySource, Keyring, SecretKey, check_name, generate};

/// The plain form, which is all that this file is about.
mod file {
    use super::{KeyError, KeyFile, Path, SecretKey};

    pub fn create(path: &Path, key: &SecretKey) -> Result<(), KeyError> {
        KeyFile::Plain(key.clone()).create(path)
    }

    pub fn read(path: &Path) -> Result<SecretKey, KeyError> {
        KeyFile::read(path)?.into_plain(path)
    }
}

/// The names in a folder, but the lock that writers hold.
fn names_in(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != ".lock").collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A private file with this text.
fn private(folder: &Path, text: &str) -> std::path::PathBuf {
    let path = folder.join("some.key");
    fs::write(&path, text).unwrap();
    set_mode(&path, 0o600);
    path
}

fn text_of(key: &SecretKey) -> String {
    format!("printsy key 1\naddress {}\nsecret {}\n", key.public_key(), hex::encode(key.to_bytes()))
}

#[test]
fn what_was_written_is_read_and_its_form_is_frozen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alice.key");
    let alice = SecretKey::development("alice");
    file::create(&path, &alice).unwrap();
    assert_eq!(file::read(&path).unwrap().public_key(), alice.public_key());
    assert_eq!(fs::read_to_string(&path).unwrap(), text_of(&alice));
}

#[test]
fn a_key_file_is_its_owner_s_alone_and_nothing_else_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Keyring::new(folder.path().join("a/b/keys"));
    let (key, path) = ring.create_plain("alice").unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(ring.folder()), 0o700);
    assert_eq!(names_in(ring.folder()), ["alice.key"]);
    assert_eq!(mode(&ring.folder().join(".lock")), 0o600);
    assert_eq!(file::read(&path).unwrap().public_key(), key.public_key());
}

#[test]
fn a_key_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Keyring::new(folder.path().to_owned());
    let (first, path) = ring.create_plain("alice").unwrap();
    let error = ring.create_plain("alice").unwrap_err();
    assert!(matches!(&error, KeyError::Exists { path: at } if *at == path), "{error}");
    assert_eq!(file::read(&path).unwrap().public_key(), first.public_key());
    assert_eq!(names_in(ring.folder()), ["alice.key"], "no temporary file stays");

    let dangling = folder.path().join("dangling.key");
    symlink(folder.path().join("nowhere"), &dangling).unwrap();
    assert!(matches!(ring.create_plain("dangling").unwrap_err(), KeyError::Exists { .. }));
}

#[test]
fn one_of_many_writers_at_once_wins() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Keyring::new(folder.path().to_owned());
    let keys: Vec<_> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8).map(|_| scope.spawn(|| ring.create_plain("alice"))).collect();
        writers.into_iter().filter_map(|writer| writer.join().unwrap().ok()).collect()
    });
    assert_eq!(keys.len(), 1);
    assert_eq!(file::read(&keys[0].1).unwrap().public_key(), keys[0].0.public_key());
    assert_eq!(names_in(ring.folder()), ["alice.key"]);
}

#[test]
fn a_file_others_may_read_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = private(folder.path(), &text_of(&SecretKey::development("alice")));
    for exposed in [0o644, 0o640, 0o604, 0o620, 0o660, 0o601] {
        set_mode(&path, exposed);
        let error = file::read(&path).unwrap_err();
        assert!(matches!(error, KeyError::Exposed { mode, .. } if mode == exposed), "{error}");
        assert_eq!(
            error.to_string(),
            format!(
                "others may read the key file {0} (mode {exposed:04o}); run `chmod 600 {0}`",
                path.display()
            )
        );
    }
    for private in [0o600, 0o400] {
        set_mode(&path, private);
        assert!(file::read(&path).is_ok());
    }
}

#[test]
fn a_damaged_file_is_refused_and_its_secret_is_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let alice = SecretKey::development("alice");
    let secret = hex::encode(alice.to_bytes());
    let good = text_of(&alice);
    let bob = SecretKey::development("bob").public_key().to_string();
    let damaged = [
        String::new(),
        "printsy key one\n".to_owned(),
        good.replace("printsy", "someone"),
        good.replace("secret ", "secret  "),
        good.replace(&secret, &secret[1..]),
        good.replace(&secret, &"0".repeat(64)),
        good.replace(&secret, &"f".repeat(64)),
        good.replace(&alice.public_key().to_string(), &bob),
        good.replace("address prt1", "address prt2"),
        format!("{good}more\n"),
        format!("{good}{}", " ".repeat(5000)),
    ];
    for text in damaged {
        let error = file::read(&private(folder.path(), &text)).unwrap_err();
        assert!(matches!(error, KeyError::NotAKey { .. }), "{text}: {error}");
        assert!(!format!("{error} {error:?}").contains(&secret[4..20]), "{error}");
    }
    for cut in 0..good.len() - 1 {
        assert!(file::read(&private(folder.path(), &good[..cut])).is_err(), "cut at {cut}");
    }
    let path = private(folder.path(), "");
    fs::write(&path, [0xff, 0xfe, 0x00]).unwrap();
    assert!(matches!(file::read(&path).unwrap_err(), KeyError::NotAKey { .. }));
}

#[test]
fn a_newer_version_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = private(folder.path(), "printsy key 2\nanything\n");
    let error = file::read(&path).unwrap_err();
    assert!(matches!(error, KeyError::Version { got: 2, known: 1, .. }), "{error}");
}

#[test]
fn what_is_no_file_is_refused_without_waiting() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(file::read(folder.path()).unwrap_err(), KeyError::NotAKey { .. }));
    let missing = folder.path().join("missing.key");
    let error = file::read(&missing).unwrap_err();
    assert!(matches!(error, KeyError::Missing { .. }), "{error}");
    assert!(error.to_string().contains("printsy keys new"), "{error}");
}

#[test]
fn a_source_is_a_development_key_or_a_path() {
    assert_eq!(KeySource::parse("dev:alice").unwrap(), KeySource::Development("alice".into()));
    assert_eq!(KeySource::parse("./alice").unwrap(), KeySource::File("./alice".into()));
    assert_eq!(KeySource::parse("alice").unwrap(), KeySource::File("alice".into()));
    for wrong in ["dev:", "dev:Alice", "dev:a b", "dev:../x", ""] {
        assert!(matches!(KeySource::parse(wrong), Err(KeyError::Name { .. })), "{wrong}");
    }
    for source in ["dev:alice", "some/file.key"] {
        assert_eq!(KeySource::parse(source).unwrap().to_string(), source);
    }
}

#[test]
fn development_keys_open_on_development_networks_alone() {
    let source = KeySource::parse("dev:alice").unwrap();
    let alice = source.load("dev-local").unwrap();
    assert_eq!(alice.public_key(), SecretKey::development("alice").public_key());
    for network in ["prints", "development", "dev", "predev-1", ""] {
        let error = source.load(network).unwrap_err();
        assert!(matches!(error, KeyError::NotDevelopment { .. }), "{network}: {error}");
    }
}

#[test]
fn names_are_plain() {
    for good in ["a", "0", "miner-1", "a_b", &"a".repeat(32)] {
        assert!(check_name(good).is_ok(), "{good}");
    }
    for wrong in ["", "-a", "_a", ".a", "A", "a/b", "a.b", "ä", "a b", &"a".repeat(33)] {
        assert!(check_name(wrong).is_err(), "{wrong}");
    }
    let ring = Keyring::new("/nonexistent".into());
    assert!(matches!(ring.create_plain("../escape"), Err(KeyError::Name { .. })));
}

#[test]
fn a_ring_lists_its_keys_by_name_and_says_which_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Keyring::new(folder.path().to_owned());
    assert!(Keyring::new(folder.path().join("absent")).list().unwrap().is_empty());
    let (bob, _) = ring.create_plain("bob").unwrap();
    let (_, path) = ring.create_plain("alice").unwrap();
    set_mode(&path, 0o644);
    fs::write(folder.path().join("notes.txt"), "not a key").unwrap();
    let entries = ring.list().unwrap();
    let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["alice", "bob"]);
    assert!(matches!(entries[0].key, Err(KeyError::Exposed { .. })));
    assert_eq!(entries[1].key.as_ref().unwrap().address(), bob.public_key());
}

#[test]
fn the_user_s_ring_is_where_the_system_keeps_data() {
    let folder = |data: Option<&str>, home: Option<&str>| {
        Keyring::of_environment(data.map(Into::into), home.map(Into::into))
            .map(|ring| ring.folder().to_owned())
    };
    assert_eq!(folder(Some("/data"), Some("/home/u")).unwrap(), Path::new("/data/printsy/keys"));
    assert_eq!(folder(None, Some("/home/u")).unwrap(), Path::new("/home/u/.local/share/printsy/keys"));
    assert_eq!(
        folder(Some("relative"), Some("/home/u")).unwrap(),
        Path::new("/home/u/.local/share/printsy/keys")
    );
    assert!(matches!(folder(None, None), Err(KeyError::NoHome)));
}

#[test]
fn new_keys_differ_and_show_nothing() {
    let (one, two) = (generate().unwrap(), generate().unwrap());
    assert_ne!(one.public_key(), two.public_key());
    assert!(!format!("{one:?}").contains(&hex::encode(one.to_bytes())[..8]));
}
