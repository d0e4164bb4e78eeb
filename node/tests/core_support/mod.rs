//! The core driven by hand: events in, effects out, no socket, no thread, and a clock that is an argument.
//!
//! Blocks come from the ledger's own model of a network (its `world` and `orders`); peers here are numbers, and
//! what each answers is the test's to say, request by request.
#![allow(dead_code, unused_imports, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "in a test, a panic is the report")]

#[path = "../../../ledger/tests/support/orders.rs"]
pub mod orders;
#[path = "../../../ledger/tests/support/world.rs"]
pub mod world;

use std::sync::Arc;

use printsy_consensus::{
    CheckedBlock, CheckedHeader, CheckedTransaction, Genesis, Hash, Header, PublicKey, SignedHeader, Target,
    block_message, next_bits,
};
use printsy_ledger::Ledger;
use printsy_ledger::store::{MemoryDisk, MemoryIndex};
use printsy_node::core::{
    BlockAnswer, BlockSource, Core, Effect, Event, Gossiped, OrderAnswer, OrderSource, PeerAnswer,
    TemplateAnswer, TemplateBody, Ticket,
};
use printsy_node::metrics::Metrics;
use printsy_p2p::{Direction, MessageKey, PeerKey, Request, RequestFailure, RequestKey, Status, Verdict};

pub use orders::{key, order, public, purchase};
pub use world::{World, genesis_with};

/// How long after genesis the tests begin, ms: far enough for any block they make to be of the past.
pub const LATER: u64 = 10_000_000;

/// What happened, and what is yet to be answered.
#[derive(Debug)]
pub struct Rig {
    pub core: Core,
    pub now: u64,
    /// Requests not answered, oldest first.
    pub open: Vec<(u64, RequestKey, Request)>,
    pub metrics: Metrics,
    next_message: u64,
}

impl Rig {
    pub fn new(genesis: &Arc<Genesis>) -> Self {
        let disk = Arc::new(MemoryDisk::default());
        let index = Arc::new(MemoryIndex::default());
        let (ledger, _) = Ledger::open(genesis.clone(), disk, index).unwrap();
        Self::on(ledger)
    }

    /// A core on this ledger.
    pub fn on(ledger: Ledger) -> Self {
        let now = ledger.params().time + LATER;
        let metrics = Metrics::default();
        let core = Core::new(ledger, metrics.clone());
        let mut rig = Self { core, now, open: Vec::new(), metrics, next_message: 0 };
        rig.wait(0);
        rig
    }

    pub fn give(&mut self, event: Event) -> Vec<Effect> {
        let effects = self.core.handle(event, self.now).unwrap();
        for effect in &effects {
            if let Effect::Request(peer, key, request) = effect {
                self.open.push((peer.0, *key, request.clone()));
            }
        }
        effects
    }

    /// Lets time pass, then ticks once.
    pub fn wait(&mut self, ms: u64) -> Vec<Effect> {
        self.now += ms;
        self.give(Event::Tick)
    }

    pub fn tip(&self) -> Hash {
        self.core.ledger().tip().id()
    }

    /// How many headers the node has beyond genesis.
    pub fn headers(&self) -> usize {
        self.core.ledger().tree().len() - 1
    }

    /// A peer comes, says where its chain stands, and has nothing pending.
    pub fn join(&mut self, peer: u64, status: Status) -> Vec<Effect> {
        self.join_as(peer, Direction::Inbound, status)
    }

    /// The same, of a peer that dialled this node or was dialled by it.
    pub fn join_as(&mut self, peer: u64, direction: Direction, status: Status) -> Vec<Effect> {
        self.give(Event::Connected { peer: PeerKey(peer), direction });
        let mut effects = self.answer(peer, is_status, PeerAnswer::Status(status)).unwrap();
        effects.extend(self.answer(peer, is_pending, PeerAnswer::Pending(Vec::new())).unwrap());
        effects
    }

    /// Answers the oldest open request of a kind to a peer, if there is one.
    pub fn answer(
        &mut self,
        peer: u64,
        kind: fn(&Request) -> bool,
        answer: PeerAnswer,
    ) -> Option<Vec<Effect>> {
        let found = self.open.iter().position(|(asked, _, request)| *asked == peer && kind(request))?;
        let (_, request, _) = self.open.remove(found);
        Some(self.give(Event::Answer { peer: PeerKey(peer), request, answer }))
    }

    pub fn answer_headers(&mut self, peer: u64, headers: Vec<CheckedHeader>) -> Vec<Effect> {
        let answer = PeerAnswer::Headers(headers, None);
        self.answer(peer, is_headers, answer).expect("it was asked for headers")
    }

    /// Answers the oldest request for bodies to a peer with those of them that it has.
    pub fn answer_bodies(
        &mut self,
        peer: u64,
        has: impl Fn(&Hash) -> Option<Arc<CheckedBlock>>,
    ) -> Option<Vec<Effect>> {
        let ids = self.open_bodies(peer).into_iter().next()?;
        let bodies = ids.iter().filter_map(has).map(Ok).collect();
        self.answer(peer, is_bodies, PeerAnswer::Bodies(bodies))
    }

    pub fn fail_bodies(&mut self, peer: u64, failure: RequestFailure) -> Option<Vec<Effect>> {
        self.answer(peer, is_bodies, PeerAnswer::Failed(failure))
    }

    /// The bodies that a peer is asked for now, request by request.
    pub fn open_bodies(&self, peer: u64) -> Vec<Vec<Hash>> {
        let of_peer = self.open.iter().filter(|(asked, ..)| *asked == peer);
        of_peer.filter_map(|(_, _, request)| ids_of(request)).collect()
    }

    /// Whether anybody is asked for this body now.
    pub fn is_asked(&self, id: &Hash) -> bool {
        self.open.iter().filter_map(|(_, _, request)| ids_of(request)).any(|ids| ids.contains(id))
    }

    /// Announces a block's header, from a peer; returns the message and what came of it.
    pub fn announce(&mut self, peer: u64, header: CheckedHeader) -> (MessageKey, Vec<Effect>) {
        let from = self.message(peer);
        (from.message, self.give(Event::Announced { header: Ok(header), from }))
    }

    /// A new gossiped message of a peer.
    pub fn message(&mut self, peer: u64) -> Gossiped {
        self.next_message += 1;
        Gossiped { peer: PeerKey(peer), message: MessageKey(self.next_message) }
    }

    /// A caller's block.
    pub fn submit(&mut self, block: &Arc<CheckedBlock>) -> (BlockAnswer, Vec<Effect>) {
        let source = BlockSource::Local(Ticket(1));
        let effects = self.give(Event::Block { source, block: block.clone() });
        let answer = effects.iter().find_map(|effect| match effect {
            Effect::BlockAnswer(Ticket(1), answer) => Some(answer.clone()),
            _ => None,
        });
        (answer.expect("a caller is answered"), effects)
    }

    /// A caller's order.
    pub fn buy(&mut self, order: &CheckedTransaction) -> (OrderAnswer, Vec<Effect>) {
        let source = OrderSource::Local(Ticket(2));
        let effects = self.give(Event::Orders { source, orders: vec![order.clone()] });
        let answer = effects.iter().find_map(|effect| match effect {
            Effect::OrderAnswer(Ticket(2), answer) => Some(answer.clone()),
            _ => None,
        });
        (answer.expect("a caller is answered"), effects)
    }

    pub fn template(&mut self, miner: &str) -> TemplateAnswer {
        let effects =
            self.give(Event::Template { ticket: Ticket(3), miner: public(miner), body: TemplateBody::Whole });
        let answer = effects.into_iter().find_map(|effect| match effect {
            Effect::TemplateAnswer(Ticket(3), answer) => Some(answer),
            _ => None,
        });
        answer.expect("a miner is answered")
    }
}

pub fn is_status(request: &Request) -> bool {
    matches!(request, Request::Status(_))
}

pub fn is_pending(request: &Request) -> bool {
    matches!(request, Request::Pending)
}

pub fn is_headers(request: &Request) -> bool {
    matches!(request, Request::Headers { .. })
}

pub fn is_bodies(request: &Request) -> bool {
    matches!(request, Request::Blocks { .. })
}

fn ids_of(request: &Request) -> Option<Vec<Hash>> {
    match request {
        Request::Blocks { ids } => Some(ids.iter().copied().collect()),
        _ => None,
    }
}

/// Whom these effects ask, of a kind.
pub fn asked(effects: &[Effect], kind: fn(&Request) -> bool) -> Vec<u64> {
    let requests = effects.iter().filter_map(|effect| match effect {
        Effect::Request(peer, _, request) if kind(request) => Some(peer.0),
        _ => None,
    });
    requests.collect()
}

/// The verdicts given on a message.
pub fn verdicts(effects: &[Effect], message: MessageKey) -> Vec<Verdict> {
    let verdicts = effects.iter().filter_map(|effect| match effect {
        Effect::Verdict(of, verdict) if *of == message => Some(*verdict),
        _ => None,
    });
    verdicts.collect()
}

/// The orders that these effects publish, batch by batch.
pub fn published(effects: &[Effect]) -> Vec<Vec<Vec<u8>>> {
    let batches = effects.iter().filter_map(|effect| match effect {
        Effect::PublishOrders(orders) => Some(orders.clone()),
        _ => None,
    });
    batches.collect()
}

/// Whom these effects charge with a fault.
pub fn reported(effects: &[Effect]) -> Vec<u64> {
    let reports = effects.iter().filter_map(|effect| match effect {
        Effect::Report(peer, _) => Some(peer.0),
        _ => None,
    });
    reports.collect()
}

/// What a peer says whose chain ends at this block.
pub fn status(world: &World, tip: &Hash) -> Status {
    let state = world.state(tip);
    Status {
        genesis: world.root(),
        tip: *tip,
        height: state.height(),
        work: state.work.to_be_bytes(),
        final_height: 0,
    }
}

/// What a peer says that has nothing but genesis.
pub fn at_genesis(world: &World) -> Status {
    status(world, &world.root())
}

/// Blocks one upon the other, without orders.
pub fn chain(world: &mut World, from: &Hash, miner: &str, count: usize) -> Vec<Arc<CheckedBlock>> {
    let mut parent = *from;
    let mut blocks = Vec::new();
    for _ in 0..count {
        let block = world.extend(&parent, miner, &[]);
        parent = block.id();
        blocks.push(block);
    }
    blocks
}

pub fn headers_of(blocks: &[Arc<CheckedBlock>]) -> Vec<CheckedHeader> {
    blocks.iter().map(|block| *block.header()).collect()
}

/// Headers one upon the other from genesis, right by every rule that headers alone are held to; no bodies.
pub fn bare_chain(genesis: &Genesis, miner: &str, count: usize) -> Vec<CheckedHeader> {
    let params = genesis.params();
    let (mut above, mut before) = (genesis.header().header, None);
    let mut headers = Vec::new();
    for _ in 0..count {
        let bits = next_bits(params, &above, before);
        let header = bare(&above, bits, params.target_interval_ms, miner, 0);
        before = Some(above.time);
        above = *header.header();
        headers.push(header);
    }
    headers
}

/// Headers that all stand on genesis.
pub fn bare_siblings(genesis: &Genesis, miner: &str, count: u64) -> Vec<CheckedHeader> {
    let above = genesis.header().header;
    let bits = next_bits(genesis.params(), &above, None);
    let interval = genesis.params().target_interval_ms;
    (0..count).map(|n| bare(&above, bits, interval, miner, n << 32)).collect()
}

fn bare(above: &Header, bits: u32, interval: u64, miner: &str, nonce: u64) -> CheckedHeader {
    let header = Header {
        parent: above.id(),
        transactions_root: Hash::ZERO,
        state_root: Hash::ZERO,
        height: above.height + 1,
        time: above.time + interval,
        bits,
        miner: public(miner),
        nonce,
        ..*above
    };
    CheckedHeader::check(signed(header, miner)).unwrap()
}

/// Works on a header and signs it.
pub fn signed(mut header: Header, miner: &str) -> SignedHeader {
    let target = Target::from_bits(header.bits).unwrap();
    while !target.is_met_by(&header.id()) {
        header.nonce += 1;
    }
    SignedHeader { header, signature: key(miner).sign(&block_message(&header.id())) }
}
