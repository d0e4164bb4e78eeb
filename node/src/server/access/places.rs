//! Places of one kind, so many for each address, and for each site of IPv6 some times that: one caller never takes all
//! that there are for everybody.
//!
//! The node's own machine has no such bound: what a proxy there passes on counts for the address that it names, if the
//! proxy is believed. Who holds nothing is forgotten, so that the table is no longer than the places in all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::who::{SITE_SHARE, Who};

/// The places of one kind.
#[derive(Debug)]
pub(in crate::server) struct Places {
    most: usize,
    taken: Mutex<HashMap<Who, usize>>,
}

/// A place, or several; only ever held. None for who is not counted.
#[derive(Debug)]
pub(in crate::server) struct Place(Option<(Arc<Places>, Who, usize)>);

impl Places {
    /// As many as this for each address.
    pub(in crate::server) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default() })
    }

    /// A place for who is not counted.
    pub(in crate::server) fn uncounted() -> Place {
        Place(None)
    }

    /// A place for a caller, unless its address has all that it may.
    pub(in crate::server) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        self.take_many(address, 1)
    }

    /// So many places for a caller, unless its address has then more than it may. Who has none gets any number.
    pub(in crate::server) fn take_many(self: &Arc<Self>, address: IpAddr, count: usize) -> Option<Place> {
        self.take_more(address, count, 0)
    }

    /// The same for what has so many places and grows: where its address has no others, it gets any number.
    pub(in crate::server) fn take_more(
        self: &Arc<Self>,
        address: IpAddr,
        count: usize,
        own: usize,
    ) -> Option<Place> {
        if address.to_canonical().is_loopback() {
            return Some(Self::uncounted());
        }
        let who = Who::of_address(address);
        let site = who.site();
        let mut taken = self.taken.lock();
        let wanted = |who: &Who, most: usize| {
            let held = taken.get(who).copied().unwrap_or(0);
            let wanted = held.saturating_add(count);
            (held <= own || wanted <= most).then_some(wanted)
        };
        let of_who = wanted(&who, self.most)?;
        if let Some(site) = site {
            let of_site = wanted(&site, self.most.saturating_mul(SITE_SHARE))?;
            taken.insert(site, of_site);
        }
        taken.insert(who.clone(), of_who);
        Some(Place(Some((self.clone(), who, count))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((places, who, count)) = self.0.take() else { return };
        let mut taken = places.taken.lock();
        for who in [who.site(), Some(who)].into_iter().flatten() {
            match taken.get_mut(&who) {
                Some(held) if *held > count => *held -= count,
                _ => drop(taken.remove(&who)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_so_many_places_and_takes_none_of_another_s() {
        let places = Places::new(2);
        let one = address("192.0.2.1");
        let first = places.take(one).unwrap();
        let second = places.take(address("::ffff:192.0.2.1")).unwrap();
        assert!(places.take(one).is_none());
        assert!(places.take(address("192.0.2.2")).is_some());
        drop(first);
        let third = places.take(one).unwrap();
        assert!(places.take(one).is_none(), "a place that was given back is one place");
        drop((second, third));
        assert!(places.taken.lock().is_empty(), "who holds nothing is forgotten");
    }

    #[test]
    fn who_has_none_gets_any_number_of_places_and_gives_all_back() {
        let places = Places::new(3);
        let one = address("192.0.2.1");
        let many = places.take_many(one, 5).unwrap();
        assert!(places.take(one).is_none());
        drop(many);
        let two = places.take_many(one, 2).unwrap();
        assert!(places.take_many(one, 2).is_none());
        let third = places.take(one).unwrap();
        drop(two);
        assert!(places.take_many(one, 2).is_some(), "one is held, three may be");
        drop(third);
        assert!(places.taken.lock().is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_caller_and_the_own_machine_is_not_counted() {
        let places = Places::new(1);
        let _held = places.take(address("2001:db8::1")).unwrap();
        assert!(places.take(address("2001:db8::2")).is_none());
        let _another = places.take(address("2001:db8:0:1::1")).unwrap();
        let of_site: Vec<_> = (2..5).map(|n| places.take(address(&format!("2001:db8:0:{n}::1")))).collect();
        assert!(of_site[..2].iter().all(Option::is_some));
        assert!(of_site[2].is_none(), "a site has the places of four");
        drop(of_site);
        assert!(places.take(address("2001:db8:0:9::1")).is_some());
        let own: Vec<_> = (0..9).map(|_| places.take(address("127.0.0.1"))).collect();
        assert!(own.iter().all(Option::is_some));
    }
}
