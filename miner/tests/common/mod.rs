//! What the tests share: headers random by seed, and the model that every answer is held against, which is
//! `printsy-consensus`: its `Header::id` and its `Target`.

use std::ops::RangeInclusive;

use printsy_consensus::{Hash, Header, sha256d};

pub fn random_header(seed: u64) -> Header {
    let mut bytes = [0; Header::LEN];
    for (i, part) in (0u64..).zip(bytes.chunks_mut(32)) {
        part.copy_from_slice(&sha256d(&[seed.to_le_bytes(), i.to_le_bytes()].concat()).0);
    }
    Header::from_bytes(&bytes)
}

pub fn id_with(header: &Header, nonce: u64) -> Hash {
    Header { nonce, ..*header }.id()
}

/// The model: the lowest hit of the range, one whole header at a time.
pub fn naive(header: &Header, target: &[u8; 32], mut nonces: RangeInclusive<u64>) -> Option<u64> {
    nonces.find(|nonce| id_with(header, *nonce).0 <= *target)
}

/// A target that the lowest id of the range meets exactly, or one below it, that none does.
pub fn target_at_the_lowest_id(header: &Header, nonces: RangeInclusive<u64>, met: bool) -> [u8; 32] {
    let mut target = nonces.map(|nonce| id_with(header, nonce).0).min().expect("the range is not empty");
    if !met {
        let last = target.iter().rposition(|byte| *byte != 0).expect("no id is zero");
        target[last] -= 1;
        target[last + 1..].fill(0xff);
    }
    target
}
