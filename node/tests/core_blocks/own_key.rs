//! Blocks by this node's own key: durable before anybody hears of them, and told of where it did not make them.

use printsy_ledger::Ledger;
use printsy_ledger::store::{MemoryDisk, MemoryIndex};

use super::core_support::public;
use super::*;

const KEY: &str = "miner-1";

/// A block of `miner` on `parent`, of the present.
fn now(world: &mut World, rig: &Rig, parent: &Hash, miner: &str, nonce: u64) -> Arc<CheckedBlock> {
    world.make_wrong(parent, miner, &[], Wrong { time: Some(rig.now), nonce, ..Wrong::default() })
}

fn give(rig: &mut Rig, source: BlockSource, block: &Arc<CheckedBlock>) {
    rig.give(Event::Block { source, block: block.clone() });
}

fn peer() -> BlockSource {
    BlockSource::Peer(PeerKey(1))
}

fn made() -> BlockSource {
    BlockSource::Made(Ticket(1))
}

#[test]
fn an_own_block_is_on_the_disk_before_anybody_hears_of_it() {
    let genesis = genesis_with(|_| {});
    let mut world = World::new(&genesis);
    let disk = Arc::new(MemoryDisk::default());
    let (ledger, _) = Ledger::open(genesis.clone(), disk.clone(), Arc::new(MemoryIndex::default())).unwrap();
    let mut rig = Rig::on(ledger);
    rig.join(1, at_genesis(&world));
    let mut tip = world.root();
    for _ in 0..5 {
        rig.wait(1_000);
        let block = now(&mut world, &rig, &tip, KEY, 0);
        tip = block.id();
        let effects = rig.give(Event::Block { source: made(), block });
        let told = effects
            .iter()
            .any(|effect| matches!(effect, Effect::Announce(header) if header.header.id() == tip));
        let answered = effects
            .iter()
            .any(|effect| matches!(effect, Effect::BlockAnswer(_, answer) if answer.verdict == BlockVerdict::Accepted));
        assert!(told && answered, "{effects:?}");
        // What is carried out now would be heard; the power goes before a single effect is.
        let after = Ledger::open(genesis.clone(), Arc::new(disk.crashed()), Arc::new(MemoryIndex::default()));
        assert_eq!(after.unwrap().0.tip().id(), tip);
    }
}

#[test]
fn a_block_by_the_own_key_that_was_not_made_here_is_told_of_once() {
    let (mut world, mut rig) = network();
    rig.core.watch_key(public(KEY), rig.now);
    let root = world.root();
    rig.wait(world.params().max_future_ms + 1);
    // Made here, whoever brings it again; and what others make.
    let own = now(&mut world, &rig, &root, KEY, 0);
    give(&mut rig, made(), &own);
    give(&mut rig, peer(), &own);
    let others = now(&mut world, &rig, &own.id(), "miner-2", 0);
    give(&mut rig, peer(), &others);
    assert_eq!(rig.metrics.foreign_blocks(), 0);
    // By the same key, elsewhere: on the chain, beside it, or handed in by a caller; each is told of once.
    rig.wait(1_000);
    let ahead = now(&mut world, &rig, &others.id(), KEY, 0);
    let beside = now(&mut world, &rig, &others.id(), KEY, 1 << 40);
    for _ in 0..2 {
        give(&mut rig, peer(), &ahead);
        give(&mut rig, BlockSource::Local(Ticket(2)), &beside);
    }
    assert_eq!(rig.metrics.foreign_blocks(), 2);
}

#[test]
fn what_was_made_before_the_start_raises_no_alarm_when_it_comes_back() {
    let (mut world, mut rig) = network();
    // As far ahead of its maker's clock as a block may be, made in the moment before the datadir was lost.
    let root = world.root();
    let before = chain(&mut world, &root, KEY, 3);
    let ahead = Wrong { time: Some(rig.now + world.params().max_future_ms), ..Wrong::default() };
    let last = world.make_wrong(&before[2].id(), KEY, &[], ahead);
    rig.core.watch_key(public(KEY), rig.now);
    for block in before.iter().chain([&last]) {
        give(&mut rig, peer(), block);
    }
    assert_eq!(rig.tip(), last.id());
    assert_eq!(rig.metrics.foreign_blocks(), 0);
}

#[test]
fn a_node_without_a_mining_key_watches_nobody() {
    let (mut world, mut rig) = network();
    rig.wait(world.params().max_future_ms + 1);
    let root = world.root();
    let block = now(&mut world, &rig, &root, KEY, 0);
    give(&mut rig, peer(), &block);
    assert_eq!((rig.tip(), rig.metrics.foreign_blocks()), (block.id(), 0));
}
