//! Laws of the audit: what a node wrote, whatever became of it, is clean; each thing that is planted is found, by the
//! replay and by the count of their own, at its height and under its name; and nothing on the disk changes.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]
#![allow(clippy::type_complexity, reason = "tables of cases, each read where it stands")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use printsy_consensus::{CheckedTransaction, Genesis, Hash, Position, codec};
use printsy_ledger::LedgerError;
use printsy_ledger::audit::{AuditReport, Check, audit, replay};
use printsy_ledger::store::{
    Checkpoint, Disk, HeaderFile, HeaderRecord, Index, Layer, MemoryDisk, MemoryIndex, StoreError,
};
use support::random::{opening, random_body, random_miner};
use support::{
    Forge, Forged, Node, Random, World, for_seeds, genesis_with, issue, list, order, public, purchase,
    random_genesis, random_order, redeem, review,
};

fn audited(genesis: &Arc<Genesis>, disk: Arc<dyn Disk>, index: Arc<dyn Index>) -> AuditReport {
    audit(genesis, &disk, Ok(index), &mut |_, _| {}).unwrap()
}

fn audited_without_index(genesis: &Arc<Genesis>, disk: Arc<dyn Disk>) -> AuditReport {
    audited(genesis, disk, Arc::new(MemoryIndex::new()))
}

#[track_caller]
fn check<'a>(report: &'a AuditReport, id: &str) -> &'a Check {
    report.check(id).unwrap_or_else(|| panic!("no check {id}: {report:#?}"))
}

/// Which checks found something, and at which heights.
fn found(report: &AuditReport) -> BTreeMap<&'static str, Vec<Option<u64>>> {
    let found = report.checks.iter().filter(|check| check.wrong > 0);
    found.map(|check| (check.id, check.findings.iter().map(|finding| finding.height).collect())).collect()
}

/// Every file on a disk.
fn contents(disk: &dyn Disk) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in ["", "journal"] {
        for name in disk.list(folder).unwrap() {
            let file = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if let Some(len) = disk.len(&file).unwrap() {
                files.insert(file.clone(), disk.read(&file, 0, usize::try_from(len).unwrap()).unwrap());
            }
        }
    }
    files
}

/// Every row of an index.
fn rows(index: &dyn Index) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        Ok(())
    };
    index.scan(&[], &mut visit).unwrap();
    rows
}

/// A block, or a better branch from not below the final block, with orders that leave and come back.
fn step(random: &mut Random, world: &mut World, node: &mut Node) {
    let genesis = world.genesis.clone();
    let tip = world.state(&node.tip()).clone();
    let unfinal = usize::try_from(node.height() - node.ledger.final_height()).unwrap();
    let back = if random.chance(3) { random.index(unfinal.min(5) + 1) } else { 0 };
    let mut at = tip.chain[tip.chain.len() - 1 - back];
    for _ in 0..=back {
        let state = world.state(&at).clone();
        let body = random_body(random, &genesis, &state, 6);
        let block = world.extend(&at, random_miner(random, &genesis, &state), &body);
        at = block.id();
        node.place(&block);
    }
    for _ in 0..2 {
        let _refused_or_not = node.admit(&random_order(random, &genesis, &tip));
    }
    node.advance();
    assert_eq!(node.tip(), at);
}

/// Holds an audit of a node's disk against the world, and against there being nothing to find.
#[track_caller]
fn assert_clean(world: &World, tip: &Hash, disk: &Arc<MemoryDisk>, index: &Arc<MemoryIndex>) -> AuditReport {
    let before = (contents(disk.as_ref()), rows(index.as_ref()));
    let report = audited(&world.genesis, disk.clone(), index.clone());
    assert!(report.is_clean(), "{report:#?}");
    assert!(report.checks.iter().all(|check| check.skipped.is_none()), "{report:#?}");
    let state = world.state(tip);
    assert_eq!((report.tip, report.height, report.state_root), (*tip, state.height(), state.tree.root()));
    assert_eq!(usize::try_from(report.counts.transactions).unwrap(), state.confirmed.len());
    assert!(check(&report, "I4").checked > report.height / 2, "{report:#?}");
    let replayed = replay(&world.genesis, disk.clone(), &mut |_| {}).unwrap();
    assert_eq!((replayed.tip, replayed.state_root), (report.tip, report.state_root));
    assert_eq!(replayed.final_height, report.final_height);
    assert_eq!((contents(disk.as_ref()), rows(index.as_ref())), before, "an audit changes nothing");
    report
}

#[test]
fn what_a_node_wrote_is_clean_after_any_history_stop_and_crash() {
    for_seeds(0..24, |random| {
        let (depth, spacing) = (random.pick(&[3, 6, 1_000]), random.pick(&[0, 1, 2]));
        let genesis = random_genesis(random, |params| {
            (params.finality_depth, params.miner_spacing, params.max_validity) = (depth, spacing, 8);
        });
        let mut world = World::new(&genesis);
        let mut node = Node::new(&genesis);
        let first = world.extend(&world.root(), "registrar", &opening(random, &genesis));
        node.give(&first);
        for _ in 0..random.below(40) {
            node.is_synced = !random.chance(4);
            step(random, &mut world, &mut node);
            if random.chance(6) {
                node.ledger.close().unwrap();
            }
        }
        // Killed, or the power went: what is not in the index yet is no fault of it.
        let luck = random.pick(&[0, 1, 700, usize::MAX]);
        let disk = Arc::new(node.disk.crashed_with_luck(luck));
        let index = Arc::new(node.index.crashed(random.index(4)));
        assert_clean(&world, &node.tip(), &disk, &index);
        // A clean stop.
        node.ledger.close().unwrap();
        let report = assert_clean(&world, &node.tip(), &node.disk, &node.index);
        assert_eq!(report.index_mark.map(|mark| mark.tip), Some(node.tip()));
        assert_eq!(check(&report, "headers.dat").note, None);
        let state = world.state(&node.tip());
        assert_eq!(check(&report, "index.state").checked, u64::try_from(state.entries.len()).unwrap());
        assert_eq!(check(&report, "index.transactions").checked, report.counts.transactions);
        assert!(check(&report, "index.blocks").checked >= report.height);
    });
}

/// A node with five blocks: alice and bob have money, images 1 (for 10) and 2 (free) are listed, some are sold.
/// The same each time.
fn shop() -> (World, Node) {
    support::orders::begin_references();
    let genesis = genesis_with(|params| {
        params.finality_depth = 4;
        params.max_validity = 20;
    });
    let mut world = World::new(&genesis);
    let mut node = Node::new(&genesis);
    let say = |sender: &str, action| order(&genesis, 1, sender, action);
    let blocks = [
        vec![say("issuer", issue("alice", 100)), say("issuer", issue("bob", 100))],
        vec![say("registrar", list(1, "seller", 10, 4)), say("registrar", list(2, "seller", 0, 3))],
        vec![say("alice", purchase(&[(1, 2), (2, 1)], 20)), say("bob", purchase(&[(2, 1), (7, 4)], 0))],
        vec![say("alice", review(1, 4, b"fine")), say("bob", redeem(30))],
        vec![say("bob", purchase(&[(1, 1)], 10))],
    ];
    let mut at = world.root();
    for orders in &blocks {
        let block = world.extend(&at, "miner-1", orders);
        at = block.id();
        node.give(&block);
    }
    node.ledger.close().unwrap();
    (world, node)
}

/// Plants a block with these orders at height 5, and one on it; what the audit found.
fn planted(miner: &str, orders: &[CheckedTransaction], wrong_root: bool) -> AuditReport {
    let (world, node) = shop();
    let genesis = world.genesis.clone();
    let parent = world.state(&world.state(&node.tip()).chain[4]).clone();
    let forged =
        Forged::on(&genesis, &parent, miner, orders, |header| header.state_root.0[7] ^= u8::from(wrong_root));
    let after = Forged::on(&genesis, &forged.state, "miner-2", &[], |_| {});
    let mut forge = Forge::copy(&genesis, &node.disk, 4);
    forge.append(&[], &[&forged], 1);
    forge.append(&[], &[&after], 2);
    let report = audited_without_index(&genesis, forge.disk());
    assert_eq!((report.height, report.tip), (6, after.block.id()), "the count goes on");
    let finding = &check(&report, "replay").findings[0];
    assert_eq!((finding.height, finding.block), (Some(5), Some(forged.block.id())), "{report:#?}");
    let error = replay(&genesis, forge.disk(), &mut |_| {}).unwrap_err();
    assert!(
        matches!(error, LedgerError::Journal { height: 5, id, .. } if id == forged.block.id()),
        "{error}"
    );
    for finding in report.checks.iter().flat_map(|check| &check.findings) {
        assert_eq!((finding.height, finding.block), (Some(5), Some(forged.block.id())), "{report:#?}");
    }
    report
}

#[track_caller]
fn assert_found(report: &AuditReport, by: &str, rule: &str, words: &str) {
    assert_eq!(found(report).keys().copied().collect::<Vec<_>>(), [by, "replay"], "{report:#?}");
    let replayed = &check(report, "replay").findings[0];
    assert!(replayed.what.contains(rule), "{replayed}");
    let counted = &check(report, by).findings[0];
    assert!(counted.what.contains(words), "{counted}");
}

fn at_five(sender: &str, action: printsy_consensus::Action) -> CheckedTransaction {
    order(&shop().0.genesis, 5, sender, action)
}

#[test]
fn a_planted_oversell_is_found_by_replay_and_count_at_its_height() {
    // Image 7 is not listed: 4 of MAX 5 are sold.
    let report = planted("miner-1", &[at_five("alice", purchase(&[(7, 2)], 0))], false);
    assert_found(&report, "I1", "S4", "image 7 has 6 sold of 5");
    assert_eq!(check(&report, "I1").wrong, 1);
    // Editions below what is sold, beyond MAX, or set by somebody who may not.
    let report = planted("miner-1", &[at_five("registrar", list(2, "seller", 0, 1))], false);
    assert_found(&report, "I1", "S17", "image 2 is listed with 1, 2 sold");
    let report = planted("miner-1", &[at_five("alice", list(1, "seller", 10, 5))], false);
    assert_found(&report, "I1", "S12", "is none");
}

#[test]
fn a_planted_double_confirmation_is_found_by_replay_and_count_at_its_height() {
    let (world, node) = shop();
    let blocks = world.branch(&node.tip());
    let again = blocks[2].transactions()[1].clone();
    // Image 7 has 8 sold then, too; that nothing but the repetition is wrong, a deposit is repeated.
    let report = planted("miner-1", &[again], false);
    assert!(found(&report).contains_key("I1") && found(&report).contains_key("I6"), "{report:#?}");
    let deposit = blocks[0].transactions()[0].clone();
    let report = planted("miner-1", std::slice::from_ref(&deposit), false);
    assert_found(&report, "I6", "S2", &format!("transaction {} is confirmed again", deposit.txid()));
    // Twice in one block.
    let twice = at_five("issuer", issue("carol", 1));
    let report = planted("miner-1", &[twice.clone(), twice], false);
    assert_found(&report, "I6", "S2", "is confirmed again");
    // After its time: it could stand there for the second time, and nobody would remember.
    let late = support::orders::order_until(&world.genesis, "issuer", 4, issue("carol", 1));
    let report = planted("miner-1", &[late], false);
    assert_found(&report, "I6", "S1", "outside of its time");
}

#[test]
fn a_planted_wrong_root_is_found_by_replay_and_count_at_its_height() {
    let report = planted("miner-1", &[at_five("issuer", issue("carol", 1))], true);
    assert_found(&report, "I4", "B6", "the last that agreed is that of height 4");
}

#[test]
fn a_planted_block_of_nobody_is_found_by_replay_and_count_at_its_height() {
    let report = planted("nobody", &[], false);
    assert_found(&report, "I7", "B3", "neither registered");
    // Registered in the very block it makes, and by somebody who may register nobody.
    let registered = at_five("registrar", support::register_miner("nobody"));
    assert_found(&planted("nobody", &[registered], false), "I7", "B3", "neither registered");
    let registered = at_five("alice", support::register_miner("nobody"));
    assert_found(&planted("miner-1", &[registered], false), "I7", "S12", "is none");
}

#[test]
fn planted_money_from_nothing_is_found_by_replay_and_count_at_its_height() {
    let report = planted("miner-1", &[at_five("alice", issue("alice", 1_000))], false);
    assert_found(&report, "I5", "S10", "who is no issuer");
    // The seller gets ten and the buyer pays one.
    let report = planted("miner-1", &[at_five("alice", purchase(&[(1, 1)], 1))], false);
    assert_found(&report, "I5", "S7", "balances sum to 179, issued are 200, redeemed 30");
    assert_eq!(check(&report, "I5").wrong, 1, "told where it happens, not at each block after it");
}

#[test]
fn money_from_nothing_in_a_balance_is_found_where_the_header_was_made_to_agree() {
    // A carol who has nothing gives bob 50: consensus' own code cannot be made to do it, so that the block says so
    // and its root is that of a block without.
    let (world, node) = shop();
    let genesis = world.genesis.clone();
    let parent = world.state(&world.state(&node.tip()).chain[4]).clone();
    let gift = at_five("carol", support::transfer("bob", 50));
    let mut forged = Forged::on(&genesis, &parent, "miner-1", &[], |_| {});
    let mut header = *forged.block.header().header();
    header.transactions_root = printsy_consensus::transactions_root(&[gift.leaf()]);
    forged.block = support::world::seal(&genesis, header, "miner-1", &[gift]);
    let mut forge = Forge::copy(&genesis, &node.disk, 4);
    forge.append(&[], &[&forged], 1);
    let report = audited_without_index(&genesis, forge.disk());
    assert_eq!(found(&report).keys().copied().collect::<Vec<_>>(), ["I4", "I5", "replay"], "{report:#?}");
    assert!(check(&report, "I5").findings[0].what.contains("pays 50 and has -50 then"), "{report:#?}");
    assert!(check(&report, "replay").findings[0].what.contains("S8"), "{report:#?}");
}

#[test]
fn a_wrong_undo_is_found_though_no_reorganisation_asked_for_it() {
    let (world, node) = shop();
    let genesis = world.genesis.clone();
    let parent = world.state(&world.state(&node.tip()).chain[4]).clone();
    let mut forged = Forged::on(&genesis, &parent, "miner-1", &[], |_| {});
    forged.undo.miner = forged.undo.miner.map(|miner| printsy_consensus::Miner { blocks: 9, ..miner });
    let mut forge = Forge::copy(&genesis, &node.disk, 4);
    forge.append(&[], &[&forged], 1);
    let report = audited_without_index(&genesis, forge.disk());
    assert_eq!(found(&report), BTreeMap::from([("replay", vec![Some(5)])]), "{report:#?}");
    assert!(check(&report, "replay").findings[0].what.contains("undo"), "{report:#?}");
}

#[test]
fn header_rules_are_held_in_context() {
    let (world, node) = shop();
    let genesis = world.genesis.clone();
    let parent = world.state(&world.state(&node.tip()).chain[4]).clone();
    let changes: [(&str, fn(&mut printsy_consensus::Header)); 3] = [
        ("H3", |header| header.height = 6),
        ("H4", |header| header.bits = 0x2070_0000),
        ("H6", |header| header.time -= 1_000),
    ];
    for (rule, change) in changes {
        let forged = Forged::on(&genesis, &parent, "miner-1", &[], change);
        let mut forge = Forge::copy(&genesis, &node.disk, 4);
        forge.append(&[], &[&forged], 1);
        let error = replay(&genesis, forge.disk(), &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains(rule), "{rule}: {error}");
    }
}

/// Appends one move to the shop's journal of five blocks, whose final height is 1; what the replay says.
fn moved(make: impl FnOnce(&World, &Hash, &mut Forge)) -> Result<u64, LedgerError> {
    let (world, node) = shop();
    let mut forge = Forge::copy(&world.genesis, &node.disk, usize::MAX);
    make(&world, &node.tip(), &mut forge);
    replay(&world.genesis, forge.disk(), &mut |_| {}).map(|replayed| replayed.final_height)
}

/// The last `count` blocks of a chain, the tip first.
fn last(world: &World, tip: &Hash, count: usize) -> Vec<Hash> {
    world.state(tip).chain.iter().rev().take(count).copied().collect()
}

/// A branch of empty blocks that leaves the tip's chain `below` blocks under it.
fn branch(world: &World, tip: &Hash, below: usize, blocks: usize) -> Vec<Forged> {
    let mut state = world.state(&last(world, tip, below + 1)[below]).clone();
    let mut made = Vec::new();
    for _ in 0..blocks {
        let forged = Forged::on(&world.genesis, &state, "miner-3", &[], |_| {});
        state = forged.state.clone();
        made.push(forged);
    }
    made
}

#[track_caller]
fn assert_damaged(result: Result<u64, LedgerError>, words: &str) {
    match result {
        Err(LedgerError::Store(StoreError::Damaged { file, offset, what })) => {
            assert!(what.contains(words), "{what}");
            assert!(file.starts_with("journal/") && offset > 0, "{file} {offset}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_move_lowers_the_final_height_or_leaves_a_final_block_or_leads_to_less() {
    let appended = |below: usize, blocks: usize, final_height: u64| {
        moved(|world, tip, forge| {
            let branch = branch(world, tip, below, blocks);
            let connect: Vec<&Forged> = branch.iter().collect();
            forge.append(&last(world, tip, below), &connect, final_height);
        })
    };
    assert_eq!(appended(0, 0, 1).unwrap(), 1, "a move without blocks");
    assert_eq!(appended(4, 5, 2).unwrap(), 2, "down to the final block");
    assert_damaged(appended(5, 6, 2), "below the final height 1");
    assert_damaged(appended(0, 0, 0), "lowers the final height from 1 to 0");
    assert_damaged(appended(0, 1, 3), "at most 2 can be");
    assert_damaged(appended(3, 2, 1), "no better");
    let six = |world: &World, tip: &Hash, forge: &mut Forge| forge.append(&last(world, tip, 6), &[], 0);
    assert_damaged(moved(six), "takes off 6 blocks");
}

#[test]
fn only_a_move_that_puts_nothing_on_goes_below_the_final_block() {
    let resolved =
        |final_height: u64| moved(|world, tip, forge| forge.append(&last(world, tip, 5), &[], final_height));
    assert_eq!(resolved(0).unwrap(), 0);
    assert_damaged(resolved(1), "at most 0 can be");
    // From there another branch is followed; what is confirmed below it stays confirmed.
    let (world, node) = shop();
    let (genesis, tip) = (world.genesis.clone(), node.tip());
    let followed = |orders: &[CheckedTransaction]| {
        let mut forge = Forge::copy(&genesis, &node.disk, usize::MAX);
        // Everything is final that can be, and forgotten that need not be known any more.
        let more = branch(&world, &tip, 0, 30);
        forge.append(&[], &more.iter().collect::<Vec<_>>(), 31);
        let mut off: Vec<Hash> = more.iter().rev().map(|forged| forged.block.id()).collect();
        off.extend(last(&world, &tip, 2));
        forge.append(&off, &[], 3);
        let parent = world.state(&world.state(&tip).chain[3]).clone();
        forge.append(&[], &[&Forged::on(&genesis, &parent, "miner-2", orders, |_| {})], 3);
        replay(&genesis, forge.disk(), &mut |_| {})
    };
    assert_eq!(followed(&[]).unwrap().height, 4);
    let left = world.branch(&tip)[3].transactions()[1].clone();
    assert_eq!(followed(&[left]).unwrap().height, 4, "an order that left the chain may come back");
    let kept = world.branch(&tip)[0].transactions()[0].clone();
    let error = followed(&[kept]).unwrap_err();
    assert!(error.to_string().contains("S2"), "{error}");
}

#[test]
fn every_flip_in_the_journal_is_found_at_its_place_and_the_count_says_how_far_it_came() {
    let (world, node) = shop();
    let file = "journal/00000000000000000000.seg";
    let len = node.disk.len(file).unwrap().unwrap();
    for_seeds(0..200, |random| {
        // With and without the note of how far the journal was synced: the index's mark says it too.
        let luck = random.pick(&[0, usize::MAX]);
        let disk = Arc::new(node.disk.crashed_with_luck(luck));
        let at = random.below(len);
        let byte = disk.read(file, at, 1).unwrap()[0] ^ 1 << random.below(8);
        disk.write_at(file, at, &[byte]).unwrap();
        let disk: Arc<dyn Disk> = disk;
        let result = audit(&world.genesis, &disk, Ok(node.index.clone()), &mut |_, _| {});
        match result {
            Ok(report) => {
                let journal = check(&report, "journal");
                assert!(journal.wrong > 0, "byte {at}: {report:#?}");
                let what = &journal.findings[0].what;
                assert!(what.contains(file), "byte {at}: {what}");
                assert!(
                    report.checks.iter().all(|check| check.id != "I1" || check.wrong == 0),
                    "{report:#?}"
                );
            }
            // The genesis or the format of a segment's header, whose checksum still fits nothing else.
            Err(error) => panic!("byte {at}: {error}"),
        }
    });
}

#[test]
fn every_flip_in_headers_dat_is_found_at_its_height() {
    let (world, node) = shop();
    let record = 160 + 64 + 32 + 8 + 4;
    for_seeds(0..100, |random| {
        let disk = Arc::new(node.disk.crashed());
        let at = random.below(6 * record);
        let byte = disk.read("headers.dat", at, 1).unwrap()[0] ^ 1 << random.below(8);
        disk.write_at("headers.dat", at, &[byte]).unwrap();
        let report = audited(&world.genesis, disk, node.index.clone());
        let expected = BTreeMap::from([("headers.dat", vec![Some(at / record)])]);
        assert_eq!(found(&report), expected, "byte {at}: {report:#?}");
    });
    // Records that are sound by themselves and not true, and one that is cut off.
    let untrue: [(&str, fn(&mut HeaderRecord)); 4] = [
        ("is of block", |record| record.signed.header.nonce ^= 1),
        ("another signature", |record| record.signed.signature[9] ^= 1),
        ("another total work", |record| record.work = record.work.plus(record.work)),
        ("not", |record| record.position += 1),
    ];
    for (words, change) in untrue {
        let disk = Arc::new(node.disk.crashed());
        let file = HeaderFile::open(disk.clone()).unwrap();
        let mut record = file.get(3).unwrap().unwrap();
        change(&mut record);
        file.put(3, &record).unwrap();
        let report = audited(&world.genesis, disk, node.index.clone());
        assert_eq!(found(&report), BTreeMap::from([("headers.dat", vec![Some(3)])]), "{words}");
        assert!(check(&report, "headers.dat").findings[0].what.contains(words), "{report:#?}");
    }
    let disk = Arc::new(node.disk.crashed());
    disk.cut("headers.dat", 5 * record).unwrap();
    let report = audited(&world.genesis, disk, node.index.clone());
    assert_eq!(found(&report), BTreeMap::from([("headers.dat", vec![Some(5)])]));
}

/// A copy of the shop's index with one row more, less, or other.
fn with_row(world: &World, node: &Node, key: &[u8], value: Option<&[u8]>) -> Arc<MemoryIndex> {
    let index = Arc::new(node.index.crashed(0));
    let row = (key.to_vec(), value.map(<[u8]>::to_vec));
    if matches!(key[0], b'T' | b'B') {
        // Packed with others: only the checkpoint writes it.
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        let (headers, genesis) = (HeaderFile::open(disk.clone()).unwrap(), world.genesis.hash());
        let (checkpoint, mark) = Checkpoint::open(disk, index.clone(), genesis, headers).unwrap();
        checkpoint.submit(Layer { mark: mark.unwrap(), rows: vec![row] });
        checkpoint.flush_now().unwrap();
    } else {
        index.apply(&[row]).unwrap();
    }
    index
}

fn holding_key(account: &str, image: u64) -> Vec<u8> {
    [&b"H"[..], &public(account).0, &image.to_be_bytes()].concat()
}

#[test]
fn every_planted_row_of_the_index_is_found_and_named() {
    let (world, node) = shop();
    let genesis = &world.genesis;
    let txid = world.branch(&node.tip())[2].transactions()[0].txid();
    let transaction = [&b"T"[..], &txid.0[..16]].concat();
    let block = [&b"B"[..], &node.tip().0[..16]].concat();
    let nowhere = |kind: u8| [&[kind][..], &[0xab; 16]].concat();
    let place = |height, index| codec::encode(&Position { height, index });
    let holding =
        |quantity: u32, rating: u8| [&quantity.to_le_bytes()[..], &[rating], &3u64.to_le_bytes()].concat();
    let image = [&b"S"[..], &[0], &1u64.to_le_bytes()].concat();
    let no_image = [&b"S"[..], &[0], &99u64.to_le_bytes()].concat();
    let entry = node.index.get(&image).unwrap().unwrap();
    let alice = public("alice").to_string();
    let plants: Vec<(&str, Vec<u8>, Option<Vec<u8>>, String)> = vec![
        ("index.state", image.clone(), None, "no row of image 1".into()),
        ("index.state", image, Some(entry[1..].to_vec()), "row of image 1 is wrong".into()),
        ("index.state", no_image, Some(entry), "image 99, which is not there".into()),
        ("index.state", b"Snonsense".to_vec(), Some(vec![]), "names no entry".into()),
        (
            "index.holdings",
            holding_key("alice", 1),
            Some(holding(3, 4)),
            format!("{alice} and image 1 has 3"),
        ),
        ("index.holdings", holding_key("alice", 1), Some(holding(2, 5)), "rating 5, the chain 2".into()),
        ("index.holdings", holding_key("alice", 2), None, format!("no row of {alice} and image 2")),
        ("index.holdings", holding_key("carol", 2), Some(holding(1, 0)), "the chain 0".into()),
        ("index.transactions", transaction.clone(), None, format!("transaction {txid} (0) is missing")),
        ("index.transactions", transaction, Some(place(3, 1)), format!("transaction {txid} (0) is wrong")),
        ("index.transactions", nowhere(b'T'), Some(place(3, 0)), "of no transaction".into()),
        ("index.transactions", nowhere(b'T'), Some(place(77, 0)), "of no transaction".into()),
        ("index.transactions", nowhere(b'T'), Some(vec![1]), "of no transaction".into()),
        ("index.blocks", block.clone(), None, "has no row".into()),
        ("index.blocks", block, Some([5u64.to_le_bytes(), 1u64.to_le_bytes()].concat()), "is wrong".into()),
        ("index.blocks", nowhere(b'B'), Some([5u64.to_le_bytes(); 2].concat()), "of no block".into()),
        ("index.other", b"Zebra".to_vec(), Some(vec![1]), "of no kind".into()),
    ];
    for (id, key, value, words) in plants {
        let report = audited(genesis, node.disk.clone(), with_row(&world, &node, &key, value.as_deref()));
        assert_eq!(found(&report).keys().copied().collect::<Vec<_>>(), [id], "{words}: {report:#?}");
        let check = check(&report, id);
        assert_eq!(check.wrong, 1, "{words}: {report:#?}");
        assert!(check.findings[0].what.contains(&words), "{words}: {}", check.findings[0]);
    }
    // A mark that names what the journal does not have there, or a place where no commit ends.
    let mark = [&[0xff][..], b"mark"].concat();
    let mut row = node.index.get(&mark).unwrap().unwrap();
    let offset = 4 + 32 + 8;
    row[offset] ^= 1;
    let report = audited(genesis, node.disk.clone(), with_row(&world, &node, &mark, Some(&row)));
    assert!(found(&report).contains_key("index.mark"), "{report:#?}");
    let before_the_end = u64::from_le_bytes(*row[4 + 32..].first_chunk().unwrap()) - 1;
    row[4 + 32..offset].copy_from_slice(&before_the_end.to_le_bytes());
    let report = audited(genesis, node.disk.clone(), with_row(&world, &node, &mark, Some(&row)));
    assert!(check(&report, "index").findings[0].what.contains("no commit ends"), "{report:#?}");
}

#[test]
fn an_index_that_is_not_there_is_no_fault_and_one_that_cannot_be_opened_is() {
    let (world, node) = shop();
    let report = audited_without_index(&world.genesis, node.disk.clone());
    assert!(report.is_clean() && check(&report, "index").note.is_some(), "{report:#?}");
    let disk: Arc<dyn Disk> = node.disk.clone();
    let broken = Err(StoreError::Index("it is a stone".to_owned()));
    let report = audit(&world.genesis, &disk, broken, &mut |_, _| {}).unwrap();
    assert!(check(&report, "index").findings[0].what.contains("it is a stone"), "{report:#?}");
    // Another network's disk is no finding.
    let other = genesis_with(|params| params.max_editions = 3);
    let result = audit(&other, &disk, Ok(Arc::new(MemoryIndex::new())), &mut |_, _| {});
    assert!(matches!(result, Err(LedgerError::Store(StoreError::ForeignGenesis { .. }))), "{result:?}");
}

#[test]
fn findings_are_counted_beyond_those_that_are_told() {
    let (world, node) = shop();
    let index = Arc::new(node.index.crashed(0));
    for number in 0..250u64 {
        let key = [&b"Z"[..], &number.to_le_bytes()].concat();
        index.apply(&[(key, Some(vec![]))]).unwrap();
    }
    let report = audited(&world.genesis, node.disk.clone(), index);
    let other = check(&report, "index.other");
    assert_eq!((other.wrong, other.findings.len()), (250, 100));
}
