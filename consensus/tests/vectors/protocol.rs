//! `protocol.json`: the protocol as bytes.
//!
//! Every value of it is compared both ways where there are two: decoded and encoded, hashed and looked up.

use printsy_consensus::{
    Block, Fault, Genesis, GenesisError, Hash, Params, Proof, Rule, SecretKey, StateTree, Tag, Target,
    Transaction, codec, tagged, transactions_root,
};
use ruint::aliases::U256;
use serde_json::Value;

use crate::support::{Chain, naive, naive::PathEntry};

fn vectors() -> Value {
    serde_json::from_str(include_str!("protocol.json")).expect("JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).expect("hex")
}

fn hash(value: &Value) -> Hash {
    text(value).parse().expect("64 lower-case hex digits")
}

fn bits(value: &Value) -> u32 {
    u32::from_str_radix(text(value), 16).expect("8 hex digits")
}

fn items(value: &Value, at_least: usize) -> impl Iterator<Item = &Value> {
    let items = value.as_array().expect("a list");
    assert!(items.len() >= at_least, "the vectors are whole");
    items.iter()
}

fn genesis(vectors: &Value) -> Genesis {
    Genesis::from_json(&vectors["genesis"]["json"].to_string()).expect("a valid genesis")
}

fn entries(value: &Value) -> Vec<PathEntry> {
    items(value, 0).map(|entry| (hash(&entry["path"]).0, bytes(&entry["value"]))).collect()
}

#[test]
fn keys_and_addresses() {
    for (name, expected) in vectors()["keys"].as_object().unwrap() {
        let key = SecretKey::development(name);
        assert_eq!(hex::encode(key.public_key().0), text(&expected["public"]), "{name}");
        assert_eq!(key.public_key().to_string(), text(&expected["address"]), "{name}");
        assert_eq!(text(&expected["address"]).parse(), Ok(key.public_key()), "{name}");
        let secret = bytes(&expected["secret"]).try_into().unwrap();
        assert_eq!(SecretKey::from_bytes(&secret).unwrap().public_key(), key.public_key(), "{name}");
        assert_eq!(tagged(Tag::Dev, &[name.as_bytes()]).0, secret, "{name}");
    }
}

#[test]
fn the_tagged_hash() {
    let vector = &vectors()["tagged"];
    assert_eq!(text(&vector["tag"]), "printsy/key");
    assert_eq!(tagged(Tag::Key, &[&bytes(&vector["data"])]), hash(&vector["hash"]));
    assert_eq!(naive::tagged("printsy/key", &[&bytes(&vector["data"])]), hash(&vector["hash"]).0);
}

#[test]
fn genesis_to_the_byte() {
    let vectors = vectors();
    let (expected, genesis) = (&vectors["genesis"], genesis(&vectors));
    let params = bytes(&expected["params"]);
    assert_eq!(hex::encode(codec::encode(genesis.params())), hex::encode(&params));
    assert_eq!(&codec::decode::<Params>(&params).unwrap(), genesis.params());
    assert_eq!(hex::encode(genesis.header().header.to_bytes()), text(&expected["header"]));
    assert_eq!(genesis.header().signature, [0; 64]);
    assert_eq!(genesis.hash(), hash(&expected["hash"]));
    assert_eq!(genesis.state().root(), hash(&expected["stateRoot"]));
    let again: Value = serde_json::from_str(&genesis.to_json()).unwrap();
    assert_eq!(again, expected["json"]);
}

#[test]
fn state_trees_and_their_proofs() {
    for vector in items(&vectors()["stateTree"], 7) {
        let entries = entries(&vector["entries"]);
        let changes =
            entries.iter().map(|(path, value)| (Hash(*path), Some(value.clone().into_boxed_slice())));
        let tree = StateTree::default().update(changes);
        assert_eq!(tree.root(), hash(&vector["root"]));
        assert_eq!(naive::state_root(&entries), hash(&vector["root"]).0);
        for (path, value) in &entries {
            assert_eq!(proven(&tree, path), Some(value.clone()), "present");
            let mut beside = *path;
            beside[31] ^= 2;
            assert_eq!(proven(&tree, &beside), None, "absent");
        }
    }
}

/// What the tree's proof shows of a path, once it went over a wire.
fn proven(tree: &StateTree, path: &[u8; 32]) -> Option<Vec<u8>> {
    let bytes = codec::encode(&tree.prove(&Hash(*path)));
    let proof: Proof = codec::decode(&bytes).expect("its own bytes");
    proof.verify(&tree.root(), &Hash(*path)).expect("its own proof").map(<[u8]>::to_vec)
}

#[test]
fn compact_targets_and_their_work() {
    for vector in items(&vectors()["compactTargets"], 7) {
        let target = Target::from_bits(bits(&vector["bits"])).unwrap();
        assert_eq!(Hash(target.to_be_bytes()), hash(&vector["target"]));
        assert_eq!(target.to_bits(), bits(&vector["canonical"]));
        let work: U256 = text(&vector["work"]).parse().unwrap();
        assert_eq!(target.work().to_be_bytes(), work.to_be_bytes::<32>());
    }
}

#[test]
fn bits_that_are_not_canonical_are_no_target() {
    // Zero, signed, over 256 bits, with a leading zero byte, with digits below the point.
    for bits in [0, 0x0100_0000, 0x2080_0000, 0x2101_0000, 0x2201_0000, 0xff7f_ffff, 0x1f00_7fff, 0x0101_0001]
    {
        assert_eq!(Target::from_bits(bits), None, "{bits:08x}");
    }
    assert!(Target::from_bits(0x2100_ffff).is_some(), "256 bits and no more");
}

#[test]
fn transactions_roots() {
    for vector in items(&vectors()["transactionsRoot"], 8) {
        let transactions: Vec<Transaction> =
            items(&vector["transactions"], 0).map(|tx| codec::decode(&bytes(tx)).unwrap()).collect();
        let leaves: Vec<Hash> = transactions.iter().map(|tx| tx.leaf(&tx.body.txid())).collect();
        assert_eq!(transactions_root(&leaves), hash(&vector["root"]));
        assert_eq!(naive::transactions_root(&transactions), hash(&vector["root"]).0);
    }
}

/// Connects every block of the vectors, comparing all that they say of each, and returns the chain.
fn walk(vectors: &Value) -> Chain {
    let mut chain = Chain::new(genesis(vectors));
    for vector in items(&vectors["blocks"], 9) {
        let raw = bytes(&vector["block"]);
        let decoded: Block = codec::decode(&raw).expect("a block");
        assert_eq!(hex::encode(codec::encode(&decoded)), text(&vector["block"]));
        let (block, applied) = chain.connect(&raw).unwrap_or_else(|refused| panic!("{refused:?}"));
        assert_eq!(block.height(), vector["height"].as_u64().expect("a height"));
        assert_eq!(block.id(), hash(&vector["hash"]));
        let maker = block.header().header().miner;
        assert_eq!(hex::encode(maker.0), text(&vectors["keys"][text(&vector["miner"])]["public"]));
        assert_eq!(block.header().header().bits, bits(&vector["bits"]));
        assert_eq!(chain.headers.next_bits(&block.id()), Some(bits(&vector["nextBits"])));
        assert_eq!(items(&vector["transactions"], 0).count(), block.transactions().len());
        for (tx, expected) in block.transactions().iter().zip(items(&vector["transactions"], 0)) {
            assert_eq!(hex::encode(tx.bytes()), text(&expected["bytes"]));
            assert_eq!(hex::encode(codec::encode(tx.transaction())), text(&expected["bytes"]));
            assert_eq!(tx.txid(), hash(&expected["txId"]));
        }
        assert_eq!(applied.tree.root(), hash(&vector["stateRoot"]));
        same_entries(&applied.tree, &chain, entries(&vector["entries"]));
    }
    chain
}

fn same_entries(tree: &StateTree, chain: &Chain, mut expected: Vec<PathEntry>) {
    let mut got = chain.model.entries();
    got.sort();
    expected.sort();
    assert_eq!(got, expected);
    assert_eq!(tree.len(), expected.len());
    for (path, value) in &expected {
        assert_eq!(tree.get(&Hash(*path)), Some(&**value));
        assert_eq!(proven(tree, path).as_ref(), Some(value));
    }
}

#[test]
fn blocks_connect_and_leave_the_state_as_given() {
    let chain = walk(&vectors());
    assert_eq!(chain.tip.height, 9);
}

#[test]
fn blocks_that_break_one_rule_are_refused_by_that_rule() {
    let vectors = vectors();
    let chain = walk(&vectors);
    for vector in items(&vectors["refusedOnTip"], 15) {
        let raw = bytes(&vector["block"]);
        let now = codec::decode::<Block>(&raw).unwrap().header.header.time;
        let refused = chain.judge_at(&raw, now).map(|_| ()).unwrap_err();
        let rule = text(&vector["rule"]).split(' ').next().unwrap();
        assert_eq!(refused.rule.map(Rule::id), Some(rule), "{}: {}", text(&vector["rule"]), refused.text);
        let fault = if rule == "B2" { Fault::Sender } else { Fault::Block };
        assert_eq!(refused.fault, fault, "{}", text(&vector["rule"]));
    }
}

#[test]
fn a_genesis_that_breaks_one_rule_is_refused_by_that_rule() {
    let vectors = vectors();
    for vector in items(&vectors["refusedGenesis"], 12) {
        let mut json = vectors["genesis"]["json"].clone();
        for (name, value) in vector["change"].as_object().unwrap() {
            json[name] = value.clone();
        }
        match Genesis::from_json(&json.to_string()) {
            Err(GenesisError::Rule { rule, .. }) => assert_eq!(rule.id(), text(&vector["rule"])),
            other => panic!("{vector}: {other:?}"),
        }
    }
}
