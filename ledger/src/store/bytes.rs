//! A cursor over bytes read from a disk: fixed little-endian fields, one after the other.
//!
//! It answers `None` where the bytes end too early and never panics. It is not the protocol's codec: these
//! are private files, whose lengths are checked against the bytes at hand before anything is allocated.

use printsy_consensus::Hash;

/// What has not been read yet.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// The next `N` bytes as an array.
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    /// The next 32 bytes.
    pub(super) fn hash(&mut self) -> Option<Hash> {
        self.array().map(Hash)
    }

    /// The next byte.
    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// The next four bytes as a number.
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next eight bytes as a number.
    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A count of items of `size` bytes each: `None` if what is left cannot hold them.
    pub(super) fn count(&mut self, size: usize) -> Option<usize> {
        let count = usize::try_from(self.u32()?).ok()?;
        (count.checked_mul(size)? <= self.0.len()).then_some(count)
    }

    /// `Some` if everything was read.
    pub(super) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// A length in memory as a length on disk.
pub(super) fn len64(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("memory is addressed by at most 64 bits")
}

/// A length on disk as a length in memory. Callers bound it by named limits far below 2^32.
pub(super) fn len_usize(len: u64) -> usize {
    usize::try_from(len).expect("the caller's limit lies below what memory can address")
}
