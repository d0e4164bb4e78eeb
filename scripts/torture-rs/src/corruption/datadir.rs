//! The datadirs that are damaged: with every kind of file that a stopped node may have.
//!
//! One has a history of kills behind it, several segments of the journal, a torn tail, orders that wait, and the redo
//! file of a checkpoint that a crash cut off. The other is the same, cut back by a repair that is not at its end:
//! what was set aside, what was final, the headers that were known.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use printsy_consensus::Genesis;
use printsy_ledger::store::{
    Checkpoint, Commit, CommitBlock, Disk, FileDisk, Fuse, Index, Journal, JournalReader, Missing, SledIndex,
    repair,
};
use printsy_ledger::{Ledger, Origin};

use super::Options;
use crate::files::files_in;
use crate::fused::FusedIndex;
use crate::kills;
use crate::support::orders::{order_until, purchase};
use crate::support::world::seal;
use crate::support::{Random, public};

/// How often the daemon is killed while a datadir is made.
const KILLS: u64 = 6;
/// Into how many segments the journal is laid.
const SEGMENTS: u64 = 4;
/// The name of the miner of the blocks that are made here: the harness' own on that network.
const MINER: &str = "miner-2";
/// The time between two of those blocks, ms: the clock of the chain stays near the world's.
const BLOCK_TIME_MS: u64 = 10;
/// How many of them are in no checkpoint.
const BLOCKS_AFTER: u64 = 3;
/// How many orders each of them holds, and how many wait.
const ORDERS: u64 = 5;
/// The images they buy, which the kills' customers never reach.
const FIRST_IMAGE: u64 = 5_000_000;
/// The changes of an index while a checkpoint is written: rows, flush, mark, flush.
const CHANGES_OF_A_CHECKPOINT: u64 = 4;
/// How many bytes of a commit were written that was never synced.
const TORN_BYTES: usize = 700;
/// A place inside a block's header, seen from the beginning of its frame: its head, the block's length, half a header.
const IN_A_HEADER: usize = 9 + 4 + 80;

/// Makes the first at `datadir`.
///
/// # Errors
/// Those of the kills; the disk's.
pub async fn make(options: &Options, datadir: &Path, number: u64) -> Result<()> {
    let seed = options.seed.wrapping_add(number);
    let printsyd = options.printsyd.clone();
    kills::leave_datadir(&kills::Options { seed, count: KILLS, printsyd }, datadir).await?;
    let genesis = Arc::new(kills::genesis()?);
    let place = datadir.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut random = Random::new(seed);
        lay_out_anew(&genesis, &place)?;
        leave_torn_tail(&mut random, &place)?;
        play_on(&genesis, &mut random, &place)?;
        write_small_files(&mut random, &place)
    })
    .await?
}

/// Makes the second of a copy of the first, in the midst of a repair that only a peer can help with.
///
/// # Errors
/// The disk's.
pub fn begin_repair(random: &mut Random, datadir: &Path) -> Result<()> {
    let genesis = kills::genesis()?;
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(datadir)?);
    let reader = JournalReader::open(disk.clone(), genesis.hash())?;
    let mut positions = Vec::new();
    for stored in reader.moves(0) {
        positions.extend(stored?.connect.into_iter().map(|(_, position)| position));
    }
    // Somewhere in the second half: enough is left before it and behind it.
    let half = positions.len() / 2;
    let position = positions[half + random.index(positions.len() - half)];
    let (segment, base) = segment_of(datadir, position)?;
    let mut bytes = fs::read(datadir.join(&segment))?;
    let at = usize::try_from(position - base)? + IN_A_HEADER;
    bytes[at] ^= 1;
    fs::write(datadir.join(&segment), bytes)?;
    // Its index stays as it was: as though a crash had come at once.
    let mark = Checkpoint::peek(&SledIndex::open(datadir.join("index"))?, &genesis.hash())?;
    let repaired = repair(&disk, &genesis, mark, Missing::Fetch)?;
    ensure!(repaired.is_some(), "a block's header was flipped, and nothing is lost");
    if random.chance(2) {
        fs::write(datadir.join("doubt"), "a block could not be read")?;
    }
    Ok(())
}

/// The segment that a position lies in, and its base.
fn segment_of(datadir: &Path, position: u64) -> Result<(String, u64)> {
    let mut found = None;
    for path in segments(datadir)? {
        let name = path.file_name().and_then(|name| name.to_str()).context("a name")?.to_owned();
        let base: u64 = name.trim_end_matches(".seg").parse()?;
        if base <= position {
            found = Some((format!("journal/{name}"), base));
        }
    }
    found.context("a segment before every position")
}

/// The segments of a journal, the oldest first.
///
/// # Errors
/// The system's.
pub fn segments(datadir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let files = files_in(&datadir.join("journal"))?;
    Ok(files.into_iter().filter(|path| path.extension().is_some_and(|end| end == "seg")).collect())
}

/// The same commits in several segments; what is made from the journal will be made anew.
fn lay_out_anew(genesis: &Genesis, datadir: &Path) -> Result<()> {
    let disk = Arc::new(FileDisk::open(datadir)?);
    let from = Journal::open(disk, genesis.hash(), 0)?.reader();
    let beside = datadir.with_extension("anew");
    let length = from.end().div_ceil(SEGMENTS);
    let mut to = Journal::open_with_segments(Arc::new(FileDisk::open(&beside)?), genesis.hash(), 0, length)?;
    for stored in from.moves(0) {
        let stored = stored?;
        let mut connect = Vec::new();
        for (id, position) in &stored.connect {
            let block = from.block(*position)?;
            connect.push(CommitBlock { id: *id, block: block.block, undo: block.undo });
        }
        to.append(&Commit { disconnect: stored.disconnect, connect, final_height: stored.final_height })?;
    }
    drop(to);
    fs::remove_dir_all(datadir.join("index"))?;
    fs::remove_dir_all(datadir.join("journal"))?;
    fs::rename(beside.join("journal"), datadir.join("journal"))?;
    fs::remove_dir_all(&beside)?;
    for made_from_it in ["headers.dat", "redo"] {
        match fs::remove_file(datadir.join(made_from_it)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    ensure!(segments(datadir)?.len() >= 2, "expected several segments");
    Ok(())
}

/// What a crash leaves of a commit: the next opening cuts it off and keeps it.
fn leave_torn_tail(random: &mut Random, datadir: &Path) -> Result<()> {
    let last = segments(datadir)?.pop().context("a segment")?;
    let tail: Vec<u8> = (0..TORN_BYTES).map(|_| u8::try_from(random.below(256)).unwrap_or(0)).collect();
    Ok(OpenOptions::new().append(true).open(last)?.write_all(&tail)?)
}

/// So many more blocks that a start reads none of those before; then some that the checkpoint has not: it is cut off while
/// it is written. Some orders wait.
fn play_on(genesis: &Arc<Genesis>, random: &mut Random, datadir: &Path) -> Result<()> {
    let open = |fuse| -> Result<Ledger> {
        let index: Arc<dyn Index> = Arc::new(FusedIndex::new(SledIndex::open(datadir.join("index"))?, fuse));
        Ok(Ledger::open(genesis.clone(), Arc::new(FileDisk::open(datadir)?), index)?.0)
    };
    let mut ledger = open(Fuse::never())?;
    // A start reads the blocks whose orders may still be repeated; damage to older ones lies unread.
    for _ in 0..genesis.params().max_validity {
        extend(genesis, &mut ledger)?;
    }
    ledger.close()?;
    drop(ledger);
    let mut ledger = open(Fuse::after(random.below(CHANGES_OF_A_CHECKPOINT)))?;
    for _ in 0..BLOCKS_AFTER {
        admit_some(genesis, &mut ledger)?;
        if extend(genesis, &mut ledger).is_err() {
            break; // the checkpoint was due before we were done
        }
    }
    admit_some(genesis, &mut ledger)?;
    ensure!(ledger.close().is_err(), "the checkpoint was to be cut off");
    drop(ledger);
    let left = |name: &str| datadir.join(name).exists();
    ensure!(left("redo") && left("mempool.dat"), "expected a redo file and orders that wait");
    Ok(())
}

fn admit_some(genesis: &Genesis, ledger: &mut Ledger) -> Result<()> {
    let tip = ledger.tip();
    let expires_at = tip.height() + u64::from(genesis.params().max_validity) / 2;
    for number in 0..ORDERS {
        let image = FIRST_IMAGE + tip.height() + number;
        let order =
            order_until(genesis, &format!("collector-{number}"), expires_at, purchase(&[(image, 1)], 0));
        ledger.admit(&order, Origin::Own, tip.header.header().time).context("an order")?;
    }
    Ok(())
}

fn extend(genesis: &Genesis, ledger: &mut Ledger) -> Result<()> {
    let now = ledger.tip().header.header().time + BLOCK_TIME_MS;
    let template = ledger.template(public(MINER), now)?;
    let mut header = template.header;
    header.time = header.time.max(now);
    let block = seal(genesis, header, MINER, &template.transactions);
    ledger.insert_header(*block.header(), now)?;
    ledger.add_body(Arc::new(block));
    let advance = ledger.advance(true, now)?;
    ensure!(advance.refused.is_empty(), "a template's block was refused: {:?}", advance.refused);
    Ok(())
}

/// Key, configuration and peers, as a node has them that is on a network. The one peer is on this machine, and there
/// is none.
fn write_small_files(random: &mut Random, datadir: &Path) -> Result<()> {
    let key: String = (0..64).map(|_| char::from(b"0123456789abcdef"[random.index(16)])).collect();
    let key_file = datadir.join("node.key");
    fs::write(&key_file, key + "\n")?;
    fs::set_permissions(&key_file, Permissions::from_mode(0o600))?;
    fs::write(
        datadir.join("printsyd.toml"),
        "# An operator's.\n[log]\nformat = \"text\"\n\n[storage]\nmin_free_mib = 1\n",
    )?;
    Ok(fs::write(datadir.join("peers"), "/ip6/::1/tcp/1\n")?)
}
