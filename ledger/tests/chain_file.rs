//! Laws of the chain file: what is exported is imported to the last bit, and nothing else ever is. Whatever is wrong
//! with a file, the chain that takes it ends at the last valid block before that.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod support;

use std::sync::Arc;

use printsy_consensus::{
    CheckedBlock, Genesis, Hash, Header, SignedHeader, Target, block_bytes, block_message, transactions_root,
};
use printsy_ledger::store::{Fuse, MemoryDisk, MemoryIndex};
use printsy_ledger::{
    ChainFileError, ChainReader, ChainWriter, Imported, Ledger, MAX_TREE_HEADERS, MoveChainError,
};
use support::random::{opening, random_body, random_miner};
use support::world::Wrong;
use support::{Node, Random, World, for_seeds, genesis_with, key, order, public, purchase, random_genesis};

fn export(node: &Node, up_to: Option<u64>) -> Vec<u8> {
    let mut file = Vec::new();
    let text = node.reader.genesis().to_json();
    let end = node.reader.export(&text, up_to, &mut file, &mut |_| {}).unwrap();
    assert_eq!(end.height, up_to.unwrap_or(node.height()));
    assert_eq!(end.bytes, u64::try_from(file.len()).unwrap());
    file
}

/// A file of these blocks, with every checksum right, whatever the blocks are.
fn file_of<'a>(genesis: &Genesis, blocks: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = ChainWriter::begin(&mut file, &genesis.to_json()).unwrap();
    blocks.into_iter().for_each(|block| writer.block(block).unwrap());
    writer.finish().unwrap();
    file
}

fn bytes(blocks: &[Arc<CheckedBlock>]) -> impl Iterator<Item = &[u8]> {
    blocks.iter().map(|block| block.bytes())
}

fn import_at(ledger: &mut Ledger, file: &[u8], now: u64) -> Result<Imported, MoveChainError> {
    let mut file = ChainReader::open(file).map_err(MoveChainError::from)?;
    ledger.import(&mut file, &|| now, &mut |_| {})
}

fn import(node: &mut Node, file: &[u8]) -> Result<Imported, MoveChainError> {
    import_at(&mut node.ledger, file, u64::MAX)
}

/// Blocks on `from`, each with a purchase.
fn extend(world: &mut World, from: &Hash, miner: &str, count: u64) -> Vec<Arc<CheckedBlock>> {
    let genesis = world.genesis.clone();
    let mut blocks: Vec<Arc<CheckedBlock>> = Vec::new();
    for _ in 0..count {
        let parent = blocks.last().map_or(*from, |block| block.id());
        let height = world.state(&parent).height() + 1;
        let buy = order(&genesis, height, "alice", purchase(&[(height, 1)], 0));
        blocks.push(world.extend(&parent, miner, &[buy]));
    }
    blocks
}

/// A network, a node on a chain of `count` blocks, and the chain.
fn begun(count: u64, depth: u32) -> (World, Node, Vec<Arc<CheckedBlock>>) {
    let genesis = genesis_with(|params| params.finality_depth = depth);
    let mut world = World::new(&genesis);
    let chain = extend(&mut world, &genesis.hash(), "miner-1", count);
    let mut node = Node::new(&genesis);
    chain.iter().for_each(|block| assert!(node.give(block).refused.is_empty()));
    (world, node, chain)
}

#[test]
fn what_is_exported_is_imported_to_the_last_bit() {
    for_seeds(0..20, |random| {
        let spacing = random.pick(&[0, 1, 2]);
        let genesis = random_genesis(random, |params| params.miner_spacing = spacing);
        let mut world = World::new(&genesis);
        let mut node = Node::new(&genesis);
        let first = world.extend(&world.root(), "registrar", &opening(random, &genesis));
        node.give(&first);
        for _ in 0..30 {
            // Now and then a better branch, so that headers.dat and the journal hold more than the chain.
            let back = if random.chance(4) { random.index(3) } else { 0 };
            let chain = &world.state(&node.tip()).chain;
            let mut at = chain[(chain.len() - 1).saturating_sub(back).max(1)];
            for _ in 0..=back {
                let state = world.state(&at).clone();
                let body = random_body(random, &genesis, &state, 5);
                let block = world.extend(&at, random_miner(random, &genesis, &state), &body);
                at = block.id();
                node.place(&block);
            }
            node.advance();
        }
        let file = export(&node, None);
        let mut other = Node::new(&genesis);
        let imported = import(&mut other, &file).unwrap();
        other.assert_is(&world, &node.tip());
        let transactions: usize =
            world.branch(&node.tip()).iter().map(|block| block.transactions().len()).sum();
        let transactions = u64::try_from(transactions).unwrap();
        assert_eq!(imported, Imported { blocks: node.height(), transactions, ..Imported::default() });
        assert_eq!(export(&other, None), file);
        // Up to any height, and on from there; and what is there already is not taken twice.
        let height = random.below(node.height() + 1);
        let part = export(&node, Some(height));
        let mut other = Node::new(&genesis);
        import(&mut other, &part).unwrap();
        let tip = world.state(&node.tip()).chain[usize::try_from(height).unwrap()];
        other.assert_is(&world, &tip);
        let imported = import(&mut other, &file).unwrap();
        assert_eq!((imported.known, imported.blocks), (height, node.height() - height));
        let imported = import(&mut other, &part).unwrap();
        assert_eq!(imported, Imported { known: height, ..Imported::default() });
        other.assert_is(&world, &node.tip());
        assert_eq!(other.ledger.final_height(), 0, "an import makes nothing final");
        other.ledger.close().unwrap();
        let (reopened, _) = Node::open(&genesis, other.disk.clone(), other.index.clone());
        reopened.assert_is(&world, &node.tip());
    });
}

#[test]
fn a_file_begins_with_its_genesis_and_ends_where_it_was_asked_to() {
    let (_, node, _) = begun(3, 1_000);
    let text = node.reader.genesis().to_json() + "\n";
    let mut file = Vec::new();
    node.reader.export(&text, Some(0), &mut file, &mut |_| {}).unwrap();
    let mut reader = ChainReader::open(file.as_slice()).unwrap();
    assert_eq!(
        (reader.genesis_text(), reader.genesis().hash()),
        (text.as_str(), node.reader.genesis().hash())
    );
    assert_eq!(reader.next_block().unwrap(), None);
    assert_eq!(reader.end().unwrap().height, 0);
    let too_high = node.reader.export(&text, Some(4), &mut Vec::new(), &mut |_| {});
    assert!(matches!(too_high, Err(MoveChainError::TooHigh { asked: 4, tip: 3 })));
}

/// Holds a node against the chain: it ends at some block of it, whole.
fn assert_is_a_prefix(world: &World, node: &Node, chain: &[Arc<CheckedBlock>]) {
    let ids: Vec<Hash> = std::iter::once(world.root()).chain(chain.iter().map(|block| block.id())).collect();
    node.assert_is(world, &ids[usize::try_from(node.height()).unwrap()]);
}

#[test]
fn a_file_cut_anywhere_gives_the_blocks_before_the_cut_and_is_refused() {
    let (world, node, chain) = begun(4, 1_000);
    let file = export(&node, None);
    let mut heights = Vec::new();
    for length in 0..file.len() {
        let mut other = Node::new(&world.genesis);
        match import(&mut other, &file[..length]) {
            Err(MoveChainError::File(ChainFileError::Damaged { height, offset, .. })) => {
                assert_eq!(height, other.height(), "cut at {length}");
                assert!(offset <= u64::try_from(length).unwrap());
            }
            Err(MoveChainError::File(ChainFileError::NotOne)) => assert!(length < 8),
            other => panic!("cut at {length}: {other:?}"),
        }
        assert_is_a_prefix(&world, &other, &chain);
        heights.push(other.height());
        if length % 97 == 0 {
            import(&mut other, &file).unwrap();
            other.assert_is(&world, &node.tip());
        }
    }
    heights.dedup();
    assert_eq!(heights, [0, 1, 2, 3, 4], "all that is whole is taken");
    let longer = [&file[..], &[0]].concat();
    let error = import(&mut Node::new(&world.genesis), &longer).unwrap_err();
    assert!(error.to_string().contains("after its trailer"), "{error}");
}

#[test]
fn a_file_with_a_flipped_bit_is_refused_and_gives_nothing_wrong() {
    let (world, node, chain) = begun(3, 1_000);
    let file = export(&node, None);
    let mut random = Random::new(7);
    for at in 0..file.len() {
        let mut flipped = file.clone();
        flipped[at] ^= 1 << random.below(8);
        let mut other = Node::new(&world.genesis);
        let error = import(&mut other, &flipped).unwrap_err();
        assert!(matches!(error, MoveChainError::File(_)), "at {at}: {error}");
        assert_is_a_prefix(&world, &other, &chain);
    }
    let mut newer = file.clone();
    newer[8] = 2;
    let error = import(&mut Node::new(&world.genesis), &newer).unwrap_err();
    assert!(matches!(error, MoveChainError::File(ChainFileError::NewerFormat { got: 2, expected: 1 })));
}

/// Files whose checksums are right and whose blocks are not.
#[test]
fn an_invalid_block_ends_the_import_at_its_height() {
    let (mut world, node, chain) = begun(70, 1_000);
    let genesis = world.genesis.clone();
    let tip = node.tip();
    let wrong_root = world.make_wrong(&tip, "miner-2", &[], Wrong { state_root: true, ..Wrong::default() });
    let too_early = Wrong { time: Some(node.now()), ..Wrong::default() };
    let greedy = order(&genesis, 71, "bob", purchase(&[(70, 5)], 0));
    let bad = [
        (wrong_root.bytes().to_vec(), "B6"),
        (world.make_wrong(&tip, "miner-2", &[], too_early).bytes().to_vec(), "H6"),
        (world.make(&tip, "nobody", &[]).bytes().to_vec(), "B3"),
        (world.make(&tip, "miner-2", &[greedy]).bytes().to_vec(), "S4"),
        // The miner's signature; the body; the bytes behind it.
        (with(wrong_root.bytes(), |bytes| bytes[165] ^= 1), "H8"),
        (with(wrong_root.bytes(), |bytes| bytes[224] = 1), "C1"),
        (with(chain[0].bytes(), |bytes| *bytes.last_mut().unwrap() ^= 1), "B2"),
        (with(wrong_root.bytes(), |bytes| bytes.push(0)), "C4"),
    ];
    for (block, rule) in bad {
        let at_first = rule == "B2";
        let blocks: Vec<&[u8]> =
            if at_first { vec![&block] } else { bytes(&chain).chain([block.as_slice()]).collect() };
        let file = file_of(&genesis, blocks);
        let mut other = Node::new(&genesis);
        let error = import(&mut other, &file).unwrap_err();
        let MoveChainError::Invalid { height, error, .. } = error else { panic!("{rule}: {error}") };
        assert!(error.starts_with(rule) || error.contains(&format!(": {rule}:")), "{rule}: {error}");
        let last = if at_first { 0 } else { 70 };
        assert_eq!((height, other.height()), (last + 1, last), "{rule}");
        assert_is_a_prefix(&world, &other, &chain);
    }
}

fn with(bytes: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    change(&mut bytes);
    bytes
}

#[test]
fn a_block_of_a_newer_version_is_nobodys_fault() {
    let (world, node, chain) = begun(2, 1_000);
    let tip = *node.ledger.tip().header.header();
    let mut header = Header { version: 2, parent: tip.id(), height: 3, time: tip.time + 1_000, ..tip };
    header.transactions_root = transactions_root(&[]);
    while !Target::from_bits(header.bits).unwrap().is_met_by(&header.id()) {
        header.nonce += 1;
    }
    assert_eq!(header.miner, public("miner-1"));
    let signature = key("miner-1").sign(&block_message(&header.id()));
    let block = block_bytes(&SignedHeader { header, signature }, &[]);
    let mut other = Node::new(&world.genesis);
    let error =
        import(&mut other, &file_of(&world.genesis, bytes(&chain).chain([block.as_slice()]))).unwrap_err();
    assert!(matches!(error, MoveChainError::NewerBlock { height: 3, got: 2 }), "{error}");
    other.assert_is(&world, &node.tip());
}

#[test]
fn a_block_from_the_future_ends_the_import_until_its_time_has_come() {
    let (world, node, chain) = begun(5, 1_000);
    let file = export(&node, None);
    let time = chain[3].header().header().time;
    let earliest = time - world.params().max_future_ms;
    let mut other = Node::new(&world.genesis);
    let error = import_at(&mut other.ledger, &file, earliest - 1).unwrap_err();
    assert!(matches!(error, MoveChainError::FromFuture { height: 4, got, .. } if got == time), "{error}");
    other.assert_is(&world, &chain[2].id());
    let error = import_at(&mut other.ledger, &file, earliest).unwrap_err();
    assert!(matches!(error, MoveChainError::FromFuture { height: 5, .. }), "{error}");
    import(&mut other, &file).unwrap();
    other.assert_is(&world, &node.tip());
}

#[test]
fn a_branch_is_taken_where_it_has_more_work_and_left_where_it_has_not() {
    let (mut world, node, chain) = begun(6, 1_000);
    // Longer than a batch: a branch is held across advances.
    let branch = extend(&mut world, &chain[2].id(), "miner-2", 70);
    let all: Vec<Arc<CheckedBlock>> = chain[..3].iter().chain(&branch).cloned().collect();
    for length in [4, 5, 7, 73] {
        let (mut other, _) = Node::open(
            &world.genesis,
            Arc::new(node.disk.reopened(Fuse::never())),
            Arc::new(node.index.crashed(0)),
        );
        let imported = import(&mut other, &file_of(&world.genesis, bytes(&all[..length]))).unwrap();
        let (height, own) = (u64::try_from(length).unwrap(), node.height());
        assert_eq!(imported.known, 3);
        if height > own {
            assert_eq!((imported.disconnected, imported.blocks, imported.lighter), (3, height - 3, None));
            other.assert_is(&world, &all[length - 1].id());
        } else {
            let lighter = imported.lighter.unwrap();
            assert_eq!((lighter.fork, lighter.height, imported.blocks), (3, height, 0));
            assert_eq!(lighter.work, world.state(&all[length - 1].id()).work);
            other.assert_is(&world, &node.tip());
        }
    }
}

#[test]
fn an_import_never_leaves_a_final_block() {
    let (mut world, mut node, chain) = begun(6, 2);
    assert_eq!(node.ledger.final_height(), 4);
    for (fork, is_taken) in [(3, false), (4, true)] {
        let branch = extend(&mut world, &chain[fork - 1].id(), "miner-3", 9);
        let all: Vec<Arc<CheckedBlock>> = chain[..fork].iter().chain(&branch).cloned().collect();
        let imported = import(&mut node, &file_of(&world.genesis, bytes(&all)));
        if is_taken {
            assert_eq!(imported.unwrap().disconnected, 2);
            node.assert_is(&world, &branch[8].id());
            assert_eq!(node.ledger.final_height(), 4);
        } else {
            let error = imported.unwrap_err();
            assert!(matches!(error, MoveChainError::BelowFinal { fork: 3, final_height: 4 }), "{error}");
            node.assert_is(&world, &chain[5].id());
        }
    }
}

#[test]
fn a_branch_beyond_what_memory_takes_is_refused_and_changes_nothing() {
    let (mut world, mut node, chain) = begun(20, 1_000);
    let root = world.root();
    let branch = extend(&mut world, &root, "miner-2", 22);
    let file = file_of(&world.genesis, bytes(&branch));
    let room = branch[..5].iter().map(|block| block.bytes().len()).sum();
    node.ledger.set_bounds(MAX_TREE_HEADERS, room);
    let error = import(&mut node, &file).unwrap_err();
    assert!(matches!(error, MoveChainError::TooDeep { fork: 0, height: 6 }), "{error}");
    node.assert_is(&world, &chain[19].id());
    // As does a tree that is full of headers.
    let (mut other, _) = Node::open(
        &world.genesis,
        Arc::new(node.disk.reopened(Fuse::never())),
        Arc::new(node.index.crashed(0)),
    );
    other.ledger.set_bounds(25, usize::MAX / 8);
    let error = import(&mut other, &file).unwrap_err();
    assert!(matches!(error, MoveChainError::TooDeep { fork: 0, height: 5 }), "{error}");
    other.assert_is(&world, &chain[19].id());
    // On the tip neither bound keeps anything from being taken.
    let mut fresh = Node::new(&world.genesis);
    fresh.ledger.set_bounds(4, room);
    import(&mut fresh, &file).unwrap();
    fresh.assert_is(&world, &branch[21].id());
}

#[test]
fn an_import_that_is_cut_short_at_any_step_is_gone_on_with() {
    let (world, node, chain) = begun(70, 1_000);
    let file = export(&node, None);
    for steps in 0..40 {
        let fuse = Fuse::after(steps);
        let disk = Arc::new(MemoryDisk::with_fuse(fuse.clone()));
        let index = Arc::new(MemoryIndex::with_fuse(fuse.clone()));
        let opened = Ledger::open(world.genesis.clone(), disk.clone(), index.clone());
        if let Ok((mut ledger, _)) = opened {
            let imported = import_at(&mut ledger, &file, u64::MAX);
            assert!(imported.is_err() || ledger.close().is_err() || !fuse.is_blown(), "{imported:?}");
        }
        let luck = [0, 100, usize::MAX][usize::try_from(steps % 3).unwrap()];
        let (mut other, _) =
            Node::open(&world.genesis, Arc::new(disk.crashed_with_luck(luck)), Arc::new(index.crashed(0)));
        assert_is_a_prefix(&world, &other, &chain);
        import(&mut other, &file).unwrap();
        other.assert_is(&world, &node.tip());
    }
}
