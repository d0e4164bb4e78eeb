//! One damage to one file of a datadir: a byte flipped, a part zeroed, the end cut off, the file removed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::datadir::segments;
use super::kind::Kind;
use crate::files::files_in;
use crate::support::Random;

/// The most bytes that are zeroed at once.
const MOST_ZEROED: usize = 512;

/// What was done.
#[derive(Clone, Debug)]
pub struct Damage {
    /// To which kind of file.
    pub kind: Kind,
    /// In a sentence: the file, and how.
    pub what: String,
}

/// Flips a bit in the oldest segment of the journal: blocks that a start does not read.
///
/// # Errors
/// The system's.
pub fn damage_unread(random: &mut Random, datadir: &Path) -> Result<Damage> {
    let path = segments(datadir)?.into_iter().next().context("a segment")?;
    let mut bytes = fs::read(&path)?;
    let at = random.index(bytes.len());
    bytes[at] ^= 1 << random.below(8);
    fs::write(&path, bytes)?;
    Ok(Damage { kind: Kind::Segment, what: format!("{} flipped at {at}", path.display()) })
}

/// Damages one file: every kind that is there is as likely, and of a kind every file.
///
/// # Errors
/// The system's.
pub fn damage(random: &mut Random, datadir: &Path) -> Result<Damage> {
    let mut kinds: BTreeMap<Kind, Vec<PathBuf>> = BTreeMap::new();
    for path in files_in(datadir)? {
        let name = path.strip_prefix(datadir)?.to_str().context("a name")?.to_owned();
        if fs::metadata(&path)?.len() > 0
            && let Some(kind) = Kind::of(&name)
        {
            kinds.entry(kind).or_default().push(path);
        }
    }
    let (kind, paths) = kinds.iter().nth(random.index(kinds.len())).context("a file")?;
    let path = &paths[random.index(paths.len())];
    let how = spoil(random, path)?;
    let name = path.strip_prefix(datadir)?.display();
    Ok(Damage { kind: *kind, what: format!("{name} {how}") })
}

/// Damages a file that is not empty; says how.
fn spoil(random: &mut Random, path: &Path) -> Result<String> {
    let mut bytes = fs::read(path)?;
    let at = random.index(bytes.len());
    let how = match random.below(8) {
        0 => {
            fs::remove_file(path)?;
            return Ok("removed".to_owned());
        }
        1 => {
            bytes.truncate(at);
            format!("cut to {at}")
        }
        2 if bytes[at] != 0 => {
            let end = bytes.len().min(at + 1 + random.index(MOST_ZEROED));
            bytes[at..end].fill(0);
            format!("zeroed from {at} to {end}")
        }
        _ => {
            bytes[at] ^= 1 << random.below(8);
            format!("flipped at {at}")
        }
    };
    fs::write(path, bytes)?;
    Ok(how)
}
