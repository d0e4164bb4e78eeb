//! What a repaired journal does not tell any more, kept until the chain is whole again: how far it went, and how far it
//! was final.
//!
//! ```text
//! journal/lost          final height u64 | has id u8 | id [32] | height u64 | crc32 u32
//! journal/lost-headers  headers.dat as it was before the repair
//! ```
//! A node may not forget, for a damaged disk, what it told the world was final. That the first file is there means
//! that a repair is not at its end. It is written before anything is set aside, and removed last: where something is
//! set aside and it is not there, it was lost itself.

use printsy_consensus::Hash;

use super::aside::aside;
use super::bytes::{Bytes, len_usize};
use super::disk::Disk;
use super::error::StoreError;

/// The file's name.
const FILE: &str = "journal/lost";
const NEW_FILE: &str = "journal/lost.new";
/// headers.dat as it was before the repair.
pub(super) const LOST_HEADERS: &str = "journal/lost-headers";
const LEN: u64 = 8 + 1 + 32 + 8 + 4;

/// How far the chain went before the repair, and how far it was final.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// The final height.
    pub final_height: u64,
    /// The block there; `None` where nothing told of it any more.
    pub final_id: Option<Hash>,
    /// The tip's height; 0 where nothing told of it any more.
    pub height: u64,
}

impl Lost {
    /// What a repair that is not at its end has kept.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], the disk's.
    pub fn read(disk: &dyn Disk) -> Result<Option<Self>, StoreError> {
        let failed = |error| StoreError::io("read", FILE, error);
        let Some(len) = disk.len(FILE).map_err(failed)? else {
            return match aside(disk)?.is_empty() {
                true => Ok(None),
                false => {
                    Err(StoreError::damaged(FILE, 0, "what a repair set aside is there, its note is not"))
                }
            };
        };
        let damaged = || StoreError::damaged(FILE, 0, "the note of a repair does not match its checksum");
        if len != LEN {
            return Err(damaged());
        }
        let bytes = disk.read(FILE, 0, len_usize(LEN)).map_err(failed)?;
        let (fields, crc) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
        if u32::from_le_bytes(*crc) != crc32fast::hash(fields) {
            return Err(damaged());
        }
        let mut cursor = Bytes(fields);
        let fields = (cursor.u64(), cursor.u8(), cursor.hash(), cursor.u64());
        let (Some(final_height), Some(has_id), Some(id), Some(height)) = fields else {
            return Err(damaged());
        };
        Ok(Some(Self { final_height, final_id: (has_id == 1).then_some(id), height }))
    }

    /// Keeps the greater of this and what is kept already, and of two the one that names the block; whole or not at all.
    pub(super) fn write(self, disk: &dyn Disk) -> Result<(), StoreError> {
        let mut lost = self;
        // One that cannot be read any more is no reason to stop a repair: the rest tells the final height too.
        if let Ok(Some(kept)) = Self::read(disk) {
            if (kept.final_height, kept.final_id.is_some()) >= (self.final_height, self.final_id.is_some()) {
                lost = kept;
            }
            lost.height = kept.height.max(self.height);
            if lost == kept {
                return Ok(());
            }
        }
        let failed = |error| StoreError::io("write", FILE, error);
        let mut bytes = lost.final_height.to_le_bytes().to_vec();
        bytes.push(u8::from(lost.final_id.is_some()));
        bytes.extend_from_slice(&lost.final_id.unwrap_or(Hash::ZERO).0);
        bytes.extend_from_slice(&lost.height.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        disk.remove(NEW_FILE).map_err(failed)?;
        disk.append(NEW_FILE, &bytes).map_err(failed)?;
        disk.sync(NEW_FILE).map_err(failed)?;
        disk.rename(NEW_FILE, FILE).map_err(failed)
    }

    /// The repair is at its end.
    pub(super) fn forget(disk: &dyn Disk) -> Result<(), StoreError> {
        for file in [LOST_HEADERS, FILE] {
            disk.remove(file).map_err(|error| StoreError::io("remove", file, error))?;
        }
        Ok(())
    }
}
