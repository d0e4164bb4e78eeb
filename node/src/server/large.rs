//! Memory that callers make grow: small things are free, large ones take places, for their bytes, until they are gone.
//!
//! All large things of a kind together never take more than the places there are, and those of one address never more
//! than its share, but for a single one of any size: what one caller leaves lying shuts nobody else out.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::access::{Place, Places};

/// What one place is for, in bytes.
const PLACE_BYTES: usize = 1024;

/// One of how many parts of all places an address may take: a site of IPv6, which counts as four, leaves others half.
const SHARES: usize = 8;

/// The places of one kind.
#[derive(Clone, Debug)]
pub(super) struct Large(Arc<Kind>);

#[derive(Debug)]
struct Kind {
    small_bytes: usize,
    all: Arc<Semaphore>,
    of_address: Arc<Places>,
    /// Told whenever places are given back.
    released: Notify,
}

/// There is no place now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crowded;

/// The places of one thing, which may grow.
#[derive(Debug)]
pub(super) struct Held {
    large: Large,
    address: IpAddr,
    places: Option<OwnedSemaphorePermit>,
    of_address: Vec<Place>,
}

impl Large {
    /// As many KiB as this for all things larger than so many bytes.
    pub(super) fn new(kib: usize, small_bytes: usize) -> Self {
        let all = Arc::new(Semaphore::new(kib));
        let of_address = Places::new(kib / SHARES);
        Self(Arc::new(Kind { small_bytes, all, of_address, released: Notify::new() }))
    }

    /// A thing of a caller that has no bytes yet.
    pub(super) fn begin(&self, address: IpAddr) -> Held {
        Held { large: self.clone(), address, places: None, of_address: Vec::new() }
    }

    /// A thing of so many bytes.
    ///
    /// # Errors
    /// [`Crowded`].
    pub(super) fn hold(&self, address: IpAddr, bytes: usize) -> Result<Held, Crowded> {
        let mut held = self.begin(address);
        held.grow_to(bytes)?;
        Ok(held)
    }

    /// The same, once there is a place for it.
    pub(super) async fn hold_when_free(&self, address: IpAddr, bytes: usize) -> Held {
        loop {
            let mut released = std::pin::pin!(self.0.released.notified());
            // Before the look, so that nothing given back after it is missed.
            released.as_mut().enable();
            if let Ok(held) = self.hold(address, bytes) {
                return held;
            }
            released.await;
        }
    }

    /// Whether a thing of so many bytes takes no place.
    pub(super) fn is_small(&self, bytes: usize) -> bool {
        self.kib(bytes) == 0
    }

    /// Whether all places that are free would do for so many bytes.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.kib(bytes) <= self.0.all.available_permits()
    }

    /// How many places so many bytes take.
    fn kib(&self, bytes: usize) -> usize {
        if bytes <= self.0.small_bytes { 0 } else { bytes.div_ceil(PLACE_BYTES) }
    }
}

impl Held {
    /// Takes what is missing for so many bytes in all.
    ///
    /// # Errors
    /// [`Crowded`]: nothing was taken.
    pub(super) fn grow_to(&mut self, bytes: usize) -> Result<(), Crowded> {
        let more = self.large.kib(bytes).saturating_sub(self.kib());
        if more == 0 {
            return Ok(());
        }
        let of_address = self.large.0.of_address.take_more(self.address, more, self.kib()).ok_or(Crowded)?;
        let more = u32::try_from(more).map_err(|_| Crowded)?;
        let places = self.large.0.all.clone().try_acquire_many_owned(more).map_err(|_| Crowded)?;
        match &mut self.places {
            Some(held) => held.merge(places),
            None => self.places = Some(places),
        }
        self.of_address.push(of_address);
        Ok(())
    }

    /// How many places it has.
    pub(super) fn kib(&self) -> usize {
        self.places.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.places.take().is_some() {
            self.of_address.clear();
            self.large.0.released.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const MIB: usize = 1 << 20;
    const SMALL: usize = 16 << 10;

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    #[test]
    fn small_things_are_free_and_large_ones_count_whole() {
        let large = Large::new(1_024, SMALL);
        let mut held = large.hold(address(1), SMALL).unwrap();
        assert_eq!(held.kib(), 0);
        held.grow_to(SMALL + 1).unwrap();
        assert_eq!((held.kib(), large.0.all.available_permits()), (17, 1_024 - 17));
        held.grow_to(60 << 10).unwrap();
        held.grow_to(1).unwrap();
        assert_eq!((held.kib(), large.0.all.available_permits()), (60, 1_024 - 60));
        drop(held);
        assert_eq!(large.0.all.available_permits(), 1_024);
    }

    #[test]
    fn all_stay_within_the_places_and_an_address_within_its_share() {
        let large = Large::new(256 << 10, SMALL);
        let share = 32 * MIB;
        let whole = large.hold(address(1), share).unwrap();
        assert_eq!(large.hold(address(1), MIB).unwrap_err(), Crowded);
        drop(whole);
        let mut alone = large.hold(address(1), MIB).unwrap();
        alone.grow_to(share + MIB).expect("one that grows is a single one");
        assert_eq!(large.hold(address(1), MIB).unwrap_err(), Crowded);
        assert!(large.hold(address(1), SMALL).is_ok());
        drop(alone);
        let other = large.hold(address(1), MIB).unwrap();
        assert_eq!(large.hold(address(1), MIB).unwrap().grow_to(share), Err(Crowded), "beside another");
        drop(other);
        let single = large.hold(address(1), share + MIB).expect("a single one of any size");
        assert_eq!(large.hold(address(1), MIB).unwrap_err(), Crowded);
        let rest: Vec<_> = (2..12).filter_map(|n| large.hold(address(n), share).ok()).collect();
        assert_eq!(rest.len(), SHARES - 2);
        assert!(!large.has_room(share) && large.has_room(share - MIB));
        let mut grows = large.hold(address(13), MIB).unwrap();
        assert_eq!(grows.grow_to(share), Err(Crowded));
        drop((single, rest));
        grows.grow_to(share).expect("what was refused took nothing of its address");
    }

    #[tokio::test]
    async fn who_waits_for_a_place_has_it_once_one_is_given_back() {
        let large = Large::new(64, 0);
        let held = large.hold(address(1), 64 << 10).unwrap();
        let mut waits = std::pin::pin!(large.hold_when_free(address(2), 1));
        assert!(waits.as_mut().now_or_never().is_none());
        drop(held);
        assert_eq!(waits.await.kib(), 1);
    }
}
