//! A slice: some entries of a run, all that there are from its first id up to the next slice's.
//!
//! ```text
//! row = has next u8 | next id [16], if there is one | entries { id [16] | length u8 | value }
//! ```
//! Ids ascend. An entry of length 0 is removed.

use super::super::bytes::Bytes;
use super::{Entry, Id};

/// A slice.
#[derive(Debug)]
pub(super) struct Slice {
    /// The first id of the slice after it.
    pub(super) next: Option<Id>,
    /// What it holds.
    pub(super) entries: Vec<Entry>,
}

impl Slice {
    /// The row of a slice; values have 1 to 255 bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut row = vec![u8::from(self.next.is_some())];
        row.extend(self.next.iter().flatten());
        for (id, value) in &self.entries {
            let value = value.as_deref().unwrap_or_default();
            row.extend_from_slice(id);
            row.push(u8::try_from(value.len()).expect("asserted when it was submitted"));
            row.extend_from_slice(value);
        }
        row
    }

    /// The slice with this first id.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn decode(first: Id, row: &[u8]) -> Result<Self, &'static str> {
        let mut rest = Bytes(row);
        let next = read_next(&mut rest).ok_or("has a slice that is cut short")?;
        let mut entries = Vec::<Entry>::new();
        while rest.end().is_none() {
            let (id, value) = read_entry(&mut rest).ok_or("has a slice that is cut short")?;
            let follows = entries.last().map_or(first <= id, |(last, _)| *last < id);
            if !follows || next.is_some_and(|next| next <= id) {
                return Err("has a slice that is not sorted");
            }
            entries.push((id, Some(value.to_vec()).filter(|value| !value.is_empty())));
        }
        if next.is_some_and(|next| next <= first) {
            return Err("has a slice before itself");
        }
        Ok(Self { next, entries })
    }
}

fn read_next(rest: &mut Bytes<'_>) -> Option<Option<Id>> {
    match rest.u8()? {
        0 => Some(None),
        _ => rest.array().map(Some),
    }
}

fn read_entry<'a>(rest: &mut Bytes<'a>) -> Option<(Id, &'a [u8])> {
    let (id, len) = (rest.array()?, rest.u8()?);
    Some((id, rest.take(usize::from(len))?))
}
