//! The orders that were sent from here, kept so that the very same bytes can be sent again.
//!
//! A file for each order, written before it is sent, its owner's alone. An order that got lost must never be made
//! anew before its last height is final; to send it again is harmless. At most [`MAX_KEPT`] are kept: when one more
//! comes, those go first whose last height is final on their network, then the oldest.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use printsy_consensus::Hash;
use printsy_keys::disk::{self, SystemFiles};
use printsy_keys::{KeyError, Keyring};
use printsy_rpc::chain::Chain;
use printsy_rpc::{HashHex, TransactionHex};
use serde::{Deserialize, Serialize};

/// How many orders are kept: a busy shop's few minutes, and a person's years; a few MiB at the most.
pub const MAX_KEPT: usize = 1_000;
/// The largest file: the largest order in hex, and what stands around it.
const MAX_FILE_BYTES: u64 = 32 * 1024;
const EXTENSION: &str = "order";

/// A folder of orders.
#[derive(Clone, Debug)]
pub struct Outbox {
    folder: PathBuf,
}

/// An order as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Its id.
    pub tx_id: HashHex,
    /// The network's name.
    pub network: String,
    /// The network's genesis.
    pub genesis: HashHex,
    /// The last height that may include it.
    pub expires_at: u64,
    /// When it was first sent, in milliseconds since 1970.
    pub sent: u64,
    /// What it does, for people.
    pub what: String,
    /// Its bytes.
    pub transaction: TransactionHex,
}

impl Outbox {
    /// The outbox beside a user's ring.
    #[must_use]
    pub fn beside(ring: &Keyring) -> Self {
        Self { folder: ring.folder().with_file_name("orders") }
    }

    /// Keeps an order, and makes it lasting. `chain` is where its network stands. Says what had to go for it.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn keep(&self, order: &Kept, chain: &Chain) -> Result<Vec<HashHex>> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).with_context(|| self.about())?;
        let gone = self.make_room(chain)?;
        let text = serde_json::to_string_pretty(order)?;
        match disk::create(&SystemFiles, &self.path(&order.tx_id), text.as_bytes()) {
            // Kept before: the id is of the very same order.
            Ok(()) | Err(KeyError::Exists { .. }) => Ok(gone),
            Err(error) => Err(error.into()),
        }
    }

    /// The order with this id, if it is kept.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn get(&self, tx_id: &HashHex) -> Result<Option<Kept>> {
        match read(&self.path(tx_id)) {
            Err(error) if is_missing(&error) => Ok(None),
            other => other.map(Some),
        }
    }

    /// All orders that can be read, the last sent first.
    ///
    /// # Errors
    /// If the folder is there and cannot be read.
    pub fn list(&self) -> Result<Vec<Kept>> {
        let mut orders: Vec<Kept> = self.paths()?.iter().filter_map(|path| read(path).ok()).collect();
        orders.sort_by(|a, b| b.sent.cmp(&a.sent).then(a.tx_id.cmp(&b.tx_id)));
        Ok(orders)
    }

    /// Forgets an order that was refused for good before anybody else saw it.
    pub fn forget(&self, tx_id: &Hash) {
        // One order too many in the outbox harms nobody.
        let _ = disk::remove(&SystemFiles, &self.path(&HashHex::from(*tx_id)));
    }

    /// Makes room for one more, and says which orders had to go whose end is not known.
    fn make_room(&self, chain: &Chain) -> Result<Vec<HashHex>> {
        let paths = self.paths()?;
        if paths.len() < MAX_KEPT {
            return Ok(Vec::new());
        }
        let over = |kept: &Kept| kept.genesis == chain.genesis && kept.expires_at <= chain.final_block.height;
        let mut open = Vec::new();
        for path in paths {
            match read(&path) {
                Ok(kept) if !over(&kept) => open.push((kept.sent, kept.tx_id, path)),
                // Over, or nothing that can be sent.
                _ => fs::remove_file(&path).with_context(|| self.about())?,
            }
        }
        open.sort_unstable();
        let surplus = open.len().saturating_sub(MAX_KEPT - 1);
        for (_, _, path) in &open[..surplus] {
            fs::remove_file(path).with_context(|| self.about())?;
        }
        Ok(open[..surplus].iter().map(|(_, id, _)| *id).collect())
    }

    fn paths(&self) -> Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.with_context(|| self.about())?,
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.with_context(|| self.about())?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                paths.push(path);
            }
        }
        Ok(paths)
    }

    fn path(&self, tx_id: &HashHex) -> PathBuf {
        self.folder.join(format!("{tx_id}.{EXTENSION}"))
    }

    fn about(&self) -> String {
        format!("cannot keep orders in {}", self.folder.display())
    }
}

fn read(path: &Path) -> Result<Kept> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE_BYTES).read_to_string(&mut text)?;
    serde_json::from_str(&text).with_context(|| format!("{} is not a kept order", path.display()))
}

fn is_missing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}
