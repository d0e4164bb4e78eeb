//! Repairing a damaged journal: what is sound from its beginning on stays, the rest is set aside, and the blocks in
//! it, with those that peers give, are journalled anew.
//!
//! Nothing is changed before it is known where the missing blocks are to come from: out of what is set aside
//! ([`Salvage`]), or from peers if there are any. The order of the steps is such that a crash between any two of them
//! is repaired by beginning again: segments set aside keep their bytes, and the sound beginning takes the damaged
//! segment's place by one rename. How far the chain was final is kept beside them ([`Lost`]) until it is whole again.

use std::collections::HashSet;
use std::sync::Arc;

use printsy_consensus::{Genesis, Hash};

use super::bytes::len_usize;
use super::disk::Disk;
use super::error::StoreError;
use super::headers::{self, HeaderFile};
use super::lost::{LOST_HEADERS, Lost};
use super::note::{self, SyncedNote};
use super::reader::read_commit;
use super::recovery::{check_header_at, list_bases};
use super::salvage::{Salvage, aside, aside_name};
use super::segment::{FOLDER, Segments, file_name};

/// Where the sound beginning of a segment is written before it takes its place.
const NEW_FILE: &str = "journal/repair.new";
const CHUNK_BYTES: u64 = 8 << 20;

/// What becomes of blocks that the journal has lost and that only peers can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// There are peers to ask.
    Fetch,
    /// There is nobody: the repair is refused.
    Refuse,
}

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// What was wrong, and where.
    pub damage: String,
    /// The height up to which the journal was sound.
    pub height: u64,
    /// The blocks to fetch from peers: height and id, the lowest first. Those that nothing tells of are not here.
    pub missing: Vec<(u64, Hash)>,
}

/// The journal's sound beginning.
struct Beginning {
    segments: Segments,
    /// Where it ends.
    end: u64,
    /// Up to where the journal was synced, as far as is noted.
    noted: u64,
    final_height: u64,
    /// The chain's blocks there, by height from 1 on.
    chain: Vec<Hash>,
    /// What is wrong after it.
    damage: Option<StoreError>,
}

/// What of the lost end can be made again.
struct Prospect {
    /// Whether there is a lost end at all.
    is_lost: bool,
    missing: Vec<(u64, Hash)>,
    is_whole: bool,
}

/// Repairs the journal on a disk so far that it can be opened; `None` where nothing of it is lost. `known_final` is the
/// greatest final height known from elsewhere; `missing` says what becomes of what is lost.
///
/// # Errors
/// [`StoreError::Damaged`] where blocks are lost that only peers could give and there are none: nothing was changed.
/// The disk's.
pub fn repair(
    disk: &Arc<dyn Disk>,
    genesis: &Genesis,
    known_final: u64,
    missing: Missing,
) -> Result<Option<Repair>, StoreError> {
    let headers = headers_before(disk)?;
    let beginning = sound_beginning(disk, genesis.hash())?;
    // What an attempt before this one set aside is looked through as well.
    let mut left = files_after(&beginning)?;
    left.extend(aside(disk.as_ref())?);
    let found = Salvage::search(disk, &genesis.hash(), &headers, left)?;
    let prospect = prospect(&beginning, &found, &headers, genesis)?;
    // A note that cannot be read is written again from what is known.
    if !prospect.is_lost && Lost::read(disk.as_ref()).is_ok() {
        return Ok(None);
    }
    let damage = beginning.damage.clone().unwrap_or_else(|| {
        StoreError::damaged(FOLDER, beginning.end, "the journal ends before the chain that was synced")
    });
    if !prospect.is_whole && missing == Missing::Refuse {
        return Err(beyond_repair(damage, &prospect));
    }
    let height = beginning.height();
    let final_height = beginning.final_height.max(found.final_height).max(known_final);
    keep_what_was_known(disk, &headers, final_height)?;
    cut_back(disk, &beginning)?;
    tracing::warn!(%damage, height, final_height, "the damaged end of the journal is set aside and made anew");
    let missing = prospect.missing;
    Ok(Some(Repair { damage: damage.to_string(), height, missing }))
}

fn beyond_repair(damage: StoreError, prospect: &Prospect) -> StoreError {
    let what = match prospect.missing.first() {
        Some((height, id)) => format!("block {id} at height {height} cannot be read there"),
        None => "what the journal held after it cannot be told from what is left".to_owned(),
    };
    let advice = "start the node with --bootnodes, and what is missing is fetched from peers";
    match damage {
        StoreError::Damaged { file, offset, what: wrong } => {
            StoreError::damaged(file, offset, format!("{wrong}; {what}: {advice}"))
        }
        other => other,
    }
}

/// Walks all commits with all checksums up to the first that is not sound.
fn sound_beginning(disk: &Arc<dyn Disk>, genesis: Hash) -> Result<Beginning, StoreError> {
    let bases = list_bases(disk.as_ref())?;
    let limit = match bases.last() {
        Some(base) => base.saturating_add(file_len(disk.as_ref(), &file_name(*base))?),
        None => 0,
    };
    let segments = Segments::new(disk.clone(), genesis, bases);
    let (_, noted) = SyncedNote::read(disk.as_ref())?;
    let mut beginning =
        Beginning { segments, end: 0, noted, final_height: 0, chain: Vec::new(), damage: None };
    while beginning.end < limit && beginning.damage.is_none() {
        let (segments, start) = (&beginning.segments, beginning.end);
        let commit = check_header_at(segments, start, limit).and_then(|()| {
            read_commit(segments, start, limit, |position, head| {
                segments.payload(position, head, limit).map(|_block| ())
            })
        });
        match commit {
            Ok(stored) => {
                let kept = beginning.chain.len().saturating_sub(stored.disconnect.len());
                beginning.chain.truncate(kept);
                beginning.chain.extend(stored.connect.iter().map(|(id, _)| *id));
                beginning.final_height = stored.final_height;
                beginning.end = stored.end;
            }
            Err(damage @ StoreError::Damaged { .. }) => beginning.damage = Some(damage),
            Err(error) => return Err(error),
        }
    }
    Ok(beginning)
}

fn file_len(disk: &dyn Disk, file: &str) -> Result<u64, StoreError> {
    Ok(disk.len(file).map_err(|error| StoreError::io("read", file, error))?.unwrap_or(0))
}

/// The segments that hold anything after the sound beginning, with their bases.
fn files_after(beginning: &Beginning) -> Result<Vec<(String, u64)>, StoreError> {
    let disk = beginning.segments.disk.as_ref();
    let mut files = Vec::new();
    for base in list_bases(disk)? {
        let name = file_name(base);
        if base.saturating_add(file_len(disk, &name)?) > beginning.end || base >= beginning.end {
            files.push((name, base));
        }
    }
    Ok(files)
}

/// Follows the chain from the last tip that anything tells of back to the sound beginning.
fn prospect(
    beginning: &Beginning,
    found: &Salvage,
    headers: &HeaderFile,
    genesis: &Genesis,
) -> Result<Prospect, StoreError> {
    let listed = beginning.listed_after(headers);
    let mut missing = Vec::new();
    for (height, id) in &listed {
        if !found.gives(id, genesis)? {
            missing.push((*height, *id));
        }
    }
    let is_short = beginning.damage.is_some() || beginning.end < beginning.noted;
    let is_told = match (found.last_tip, listed.last()) {
        (Some(last), _) => beginning.is_reached_from(last, &listed, found, genesis)?,
        (None, Some(_)) => true,
        (None, None) => !is_short,
    };
    let is_lost = is_short
        || !listed.is_empty()
        || found.last_tip.is_some_and(|last| beginning.chain.last() != Some(&last));
    Ok(Prospect { is_lost, is_whole: is_told && missing.is_empty(), missing })
}

impl Beginning {
    fn height(&self) -> u64 {
        u64::try_from(self.chain.len()).expect("blocks are counted in 64 bits")
    }

    /// The id of its block at a height.
    fn block_at(&self, height: u64) -> Option<Hash> {
        match height.checked_sub(1) {
            None => Some(self.segments.genesis),
            Some(index) => self.chain.get(usize::try_from(index).ok()?).copied(),
        }
    }

    /// The blocks that headers.dat tells of and that are not in it, each the child of the one before, by height.
    fn listed_after(&self, headers: &HeaderFile) -> Vec<(u64, Hash)> {
        let id_at = |height| headers.get(height).ok().flatten().map(|record| record.signed.header.id());
        let fork =
            (0..=self.height()).rfind(|height| *height == 0 || id_at(*height) == self.block_at(*height));
        let mut listed: Vec<(u64, Hash)> = Vec::new();
        let mut below = fork.and_then(|height| self.block_at(height));
        for height in fork.unwrap_or(0).saturating_add(1)..headers.count() {
            let Ok(Some(record)) = headers.get(height) else { break };
            if below != Some(record.signed.header.parent) {
                break;
            }
            let id = record.signed.header.id();
            listed.push((height, id));
            below = Some(id);
        }
        listed
    }

    /// Whether the way down from a block, through what was found and what headers.dat lists, ends here.
    fn is_reached_from(
        &self,
        tip: Hash,
        listed: &[(u64, Hash)],
        found: &Salvage,
        genesis: &Genesis,
    ) -> Result<bool, StoreError> {
        let listed: HashSet<Hash> = listed.iter().map(|(_, id)| *id).collect();
        let mut next = tip;
        loop {
            if listed.contains(&next) || self.chain.last() == Some(&next) {
                return Ok(true);
            }
            if !found.gives(&next, genesis)? {
                return Ok(false);
            }
            let Some(header) = found.header(&next)? else { return Ok(false) };
            let (parent, below) = (header.header.parent, header.header.height.checked_sub(1));
            match below {
                Some(below) if below <= self.height() => return Ok(self.block_at(below) == Some(parent)),
                Some(_) => next = parent,
                None => return Ok(false),
            }
        }
    }
}

/// headers.dat as it was before the repair: of the attempt before this one, if there was one.
fn headers_before(disk: &Arc<dyn Disk>) -> Result<HeaderFile, StoreError> {
    let kept = disk.len(LOST_HEADERS).map_err(|error| StoreError::io("read", LOST_HEADERS, error))?;
    HeaderFile::open_as(disk.clone(), if kept.is_some() { LOST_HEADERS } else { headers::FILE })
}

/// Keeps, until the chain is whole again, what the journal's beginning does not tell: how far it was final, and what
/// headers.dat knew of it.
fn keep_what_was_known(
    disk: &Arc<dyn Disk>,
    headers: &HeaderFile,
    final_height: u64,
) -> Result<(), StoreError> {
    let disk = disk.as_ref();
    if disk.len(LOST_HEADERS).map_err(|error| StoreError::io("read", LOST_HEADERS, error))?.is_none() {
        let len = file_len(disk, headers::FILE)?;
        disk.remove(NEW_FILE).map_err(|error| StoreError::io("write", NEW_FILE, error))?;
        disk.append(NEW_FILE, &[]).map_err(|error| StoreError::io("write", NEW_FILE, error))?;
        copy(disk, headers::FILE, NEW_FILE, len)?;
        disk.rename(NEW_FILE, LOST_HEADERS).map_err(|error| StoreError::io("rename", NEW_FILE, error))?;
    }
    let known = headers.get(final_height).ok().flatten().map(|record| record.signed.header.id());
    Lost { final_height, final_id: known }.write(disk)
}

/// Sets aside what is not sound, and puts the sound beginning in its place.
fn cut_back(disk: &Arc<dyn Disk>, beginning: &Beginning) -> Result<(), StoreError> {
    let disk = disk.as_ref();
    for (name, base) in files_after(beginning)? {
        let aside = aside_name(disk, base)?;
        if base >= beginning.end {
            disk.rename(&name, &aside).map_err(|error| StoreError::io("rename", &name, error))?;
            continue;
        }
        // Whole or not at all: a copy that a crash cut short would be copied again under the next number.
        disk.remove(NEW_FILE).map_err(|error| StoreError::io("write", NEW_FILE, error))?;
        copy(disk, &name, NEW_FILE, file_len(disk, &name)?)?;
        disk.rename(NEW_FILE, &aside).map_err(|error| StoreError::io("rename", NEW_FILE, error))?;
        disk.remove(NEW_FILE).map_err(|error| StoreError::io("write", NEW_FILE, error))?;
        copy(disk, &name, NEW_FILE, beginning.end - base)?;
        disk.rename(NEW_FILE, &name).map_err(|error| StoreError::io("rename", NEW_FILE, error))?;
    }
    disk.remove(note::FILE).map_err(|error| StoreError::io("remove", note::FILE, error))
}

/// Copies the first `len` bytes of a file, durably.
fn copy(disk: &dyn Disk, from: &str, to: &str, len: u64) -> Result<(), StoreError> {
    let mut at = 0;
    while at < len {
        let some = CHUNK_BYTES.min(len - at);
        let bytes = disk.read(from, at, len_usize(some));
        let bytes = bytes.map_err(|error| StoreError::io("read", from, error))?;
        disk.append(to, &bytes).map_err(|error| StoreError::io("write", to, error))?;
        at += some;
    }
    disk.sync(to).map_err(|error| StoreError::io("sync", to, error))
}
