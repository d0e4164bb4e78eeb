//! Laws of history: all pages together are the whole story that a replay tells, whatever branches there were, and each
//! answer is of one chain, whatever moves while it is read.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use printsy_consensus::{
    Action, CheckedTransaction, Genesis, Hash, Holding, Overlay, Position, PublicKey, Staged, StateView,
    apply_transaction,
};
use printsy_ledger::store::{Disk, Index, MemoryDisk, MemoryIndex, StoreError};
use printsy_ledger::{Cursor, Ledger, LedgerError, MAX_PAGE_ENTRIES, Page, Passage, Reader, Subject};

use crate::support::random::{opening, random_body, random_miner};
use crate::support::{
    Node, Random, World, for_seeds, genesis_with, order, public, purchase, random_genesis, review,
};

const NAMES: [&str; 7] = ["alice", "bob", "carol", "dave", "seller", "issuer", "registrar"];
/// Their keys: each costs a multiplication on the curve.
static ACCOUNTS: LazyLock<[PublicKey; 7]> = LazyLock::new(|| NAMES.map(public));
const IMAGES: std::ops::Range<u64> = 0..6;

/// A transaction as the replay met it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Met {
    position: Position,
    block: Hash,
    time: u64,
    txid: Hash,
    sender: PublicKey,
    touched: Vec<PublicKey>,
    /// Editions bought: image, first, last.
    bought: Vec<(u64, u32, u32)>,
    reviewed: Option<u64>,
}

/// What the transactions of a block did, found by executing them one by one: an account is touched where its count
/// rose. No undo, no links.
fn meet(world: &World, id: &Hash) -> Vec<Met> {
    let block = world.block(id);
    let parent = world.state(&block.header().header().parent);
    let mut overlay = Overlay::new();
    let mut all = Vec::new();
    for (tx, index) in block.transactions().iter().zip(0..) {
        let position = Position { height: block.height(), index };
        let look = |overlay: &Overlay| {
            let view = Staged::new(parent, overlay);
            let counts = ACCOUNTS.map(|account| view.account(&account).transactions);
            (counts, IMAGES.map(|image| view.edition(image).sold).collect::<Vec<u32>>())
        };
        let before = look(&overlay);
        apply_transaction(parent, &mut overlay, tx, position).unwrap();
        let after = look(&overlay);
        let touched = (0..NAMES.len()).filter(|name| after.0[*name] > before.0[*name]);
        let sold = IMAGES.zip(before.1.iter().zip(&after.1)).filter(|(_, (before, after))| after > before);
        all.push(Met {
            position,
            block: *id,
            time: block.header().header().time,
            txid: tx.txid(),
            sender: *tx.sender(),
            touched: touched.map(|name| ACCOUNTS[name]).collect(),
            bought: sold.map(|(image, (before, after))| (image, before + 1, *after)).collect(),
            reviewed: match tx.action() {
                Action::Review { image, .. } => Some(*image),
                _ => None,
            },
        });
    }
    all
}

/// The whole history of a subject up to a tip, newest first, by replay.
fn expected(world: &World, tip: &Hash, subject: Subject) -> Vec<Met> {
    let is_of = |met: &Met| match subject {
        Subject::Account(account) => met.touched.contains(&account),
        Subject::Image(image) => met.reviewed == Some(image) || met.bought.iter().any(|b| b.0 == image),
        Subject::Purchases(image) => met.bought.iter().any(|bought| bought.0 == image),
        Subject::Reviews(image) => met.reviewed == Some(image),
    };
    met_up_to(world, tip).iter().rev().filter(|met| is_of(met)).cloned().collect()
}

fn met_up_to(world: &World, tip: &Hash) -> Vec<Met> {
    thread_local! {
        /// What was found of each block: a block is in many chains.
        static MET: RefCell<HashMap<Hash, Vec<Met>>> = RefCell::default();
    }
    MET.with_borrow_mut(|met| {
        let mut of = |id: &Hash| met.entry(*id).or_insert_with(|| meet(world, id)).clone();
        world.state(tip).chain[1..].iter().flat_map(&mut of).collect()
    })
}

fn subjects() -> Vec<Subject> {
    let accounts = ACCOUNTS.iter().map(|account| Subject::Account(*account));
    let images = IMAGES.flat_map(|i| [Subject::Image(i), Subject::Purchases(i), Subject::Reviews(i)]);
    accounts.chain(images).collect()
}

/// Holds a page's entries against the replay's.
fn assert_same(entries: &[Passage], expected: &[Met]) {
    assert_eq!(entries.len(), expected.len());
    for (entry, met) in entries.iter().zip(expected) {
        let confirmed = &entry.confirmed;
        assert_eq!((confirmed.position, entry.block, entry.time), (met.position, met.block, met.time));
        assert_eq!(confirmed.transaction.body.txid(), met.txid);
        let numbers = confirmed.edition_numbers();
        let numbers: Vec<_> = numbers.iter().map(|n| (n.image, n.from, n.to)).collect();
        assert_eq!(numbers, met.bought);
    }
}

/// All pages of a history, one after another, each as long as was asked for but the last.
fn walk(reader: &Reader, subject: Subject, limit: usize) -> Vec<Passage> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = reader.history(subject, cursor, limit).unwrap().expect("the chain stands still");
        assert!(page.entries.len() == limit || page.next.is_none());
        all.extend(page.entries);
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

/// A block on some block near the tip, and what it takes to make its branch the chain or not; gives it.
fn grow(random: &mut Random, world: &mut World, node: &mut Node) {
    let genesis = world.genesis.clone();
    let chain = world.state(&node.tip()).chain.clone();
    let back = random.index(4).min(chain.len().saturating_sub(2));
    let mut at = chain[chain.len() - 1 - back];
    let blocks = if random.chance(5) { back } else { back + 1 };
    for _ in 0..blocks {
        let state = world.state(&at).clone();
        let body = random_body(random, &genesis, &state, 8);
        let miner = random_miner(random, &genesis, &state);
        at = world.extend(&at, miner, &body).id();
        node.place(world.block(&at));
    }
    node.advance();
}

fn begin(random: &mut Random) -> (Arc<Genesis>, World, Node) {
    let genesis = random_genesis(random, |_| {});
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let first = world.extend(&world.root(), "registrar", &opening(random, &genesis));
    node.give(&first);
    (genesis, world, node)
}

#[test]
fn all_pages_together_are_the_whole_history_at_every_size() {
    for_seeds(0..12, |random| {
        let (_, mut world, mut node) = begin(random);
        for _ in 0..10 {
            grow(random, &mut world, &mut node);
        }
        let tip = node.tip();
        for subject in subjects() {
            let expected = expected(&world, &tip, subject);
            if let Subject::Account(account) = subject {
                let entry = world.state(&tip).account(&account);
                assert_eq!(u64::try_from(expected.len()).unwrap(), entry.transactions, "complete");
            }
            for limit in [1, 2, 3, 7, expected.len().max(1), MAX_PAGE_ENTRIES] {
                assert_same(&walk(&node.reader, subject, limit), &expected);
            }
        }
        // A limit out of all bounds is the nearest within them.
        let all = node.reader.history(subjects()[0], None, usize::MAX).unwrap().unwrap();
        assert!(all.next.is_none());
        let one = node.reader.history(subjects()[0], None, 0).unwrap().unwrap();
        assert_eq!(one.entries.len(), 1);
    });
}

#[test]
fn a_cursor_goes_on_rightly_or_is_refused_whatever_came_meanwhile() {
    for_seeds(0..12, |random| {
        let (_, mut world, mut node) = begin(random);
        for _ in 0..6 {
            grow(random, &mut world, &mut node);
        }
        let (mut went_on, mut refused) = (0, 0);
        for _ in 0..10 {
            let mut cursors = Vec::new();
            for subject in subjects() {
                let limit = 1 + random.index(3);
                let page = node.reader.history(subject, None, limit).unwrap().unwrap();
                let Some(cursor) = page.next else { continue };
                let next = expected(&world, &node.tip(), subject)[page.entries.len()].clone();
                cursors.push((subject, Cursor::from_bytes(&cursor.to_bytes()), next));
            }
            grow(random, &mut world, &mut node);
            for (subject, cursor, next) in cursors {
                let now = expected(&world, &node.tip(), subject);
                let page = node.reader.history(subject, Some(cursor), MAX_PAGE_ENTRIES).unwrap();
                match now.iter().position(|met| *met == next) {
                    Some(from) => {
                        assert_same(&page.expect("the entry is on the chain").entries, &now[from..]);
                        went_on += 1;
                    }
                    None => {
                        assert!(page.is_none(), "its block left the chain");
                        refused += 1;
                    }
                }
            }
        }
        assert!(went_on > 0 && refused > 0, "{went_on} went on, {refused} were refused");
    });
}

#[test]
fn a_cursor_that_names_nothing_of_the_list_is_refused() {
    for_seeds(0..4, |random| {
        let (_, mut world, mut node) = begin(random);
        for _ in 0..8 {
            grow(random, &mut world, &mut node);
        }
        // Every place of the chain and some beyond, in every list: taken where the list has it, and only there.
        for subject in subjects() {
            let list = expected(&world, &node.tip(), subject);
            for height in 0..node.height() + 3 {
                let chain = &world.state(&node.tip()).chain;
                let id = chain.get(usize::try_from(height).unwrap()).copied().unwrap_or(world.root());
                for index in (0..9).chain([u32::MAX]) {
                    let mut bytes = [0; Cursor::LEN];
                    bytes[..8].copy_from_slice(&height.to_be_bytes());
                    bytes[8..12].copy_from_slice(&index.to_be_bytes());
                    bytes[12..].copy_from_slice(&id.0[..8]);
                    let ask = |bytes: [u8; Cursor::LEN]| {
                        node.reader.history(subject, Some(Cursor::from_bytes(&bytes)), 2)
                    };
                    let position = Position { height, index };
                    let is_there = list.iter().any(|met| met.position == position);
                    assert_eq!(ask(bytes).unwrap().is_some(), is_there, "{subject:?} {position:?}");
                    bytes[12 + random.index(8)] ^= 1;
                    assert!(ask(bytes).unwrap().is_none(), "of another block");
                }
            }
        }
        for _ in 0..200 {
            let bytes = std::array::from_fn(|_| u8::try_from(random.below(256)).unwrap());
            let ask = node.reader.history(subjects()[0], Some(Cursor::from_bytes(&bytes)), 2);
            assert!(ask.unwrap().is_none());
        }
    });
}

#[test]
fn a_page_ends_at_its_bounds_and_goes_on_after_them() {
    for_seeds(0..4, |random| {
        let (_, mut world, mut node) = begin(random);
        for _ in 0..10 {
            grow(random, &mut world, &mut node);
        }
        for (read_bytes, transaction_bytes) in [(1, usize::MAX), (usize::MAX, 1), (2_000, 500)] {
            let mut reader = node.reader.clone();
            reader.set_page_bounds(read_bytes, transaction_bytes);
            for subject in subjects() {
                let (mut all, mut cursor, mut pages) = (Vec::new(), None, 0);
                loop {
                    let Page { entries, next, .. } = reader.history(subject, cursor, 1_000).unwrap().unwrap();
                    let blocks: HashSet<Hash> = entries.iter().map(|entry| entry.block).collect();
                    assert!(read_bytes > 1 || blocks.len() <= 1, "one block, then it is enough");
                    assert!(
                        transaction_bytes > 1 || entries.len() <= 1,
                        "one transaction, then it is enough"
                    );
                    assert!(!entries.is_empty() || next.is_none());
                    (cursor, pages) = (next, pages + 1);
                    all.extend(entries);
                    if cursor.is_none() {
                        break;
                    }
                }
                assert_same(&all, &expected(&world, &node.tip(), subject));
                assert!(pages > 1 || all.len() < 30);
            }
        }
    });
}

/// Alice and bob buy the image, then review it again and again, some of it in one block.
fn reviewed() -> (World, Node, Vec<(PublicKey, u8)>) {
    let genesis = genesis_with(|_| {});
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let buyers = ["alice", "bob", "carol"];
    let buy: Vec<_> = buyers.iter().map(|buyer| order(&genesis, 1, buyer, purchase(&[(7, 1)], 0))).collect();
    let block = world.extend(&node.tip(), "miner-1", &buy);
    node.give(&block);
    let mut story = Vec::new();
    for round in [&["alice"][..], &["bob", "alice"], &["alice", "carol"], &["bob"], &["bob"]] {
        let height = node.height() + 1;
        let mut orders = Vec::new();
        for name in round {
            let rating = 1 + u8::try_from(story.len() % 5).unwrap();
            orders.push(order(&genesis, height, name, review(7, rating, name.as_bytes())));
            story.push((public(name), rating));
        }
        let block = world.extend(&node.tip(), "miner-1", &orders);
        node.give(&block);
    }
    story.reverse();
    (world, node, story)
}

#[test]
fn a_review_is_replaced_where_the_same_account_wrote_a_later_one() {
    let (_, node, story) = reviewed();
    let expected: Vec<_> = (0..story.len())
        .map(|at| (story[at], Some(story[..at].iter().any(|(account, _)| *account == story[at].0))))
        .collect();
    assert_eq!(expected.iter().filter(|(_, replaced)| *replaced == Some(false)).count(), 3);
    for limit in [1, 2, 3, 100] {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let page = node.reader.reviews(7, cursor, limit).unwrap().unwrap();
            for entry in page.entries {
                let body = entry.passage.confirmed.transaction.body;
                let Action::Review { rating, .. } = body.action else { panic!("{body:?}") };
                all.push(((body.sender, rating), entry.replaced));
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(all, expected, "in pages of {limit}");
    }
    assert!(node.reader.reviews(8, None, 10).unwrap().unwrap().entries.is_empty());
}

#[test]
fn beyond_its_bound_it_is_not_said_whether_a_review_is_replaced() {
    let (_, node, story) = reviewed();
    let mut reader = node.reader.clone();
    // One block of newer reviews is looked through, with bob's; no more.
    reader.set_page_bounds(1, usize::MAX);
    let mut cursor = None;
    let mut told = Vec::new();
    loop {
        let page = reader.reviews(7, cursor, 10).unwrap().unwrap();
        told.extend(page.entries.iter().map(|entry| entry.replaced));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    // Of bob's it is known all the same; of the newest that is not looked for.
    for (at, ((account, _), replaced)) in story.iter().zip(&told).enumerate() {
        let is_replaced = story[..at].iter().any(|(other, _)| other == account);
        assert!(replaced.is_none_or(|replaced| replaced == is_replaced), "{at}");
    }
    assert_eq!(told[0], Some(false));
    assert!(told.contains(&None) && told.iter().filter(|told| **told == Some(true)).count() >= 2);
}

fn held(world: &World, tip: &Hash, account: &PublicKey) -> Vec<(u64, Holding)> {
    let holdings = world.state(tip).holdings.iter();
    let own = holdings.filter(|((holder, _), holding)| holder == account && **holding != Holding::default());
    own.map(|((_, image), holding)| (*image, *holding)).collect()
}

#[test]
fn holdings_are_those_of_the_replay_at_every_page_size() {
    for_seeds(0..12, |random| {
        let (_, mut world, mut node) = begin(random);
        for _ in 0..10 {
            grow(random, &mut world, &mut node);
            if random.chance(3) {
                // Some of the rows written, some not.
                node.ledger.close().unwrap();
            }
            for account in *ACCOUNTS {
                let expected = held(&world, &node.tip(), &account);
                for limit in [1, 2, 100] {
                    let (mut all, mut from) = (Vec::new(), 0);
                    loop {
                        let page = node.reader.holdings(&account, from, limit).unwrap();
                        assert_eq!(page.snapshot.tip.id(), node.tip());
                        assert!(page.holdings.len() == limit || page.next.is_none());
                        all.extend(page.holdings.iter().map(|held| (held.image, held.holding)));
                        let Some(next) = page.next else { break };
                        from = next;
                    }
                    assert_eq!(all, expected);
                }
            }
        }
    });
}

#[test]
fn a_damaged_holding_is_an_error_and_never_a_number() {
    let genesis = genesis_with(|_| {});
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let buy = order(&genesis, 1, "alice", purchase(&[(7, 2), (9, 1)], 0));
    let block = world.extend(&node.tip(), "miner-1", &[buy]);
    node.give(&block);
    node.ledger.close().unwrap();
    let alice = public("alice");
    let mut rows = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        Ok(())
    };
    let prefix = [&b"H"[..], &alice.0].concat();
    node.index.scan(&prefix, &mut visit).unwrap();
    let (key, good) = rows[0].clone();
    let write = |key: &[u8], value: Option<Vec<u8>>| {
        node.index.apply(&[(key.to_vec(), value)]).unwrap();
    };
    let more_than_sold = [&[3, 0, 0, 0][..], &good[4..]].concat();
    let none = [&[0, 0, 0, 0][..], &good[4..]].concat();
    let rated_six = [&good[..4], &[6], &good[5..]].concat();
    let longer = [&good[..], &[0]].concat();
    for wrong in [more_than_sold, none, rated_six, longer, good[..12].to_vec(), Vec::new()] {
        write(&key, Some(wrong));
        let told = node.reader.holdings(&alice, 0, 10);
        assert!(matches!(told, Err(LedgerError::Store(StoreError::Index(_)))), "{told:?}");
    }
    write(&key, Some(good.clone()));
    let odd = [&key[..], &[1]].concat();
    write(&odd, Some(good));
    assert!(node.reader.holdings(&alice, 0, 10).is_err(), "a key of another length");
    write(&odd, None);
    assert_eq!(node.reader.holdings(&alice, 0, 10).unwrap().holdings.len(), 2);
}

/// A trunk, then two branches that overtake each other in turn: the blocks in the order in which they are given.
fn flip_flop(random: &mut Random, world: &mut World, turns: usize) -> Vec<Hash> {
    let genesis = world.genesis.clone();
    let mut given = vec![world.extend(&world.root(), "registrar", &opening(random, &genesis)).id()];
    let extend = |world: &mut World, at: &Hash, random: &mut Random| {
        let state = world.state(at).clone();
        let body = random_body(random, &genesis, &state, 6);
        let miner = random_miner(random, &genesis, &state);
        world.extend(at, miner, &body).id()
    };
    for _ in 0..4 {
        let next = extend(world, given.last().unwrap(), random);
        given.push(next);
    }
    let fork = *given.last().unwrap();
    let mut tips = [fork, fork];
    for turn in 0..turns {
        // One more than the other has.
        while world.state(&tips[turn % 2]).height() <= world.state(&tips[1 - turn % 2]).height() {
            tips[turn % 2] = extend(world, &tips[turn % 2], random);
            given.push(tips[turn % 2]);
        }
    }
    given
}

/// All that the replay says of each tip.
struct Told {
    histories: HashMap<(Hash, usize), Vec<Met>>,
    chains: HashMap<Hash, Vec<Hash>>,
    holdings: HashMap<(Hash, PublicKey), Vec<(u64, Holding)>>,
}

impl Told {
    fn new(world: &World, tips: &[Hash]) -> Self {
        let mut told = Self { histories: HashMap::new(), chains: HashMap::new(), holdings: HashMap::new() };
        for tip in tips.iter().copied().chain([world.root()]) {
            told.chains.insert(tip, world.state(&tip).chain.clone());
            for (at, subject) in subjects().into_iter().enumerate() {
                told.histories.insert((tip, at), expected(world, &tip, subject));
            }
            for account in *ACCOUNTS {
                told.holdings.insert((tip, account), held(world, &tip, &account));
            }
        }
        told
    }

    /// Reads one of everything, and holds each answer against the tip that it says it is of.
    fn check(&self, random: &mut Random, reader: &Reader, orders: &[CheckedTransaction]) {
        let chain = |now: &printsy_ledger::Moment<'_>| {
            let ids = now.headers_from(0, 1_000)?.iter().map(|record| record.signed.header.id()).collect();
            Ok((now.snapshot().tip.id(), ids))
        };
        let (tip, ids): (Hash, Vec<Hash>) = reader.at_one_moment(chain).unwrap();
        assert_eq!(ids, self.chains[&tip], "the headers are those of the tip");
        self.check_history(random, reader);
        let account = random.pick(&*ACCOUNTS);
        let page = reader.holdings(&account, 0, 100).unwrap();
        let got: Vec<_> = page.holdings.iter().map(|held| (held.image, held.holding)).collect();
        assert_eq!(got, self.holdings[&(page.snapshot.tip.id(), account)]);
        if let Some(order) = reader.order(&orders[random.index(orders.len())].txid()).unwrap() {
            let chain = &self.chains[&order.snapshot.tip.id()];
            if let Some((confirmed, block)) = order.confirmed {
                let height = usize::try_from(confirmed.position.height).unwrap();
                assert_eq!(
                    chain.get(height),
                    Some(&block),
                    "the order's block is on the chain it is told of"
                );
            }
        }
    }

    fn check_history(&self, random: &mut Random, reader: &Reader) {
        let at = random.index(subjects().len());
        let limit = 1 + random.index(5);
        let mut cursor: Option<Cursor> = None;
        // Where it is refused, its block left the chain between two pages.
        while let Some(page) = reader.history(subjects()[at], cursor, limit).unwrap() {
            let list = &self.histories[&(page.snapshot.tip.id(), at)];
            let newer = cursor.map_or(0, |cursor| {
                let bytes = cursor.to_bytes();
                let is_newer = |met: &&Met| {
                    let (height, index) =
                        (met.position.height.to_be_bytes(), met.position.index.to_be_bytes());
                    [&height[..], &index].concat().as_slice() > &bytes[..12]
                };
                list.iter().take_while(is_newer).count()
            });
            let end = newer + page.entries.len();
            assert_same(&page.entries, &list[newer..end]);
            assert_eq!(page.next.is_none(), end == list.len());
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
    }
}

fn orders_of(world: &World, blocks: &[Hash]) -> Vec<CheckedTransaction> {
    blocks.iter().flat_map(|id| world.block(id).transactions().to_vec()).collect()
}

#[test]
fn no_answer_is_of_two_chains_while_they_overtake_each_other() {
    for_seeds(0..3, |random| {
        let genesis = random_genesis(random, |_| {});
        let mut world = World::new(&genesis);
        let mut node = Node::new(&genesis);
        let given = flip_flop(random, &mut world, 40);
        let (told, orders) = (Told::new(&world, &given), orders_of(&world, &given));
        let is_done = AtomicBool::new(false);
        let reads = std::thread::scope(|scope| {
            let reader = node.reader.clone();
            let watch = scope.spawn(|| {
                let (reader, mut random, mut reads) = (reader, Random::new(1), 0);
                while !is_done.load(Ordering::Acquire) {
                    told.check(&mut random, &reader, &orders);
                    reads += 1;
                }
                reads
            });
            for id in &given {
                assert!(node.give(world.block(id)).refused.is_empty());
            }
            is_done.store(true, Ordering::Release);
            watch.join().unwrap()
        });
        assert!(reads > 0);
        node.assert_is(&world, given.last().unwrap());
    });
}

/// A disk that lets somebody read between the write of a header and what follows.
#[derive(Debug, Default)]
struct GatedDisk {
    disk: MemoryDisk,
    gate: Mutex<Option<(Sender<()>, Receiver<()>)>>,
    /// Headers cannot be written any more.
    is_failing: AtomicBool,
}

impl Disk for GatedDisk {
    fn write_at(&self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let is_header = file == "headers.dat";
        if is_header && self.is_failing.load(Ordering::Acquire) {
            return Err(io::Error::other("on purpose"));
        }
        self.disk.write_at(file, offset, bytes)?;
        if let Some((begun, done)) = self.gate.lock().unwrap().as_ref().filter(|_| is_header) {
            while done.try_recv().is_ok() {}
            begun.send(()).unwrap();
            // Whoever has to wait for the move does, and it must not wait for him.
            let _ = done.recv_timeout(Duration::from_millis(5));
        }
        Ok(())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.disk.list(folder)
    }
    fn len(&self, file: &str) -> io::Result<Option<u64>> {
        self.disk.len(file)
    }
    fn read(&self, file: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.disk.read(file, offset, len)
    }
    fn append(&self, file: &str, bytes: &[u8]) -> io::Result<()> {
        self.disk.append(file, bytes)
    }
    fn sync(&self, file: &str) -> io::Result<()> {
        self.disk.sync(file)
    }
    fn cut(&self, file: &str, len: u64) -> io::Result<()> {
        self.disk.cut(file, len)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, file: &str) -> io::Result<()> {
        self.disk.remove(file)
    }
}

/// Places a block and moves the tip where it now belongs.
fn give(ledger: &mut Ledger, world: &World, id: &Hash) -> Result<(), LedgerError> {
    let block = world.block(id);
    let now = block.header().header().time;
    ledger.insert_header(*block.header(), now).unwrap();
    ledger.add_body(block.clone());
    ledger.advance(true, now).map(|advance| assert!(advance.refused.is_empty()))
}

#[test]
fn who_reads_while_a_move_is_told_reads_the_chain_before_or_after_it_whole() {
    for_seeds(0..3, |random| {
        let genesis = random_genesis(random, |_| {});
        let mut world = World::new(&genesis);
        let given = flip_flop(random, &mut world, 12);
        let (told, orders) = (Told::new(&world, &given), orders_of(&world, &given));
        let disk = Arc::new(GatedDisk::default());
        let (mut ledger, _) = Ledger::open(genesis, disk.clone(), Arc::new(MemoryIndex::default())).unwrap();
        let (begun, begins) = channel();
        let (done, dones) = channel();
        *disk.gate.lock().unwrap() = Some((begun, dones));
        let reader = ledger.reader();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut random, reader, begins) = (Random::new(2), reader, begins);
                while begins.recv().is_ok() {
                    told.check(&mut random, &reader, &orders);
                    let _ = done.send(());
                }
            });
            given.iter().for_each(|id| give(&mut ledger, &world, id).unwrap());
            // Its sender goes, and the thread ends.
            *disk.gate.lock().unwrap() = None;
        });
        assert_eq!(ledger.tip().id(), *given.last().unwrap());
    });
}

#[test]
fn of_a_move_that_could_not_be_told_nothing_is_read() {
    let genesis = genesis_with(|_| {});
    let mut world = World::new(&genesis);
    let disk = Arc::new(GatedDisk::default());
    let (mut ledger, _) =
        Ledger::open(genesis.clone(), disk.clone(), Arc::new(MemoryIndex::default())).unwrap();
    let first = world.extend(&world.root(), "miner-1", &[]).id();
    let second = world.extend(&first, "miner-1", &[]).id();
    give(&mut ledger, &world, &first).unwrap();
    let reader = ledger.reader();
    assert_eq!(reader.height_on_chain(&first).unwrap(), Some(1));
    disk.is_failing.store(true, Ordering::Release);
    assert!(give(&mut ledger, &world, &second).is_err());
    let alice = public("alice");
    assert!(matches!(reader.header_at(1), Err(LedgerError::Untold)));
    assert!(matches!(reader.holdings(&alice, 0, 1), Err(LedgerError::Untold)));
    let read = reader.history(Subject::Account(alice), None, 1);
    assert!(matches!(read, Err(LedgerError::Untold)));
}
