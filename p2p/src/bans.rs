//! Who is kept out, for how long, and what is remembered of those who left with a bad score.
//!
//! Bans name peer ids, which cost nothing to make: they keep a faulty node away, not a determined attacker,
//! whom the connection limits bound. Both tables are bounded. Nothing survives a restart.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use libp2p::PeerId;
use tokio::time::Instant;

use crate::limits::{BAN_SCORE, FORGIVE_TIME, MAX_BANS, MAX_GRUDGES};
use crate::message::{BanInfo, BanReason, Misbehaviour};

/// A score: 0 is without fault; faults lower it, and time forgives them. Nothing earns credit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Score {
    points: i32,
    since: Instant,
}

impl Score {
    pub(crate) fn clean(now: Instant) -> Self {
        Self { points: 0, since: now }
    }

    /// The score now.
    pub(crate) fn at(&self, now: Instant) -> i32 {
        let forgiven = now.saturating_duration_since(self.since).as_secs() / FORGIVE_TIME.as_secs();
        let forgiven = i32::try_from(forgiven).unwrap_or(i32::MAX);
        self.points.saturating_add(forgiven).min(0)
    }

    /// Charges a fault; true if that is the last one.
    pub(crate) fn charge(&mut self, fault: Misbehaviour, now: Instant) -> bool {
        self.points = self.at(now).saturating_sub(fault.cost());
        self.since = now;
        self.points <= BAN_SCORE
    }
}

#[derive(Clone, Copy, Debug)]
struct Ban {
    reason: BanReason,
    until: Instant,
}

#[derive(Debug, Default)]
pub(crate) struct Bans {
    bans: HashMap<PeerId, Ban>,
    grudges: HashMap<PeerId, Score>,
    /// What [`Self::list`] last made of `bans`.
    list: Option<Arc<Vec<(BanInfo, Instant)>>>,
}

impl Bans {
    /// Bans a peer, for the longer of two times; returns a peer whose ban had to end for it.
    pub(crate) fn insert(
        &mut self,
        peer: PeerId,
        reason: BanReason,
        time: Duration,
        now: Instant,
    ) -> Option<PeerId> {
        self.grudges.remove(&peer);
        self.list = None;
        let until = now.checked_add(time).unwrap_or(now + Duration::from_secs(u64::from(u32::MAX)));
        let ban = self.bans.entry(peer).or_insert(Ban { reason, until });
        if until >= ban.until {
            *ban = Ban { reason, until };
        }
        if self.bans.len() <= MAX_BANS {
            return None;
        }
        let others = self.bans.iter().filter(|(other, _)| **other != peer);
        let soonest = others.min_by_key(|(_, ban)| ban.until).map(|(other, _)| *other)?;
        self.bans.remove(&soonest);
        Some(soonest)
    }

    pub(crate) fn remove(&mut self, peer: &PeerId) -> bool {
        self.list = None;
        self.bans.remove(peer).is_some()
    }

    pub(crate) fn contains(&self, peer: &PeerId) -> bool {
        self.bans.contains_key(peer)
    }

    /// Takes out the bans that have ended.
    pub(crate) fn ended(&mut self, now: Instant) -> Vec<PeerId> {
        let ended: Vec<_> = self.bans.extract_if(|_, ban| ban.until <= now).map(|(peer, _)| peer).collect();
        if !ended.is_empty() {
            self.list = None;
        }
        ended
    }

    /// All bans and when they end, made anew only after a change; `remaining` is left for the reader to fill in.
    pub(crate) fn list(&mut self) -> Arc<Vec<(BanInfo, Instant)>> {
        let bans = &self.bans;
        let list = self.list.get_or_insert_with(|| {
            let infos = bans.iter().map(|(peer, ban)| {
                let info =
                    BanInfo { peer_id: peer.to_string(), reason: ban.reason, remaining: Duration::ZERO };
                (info, ban.until)
            });
            Arc::new(infos.collect())
        });
        Arc::clone(list)
    }

    /// The score a peer comes back with.
    pub(crate) fn score_of(&mut self, peer: &PeerId, now: Instant) -> Score {
        self.grudges.remove(peer).unwrap_or(Score::clean(now))
    }

    /// Remembers the score of a peer that leaves, if it is bad.
    pub(crate) fn remember(&mut self, peer: PeerId, score: Score, now: Instant) {
        if score.at(now) == 0 || self.bans.contains_key(&peer) {
            return;
        }
        if self.grudges.len() >= MAX_GRUDGES {
            self.grudges.retain(|_, score| score.at(now) < 0);
        }
        if self.grudges.len() < MAX_GRUDGES {
            self.grudges.insert(peer, score);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_add_up_and_time_forgives() {
        let now = Instant::now();
        let mut score = Score::clean(now);
        assert!(!score.charge(Misbehaviour::Malformed, now));
        assert_eq!(score.at(now), -50);
        let later = now + FORGIVE_TIME * 20;
        assert_eq!(score.at(later), -30);
        assert!(!score.charge(Misbehaviour::Malformed, later));
        assert!(score.charge(Misbehaviour::WrongAnswer, later));
        assert_eq!(score.at(later + FORGIVE_TIME * 10_000), 0);
    }

    #[test]
    fn reconnecting_forgives_nothing() {
        let now = Instant::now();
        let peer = PeerId::random();
        let mut bans = Bans::default();
        let mut score = bans.score_of(&peer, now);
        score.charge(Misbehaviour::Malformed, now);
        bans.remember(peer, score, now);
        assert_eq!(bans.score_of(&peer, now).at(now), -50);
    }

    #[test]
    fn bans_end_and_never_outgrow_their_table() {
        let now = Instant::now();
        let mut bans = Bans::default();
        let minute = Duration::from_secs(60);
        for _ in 0..MAX_BANS {
            assert!(bans.insert(PeerId::random(), BanReason::Misbehaviour, minute, now).is_none());
        }
        let last = PeerId::random();
        assert!(bans.insert(last, BanReason::Operator, minute * 2, now).is_some());
        assert_eq!(bans.list().len(), MAX_BANS);
        assert_eq!(bans.ended(now + minute).len(), MAX_BANS - 1);
        assert!(bans.contains(&last));
    }
}
