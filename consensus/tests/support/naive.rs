//! Hashes, the transactions root, the state root and its proofs, as docs/protocol.md states them: recursion over
//! plain vectors, nothing kept, nothing shared with the crate but the type of a transaction.

use printsy_consensus::Transaction;
use sha2::{Digest, Sha256};

pub type Bytes32 = [u8; 32];

/// An entry of the state by its path.
pub type PathEntry = (Bytes32, Vec<u8>);

pub fn tagged(tag: &str, parts: &[&[u8]]) -> Bytes32 {
    let tag = Sha256::digest(tag.as_bytes());
    let mut all = [tag, tag].concat();
    parts.iter().for_each(|part| all.extend_from_slice(part));
    Sha256::digest(&all).into()
}

/// The root over transactions: split at the largest power of two below the count, which is where pairing from
/// the left with the odd last node moving up comes to.
pub fn transactions_root(transactions: &[Transaction]) -> Bytes32 {
    let leaves: Vec<Bytes32> =
        transactions.iter().map(|tx| tagged("printsy/tx", &[&tx.body.txid().0, &tx.signature])).collect();
    let count = u32::try_from(leaves.len()).expect("few transactions").to_le_bytes();
    if leaves.is_empty() {
        return tagged("printsy/root", &[&count]);
    }
    tagged("printsy/root", &[&count, &top(&leaves)])
}

fn top(leaves: &[Bytes32]) -> Bytes32 {
    if let [leaf] = leaves {
        return *leaf;
    }
    let split = leaves.len().next_power_of_two() / 2;
    tagged("printsy/node", &[&top(&leaves[..split]), &top(&leaves[split..])])
}

/// Bit `depth` of a path, most significant first.
pub fn bit(path: &Bytes32, depth: usize) -> bool {
    path[depth / 8] >> (7 - depth % 8) & 1 == 1
}

/// The root of a set of entries with distinct paths, in any order.
pub fn state_root(entries: &[PathEntry]) -> Bytes32 {
    subtree(entries, 0)
}

fn halves(entries: &[PathEntry], depth: usize) -> (Vec<PathEntry>, Vec<PathEntry>) {
    entries.iter().cloned().partition(|(path, _)| !bit(path, depth))
}

fn subtree(entries: &[PathEntry], depth: usize) -> Bytes32 {
    match entries {
        [] => [0; 32],
        [(path, value)] => tagged("printsy/leaf", &[path, value]),
        _ => {
            let (left, right) = halves(entries, depth);
            tagged("printsy/branch", &[&subtree(&left, depth + 1), &subtree(&right, depth + 1)])
        }
    }
}

/// The bytes of the proof for `path`: siblings from the root down, then what the path ends at.
pub fn proof(entries: &[PathEntry], path: &Bytes32) -> Vec<u8> {
    let mut siblings = Vec::new();
    let mut here = entries.to_vec();
    while here.len() > 1 {
        let depth = siblings.len();
        let (left, right) = halves(&here, depth);
        let (next, other) = if bit(path, depth) { (right, left) } else { (left, right) };
        siblings.push(subtree(&other, depth + 1));
        here = next;
    }
    let mut bytes = u16::try_from(siblings.len()).expect("a path has 256 bits").to_le_bytes().to_vec();
    siblings.iter().for_each(|sibling| bytes.extend_from_slice(sibling));
    match here.first() {
        None => bytes.push(0),
        Some((path, value)) => {
            bytes.push(1);
            bytes.extend_from_slice(path);
            bytes.extend_from_slice(&u16::try_from(value.len()).expect("a short value").to_le_bytes());
            bytes.extend_from_slice(value);
        }
    }
    bytes
}
