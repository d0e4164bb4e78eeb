//! Torn tails: cut off the journal, and kept aside for whoever wants to look.
//!
//! `journal/torn-<20-digit offset>` holds the bytes from that offset to the end as they were found. It is
//! durable before the journal is cut, so that a crash in between finds the same tail again. Nobody reads
//! these files back; only the newest few are kept.

use super::bytes::len_usize;
use super::disk::Disk;
use super::error::StoreError;
use super::segment::{FOLDER, Segments, file_name};

/// How many torn tails are kept: one comes of each unclean stop at the most, and only the last ones tell.
pub const MAX_TORN_FILES: usize = 8;

const PREFIX: &str = "torn-";
const CHUNK_BYTES: u64 = 8 << 20;

/// Copies what lies between `start` and `end`, in the last segment, to its own file and cuts it off.
pub(super) fn set_aside(segments: &Segments, base: u64, start: u64, end: u64) -> Result<(), StoreError> {
    let (disk, torn) = (segments.disk.as_ref(), format!("{FOLDER}/{PREFIX}{start:020}"));
    tracing::warn!(start, bytes = end - start, kept = torn, "cutting a torn tail off the journal");
    let failed = |error| StoreError::io("write", &torn, error);
    disk.remove(&torn).map_err(failed)?;
    let segment = file_name(base);
    let mut at = start;
    while at < end {
        let len = CHUNK_BYTES.min(end - at);
        let bytes = disk.read(&segment, at - base, len_usize(len));
        disk.append(&torn, &bytes.map_err(|error| StoreError::io("read", &segment, error))?)
            .map_err(failed)?;
        at += len;
    }
    disk.append(&torn, &[]).map_err(failed)?; // an empty tail of a segment without a header
    disk.sync(&torn).map_err(failed)?;
    cut(segments, base, start)?;
    forget_oldest(disk)
}

fn cut(segments: &Segments, base: u64, start: u64) -> Result<(), StoreError> {
    let (disk, segment) = (segments.disk.as_ref(), file_name(base));
    let failed = |error| StoreError::io("cut", &segment, error);
    if start == base {
        disk.remove(&segment).map_err(failed)?;
        segments.pop();
        return Ok(());
    }
    disk.cut(&segment, start - base).map_err(failed)?;
    disk.sync(&segment).map_err(failed)
}

fn forget_oldest(disk: &dyn Disk) -> Result<(), StoreError> {
    let names = disk.list(FOLDER).map_err(|error| StoreError::io("list", FOLDER, error))?;
    let torn: Vec<String> = names.into_iter().filter(|name| name.starts_with(PREFIX)).collect();
    let surplus = torn.len().saturating_sub(MAX_TORN_FILES);
    for name in torn.iter().take(surplus) {
        let file = format!("{FOLDER}/{name}");
        disk.remove(&file).map_err(|error| StoreError::io("remove", &file, error))?;
    }
    Ok(())
}
