//! The state root by hand: every entry's bytes written field by field, and the tree of section 6 by plain recursion.
//!
//! Nothing is kept from one root to the next and nothing is shared with the state tree but the tagged hash: it
//! costs a few hashes for each entry there is.

use printsy_consensus::{Hash, Tag, tagged};

use super::book::{Account, At, Book, Image, Miner};

/// An entry's place in the tree, and its value.
type Leaf = (Hash, Vec<u8>);

/// The root of the state that the book says; `None` where it cannot be a state: a number is beyond its field.
pub(super) fn state_root(book: &Book<'_>) -> Option<Hash> {
    let mut leaves: Vec<Leaf> = Vec::with_capacity(book.entries());
    for (number, image) in &book.images {
        leaves.push((path(0, &number.to_le_bytes()), image_value(image)?));
    }
    for (key, account) in &book.accounts {
        leaves.push((path(1, &key.0), account_value(account)?));
    }
    for (key, miner) in &book.miners {
        leaves.push((path(2, &key.0), miner_value(miner)?));
    }
    leaves.push((path(3, &[]), supply_value(book)?));
    leaves.sort_unstable_by_key(|(path, _)| *path);
    Some(subtree(&leaves, 0))
}

/// The root of sorted entries that agree in their first `depth` bits. No deeper than 256: paths differ.
fn subtree(leaves: &[Leaf], depth: usize) -> Hash {
    match leaves {
        [] => Hash::ZERO,
        [(path, value)] => tagged(Tag::Leaf, &[&path.0, value]),
        _ => {
            let ones = leaves.partition_point(|(path, _)| !bit(path, depth));
            let (left, right) = leaves.split_at(ones);
            let (left, right) = (subtree(left, depth + 1), subtree(right, depth + 1));
            tagged(Tag::Branch, &[&left.0, &right.0])
        }
    }
}

fn bit(path: &Hash, depth: usize) -> bool {
    path.0.get(depth / 8).is_some_and(|byte| byte >> (7 - depth % 8) & 1 == 1)
}

fn path(kind: u8, key: &[u8]) -> Hash {
    tagged(Tag::Key, &[&[kind], key])
}

fn image_value(image: &Image) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    out.extend_from_slice(&u32::try_from(image.sold).ok()?.to_le_bytes());
    out.extend_from_slice(&image.editions.to_le_bytes());
    out.extend_from_slice(&image.price.to_le_bytes());
    out.extend_from_slice(&image.seller);
    out.extend_from_slice(&image.register);
    optional_position(&mut out, image.last);
    out.extend_from_slice(&u32::try_from(image.reviews).ok()?.to_le_bytes());
    out.extend_from_slice(&image.rating_sum.to_le_bytes());
    optional_position(&mut out, image.last_review);
    Some(out)
}

fn account_value(account: &Account) -> Option<Vec<u8>> {
    let mut out = u64::try_from(account.balance).ok()?.to_le_bytes().to_vec();
    out.push(u8::from(account.admitted));
    out.extend_from_slice(&account.transactions.to_le_bytes());
    position(&mut out, account.last);
    Some(out)
}

fn miner_value(miner: &Miner) -> Option<Vec<u8>> {
    let mut out = u16::try_from(miner.name.len()).ok()?.to_le_bytes().to_vec();
    out.extend_from_slice(&miner.name);
    out.extend_from_slice(&miner.registered_at.to_le_bytes());
    out.extend_from_slice(&miner.blocks.to_le_bytes());
    out.extend_from_slice(&miner.last_height.to_le_bytes());
    Some(out)
}

fn supply_value(book: &Book<'_>) -> Option<Vec<u8>> {
    let mut out = u64::try_from(book.issued).ok()?.to_le_bytes().to_vec();
    out.extend_from_slice(&u64::try_from(book.redeemed).ok()?.to_le_bytes());
    Some(out)
}

fn optional_position(out: &mut Vec<u8>, at: Option<At>) {
    out.push(u8::from(at.is_some()));
    if let Some(at) = at {
        position(out, at);
    }
}

fn position(out: &mut Vec<u8>, (height, index): At) {
    out.extend_from_slice(&height.to_le_bytes());
    out.extend_from_slice(&index.to_le_bytes());
}
