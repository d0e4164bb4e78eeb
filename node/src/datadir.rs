//! The datadir: its folder, its lock, and the small files beside the ledger.
//!
//! ```text
//! lock           held while a process uses the datadir; its process id
//! genesis.json   the network: a copy of the file it was begun with
//! node.key       who the node is to its peers: an Ed25519 seed, 64 hex digits, for its owner alone
//! peers          addresses that were reached, one a line, for the next start
//! rpc.cookie     lets RPC callers do everything: another one at every start, gone at the stop
//! rpc.tokens     the lasting tokens of RPC callers, hashed
//! printsyd.toml  the configuration, if `init` wrote one or an operator did
//! ```
//! The journal, headers and index lie in the same folder and belong to the ledger.
//!
//! # Correctness
//! A datadir of another network is refused before anything in it is touched. Files appear whole or not at all:
//! each is written beside its place, synced, and moved there.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use printsy_consensus::Genesis;
use printsy_ledger::MAX_GENESIS_TEXT_BYTES;
use rand::TryRng;
use rand::rngs::SysRng;

use crate::exit::Failure;
use crate::guard::{DiskGuard, check_usable};
use crate::tokens::{COOKIE_FILE, Secret};

/// The genesis file's name in a datadir.
pub const GENESIS_FILE: &str = "genesis.json";
/// The lock's name in a datadir.
pub const LOCK_FILE: &str = "lock";
/// The node key's name in a datadir.
pub const NODE_KEY_FILE: &str = "node.key";
/// The saved addresses' name in a datadir.
pub const PEERS_FILE: &str = "peers";

/// What a ledger leaves in a datadir; the journal itself begins with the first block.
const LEDGER_FILES: [&str; 3] = ["journal", "headers.dat", "index"];

/// The most addresses saved or read: more than a restart ever tries.
pub const MAX_PEERS: usize = 256;

/// The most bytes read of the small files beside the genesis: 256 addresses of 400 bytes.
const MAX_SMALL_BYTES: u64 = 128 << 10;

/// A genesis, and the very text it was read from.
#[derive(Clone, Debug)]
pub struct GivenGenesis {
    /// The genesis.
    pub genesis: Genesis,
    /// Its file's text.
    pub text: String,
    /// Where it came from, for people.
    pub from: String,
}

impl GivenGenesis {
    /// The genesis that the file at `path` describes.
    ///
    /// # Errors
    /// Exit code 3, with the file and the rule.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let from = path.display().to_string();
        let most = u64::try_from(MAX_GENESIS_TEXT_BYTES).unwrap_or(u64::MAX);
        let text = read_bounded(path, most)
            .map_err(|error| Failure::Config(format!("cannot read the genesis {from}: {error}")))?;
        let genesis = Genesis::from_json(&text)
            .map_err(|error| Failure::Config(format!("bad genesis {from}: {error}")))?;
        Ok(Self { genesis, text, from })
    }

    /// A genesis that is built in.
    #[must_use]
    pub fn built_in(genesis: Genesis, from: &str) -> Self {
        Self { text: genesis.to_json() + "\n", genesis, from: from.to_owned() }
    }
}

/// Whether a process uses the datadir at `path` now.
#[must_use]
pub fn is_in_use(path: &Path) -> bool {
    let lock = File::open(path.join(LOCK_FILE));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// A datadir that this process alone uses, for as long as this value lives.
#[derive(Debug)]
pub struct Datadir {
    path: PathBuf,
    lock: File,
}

impl Datadir {
    /// Opens the datadir at `path` for the network of `given`, or for the one it holds; makes it where there is
    /// none and a genesis is given.
    ///
    /// # Errors
    /// Exit code 1 where it cannot be written; 3 where it is no folder, no genesis is given or held, or the held
    /// one is bad; 4 where another process uses the datadir; 5 where it holds a ledger, and no genesis or a bad one;
    /// 6 where it holds another genesis. Nothing is touched then.
    pub fn open(path: &Path, given: Option<GivenGenesis>) -> Result<(Self, Genesis), Failure> {
        check_folder(path)?;
        let held = held_genesis(path)?;
        agree(path, given.as_ref(), held.as_ref())?;
        if given.is_none() && held.is_none() {
            refuse_nameless_ledger(path)?;
            return Err(Failure::Config(format!(
                "{} holds no genesis: pass --genesis FILE, or make a network with `printsyd init`",
                path.display()
            )));
        }
        let datadir = Self::lock(path)?;
        // Looked at again under the lock: another process may have begun the datadir meanwhile.
        let held = held_genesis(path)?;
        agree(path, given.as_ref(), held.as_ref())?;
        match (held, given) {
            (Some(held), _) => Ok((datadir, held.genesis)),
            (None, Some(given)) => {
                refuse_nameless_ledger(path)?;
                datadir.write(GENESIS_FILE, given.text.as_bytes(), 0o644)?;
                Ok((datadir, given.genesis))
            }
            (None, None) => Err(Failure::Runtime(format!("the genesis in {} went away", path.display()))),
        }
    }

    /// Makes the folder where there is none, and locks it, whatever network it is of.
    ///
    /// # Errors
    /// Exit code 1 where it cannot be written; 3 where it is no folder; 4 where another process uses the datadir.
    pub fn lock(path: &Path) -> Result<Self, Failure> {
        check_folder(path)?;
        create_folder(path)?;
        check_usable(path)?;
        let file = path.join(LOCK_FILE);
        let open =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&file);
        let mut lock = open.map_err(|error| Failure::io("open", &file, &error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(path, &mut lock)),
            Err(TryLockError::Error(error)) => return Err(Failure::io("lock", &file, &error)),
        }
        let noted = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        noted.map_err(|error| Failure::io("write", &file, &error))?;
        Ok(Self { path: path.to_owned(), lock })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A guard that looks whether the datadir is still this very one, and has `least_bytes` of room.
    ///
    /// # Errors
    /// The operating system's.
    pub fn guard(&self, least_bytes: u64) -> Result<DiskGuard, Failure> {
        let lock_file = self.path.join(LOCK_FILE);
        DiskGuard::new(&self.path, &lock_file, &self.lock, least_bytes)
            .map_err(|error| Failure::io("look at", &lock_file, &error))
    }

    /// The node's secret, made at the first call.
    ///
    /// # Errors
    /// Exit code 3 where the file is no key, or others than its owner may read it.
    pub fn node_key(&self) -> Result<[u8; 32], Failure> {
        let path = self.path.join(NODE_KEY_FILE);
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = new_node_key()?;
                self.write(NODE_KEY_FILE, format!("{}\n", hex::encode(key)).as_bytes(), 0o600)?;
                Ok(key)
            }
            Err(error) => Err(Failure::io("read", &path, &error)),
            Ok(metadata) => read_node_key(&path, metadata.permissions().mode() & 0o7777),
        }
    }

    /// The addresses saved at the last stop; none where there are none, or they cannot be read: they only save
    /// time.
    #[must_use]
    pub fn load_peers(&self) -> Vec<String> {
        let text = match read_bounded(&self.path.join(PEERS_FILE), MAX_SMALL_BYTES) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                tracing::warn!(%error, "the saved peers cannot be read");
                return Vec::new();
            }
        };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.take(MAX_PEERS).map(ToOwned::to_owned).collect()
    }

    /// Saves addresses for the next start, the first [`MAX_PEERS`] of them.
    ///
    /// # Errors
    /// Where the disk refuses; what was saved before stays.
    pub fn save_peers(&self, addresses: &[String]) -> Result<(), Failure> {
        let lines = addresses.iter().take(MAX_PEERS).map(|address| format!("{address}\n"));
        self.write(PEERS_FILE, lines.collect::<String>().as_bytes(), 0o600)
    }

    /// Puts a whole file in its place, durably.
    pub(crate) fn write(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), Failure> {
        write_file(&self.path, name, bytes, mode)
    }

    /// Makes the cookie of this run: a new secret, in a file that only the owner reads.
    ///
    /// # Errors
    /// Where the system gives no randomness, or the disk refuses.
    pub fn make_cookie(&self) -> Result<Secret, Failure> {
        let secret = Secret::generate()?;
        self.write(COOKIE_FILE, format!("{}\n", *secret.reveal()).as_bytes(), 0o600)?;
        Ok(secret)
    }

    /// Takes the cookie away, when its run is over.
    pub fn remove_cookie(&self) {
        let path = self.path.join(COOKIE_FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %path.display(), "the cookie stays; it is good for nothing now");
            }
            _ => {}
        }
    }
}

/// Puts a whole file in its place in a folder, durably.
///
/// # Errors
/// The operating system's; what was there before stays.
pub(crate) fn write_file(folder: &Path, name: &str, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let (path, beside) = (folder.join(name), folder.join(format!(".{name}.new")));
    let write = || -> io::Result<()> {
        // A leftover of a crash.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| Failure::io("write", &path, &error))
}

/// A new secret for a node, from the system's randomness.
///
/// # Errors
/// Where the system has none.
pub fn new_node_key() -> Result<[u8; 32], Failure> {
    let mut key = [0; 32];
    let filled = SysRng.try_fill_bytes(&mut key);
    filled.map_err(|error| {
        Failure::Runtime(format!("the system gave no random bytes for a node key: {error}"))
    })?;
    Ok(key)
}

/// The genesis that the datadir holds, if it is one.
fn held_genesis(path: &Path) -> Result<Option<GivenGenesis>, Failure> {
    let file = path.join(GENESIS_FILE);
    match fs::metadata(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::io("read", &file, &error)),
        Ok(_) => GivenGenesis::read(&file).map(Some).map_err(|failure| match failure {
            // It was good when the ledger beside it was begun.
            Failure::Config(message) if holds_ledger(path) => {
                Failure::Damaged(format!("{message}; copy the network's genesis file there"))
            }
            other => other,
        }),
    }
}

fn agree(path: &Path, given: Option<&GivenGenesis>, held: Option<&GivenGenesis>) -> Result<(), Failure> {
    let (Some(given), Some(held)) = (given, held) else { return Ok(()) };
    let (want, got) = (given.genesis.hash(), held.genesis.hash());
    if want == got {
        return Ok(());
    }
    Err(Failure::Foreign(format!(
        "{} belongs to {} (genesis {got}), and {} is {} (genesis {want}): give each network a datadir of its own",
        path.display(),
        held.genesis.params().network_name(),
        given.from,
        given.genesis.params().network_name(),
    )))
}

/// A ledger without the genesis file it was begun with: which network it is of is not ours to guess.
fn refuse_nameless_ledger(path: &Path) -> Result<(), Failure> {
    if !holds_ledger(path) {
        return Ok(());
    }
    Err(Failure::Damaged(format!(
        "{} holds a ledger but no {GENESIS_FILE}: copy the network's genesis file there",
        path.display()
    )))
}

/// Whether a datadir can be at `path`: there is a folder, or nothing yet.
fn check_folder(path: &Path) -> Result<(), Failure> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_dir() => Err(Failure::Config(format!(
            "the datadir {} is not a folder: choose another --datadir, or move the file away",
            path.display()
        ))),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::io("look into the datadir", path, &error)),
    }
}

fn holds_ledger(path: &Path) -> bool {
    LEDGER_FILES.iter().any(|name| path.join(name).exists())
}

fn create_folder(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Ok(());
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| Failure::io("create the datadir", path, &error))
}

fn in_use(path: &Path, lock: &mut File) -> Failure {
    let mut text = String::new();
    let read = lock.take(32).read_to_string(&mut text);
    let holder = match text.trim().parse::<u32>() {
        Ok(pid) if read.is_ok() => format!("process {pid}"),
        _ => "another process".to_owned(),
    };
    Failure::DatadirInUse(format!(
        "{holder} uses the datadir {}: stop it, or choose another --datadir",
        path.display()
    ))
}

fn read_node_key(path: &Path, mode: u32) -> Result<[u8; 32], Failure> {
    if mode & 0o077 != 0 {
        return Err(Failure::Config(format!(
            "others may read the node key {0} (mode {mode:04o}); run `chmod 600 {0}`",
            path.display()
        )));
    }
    let no_key = || {
        let path = path.display();
        Failure::Config(format!("{path} is not a node key of 64 hex digits; move it away for a new one"))
    };
    let text = read_bounded(path, 1024).map_err(|error| match error.kind() {
        // No text, too much of it, or no file.
        io::ErrorKind::InvalidData | io::ErrorKind::Other => no_key(),
        _ => Failure::io("read", path, &error),
    })?;
    let mut key = [0; 32];
    hex::decode_to_slice(text.trim_end(), &mut key).map_err(|_| no_key())?;
    Ok(key)
}

/// The whole text of a file, which must be a file and within `most` bytes.
pub(crate) fn read_bounded(path: &Path, most: u64) -> io::Result<String> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut text = String::new();
    let read = File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    if u64::try_from(read).is_ok_and(|read| read <= most) {
        Ok(text)
    } else {
        Err(io::Error::other(format!("it has more than {most} bytes")))
    }
}

#[cfg(test)]
mod tests;
