//! Answers on their way: a large one takes places, for its bytes, until the system has taken all of it.
//!
//! What a caller asks for and does not read stays in memory. All answers together never take more than the places
//! there are, and those to one address never more than its share, but for a single one of any size. The gate takes the
//! places once an answer is written down ([`Outbox::put`]); the connection gives them back when it has flushed as many
//! bytes as one of its answers has ([`Outbox::flushed`]). With the connection goes whatever it still held.

use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::access::{Place, Places};
use super::limits::{LARGE_ANSWERS_KIB, LARGE_ANSWERS_KIB_PER_ADDRESS, SMALL_ANSWER_BYTES};

/// What one place is for, in bytes.
const PLACE_BYTES: usize = 1024;

/// The places of the large answers.
#[derive(Clone, Debug)]
pub(super) struct LargeAnswers {
    all: Arc<Semaphore>,
    of_address: Arc<Places>,
}

/// There is no place for an answer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crowded;

/// The large answers of one connection that are not flushed yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Outbox(Arc<Mutex<Vec<OnItsWay>>>);

#[derive(Debug)]
struct OnItsWay {
    bytes: usize,
    _places: OwnedSemaphorePermit,
    _of_address: Place,
}

impl LargeAnswers {
    pub(super) fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(LARGE_ANSWERS_KIB)),
            of_address: Places::new(LARGE_ANSWERS_KIB_PER_ADDRESS),
        }
    }
}

impl Outbox {
    /// Counts an answer of so many bytes to a caller, if it is a large one.
    ///
    /// # Errors
    /// [`Crowded`]: it has to be thrown away.
    pub(super) fn put(&self, answers: &LargeAnswers, address: IpAddr, bytes: usize) -> Result<(), Crowded> {
        if bytes <= SMALL_ANSWER_BYTES {
            return Ok(());
        }
        let kib = bytes.div_ceil(PLACE_BYTES);
        let of_address = answers.of_address.take_many(address, kib).ok_or(Crowded)?;
        let kib = u32::try_from(kib).map_err(|_| Crowded)?;
        let places = answers.all.clone().try_acquire_many_owned(kib).map_err(|_| Crowded)?;
        self.0.lock().push(OnItsWay { bytes, _places: places, _of_address: of_address });
        Ok(())
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
    use super::*;

    const MIB: usize = 1 << 20;

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    fn left(answers: &LargeAnswers) -> usize {
        LARGE_ANSWERS_KIB - answers.all.available_permits()
    }

    #[test]
    fn a_large_answer_is_counted_until_it_is_flushed_and_a_small_one_never() {
        let (answers, outbox) = (LargeAnswers::new(), Outbox::default());
        outbox.put(&answers, address(1), SMALL_ANSWER_BYTES).unwrap();
        assert_eq!(left(&answers), 0);
        outbox.put(&answers, address(1), 3 * MIB).unwrap();
        outbox.put(&answers, address(1), MIB).unwrap();
        assert_eq!(left(&answers), 4 * 1_024);
        outbox.flushed(MIB - 1);
        assert_eq!(left(&answers), 4 * 1_024, "something else was flushed");
        // The later one went first, with what stands around it.
        outbox.flushed(MIB + 10);
        assert_eq!(left(&answers), 3 * 1_024);
        outbox.put(&answers, address(1), MIB).unwrap();
        outbox.flushed(4 * MIB + 20);
        assert_eq!(left(&answers), 0, "both in one");
        outbox.put(&answers, address(1), MIB).unwrap();
        drop(outbox);
        assert_eq!(left(&answers), 0, "with its connection");
    }

    #[test]
    fn all_answers_stay_within_the_places_and_an_address_within_its_share() {
        let answers = LargeAnswers::new();
        let share = LARGE_ANSWERS_KIB_PER_ADDRESS * PLACE_BYTES;
        let (one, another) = (Outbox::default(), Outbox::default());
        one.put(&answers, address(1), share).unwrap();
        assert_eq!(another.put(&answers, address(1), MIB), Err(Crowded), "by another connection");
        one.flushed(share);
        one.put(&answers, address(1), share + MIB).expect("a single one of any size");
        assert_eq!(one.put(&answers, address(1), MIB), Err(Crowded));
        let rest = (2..10).map(|n| (n, Outbox::default())).collect::<Vec<_>>();
        let taken =
            rest.iter().filter(|(n, outbox)| outbox.put(&answers, address(*n), share).is_ok()).count();
        assert_eq!(taken, LARGE_ANSWERS_KIB / LARGE_ANSWERS_KIB_PER_ADDRESS - 2);
        assert!(left(&answers) <= LARGE_ANSWERS_KIB);
        let refused = Outbox::default();
        assert_eq!(refused.put(&answers, address(11), share), Err(Crowded));
        drop(rest);
        refused.put(&answers, address(11), share).expect("what was refused took nothing of its address");
    }
}
