//! H1 to H8: a header alone, on its parent, and by the clock.

use printsy_consensus::{
    Block, CheckedHeader, Fault, Hash, Header, HeaderTree, Placed, Rule, Schedule, SignedHeader, Target,
    asert, block_message, codec,
};

use crate::support::chain::{bytes_of, grind, seal};
use crate::support::{Chain, Refused, chain_with, key, public};

fn chain() -> Chain {
    let mut chain = chain_with(|_| {});
    chain.pass(2);
    chain
}

/// Judges an otherwise perfect empty block whose header was changed before the work was done.
fn judge(chain: &Chain, change: impl FnOnce(&mut Header)) -> Result<(), Refused> {
    let mut header = chain.header("miner-1", &[]);
    let now = header.time;
    change(&mut header);
    chain.judge_at(&seal(header, "miner-1", &[]), now).map(|_| ())
}

fn refuses(chain: &Chain, change: impl FnOnce(&mut Header), rule: Rule, fault: Fault) {
    let refused = judge(chain, change).expect_err("an invalid header");
    assert_eq!((refused.rule, refused.fault), (Some(rule), fault), "{refused:?}");
}

#[test]
fn h1_accepts_version_1() {
    assert_eq!(judge(&chain(), |header| header.version = 1), Ok(()));
}

/// A newer version is no verdict; an older one never was.
#[test]
fn h1_refuses_newer_versions_without_blame_and_older_ones_for_good() {
    let chain = chain();
    refuses(&chain, |header| header.version = 2, Rule::H1, Fault::Nobody);
    refuses(&chain, |header| header.version = u32::MAX, Rule::H1, Fault::Nobody);
    refuses(&chain, |header| header.version = 0, Rule::H1, Fault::Block);
}

#[test]
fn h2_accepts_any_known_parent() {
    let mut chain = chain();
    let fork = chain.clone();
    chain.extend("miner-1", &[]).unwrap();
    let other = fork.block("miner-2", &[]);
    let block: Block = codec::decode(&other).unwrap();
    let header = CheckedHeader::check(block.header).unwrap();
    assert!(chain.headers.insert(header, header.header().time).is_ok());
}

#[test]
fn h2_refuses_an_unknown_parent_without_blame() {
    refuses(&chain(), |header| header.parent.0[31] ^= 1, Rule::H2, Fault::Nobody);
}

#[test]
fn h2_refuses_a_parent_known_to_be_invalid_for_good() {
    let mut chain = chain();
    chain.headers.invalidate(&chain.tip.id());
    refuses(&chain, |_| {}, Rule::H2, Fault::Block);
}

#[test]
fn h3_accepts_the_parents_height_plus_one() {
    let chain = chain();
    assert_eq!(judge(&chain, |header| assert_eq!(header.height, 3)), Ok(()));
}

#[test]
fn h3_refuses_any_other_height() {
    let chain = chain();
    for height in [0, 2, 4, u64::MAX] {
        refuses(&chain, |header| header.height = height, Rule::H3, Fault::Block);
    }
}

/// A network whose difficulty moves a lot: the half-life is two intervals.
fn lively() -> Chain {
    chain_with(|params| {
        params.min_interval_ms = 1;
        params.half_life_ms = 4_000;
    })
}

/// The next block, `after` ms after the tip.
fn extend_after(chain: &mut Chain, after: u64) {
    let mut header = chain.header("miner-1", &[]);
    header.time = chain.tip.time + after;
    chain.connect(&seal(header, "miner-1", &[])).expect("a valid block");
}

fn next_target(chain: &Chain) -> Target {
    let bits = chain.headers.next_bits(&chain.tip.id()).expect("the tip is in the tree");
    Target::from_bits(bits).expect("a target")
}

/// The leading 48 bits of a target as a float: a rough, independent measure.
fn size(target: Target) -> f64 {
    let bytes = target.to_be_bytes();
    bytes[..6].iter().fold(0.0, |sum, byte| sum * 256.0 + f64::from(*byte))
}

#[test]
fn h4_accepts_genesis_bits_after_genesis_and_then_what_the_parents_time_gives() {
    let mut chain = lively();
    assert_eq!(chain.headers.next_bits(&chain.genesis.hash()), Some(0x207f_ffff));
    // Early or late, the block after genesis has genesis' bits.
    extend_after(&mut chain, 1);
    assert_eq!(chain.tip.bits, 0x207f_ffff);
    for _ in 0..6 {
        let before = next_target(&chain);
        extend_after(&mut chain, 1_000);
        // A second early, by a half-life of four.
        let ratio = size(next_target(&chain)) / size(before);
        assert!((ratio - 0.5f64.powf(0.25)).abs() < 0.001, "{ratio}");
    }
    let before = next_target(&chain);
    extend_after(&mut chain, 2_000);
    assert_eq!(next_target(&chain), before, "on time, nothing changes");
    extend_after(&mut chain, 3_000);
    let ratio = size(next_target(&chain)) / size(before);
    assert!((ratio - 2f64.powf(0.25)).abs() < 0.001, "{ratio}");
}

#[test]
fn h4_refuses_any_other_bits() {
    let mut chain = lively();
    extend_after(&mut chain, 1);
    extend_after(&mut chain, 1);
    let expected = chain.headers.next_bits(&chain.tip.id()).unwrap();
    assert_ne!(expected, 0x207f_ffff);
    for bits in [expected - 1, expected + 1, 0x207f_ffff] {
        refuses(&chain, |header| header.bits = bits, Rule::H4, Fault::Block);
    }
    // No target at all: zero, signed, too large, not canonical.
    for bits in [0, 0x2080_0000, 0xff7f_ffff, 0x2100_0000, 0x1f00_7fff] {
        refuses(&chain, |header| header.bits = bits, Rule::H4, Fault::Block);
    }
}

/// However long an outage, one block eases the target by no more than a half-life's worth.
#[test]
fn h4_accepts_an_outage_as_one_half_life() {
    let mut chain = lively();
    for _ in 0..12 {
        extend_after(&mut chain, 1);
    }
    let before = next_target(&chain);
    let eased = |after| {
        let mut chain = chain.clone();
        extend_after(&mut chain, after);
        next_target(&chain)
    };
    assert!(eased(3_999) < eased(4_000));
    assert_eq!(eased(4_000), eased(4_001));
    assert_eq!(eased(4_000), eased(1 << 40));
    let ratio = size(eased(4_000)) / size(before);
    assert!((ratio - 2f64.powf(0.5)).abs() < 0.001, "{ratio}");
}

#[test]
fn h4_accepts_no_target_easier_than_genesis() {
    let mut chain = lively();
    extend_after(&mut chain, 1_000);
    for _ in 0..5 {
        extend_after(&mut chain, 100_000);
        assert_eq!(chain.headers.next_bits(&chain.tip.id()), Some(0x207f_ffff));
    }
}

#[test]
fn h4_accepts_no_target_below_one() {
    let easiest = Target::from_bits(0x207f_ffff).unwrap();
    let schedule = Schedule { spacing: 1 << 40, half_life: 1, easiest };
    let least = asert(&schedule, Target::from_bits(0x0101_0000).unwrap(), 0, 0);
    assert_eq!(least.to_bits(), 0x0101_0000);
    assert_eq!(asert(&schedule, easiest, 0, 0).to_bits(), 0x0101_0000);
}

#[test]
fn h5_accepts_an_id_of_exactly_the_target() {
    let target = Target::from_bits(0x207f_ffff).unwrap();
    let id = Hash(target.to_be_bytes());
    assert!(target.is_met_by(&id));
    assert!(target.is_met_by(&Hash::ZERO));
    let chain = chain();
    assert_eq!(judge(&chain, |_| {}), Ok(()));
}

#[test]
fn h5_refuses_an_id_of_the_target_plus_one_and_work_not_done() {
    let target = Target::from_bits(0x1d00_ffff).unwrap();
    let mut above = target.to_be_bytes();
    for byte in above.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            break;
        }
    }
    assert!(!target.is_met_by(&Hash(above)));
    let chain = chain();
    let mut header = chain.header("miner-1", &[]);
    while header.id().0 <= Target::from_bits(header.bits).unwrap().to_be_bytes() {
        header.nonce += 1;
    }
    let signature = key("miner-1").sign(&block_message(&header.id()));
    let refused = chain.judge(&bytes_of(&SignedHeader { header, signature }, &[])).unwrap_err();
    assert_eq!((refused.rule, refused.fault), (Some(Rule::H5), Fault::Block));
}

#[test]
fn h6_accepts_the_least_interval() {
    let chain = chain();
    assert_eq!(judge(&chain, |header| header.time = chain.tip.time + 500), Ok(()));
}

#[test]
fn h6_refuses_a_millisecond_less() {
    let chain = chain();
    for time in [chain.tip.time + 499, chain.tip.time, chain.tip.time - 1, 0] {
        refuses(&chain, |header| header.time = time, Rule::H6, Fault::Block);
    }
}

#[test]
fn h7_accepts_what_is_just_near_enough() {
    let chain = chain();
    let mut header = chain.header("miner-1", &[]);
    header.time += 1_000_000;
    let bytes = seal(header, "miner-1", &[]);
    assert!(chain.judge_at(&bytes, header.time - 10_000).is_ok());
    assert!(chain.judge_at(&bytes, u64::MAX).is_ok());
}

/// The same bytes, a millisecond later, are welcome: the clock is nobody's fault.
#[test]
fn h7_refuses_a_millisecond_more_without_blame() {
    let chain = chain();
    let mut header = chain.header("miner-1", &[]);
    header.time += 1_000_000;
    let bytes = seal(header, "miner-1", &[]);
    for now in [0, header.time - 10_001] {
        let refused = chain.judge_at(&bytes, now).unwrap_err();
        assert_eq!((refused.rule, refused.fault), (Some(Rule::H7), Fault::Nobody));
    }
    assert!(chain.judge_at(&bytes, header.time - 10_000).is_ok());
}

#[test]
fn h8_accepts_any_signature_of_the_miner_and_the_id_stays() {
    let chain = chain();
    let header = grind(chain.header("miner-1", &[]));
    let message = block_message(&header.id());
    let ids = [[0; 32], [7; 32]].map(|auxiliary| {
        let signature = key("miner-1").sign_bytes(&message.0, &auxiliary);
        chain.judge(&bytes_of(&SignedHeader { header, signature }, &[])).unwrap().0.id()
    });
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn h8_refuses_every_other_signature_and_blames_who_sent_it() {
    let chain = chain();
    let header = grind(chain.header("miner-1", &[]));
    let good = key("miner-1").sign(&block_message(&header.id()));
    let mut flipped = good;
    flipped[63] ^= 1;
    let by_another = key("miner-2").sign(&block_message(&header.id()));
    let over_the_id = key("miner-1").sign(&header.id());
    for signature in [flipped, by_another, over_the_id, [0; 64], [255; 64]] {
        let refused = chain.judge(&bytes_of(&SignedHeader { header, signature }, &[])).unwrap_err();
        assert_eq!((refused.rule, refused.fault), (Some(Rule::H8), Fault::Sender));
    }
    assert!(chain.judge(&bytes_of(&SignedHeader { header, signature: good }, &[])).is_ok());
}

/// The header's bytes: fixed places, every field its own, the nonce last.
#[test]
fn a_header_is_160_bytes_in_the_order_of_the_protocol() {
    let header = Header {
        version: 0x0403_0201,
        parent: Hash([0x11; 32]),
        transactions_root: Hash([0x22; 32]),
        state_root: Hash([0x33; 32]),
        height: 0x0807_0605_0403_0201,
        time: 0x1817_1615_1413_1211,
        bits: 0x2423_2221,
        miner: public("alice"),
        nonce: 0x3837_3635_3433_3231,
    };
    let expected = format!(
        "01020304{}{}{}0102030405060708111213141516171821222324{}3132333435363738",
        "11".repeat(32),
        "22".repeat(32),
        "33".repeat(32),
        hex::encode(public("alice").0),
    );
    assert_eq!(hex::encode(header.to_bytes()), expected);
    assert_eq!(Header::from_bytes(&header.to_bytes()), header);
    assert_eq!(header.to_bytes()[Header::NONCE_OFFSET..], header.nonce.to_le_bytes());
}

/// Block 0 is not checked: its work and its signature are not there.
#[test]
fn block_0_begins_a_tree_without_being_checked() {
    let chain = chain_with(|_| {});
    assert!(CheckedHeader::check(*chain.genesis.header()).is_err());
    let header = CheckedHeader::stored(*chain.genesis.header());
    let tree = HeaderTree::new(
        chain.params().clone(),
        Placed { header, work: header.target().work(), parent_time: None },
    );
    assert_eq!((tree.root(), tree.best(), tree.next_move(&tree.root())), (header.id(), header.id(), None));
}
