//! The audit: everything a stopped node has on its disk, held against the rules and against itself.
//!
//! Four walks, none of which changes anything: every frame of the journal by its checksum; the journal executed
//! again (`replay`), with the index compared where it stands (`index`); the invariants counted from the raw blocks
//! of the chain by a book kept by hand (`count`, `book`, `root`), which shares nothing with the replay but decoding
//! and hashing; headers.dat beside it (`headers`). The replay stops at the first fault, the count goes on.
//!
//! [`replay()`] alone is what `printsyd replay` does; [`audit()`] is what `printsyd audit` does.

mod book;
mod chain;
mod count;
mod headers;
mod index;
mod replay;
mod report;
mod root;
mod state;

pub use chain::Chain;
pub use replay::{Replayed, replay};
pub use report::{Area, AuditReport, Check, Counts, Finding, MAX_FINDINGS};

use std::sync::Arc;

use printsy_consensus::{Block, Genesis, SignedHeader, codec};

use self::chain::SinceMark;
use self::count::Count;
use self::headers::HeadersCheck;
use self::replay::{Replay, journalled_header};
use crate::error::LedgerError;
use crate::progress::Progress;
use crate::store::{Disk, Frames, HeaderFile, Index, IndexView, JournalReader, Mark, StoreError, StoredMove};

/// What an audit is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reading every frame of the journal.
    Frames,
    /// Executing the journal.
    Replay,
    /// Comparing the index.
    Index,
    /// Counting the blocks of the chain.
    Count,
}

/// Who is told how far each stage has come.
pub type StageWatch<'a> = dyn FnMut(Stage, Progress) + 'a;

/// The header of a height of the chain; `None` above the last.
///
/// # Errors
/// Damage, or the disk's.
pub fn header_at(
    genesis: &Genesis,
    journal: &JournalReader,
    chain: &Chain,
    height: u64,
) -> Result<Option<SignedHeader>, StoreError> {
    match chain.position(height) {
        Some(position) => journalled_header(journal, position).map(Some),
        None => Ok((height == 0).then(|| *genesis.header())),
    }
}

/// Audits what is on a disk and in an index, neither of which changes. `index` is an error where it cannot be
/// opened.
///
/// # Errors
/// Where the disk fails, or belongs to another network or a newer program. Damage is no error: it is found.
pub fn audit(
    genesis: &Arc<Genesis>,
    disk: &Arc<dyn Disk>,
    index: Result<Arc<dyn Index>, StoreError>,
    watch: &mut StageWatch<'_>,
) -> Result<AuditReport, LedgerError> {
    let mut index_check = Check::new(Area::Index, "index");
    let view = match index.and_then(|index| IndexView::open(disk.as_ref(), index, &genesis.hash())) {
        Ok(view) => Some(view),
        Err(error) => index_check.find_damage(None, error.into()).map(|()| None)?,
    };
    let view = view.as_ref().and_then(|view| Some((view, view.mark()?)));
    if view.is_none() && index_check.wrong == 0 {
        index_check.note =
            Some("the index is empty or half written; the next start makes it again".to_owned());
    }
    let mark = view.map(|(_, mark)| mark);
    let mut frames = Check::new(Area::File, "journal");
    let synced = mark.map_or(0, |mark| mark.journal_end);
    let journal = match JournalReader::open_synced(disk.clone(), genesis.hash(), synced) {
        Ok(journal) => journal,
        Err(error) => {
            frames.find_damage(None, error.into())?;
            return Ok(unreadable(genesis, vec![frames, index_check]));
        }
    };
    let walked = walk_frames(&journal, mark.as_ref(), &mut frames, watch)?;
    let (replayed, index_checks) = check_replay(genesis, &journal, view, index_check, watch)?;
    let headers = HeaderFile::open(disk.clone())?;
    let mut report = check_chain(genesis, &journal, headers, &walked, &mut frames, watch)?;
    report.checks.insert(0, replayed);
    report.checks.push(frames);
    report.checks.extend(index_checks);
    Ok(AuditReport { index_mark: mark, ..report })
}

/// What can be said where the journal's files do not even follow one another.
fn unreadable(genesis: &Genesis, checks: Vec<Check>) -> AuditReport {
    let header = &genesis.header().header;
    AuditReport {
        height: 0,
        tip: genesis.hash(),
        state_root: header.state_root,
        final_height: 0,
        counts: Counts::default(),
        index_mark: None,
        checks,
    }
}

/// What the walk over the frames leaves.
struct Walked {
    chain: Chain,
    since_mark: SinceMark,
    end: u64,
    moves: u64,
    blocks: u64,
    /// Why the chain is not the whole one.
    stopped: Option<String>,
}

impl Walked {
    /// Follows a move, if it is the next one.
    fn follow(&mut self, journal: &JournalReader, stored: &StoredMove) -> Result<(), StoreError> {
        if stored.start != self.end || self.stopped.is_some() {
            return Ok(());
        }
        let fork = self.chain.follow(journal, stored)?;
        self.since_mark.note(stored.end, fork, self.chain.height());
        self.end = stored.end;
        self.moves += 1;
        self.blocks += u64::try_from(stored.connect.len()).unwrap_or(u64::MAX);
        Ok(())
    }
}

/// Every frame by its checksum; on the way, the chain that the moves make.
fn walk_frames(
    journal: &JournalReader,
    mark: Option<&Mark>,
    check: &mut Check,
    watch: &mut StageWatch<'_>,
) -> Result<Walked, LedgerError> {
    let (chain, since_mark) = (Chain::default(), SinceMark::new(mark));
    let mut walked = Walked { chain, since_mark, end: 0, moves: 0, blocks: 0, stopped: None };
    let total = journal.end();
    check.checked = journal.check_frames(&mut |frames| match frames {
        Frames::Damage(error) => check.find(None, None, error.to_string()),
        Frames::Commit(stored) => {
            if let Err(error) = walked.follow(journal, &stored) {
                check.find(None, None, error.to_string());
                walked.stopped = Some(error.to_string());
            }
            let height = walked.chain.height();
            watch(Stage::Frames, Progress { done: stored.end, total, height, transactions: 0 });
        }
    })?;
    if walked.end < total {
        walked.stopped.get_or_insert(format!("the journal's moves cannot be read on at byte {}", walked.end));
    }
    Ok(walked)
}

/// The journal executed again, and the index compared where it stands: the replay's check, and the index's.
fn check_replay(
    genesis: &Arc<Genesis>,
    journal: &JournalReader,
    index: Option<(&IndexView, Mark)>,
    mut index_check: Check,
    watch: &mut StageWatch<'_>,
) -> Result<(Check, Vec<Check>), LedgerError> {
    let mut check = Check::new(Area::Replay, "replay");
    let mut replay = Replay::new(genesis.clone(), journal.clone());
    let mut moves = journal.moves(0);
    let mut compared = Vec::new();
    let mut fault = None;
    loop {
        if let Some((view, mark)) = index.filter(|(_, mark)| mark.journal_end == replay.end()) {
            match index::compare(&replay, journal, view, &mark, &mut |at| watch(Stage::Index, at)) {
                Ok(checks) => compared = checks,
                Err(error) => index_check.find_damage(None, error)?,
            }
        }
        let Some(stored) = moves.next() else { break };
        if let Err(error) = stored.map_err(LedgerError::from).and_then(|stored| replay.apply(&stored)) {
            fault = Some(error);
            break;
        }
        watch(Stage::Replay, replay.progress());
    }
    check.checked = replay.replayed().blocks;
    let is_compared = !compared.is_empty() || index_check.wrong > 0;
    match (fault, index.filter(|_| !is_compared)) {
        (Some(error), index) => {
            check.find_damage(Some(replay.height() + 1), error)?;
            index_check.skipped =
                index.map(|_| "the replay did not come to where the index stands".to_owned());
        }
        (None, Some((_, mark))) => {
            let what =
                format!("its mark is at byte {} of the journal, where no commit ends", mark.journal_end);
            index_check.find(Some(mark.height), Some(mark.tip), what);
        }
        (None, None) => {}
    }
    let index_checks = if compared.is_empty() { vec![index_check] } else { compared };
    Ok((check, index_checks))
}

/// The blocks of the chain, counted, and headers.dat beside them.
fn check_chain(
    genesis: &Genesis,
    journal: &JournalReader,
    headers: HeaderFile,
    walked: &Walked,
    frames: &mut Check,
    watch: &mut StageWatch<'_>,
) -> Result<AuditReport, LedgerError> {
    let mut count = Count::new(genesis);
    let mut headers = HeadersCheck::new(headers, walked.since_mark.firm(), genesis)?;
    let mut state_root = genesis.header().header.state_root;
    let mut stopped = walked.stopped.clone();
    for height in 1..=walked.chain.height() {
        let Some(position) = walked.chain.position(height) else { break };
        let block = match journal.block(position) {
            Ok(stored) => codec::decode::<Block>(&stored.block).map_err(|error| {
                frames.find(Some(height), None, journal.damage(position, &error.to_string()).to_string());
                error.to_string()
            }),
            Err(error @ StoreError::Damaged { .. }) => Err(error.to_string()),
            Err(error) => return Err(error.into()),
        };
        let block = match block {
            Ok(block) => block,
            Err(error) => {
                stopped = Some(format!("the block at height {height} cannot be read: {error}"));
                break;
            }
        };
        headers.record(height, &block.header, position)?;
        count.block(&block);
        state_root = block.header.header.state_root;
        let (done, total, transactions) = (position, journal.end(), count.transactions());
        watch(Stage::Count, Progress { done, total, height, transactions });
    }
    let (height, tip) = (count.height(), count.tip());
    let (counts, mut checks) = count.finish(state_root, stopped.as_deref());
    checks.push(headers.finish(stopped.as_deref()));
    let counts = Counts { moves: walked.moves, journalled_blocks: walked.blocks, ..counts };
    let final_height = walked.chain.final_height();
    Ok(AuditReport { height, tip, state_root, final_height, counts, index_mark: None, checks })
}
