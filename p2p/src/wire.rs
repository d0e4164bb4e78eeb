//! The bytes of requests, answers and gossiped messages.
//!
//! Fixed parts go through the project's codec; raw blocks and transactions are lists with a `u16` count and a
//! `u32` length each, read here in one pass without touching what they hold. A reader refuses truncated
//! and trailing bytes, unknown tags and counts over their maximum (rules C1 to C4), and allocates nothing
//! for bytes that are not there. Streams and frames are `sync_codec.rs`'s business.

use printsy_consensus::codec::{self, DecodeError, List};
use printsy_consensus::{Hash, SignedHeader};

use crate::limits::{
    MAX_BATCH, MAX_BATCH_BYTES, MAX_BLOCKS, MAX_HEADERS, MAX_LOCATOR, MAX_PENDING, MAX_TRANSACTION_BYTES,
    MAX_TRANSACTIONS,
};
use crate::message::{Request, Response, Status};

/// Bytes that a peer should never have sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// Not a value.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A frame longer than any message of its kind.
    #[error("a frame of {got} bytes, at most {max} are allowed")]
    FrameTooLong { got: usize, max: usize },
    /// An answer to something else.
    #[error("asked for {asked:?}, got {got:?}")]
    WrongKind { asked: Kind, got: Kind },
}

/// The kinds of request, whose number is also the tag of request and answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Status,
    Headers,
    Blocks,
    Pending,
    Transactions,
}

impl Kind {
    fn tag(self) -> u8 {
        match self {
            Self::Status => 0,
            Self::Headers => 1,
            Self::Blocks => 2,
            Self::Pending => 3,
            Self::Transactions => 4,
        }
    }

    fn of_tag(tag: u8) -> Result<Self, DecodeError> {
        Ok(match tag {
            0 => Self::Status,
            1 => Self::Headers,
            2 => Self::Blocks,
            3 => Self::Pending,
            4 => Self::Transactions,
            _ => return Err(DecodeError::UnknownTag),
        })
    }

    /// The most bytes an answer of this kind can take.
    pub(crate) fn max_response_bytes(self, max_block_bytes: usize) -> usize {
        const STATUS: usize = 32 + 32 + 8 + 32 + 8;
        1 + match self {
            Self::Status => STATUS,
            Self::Headers => 2 + MAX_HEADERS * SignedHeader::LEN,
            Self::Blocks => 2 + MAX_BLOCKS * 4 + max_block_bytes,
            Self::Pending => 2 + MAX_PENDING * 32,
            Self::Transactions => 2 + MAX_TRANSACTIONS * (4 + MAX_TRANSACTION_BYTES),
        }
    }
}

/// The most bytes a request can take: the longest asks for transactions by id.
pub(crate) const MAX_REQUEST_BYTES: usize = 1 + 2 + MAX_TRANSACTIONS * 32;

impl Request {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Status(_) => Kind::Status,
            Self::Headers { .. } => Kind::Headers,
            Self::Blocks { .. } => Kind::Blocks,
            Self::Pending => Kind::Pending,
            Self::Transactions { .. } => Kind::Transactions,
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.kind().tag()];
        match self {
            Self::Status(status) => bytes.extend(codec::encode(status)),
            Self::Headers { locator, stop } => {
                bytes.extend(codec::encode(locator));
                bytes.extend(stop.0);
            }
            Self::Blocks { ids } => bytes.extend(codec::encode(ids)),
            Self::Pending => {}
            Self::Transactions { ids } => bytes.extend(codec::encode(ids)),
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (tag, body) = bytes.split_first().ok_or(DecodeError::Truncated)?;
        Ok(match Kind::of_tag(*tag)? {
            Kind::Status => Self::Status(codec::decode::<Status>(body)?),
            Kind::Headers => {
                let (locator, stop) = codec::decode::<(List<Hash, MAX_LOCATOR>, Hash)>(body)?;
                Self::Headers { locator, stop }
            }
            Kind::Blocks => Self::Blocks { ids: codec::decode(body)? },
            Kind::Pending => {
                nothing_after(body)?;
                Self::Pending
            }
            Kind::Transactions => Self::Transactions { ids: codec::decode(body)? },
        })
    }
}

impl Response {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Status(_) => Kind::Status,
            Self::Headers(_) => Kind::Headers,
            Self::Blocks(_) => Kind::Blocks,
            Self::Pending(_) => Kind::Pending,
            Self::Transactions(_) => Kind::Transactions,
        }
    }

    /// The same answer, cut to what the protocol allows: what is over the bound is left out, from its end.
    pub(crate) fn cut(mut self, max_block_bytes: usize) -> Self {
        match &mut self {
            Self::Status(_) => {}
            Self::Headers(headers) => headers.truncate(MAX_HEADERS),
            Self::Blocks(blocks) => {
                cut_blobs(blocks, MAX_BLOCKS, max_block_bytes, max_block_bytes);
            }
            Self::Pending(ids) => ids.truncate(MAX_PENDING),
            Self::Transactions(list) => {
                cut_blobs(list, MAX_TRANSACTIONS, MAX_TRANSACTION_BYTES, usize::MAX);
            }
        }
        self
    }

    /// How many bytes [`Self::to_bytes`] makes.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Status(_) => Kind::Status.max_response_bytes(0),
            Self::Headers(headers) => 3 + headers.len() * SignedHeader::LEN,
            Self::Pending(ids) => 3 + ids.len() * 32,
            Self::Blocks(list) | Self::Transactions(list) => {
                3 + list.iter().map(|bytes| 4 + bytes.len()).sum::<usize>()
            }
        }
    }

    /// The bytes of an answer that was [cut](Self::cut).
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size());
        bytes.push(self.kind().tag());
        match self {
            Self::Status(status) => bytes.extend(codec::encode(status)),
            Self::Headers(headers) => {
                write_count(&mut bytes, headers.len());
                headers.iter().for_each(|header| bytes.extend(header.to_bytes()));
            }
            Self::Pending(ids) => {
                write_count(&mut bytes, ids.len());
                ids.iter().for_each(|id| bytes.extend(id.0));
            }
            Self::Blocks(list) | Self::Transactions(list) => write_blobs(&mut bytes, list),
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8], max_block_bytes: usize) -> Result<Self, DecodeError> {
        let (tag, body) = bytes.split_first().ok_or(DecodeError::Truncated)?;
        Ok(match Kind::of_tag(*tag)? {
            Kind::Status => Self::Status(codec::decode::<Status>(body)?),
            Kind::Headers => {
                let headers = fixed_items::<{ SignedHeader::LEN }>(body, MAX_HEADERS)?;
                Self::Headers(headers.map(SignedHeader::from_bytes).collect())
            }
            Kind::Blocks => Self::Blocks(read_blobs(body, MAX_BLOCKS, max_block_bytes)?),
            Kind::Pending => {
                Self::Pending(fixed_items::<32>(body, MAX_PENDING)?.map(|id| Hash(*id)).collect())
            }
            Kind::Transactions => {
                Self::Transactions(read_blobs(body, MAX_TRANSACTIONS, MAX_TRANSACTION_BYTES)?)
            }
        })
    }
}

/// The bytes of one gossiped batch. The caller keeps the bounds, see [`batches`].
pub(crate) fn batch_to_bytes(batch: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_blobs(&mut bytes, batch);
    bytes
}

/// One gossiped batch: at least one transaction, each within bounds.
pub(crate) fn batch_from_bytes(bytes: &[u8]) -> Result<Vec<Vec<u8>>, DecodeError> {
    if bytes.len() > MAX_BATCH_BYTES {
        return Err(DecodeError::OverMaximum);
    }
    let batch = read_blobs(bytes, MAX_BATCH, MAX_TRANSACTION_BYTES)?;
    if batch.is_empty() { Err(DecodeError::Truncated) } else { Ok(batch) }
}

/// One gossiped header.
pub(crate) fn header_from_bytes(bytes: &[u8]) -> Result<SignedHeader, DecodeError> {
    let header: &[u8; SignedHeader::LEN] = match bytes.len().checked_sub(SignedHeader::LEN) {
        None => return Err(DecodeError::Truncated),
        Some(0) => bytes.try_into().expect("the length was just compared"),
        Some(extra) => return Err(DecodeError::Trailing { extra }),
    };
    Ok(SignedHeader::from_bytes(header))
}

/// Splits transactions into batches that fit a gossip message; one too long to be valid is left out.
pub(crate) fn batches(transactions: Vec<Vec<u8>>) -> Vec<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    let mut batch = Vec::new();
    let mut size = 2;
    for bytes in transactions.into_iter().filter(|bytes| bytes.len() <= MAX_TRANSACTION_BYTES) {
        if batch.len() == MAX_BATCH || size + 4 + bytes.len() > MAX_BATCH_BYTES {
            all.push(std::mem::take(&mut batch));
            size = 2;
        }
        size += 4 + bytes.len();
        batch.push(bytes);
    }
    if !batch.is_empty() {
        all.push(batch);
    }
    all
}

/// Keeps the longest prefix of at most `max_count` items, each within `max_each`, that together stay within
/// `max_all`; the first item alone may reach `max_each`.
fn cut_blobs(list: &mut Vec<Vec<u8>>, max_count: usize, max_each: usize, max_all: usize) {
    let mut total = 0_usize;
    let fitting = list.iter().take(max_count).take_while(|bytes| {
        total = total.saturating_add(bytes.len());
        bytes.len() <= max_each && total <= max_all
    });
    let count = fitting.count();
    list.truncate(count);
}

fn write_count(bytes: &mut Vec<u8>, count: usize) {
    bytes.extend(u16::try_from(count).expect("every list's maximum is below 65,536").to_le_bytes());
}

fn write_blobs(bytes: &mut Vec<u8>, list: &[Vec<u8>]) {
    write_count(bytes, list.len());
    for item in list {
        bytes.extend(u32::try_from(item.len()).expect("no item reaches 4 GiB").to_le_bytes());
        bytes.extend_from_slice(item);
    }
}

fn read_count(bytes: &[u8], max: usize) -> Result<(usize, &[u8]), DecodeError> {
    let (count, rest) = bytes.split_first_chunk().ok_or(DecodeError::Truncated)?;
    let count = usize::from(u16::from_le_bytes(*count));
    if count > max { Err(DecodeError::OverMaximum) } else { Ok((count, rest)) }
}

fn read_blobs(bytes: &[u8], max_count: usize, max_each: usize) -> Result<Vec<Vec<u8>>, DecodeError> {
    let (count, mut rest) = read_count(bytes, max_count)?;
    let mut list = Vec::new();
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| DecodeError::OverMaximum)?;
        if length > max_each {
            return Err(DecodeError::OverMaximum);
        }
        let (item, after) = after.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        list.push(item.to_vec());
        rest = after;
    }
    nothing_after(rest)?;
    Ok(list)
}

/// The items of a list whose items all take `N` bytes.
fn fixed_items<const N: usize>(
    bytes: &[u8],
    max: usize,
) -> Result<impl Iterator<Item = &[u8; N]>, DecodeError> {
    let (count, rest) = read_count(bytes, max)?;
    let wanted = count * N;
    if rest.len() < wanted {
        return Err(DecodeError::Truncated);
    }
    nothing_after(&rest[wanted..])?;
    let (items, _) = rest.as_chunks::<N>();
    Ok(items.iter())
}

fn nothing_after(rest: &[u8]) -> Result<(), DecodeError> {
    match rest.len() {
        0 => Ok(()),
        extra => Err(DecodeError::Trailing { extra }),
    }
}

#[cfg(test)]
mod tests;
