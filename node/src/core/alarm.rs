//! The finality alarm: a peer's chain has more work than ours and leaves a block that is final here. The node stays
//! on its own chain, whatever the other one is, and says so for as long as the other one stands.
//!
//! A claim of work costs nothing, and neither does a header whose bits nobody holds against the schedule. So the alarm
//! is raised by proof alone: the peer shows its headers from the last block that both chains have, one upon the other
//! up to more work than our best, each by every rule that headers are held to. Only the work of miners that our chain
//! knows counts: a key that may not mine can outwork nobody. The survey keeps the last header and a sum, however long
//! the branch is. Once proved, the branch is followed, so that the alarm ends when the peer leaves it, or leaves, or
//! our chain has more work.
//!
//! A better branch whose bodies do not fit into memory up to where it outweighs our chain is an alarm too: it may be the
//! right one, and this node cannot follow it.
//!
//! A peer whose headers have a version that this program does not know is an alarm of its own kind: it proves nothing,
//! it only tells the operator to look for an update.

use std::fmt;

use printsy_consensus::codec::List;
use printsy_consensus::{CheckedHeader, Hash, Header, HeaderError, Work, verify_header};
use printsy_ledger::LedgerError;
use printsy_ledger::store::HeaderRecord;
use printsy_p2p::limits::{MAX_HEADERS, MAX_LOCATOR};
use printsy_p2p::{PeerKey, Request};

use super::Core;
use super::sync::Asked;

/// How long a peer whose survey proved nothing is not surveyed again, ms.
const SURVEY_AGAIN_AFTER_MS: u64 = 60_000;
/// How long after a look at a branch, or at what a peer claims, the next one comes, ms.
const FOLLOW_AFTER_MS: u64 = 10_000;
/// How many headers of one branch are surveyed at the most: as many as the header tree takes, weeks of blocks.
const MAX_SURVEYED: usize = printsy_ledger::MAX_TREE_HEADERS;
/// How many surveys wait for an answer at once at the most: more than one, so that a silent peer holds up nothing.
const MAX_SURVEYS: usize = 4;

/// A chain that has more work than ours and does not hold our final block, proved by its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The height of the last block that both chains have.
    pub fork_height: u64,
    /// The height of the last header seen of it.
    pub height: u64,
    /// The id of that header.
    pub tip: Hash,
    /// Its work, as far as miners known here did it.
    pub work: Work,
    /// The height up to which blocks are final here.
    pub final_height: u64,
    /// The block at that height.
    pub final_block: Hash,
}

/// As a sentence for operators, with what to do.
impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fork_height, height, tip, final_height, final_block, .. } = self;
        write!(
            f,
            "a chain of more work, up to {tip} at height {height}, leaves this one after height {fork_height}, but \
             here all is final up to height {final_height} ({final_block}): this node stays; compare with a node \
             you trust by `printsyd audit --against URL`, and only if the other chain is right follow it by \
             `printsyd resolve --to {tip} --from URL`, both while this node is stopped"
        )
    }
}

/// The alarms that stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alarms {
    /// The heaviest chain that is in conflict with what is final here.
    pub conflict: Option<Conflict>,
    /// How many peers have such a chain.
    pub conflicts: usize,
    /// How many peers follow rules newer than this program's.
    pub newer: usize,
    /// The height of a better branch whose bodies do not fit.
    pub beyond_room: Option<u64>,
}

/// How far a peer's branch was followed. It begins on our own chain.
#[derive(Clone, Debug)]
pub(super) struct Survey {
    last: Header,
    last_id: Hash,
    /// The time of the header before the last.
    before: Option<u64>,
    work: Work,
    fork_height: u64,
    /// How many headers the peer gave.
    count: usize,
}

/// Why a survey ends without a proof.
enum Unproved {
    /// The headers are no branch that leaves our final block.
    NoConflict,
    /// A header breaks a rule, or cannot be judged now.
    Header(HeaderError),
    /// It would go on for too long.
    TooLong,
    /// Our own headers cannot be read.
    Ledger(LedgerError),
}

impl From<LedgerError> for Unproved {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl Core {
    /// The alarms that stand.
    #[must_use]
    pub fn alarms(&self) -> Alarms {
        self.alarms
    }

    fn standing_alarms(&self) -> Alarms {
        let conflicts = || self.peers.iter().filter_map(|(_, peer)| peer.conflict);
        Alarms {
            conflict: conflicts().max_by_key(|conflict| conflict.work),
            conflicts: conflicts().count(),
            newer: self.peers.iter().filter(|(_, peer)| peer.is_newer).count(),
            beyond_room: self.ledger.beyond_room(),
        }
    }

    fn best_work(&self) -> Work {
        self.ledger.tree().work(&self.ledger.tree().best()).unwrap_or_default()
    }

    /// A peer's header has a version that this program does not know. Told once a peer.
    pub(super) fn note_newer(&mut self, key: PeerKey, error: &HeaderError) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if !std::mem::replace(&mut peer.is_newer, true) {
            self.metrics.alarm();
            tracing::error!(peer = key.0, %error, "a peer follows newer rules; staying: look for an update");
        }
    }

    /// A peer's headers do not connect to the tree, which begins at our final block. If it claims more work, its
    /// branch is surveyed; if it does not, its claim may be old, and it is asked for a new one.
    pub(super) fn suspect(&mut self, key: PeerKey) {
        let (best, now) = (self.best_work(), self.now);
        let Some(peer) = self.peers.get_mut(key) else { return };
        if now < peer.survey_at || peer.survey.is_some() {
            return;
        }
        if peer.work <= best {
            peer.survey_at = now.saturating_add(FOLLOW_AFTER_MS);
            let status = self.status();
            self.ask(key, Asked::Status, Request::Status(status));
        } else if self.surveys_on_their_way() < MAX_SURVEYS {
            self.begin_survey(key);
        }
    }

    fn surveys_on_their_way(&self) -> usize {
        self.requests.open.values().filter(|(_, asked)| matches!(asked, Asked::Branch)).count()
    }

    /// Asks a peer where its chain leaves ours.
    fn begin_survey(&mut self, key: PeerKey) {
        let locator = match self.survey_locator() {
            Ok(locator) => locator,
            Err(error) => return self.end_survey(key, Unproved::Ledger(error)),
        };
        self.ask_branch(key, locator, SURVEY_AGAIN_AFTER_MS);
    }

    fn ask_branch(&mut self, key: PeerKey, locator: List<Hash, MAX_LOCATOR>, pause_ms: u64) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.survey_at = self.now.saturating_add(pause_ms);
        }
        self.ask(key, Asked::Branch, Request::Headers { locator, stop: Hash::ZERO });
    }

    /// Asks for what follows the last header of a survey, or else our final block: then the branch is left.
    fn ask_on(&mut self, key: PeerKey, last: Hash, pause_ms: u64) {
        let ids = vec![last, self.ledger.tree().root()];
        self.ask_branch(key, ids.try_into().expect("two ids are a locator"), pause_ms);
    }

    /// Ids of our chain from the final block down to genesis, ever sparser.
    fn survey_locator(&self) -> Result<List<Hash, MAX_LOCATOR>, LedgerError> {
        let reader = self.ledger.reader();
        let (mut height, mut step, mut ids) = (Some(self.ledger.final_height()), 1u64, Vec::new());
        while let Some(at) = height.filter(|_| ids.len() + 1 < MAX_LOCATOR) {
            ids.extend(reader.header_at(at)?.map(|record| record.signed.header.id()));
            height = at.checked_sub(step);
            step = step.saturating_mul(2);
        }
        ids.push(self.ledger.genesis().hash());
        Ok(ids.try_into().expect("the loop leaves room for genesis"))
    }

    /// A peer gave headers of its branch: follow them, and see what they prove.
    pub(super) fn take_branch(
        &mut self,
        key: PeerKey,
        headers: &[CheckedHeader],
        wrong: Option<HeaderError>,
    ) {
        // H7: what is from the future is asked for again when its time is here.
        let latest = self.now.saturating_add(self.ledger.params().max_future_ms);
        let timely = headers.iter().take_while(|header| header.header().time <= latest).count();
        let headers = &headers[..timely];
        let Some(peer) = self.peers.get_mut(key) else { return };
        let (begun, stands) = (peer.survey.take(), peer.conflict.is_some());
        let goes_on =
            |survey: &Survey| headers.first().is_none_or(|header| header.header().parent == survey.last_id);
        if begun.as_ref().is_some_and(|survey| stands && !goes_on(survey)) {
            // The branch that was proved is not this peer's any more; what it is now is looked at anew.
            return self.begin_survey(key);
        }
        let survey = match self.follow(begun, headers) {
            Ok(survey) => survey,
            Err(unproved) => return self.end_survey(key, unproved),
        };
        let is_proved = survey.work > self.best_work();
        let is_full = headers.len() == MAX_HEADERS && wrong.is_none();
        if is_proved {
            self.raise(key, &survey);
        } else if !is_full {
            return self.end_survey(key, wrong.map_or(Unproved::NoConflict, Unproved::Header));
        }
        let last = survey.last_id;
        if let Some(peer) = self.peers.get_mut(key) {
            peer.survey = Some(survey);
            peer.survey_at = self.now.saturating_add(FOLLOW_AFTER_MS);
        }
        if is_full {
            self.ask_on(key, last, SURVEY_AGAIN_AFTER_MS);
        }
    }

    /// A peer did not say what its branch is. What it proved before stands; it is asked again.
    pub(super) fn miss_branch(&mut self, key: PeerKey) {
        if let Some(peer) = self.peers.get_mut(key).filter(|peer| peer.conflict.is_none()) {
            peer.survey = None;
        }
    }

    /// Follows headers from where a survey stands, or from the block of ours that the first of them is built on.
    fn follow(&self, begun: Option<Survey>, headers: &[CheckedHeader]) -> Result<Survey, Unproved> {
        let mut survey = match begun {
            Some(survey) => survey,
            None => self.survey_from(headers.first().ok_or(Unproved::NoConflict)?)?,
        };
        for header in headers {
            self.follow_one(&mut survey, header)?;
        }
        Ok(survey)
    }

    /// A survey that begins below our final block, on the parent of `first`.
    fn survey_from(&self, first: &CheckedHeader) -> Result<Survey, Unproved> {
        let below_final = first.header().height.checked_sub(1);
        let height = below_final.filter(|height| *height < self.ledger.final_height());
        let height = height.ok_or(Unproved::NoConflict)?;
        let fork = self.own(height)?.filter(|own| own.signed.header.id() == first.header().parent);
        let fork = fork.ok_or(Unproved::NoConflict)?;
        let before = match height.checked_sub(1) {
            Some(below) => self.own(below)?.map(|own| own.signed.header.time),
            None => None,
        };
        let (last, last_id) = (fork.signed.header, first.header().parent);
        Ok(Survey { last, last_id, before, work: fork.work, fork_height: height, count: 0 })
    }

    /// The header of our chain at a height.
    fn own(&self, height: u64) -> Result<Option<HeaderRecord>, LedgerError> {
        self.ledger.reader().header_at(height)
    }

    fn follow_one(&self, survey: &mut Survey, header: &CheckedHeader) -> Result<(), Unproved> {
        if header.header().parent != survey.last_id {
            return Err(Unproved::NoConflict);
        }
        if survey.count >= MAX_SURVEYED {
            return Err(Unproved::TooLong);
        }
        verify_header(self.ledger.params(), &survey.last, survey.before, header.header(), self.now)
            .map_err(Unproved::Header)?;
        let height = header.header().height;
        let is_on_ours = survey.fork_height == survey.last.height;
        let own = if is_on_ours { self.own(height)? } else { None };
        match own.filter(|own| own.signed.header.id() == header.id()) {
            // It holds our final block: an ordinary branch, which the tree takes.
            Some(_) if height >= self.ledger.final_height() => return Err(Unproved::NoConflict),
            Some(own) => (survey.fork_height, survey.work) = (height, own.work),
            None if self.ledger.may_mine(&header.header().miner) => {
                survey.work = survey.work.plus(header.target().work());
            }
            None => {}
        }
        survey.before = Some(survey.last.time);
        (survey.last, survey.last_id) = (*header.header(), header.id());
        survey.count += 1;
        Ok(())
    }

    fn end_survey(&mut self, key: PeerKey, why: Unproved) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.survey = None;
            peer.conflict = None;
            peer.survey_at = self.now.saturating_add(SURVEY_AGAIN_AFTER_MS);
        }
        match why {
            Unproved::NoConflict => {}
            Unproved::Header(error) => self.blame_header(key, &error),
            Unproved::TooLong => {
                tracing::warn!(
                    peer = key.0,
                    "a peer's branch below the final block is too long to be surveyed"
                );
            }
            Unproved::Ledger(error) => {
                tracing::error!(%error, "cannot hold a peer's branch against this node's own headers");
            }
        }
    }

    fn raise(&mut self, key: PeerKey, survey: &Survey) {
        let conflict = Conflict {
            fork_height: survey.fork_height,
            height: survey.last.height,
            tip: survey.last_id,
            work: survey.work,
            final_height: self.ledger.final_height(),
            final_block: self.ledger.tree().root(),
        };
        let Some(peer) = self.peers.get_mut(key) else { return };
        if peer.conflict.replace(conflict).is_none() {
            self.metrics.alarm();
            tracing::error!(peer = key.0, "{conflict}");
        }
    }

    /// Ends alarms that our chain has overtaken, and follows the branches of those that stand.
    pub(super) fn judge_alarms(&mut self) {
        let best = self.best_work();
        let in_conflict = self.peers.iter().filter_map(|(key, peer)| Some((key, peer.conflict?.work)));
        for (key, work) in in_conflict.collect::<Vec<_>>() {
            if work <= best {
                // Not a fault, and perhaps not the end of it: what more it has may be asked for at once.
                self.end_survey(key, Unproved::NoConflict);
                if let Some(peer) = self.peers.get_mut(key) {
                    peer.survey_at = self.now;
                }
            } else {
                self.follow_on(key);
            }
        }
    }

    fn follow_on(&mut self, key: PeerKey) {
        let is_asked = |(peer, asked): &(PeerKey, Asked)| *peer == key && matches!(asked, Asked::Branch);
        let is_asked = self.requests.open.values().any(is_asked);
        let Some(peer) = self.peers.get_mut(key).filter(|_| !is_asked) else { return };
        let last = peer.survey.as_ref().map(|survey| survey.last_id);
        if self.now < peer.survey_at || self.surveys_on_their_way() >= MAX_SURVEYS {
            return;
        }
        match last {
            Some(last) => self.ask_on(key, last, FOLLOW_AFTER_MS),
            None => self.begin_survey(key),
        }
    }

    /// Says that the last conflict ended, where it did, and whether a better branch does not fit.
    pub(super) fn watch_alarms(&mut self) {
        let alarms = self.standing_alarms();
        if self.alarms.conflict.is_some() && alarms.conflict.is_none() {
            tracing::info!("no peer has a chain any more that leaves a final block and has more work");
        }
        match (self.alarms.beyond_room, alarms.beyond_room) {
            (None, Some(height)) => {
                self.metrics.alarm();
                tracing::error!(
                    height,
                    "the blocks of a branch of more work do not fit into memory: it is not followed, and nothing \
                     becomes final here while it stands"
                );
            }
            (Some(_), None) => tracing::info!("no branch of more work is too large for memory any more"),
            _ => {}
        }
        self.alarms = alarms;
        self.metrics.standing(alarms.conflicts, alarms.newer, usize::from(alarms.beyond_room.is_some()));
    }
}
