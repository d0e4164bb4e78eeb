//! The choice of chain follows from the set of headers, bodies and verdicts alone: the order in which they
//! arrive decides nothing. A naive model picks the tip anew each time from lists.

use std::collections::{BTreeMap, BTreeSet};

use printsy_consensus::{
    CheckedHeader, Hash, Header, HeaderTree, Inserted, Placed, SignedHeader, TipMove, Work, block_message,
};

use crate::support::chain::grind;
use crate::support::random::for_seeds;
use crate::support::{Chain, Random, chain_with, key, public};

/// A random tree of headers on block 0, parents before children; bits move, so work differs.
fn random_headers(random: &mut Random, chain: &Chain, count: usize) -> Vec<CheckedHeader> {
    let mut tree = chain.headers.clone();
    let mut made = vec![CheckedHeader::stored(*chain.genesis.header())];
    while made.len() <= count {
        // Mostly near the newest, so that branches grow long; sometimes anywhere.
        let near = made.len() - 1 - random.index(made.len().min(4));
        let parent = made[if random.chance(5) { random.index(made.len()) } else { near }];
        let miner = random.pick(&["miner-1", "miner-2", "miner-3"]);
        let header = grind(Header {
            version: 1,
            parent: parent.id(),
            transactions_root: Hash(random.bytes32()),
            state_root: Hash::ZERO,
            height: parent.header().height + 1,
            time: parent.header().time + random.pick(&[500, 500, 2_000, 9_000]),
            bits: tree.next_bits(&parent.id()).expect("in the tree"),
            miner: public(miner),
            nonce: 0,
        });
        let signature = key(miner).sign(&block_message(&header.id()));
        let checked = CheckedHeader::check(SignedHeader { header, signature }).expect("a good header");
        tree.insert(checked, u64::MAX).expect("a good place");
        made.push(checked);
    }
    made.split_off(1)
}

fn chain() -> Chain {
    chain_with(|params| params.half_life_ms = 4_000)
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Header(usize),
    Body(usize),
    Invalid(usize),
}

/// What is known, as plain sets, and what follows from it.
struct Naive {
    root: Hash,
    /// By id: the parent, the height, and the block's own work.
    known: BTreeMap<Hash, (Hash, u64, Work)>,
    bodies: BTreeSet<Hash>,
    invalid: BTreeSet<Hash>,
}

impl Naive {
    /// From the header down to the root, the root not included.
    fn ancestry(&self, id: &Hash) -> Vec<Hash> {
        let mut line = Vec::new();
        let mut at = *id;
        while at != self.root {
            line.push(at);
            at = self.known[&at].0;
        }
        line
    }

    fn is_valid(&self, id: &Hash) -> bool {
        self.ancestry(id).iter().all(|id| !self.invalid.contains(id))
    }

    fn total(&self, id: &Hash) -> Work {
        self.ancestry(id).iter().fold(Work::default(), |sum, id| sum.plus(self.known[id].2))
    }

    /// The most work, then the lowest id, of those that pass.
    fn best(&self, passes: impl Fn(&Hash) -> bool) -> Hash {
        let mut best = (Work::default(), self.root);
        for id in self.known.keys().filter(|id| passes(id)) {
            let work = self.total(id);
            if work > best.0 || (work == best.0 && *id < best.1) {
                best = (work, *id);
            }
        }
        best.1
    }

    fn tip(&self) -> Hash {
        self.best(|id| self.is_valid(id) && self.ancestry(id).iter().all(|id| self.bodies.contains(id)))
    }

    fn best_header(&self) -> Hash {
        self.best(|id| self.is_valid(id))
    }

    fn path(&self, from: &Hash, to: &Hash) -> TipMove {
        let (down, up) = (self.ancestry(from), self.ancestry(to));
        let disconnect = down.iter().filter(|id| !up.contains(id)).copied().collect();
        let connect = up.iter().rev().filter(|id| !down.contains(id)).copied().collect();
        TipMove { disconnect, connect }
    }
}

fn naive(tree: &HeaderTree) -> Naive {
    let empty = BTreeSet::new();
    Naive { root: tree.root(), known: BTreeMap::new(), bodies: empty.clone(), invalid: empty }
}

/// All events in a random order in which they can happen: a header after its parent, the rest after the header.
/// What descends from an invalid header is refused once that is known, and never arrives before its parent.
fn random_events(random: &mut Random, headers: &[CheckedHeader], with_verdicts: bool) -> Vec<Event> {
    let index: BTreeMap<Hash, usize> =
        headers.iter().enumerate().map(|(at, header)| (header.id(), at)).collect();
    let mut waiting: Vec<Event> =
        (0..headers.len()).flat_map(|at| [Event::Header(at), Event::Body(at)]).collect();
    if with_verdicts {
        let marked: Vec<usize> = (0..headers.len()).filter(|at| at % 7 == 3).collect();
        waiting.extend(marked.into_iter().map(Event::Invalid));
    }
    let mut there = BTreeSet::new();
    let mut events = Vec::new();
    while !waiting.is_empty() {
        let at = random.index(waiting.len());
        let can = match waiting[at] {
            Event::Header(header) => {
                index.get(&headers[header].header().parent).is_none_or(|parent| there.contains(parent))
            }
            Event::Body(header) | Event::Invalid(header) => there.contains(&header),
        };
        if can {
            let event = waiting.swap_remove(at);
            if let Event::Header(header) = event {
                there.insert(header);
            }
            events.push(event);
        }
    }
    events
}

/// Plays events to the tree and to the naive model, moving the tip after each, and returns the last tip.
fn play(chain: &Chain, headers: &[CheckedHeader], events: &[Event]) -> Hash {
    let mut tree = chain.headers.clone();
    let mut naive = naive(&tree);
    let mut tip = tree.root();
    for event in events {
        match *event {
            Event::Header(at) => {
                let header = headers[at];
                let parent = header.header().parent;
                let accepted = tree.insert(header, u64::MAX).is_ok();
                assert_eq!(
                    accepted,
                    naive.root == parent || naive.known.contains_key(&parent) && naive.is_valid(&parent)
                );
                if accepted {
                    let work = header.target().work();
                    naive.known.insert(header.id(), (parent, header.header().height, work));
                    assert_eq!(tree.insert(header, u64::MAX), Ok(Inserted::Known));
                }
            }
            Event::Body(at) => {
                tree.body_arrived(&headers[at].id());
                naive.bodies.insert(headers[at].id());
            }
            Event::Invalid(at) => {
                tree.invalidate(&headers[at].id());
                naive.invalid.insert(headers[at].id());
            }
        }
        if let Some(event) = tree.next_move(&tip) {
            let to = *event.connect.last().or(Some(&tree.root())).expect("a root");
            let to = if event.connect.is_empty() { naive.tip() } else { to };
            assert_eq!(event, naive.path(&tip, &to));
            tip = to;
        }
        assert_eq!(tip, naive.tip());
        assert_eq!(tree.best(), naive.best_header());
        assert_eq!(tree.len(), naive.known.len() + 1);
        fetch_list_is_right(&tree, &naive, &tip);
    }
    tip
}

/// What is worth fetching: the missing bodies of valid branches better than the tip, lowest first.
fn fetch_list_is_right(tree: &HeaderTree, naive: &Naive, tip: &Hash) {
    let tip_work = naive.total(tip);
    let better = |id: &Hash| {
        let work = naive.total(id);
        naive.is_valid(id) && (work > tip_work || (work == tip_work && id < tip))
    };
    let mut expected: BTreeSet<(u64, Hash)> = BTreeSet::new();
    for id in naive.known.keys().filter(|id| better(id)) {
        let missing = naive.ancestry(id).into_iter().filter(|id| !naive.bodies.contains(id));
        expected.extend(missing.map(|id| (naive.known[&id].1, id)));
    }
    let expected: Vec<Hash> = expected.into_iter().map(|(_, id)| id).collect();
    assert_eq!(tree.missing_bodies(tip, usize::MAX), expected);
}

#[test]
fn the_order_of_arrival_decides_nothing() {
    for_seeds(0..25, |random| {
        let chain = chain();
        let headers = random_headers(random, &chain, 24);
        let tips: BTreeSet<Hash> = (0..8)
            .map(|_| {
                let events = random_events(random, &headers, false);
                play(&chain, &headers, &events)
            })
            .collect();
        assert_eq!(tips.len(), 1);
    });
}

#[test]
fn the_order_of_verdicts_decides_nothing() {
    for_seeds(50..75, |random| {
        let chain = chain();
        let headers = random_headers(random, &chain, 24);
        let tips: BTreeSet<Hash> = (0..8)
            .map(|_| {
                let events = random_events(random, &headers, true);
                play(&chain, &headers, &events)
            })
            .collect();
        assert_eq!(tips.len(), 1);
    });
}

/// Between branches of equal work the lower id is the tip, whichever came first.
#[test]
fn between_equals_the_lower_id_wins() {
    let chain = chain_with(|_| {});
    for_seeds(0..20, |random| {
        let root = chain.headers.root();
        let headers: Vec<CheckedHeader> = (0..40)
            .flat_map(|_| random_headers(random, &chain, 1))
            .filter(|header| header.header().parent == root)
            .collect();
        let lowest = headers.iter().map(CheckedHeader::id).min().expect("forty");
        let mut order: Vec<usize> = (0..headers.len()).collect();
        random.shuffle(&mut order);
        let mut tree = chain.headers.clone();
        for at in order {
            tree.insert(headers[at], u64::MAX).expect("a good header");
            tree.body_arrived(&headers[at].id());
        }
        assert_eq!(tree.next_move(&root), Some(TipMove { disconnect: vec![], connect: vec![lowest] }));
        assert_eq!(tree.next_move(&lowest), None);
    });
}

/// A body that is lost counts no more, nor do those above it, until it is there again.
#[test]
fn a_lost_body_is_as_one_that_never_came() {
    for_seeds(0..40, |random| {
        let chain = chain();
        let headers = random_headers(random, &chain, 16);
        let mut tree = chain.headers.clone();
        let mut naive = naive(&tree);
        for header in &headers {
            tree.insert(*header, u64::MAX).expect("a good header");
            let known = (header.header().parent, header.header().height, header.target().work());
            naive.known.insert(header.id(), known);
        }
        for _ in 0..60 {
            let id = headers[random.index(headers.len())].id();
            if random.chance(3) {
                tree.body_lost(&id);
                naive.bodies.remove(&id);
            } else {
                tree.body_arrived(&id);
                naive.bodies.insert(id);
            }
            let expected = (naive.tip() != tree.root()).then(|| naive.path(&tree.root(), &naive.tip()));
            assert_eq!(tree.next_move(&tree.root()), expected);
            assert_eq!(tree.has_body(&id), naive.bodies.contains(&id));
        }
    });
}

/// A final block as the new root: its descendants stay as they were, the rest is forgotten, and bits go on.
#[test]
fn finalising_forgets_other_branches_and_nothing_else() {
    for_seeds(0..40, |random| {
        let chain = chain();
        let headers = random_headers(random, &chain, 24);
        let mut tree = chain.headers.clone();
        for header in &headers {
            tree.insert(*header, u64::MAX).expect("a good header");
            tree.body_arrived(&header.id());
        }
        let whole = tree.clone();
        let tip = tree.best();
        let height = whole.get(&tip).expect("the best").header().height;
        let root = whole.ancestor(&tip, random.below(height + 1)).expect("an ancestor");
        tree.finalise(&root);
        assert_eq!((tree.root(), tree.best()), (root, tip));
        for header in &headers {
            let id = header.id();
            let kept = whole.ancestor(&id, whole.get(&root).expect("kept").header().height) == Some(root);
            assert_eq!(tree.get(&id).is_some(), kept || id == root);
            if kept {
                assert_eq!(tree.work(&id), whole.work(&id));
                assert_eq!(tree.next_bits(&id), whole.next_bits(&id));
                assert_eq!(tree.path(&root, &id).connect.last(), whole.path(&root, &id).connect.last());
            }
        }
    });
}

/// A tree that begins in the middle of a chain asks the same bits of what follows as one from block 0.
#[test]
fn a_tree_from_the_middle_asks_the_same_bits() {
    for_seeds(0..20, |random| {
        let chain = chain();
        let headers = random_headers(random, &chain, 12);
        let mut whole = chain.headers.clone();
        headers.iter().for_each(|header| {
            whole.insert(*header, u64::MAX).expect("a good header");
        });
        for header in &headers {
            let parent_time = whole.get(&header.header().parent).expect("inserted").header().time;
            let work = whole.work(&header.id()).expect("inserted");
            let placed = Placed { header: *header, work, parent_time: Some(parent_time) };
            let middle = HeaderTree::new(chain.params().clone(), placed);
            assert_eq!(middle.next_bits(&header.id()), whole.next_bits(&header.id()));
        }
    });
}
