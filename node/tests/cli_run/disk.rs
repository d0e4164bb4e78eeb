//! The daemon and its disk: full, nearly full, gone, replaced, and written by a newer program.

use std::path::PathBuf;
use std::process::Command;

use super::program::contents;
use super::*;

/// A running `--dev` node with its data in `datadir` and these variables, and where it serves.
fn start(home: &Path, datadir: &Path, variables: &[(&str, &str)]) -> (Running, SocketAddr) {
    let line = ["run", "--dev", "--datadir", text(datadir), "--rpc-listen", "127.0.0.1:0"];
    let mut command = printsyd(home, &line);
    command.envs(variables.iter().copied());
    let mut node = Running::start(command);
    let address = address_in(&node.wait_for("is ready at http://"));
    (node, address)
}

fn buy(address: SocketAddr, reference: u8) -> Option<Value> {
    ask(address, "executeTransaction", json!([purchase(25, 1, reference)]))
}

#[track_caller]
fn assert_bought(address: SocketAddr, reference: u8) {
    let answer = buy(address, reference).expect("the node answers");
    assert_eq!(answer["result"]["status"], "included", "{answer}");
}

/// A small file system of its own, where this process may mount one: not on every machine.
struct SmallDisk {
    _folder: TempDir,
    path: PathBuf,
}

impl SmallDisk {
    fn mount(mib: u64) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("disk");
        fs::create_dir(&path).unwrap();
        let size = format!("size={mib}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&path).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self { _folder: folder, path });
        }
        eprintln!("skipped: this process may not mount a file system");
        None
    }

    /// Fills it with a file until only so many bytes are free.
    fn fill(&self, leave: u64) {
        let stat = rustix::fs::statvfs(&self.path).unwrap();
        let free = stat.f_bavail * stat.f_frsize;
        let filler = vec![1; usize::try_from(free.saturating_sub(leave)).unwrap()];
        // At the very end the last of it does not fit, which is as well.
        let _ = fs::write(self.path.join("filler"), filler);
    }

    fn empty(&self) {
        fs::remove_file(self.path.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A test may have laid a second one over it.
        while unmount(&self.path) {}
    }
}

fn unmount(path: &Path) -> bool {
    Command::new("umount").arg("-l").arg(path).output().is_ok_and(|output| output.status.success())
}

#[test]
fn orders_and_mining_stop_before_the_disk_is_full_and_begin_again() {
    let Some(disk) = SmallDisk::mount(64) else { return };
    let home = TempDir::new().unwrap();
    let limit = [("PRINTSY_STORAGE__MIN_FREE_MIB", "16")];
    let (mut node, address) = start(home.path(), &disk.path.join("node"), &limit);
    assert_bought(address, 1);
    disk.fill(15 << 20);
    node.wait_for("the disk is nearly full");
    let refused = buy(address, 2).unwrap();
    assert_eq!(
        (&refused["error"]["code"], &refused["error"]["data"]["retryable"]),
        (&json!(3003), &json!(true))
    );
    let refused = ask(address, "generateBlocks", json!([1])).unwrap();
    assert_eq!(refused["error"]["code"], 3003, "{refused}");
    let ready = get(address, "/readyz");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("\"disk\""), "{ready}");
    assert!(get(address, "/metrics").contains("printsy_disk_free_bytes 1"), "some ten MiB");
    disk.empty();
    node.wait_for("there is room again");
    // What the core answers comes after what it shows.
    assert_bought(address, 2);
    assert!(get(address, "/readyz").starts_with("HTTP/1.1 200"));
    assert_eq!(node.stop_by("TERM").0, 0);
}

#[test]
fn a_full_disk_ends_with_eight_and_with_room_again_nothing_is_lost() {
    let Some(disk) = SmallDisk::mount(48) else { return };
    let home = TempDir::new().unwrap();
    let datadir = disk.path.join("node");
    let unguarded = [("PRINTSY_STORAGE__MIN_FREE_MIB", "0")];
    let (node, address) = start(home.path(), &datadir, &unguarded);
    assert_bought(address, 1);
    disk.fill(0);
    let mut tip = call(address, "getChain", json!([]))["tip"].take();
    // A block is half a kilobyte: the last pages take some.
    while let Some(mut answer) = ask(address, "generateBlocks", json!([1])) {
        if answer["error"].is_null() {
            tip = answer["result"]["tip"].take();
        }
    }
    let (code, errors) = node.wait_for_end();
    assert_eq!((code, errors.len()), (8, 1), "{errors:?}");
    assert!(errors[0].contains("disk is full") && errors[0].contains("make room"), "{errors:?}");
    // Nor does it begin while there is none, and that is said as plainly.
    let line = ["run", "--dev", "--datadir", text(&datadir), "--rpc-listen", "127.0.0.1:0", "--log", "off"];
    let ended = run(printsyd(home.path(), &line));
    assert_eq!(ended.code, 8, "{ended:?}");
    disk.empty();
    let (node, address) = start(home.path(), &datadir, &unguarded);
    let height = tip["height"].as_u64().unwrap();
    let block = call(address, "getHeader", json!({ "height": height }));
    assert_eq!(block["hash"], tip["hash"], "the last block that was answered");
    assert_eq!(call(address, "isAvailable", json!([25]))["sold"], 1);
    assert_bought(address, 2);
    assert_eq!(node.stop_by("TERM").0, 0);
}

#[test]
fn a_datadir_that_is_removed_ends_the_node_and_nothing_is_acknowledged_after_it() {
    let home = TempDir::new().unwrap();
    let datadir = home.path().join("node");
    let (node, address) = start(home.path(), &datadir, &[]);
    assert_bought(address, 1);
    // A file that is made meanwhile keeps its folder for another try.
    while datadir.exists() {
        let _ = fs::remove_dir_all(&datadir);
    }
    let answer = buy(address, 2);
    let status = answer.as_ref().map(|answer| &answer["result"]["status"]);
    assert_ne!(status, Some(&json!("included")), "{answer:?}");
    let (code, errors) = node.wait_for_end();
    assert_eq!((code, errors.len()), (1, 1), "{errors:?}");
    assert!(errors[0].contains("is gone") || errors[0].contains("was removed"), "{errors:?}");
    assert!(!datadir.exists(), "nothing is made in its place");
}

#[test]
fn an_idle_node_notices_that_its_datadir_moved_or_was_replaced() {
    let home = TempDir::new().unwrap();
    let (datadir, aside) = (home.path().join("node"), home.path().join("aside"));
    for is_replaced in [false, true] {
        let (node, _) = start(home.path(), &datadir, &[]);
        fs::rename(&datadir, &aside).unwrap();
        if is_replaced {
            fs::create_dir(&datadir).unwrap();
            fs::write(datadir.join("lock"), "").unwrap();
        }
        let (code, errors) = node.wait_for_end();
        assert_eq!((code, errors.len()), (1, 1), "{errors:?}");
        // A look between the two steps finds nothing there.
        let is_told = is_replaced && errors[0].contains("was replaced");
        assert!(is_told || errors[0].contains("is gone or has moved"), "{errors:?}");
        if is_replaced {
            assert_eq!(contents(&datadir).len(), 1, "nothing was written beside the new lock");
            fs::remove_dir_all(&datadir).unwrap();
        }
        // Put back, it is as it was.
        fs::rename(&aside, &datadir).unwrap();
    }
    let (node, _) = start(home.path(), &datadir, &[]);
    assert_eq!(node.stop_by("TERM").0, 0);
}

/// The checksum of a segment's header, by its definition.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn a_newer_journal_is_refused_byte_for_byte_untouched() {
    let home = TempDir::new().unwrap();
    let datadir = home.path().join("node");
    let (node, address) = start(home.path(), &datadir, &[]);
    call(address, "generateBlocks", json!([3]));
    assert_eq!(node.stop_by("TERM").0, 0);
    let segment = datadir.join("journal/00000000000000000000.seg");
    let mut bytes = fs::read(&segment).unwrap();
    // magic [8] | format u32 | genesis [32] | base u64 | crc32 u32
    bytes[8..12].copy_from_slice(&2u32.to_le_bytes());
    let crc = crc32(&bytes[..52]);
    bytes[52..56].copy_from_slice(&crc.to_le_bytes());
    fs::write(&segment, bytes).unwrap();
    // An index that cannot be opened is thrown away, but not in a datadir that is not ours to touch.
    for is_index_sound in [true, false] {
        if !is_index_sound {
            fs::write(datadir.join("index/conf"), "nonsense").unwrap();
        }
        // The lock names whoever used the datadir last.
        let untouched = || {
            let mut files = contents(&datadir);
            files.remove(&datadir.join("lock"));
            files
        };
        let before = untouched();
        let line =
            ["run", "--dev", "--datadir", text(&datadir), "--rpc-listen", "127.0.0.1:0", "--log", "off"];
        run(printsyd(home.path(), &line)).refuses(6, &["newer program", ".seg"]);
        assert!(untouched() == before, "an index that is sound: {is_index_sound}");
    }
}

#[test]
fn a_datadir_that_cannot_be_used_is_one_line_that_says_what_to_do() {
    let home = TempDir::new().unwrap();
    let line = |path| ["run", "--dev", "--datadir", path, "--rpc-listen", "127.0.0.1:0", "--log", "off"];
    let file = home.path().join("file");
    let below = file.join("node");
    fs::write(&file, "").unwrap();
    run(printsyd(home.path(), &line(text(&file)))).refuses(3, &[text(&file), "not a folder", "--datadir"]);
    run(printsyd(home.path(), &line(text(&below)))).refuses(1, &["a file stands where", "file"]);
    let datadir = home.path().join("node");
    let (node, _) = start(home.path(), &datadir, &[]);
    assert_eq!(node.stop_by("TERM").0, 0);
    // A journal that is no folder.
    let journal = datadir.join("journal");
    if journal.exists() {
        fs::remove_dir_all(&journal).unwrap();
    }
    fs::write(&journal, "").unwrap();
    run(printsyd(home.path(), &line(text(&datadir)))).refuses(1, &["journal", "a file stands where"]);
    fs::remove_file(&journal).unwrap();
    // For root everything is writable, but for what is mounted so.
    let Some(disk) = SmallDisk::mount(8) else { return };
    let there = disk.path.join("node");
    fs::create_dir(&there).unwrap();
    let remount = |how| Command::new("mount").args(["-o", how]).arg(&disk.path).status().unwrap().success();
    assert!(remount("remount,ro"));
    let ended = run(printsyd(home.path(), &line(text(&there))));
    ended.refuses(1, &["read-only file system", "make that writable"]);
}

#[test]
fn a_disk_that_turns_read_only_ends_an_idle_node() {
    let Some(disk) = SmallDisk::mount(48) else { return };
    let home = TempDir::new().unwrap();
    let datadir = disk.path.join("node");
    let (node, address) = start(home.path(), &datadir, &[("PRINTSY_STORAGE__MIN_FREE_MIB", "1")]);
    assert_bought(address, 1);
    // As an operator's mistake or a dying disk does it: a second view of the folder, laid over it.
    let bound = Command::new("mount").arg("--bind").arg(&disk.path).arg(&disk.path).status().unwrap();
    assert!(bound.success());
    let flags = ["-o", "remount,bind,ro"];
    assert!(Command::new("mount").args(flags).arg(&disk.path).status().unwrap().success());
    let (code, errors) = node.wait_for_end();
    assert!(unmount(&disk.path), "the view alone");
    assert_eq!((code, errors.len()), (1, 1), "{errors:?}");
    assert!(errors[0].contains("read-only"), "{errors:?}");
    let (node, address) = start(home.path(), &datadir, &[("PRINTSY_STORAGE__MIN_FREE_MIB", "1")]);
    assert_eq!(call(address, "isAvailable", json!([25]))["sold"], 1);
    assert_eq!(node.stop_by("TERM").0, 0);
}
