//! What operators see of the network as numbers, beside the library's own `libp2p_*`.
//!
//! No label is of a peer's making: words and directions only, so that no peer can make the table grow.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::message::{Misbehaviour, Verdict};

type Words = [(&'static str, &'static str); 1];

#[derive(Debug, Default)]
pub(crate) struct Metrics {
    peers: Family<Words, Gauge>,
    verdicts: Family<Words, Counter>,
    faults: Family<Words, Counter>,
    failures: Counter,
    bans: Counter,
    pauses: Counter,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self { peers, verdicts, faults, failures, bans, pauses } = &metrics;
        let area = registry.sub_registry_with_prefix("printsy_p2p");
        area.register("peers", "Connected peers of this network, by who dialled", peers.clone());
        area.register("verdicts", "Gossiped messages, by what became of them", verdicts.clone());
        area.register("faults", "Faults charged to peers, by kind", faults.clone());
        area.register("request_failures", "Requests of ours without an answer", failures.clone());
        area.register("bans", "Peers banned for their faults", bans.clone());
        area.register("event_pauses", "Times the node was too slow for its peers", pauses.clone());
        // Told from the start: of a counter that appears with its first count, that count is never seen as a rise.
        metrics.peers(0, 0);
        for fault in Misbehaviour::ALL {
            drop(faults.get_or_create(&[("kind", fault.word())]));
        }
        metrics
    }

    pub(crate) fn peers(&self, inbound: usize, outbound: usize) {
        for (word, count) in [("inbound", inbound), ("outbound", outbound)] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.peers.get_or_create(&[("direction", word)]).set(count);
        }
    }

    pub(crate) fn verdict(&self, verdict: Verdict) {
        let word = match verdict {
            Verdict::Accept => "accept",
            Verdict::Ignore => "ignore",
            Verdict::Reject => "reject",
        };
        self.verdicts.get_or_create(&[("verdict", word)]).inc();
    }

    pub(crate) fn fault(&self, fault: Misbehaviour) {
        self.faults.get_or_create(&[("kind", fault.word())]).inc();
    }

    pub(crate) fn request_failed(&self) {
        self.failures.inc();
    }

    pub(crate) fn banned(&self) {
        self.bans.inc();
    }

    pub(crate) fn paused(&self) {
        self.pauses.inc();
    }
}
