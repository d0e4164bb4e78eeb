//! The state tree equals the naive one: root, entries and proofs, over random updates and removals.

use std::collections::BTreeMap;

use printsy_consensus::{Hash, Proof, ProofError, StateTree, codec};

use crate::support::Random;
use crate::support::naive::{self, Bytes32, PathEntry};
use crate::support::random::for_seeds;

/// A path out of few, many of which share long beginnings: all the bits at which two may part are tried.
fn path(random: &mut Random) -> Bytes32 {
    let mut path = [if random.chance(2) { 0xff } else { 0 }; 32];
    for _ in 0..random.index(3) {
        let bit = *[0, 1, 2, 7, 8, 9, 100, 127, 128, 200, 254, 255].get(random.index(12)).expect("twelve");
        path[bit / 8] ^= 0x80 >> (bit % 8);
    }
    if random.chance(3) { random.bytes32() } else { path }
}

fn value(random: &mut Random) -> Vec<u8> {
    let len = random.index(20);
    random.bytes(len)
}

type Naive = BTreeMap<Bytes32, Vec<u8>>;

fn entries(naive: &Naive) -> Vec<PathEntry> {
    naive.iter().map(|(path, value)| (*path, value.clone())).collect()
}

/// A random batch of changes, made to both; the same path may stand in it more than once.
fn change(random: &mut Random, tree: &StateTree, naive: &mut Naive) -> StateTree {
    let known: Vec<Bytes32> = naive.keys().copied().collect();
    let changes: Vec<(Bytes32, Option<Vec<u8>>)> = (0..random.index(12))
        .map(|_| {
            let known_one = !known.is_empty() && random.chance(2);
            let path = if known_one { random.pick(&known) } else { path(random) };
            (path, (!random.chance(3)).then(|| value(random)))
        })
        .collect();
    for (path, value) in &changes {
        match value {
            Some(value) => naive.insert(*path, value.clone()),
            None => naive.remove(path),
        };
    }
    let boxed = changes.into_iter().map(|(path, value)| (Hash(path), value.map(Vec::into_boxed_slice)));
    tree.update(boxed)
}

fn same(tree: &StateTree, naive: &Naive) {
    assert_eq!(tree.root().0, naive::state_root(&entries(naive)));
    assert_eq!(tree.len(), naive.len());
    assert_eq!(tree.is_empty(), naive.is_empty());
    for (path, value) in naive {
        assert_eq!(tree.get(&Hash(*path)), Some(&**value));
    }
}

#[test]
fn the_tree_equals_the_naive_one_after_any_changes() {
    for_seeds(0..300, |random| {
        let (mut tree, mut naive) = (StateTree::default(), Naive::new());
        for _ in 0..12 {
            let (before, before_naive) = (tree.clone(), naive.clone());
            tree = change(random, &tree, &mut naive);
            same(&tree, &naive);
            same(&before, &before_naive);
        }
        let all: Vec<Hash> = naive.keys().copied().map(Hash).collect();
        assert_eq!(tree.update(all.into_iter().map(|path| (path, None))).root(), Hash::ZERO);
    });
}

/// How a set came about does not matter: at once, one by one in any order, or with detours.
#[test]
fn the_root_is_that_of_the_set_alone() {
    for_seeds(0..100, |random| {
        let (mut tree, mut naive) = (StateTree::default(), Naive::new());
        for _ in 0..10 {
            tree = change(random, &tree, &mut naive);
        }
        let mut items = entries(&naive);
        random.shuffle(&mut items);
        let boxed = |(path, value): PathEntry| (Hash(path), Some(value.into_boxed_slice()));
        let at_once = StateTree::default().update(items.iter().cloned().map(boxed));
        let one_by_one =
            items.iter().cloned().fold(StateTree::default(), |tree, item| tree.update([boxed(item)]));
        assert_eq!(at_once.root(), tree.root());
        assert_eq!(one_by_one.root(), tree.root());
    });
}

#[test]
fn proofs_are_the_naive_ones_and_show_what_is_there() {
    for_seeds(0..100, |random| {
        let (mut tree, mut naive) = (StateTree::default(), Naive::new());
        for _ in 0..random.index(12) {
            tree = change(random, &tree, &mut naive);
        }
        let entries = entries(&naive);
        let mut asked: Vec<Bytes32> = naive.keys().copied().collect();
        asked.extend((0..20).map(|_| path(random)));
        for path in asked {
            let proof = tree.prove(&Hash(path));
            assert_eq!(codec::encode(&proof), naive::proof(&entries, &path));
            let shown = proof.verify(&tree.root(), &Hash(path)).expect("its own proof");
            assert_eq!(shown, naive.get(&path).map(|value| &**value));
        }
    });
}

/// No bit of a proof can be changed, and none serves for another path that it was not made for, or another root.
#[test]
fn mutated_proofs_prove_nothing() {
    for_seeds(0..40, |random| {
        let (mut tree, mut naive) = (StateTree::default(), Naive::new());
        for _ in 0..4 {
            tree = change(random, &tree, &mut naive);
        }
        let asked = naive.keys().copied().next().unwrap_or_else(|| path(random));
        for path in [asked, random.bytes32()] {
            let bytes = codec::encode(&tree.prove(&Hash(path)));
            let bits = bytes.len() * 8;
            // Every bit of a short proof; of a deep one, which costs a hash for each level, some of them.
            let tried: Vec<usize> = if bits < 4_000 {
                (0..bits).collect()
            } else {
                (0..100).map(|_| random.index(bits)).collect()
            };
            for bit in tried {
                let mut other = bytes.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                let Ok(proof) = codec::decode::<Proof>(&other) else { continue };
                assert!(proof.verify(&tree.root(), &Hash(path)).is_err(), "bit {bit}");
            }
            let mut other_root = tree.root();
            other_root.0[random.index(32)] ^= 1;
            assert!(tree.prove(&Hash(path)).verify(&other_root, &Hash(path)).is_err());
        }
    });
}

/// A proof offered for a path it was not made for is refused, or says of that path what is true.
#[test]
fn proofs_for_other_paths_never_lie() {
    for_seeds(0..60, |random| {
        let (mut tree, mut naive) = (StateTree::default(), Naive::new());
        for _ in 0..5 {
            tree = change(random, &tree, &mut naive);
        }
        let mut paths: Vec<Bytes32> = naive.keys().copied().collect();
        paths.extend((0..10).map(|_| path(random)));
        for made_for in &paths {
            let proof = tree.prove(&Hash(*made_for));
            for asked in &paths {
                if let Ok(shown) = proof.verify(&tree.root(), &Hash(*asked)) {
                    assert_eq!(shown, naive.get(asked).map(|value| &**value));
                }
            }
        }
    });
}

/// Beside a path, but not on it: told apart from a proof that leads to another root.
#[test]
fn a_proof_that_ends_off_the_path_is_refused_as_that() {
    let (one, two) = (Hash([0; 32]), Hash([0xff; 32]));
    let tree = StateTree::default().update([one, two].map(|path| (path, Some(b"x".to_vec().into()))));
    let proof = tree.prove(&one);
    assert_eq!(proof.verify(&tree.root(), &two), Err(ProofError::OffPath));
    assert_eq!(proof.verify(&Hash::ZERO, &one), Err(ProofError::Root));
    let mut near = one;
    near.0[31] = 1;
    assert_eq!(proof.verify(&tree.root(), &near), Ok(None));
}

#[test]
fn the_deepest_tree_there_is() {
    let (mut left, mut right) = ([0; 32], [0; 32]);
    (left[31], right[31]) = (0, 1);
    let items = [(Hash(left), Some(b"l".to_vec().into())), (Hash(right), Some(b"r".to_vec().into()))];
    let tree = StateTree::default().update(items);
    let proof = tree.prove(&Hash(left));
    assert_eq!(proof.siblings.len(), 256);
    assert_eq!(proof.verify(&tree.root(), &Hash(left)), Ok(Some(&b"l"[..])));
    let one = tree.update([(Hash(right), None)]);
    assert_eq!(one.root(), printsy_consensus::leaf_hash(&Hash(left), b"l"));
    assert_eq!(one.prove(&Hash(right)).verify(&one.root(), &Hash(right)), Ok(None));
}
