//! One network address: what is accepted from people and from peers.
//!
//! Addresses have one form, `/ip4|ip6|dns|dns4|dns6/HOST/tcp/PORT`, with or without `/p2p/PEER` at the end.
//! Private and loopback addresses are as good as any: networks of one machine and of one office are real.

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use crate::error::Error;
use crate::limits::{MAX_ADDRESS_BYTES, MAX_ADDRESSES_PER_PEER};

/// Whether `text` is an address this crate can listen on or dial.
///
/// # Errors
/// [`Error::BadAddress`], naming the text.
pub fn check(text: &str) -> Result<(), Error> {
    Address::parse(text).map(|_| ())
}

/// An address without its peer id, and the peer id where it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) dial: Multiaddr,
    pub(crate) peer: Option<PeerId>,
}

impl Address {
    /// # Errors
    /// [`Error::BadAddress`], naming the text.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let bad = |reason: String| Error::BadAddress { address: text.chars().take(100).collect(), reason };
        let address: Multiaddr = text.parse().map_err(|error| bad(format!("{error}")))?;
        split(&address).map_err(|reason| bad(reason.to_owned()))
    }

    /// An address a peer told us, or none if it cannot be dialled.
    pub(crate) fn told(address: &Multiaddr) -> Option<Self> {
        let address = split(address).ok()?;
        let mut parts = address.dial.iter();
        let host = match parts.next()? {
            Protocol::Ip4(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
            Protocol::Ip6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
            _ => true,
        };
        let port = !matches!(parts.next()?, Protocol::Tcp(0));
        (host && port && address.dial.len() <= MAX_ADDRESS_BYTES).then_some(address)
    }
}

/// Those of the addresses that a peer told which are worth keeping: where it was dialled, then such as name the
/// host it is seen at, then others. Loopback addresses mean something to a peer on this machine alone.
pub(crate) fn choose(seen: &Multiaddr, was_dialled: bool, told: &[Multiaddr]) -> Vec<Multiaddr> {
    let is_near = is_loopback(seen);
    let mut told: Vec<_> = told.iter().filter(|told| is_near || !is_loopback(told)).collect();
    told.sort_by_key(|told| told.iter().next() != seen.iter().next());
    let mut chosen = Vec::new();
    for address in was_dialled.then_some(seen).into_iter().chain(told) {
        if chosen.len() == MAX_ADDRESSES_PER_PEER {
            break;
        }
        if let Some(Address { dial, .. }) = Address::told(address).filter(|told| !chosen.contains(&told.dial))
        {
            chosen.push(dial);
        }
    }
    chosen
}

fn split(address: &Multiaddr) -> Result<Address, &'static str> {
    let mut parts = address.iter();
    match parts.next() {
        Some(
            Protocol::Ip4(_) | Protocol::Ip6(_) | Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_),
        ) => {}
        _ => return Err("it does not begin with a host"),
    }
    match parts.next() {
        Some(Protocol::Tcp(_)) => {}
        _ => return Err("its transport is not tcp"),
    }
    let peer = match parts.next() {
        None => None,
        Some(Protocol::P2p(peer)) => Some(peer),
        Some(_) => return Err("what follows the port is not a peer id"),
    };
    if parts.next().is_some() {
        return Err("something follows the peer id");
    }
    let dial = address.iter().take(2).collect();
    Ok(Address { dial, peer })
}

/// The address with the peer's id at its end, as it is saved and shown.
pub(crate) fn full(address: &Multiaddr, peer: &PeerId) -> String {
    format!("{address}/p2p/{peer}")
}

/// Whether the address names this very machine.
pub(crate) fn is_loopback(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.is_loopback(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2";

    #[test]
    fn one_form_is_accepted_and_split() {
        let address = Address::parse(&format!("/ip4/127.0.0.1/tcp/8640/p2p/{PEER}")).unwrap();
        assert_eq!(address.dial.to_string(), "/ip4/127.0.0.1/tcp/8640");
        assert_eq!(address.peer, Some(PEER.parse().unwrap()));
        assert!(Address::parse("/dns4/shop.example/tcp/8640").unwrap().peer.is_none());
    }

    #[test]
    fn a_bad_address_is_named() {
        for text in
            ["", "10.0.0.1:8640", "/ip4/1.2.3.4", "/ip4/1.2.3.4/udp/1", "/ip4/1.2.3.4/tcp/1/ws", "/tcp/1"]
        {
            let error = Address::parse(text).unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn a_few_of_the_addresses_told_are_chosen_the_likely_ones_first() {
        let seen: Multiaddr = "/ip4/1.2.3.4/tcp/50000".parse().unwrap();
        let mut told: Vec<Multiaddr> =
            (1..=400).map(|port| format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap()).collect();
        told.insert(0, "/ip4/127.0.0.1/tcp/8640".parse().unwrap());
        told.push("/ip4/1.2.3.4/tcp/8640".parse().unwrap());
        let texts = |was_dialled| {
            let chosen = choose(&seen, was_dialled, &told);
            chosen.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let inbound = texts(false);
        assert_eq!(inbound.len(), MAX_ADDRESSES_PER_PEER);
        assert_eq!(inbound[..2], ["/ip4/1.2.3.4/tcp/8640", "/ip4/10.0.0.1/tcp/1"]);
        let outbound = texts(true);
        assert_eq!(outbound.len(), MAX_ADDRESSES_PER_PEER);
        assert_eq!(outbound[..2], ["/ip4/1.2.3.4/tcp/50000", "/ip4/1.2.3.4/tcp/8640"]);
    }

    #[test]
    fn addresses_that_nobody_can_dial_are_not_learnt() {
        for text in ["/ip4/0.0.0.0/tcp/1", "/ip6/::/tcp/1", "/ip4/1.2.3.4/tcp/0", "/ip4/224.0.0.1/tcp/1"] {
            assert!(Address::told(&text.parse().unwrap()).is_none(), "{text}");
        }
        assert!(Address::told(&"/ip4/10.0.0.1/tcp/1".parse().unwrap()).is_some());
    }
}
