//! The bytes of a slice: `{ id [16] | length u8 | value }`, ids ascending. Length 0: the row is removed.

use super::super::bytes::Bytes;
use super::Id;

/// What a slice says of an id: nothing, that it is removed, or its value.
pub(super) type Said = Option<Option<Vec<u8>>>;

/// Appends an entry, whose value has 1 to 255 bytes.
pub(super) fn push(slice: &mut Vec<u8>, id: &Id, value: Option<&[u8]>) {
    let value = value.unwrap_or_default();
    slice.extend_from_slice(id);
    slice.push(u8::try_from(value.len()).expect("asserted when it was submitted"));
    slice.extend_from_slice(value);
}

/// The next entry of what is left of a slice.
fn next<'a>(rest: &mut Bytes<'a>) -> Option<(Id, Option<&'a [u8]>)> {
    let (id, len) = (rest.array()?, rest.u8()?);
    Some((id, Some(rest.take(usize::from(len))?).filter(|value| !value.is_empty())))
}

/// Looks an id up.
///
/// # Errors
/// What is wrong with the slice.
pub(super) fn find(slice: &[u8], wanted: &Id) -> Result<Said, &'static str> {
    let mut rest = Bytes(slice);
    while rest.end().is_none() {
        let (id, value) = next(&mut rest).ok_or("is cut short")?;
        if id == *wanted {
            return Ok(Some(value.map(<[u8]>::to_vec)));
        }
    }
    Ok(None)
}

/// All entries.
///
/// # Errors
/// What is wrong with the slice.
pub(super) fn entries(slice: &[u8]) -> Result<Vec<super::Entry>, &'static str> {
    let (mut entries, mut rest) = (Vec::<super::Entry>::new(), Bytes(slice));
    while rest.end().is_none() {
        let (id, value) = next(&mut rest).ok_or("is cut short")?;
        if entries.last().is_some_and(|(last, _)| *last >= id) {
            return Err("is not sorted");
        }
        entries.push((id, value.map(<[u8]>::to_vec)));
    }
    Ok(entries)
}
