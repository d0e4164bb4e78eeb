//! A gate: how many connections one host may open to this node.
//!
//! A peer id costs nothing, an address costs something: without a share by address one machine takes every place. A
//! host is an IPv4 address, or the /64 of an IPv6 address, which one customer has to himself; a /48, of which tunnels
//! are given away, has four times as many. Connections that this node opens are its own choice, and not counted.
//!
//! Neither are those from loopback and private addresses. Networks of one machine and of one office are real, and
//! behind the gateway of a container or a cluster all the world may come from one private address.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::behaviour::{ConnectionClosed, ListenFailure};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
    ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};

use crate::limits::SHARES_PER_SITE;

/// Whose connections are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    V4(Ipv4Addr),
    /// The first four groups.
    V6([u16; 4]),
}

impl Host {
    /// The host that an address names, where it is one that is counted.
    fn counted(address: &Multiaddr) -> Option<Self> {
        let ip = match address.iter().next()? {
            Protocol::Ip4(ip) => IpAddr::V4(ip),
            Protocol::Ip6(ip) => ip.to_canonical(),
            _ => return None,
        };
        match ip {
            IpAddr::V4(ip) if ip.is_loopback() || ip.is_private() || ip.is_link_local() => None,
            IpAddr::V4(ip) => Some(Self::V4(ip)),
            IpAddr::V6(ip) if ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() => None,
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                Some(Self::V6([a, b, c, d]))
            }
        }
    }

    /// Whether both are of one /48.
    fn is_neighbour(self, other: Self) -> bool {
        match (self, other) {
            (Self::V6([a, b, c, _]), Self::V6([d, e, f, _])) => (a, b, c) == (d, e, f),
            _ => false,
        }
    }
}

/// A host has as many connections to this node as one may.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a host may open {max} connections, and has")]
struct TooMany {
    max: usize,
}

/// The gate. It sees connections and nothing else.
#[derive(Debug)]
pub(crate) struct Behaviour {
    max: usize,
    /// The connections that hosts have opened or are opening: as many as the other gates let in.
    opened: HashMap<ConnectionId, Host>,
}

impl Behaviour {
    /// At most `max` connections a host.
    pub(crate) fn new(max: usize) -> Self {
        Self { max, opened: HashMap::new() }
    }

    fn has_room(&self, host: Host) -> bool {
        let of_host = self.opened.values().filter(|opened| **opened == host).count();
        let of_site = self.opened.values().filter(|opened| opened.is_neighbour(host)).count();
        of_host < self.max && of_site < self.max.saturating_mul(SHARES_PER_SITE)
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let Some(host) = Host::counted(remote) else { return Ok(()) };
        if !self.has_room(host) {
            tracing::debug!(address = %remote, "a host has as many connections as one may");
            return Err(ConnectionDenied::new(TooMany { max: self.max }));
        }
        self.opened.insert(connection, host);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ListenFailure(ListenFailure { connection_id, .. })
            | FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. }) => {
                self.opened.remove(&connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use libp2p::swarm::ListenError;

    use super::*;

    struct Door {
        gate: Behaviour,
        last: usize,
    }

    impl Door {
        fn new(max: usize) -> Self {
            Self { gate: Behaviour::new(max), last: 0 }
        }

        /// A connection from this host, if it is let in.
        fn knock(&mut self, host: &str) -> Option<ConnectionId> {
            self.last += 1;
            let connection = ConnectionId::new_unchecked(self.last);
            let kind = if host.contains(':') { "ip6" } else { "ip4" };
            let remote = format!("/{kind}/{host}/tcp/{}", 10_000 + self.last).parse().unwrap();
            let answer =
                self.gate.handle_pending_inbound_connection(connection, &Multiaddr::empty(), &remote);
            answer.is_ok().then_some(connection)
        }

        /// A connection that came to nothing.
        fn fail(&mut self, connection_id: ConnectionId) {
            let address = Multiaddr::empty();
            self.gate.on_swarm_event(FromSwarm::ListenFailure(ListenFailure {
                local_addr: &address,
                send_back_addr: &address,
                error: &ListenError::Aborted,
                connection_id,
                peer_id: None,
            }));
        }
    }

    #[test]
    fn a_host_has_a_share_whatever_its_ports_and_its_place_in_its_network() {
        let hosts: [&[&str]; 4] = [
            &["1.2.3.4"],
            &["::ffff:5.6.7.8", "5.6.7.8"],
            &["2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:2:3:4:5:6"],
            &["2001:db8:1:3::1"],
        ];
        let mut door = Door::new(3);
        for names in hosts {
            let names: Vec<_> = names.iter().cycle().take(10).collect();
            let inside: Vec<_> = names.iter().filter_map(|name| door.knock(name)).collect();
            assert_eq!(inside.len(), 3, "{names:?}");
            // A place that falls free is taken again, and only that one.
            door.fail(inside[1]);
            assert_eq!(names.iter().filter_map(|name| door.knock(name)).count(), 1);
        }
        assert_eq!(door.gate.opened.len(), 12);
    }

    #[test]
    fn a_site_of_many_networks_has_a_few_shares() {
        let mut door = Door::new(2);
        let inside = (0..100).filter(|network| door.knock(&format!("2001:db8:1:{network}::1")).is_some());
        assert_eq!(inside.count(), 8);
        assert!(door.knock("2001:db8:2::1").is_some());
    }

    #[test]
    fn this_machine_and_private_networks_are_not_counted() {
        let mut door = Door::new(1);
        for host in ["127.0.0.1", "::1", "10.1.2.3", "172.17.0.1", "192.168.0.9", "fd00::1", "fe80::1"] {
            for _ in 0..10 {
                assert!(door.knock(host).is_some(), "{host}");
            }
        }
        assert!(door.gate.opened.is_empty());
    }
}
