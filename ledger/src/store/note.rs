//! The noted synced length: how far the journal was durable when we last looked.
//!
//! `journal/synced` has two slots, 512 bytes apart, written by turns: `length u64 | crc32 u32`. The note is not
//! synced itself, so it may be older than the truth and never newer: damage before it is damage, damage after
//! it may be a torn tail. A note that cannot be read is no note.

use super::bytes::{Bytes, len64};
use super::disk::Disk;
use super::error::StoreError;

/// The file's name.
pub(super) const FILE: &str = "journal/synced";

/// Two slots never share a sector, so that a torn write spoils one at most.
const SLOT_DISTANCE: u64 = 512;
const SLOT_LEN: usize = 12;

/// Where the next note goes.
#[derive(Debug)]
pub(super) struct SyncedNote {
    next_slot: u64,
}

impl SyncedNote {
    /// The note on a disk and the greatest length it tells, 0 without one.
    pub(super) fn read(disk: &dyn Disk) -> Result<(Self, u64), StoreError> {
        let slots = [slot(disk, 0)?, slot(disk, 1)?];
        let next_slot = u64::from(slots[0] >= slots[1]);
        let noted = slots.into_iter().flatten().max().unwrap_or(0);
        Ok((Self { next_slot }, noted))
    }

    /// Notes that the journal is durable up to here, over the older of the two slots.
    pub(super) fn write(&mut self, disk: &dyn Disk, synced: u64) -> Result<(), StoreError> {
        let mut bytes = synced.to_le_bytes().to_vec();
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        let offset = self.next_slot * SLOT_DISTANCE;
        disk.write_at(FILE, offset, &bytes).map_err(|error| StoreError::io("write", FILE, error))?;
        self.next_slot = 1 - self.next_slot;
        Ok(())
    }
}

fn slot(disk: &dyn Disk, slot: u64) -> Result<Option<u64>, StoreError> {
    let file_len = disk.len(FILE).map_err(|error| StoreError::io("read", FILE, error))?;
    let offset = slot * SLOT_DISTANCE;
    if file_len.is_none_or(|len| len < offset + len64(&[0; SLOT_LEN])) {
        return Ok(None);
    }
    let bytes = disk.read(FILE, offset, SLOT_LEN).map_err(|error| StoreError::io("read", FILE, error))?;
    let mut cursor = Bytes(&bytes);
    let (length, crc) = (cursor.u64(), cursor.u32());
    Ok(length.filter(|length| crc == Some(crc32fast::hash(&length.to_le_bytes()))))
}
