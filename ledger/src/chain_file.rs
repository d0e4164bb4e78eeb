//! A chain as one file: the genesis it begins with and every block after it, for whoever moves a chain to another
//! machine or puts it away. Written and read as a stream: memory holds one block.
//!
//! ```text
//! file    = head | blocks, from height 1 up | trailer, and nothing after it
//! head    = magic [8] | format u32 | genesis [32] | length u32 | text of genesis.json | crc32 u32 over all before
//! block   = length u32, not 0 | crc32 u32 over height u64, length and bytes | bytes
//! trailer = 0 u32 | count of blocks u64 | tip [32] | SHA-256 [32] over all before
//! ```
//! Integers are little-endian. The checksums find damage where it lies; that every block follows the one before is
//! seen here too. Whether a block is valid is not: that is the import's (`import.rs`).

use std::io::{self, Read, Write};
use std::sync::Arc;

use printsy_consensus::{EMPTY_BLOCK_BYTES, Genesis, GenesisError, Hash, SignedHeader};
use sha2::{Digest, Sha256};

const MAGIC: [u8; 8] = *b"prtsychn";
const FORMAT: u32 = 1;
/// What stands before the text of the genesis.
const HEAD_LEN: usize = 8 + 4 + 32 + 4;

/// The most bytes of a genesis' text, in a chain file or in one of its own: 1,024 miners and 32 other keys are 200 kB.
pub const MAX_GENESIS_TEXT_BYTES: usize = 1 << 20;

/// Why a chain file cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ChainFileError {
    /// The operating system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Something else, or nothing.
    #[error("it is no chain file")]
    NotOne,
    /// Written by a newer program.
    #[error("it was written by a newer program: got format {got}, expected at most {expected}")]
    NewerFormat {
        /// The format the file names.
        got: u32,
        /// The newest we know.
        expected: u32,
    },
    /// Its bytes are not what they were.
    #[error("it is damaged after height {height}, at byte {offset}: {what}")]
    Damaged {
        /// The height of the last block that is sound.
        height: u64,
        /// Where the part begins that is not, in bytes.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// The genesis in it is none.
    #[error("its genesis is bad: {0}")]
    Genesis(#[from] GenesisError),
}

/// A chain file that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainFileEnd {
    /// The height of the last block: how many there are.
    pub height: u64,
    /// The id of the last block.
    pub tip: Hash,
    /// The SHA-256 in the trailer.
    pub sha256: Hash,
    /// The length of the file in bytes.
    pub bytes: u64,
}

/// How far a file is written or read.
#[derive(Debug)]
struct Place {
    hasher: Sha256,
    offset: u64,
    height: u64,
    tip: Hash,
}

impl Place {
    fn new(genesis: Hash) -> Self {
        Self { hasher: Sha256::new(), offset: 0, height: 0, tip: genesis }
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.offset += u64::try_from(bytes.len()).expect("memory is addressed by at most 64 bits");
    }

    fn sha256(&self) -> Hash {
        Hash(self.hasher.clone().finalize().into())
    }

    fn end(&self, sha256: Hash) -> ChainFileEnd {
        ChainFileEnd { height: self.height, tip: self.tip, sha256, bytes: self.offset }
    }

    /// Goes on to the next block, if this is one by its header: at the next height, on the last block.
    fn follow(&mut self, block: &[u8]) -> Option<()> {
        let header = SignedHeader::from_bytes(block.first_chunk()?).header;
        if header.height != self.height + 1 || header.parent != self.tip {
            return None;
        }
        self.height = header.height;
        self.tip = header.id();
        Some(())
    }
}

fn block_checksum(height: u64, length: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&height.to_le_bytes());
    hasher.update(&length.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// Writes a chain file. Without its [`ChainWriter::finish`] the file is a cut one.
#[derive(Debug)]
pub struct ChainWriter<W> {
    out: W,
    place: Place,
}

impl<W: Write> ChainWriter<W> {
    /// Begins a file of the network that `text`, its genesis.json, describes.
    ///
    /// # Errors
    /// [`ChainFileError::Io`]; [`ChainFileError::Genesis`] where the text is no genesis, so that no file is begun
    /// that nobody can read.
    pub fn begin(out: W, text: &str) -> Result<Self, ChainFileError> {
        let genesis = Genesis::from_json(text)?;
        let mut writer = Self { out, place: Place::new(genesis.hash()) };
        let length = u32::try_from(text.len()).ok().filter(|_| text.len() <= MAX_GENESIS_TEXT_BYTES);
        let length = length.ok_or_else(|| io::Error::other("the genesis file is too large"))?;
        let mut head = Vec::with_capacity(HEAD_LEN + text.len() + 4);
        head.extend_from_slice(&MAGIC);
        head.extend_from_slice(&FORMAT.to_le_bytes());
        head.extend_from_slice(&genesis.hash().0);
        head.extend_from_slice(&length.to_le_bytes());
        head.extend_from_slice(text.as_bytes());
        head.extend_from_slice(&crc32fast::hash(&head).to_le_bytes());
        writer.write(&head)?;
        Ok(writer)
    }

    /// The id of the last block written; genesis' before the first.
    #[must_use]
    pub fn tip(&self) -> Hash {
        self.place.tip
    }

    /// Writes the next block.
    ///
    /// # Errors
    /// [`ChainFileError::Damaged`] where it does not follow the last: nothing was written. The operating system's.
    pub fn block(&mut self, bytes: &[u8]) -> Result<(), ChainFileError> {
        let (height, offset) = (self.place.height, self.place.offset);
        let wrong = |what: &str| ChainFileError::Damaged { height, offset, what: what.to_owned() };
        let length = u32::try_from(bytes.len()).map_err(|_| wrong("a block of 4 GiB"))?;
        self.place.follow(bytes).ok_or_else(|| wrong("the next block does not follow the last"))?;
        self.write(&length.to_le_bytes())?;
        self.write(&block_checksum(self.place.height, length, bytes).to_le_bytes())?;
        self.write(bytes)
    }

    /// Writes the trailer and flushes.
    ///
    /// # Errors
    /// The operating system's.
    pub fn finish(mut self) -> Result<ChainFileEnd, ChainFileError> {
        let (height, tip) = (self.place.height, self.place.tip);
        self.write(&0u32.to_le_bytes())?;
        self.write(&height.to_le_bytes())?;
        self.write(&tip.0)?;
        let sha256 = self.place.sha256();
        self.write(&sha256.0)?;
        self.out.flush()?;
        Ok(self.place.end(sha256))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ChainFileError> {
        self.out.write_all(bytes)?;
        self.place.pass(bytes);
        Ok(())
    }
}

/// Reads a chain file, block by block.
#[derive(Debug)]
pub struct ChainReader<R> {
    input: R,
    place: Place,
    genesis: Arc<Genesis>,
    text: String,
    end: Option<ChainFileEnd>,
}

impl<R: Read> ChainReader<R> {
    /// Reads the head of a file: the network it is of. Give it a buffered input.
    ///
    /// # Errors
    /// [`ChainFileError`].
    pub fn open(mut input: R) -> Result<Self, ChainFileError> {
        let mut head = Vec::with_capacity(HEAD_LEN);
        take(&mut input, HEAD_LEN, &mut head)?;
        let damaged = |what: &str| ChainFileError::Damaged { height: 0, offset: 0, what: what.to_owned() };
        let cut = || damaged("it is cut off in its head");
        let (magic, rest) = head.split_first_chunk().ok_or(ChainFileError::NotOne)?;
        if *magic != MAGIC {
            return Err(ChainFileError::NotOne);
        }
        let (format, rest) = rest.split_first_chunk().ok_or_else(cut)?;
        let format = u32::from_le_bytes(*format);
        if format > FORMAT {
            return Err(ChainFileError::NewerFormat { got: format, expected: FORMAT });
        }
        let (hash, rest) = rest.split_first_chunk().ok_or_else(cut)?;
        let hash = Hash(*hash);
        let length = u32::from_le_bytes(*rest.first_chunk().ok_or_else(cut)?);
        let length = usize::try_from(length).ok().filter(|length| *length <= MAX_GENESIS_TEXT_BYTES);
        let length = length.ok_or_else(|| damaged("the genesis in it is too long"))?;
        take(&mut input, length + 4, &mut head)?;
        let (before, crc) = head.split_last_chunk().ok_or_else(cut)?;
        if before.len() != HEAD_LEN + length {
            return Err(cut());
        }
        if u32::from_le_bytes(*crc) != crc32fast::hash(before) {
            return Err(damaged("its head does not match its checksum"));
        }
        let text = String::from_utf8(before[HEAD_LEN..].to_vec());
        let text = text.map_err(|_| damaged("the genesis in it is no text"))?;
        let genesis = Genesis::from_json(&text)?;
        if genesis.hash() != hash {
            return Err(damaged("the genesis in it is not the one it names"));
        }
        let mut place = Place::new(hash);
        place.pass(&head);
        Ok(Self { input, place, genesis: Arc::new(genesis), text, end: None })
    }

    /// The network.
    #[must_use]
    pub fn genesis(&self) -> &Arc<Genesis> {
        &self.genesis
    }

    /// The text of its genesis.json.
    #[must_use]
    pub fn genesis_text(&self) -> &str {
        &self.text
    }

    /// The height of the last block read.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.place.height
    }

    /// The id of the last block read; genesis' before the first.
    #[must_use]
    pub fn tip(&self) -> Hash {
        self.place.tip
    }

    /// How many bytes were read.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.place.offset
    }

    /// What the trailer says, once it was read.
    #[must_use]
    pub fn end(&self) -> Option<ChainFileEnd> {
        self.end
    }

    /// The next block's bytes; `None` after the last, once the file was found whole.
    ///
    /// # Errors
    /// [`ChainFileError::Damaged`], or the operating system's; what was read before is sound.
    pub fn next_block(&mut self) -> Result<Option<Vec<u8>>, ChainFileError> {
        if self.end.is_some() {
            return Ok(None);
        }
        let offset = self.place.offset;
        let length = u32::from_le_bytes(self.array(offset)?);
        if length == 0 {
            self.end = Some(self.trailer(offset)?);
            return Ok(None);
        }
        let is_possible =
            length <= self.genesis.params().max_block_bytes && EMPTY_BLOCK_BYTES <= as_usize(length);
        if !is_possible {
            return Err(self.damaged(offset, "no block has this length"));
        }
        let crc = u32::from_le_bytes(self.array(offset)?);
        let mut block = Vec::new();
        take(&mut self.input, as_usize(length), &mut block)?;
        if block.len() < as_usize(length) {
            return Err(self.damaged(offset, "it is cut off in a block"));
        }
        if crc != block_checksum(self.place.height + 1, length, &block) {
            return Err(self.damaged(offset, "a block does not match its checksum"));
        }
        if self.place.follow(&block).is_none() {
            return Err(self.damaged(offset, "a block does not follow the one before"));
        }
        self.place.pass(&block);
        Ok(Some(block))
    }

    fn trailer(&mut self, offset: u64) -> Result<ChainFileEnd, ChainFileError> {
        let count = u64::from_le_bytes(self.array(offset)?);
        let tip = Hash(self.array(offset)?);
        let expected = self.place.sha256();
        let sha256 = Hash(self.array(offset)?);
        if (count, tip) != (self.place.height, self.place.tip) {
            return Err(self.damaged(offset, "blocks are missing before its trailer"));
        }
        if sha256 != expected {
            return Err(self.damaged(offset, "it does not match its SHA-256"));
        }
        let mut surplus = Vec::new();
        take(&mut self.input, 1, &mut surplus)?;
        if !surplus.is_empty() {
            return Err(self.damaged(self.place.offset, "something stands after its trailer"));
        }
        Ok(self.place.end(sha256))
    }

    fn array<const N: usize>(&mut self, part: u64) -> Result<[u8; N], ChainFileError> {
        let mut bytes = [0; N];
        match self.input.read_exact(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.damaged(part, "it is cut off"))
            }
            Err(error) => Err(error.into()),
            Ok(()) => {
                self.place.pass(&bytes);
                Ok(bytes)
            }
        }
    }

    fn damaged(&self, offset: u64, what: &str) -> ChainFileError {
        ChainFileError::Damaged { height: self.place.height, offset, what: what.to_owned() }
    }
}

/// Reads `count` bytes, or as many as there are: memory grows with what really comes.
fn take(input: &mut impl Read, count: usize, into: &mut Vec<u8>) -> io::Result<()> {
    let count = u64::try_from(count).expect("memory is addressed by at most 64 bits");
    input.take(count).read_to_end(into).map(|_read| ())
}

/// A length bounded by the network's largest block, 64 MiB, as one in memory.
fn as_usize(length: u32) -> usize {
    usize::try_from(length).expect("every machine this runs on addresses 32 bits")
}
