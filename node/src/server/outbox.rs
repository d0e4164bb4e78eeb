//! What is on its way to the other end of one connection: a large answer or notification keeps its places until the system
//! has taken all of it.
//!
//! What a caller asks for and does not read stays in memory. Places are taken once something is written down, and put
//! here ([`Outbox::put`]); the connection gives them back when it has flushed as many bytes ([`Outbox::flushed`]). With
//! the connection goes whatever it still held.

use std::sync::Arc;

use parking_lot::Mutex;

use super::large::Held;
use super::limits::SMALL_ANSWER_BYTES;

/// What is large and not flushed yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Outbox(Arc<Mutex<Vec<OnItsWay>>>);

#[derive(Debug)]
struct OnItsWay {
    bytes: usize,
    _places: Held,
}

impl Outbox {
    /// Keeps the places of something of so many bytes.
    pub(super) fn put(&self, bytes: usize, places: Held) {
        if places.kib() > 0 {
            self.0.lock().push(OnItsWay { bytes, _places: places });
        }
    }

    /// Whether something of just so many bytes is on its way.
    pub(super) fn has(&self, bytes: usize) -> bool {
        self.0.lock().iter().any(|waiting| waiting.bytes == bytes)
    }

    /// The connection flushed so many bytes since it last did: whatever answers they hold are gone.
    pub(super) fn flushed(&self, mut bytes: usize) {
        if bytes <= SMALL_ANSWER_BYTES {
            return;
        }
        let mut waiting = self.0.lock();
        // Answers are put in the order in which they were made, and may go in another: the largest that fits has gone.
        let largest = |waiting: &[OnItsWay], bytes| {
            let fitting = waiting.iter().enumerate().filter(|(_, answer)| answer.bytes <= bytes);
            fitting.max_by_key(|(_, answer)| answer.bytes).map(|(at, _)| at)
        };
        while let Some(at) = largest(&waiting, bytes) {
            bytes -= waiting.swap_remove(at).bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::server::large::Large;

    const MIB: usize = 1 << 20;

    #[test]
    fn a_large_answer_is_counted_until_it_is_flushed_and_a_small_one_never() {
        let address = IpAddr::from([192, 0, 2, 1]);
        let (answers, outbox) = (Large::new(16 << 10, SMALL_ANSWER_BYTES), Outbox::default());
        let put = |bytes| outbox.put(bytes, answers.hold(IpAddr::from([127, 0, 0, 1]), bytes).unwrap());
        let has_left = |mib: usize| {
            let wanted = answers.hold(address, mib * MIB).is_ok();
            wanted && answers.hold(address, mib * MIB + 1).is_err()
        };
        put(SMALL_ANSWER_BYTES);
        assert!(has_left(16));
        put(3 * MIB);
        put(MIB);
        assert!(has_left(12) && outbox.has(MIB) && !outbox.has(MIB + 1));
        outbox.flushed(MIB - 1);
        assert!(has_left(12), "something else was flushed");
        // The later one went first, with what stands around it.
        outbox.flushed(MIB + 10);
        assert!(has_left(13) && !outbox.has(MIB));
        put(MIB);
        outbox.flushed(4 * MIB + 20);
        assert!(has_left(16), "both in one");
        let other = Outbox::default();
        other.put(MIB, answers.hold(address, MIB).unwrap());
        assert!(!has_left(16));
        drop(other);
        assert!(has_left(16), "with its connection");
    }
}
