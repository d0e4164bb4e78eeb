//! Whose calls, connections and places are counted together.

use std::net::IpAddr;

/// How many times an address' share its site may take: a house has many networks, a street many houses.
pub(super) const SITE_SHARE: usize = 4;

/// Whose calls are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// An address; of IPv6 its network (/64), for one subscriber has all of that.
    Address([u8; 16]),
    /// The site (/48) of an IPv6 network: a subscriber may have many of them, as many as this holds at the most.
    Site([u8; 6]),
    /// A token, from wherever it comes.
    Token(String),
    /// Everybody for whom there is no place in a table.
    Crowd,
}

impl Who {
    pub(super) fn of_address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => {
                let mut network = v6.octets();
                network[8..].fill(0);
                network
            }
        })
    }

    /// The site that an IPv6 network is part of.
    pub(super) fn site(&self) -> Option<Self> {
        let Self::Address(address) = self else { return None };
        let is_v6 = !IpAddr::from(*address).to_canonical().is_ipv4();
        is_v6.then(|| Self::Site([address[0], address[1], address[2], address[3], address[4], address[5]]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_is_one_caller_of_a_site_and_a_mapped_address_is_itself() {
        let who = |text: &str| Who::of_address(text.parse().unwrap());
        assert_eq!(who("2001:db8::1"), who("2001:db8::ffff:1"));
        assert_ne!(who("2001:db8::1"), who("2001:db8:0:1::1"));
        assert_eq!(who("2001:db8::1").site(), who("2001:db8:0:ffff::1").site());
        assert_ne!(who("2001:db8::1").site(), who("2001:db8:1::1").site());
        assert_eq!(who("::ffff:192.0.2.1"), who("192.0.2.1"));
        assert_ne!(who("192.0.2.1"), who("192.0.2.2"));
        assert_eq!(who("192.0.2.1").site(), None);
        assert_eq!(Who::Token("shop".into()).site(), None);
    }
}
