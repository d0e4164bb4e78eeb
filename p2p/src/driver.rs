//! The task that owns the network: commands in, events out, the library's events in between.
//!
//! One task, one owner, no lock. It takes commands first, then hands out events, then looks at its deadlines,
//! and reads from the network only while every event has been handed out: a slow node slows its peers, and
//! nothing piles up here. The chapters: `gossip.rs` messages and verdicts, `sync.rs` requests and answers,
//! `peering.rs` who comes, goes, is dialled, charged and banned.

mod gossip;
mod peering;
mod snapshot;
mod sync;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::metrics::{Metrics as LibraryMetrics, Recorder};
use libp2p::swarm::SwarmEvent;
use libp2p::{PeerId, Swarm, ping};
use printsy_consensus::SignedHeader;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};
use tokio::time::{self, Instant, MissedTickBehavior};

use crate::address::Address;
use crate::bans::Bans;
use crate::behaviour::{Behaviour, BehaviourEvent};
use crate::book::AddressBook;
use crate::limits::{Limits, TICK};
use crate::message::{
    BanReason, Event, MessageKey, Misbehaviour, PeerKey, ReplyKey, Request, RequestKey, Response, Verdict,
};
use crate::metrics::Metrics;
use crate::names::Names;
use crate::peers::Peers;

use gossip::Unjudged;
pub(crate) use snapshot::Snapshot;
use sync::Requests;

/// What the node wants done.
#[derive(Debug)]
pub(crate) enum Command {
    PublishTransactions(Vec<Vec<u8>>),
    Announce(Box<SignedHeader>),
    Verdict(MessageKey, Verdict),
    Request(PeerKey, RequestKey, Request),
    Respond(ReplyKey, Response),
    Refuse(ReplyKey),
    Report(PeerKey, Misbehaviour),
    Disconnect(PeerKey),
    AddPeer(Address),
    Ban(PeerId, Duration),
    Unban(PeerId),
    Shutdown,
}

/// The owner of everything.
pub(crate) struct Driver {
    swarm: Swarm<Behaviour>,
    names: Names,
    limits: Limits,
    max_block_bytes: usize,
    peers: Peers,
    book: AddressBook,
    bans: Bans,
    unjudged: Unjudged,
    requests: Requests,
    /// Events the node has not taken yet; while there are any, nothing is read from the network.
    outbox: VecDeque<Event>,
    events: mpsc::Sender<Event>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    /// Who is connected, banned or listened for has changed since the last snapshot.
    changed: bool,
    renew_snapshot: Instant,
    next_search: Instant,
    metrics: Metrics,
    library_metrics: LibraryMetrics,
}

impl Driver {
    #[expect(clippy::too_many_arguments, reason = "called once, by start, which makes each of them")]
    pub(crate) fn new(
        swarm: Swarm<Behaviour>,
        names: Names,
        limits: Limits,
        max_block_bytes: usize,
        book: AddressBook,
        registry: &mut Registry,
        events: mpsc::Sender<Event>,
        snapshot: watch::Sender<Arc<Snapshot>>,
    ) -> Self {
        let now = Instant::now();
        Self {
            swarm,
            names,
            limits,
            max_block_bytes,
            peers: Peers::default(),
            book,
            bans: Bans::default(),
            unjudged: Unjudged::default(),
            requests: Requests::default(),
            outbox: VecDeque::new(),
            events,
            snapshot,
            changed: true,
            renew_snapshot: now,
            next_search: now,
            metrics: Metrics::register(registry),
            library_metrics: LibraryMetrics::new(registry),
        }
    }

    /// Runs until it is told to end, or nobody holds the other ends.
    pub(crate) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut tick = time::interval(TICK);
        let events = self.events.clone();
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    None | Some(Command::Shutdown) => break,
                    Some(command) => self.on_command(command),
                },
                room = events.reserve(), if !self.outbox.is_empty() => {
                    let Ok(room) = room else { break };
                    let event = self.outbox.pop_front().expect("the branch is taken while there are any");
                    room.send(event);
                }
                _ = tick.tick() => self.on_tick(),
                event = self.swarm.select_next_some(), if self.outbox.is_empty() => self.on_swarm(event),
            }
            if self.changed {
                self.publish_snapshot();
            }
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::PublishTransactions(transactions) => self.publish_transactions(transactions),
            Command::Announce(header) => self.announce(&header),
            Command::Verdict(message, verdict) => self.on_verdict(message, verdict),
            Command::Request(peer, request, what) => self.request(peer, request, what),
            Command::Respond(reply, response) => self.respond(reply, response),
            Command::Refuse(reply) => self.refuse(reply),
            Command::Report(peer, fault) => self.charge(peer, fault),
            Command::Disconnect(peer) => self.disconnect(peer),
            Command::AddPeer(address) => self.add_peer(address),
            Command::Ban(peer, time) => self.ban(peer, BanReason::Operator, time),
            Command::Unban(peer) => self.unban(&peer),
            Command::Shutdown => {} // ends the loop before it comes here
        }
    }

    pub(crate) fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        self.library_metrics.record(&event);
        match event {
            SwarmEvent::Behaviour(event) => self.on_protocol(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_connected(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => self.on_closed(&peer_id),
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                self.on_dial_error(connection_id, &error);
            }
            SwarmEvent::NewListenAddr { .. } | SwarmEvent::ExpiredListenAddr { .. } => self.changed = true,
            SwarmEvent::ListenerClosed { reason: Err(error), addresses, .. } => {
                tracing::error!(?addresses, %error, "a listener has closed");
                self.changed = true;
            }
            _ => {}
        }
    }

    fn on_protocol(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Gossip(event) => {
                self.library_metrics.record(&event);
                self.on_gossip(event);
            }
            BehaviourEvent::Sync(event) => self.on_sync(event),
            BehaviourEvent::Identify(event) => {
                self.library_metrics.record(&event);
                self.on_identify(event);
            }
            BehaviourEvent::Ping(ping::Event { peer, result, .. }) => self.on_ping(&peer, result.ok()),
            BehaviourEvent::Kad(event) => {
                self.library_metrics.record(&event);
                self.on_kad(event);
            }
            BehaviourEvent::Connections(never)
            | BehaviourEvent::Memory(never)
            | BehaviourEvent::Hosts(never)
            | BehaviourEvent::Blocked(never) => match never {},
        }
    }

    fn on_tick(&mut self) {
        let now = Instant::now();
        self.expire_unjudged(now);
        self.keep_peers(now);
        if now >= self.renew_snapshot {
            self.changed = true;
        }
    }

    /// Hands an event out, as soon as there is room.
    fn emit(&mut self, event: Event) {
        if self.outbox.is_empty() && self.events.capacity() == 0 {
            self.metrics.paused();
        }
        self.outbox.push_back(event);
    }
}
