//! G1 to G10: what a network can begin with. A genesis is an operator's own file: nobody else is to blame.

use printsy_consensus::{
    Admission, Genesis, GenesisError, GenesisMiner, Params, PublicKey, Rule, StateKey, codec, genesis_rows,
};
use serde_json::{Value, json};

use crate::support::{Model, base_params, genesis_with, public};

fn judge(change: impl FnOnce(&mut Params)) -> Result<(), Rule> {
    let mut params = base_params();
    change(&mut params);
    match Genesis::new(params) {
        Ok(_) => Ok(()),
        Err(GenesisError::Rule { rule, .. }) => Err(rule),
        Err(other) => panic!("{other}"),
    }
}

/// The base parameters as the file says them, with one key changed.
fn judge_json(name: &str, value: Value) -> Result<(), Rule> {
    let mut json = base_json();
    json[name] = value;
    match Genesis::from_json(&json.to_string()) {
        Ok(_) => Ok(()),
        Err(GenesisError::Rule { rule, .. }) => Err(rule),
        Err(other) => panic!("{other}"),
    }
}

fn base_json() -> Value {
    serde_json::from_str(&genesis_with(|_| {}).to_json()).expect("its own text")
}

fn named(name: &[u8]) -> Result<(), Rule> {
    judge(|params| {
        params.admission = Admission::Registered;
        params.network = name.to_vec().try_into().expect("at most 32 bytes");
    })
}

#[test]
fn g1_accepts_names_of_1_to_32_letters_digits_and_dashes() {
    for name in [&b"a"[..], b"0", b"-", b"az-09", &[b'z'; 32]] {
        assert_eq!(named(name), Ok(()));
    }
}

#[test]
fn g1_refuses_every_other_name() {
    for name in [&b""[..], b"A", b"a b", b"a_b", b"a.b", b"a\0", b"\xc3\xa9", b"`", b"{", b"/", b":"] {
        assert_eq!(named(name), Err(Rule::G1));
    }
    assert_eq!(judge_json("network", json!("dev-".to_owned() + &"x".repeat(28))), Ok(()));
    assert_eq!(judge_json("network", json!("dev-".to_owned() + &"x".repeat(29))), Err(Rule::G1));
}

#[test]
fn g2_accepts_1_to_2_to_the_53_images_and_1_to_a_million_editions() {
    for images in [1, 1 << 53] {
        assert_eq!(judge(|params| params.max_images = images), Ok(()));
    }
    for editions in [1, 1_000_000] {
        assert_eq!(judge(|params| params.max_editions = editions), Ok(()));
    }
}

#[test]
fn g2_refuses_none_and_one_more() {
    for images in [0, (1 << 53) + 1, u64::MAX] {
        assert_eq!(judge(|params| params.max_images = images), Err(Rule::G2));
    }
    for editions in [0, 1_000_001, u32::MAX] {
        assert_eq!(judge(|params| params.max_editions = editions), Err(Rule::G2));
    }
}

fn times(min: u64, target: u64, half: u64) -> Result<(), Rule> {
    judge(|params| {
        (params.min_interval_ms, params.target_interval_ms, params.half_life_ms) = (min, target, half);
        params.max_future_ms = 1 << 40;
    })
}

#[test]
fn g3_accepts_times_that_ascend_or_are_equal() {
    for (min, target, half) in [(1, 1, 1), (1, 2, 3), (1 << 40, 1 << 40, 1 << 40), (1, 1, 1 << 40)] {
        assert_eq!(times(min, target, half), Ok(()));
    }
}

#[test]
fn g3_refuses_times_that_descend_or_pass_the_bounds() {
    for (min, target, half) in
        [(0, 1, 1), (2, 1, 3), (1, 3, 2), (1, 1, (1 << 40) + 1), (1, 1, u64::MAX), (0, 0, 0)]
    {
        assert_eq!(times(min, target, half), Err(Rule::G3));
    }
}

#[test]
fn g4_accepts_canonical_targets_of_any_size() {
    for bits in [0x0101_0000, 0x1d00_ffff, 0x207f_ffff, 0x2100_ffff, 0x2100_8000] {
        assert_eq!(judge(|params| params.bits = bits), Ok(()), "{bits:08x}");
    }
}

#[test]
fn g4_refuses_zero_signed_overflowing_and_other_spellings() {
    for bits in [0, 0x0100_0000, 0x2080_0000, 0x2101_0000, 0x2200_0001, 0x1f00_7fff, 0x0101_0001, 0xff7f_ffff]
    {
        assert_eq!(judge(|params| params.bits = bits), Err(Rule::G4), "{bits:08x}");
    }
    assert_eq!(judge_json("bits", json!("207fffff")), Ok(()));
    for text in ["207FFFFF", "0x207fffff", "7fffff", "207fffff ", "+07fffff", "", "2\u{660}7fffff"] {
        assert_eq!(judge_json("bits", json!(text)), Err(Rule::G4), "{text}");
    }
}

#[test]
fn g5_accepts_a_depth_of_1_and_a_validity_of_1_to_100_000() {
    assert_eq!(judge(|params| params.finality_depth = 1), Ok(()));
    assert_eq!(judge(|params| params.finality_depth = u32::MAX), Ok(()));
    for validity in [1, 100_000] {
        assert_eq!(judge(|params| params.max_validity = validity), Ok(()));
    }
}

#[test]
fn g5_refuses_a_depth_of_0_and_a_validity_of_0_or_100_001() {
    assert_eq!(judge(|params| params.finality_depth = 0), Err(Rule::G5));
    for validity in [0, 100_001] {
        assert_eq!(judge(|params| params.max_validity = validity), Err(Rule::G5));
    }
}

#[test]
fn g6_accepts_64_kib_to_64_mib() {
    for bytes in [65_536, 67_108_864] {
        assert_eq!(judge(|params| params.max_block_bytes = bytes), Ok(()));
    }
}

#[test]
fn g6_refuses_a_byte_less_and_a_byte_more() {
    for bytes in [0, 65_535, 67_108_865, u32::MAX] {
        assert_eq!(judge(|params| params.max_block_bytes = bytes), Err(Rule::G6));
    }
}

fn keys(count: usize) -> Vec<PublicKey> {
    (0..count).map(|number| public(&format!("key-{number}"))).collect()
}

fn miners(keys: Vec<PublicKey>) -> Vec<GenesisMiner> {
    let name = |key| GenesisMiner { key, name: b"x".to_vec().try_into().expect("short") };
    keys.into_iter().map(name).collect()
}

#[test]
fn g7_accepts_one_of_each_and_as_many_as_the_lists_hold() {
    assert_eq!(judge(|params| params.issuers = vec![].try_into().unwrap()), Ok(()));
    assert_eq!(judge(|params| params.registrars = keys(16).try_into().unwrap()), Ok(()));
    assert_eq!(judge(|params| params.issuers = keys(16).try_into().unwrap()), Ok(()));
    assert_eq!(judge(|params| params.miners = miners(keys(1_024)).try_into().unwrap()), Ok(()));
    // One key may stand in several lists.
    let everywhere = |params: &mut Params| {
        params.registrars = keys(1).try_into().unwrap();
        params.issuers = keys(1).try_into().unwrap();
        params.miners = miners(keys(1)).try_into().unwrap();
    };
    assert_eq!(judge(everywhere), Ok(()));
}

#[test]
fn g7_refuses_empty_lists_no_keys_and_keys_that_stand_twice() {
    assert_eq!(judge(|params| params.registrars = vec![].try_into().unwrap()), Err(Rule::G7));
    assert_eq!(judge(|params| params.miners = vec![].try_into().unwrap()), Err(Rule::G7));
    let twice = || [keys(2), keys(1)].concat();
    let off = || [keys(2), vec![PublicKey::NONE]].concat();
    for list in [twice(), off()] {
        assert_eq!(judge(|params| params.registrars = list.clone().try_into().unwrap()), Err(Rule::G7));
        assert_eq!(judge(|params| params.issuers = list.clone().try_into().unwrap()), Err(Rule::G7));
        assert_eq!(judge(|params| params.miners = miners(list).try_into().unwrap()), Err(Rule::G7));
    }
}

#[test]
fn g7_refuses_lists_of_one_more_than_they_hold() {
    let addresses = |count| json!(keys(count).iter().map(ToString::to_string).collect::<Vec<_>>());
    for name in ["registrars", "issuers"] {
        assert_eq!(judge_json(name, addresses(16)), Ok(()));
        assert_eq!(judge_json(name, addresses(17)), Err(Rule::G7));
        assert_eq!(judge_json(name, json!(["alice"])), Err(Rule::G7));
    }
    let miner = |key: &PublicKey| json!({"key": key.to_string(), "name": "x"});
    let list = |count| json!(keys(count).iter().map(miner).collect::<Vec<_>>());
    assert_eq!(judge_json("miners", list(1_024)), Ok(()));
    assert_eq!(judge_json("miners", list(1_025)), Err(Rule::G7));
}

fn miner_named(name: &[u8]) -> Result<(), Rule> {
    let name = name.to_vec().try_into().expect("at most 32 bytes");
    judge(|params| {
        params.miners = vec![GenesisMiner { key: public("miner-1"), name }].try_into().expect("one")
    })
}

#[test]
fn g8_accepts_names_as_t12_does() {
    for name in [&b"x"[..], b"a b", b"!~", &[b'x'; 32]] {
        assert_eq!(miner_named(name), Ok(()));
    }
}

#[test]
fn g8_refuses_names_as_t12_does() {
    for name in [&b""[..], b" x", b"x ", b"a\x1fb", b"a\x7f", b"\xc3\xa9"] {
        assert_eq!(miner_named(name), Err(Rule::G8));
    }
    let miner = |name: &str| json!([{"key": public("miner-1").to_string(), "name": name}]);
    assert_eq!(judge_json("miners", miner(&"x".repeat(32))), Ok(()));
    assert_eq!(judge_json("miners", miner(&"x".repeat(33))), Err(Rule::G8));
}

fn admission(network: &[u8], admission: Admission) -> Result<(), Rule> {
    judge(|params| {
        params.network = network.to_vec().try_into().expect("short");
        params.admission = admission;
    })
}

#[test]
fn g9_accepts_open_admission_on_development_networks_and_registered_on_all() {
    assert_eq!(admission(b"dev-", Admission::Open), Ok(()));
    assert_eq!(admission(b"dev-x", Admission::Registered), Ok(()));
    assert_eq!(admission(b"printsy", Admission::Registered), Ok(()));
}

#[test]
fn g9_refuses_open_admission_anywhere_else() {
    for network in [&b"printsy"[..], b"dev", b"devx", b"a-dev-", b"-dev-"] {
        assert_eq!(admission(network, Admission::Open), Err(Rule::G9));
    }
}

#[test]
fn g10_accepts_the_least_interval_to_2_to_the_40() {
    for future in [500, 1 << 40] {
        assert_eq!(judge(|params| params.max_future_ms = future), Ok(()));
    }
}

#[test]
fn g10_refuses_a_millisecond_less_and_one_more() {
    for future in [0, 499, (1 << 40) + 1, u64::MAX] {
        assert_eq!(judge(|params| params.max_future_ms = future), Err(Rule::G10));
    }
}

#[test]
fn a_file_with_a_key_too_many_too_few_twice_or_of_another_type_is_none() {
    let is_json_error = |text: &str| matches!(Genesis::from_json(text), Err(GenesisError::Json(_)));
    let base = base_json();
    for name in base.as_object().unwrap().keys() {
        let mut without = base.clone();
        without.as_object_mut().unwrap().remove(name);
        assert!(is_json_error(&without.to_string()), "without {name}");
        let mut other = base.clone();
        other[name] = json!({});
        assert!(is_json_error(&other.to_string()), "{name} of another type");
        let twice = base.to_string().replacen('{', &format!("{{\"{name}\": {}, ", base[name]), 1);
        assert!(is_json_error(&twice), "{name} twice");
    }
    let mut more = base.clone();
    more["comment"] = json!("hello");
    assert!(is_json_error(&more.to_string()));
    let mut miner = base.clone();
    miner["miners"][0]["comment"] = json!("hello");
    assert!(is_json_error(&miner.to_string()));
    for (name, value) in [("time", json!(-1)), ("time", json!(1.5)), ("maxEditions", json!(1u64 << 32))] {
        let mut other = base.clone();
        other[name] = value;
        assert!(is_json_error(&other.to_string()), "{name}");
    }
    for value in ["Open", "closed", ""] {
        let mut other = base.clone();
        other["catalogue"] = json!(value);
        assert!(is_json_error(&other.to_string()), "{value}");
    }
    assert!(is_json_error(""));
    assert!(is_json_error(&format!("{base} x")));
}

#[test]
fn a_genesis_reads_back_what_it_writes() {
    let genesis = genesis_with(|params| params.max_per_account = 3);
    let again = Genesis::from_json(&genesis.to_json()).unwrap();
    assert_eq!(again.hash(), genesis.hash());
    assert_eq!(again.params(), genesis.params());
}

/// Hash it, and no other network's genesis has that hash: every field counts.
#[test]
fn every_parameter_changes_the_hash() {
    let changes: [fn(&mut Params); 20] = [
        |params| params.network = b"dev-other".to_vec().try_into().unwrap(),
        |params| params.time += 1,
        |params| params.max_images += 1,
        |params| params.max_editions += 1,
        |params| params.max_per_account += 1,
        |params| params.catalogue = printsy_consensus::Catalogue::Listed,
        |params| params.admission = Admission::Registered,
        |params| params.target_interval_ms += 1,
        |params| params.min_interval_ms += 1,
        |params| params.half_life_ms -= 1,
        |params| params.bits -= 1,
        |params| params.finality_depth += 1,
        |params| params.max_validity += 1,
        |params| params.max_block_bytes += 1,
        |params| params.max_per_sender += 1,
        |params| params.miner_spacing += 1,
        |params| params.max_future_ms += 1,
        |params| params.registrars = keys(1).try_into().unwrap(),
        |params| params.issuers = keys(1).try_into().unwrap(),
        |params| params.miners = miners(keys(1)).try_into().unwrap(),
    ];
    let mut hashes: Vec<_> = changes.iter().map(|change| genesis_with(change).hash()).collect();
    hashes.push(genesis_with(|_| {}).hash());
    let count = hashes.len();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), count);
}

#[test]
fn block_0_leaves_the_supply_and_the_miners() {
    let genesis = genesis_with(|_| {});
    let model = Model::genesis(genesis.params());
    assert_eq!(genesis.state().root(), model.root());
    assert_eq!(genesis.header().header.state_root, model.root());
    assert_eq!(genesis.state().len(), 4);
    for row in genesis_rows(genesis.params()) {
        let value = codec::encode(&row.entry.expect("genesis removes nothing"));
        assert_eq!(genesis.state().get(&row.key.path()), Some(&*value));
    }
    assert_eq!(genesis.state().get(&StateKey::Supply.path()), Some(&[0; 16][..]));
}
