//! What holds for a datadir: one user at a time, one network for good, files whole or not at all.

use std::collections::BTreeMap;

use tempfile::TempDir;

use super::*;
use crate::dev;
use crate::guard::DatadirLost;

fn solo() -> GivenGenesis {
    GivenGenesis::built_in(dev::genesis(), "the test")
}

fn another() -> GivenGenesis {
    let mut params = dev::genesis().params().clone();
    params.time += 1;
    GivenGenesis::built_in(Genesis::new(params).unwrap(), "another.json")
}

/// Every file below a folder, with what is in it.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_new_datadir_is_its_owners_alone_and_keeps_its_genesis() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("deep/node");
    let (datadir, genesis) = Datadir::open(&path, Some(solo())).unwrap();
    assert_eq!(mode(&path), 0o700);
    drop(datadir);
    let (_again, stored) = Datadir::open(&path, None).unwrap();
    assert_eq!(stored.hash(), genesis.hash());
}

#[test]
fn one_process_at_a_time_and_it_is_named() {
    let folder = TempDir::new().unwrap();
    let (datadir, _) = Datadir::open(folder.path(), Some(solo())).unwrap();
    let refused = Datadir::open(folder.path(), Some(solo())).unwrap_err();
    assert_eq!(refused.code(), 4);
    assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
    drop(datadir);
    Datadir::open(folder.path(), None).unwrap();
}

#[test]
fn a_foreign_datadir_is_left_untouched() {
    let folder = TempDir::new().unwrap();
    let (datadir, genesis) = Datadir::open(folder.path(), Some(solo())).unwrap();
    datadir.node_key().unwrap();
    drop(datadir);
    let before = contents(folder.path());
    let refused = Datadir::open(folder.path(), Some(another())).unwrap_err();
    assert_eq!(refused.code(), 6);
    for hash in [genesis.hash(), another().genesis.hash()] {
        assert!(refused.to_string().contains(&hash.to_string()), "{refused}");
    }
    assert_eq!(contents(folder.path()), before);
}

#[test]
fn without_a_genesis_nothing_is_made() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("node");
    let refused = Datadir::open(&path, None).unwrap_err();
    assert_eq!(refused.code(), 3);
    assert!(refused.to_string().contains("--genesis") && refused.to_string().contains("init"), "{refused}");
    assert!(!path.exists());
}

#[test]
fn a_ledger_without_its_genesis_file_is_not_given_another() {
    for name in LEDGER_FILES {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join(name)).unwrap();
        let refused = Datadir::open(folder.path(), Some(solo())).unwrap_err();
        assert_eq!(refused.code(), 5);
        assert!(!folder.path().join(GENESIS_FILE).exists());
    }
}

#[test]
fn the_node_key_is_made_once_and_is_private() {
    let folder = TempDir::new().unwrap();
    let datadir = Datadir::lock(folder.path()).unwrap();
    let key = datadir.node_key().unwrap();
    assert_eq!(datadir.node_key().unwrap(), key);
    assert_ne!(new_node_key().unwrap(), key);
    let path = folder.path().join(NODE_KEY_FILE);
    assert_eq!(mode(&path), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = datadir.node_key().unwrap_err();
    assert_eq!(refused.code(), 3);
    assert!(refused.to_string().contains("chmod 600"), "{refused}");
    assert!(!refused.to_string().contains(&hex::encode(key)));
}

#[test]
fn a_node_key_that_is_none_is_refused_and_never_shown_or_replaced() {
    let folder = TempDir::new().unwrap();
    let datadir = Datadir::lock(folder.path()).unwrap();
    for text in ["", "ab", &"g".repeat(64), &"ab".repeat(33), &"a".repeat(5_000)] {
        datadir.write(NODE_KEY_FILE, text.as_bytes(), 0o600).unwrap();
        let refused = datadir.node_key().unwrap_err().to_string();
        assert!(text.is_empty() || !refused.contains(text), "{refused}");
        assert_eq!(fs::read_to_string(folder.path().join(NODE_KEY_FILE)).unwrap(), text);
    }
    // One that a dying disk wrote over is no text at all.
    datadir.write(NODE_KEY_FILE, &[0xff; 65], 0o600).unwrap();
    let refused = datadir.node_key().unwrap_err();
    assert_eq!(refused.code(), 3, "{refused}");
    assert!(refused.to_string().contains("move it away"), "{refused}");
}

#[test]
fn saved_peers_come_back_within_their_bound() {
    let folder = TempDir::new().unwrap();
    let datadir = Datadir::lock(folder.path()).unwrap();
    assert_eq!(datadir.load_peers(), [""; 0]);
    let peers: Vec<String> = (0..MAX_PEERS + 5).map(|n| format!("/ip4/10.0.0.1/tcp/{n}")).collect();
    datadir.save_peers(&peers).unwrap();
    assert_eq!(datadir.load_peers(), peers[..MAX_PEERS]);
    datadir.save_peers(&peers[..1]).unwrap();
    assert_eq!(datadir.load_peers(), peers[..1]);
    fs::write(folder.path().join(PEERS_FILE), [0xff; 10]).unwrap();
    assert_eq!(datadir.load_peers(), [""; 0]);
}

#[test]
fn a_leftover_of_a_crash_is_no_obstacle() {
    let folder = TempDir::new().unwrap();
    let datadir = Datadir::lock(folder.path()).unwrap();
    fs::write(folder.path().join(format!(".{PEERS_FILE}.new")), "half").unwrap();
    datadir.save_peers(&["/ip4/10.0.0.1/tcp/1".to_owned()]).unwrap();
    assert_eq!(contents(folder.path()).len(), 2, "the lock and the peers");
}

#[test]
fn a_bad_genesis_names_its_file_and_rule() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("g.json");
    fs::write(&file, dev::genesis().to_json().replace("\"dev-solo\"", "\"DEV\"")).unwrap();
    let refused = GivenGenesis::read(&file).unwrap_err();
    assert_eq!(refused.code(), 3);
    assert!(refused.to_string().contains("g.json: G1:"), "{refused}");
    let missing = GivenGenesis::read(&folder.path().join("none")).unwrap_err();
    assert_eq!(missing.code(), 3);
}

#[test]
fn a_datadir_has_one_user_under_any_of_its_names() {
    let folder = TempDir::new().unwrap();
    let (path, link, moved) =
        (folder.path().join("node"), folder.path().join("link"), folder.path().join("moved"));
    let (held, _) = Datadir::open(&path, Some(solo())).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(Datadir::open(&link, None).unwrap_err().code(), 4);
    fs::rename(&path, &moved).unwrap();
    assert_eq!(Datadir::open(&moved, None).unwrap_err().code(), 4);
    drop(held);
    Datadir::open(&moved, None).unwrap();
}

#[test]
fn the_guard_tells_whether_the_datadir_is_the_one_that_was_locked() {
    let folder = TempDir::new().unwrap();
    let (path, aside) = (folder.path().join("node"), folder.path().join("aside"));
    let (datadir, _) = Datadir::open(&path, Some(solo())).unwrap();
    let guard = datadir.guard(7).unwrap();
    let room = guard.look().unwrap();
    assert!(room.free_bytes > 0 && room.least_bytes == 7, "{room:?}");
    let gone = DatadirLost::Gone { path: path.clone() };
    let replaced = DatadirLost::Replaced { path: path.clone() };
    fs::rename(&path, &aside).unwrap();
    assert_eq!(guard.look(), Err(gone.clone()));
    fs::create_dir(&path).unwrap();
    assert_eq!(guard.look(), Err(gone.clone()));
    fs::write(path.join(LOCK_FILE), "").unwrap();
    assert_eq!(guard.look(), Err(replaced.clone()));
    fs::remove_dir_all(&path).unwrap();
    fs::write(&path, "").unwrap();
    assert_eq!(guard.look(), Err(gone.clone()));
    fs::remove_file(&path).unwrap();
    fs::rename(&aside, &path).unwrap();
    assert_eq!(guard.look().unwrap().least_bytes, 7, "put back, it is as good as ever");
    // Removed and made again: the number of a file that is still open is given to no other.
    for _ in 0..3 {
        fs::remove_file(path.join(LOCK_FILE)).unwrap();
        fs::write(path.join(LOCK_FILE), "").unwrap();
        assert_eq!(guard.look(), Err(replaced.clone()));
    }
    for lost in [gone, replaced, DatadirLost::ReadOnly { path: path.clone() }] {
        let failure = Failure::from(lost);
        assert_eq!(failure.code(), 1);
        assert!(failure.to_string().contains("start again"), "{failure}");
    }
}

#[test]
fn a_datadir_that_cannot_be_is_refused_and_nothing_is_made() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "kept").unwrap();
    assert_eq!(Datadir::open(&file, Some(solo())).unwrap_err().code(), 3);
    assert_eq!(Datadir::lock(&file).unwrap_err().code(), 3);
    assert_eq!(Datadir::open(&file.join("node"), Some(solo())).unwrap_err().code(), 1);
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    let locked = folder.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
    // For root there is no such thing.
    if fs::write(locked.join("probe"), "").is_err() {
        let refused = Datadir::open(&locked, Some(solo())).unwrap_err();
        assert_eq!(refused.code(), 1);
        assert!(refused.to_string().contains("must belong to the user"), "{refused}");
        assert!(contents(&locked).is_empty());
    }
}

/// Which network a ledger is of is not ours to guess, and nobody's to be told that there is none.
#[test]
fn a_ledger_whose_genesis_is_gone_is_damaged_whether_or_not_another_is_given() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("journal")).unwrap();
    for given in [None, Some(solo())] {
        let refused = Datadir::open(folder.path(), given).unwrap_err();
        assert_eq!(refused.code(), 5, "{refused}");
        assert!(refused.to_string().contains("copy the network's genesis file there"), "{refused}");
    }
}
