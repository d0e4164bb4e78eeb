//! Segments set aside: what a repair takes out of the journal is renamed, and stays until its blocks are back.

use super::disk::Disk;
use super::error::StoreError;
use super::segment::{FOLDER, parse_name};

/// What files set aside are called, before the base of the segment and a number.
const ASIDE: &str = "damaged-";

/// The files set aside, with the bases of the segments they were.
pub(super) fn aside(disk: &dyn Disk) -> Result<Vec<(String, u64)>, StoreError> {
    let names = disk.list(FOLDER).map_err(|error| StoreError::io("list", FOLDER, error))?;
    let base = |name: &String| {
        let (base, _) = name.strip_prefix(ASIDE)?.split_once('-')?;
        parse_name(&format!("{base}.seg"))
    };
    Ok(names.iter().filter_map(|name| Some((format!("{FOLDER}/{name}"), base(name)?))).collect())
}

/// The name under which the segment with this base is set aside: one that is not taken.
pub(super) fn aside_name(disk: &dyn Disk, base: u64) -> Result<String, StoreError> {
    let mut number = 0u64;
    loop {
        let name = format!("{FOLDER}/{ASIDE}{base:020}-{number}");
        match disk.len(&name).map_err(|error| StoreError::io("read", &name, error))? {
            None => return Ok(name),
            Some(_) => number += 1,
        }
    }
}
