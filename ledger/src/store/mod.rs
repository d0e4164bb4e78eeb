//! Persistence: the journal is the truth, everything else is rebuilt from it.
//!
//! Two seams of a few verbs on bytes, [`Disk`] and [`Index`], each with a real and an in-memory side. On
//! them stand the [`Journal`] (blocks and moves, one sync a commit), the [`HeaderFile`] (fixed records by
//! height) and the [`Checkpoint`] (absolute rows that follow the journal and heal after a crash).
//! Nothing here knows what a row or a block means: keys and bodies are bytes.
//!
//! # What holds after any crash
//! committed moves ⊇ acknowledged moves ⊇ moves in the checkpoint's mark; headers on disk ⊇ headers up to
//! the mark. The journal never shrinks below its noted synced length without saying so.

mod aside;
mod bytes;
mod checkpoint;
mod disk;
mod doubt;
mod error;
mod file_disk;
mod frame;
mod headers;
mod index;
mod inspect;
mod journal;
mod lost;
mod mark;
mod memory_disk;
mod memory_index;
mod note;
pub(crate) mod orders;
mod reader;
mod recovery;
mod redo;
mod repair;
pub(crate) mod runs;
mod salvage;
mod segment;
mod sled_index;
mod torn;
mod writer;

pub use checkpoint::{Checkpoint, Layer};
pub use disk::Disk;
pub use doubt::Doubt;
pub use error::StoreError;
pub use file_disk::{FileDisk, MAX_OPEN_FILES};
pub use frame::MAX_PAYLOAD_BYTES;
pub use headers::{HeaderFile, HeaderRecord};
pub use index::{Index, KeyValue, MAX_BATCH_OPERATIONS, RESERVED_PREFIX, Row, Visit};
pub(crate) use inspect::Frames;
pub use inspect::IndexView;
pub use journal::{Appended, Commit, CommitBlock, Journal};
pub use lost::Lost;
pub use mark::Mark;
pub use memory_disk::{Fate, Fuse, MemoryDisk, Piece, SECTOR_BYTES};
pub use memory_index::MemoryIndex;
pub use reader::{JournalReader, Moves, StoredBlock, StoredMove};
pub use recovery::check_network;
pub use repair::{Missing, Repair, repair};
pub use salvage::Salvage;
pub use segment::SEGMENT_BYTES;
pub use sled_index::{INDEX_CACHE_BYTES, SledIndex};
pub use torn::MAX_TORN_FILES;
pub use writer::{CHECKPOINT_INTERVAL, CHECKPOINT_ROWS, MAX_LAG_ROWS, Pace};
