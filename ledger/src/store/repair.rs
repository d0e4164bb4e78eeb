//! Repairing a damaged journal: what is sound from its beginning on stays, the rest is set aside, and the blocks in
//! it, with those that peers give, are journalled anew.
//!
//! Nothing is changed before it is known where the missing blocks are to come from: out of what is set aside
//! ([`Salvage`]), or from peers if there are any. The order of the steps is such that a crash between any two of them
//! is repaired by beginning again: segments set aside keep their bytes, and the sound beginning takes the damaged
//! segment's place by one rename. How far the chain went and was final is kept beside them ([`Lost`]) until it is whole again.

use std::collections::HashSet;
use std::sync::Arc;

use printsy_consensus::{Genesis, Hash};

use super::aside::{aside, aside_name};
use super::bytes::len_usize;
use super::disk::Disk;
use super::error::StoreError;
use super::headers::{self, HeaderFile};
use super::lost::{LOST_HEADERS, Lost};
use super::mark::Mark;
use super::note::{self, SyncedNote};
use super::reader::read_commit;
use super::recovery::{check_header_at, list_bases};
use super::salvage::Salvage;
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
    /// Where its last segment ends.
    limit: u64,
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

/// Repairs the journal on a disk so far that it can be opened; `None` where nothing of it is lost. `mark` is what the
/// index stood at, if there was one; `missing` says what becomes of what is lost.
///
/// # Errors
/// [`StoreError::Damaged`] where blocks are lost that only peers could give and there are none: nothing was changed.
/// The disk's.
pub fn repair(
    disk: &Arc<dyn Disk>,
    genesis: &Genesis,
    mark: Option<Mark>,
    missing: Missing,
) -> Result<Option<Repair>, StoreError> {
    let headers = headers_before(disk)?;
    let beginning = sound_beginning(disk, genesis.hash())?;
    // What an attempt before this one set aside is looked through as well.
    let mut left = files_after(&beginning)?;
    let is_cut_back = left.is_empty();
    left.extend(aside(disk.as_ref())?);
    let is_begun = is_cut_back && !left.is_empty();
    let found = Salvage::search(disk, &genesis.hash(), &headers, left)?;
    // What the index stood at tells something where it is of the lost end, and no retreat came after it.
    let mark = mark.filter(|mark| mark.journal_end > beginning.end.max(found.last_retreat));
    let prospect = prospect(&beginning, &found, &headers, mark, genesis)?;
    // A note that cannot be read is written again from what is known.
    if !prospect.is_lost && Lost::read(disk.as_ref()).is_ok() {
        return Ok(None);
    }
    let damage = beginning.damage.clone().unwrap_or_else(|| {
        StoreError::damaged(FOLDER, beginning.end, "the journal ends before the chain that was synced")
    });
    // One that was begun is not refused: there is nothing to cut back, and what it waits for is for its caller to judge.
    if !prospect.is_whole && missing == Missing::Refuse && !is_begun {
        return Err(beyond_repair(damage, &prospect));
    }
    let height = beginning.height();
    let lost = last_told(&beginning, &found, &headers, mark)?;
    let final_height = lost.final_height;
    keep_what_was_known(disk, lost)?;
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
        Beginning { segments, end: 0, noted, limit, final_height: 0, chain: Vec::new(), damage: None };
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

/// Follows the chain from the last tips that anything tells of back to the sound beginning.
fn prospect(
    beginning: &Beginning,
    found: &Salvage,
    headers: &HeaderFile,
    mark: Option<Mark>,
    genesis: &Genesis,
) -> Result<Prospect, StoreError> {
    let listed = beginning.listed_after(headers);
    let mut missing = Vec::new();
    for (height, id) in &listed {
        if !found.gives(id, genesis)? {
            missing.push((*height, *id));
        }
    }
    let is_short = beginning.damage.is_some() || beginning.end < beginning.noted || mark.is_some();
    let is_lost = is_short
        || !listed.is_empty()
        || found.last_tip.is_some_and(|last| beginning.chain.last() != Some(&last));
    // Something must tell of the journal's last commit, and every tip told of must be on the way.
    let marked = mark.map_or(0, |mark| mark.journal_end);
    let told = found.last_end.max(marked).max(beginning.end);
    let mut is_told = !listed.is_empty() || told >= beginning.whole_end().max(marked);
    for tip in [found.last_tip, mark.map(|mark| mark.tip)].into_iter().flatten() {
        is_told = is_told && beginning.is_reached_from(tip, &listed, found, genesis)?;
    }
    Ok(Prospect { is_lost, is_whole: is_told && missing.is_empty(), missing })
}

/// How far the chain went, how far it was final, and which block is there: the one below a tip that was journalled when it was final,
/// or had been before. headers.dat alone vouches for none: after a power cut it may hold a branch that the chain left.
fn last_told(
    beginning: &Beginning,
    found: &Salvage,
    headers: &HeaderFile,
    mark: Option<Mark>,
) -> Result<Lost, StoreError> {
    let mut told = vec![(beginning.final_height, beginning.block_at(beginning.height()))];
    told.push((found.final_height, found.final_tip));
    told.extend(mark.map(|mark| (mark.final_height, Some(mark.tip))));
    let final_height = told.iter().map(|(height, _)| *height).max().unwrap_or(0);
    let mut final_id = None;
    for tip in told.into_iter().filter(|(height, _)| *height == final_height).filter_map(|(_, tip)| tip) {
        final_id = final_id.or(beginning.ancestor(tip, final_height, found, headers)?);
    }
    Ok(Lost { final_height, final_id, height: last_height(found, mark)? })
}

/// The height of the tip after the last move that anything tells of: a sound move itself, or the index's mark.
fn last_height(found: &Salvage, mark: Option<Mark>) -> Result<u64, StoreError> {
    let moved = found.last_height()?;
    let marked = mark.filter(|mark| moved == 0 || mark.journal_end >= found.last_end);
    Ok(marked.map_or(moved, |mark| mark.height))
}

impl Beginning {
    fn height(&self) -> u64 {
        u64::try_from(self.chain.len()).expect("blocks are counted in 64 bits")
    }

    /// How far the journal went when it was whole: up to where it was synced, or else to the end of its last segment.
    fn whole_end(&self) -> u64 {
        if self.noted > 0 { self.noted } else { self.limit }
    }

    /// The height of a block of its chain.
    fn height_of(&self, id: &Hash) -> Option<u64> {
        let index = self.chain.iter().rposition(|block| block == id)?;
        u64::try_from(index + 1).ok()
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

    /// The block at a height below a tip, each step down by a header whose id was told before: what is named by a
    /// hash need not be believed. `None` where a header on the way is not left.
    fn ancestor(
        &self,
        tip: Hash,
        height: u64,
        found: &Salvage,
        headers: &HeaderFile,
    ) -> Result<Option<Hash>, StoreError> {
        if let Some(top) = self.height_of(&tip) {
            return Ok(self.block_at(height).filter(|_| height <= top));
        }
        let listed = |at: u64, id: &Hash| {
            let record = headers.get(at).ok().flatten();
            record.map(|record| record.signed.header).filter(|header| header.id() == *id)
        };
        let mut header = match found.header(&tip)? {
            Some(signed) => Some(signed.header),
            None => (height..headers.count()).rev().find_map(|at| listed(at, &tip)),
        };
        while let Some(at) = header.filter(|header| header.height >= height) {
            if at.height == height {
                return Ok(Some(at.id()));
            }
            let below = at.height - 1;
            if self.block_at(below) == Some(at.parent) {
                return Ok(self.block_at(height));
            }
            header = match found.header(&at.parent)? {
                Some(signed) => Some(signed.header),
                None => listed(below, &at.parent),
            };
        }
        Ok(None)
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
        if self.height_of(&tip).is_some() {
            return Ok(true);
        }
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
fn keep_what_was_known(disk: &Arc<dyn Disk>, lost: Lost) -> Result<(), StoreError> {
    let disk = disk.as_ref();
    if disk.len(LOST_HEADERS).map_err(|error| StoreError::io("read", LOST_HEADERS, error))?.is_none() {
        let len = file_len(disk, headers::FILE)?;
        disk.remove(NEW_FILE).map_err(|error| StoreError::io("write", NEW_FILE, error))?;
        disk.append(NEW_FILE, &[]).map_err(|error| StoreError::io("write", NEW_FILE, error))?;
        copy(disk, headers::FILE, NEW_FILE, len)?;
        disk.rename(NEW_FILE, LOST_HEADERS).map_err(|error| StoreError::io("rename", NEW_FILE, error))?;
    }
    lost.write(disk)
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
