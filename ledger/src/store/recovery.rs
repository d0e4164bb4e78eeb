//! Opening a journal: which commits are there, and is what follows them a torn tail or damage?
//!
//! A tail is torn if nothing in it can ever have been synced. It is damage instead, and left untouched, if
//! (1) it begins before the noted synced length or before the checkpoint's mark, (2) a later segment exists,
//! because a segment begins after the commit before it was synced, or (3) a sound move frame in it belongs
//! to another commit than the one that is broken: each commit begins after the one before was synced.
//! Headers are checked first, so that a foreign or newer journal is refused before a byte is changed.

use std::sync::Arc;

use printsy_consensus::Hash;

use super::bytes::{len_usize, len64};
use super::disk::Disk;
use super::error::StoreError;
use super::frame::{HEAD_LEN, Head, Kind, MovePayload};
use super::reader::read_commit;
use super::segment::{FOLDER, HEADER_LEN, Segments, check_header, file_name, parse_name};
use super::torn;

/// How much of a broken tail is searched at once.
const WINDOW_BYTES: u64 = 4 << 20;

/// The segments on a disk, committed up to the end of the last sound commit, everything after it cut off.
/// Commits before `from` are not read again; `noted` is the noted synced length.
pub(super) fn recover(
    disk: Arc<dyn Disk>,
    genesis: Hash,
    from: u64,
    noted: u64,
) -> Result<Segments, StoreError> {
    let bases = list_bases(disk.as_ref())?;
    let synced = noted.max(from);
    let segments = Segments::new(disk, genesis, bases.clone());
    let end = check_segments(&segments, &bases, synced)?;
    if end < synced {
        let what = format!(
            "the journal ends here and was synced up to {synced}; if this is a copy of a running node's \
             folder, remove its index and journal/synced"
        );
        return Err(StoreError::damaged(
            bases.last().map_or(FOLDER.into(), |base| file_name(*base)),
            end,
            what,
        ));
    }
    check_commit_ends_at(&segments, from, end)?;
    let committed = last_commit(&segments, from, end, synced)?;
    if let Some(base) = segments.last_base()
        && (committed < end || end == base)
    {
        torn::set_aside(&segments, base, committed, end)?;
    }
    if let Some(base) = segments.last_base() {
        // What a killed process wrote and did not sync is believed from here on: now it must be durable.
        let file = file_name(base);
        segments.disk.sync(&file).map_err(|error| StoreError::io("sync", &file, error))?;
    }
    segments.set_end(committed);
    Ok(segments)
}

/// The segments on a disk as they are, nothing changed: committed up to the end of the last sound commit, or, where
/// the journal is damaged, up to where it was synced, so that whoever reads on comes upon the damage at its place.
pub(super) fn look(disk: Arc<dyn Disk>, genesis: Hash, noted: u64) -> Result<Segments, StoreError> {
    check_network(disk.as_ref(), &genesis)?;
    let bases = list_bases(disk.as_ref())?;
    let segments = Segments::new(disk, genesis, bases.clone());
    let end = check_segments(&segments, &bases, noted)?;
    let committed = match last_commit(&segments, 0, end, noted) {
        Err(StoreError::Damaged { .. }) => end,
        other => other?,
    };
    // What was synced and is missing is damage too: whoever reads to the end finds nothing there.
    segments.set_end(committed.max(noted));
    Ok(segments)
}

/// Refuses another network's journal and a newer program's, by the headers alone; changes nothing. Damage is
/// for recovery to judge. To be called before anything else of a datadir is opened: opening writes.
///
/// # Errors
/// [`StoreError::ForeignGenesis`], [`StoreError::NewerFormat`]; the disk's.
pub fn check_network(disk: &dyn Disk, genesis: &Hash) -> Result<(), StoreError> {
    for base in list_bases(disk)? {
        match check_header(&read_header(disk, base)?.0, genesis, base) {
            Err(StoreError::Damaged { .. }) => {}
            result => result?,
        }
    }
    Ok(())
}

pub(super) fn list_bases(disk: &dyn Disk) -> Result<Vec<u64>, StoreError> {
    let names = disk.list(FOLDER).map_err(|error| StoreError::io("list", FOLDER, error))?;
    Ok(names.iter().filter_map(|name| parse_name(name)).collect())
}

/// The bytes of a segment's header, as many as there are, and the segment's length.
fn read_header(disk: &dyn Disk, base: u64) -> Result<(Vec<u8>, u64), StoreError> {
    let file = file_name(base);
    let failed = |error| StoreError::io("read", &file, error);
    let len = disk.len(&file).map_err(failed)?.unwrap_or(0);
    let header_len = len_usize(len.min(len64(&[0; HEADER_LEN])));
    Ok((disk.read(&file, 0, header_len).map_err(failed)?, len))
}

/// Checks all headers and that the segments follow one another without a gap; answers where the last ends.
fn check_segments(segments: &Segments, bases: &[u64], synced: u64) -> Result<u64, StoreError> {
    let mut end = 0;
    for (index, base) in bases.iter().enumerate() {
        let (header, len) = read_header(segments.disk.as_ref(), *base)?;
        match check_header(&header, &segments.genesis, *base) {
            // A segment whose first commit was never synced: what `last_commit` then finds torn.
            Err(StoreError::Damaged { .. }) if index + 1 == bases.len() && *base >= synced => {}
            result => result?,
        }
        if *base != end {
            let what = format!("the segments do not meet: the one before ends at {end}, got base {base}");
            return Err(StoreError::damaged(file_name(*base), 0, what));
        }
        end = base.saturating_add(len);
    }
    Ok(end)
}

/// Whether a commit ends at `from`: its move frame ends with its own position. A mark that points elsewhere
/// must not make sound commits look torn.
fn check_commit_ends_at(segments: &Segments, from: u64, end: u64) -> Result<(), StoreError> {
    if from == 0 {
        return Ok(());
    }
    let wrong =
        || segments.damage(from.saturating_sub(1), "the checkpoint's mark is not the end of a commit");
    let link = from.checked_sub(8).ok_or_else(wrong)?;
    let link = segments.read(link, 8, end)?;
    let position = u64::from_le_bytes(link.try_into().expect("eight bytes were read"));
    let head = segments.head(position, from).map_err(|_| wrong())?;
    let is_end = head.kind == Kind::Move && position + head.frame_len() == from;
    if is_end { segments.payload(position, &head, from).map(|_sound| ()) } else { Err(wrong()) }
}

/// The end of the last sound commit from `from` on.
fn last_commit(segments: &Segments, from: u64, end: u64, synced: u64) -> Result<u64, StoreError> {
    let mut committed = from;
    while committed < end {
        let header_is_sound = check_header_at(segments, committed, end);
        let commit = header_is_sound.and_then(|()| {
            read_commit(segments, committed, end, |position, head| {
                segments.payload(position, head, end).map(|_block| ())
            })
        });
        match commit {
            Ok(commit) => committed = commit.end,
            Err(StoreError::Damaged { file, offset, what }) => {
                let in_last_segment = segments.last_base().is_some_and(|base| base <= committed);
                if committed < synced || !in_last_segment || other_commit_follows(segments, committed, end)? {
                    return Err(StoreError::Damaged { file, offset, what });
                }
                return Ok(committed);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(committed)
}

/// Where a segment begins, its header must be sound too; elsewhere there is none.
pub(super) fn check_header_at(segments: &Segments, start: u64, end: u64) -> Result<(), StoreError> {
    if segments.first_frame(start) == start {
        return Ok(());
    }
    check_header(&segments.read(start, HEADER_LEN, end)?, &segments.genesis, start)
}

/// Whether a sound move frame of another commit than the one at `broken` lies after it.
///
/// Every move names the genesis at a fixed place, so that candidates are found by it.
fn other_commit_follows(segments: &Segments, broken: u64, end: u64) -> Result<bool, StoreError> {
    let needle = segments.genesis.0;
    let mut at = broken;
    while at < end {
        // Windows overlap by what is needed to see a needle that lies across their border.
        let len = (WINDOW_BYTES + len64(&needle)).min(end - at);
        let window = segments.read(at, len_usize(len), end)?;
        for (offset, _) in window.windows(needle.len()).enumerate().filter(|(_, bytes)| *bytes == needle) {
            let genesis_at = at + u64::try_from(offset).expect("an offset in a window is small");
            let frame_at = genesis_at.checked_sub(len64(&[0; MovePayload::GENESIS_OFFSET]));
            if let Some(start) = frame_at.and_then(|frame_at| move_start(segments, frame_at, end))
                && start != broken
            {
                return Ok(true);
            }
        }
        at += WINDOW_BYTES;
    }
    Ok(false)
}

/// The commit start that a sound move frame at `position` names, if one lies there.
fn move_start(segments: &Segments, position: u64, end: u64) -> Option<u64> {
    let bytes = segments.read(position, HEAD_LEN, end).ok()?;
    let head = bytes.first_chunk().and_then(Head::decode).filter(|head| head.kind == Kind::Move)?;
    let payload = segments.payload(position, &head, end).ok()?;
    MovePayload::decode(&payload).map(|payload| payload.start)
}
