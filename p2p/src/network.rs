//! Starting the network, and the handle the node commands it by.
//!
//! No call of [`Network`] blocks or fails for want of room: commands go through a channel without a bound,
//! because they come from this process alone, a few for each event it was given or order it admitted, and the
//! task takes commands before anything else. Reads answer from a snapshot that the task renews at each change
//! of peers, and once a second. Events are bounded: when the node does not take them, the task stops reading
//! from the network, and the peers feel it as back-pressure.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, TransportError, dns, identity, noise, tcp, yamux};
use printsy_consensus::{Hash, SignedHeader};
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::address::Address;
use crate::behaviour::{Behaviour, BehaviourEvent};
use crate::book::{AddressBook, Origin};
use crate::driver::{Command, Driver, Snapshot};
use crate::error::Error;
use crate::limits::{EVENT_QUEUE, IDLE_TIME, Limits, MAX_STREAMS};
use crate::message::{
    BanInfo, Event, MessageKey, Misbehaviour, PeerInfo, PeerKey, ReplyKey, Request, RequestKey, Response,
    Verdict,
};
use crate::names::Names;

/// How long the operating system may take to name the addresses of a listener.
const LISTEN_TIME: Duration = Duration::from_secs(10);

/// What a node's network needs to know.
#[derive(Clone)]
pub struct Config {
    /// The id of block 0: the network.
    pub genesis: Hash,
    /// The node's own secret, an Ed25519 seed: who it is to its peers. Not a key of the chain.
    pub node_key: [u8; 32],
    /// Addresses to listen on, such as `/ip4/0.0.0.0/tcp/8640`. None: the node only dials.
    pub listen: Vec<String>,
    /// Addresses to begin with, with or without `/p2p/PEER`.
    pub bootnodes: Vec<String>,
    /// Addresses saved by an earlier run; one that cannot be read is skipped.
    pub known_peers: Vec<String>,
    /// What this node calls its software, such as `printsyd/0.1.0`.
    pub agent: String,
    /// What an operator may set.
    pub limits: Limits,
    /// The network's largest block, in bytes.
    pub max_block_bytes: u32,
}

impl Config {
    /// Whether there is anybody to dial.
    #[must_use]
    pub fn knows_peers(&self) -> bool {
        !self.bootnodes.is_empty() || !self.known_peers.is_empty()
    }
}

/// Binds the listeners, spawns the task that owns the network, and begins to dial.
///
/// # Errors
/// An address that is none, a port in use, a listener the system refuses. Unreachable peers are no error.
pub async fn start(
    config: Config,
    registry: &mut Registry,
) -> Result<(Network, mpsc::Receiver<Event>), Error> {
    let keypair = identity::Keypair::ed25519_from_bytes(config.node_key)
        .map_err(|error| Error::Setup { reason: format!("node key: {error}") })?;
    let own = keypair.public().to_peer_id();
    let listen = config.listen.iter().map(|text| Address::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let book = address_book(&config, own)?;
    let names = Names::of(config.genesis);
    let max_block_bytes = usize::try_from(config.max_block_bytes).unwrap_or(usize::MAX);
    let behaviour = Behaviour::new(&keypair, &names, config.agent, &config.limits, max_block_bytes)?;
    let mut swarm = swarm(keypair, behaviour)?;
    let dials = listen.into_iter().map(|address| address.dial).collect();
    let early = bind(&mut swarm, dials).await?;

    let (command_sender, commands) = mpsc::unbounded_channel();
    let (event_sender, events) = mpsc::channel(EVENT_QUEUE);
    let (snapshot_sender, snapshot) = watch::channel(Arc::default());
    let (end_sender, end) = watch::channel(false);
    let mut driver = Driver::new(
        swarm,
        names,
        config.limits,
        max_block_bytes,
        book,
        registry,
        event_sender,
        snapshot_sender,
    );
    early.into_iter().for_each(|event| driver.on_swarm(event));
    driver.publish_snapshot();
    tokio::spawn(async move {
        driver.run(commands).await;
        // Not reached after a panic: then the sender is dropped unsent, and `closed` says so.
        end_sender.send_replace(true);
    });
    Ok((Network { own, commands: command_sender, snapshot, end }, events))
}

fn address_book(config: &Config, own: PeerId) -> Result<AddressBook, Error> {
    let now = Instant::now();
    let mut book = AddressBook::new(own);
    for text in &config.bootnodes {
        book.learn(Address::parse(text)?, Origin::Bootnode, now);
    }
    for text in &config.known_peers {
        match Address::parse(text) {
            Ok(address) => book.learn(address, Origin::Remembered, now),
            Err(error) => tracing::debug!(%error, "skipped a remembered address"),
        }
    }
    Ok(book)
}

fn swarm(keypair: identity::Keypair, behaviour: Behaviour) -> Result<Swarm<Behaviour>, Error> {
    fn setup(error: impl ToString) -> Error {
        Error::Setup { reason: error.to_string() }
    }
    let multiplexer = || {
        let mut config = yamux::Config::default();
        config.set_max_num_streams(MAX_STREAMS);
        config
    };
    let tcp = || tcp::Config::default().nodelay(true);
    let builder = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp(), noise::Config::new, multiplexer)
        .map_err(setup)?;
    // A machine whose resolver configuration cannot be read can still dial by number.
    let swarm = if dns::tokio::Transport::system(tcp::tokio::Transport::new(tcp())).is_ok() {
        let builder = builder.with_dns().map_err(setup)?.with_behaviour(|_| behaviour).map_err(setup)?;
        builder.with_swarm_config(|config| config.with_idle_connection_timeout(IDLE_TIME)).build()
    } else {
        tracing::warn!("the system names no DNS resolver: addresses with names cannot be dialled");
        let builder = builder.with_behaviour(|_| behaviour).map_err(setup)?;
        builder.with_swarm_config(|config| config.with_idle_connection_timeout(IDLE_TIME)).build()
    };
    Ok(swarm)
}

/// Binds every listener and waits until each has an address; returns what else happened meanwhile.
async fn bind(
    swarm: &mut Swarm<Behaviour>,
    addresses: Vec<Multiaddr>,
) -> Result<Vec<SwarmEvent<BehaviourEvent>>, Error> {
    for address in &addresses {
        probe(address)?;
    }
    let mut waiting = Vec::new();
    for address in addresses {
        let listener = swarm.listen_on(address.clone()).map_err(|error| match error {
            TransportError::Other(source) => listen_error(&address, source),
            other => Error::BadAddress { address: address.to_string(), reason: other.to_string() },
        })?;
        waiting.push((listener, address));
    }
    let mut others = Vec::new();
    let deadline = Instant::now() + LISTEN_TIME;
    while let Some((_, address)) = waiting.first() {
        let event = tokio::time::timeout_at(deadline, swarm.select_next_some());
        match event.await.map_err(|_| listen_error(address, io::ErrorKind::TimedOut.into()))? {
            SwarmEvent::NewListenAddr { listener_id, .. } => waiting.retain(|(id, _)| *id != listener_id),
            SwarmEvent::ListenerError { listener_id, error } => refused(&waiting, listener_id, error)?,
            SwarmEvent::ListenerClosed { listener_id, reason: Err(error), .. } => {
                refused(&waiting, listener_id, error)?;
            }
            other => others.push(other),
        }
    }
    Ok(others)
}

/// The library shares its ports with other sockets of the same user, so a second node would bind the same port
/// and take half of the connections. A plain socket does not share, and says at once whether the port is free.
fn probe(address: &Multiaddr) -> Result<(), Error> {
    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Protocol::Ip4(ip)) => IpAddr::from(ip),
        Some(Protocol::Ip6(ip)) => IpAddr::from(ip),
        _ => return Ok(()),
    };
    match parts.next() {
        Some(Protocol::Tcp(port)) if port != 0 => TcpListener::bind(SocketAddr::new(ip, port))
            .map(drop)
            .map_err(|error| listen_error(address, error)),
        _ => Ok(()),
    }
}

fn refused<L: PartialEq>(waiting: &[(L, Multiaddr)], listener: L, error: io::Error) -> Result<(), Error> {
    match waiting.iter().find(|(id, _)| *id == listener) {
        Some((_, address)) => Err(listen_error(address, error)),
        None => Ok(()),
    }
}

fn listen_error(address: &Multiaddr, source: io::Error) -> Error {
    let address = address.to_string();
    match source.kind() {
        io::ErrorKind::AddrInUse => Error::ListenInUse { address },
        _ => Error::Listen { address, source },
    }
}

/// The handle of a running network. Cloning it is cheap; the network ends when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Network {
    own: PeerId,
    commands: mpsc::UnboundedSender<Command>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    end: watch::Receiver<bool>,
}

impl Network {
    /// Gossips transactions, in as few batches as they fit. One that is longer than any valid one is left out.
    pub fn publish_transactions(&self, transactions: Vec<Vec<u8>>) {
        self.send(Command::PublishTransactions(transactions));
    }

    /// Gossips the header of a new block that this node made, or got other than by gossip.
    pub fn announce(&self, header: SignedHeader) {
        self.send(Command::Announce(Box::new(header)));
    }

    /// Says what becomes of a gossiped message. The first verdict counts; after 8 seconds without, it is ignored.
    pub fn verdict(&self, message: MessageKey, verdict: Verdict) {
        self.send(Command::Verdict(message, verdict));
    }

    /// Asks a peer. Exactly one [`Event::Response`] with this number follows.
    pub fn request(&self, peer: PeerKey, request: RequestKey, what: Request) {
        self.send(Command::Request(peer, request, what));
    }

    /// Answers a peer's request; what is over the protocol's bounds is cut from the end of the answer.
    pub fn respond(&self, reply: ReplyKey, response: Response) {
        self.send(Command::Respond(reply, response));
    }

    /// Leaves a request unanswered, which the peer sees at once.
    pub fn refuse(&self, reply: ReplyKey) {
        self.send(Command::Refuse(reply));
    }

    /// Charges a peer with a fault.
    pub fn report(&self, peer: PeerKey, fault: Misbehaviour) {
        self.send(Command::Report(peer, fault));
    }

    /// Closes all connections to a peer. It may come back.
    pub fn disconnect(&self, peer: PeerKey) {
        self.send(Command::Disconnect(peer));
    }

    /// Dials an address now, and again with back-off while the node has too few peers.
    ///
    /// # Errors
    /// [`Error::BadAddress`]. That nobody answers there is only logged.
    pub fn add_peer(&self, address: &str) -> Result<(), Error> {
        self.send(Command::AddPeer(Address::parse(address)?));
        Ok(())
    }

    /// Keeps a peer out, and closes its connections.
    ///
    /// # Errors
    /// [`Error::BadPeerId`].
    pub fn ban(&self, peer_id: &str, time: Duration) -> Result<(), Error> {
        self.send(Command::Ban(parse_peer_id(peer_id)?, time));
        Ok(())
    }

    /// Lets a peer in again, whatever it was banned for.
    ///
    /// # Errors
    /// [`Error::BadPeerId`].
    pub fn unban(&self, peer_id: &str) -> Result<(), Error> {
        self.send(Command::Unban(parse_peer_id(peer_id)?));
        Ok(())
    }

    /// Who is kept out.
    #[must_use]
    pub fn banned(&self) -> Vec<BanInfo> {
        self.snapshot.borrow().bans(Instant::now())
    }

    /// The connected peers of this network.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.snapshot.borrow().peers(Instant::now())
    }

    /// How many peers [`Self::peers`] would name.
    #[must_use]
    pub fn peer_count(&self) -> usize {
        self.snapshot.borrow().peer_count()
    }

    /// This node's peer id as text.
    #[must_use]
    pub fn peer_id(&self) -> String {
        self.own.to_string()
    }

    /// The addresses this node listens on, with its peer id: what others may use as a bootnode.
    #[must_use]
    pub fn listen_addresses(&self) -> Vec<String> {
        self.snapshot.borrow().listen.clone()
    }

    /// Addresses of peers that were reached, to be saved and given to the next run as `known_peers`.
    #[must_use]
    pub fn peer_addresses(&self) -> Vec<String> {
        self.snapshot.borrow().addresses.clone()
    }

    /// Ends the network; [`Self::closed`] tells when.
    pub fn shutdown(&self) {
        self.send(Command::Shutdown);
    }

    /// Waits until the network has ended.
    ///
    /// # Errors
    /// [`Error::TaskDied`] if it ended by a panic: then the process should end too.
    pub async fn closed(&self) -> Result<(), Error> {
        let mut end = self.end.clone();
        end.wait_for(|ended| *ended).await.map(drop).map_err(|_| Error::TaskDied)
    }

    fn send(&self, command: Command) {
        // Fails only after the end, when there is nobody left to whom it could matter.
        let _ended = self.commands.send(command);
    }
}

fn parse_peer_id(text: &str) -> Result<PeerId, Error> {
    text.parse().map_err(|error: identity::ParseError| Error::BadPeerId {
        peer: text.chars().take(100).collect(),
        reason: error.to_string(),
    })
}
