//! Decoding never panics, and is one-to-one: what is accepted is exactly the bytes of one value.

use std::fmt::Debug;

use printsy_consensus::codec::{self, Decode, Encode};
use printsy_consensus::{
    Account, Block, BlockUndo, Edition, Hash, Miner, Params, Position, Proof, StateKey, StateRow, Supply,
    Transaction,
};

use crate::support::random::{BUYERS, for_seeds, random_body, random_miner};
use crate::support::{Chain, Random, chain_with};

/// Refused, or the bytes of what came out.
fn one_to_one<T: Decode<()> + Encode + Debug>(bytes: &[u8]) -> bool {
    let Ok(value) = codec::decode::<T>(bytes) else { return false };
    assert_eq!(hex::encode(codec::encode(&value)), hex::encode(bytes), "two encodings of {value:?}");
    true
}

/// The same for every kind of value at once: whatever it was, it may be offered as anything.
fn offered_as_everything(bytes: &[u8]) {
    one_to_one::<Transaction>(bytes);
    one_to_one::<Block>(bytes);
    one_to_one::<Proof>(bytes);
    one_to_one::<Params>(bytes);
    one_to_one::<StateKey>(bytes);
    one_to_one::<StateRow>(bytes);
    one_to_one::<BlockUndo>(bytes);
    one_to_one::<Edition>(bytes);
    one_to_one::<Account>(bytes);
    one_to_one::<Miner>(bytes);
    one_to_one::<Supply>(bytes);
    one_to_one::<Position>(bytes);
}

/// Valid bytes of every kind, from a short random history.
fn samples(random: &mut Random) -> Vec<Vec<u8>> {
    let mut chain = chain_with(|params| params.max_editions = 50);
    let mut samples = vec![codec::encode(chain.params())];
    for _ in 0..6 {
        let body = random_body(random, &mut chain, 12);
        samples.extend(body.iter().map(codec::encode));
        let bytes = chain.block(random_miner(random, &chain), &body);
        let (_, applied) = chain.connect(&bytes).expect("made of valid orders");
        samples.push(bytes);
        samples.push(codec::encode(&applied.undo));
        samples
            .extend(applied.undo.transactions.iter().flat_map(|undo| undo.entries.iter().map(codec::encode)));
    }
    samples.extend(proofs(&chain));
    samples
}

fn proofs(chain: &Chain) -> Vec<Vec<u8>> {
    let keys = BUYERS.map(|name| StateKey::Account(crate::support::public(name)));
    keys.iter().map(|key| codec::encode(&chain.tree.prove(&key.path()))).collect()
}

#[test]
fn decode_never_panics_on_random_bytes_and_is_one_to_one() {
    for_seeds(0..3_000, |random| {
        let len = random.index(400);
        let mut bytes = random.bytes(len);
        // Small numbers where counts and tags stand get further into a value than noise does.
        for _ in 0..random.index(40) {
            if !bytes.is_empty() {
                let at = random.index(bytes.len());
                bytes[at] = random.byte() % 4;
            }
        }
        offered_as_everything(&bytes);
    });
}

#[test]
fn decode_never_panics_on_cut_values_and_is_one_to_one() {
    for_seeds(0..2, |random| {
        for bytes in samples(random) {
            for end in 0..bytes.len() {
                offered_as_everything(&bytes[..end]);
            }
        }
    });
}

#[test]
fn decode_never_panics_on_flipped_bits_and_is_one_to_one() {
    for_seeds(100..103, |random| {
        for bytes in samples(random) {
            for _ in 0..64 {
                let mut other = bytes.clone();
                for _ in 0..=random.index(3) {
                    let bit = random.index(other.len() * 8);
                    other[bit / 8] ^= 1 << (bit % 8);
                }
                offered_as_everything(&other);
            }
        }
    });
}

#[test]
fn decode_never_panics_on_spliced_values_and_is_one_to_one() {
    for_seeds(200..202, |random| {
        let samples = samples(random);
        for _ in 0..2_000 {
            let (one, two) = (random.index(samples.len()), random.index(samples.len()));
            let (head, tail) = (random.index(samples[one].len()), random.index(samples[two].len()));
            offered_as_everything(&[&samples[one][..head], &samples[two][tail..]].concat());
        }
    });
}

/// What a valid value is: all of the samples are, so the laws above are not about refusals alone.
#[test]
fn valid_values_survive_the_way_there_and_back() {
    for_seeds(300..303, |random| {
        for bytes in samples(random) {
            let kinds = [
                one_to_one::<Transaction>(&bytes),
                one_to_one::<Block>(&bytes),
                one_to_one::<Proof>(&bytes),
                one_to_one::<Params>(&bytes),
                one_to_one::<StateRow>(&bytes),
                one_to_one::<BlockUndo>(&bytes),
            ];
            assert!(kinds.contains(&true), "{}", hex::encode(&bytes));
        }
    });
}

/// Text forms too: one hash, one text.
#[test]
fn text_of_a_hash_is_one_to_one() {
    for_seeds(0..200, |random| {
        let hash = Hash(random.bytes32());
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!(hash.to_string(), hex::encode(hash.0));
    });
}
