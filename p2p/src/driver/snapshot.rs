//! What others may read of the network at any time, without asking its task.
//!
//! The task writes it when something changes; readers take a copy under a lock that is never held across anything that
//! waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Driver;
use crate::address;
use crate::message::{BanInfo, PeerInfo};

/// How old a snapshot may be where nothing but scores and round trips changes.
const RENEW_TIME: Duration = Duration::from_secs(1);

/// The network at one moment; durations are filled in for the moment of reading.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    peers: Vec<(PeerInfo, Instant)>,
    bans: Arc<Vec<(BanInfo, Instant)>>,
    pub(crate) listen: Vec<String>,
    pub(crate) addresses: Vec<String>,
}

impl Snapshot {
    pub(crate) fn peers(&self, now: Instant) -> Vec<PeerInfo> {
        let infos = self.peers.iter().map(|(info, since)| PeerInfo {
            connected: now.saturating_duration_since(*since),
            ..info.clone()
        });
        infos.collect()
    }

    pub(crate) fn peer_count(&self) -> usize {
        self.peers.len()
    }

    pub(crate) fn bans(&self, now: Instant) -> Vec<BanInfo> {
        let infos = self
            .bans
            .iter()
            .map(|(info, until)| BanInfo { remaining: until.saturating_duration_since(now), ..info.clone() });
        infos.collect()
    }
}

impl Driver {
    pub(crate) fn publish_snapshot(&mut self) {
        let now = Instant::now();
        self.changed = false;
        self.renew_snapshot = now + RENEW_TIME;
        let proven = self.peers.iter().filter(|(_, peer)| peer.is_proven());
        let mut peers: Vec<_> = proven.map(|(key, peer)| (peer.info(key, now), peer.since)).collect();
        peers.sort_by_key(|(info, _)| info.key);
        let own = *self.swarm.local_peer_id();
        let (inbound, outbound) = self.peers.proven();
        self.metrics.peers(inbound, outbound);
        let snapshot = Snapshot {
            peers,
            bans: self.bans.list(),
            listen: self.swarm.listeners().map(|listen| address::full(listen, &own)).collect(),
            addresses: self.book.to_save(),
        };
        self.snapshot.send_replace(Arc::new(snapshot));
    }
}
