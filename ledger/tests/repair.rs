//! Laws of repair: whatever one damage is done to the files of a ledger, either the very same chain opens again, or
//! the start is refused with nothing changed; and where peers can be asked, the chain is made whole with what they
//! give. The final height never falls, and the block that was final stays so.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod support;

use std::sync::Arc;

use printsy_consensus::{Genesis, Hash};
use printsy_ledger::store::{
    Commit, CommitBlock, Disk, Fuse, HeaderFile, Journal, JournalReader, Mark, MemoryDisk, MemoryIndex,
    Missing, repair,
};
use printsy_ledger::{Damage, GivenUp, InsertError, Ledger, LedgerError, audit};
use support::random::{opening, random_body, random_miner};
use support::{Node, Random, World, for_seeds, genesis_with, random_genesis};

/// Segments so short that a history has many.
const SHORT_SEGMENT: u64 = 6_000;

/// A ledger with a random history of extensions and reorganisations, and all blocks ever made; what its index stood at.
fn history(random: &mut Random, blocks: u64) -> (World, Mark, MemoryDisk) {
    let genesis = random_genesis(random, |params| params.finality_depth = 6);
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let first = opening(random, &genesis);
    let block = world.extend(&world.root(), "miner-1", &first);
    node.give(&block);
    while node.height() < blocks {
        let tip = world.state(&node.tip()).clone();
        let unfinal = usize::try_from(node.height() - node.ledger.final_height()).unwrap();
        let back = if random.chance(4) { random.index(unfinal.min(3) + 1) } else { 0 };
        let mut at = tip.chain[tip.chain.len() - 1 - back];
        for _ in 0..=back {
            let state = world.state(&at).clone();
            let body = random_body(random, &genesis, &state, 4);
            let block = world.extend(&at, random_miner(random, &genesis, &state), &body);
            at = block.id();
            node.place(&block);
        }
        node.advance();
    }
    node.ledger.close().unwrap();
    let disk = if random.chance(2) { in_short_segments(&node) } else { node.disk.reopened(support_fuse()) };
    let mark = mark_of(&node.ledger, &disk);
    (world, mark, disk)
}

/// What the index of a ledger stands at that was closed, where its journal lies on this disk.
fn mark_of(ledger: &Ledger, disk: &MemoryDisk) -> Mark {
    let disk = Arc::new(disk.reopened(support_fuse()));
    let journal_end = JournalReader::open(disk, ledger.genesis().hash()).unwrap().end();
    let (tip, final_height) = (ledger.tip(), ledger.final_height());
    Mark { journal_end, height: tip.height(), tip: tip.id(), final_height }
}

fn support_fuse() -> Fuse {
    Fuse::never()
}

/// The same commits in many segments, with what belongs to them made anew.
fn in_short_segments(node: &Node) -> MemoryDisk {
    let genesis = node.ledger.genesis();
    let disk = Arc::new(MemoryDisk::new());
    let from = Journal::open(node.disk.clone(), genesis.hash(), 0).unwrap().reader();
    let mut to = Journal::open_with_segments(disk.clone(), genesis.hash(), 0, SHORT_SEGMENT).unwrap();
    for stored in from.moves(0) {
        let stored = stored.unwrap();
        let connect = stored.connect.iter().map(|(id, position)| {
            let block = from.block(*position).unwrap();
            CommitBlock { id: *id, block: block.block, undo: block.undo }
        });
        let connect = connect.collect();
        let (disconnect, final_height) = (stored.disconnect.clone(), stored.final_height);
        to.append(&Commit { disconnect, connect, final_height }).unwrap();
    }
    drop(to);
    let (ledger, _) = Ledger::open(genesis.clone(), disk.clone(), Arc::new(MemoryIndex::default())).unwrap();
    ledger.close().unwrap();
    disk.reopened(support_fuse())
}

/// Opens with an empty index, repairing on the way as the daemon does; `mark` is what the index stood at before.
fn healed(
    genesis: &Arc<Genesis>,
    disk: &Arc<MemoryDisk>,
    mark: Option<Mark>,
    missing: Missing,
) -> Result<Ledger, LedgerError> {
    let seam: Arc<dyn Disk> = disk.clone();
    let mut told = Vec::new();
    for _ in 0..3 {
        match Ledger::open(genesis.clone(), seam.clone(), Arc::new(MemoryIndex::default())) {
            Ok((ledger, _)) => return Ok(ledger),
            Err(error) if error.damage() == Some(Damage::Journal) => {
                told.push(error.to_string());
                repair(&seam, genesis, mark, missing)?;
            }
            Err(error) if error.damage() == Some(Damage::Derived) => {}
            Err(error) => return Err(error),
        }
    }
    panic!("the third repair did not help: {told:?}");
}

fn files(disk: &MemoryDisk) -> Vec<String> {
    let journal = disk.list("journal").unwrap().into_iter().map(|name| format!("journal/{name}"));
    journal.chain(disk.list("").unwrap()).collect()
}

fn contents(disk: &MemoryDisk) -> Vec<(String, Vec<u8>)> {
    let read = |name: String| {
        let len = usize::try_from(disk.len(&name).unwrap().unwrap()).unwrap();
        let bytes = disk.read(&name, 0, len).unwrap();
        (name, bytes)
    };
    files(disk).into_iter().map(read).collect()
}

/// Flips a byte, cuts the file, or removes it; says what it did.
fn damage(random: &mut Random, disk: &MemoryDisk) -> String {
    let journal: Vec<String> = files(disk).into_iter().filter(|name| name.ends_with(".seg")).collect();
    let any = files(disk);
    let name =
        if random.chance(4) { &any[random.index(any.len())] } else { &journal[random.index(journal.len())] };
    let len = disk.len(name).unwrap().unwrap();
    match random.below(6) {
        0 => {
            disk.remove(name).unwrap();
            format!("{name} removed")
        }
        1 => {
            let at = random.below(len);
            disk.cut(name, at).unwrap();
            format!("{name} cut to {at} of {len}")
        }
        _ => {
            let at = random.below(len);
            let byte = disk.read(name, at, 1).unwrap()[0];
            let flipped = byte ^ (1 << random.below(8));
            disk.write_at(name, at, &[flipped]).unwrap();
            format!("{name} flipped at {at} of {len}")
        }
    }
}

fn assert_same_chain(world: &World, tip: &Hash, ledger: Ledger, disk: &Arc<MemoryDisk>, what: &str) {
    assert_eq!(
        ledger.tip().id(),
        *tip,
        "{what}: at {} {:?}, was at {}; final {}, repairing to {:?}",
        ledger.tip().height(),
        world.is_valid(&ledger.tip().id()),
        world.state(tip).height(),
        ledger.final_height(),
        ledger.repairing_to()
    );
    assert_eq!(ledger.repairing_to(), None, "{what}");
    let reader = ledger.reader();
    let node = Node { ledger, reader, disk: disk.clone(), index: Arc::default(), is_synced: true };
    node.assert_is(world, tip);
    assert!(files(disk).iter().all(|name| !name.contains("damaged")), "{what}: {:?}", files(disk));
    assert_replays(world, tip, disk, what);
}

/// Every rule again finds nothing to say about the journal.
fn assert_replays(world: &World, tip: &Hash, disk: &Arc<MemoryDisk>, what: &str) {
    let replayed = audit::replay(&world.genesis, disk.clone(), &mut |_| {});
    assert_eq!(replayed.map(|replayed| replayed.tip).map_err(|error| error.to_string()), Ok(*tip), "{what}");
}

/// Gives a ledger the blocks of a branch as peers would: headers first, then the bodies it asks for.
fn sync(world: &World, tip: &Hash, ledger: &mut Ledger) {
    for _ in 0..3 {
        for block in world.branch(tip) {
            let time = block.header().header().time;
            let placed = ledger.insert_header(*block.header(), time);
            if placed.is_ok() && ledger.needs_body(&block.id()) && !ledger.has_salvaged(&block.id()) {
                ledger.add_body(block.clone());
            }
            ledger.advance(false, time).unwrap();
            while ledger.feed_salvage().unwrap() {
                ledger.advance(false, time).unwrap();
            }
        }
    }
}

#[test]
fn one_damage_is_made_good_or_refused_with_nothing_changed_and_peers_make_it_whole() {
    let mut tally = [0; 3];
    for_seeds_counting(0..120, &mut tally, |random, tally| {
        let (world, mark, disk) = history(random, 14);
        let (tip, final_height) = (mark.tip, mark.final_height);
        let what = damage(random, &disk);
        let before = contents(&disk);
        let alone = Arc::new(disk.reopened(support_fuse()));
        match healed(&world.genesis, &alone, Some(mark), Missing::Refuse) {
            Ok(ledger) => {
                tally[0] += 1;
                assert!(ledger.final_height() >= final_height, "{what}: {}", ledger.final_height());
                assert_same_chain(&world, &tip, ledger, &alone, &what);
            }
            Err(error) => {
                tally[1] += 1;
                assert_eq!(error.damage(), Some(Damage::Journal), "{what}: {error}");
                assert!(error.to_string().contains("--bootnodes"), "{what}: {error}");
                let kept = |files: Vec<(String, Vec<u8>)>| {
                    files.into_iter().filter(|(name, _)| name.starts_with("journal")).collect::<Vec<_>>()
                };
                assert_eq!(kept(contents(&alone)), kept(before), "{what}: something was changed");
                tally[2] += 1;
                let disk = Arc::new(disk);
                let mut ledger = healed(&world.genesis, &disk, Some(mark), Missing::Fetch).unwrap();
                sync(&world, &tip, &mut ledger);
                assert_same_chain(&world, &tip, ledger, &disk, &what);
            }
        }
    });
    assert!(tally.iter().all(|count| *count > 10), "the damages are of all kinds: {tally:?}");
}

fn for_seeds_counting(
    seeds: std::ops::Range<u64>,
    tally: &mut [u32; 3],
    law: impl Fn(&mut Random, &mut [u32; 3]),
) {
    let counts = std::cell::Cell::new(*tally);
    for_seeds(seeds, |random| {
        let mut now = counts.get();
        law(random, &mut now);
        counts.set(now);
    });
    *tally = counts.get();
}

#[test]
fn the_block_that_was_final_before_a_repair_stays_final() {
    let genesis = genesis_with(|params| params.finality_depth = 3);
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let mut at = world.root();
    for _ in 0..10 {
        let block = world.extend(&at, "miner-1", &[]);
        at = block.id();
        node.give(&block);
    }
    node.ledger.close().unwrap();
    assert_eq!(node.ledger.final_height(), 7);
    let mark = Some(mark_of(&node.ledger, &node.disk));
    let disk = Arc::new(node.disk.reopened(support_fuse()));
    let segment = files(&disk).into_iter().find(|name| name.ends_with(".seg")).unwrap();
    disk.remove(&segment).unwrap();
    let seam: Arc<dyn Disk> = disk.clone();
    assert!(repair(&seam, &genesis, mark, Missing::Refuse).is_err());
    repair(&seam, &genesis, mark, Missing::Fetch).unwrap().unwrap();
    let (mut ledger, _) =
        Ledger::open(genesis.clone(), disk.clone(), Arc::new(MemoryIndex::default())).unwrap();
    assert_eq!(ledger.tip().height(), 0);
    assert_eq!(ledger.repairing_to(), Some(10));
    // Another branch of the same work, and more: its block 7 is not the one that was final.
    let mut other = world.root();
    for height in 1..=12 {
        let block = world.extend(&other, "miner-2", &[]);
        other = block.id();
        let placed = ledger.insert_header(*block.header(), u64::MAX);
        match height {
            7 => assert!(matches!(placed, Err(InsertError::LeavesFinal { height: 7, .. })), "{placed:?}"),
            8.. => assert!(placed.is_err()),
            _ => assert!(placed.is_ok()),
        }
    }
    sync(&world, &at, &mut ledger);
    assert_eq!((ledger.tip().id(), ledger.repairing_to(), ledger.final_height()), (at, None, 7));
    assert_replays(&world, &at, &disk, "given what was lost");
}

#[test]
fn a_repair_that_is_cut_off_at_any_step_is_begun_again() {
    for_seeds(0..6, |random| {
        let (world, Mark { tip, .. }, disk) = history(random, 10);
        let segments: Vec<String> = files(&disk).into_iter().filter(|name| name.ends_with(".seg")).collect();
        // What undoes a block ends its frame: the block itself can still be read.
        let name = &segments[random.index(segments.len())];
        let position = first_block_end(&world, &disk, name);
        let byte = disk.read(name, position, 1).unwrap()[0];
        disk.write_at(name, position, &[!byte]).unwrap();
        for steps in 0.. {
            let fuse = Fuse::after(steps);
            let seam: Arc<dyn Disk> = Arc::new(disk.reopened(fuse.clone()));
            let copy: Arc<MemoryDisk> = Arc::new(disk.reopened(fuse.clone()));
            drop(seam);
            let seam: Arc<dyn Disk> = copy.clone();
            let done = repair(&seam, &world.genesis, None, Missing::Refuse).is_ok();
            for after in [copy.crashed(), copy.reopened(support_fuse())] {
                let after = Arc::new(after);
                let ledger = healed(&world.genesis, &after, None, Missing::Refuse).unwrap();
                assert_same_chain(&world, &tip, ledger, &after, &format!("after {steps} steps"));
            }
            if done && !fuse.is_blown() {
                break;
            }
        }
    });
}

/// The last byte of the first block's frame in a segment.
fn first_block_end(world: &World, disk: &MemoryDisk, name: &str) -> u64 {
    let base: u64 = name["journal/".len()..name.len() - ".seg".len()].parse().unwrap();
    let copy = Arc::new(disk.reopened(support_fuse()));
    let reader = Journal::open(copy, world.genesis.hash(), 0).unwrap().reader();
    let moves: Vec<_> = reader.moves(0).map(Result::unwrap).collect();
    let (_, position) = moves.iter().flat_map(|stored| &stored.connect).find(|(_, at)| *at >= base).unwrap();
    let stored = reader.block(*position).unwrap();
    let len = u64::try_from(9 + 4 + stored.block.len() + stored.undo.len()).unwrap();
    position + len - 1 - base
}

/// An operator took the chain back to block 4 of 10; then the node followed another branch, or not yet.
#[test]
fn what_an_operator_gave_up_is_not_final_again_after_a_repair() {
    for blocks in [0, 12] {
        let genesis = genesis_with(|params| params.finality_depth = 3);
        let mut world = World::new(&genesis);
        let mut node = Node::new(&genesis);
        let mut positions = Vec::new();
        for _ in 0..10 {
            let block = world.extend(&node.tip(), "miner-1", &[]);
            node.give(&block);
            positions.push(node.reader.header_at(node.height()).unwrap().unwrap().position);
        }
        let fork = world.state(&node.tip()).chain[4];
        let Node { ledger, reader, disk, index, .. } = node;
        drop(reader);
        let planned = ledger.plan_retreat(&fork).unwrap().unwrap();
        ledger.retreat(planned).unwrap();
        let (mut node, _) = Node::open(&genesis, disk, index);
        let mut other = fork;
        for given in 0..12 {
            let block = world.extend(&other, "miner-2", &[]);
            other = block.id();
            if given < blocks {
                node.give(&block);
            }
        }
        node.ledger.close().unwrap();
        let final_height = node.ledger.final_height();
        assert_eq!(final_height, if blocks == 0 { 4 } else { 13 });
        let mark = Some(mark_of(&node.ledger, &node.disk));
        // Before the fork, so that all that came after has to be made anew.
        for position in &positions[..4] {
            let disk = Arc::new(node.disk.reopened(support_fuse()));
            let segment = files(&disk).into_iter().find(|name| name.ends_with(".seg")).unwrap();
            let byte = disk.read(&segment, position + 50, 1).unwrap()[0];
            disk.write_at(&segment, position + 50, &[byte ^ 1]).unwrap();
            let mut ledger = healed(&genesis, &disk, mark, Missing::Fetch).unwrap();
            assert!(ledger.final_height() <= final_height);
            sync(&world, &other, &mut ledger);
            assert_eq!((ledger.tip().id(), ledger.repairing_to()), (other, None));
            assert_eq!(ledger.final_height(), final_height);
            assert_replays(&world, &other, &disk, "given what was lost");
        }
    }
}

/// What an operator made final lies less deep than what becomes so by itself: it is given back with the last block, not
/// later, for nobody may be there to mine more.
#[test]
fn what_an_operator_made_final_is_so_again_at_the_end_of_a_repair() {
    let genesis = genesis_with(|params| params.finality_depth = 3);
    let (mut world, mut node) = (World::new(&genesis), Node::new(&genesis));
    for _ in 0..10 {
        node.give(&world.extend(&node.tip(), "miner-1", &[]));
    }
    let fork = world.state(&node.tip()).chain[4];
    let Node { ledger, reader, disk, index, .. } = node;
    drop(reader);
    let planned = ledger.plan_retreat(&fork).unwrap().unwrap();
    ledger.retreat(planned).unwrap();
    let (mut node, _) = Node::open(&genesis, disk, index);
    for blocks in 0..5 {
        node.ledger.close().unwrap();
        let (tip, final_height) = (node.tip(), node.ledger.final_height());
        let mark = Some(mark_of(&node.ledger, &node.disk));
        let disk = Arc::new(node.disk.reopened(support_fuse()));
        disk.remove(&segments(&disk)[0]).unwrap();
        let mut ledger = healed(&genesis, &disk, mark, Missing::Fetch).unwrap();
        sync(&world, &tip, &mut ledger);
        assert_eq!(ledger.final_height(), final_height, "after {blocks} blocks more");
        assert_same_chain(&world, &tip, ledger, &disk, "given what was lost");
        let again = healed(&genesis, &disk, None, Missing::Refuse).unwrap();
        assert_eq!((again.tip().id(), again.final_height()), (tip, final_height), "{blocks}");
        node.give(&world.extend(&node.tip(), "miner-2", &[]));
    }
}

/// The index's mark alone tells how far the chain went: nothing is whole before that, and nothing final too early.
#[test]
fn a_chain_is_not_whole_before_it_is_where_the_index_was() {
    let plain = Plain::of(10);
    let disk = plain.copy();
    disk.cut(&segments(&disk)[0], plain.positions[6] + 60).unwrap();
    disk.remove("headers.dat").unwrap();
    let mut ledger = healed(&plain.genesis, &disk, Some(plain.mark), Missing::Fetch).unwrap();
    assert_eq!((ledger.tip().height(), ledger.repairing_to()), (5, Some(10)));
    for block in plain.world.branch(&plain.mark.tip).iter().skip(5).take(4) {
        ledger.insert_header(*block.header(), u64::MAX).unwrap();
        ledger.add_body(block.clone());
        ledger.advance(false, 0).unwrap();
        ledger.feed_salvage().unwrap();
    }
    assert_eq!((ledger.tip().height(), ledger.repairing_to()), (9, Some(10)));
    // Nor after a start without what told of it.
    drop(ledger);
    let mut ledger = healed(&plain.genesis, &disk, None, Missing::Refuse).unwrap();
    assert_eq!(ledger.repairing_to(), Some(10));
    sync(&plain.world, &plain.mark.tip, &mut ledger);
    assert_eq!(ledger.final_height(), 7);
    assert_same_chain(&plain.world, &plain.mark.tip, ledger, &disk, "given what was lost");
}

/// A chain of empty blocks, those above the third below the tip not final, and where each lies in the one segment.
struct Plain {
    genesis: Arc<Genesis>,
    world: World,
    chain: Vec<Hash>,
    positions: Vec<u64>,
    disk: MemoryDisk,
    mark: Mark,
}

impl Plain {
    fn of(blocks: u64) -> Self {
        let genesis = genesis_with(|params| params.finality_depth = 3);
        let (mut world, mut node) = (World::new(&genesis), Node::new(&genesis));
        let mut positions = vec![0];
        for _ in 0..blocks {
            node.give(&world.extend(&node.tip(), "miner-1", &[]));
            positions.push(node.reader.header_at(node.height()).unwrap().unwrap().position);
        }
        node.ledger.close().unwrap();
        let (chain, disk) = (world.state(&node.tip()).chain.clone(), node.disk.reopened(support_fuse()));
        let mark = mark_of(&node.ledger, &disk);
        Self { genesis, world, chain, positions, disk, mark }
    }

    fn copy(&self) -> Arc<MemoryDisk> {
        Arc::new(self.disk.reopened(support_fuse()))
    }

    /// A disk on which a block's header is not what it was: nobody but a peer can give it.
    fn without_block(&self, height: usize) -> Arc<MemoryDisk> {
        let disk = self.copy();
        flip(&disk, &segments(&disk)[0], self.positions[height] + 50);
        disk
    }

    /// One whose repair waits for that block.
    fn midway(&self, height: usize) -> Arc<MemoryDisk> {
        let disk = self.without_block(height);
        let ledger = healed(&self.genesis, &disk, Some(self.mark), Missing::Fetch).unwrap();
        assert_eq!(ledger.tip().id(), self.chain[height - 1]);
        assert_eq!(ledger.repairing_to(), Some(self.mark.height));
        disk
    }

    /// Gives a ledger all headers, and of the bodies one alone.
    fn give_only(&self, height: usize, ledger: &mut Ledger) {
        for block in self.world.branch(&self.mark.tip) {
            ledger.insert_header(*block.header(), u64::MAX).unwrap();
        }
        ledger.add_body(self.world.block(&self.chain[height]).clone());
        ledger.advance(false, 0).unwrap();
        while ledger.feed_salvage().unwrap() {
            ledger.advance(false, 0).unwrap();
        }
    }
}

fn segments(disk: &MemoryDisk) -> Vec<String> {
    files(disk).into_iter().filter(|name| name.ends_with(".seg")).collect()
}

fn set_aside(disk: &MemoryDisk) -> Vec<String> {
    files(disk).into_iter().filter(|name| name.contains("damaged-")).collect()
}

fn flip(disk: &MemoryDisk, name: &str, at: u64) {
    let byte = disk.read(name, at, 1).unwrap()[0];
    disk.write_at(name, at, &[byte ^ 1]).unwrap();
}

/// The journal ends with a move that has no blocks: what became final when no block came.
#[test]
fn a_lost_move_without_blocks_is_made_good_where_the_index_tells_of_it() {
    let genesis = genesis_with(|params| params.finality_depth = 3);
    let (mut world, mut node) = (World::new(&genesis), Node::new(&genesis));
    node.is_synced = false;
    for _ in 0..10 {
        node.give(&world.extend(&node.tip(), "miner-1", &[]));
    }
    assert_eq!(node.ledger.final_height(), 0);
    node.ledger.settle(true).unwrap();
    node.ledger.close().unwrap();
    let mark = mark_of(&node.ledger, &node.disk);
    assert_eq!(mark.final_height, 7);
    let damaged = || {
        let disk = Arc::new(node.disk.reopened(support_fuse()));
        flip(&disk, &segments(&disk)[0], mark.journal_end - 1);
        disk
    };
    let disk = damaged();
    let ledger = healed(&genesis, &disk, Some(mark), Missing::Refuse).unwrap();
    assert_eq!(ledger.final_height(), 7);
    assert_same_chain(&world, &mark.tip, ledger, &disk, "the mark tells");
    // Without the index nothing tells what was there: it may have been blocks.
    let disk = damaged();
    let before = contents(&disk);
    assert!(healed(&genesis, &disk, None, Missing::Refuse).is_err());
    assert_eq!(contents(&disk), before);
    let ledger = healed(&genesis, &disk, None, Missing::Fetch).unwrap();
    assert_same_chain(&world, &mark.tip, ledger, &disk, "nobody tells, and peers can be asked");
}

/// More blocks than are taken out of what was set aside at once, and the first of them have less work than the tip.
#[test]
fn a_lost_reorganisation_of_any_length_is_made_anew_from_what_is_left() {
    let genesis = genesis_with(|params| params.finality_depth = 1_800);
    let (mut world, mut node) = (World::new(&genesis), Node::new(&genesis));
    for _ in 0..300 {
        node.give(&world.extend(&node.tip(), "miner-1", &[]));
    }
    let mut at = world.root();
    for _ in 0..=300 {
        let block = world.extend(&at, "miner-2", &[]);
        at = block.id();
        node.place(&block);
    }
    node.advance();
    assert_eq!(node.tip(), at);
    node.ledger.close().unwrap();
    let mark = mark_of(&node.ledger, &node.disk);
    let disk = Arc::new(node.disk.reopened(support_fuse()));
    // One bit of the move that ends the reorganisation: every block can still be read.
    flip(&disk, &segments(&disk)[0], mark.journal_end - 20);
    let ledger = healed(&genesis, &disk, Some(mark), Missing::Refuse).unwrap();
    assert_same_chain(&world, &at, ledger, &disk, "a lost reorganisation");
}

/// A chain that a repair has cut short is never taken for the whole one, whatever becomes of what remembers it.
#[test]
fn a_note_of_a_repair_that_is_lost_is_made_again() {
    const NOTE: &str = "journal/lost";
    let plain = Plain::of(10);
    let midway = plain.midway(5);
    let len = midway.len(NOTE).unwrap().unwrap();
    for at in 0..=2 * len {
        let disk = Arc::new(midway.reopened(support_fuse()));
        match at.checked_sub(len) {
            None => flip(&disk, NOTE, at),
            Some(0) => disk.remove(NOTE).unwrap(),
            Some(cut) => disk.cut(NOTE, cut - 1).unwrap(),
        }
        // No index tells of it any more.
        for missing in [Missing::Refuse, Missing::Fetch] {
            let disk = Arc::new(disk.reopened(support_fuse()));
            let mut ledger = healed(&plain.genesis, &disk, None, missing).unwrap();
            assert_eq!(ledger.repairing_to(), Some(10), "{at}");
            plain.give_only(5, &mut ledger);
            assert_eq!(ledger.final_height(), 7, "{at}");
            assert_same_chain(&plain.world, &plain.mark.tip, ledger, &disk, "given what was lost");
        }
    }
}

#[test]
fn what_one_repair_has_set_aside_serves_the_next() {
    let plain = Plain::of(10);
    let disk = plain.midway(7);
    assert_eq!(set_aside(&disk).len(), 1);
    // The sound beginning is damaged as well: it is set aside under a name of its own.
    flip(&disk, &segments(&disk)[0], plain.positions[3] + 50);
    let mut ledger = healed(&plain.genesis, &disk, None, Missing::Fetch).unwrap();
    assert_eq!((ledger.tip().height(), ledger.repairing_to()), (6, Some(10)), "the first copy has block 3");
    let names = set_aside(&disk);
    assert_eq!(names.len(), 2, "{names:?}");
    plain.give_only(7, &mut ledger);
    assert_same_chain(&plain.world, &plain.mark.tip, ledger, &disk, "given what was lost");
}

/// After a power cut, headers.dat may hold a branch that the chain had left: none of its blocks was final.
#[test]
fn headers_dat_alone_does_not_tell_which_block_was_final() {
    let mut plain = Plain::of(10);
    let mut at = plain.chain[4];
    let headers = HeaderFile::open(plain.copy()).unwrap();
    let stale = plain.copy();
    let file = HeaderFile::open(stale.clone()).unwrap();
    for height in 5..=10 {
        let block = plain.world.extend(&at, "miner-2", &[]);
        at = block.id();
        let mut record = headers.get(height).unwrap().unwrap();
        record.signed = *block.header().signed();
        file.put(height, &record).unwrap();
    }
    // All that the journal had from block 4 on is gone.
    let segment = segments(&stale).remove(0);
    stale.cut(&segment, plain.positions[4] + 60).unwrap();
    assert!(
        repair(&(stale.clone() as Arc<dyn Disk>), &plain.genesis, Some(plain.mark), Missing::Refuse).is_err()
    );
    let mut ledger = healed(&plain.genesis, &stale, Some(plain.mark), Missing::Fetch).unwrap();
    assert_eq!(ledger.tip().id(), plain.chain[3]);
    sync(&plain.world, &plain.mark.tip, &mut ledger);
    assert_eq!(ledger.final_height(), 7);
    assert_same_chain(&plain.world, &plain.mark.tip, ledger, &stale, "the chain that the mark told of");
}

#[test]
fn what_a_repair_waits_for_is_given_up_by_a_retreat_and_never_wanted_again() {
    let mut plain = Plain::of(10);
    let mut other = plain.chain[2];
    let mut branch = Vec::new();
    for _ in 0..12 {
        let block = plain.world.extend(&other, "miner-2", &[]);
        other = block.id();
        branch.push(block);
    }
    // Blocks above it that were on the chain come back by a damage before them: they are no part of the lost end.
    for to in [2, 4] {
        let disk = plain.midway(5);
        let ledger = healed(&plain.genesis, &disk, None, Missing::Refuse).unwrap();
        let planned = ledger.plan_retreat(&plain.chain[to]).unwrap().unwrap();
        assert_eq!(planned.given_up, Some(GivenUp { height: 10, final_height: 7 }));
        let height = u64::try_from(to).unwrap();
        assert_eq!(planned.blocks(), 4 - height);
        ledger.retreat(planned).unwrap();
        let mut ledger = healed(&plain.genesis, &disk, None, Missing::Refuse).unwrap();
        // Nothing becomes final by it but where blocks leave the chain.
        let final_height = if to == 4 { 1 } else { height };
        assert_eq!((ledger.tip().id(), ledger.final_height()), (plain.chain[to], final_height));
        assert_eq!(ledger.repairing_to(), None);
        assert!(files(&disk).iter().all(|name| !name.contains("damaged") && !name.contains("lost")));
        if to == 2 {
            // The chain that was decided for, which has another block where the lost one was final.
            for block in &branch {
                ledger.insert_header(*block.header(), u64::MAX).unwrap();
                ledger.add_body(block.clone());
            }
            ledger.advance(true, u64::MAX).unwrap();
            assert_eq!((ledger.tip().id(), ledger.final_height()), (other, 11));
        }
        // A damage after that does not bring the lost end back.
        let (tip, height) = (ledger.tip().id(), ledger.tip().height());
        ledger.close().unwrap();
        drop(ledger);
        flip(&disk, &segments(&disk)[0], plain.positions[1] + 50);
        let mut ledger = healed(&plain.genesis, &disk, None, Missing::Fetch).unwrap();
        assert_eq!(ledger.repairing_to(), Some(height));
        sync(&plain.world, &tip, &mut ledger);
        assert_same_chain(&plain.world, &tip, ledger, &disk, "the chain after the retreat");
    }
}

#[test]
fn a_crash_while_a_repair_is_given_up_leaves_it_waiting_or_given_up() {
    let plain = Plain::of(10);
    for to in [2, 4] {
        let midway = plain.midway(5);
        for steps in 0.. {
            let fuse = Fuse::after(steps);
            let disk = Arc::new(midway.reopened(fuse.clone()));
            let ledger = Ledger::open(plain.genesis.clone(), disk.clone(), Arc::new(MemoryIndex::default()));
            let done = ledger.and_then(|(ledger, _)| {
                let planned = ledger.plan_retreat(&plain.chain[to]).unwrap().unwrap();
                ledger.retreat(planned)
            });
            for after in [disk.crashed(), disk.reopened(support_fuse())] {
                let after = Arc::new(after);
                let ledger = healed(&plain.genesis, &after, None, Missing::Refuse).unwrap();
                let is_given_up = ledger.repairing_to().is_none();
                assert!(is_given_up || done.is_err(), "{steps}: what was told to be durable is");
                if is_given_up {
                    assert_eq!(ledger.tip().id(), plain.chain[to], "{steps}");
                    assert_eq!(ledger.final_height(), if to == 4 { 1 } else { 2 }, "{steps}");
                }
                // Asked for once more where it is needed.
                if let Some(planned) = ledger.plan_retreat(&plain.chain[to]).unwrap() {
                    ledger.retreat(planned).unwrap();
                    let ledger = healed(&plain.genesis, &after, None, Missing::Refuse).unwrap();
                    assert_eq!(
                        (ledger.repairing_to(), ledger.tip().id()),
                        (None, plain.chain[to]),
                        "{steps}"
                    );
                }
            }
            if done.is_ok() && !fuse.is_blown() {
                break;
            }
        }
    }
}
