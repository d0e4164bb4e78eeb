//! What is left of a damaged journal: every block that can still be read in the segments set aside.
//!
//! Blocks are found by how their frames look, sound or not: a flipped bit in what undoes a block, in a checksum or in
//! a move takes nothing from the block itself. What was found is not believed: whoever takes a block checks it as if
//! a stranger had sent it. Nothing here changes a file, but for [`Salvage::forget`].

use std::collections::HashMap;
use std::sync::Arc;

use printsy_consensus::{CheckedBlock, Genesis, Hash, SignedHeader, VERSION};

use super::aside::aside;
use super::bytes::{Bytes, len_usize, len64};
use super::disk::Disk;
use super::error::StoreError;
use super::frame::{HEAD_LEN, Head, Kind, MovePayload};
use super::headers::HeaderFile;
use super::lost::{LOST_HEADERS, Lost};

/// How much of a file is searched at once.
const WINDOW_BYTES: u64 = 16 << 20;
/// What is looked at to tell a block's frame: the head, the block's length, its version.
const PATTERN_LEN: usize = HEAD_LEN + 4 + 4;
/// Where the block stands in its frame.
const BLOCK_OFFSET: usize = HEAD_LEN + 4;
/// How many places are remembered of one block: more are copies of copies.
const MAX_PLACES: usize = 4;

/// A block's bytes in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    file: usize,
    offset: u64,
    len: u32,
}

/// The blocks found, by id, and what the moves among them say.
#[derive(Debug)]
pub struct Salvage {
    disk: Arc<dyn Disk>,
    /// By name, with the bases of the segments they are or were.
    files: Vec<(String, u64)>,
    places: HashMap<Hash, (u64, Vec<Place>)>,
    /// The greatest final height that a sound move names, after the last retreat.
    pub(super) final_height: u64,
    /// A tip of a chain that held the final block, if a sound move tells of one.
    pub(super) final_tip: Option<Hash>,
    /// The tip after the last sound move.
    pub(super) last_tip: Option<Hash>,
    /// Where the last sound move ended in the journal.
    pub(super) last_end: u64,
    /// Where the last sound retreat ended in the journal; 0 without one.
    pub(super) last_retreat: u64,
}

impl Salvage {
    /// What the segments set aside hold.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(disk: &Arc<dyn Disk>, genesis: &Hash) -> Result<Self, StoreError> {
        let headers = HeaderFile::open_as(disk.clone(), LOST_HEADERS)?;
        Self::search(disk, genesis, &headers, aside(disk.as_ref())?)
    }

    /// All headers told of: those that headers.dat had come first, then those of the blocks found.
    ///
    /// # Errors
    /// The disk's.
    pub fn headers_above(&self, height: u64) -> Result<Vec<SignedHeader>, StoreError> {
        let listed = HeaderFile::open_as(self.disk.clone(), LOST_HEADERS)?;
        let listed =
            (height.saturating_add(1)..listed.count()).filter_map(|at| listed.get(at).ok().flatten());
        let mut headers: Vec<SignedHeader> = listed.map(|record| record.signed).collect();
        for (id, (found_at, _)) in &self.places {
            if *found_at > height {
                headers.extend(self.header(id)?);
            }
        }
        Ok(headers)
    }

    /// The height of the last block that headers.dat had on the final block, each the child of the one before: the
    /// final block's own where it had others there, of a branch that the chain had left.
    ///
    /// # Errors
    /// The disk's.
    pub fn listed_height(&self, lost: &Lost) -> Result<u64, StoreError> {
        let listed = HeaderFile::open_as(self.disk.clone(), LOST_HEADERS)?;
        let header = |height| listed.get(height).ok().flatten().map(|record| record.signed.header);
        let (mut height, mut last) = (lost.final_height, lost.final_id);
        if last.is_none() || header(height).map(|header| header.id()) != last {
            return Ok(height);
        }
        while let Some(next) = header(height.saturating_add(1)).filter(|next| Some(next.parent) == last) {
            (height, last) = (next.height, Some(next.id()));
        }
        Ok(height)
    }

    /// What these files hold, each with the base of its segment.
    pub(super) fn search(
        disk: &Arc<dyn Disk>,
        genesis: &Hash,
        headers: &HeaderFile,
        files: Vec<(String, u64)>,
    ) -> Result<Self, StoreError> {
        let mut salvage = Self {
            disk: disk.clone(),
            files: files.clone(),
            places: HashMap::new(),
            final_height: 0,
            final_tip: None,
            last_tip: None,
            last_end: 0,
            last_retreat: 0,
        };
        for (file, (_, base)) in files.iter().enumerate() {
            salvage.search_file(file, *base, genesis)?;
        }
        salvage.look_where_headers_say(headers, &files)?;
        Ok(salvage)
    }

    /// None of the candidates is this block.
    pub fn drop_block(&mut self, id: &Hash) {
        self.places.remove(id);
    }

    /// Whether some bytes of this block were found.
    #[must_use]
    pub fn has(&self, id: &Hash) -> bool {
        self.places.contains_key(id)
    }

    /// The height of the tip after the last sound move; 0 where none tells of it. (A move cannot be forged by what
    /// stands in a block, and an id vouches for its header.)
    ///
    /// # Errors
    /// The disk's.
    pub fn last_height(&self) -> Result<u64, StoreError> {
        let header = self.last_tip.map(|id| self.header(&id)).transpose()?.flatten();
        Ok(header.map_or(0, |header| header.header.height))
    }

    /// All bytes found under this id: none of them may be the block.
    ///
    /// # Errors
    /// The disk's.
    pub fn candidates(&self, id: &Hash) -> Result<Vec<Vec<u8>>, StoreError> {
        let places = self.places.get(id).map_or(&[][..], |(_, places)| places);
        places.iter().map(|place| self.read(place.file, place.offset, u64::from(place.len))).collect()
    }

    /// Whether the block can be had: a frame around it is sound, or its bytes check out by themselves.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn gives(&self, id: &Hash, genesis: &Genesis) -> Result<bool, StoreError> {
        let Some((_, places)) = self.places.get(id) else { return Ok(false) };
        for place in places {
            if self.is_sound(*place)? {
                return Ok(true);
            }
            let bytes = self.read(place.file, place.offset, u64::from(place.len))?;
            if CheckedBlock::check(genesis.params(), &genesis.hash(), bytes, &|_| None).is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the frame around a block is as it was written.
    fn is_sound(&self, place: Place) -> Result<bool, StoreError> {
        let (name, base) = &self.files[place.file];
        let file_len = self.disk.len(name).map_err(|error| StoreError::io("read", name, error))?.unwrap_or(0);
        let start = place.offset - len64(&[0; BLOCK_OFFSET]);
        let bytes = self.read(place.file, start, len64(&[0; HEAD_LEN]))?;
        let Some(head) = bytes.first_chunk().and_then(Head::decode) else { return Ok(false) };
        if start + head.frame_len() > file_len {
            return Ok(false);
        }
        let payload = self.read(place.file, start + len64(&[0; HEAD_LEN]), u64::from(head.len))?;
        Ok(head.kind == Kind::Block && head.fits(base + start, &payload))
    }

    /// The header found under this id.
    ///
    /// # Errors
    /// The disk's.
    pub fn header(&self, id: &Hash) -> Result<Option<SignedHeader>, StoreError> {
        let Some((_, places)) = self.places.get(id) else { return Ok(None) };
        let Some(place) = places.first() else { return Ok(None) };
        let bytes = self.read(place.file, place.offset, len64(&[0; SignedHeader::LEN]))?;
        Ok(bytes.first_chunk().map(SignedHeader::from_bytes))
    }

    /// Removes the files: all they had is in the journal again, or of no use.
    ///
    /// # Errors
    /// The disk's.
    pub fn forget(self) -> Result<(), StoreError> {
        for (file, _) in aside(self.disk.as_ref())? {
            self.disk.remove(&file).map_err(|error| StoreError::io("remove", &file, error))?;
        }
        Lost::forget(self.disk.as_ref())
    }

    fn read(&self, file: usize, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        let (name, _) = &self.files[file];
        self.disk.read(name, offset, len_usize(len)).map_err(|error| StoreError::io("read", name, error))
    }

    fn search_file(&mut self, file: usize, base: u64, genesis: &Hash) -> Result<(), StoreError> {
        let (name, _) = &self.files[file];
        let len = self.disk.len(name).map_err(|error| StoreError::io("read", name, error))?.unwrap_or(0);
        let mut at = 0;
        while at < len {
            // Windows overlap by what is looked at, so that nothing is missed at their border.
            let overlap = len64(&[0; BLOCK_OFFSET + SignedHeader::LEN]);
            let window = self.read(file, at, (WINDOW_BYTES + overlap).min(len - at))?;
            for (offset, bytes) in window.windows(PATTERN_LEN).enumerate().take(len_usize(WINDOW_BYTES)) {
                let offset = at + u64::try_from(offset).expect("an offset in a window is small");
                if bytes[4] == Kind::Block as u8 && bytes[BLOCK_OFFSET..] == VERSION.to_le_bytes() {
                    self.note_block(file, offset, len)?;
                } else if bytes[4] == Kind::Move as u8 && bytes[HEAD_LEN..] == genesis.0[..8] {
                    self.note_move(file, base, offset, len, genesis)?;
                }
            }
            at += WINDOW_BYTES;
        }
        Ok(())
    }

    /// A frame at `offset` of a file may be a block's.
    fn note_block(&mut self, file: usize, offset: u64, file_len: u64) -> Result<(), StoreError> {
        let head = len64(&[0; HEAD_LEN]);
        let start = offset + len64(&[0; BLOCK_OFFSET]);
        if start + len64(&[0; SignedHeader::LEN]) > file_len {
            return Ok(());
        }
        let bytes = self.read(file, offset + head, 4 + len64(&[0; SignedHeader::LEN]))?;
        let mut cursor = Bytes(&bytes);
        let Some((len, header)) =
            cursor.u32().zip(cursor.array().map(|header| SignedHeader::from_bytes(&header)))
        else {
            return Ok(());
        };
        if start.checked_add(u64::from(len)).is_none_or(|end| end > file_len) {
            return Ok(());
        }
        let place = Place { file, offset: start, len };
        let (_, places) = self.places.entry(header.header.id()).or_insert((header.header.height, Vec::new()));
        if places.len() < MAX_PLACES && !places.contains(&place) {
            places.push(place);
        }
        Ok(())
    }

    /// A frame at `offset` of a file may be a move's.
    fn note_move(
        &mut self,
        file: usize,
        base: u64,
        offset: u64,
        file_len: u64,
        genesis: &Hash,
    ) -> Result<(), StoreError> {
        let head_len = len64(&[0; HEAD_LEN]);
        let named = head_len + len64(&genesis.0);
        if offset + named > file_len {
            return Ok(());
        }
        let bytes = self.read(file, offset, named)?;
        let Some(head) = bytes.first_chunk().and_then(Head::decode) else { return Ok(()) };
        // All of the genesis: no bytes inside a block can pass for it, so that nothing large is read for nothing.
        if offset + head.frame_len() > file_len || bytes[HEAD_LEN..] != genesis.0 {
            return Ok(());
        }
        let payload = self.read(file, offset + head_len, u64::from(head.len))?;
        if head.fits(base + offset, &payload)
            && let Some(stored) = MovePayload::decode(&payload)
        {
            self.follow(&stored, base + offset + head.frame_len())?;
        }
        Ok(())
    }

    /// What a sound move tells, which ends at `end` in the journal.
    fn follow(&mut self, stored: &MovePayload, end: u64) -> Result<(), StoreError> {
        match (stored.disconnect.last(), stored.connect.last()) {
            // A retreat: it alone lowers the final height.
            (Some(lowest), None) => {
                self.last_tip = self.header(lowest)?.map(|signed| signed.header.parent);
                (self.final_height, self.final_tip) = (stored.final_height, self.last_tip);
                self.last_retreat = end;
            }
            (_, Some((tip, _))) => {
                self.last_tip = Some(*tip);
                if stored.final_height >= self.final_height {
                    (self.final_height, self.final_tip) = (stored.final_height, self.last_tip);
                }
            }
            // The tip stays, which is known where nothing is missing in between.
            (None, None) if stored.final_height > self.final_height => {
                self.final_height = stored.final_height;
                self.final_tip = self.last_tip.filter(|_| stored.start == self.last_end);
            }
            (None, None) => {}
        }
        self.last_end = end;
        Ok(())
    }

    /// headers.dat says where blocks of the chain begin: a frame whose head is spoilt is found by it.
    fn look_where_headers_say(
        &mut self,
        headers: &HeaderFile,
        files: &[(String, u64)],
    ) -> Result<(), StoreError> {
        let heights = if files.is_empty() { 0..0 } else { 1..headers.count() };
        for height in heights {
            let Ok(Some(record)) = headers.get(height) else { continue };
            if self.has(&record.signed.header.id()) {
                continue;
            }
            for (file, (name, base)) in files.iter().enumerate() {
                let len = self.disk.len(name).map_err(|error| StoreError::io("read", name, error))?;
                let len = len.unwrap_or(0);
                if let Some(offset) = record.position.checked_sub(*base).filter(|offset| *offset < len) {
                    self.note_block(file, offset, len)?;
                }
            }
        }
        Ok(())
    }
}
