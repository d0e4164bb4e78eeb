//! That a transaction stands in a block, shown to someone who has only the header (protocol section 4).
//!
//! A branch is the siblings from a leaf of the transactions root up to its top. The root covers the count of leaves,
//! so that index and count say exactly where a row has an odd last node, which moves up without a sibling: a branch has
//! one length and one reading.

use crate::hash::{Hash, Tag, tagged};

/// The siblings of leaf `index`, from the leaves up; `None` where there is no such leaf.
#[must_use]
pub fn transactions_branch(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    let (mut row, mut at, mut branch) = (leaves.to_vec(), index, Vec::new());
    while row.len() > 1 {
        branch.extend(row.get(at ^ 1));
        row = row.chunks(2).map(join).collect();
        at /= 2;
    }
    Some(branch)
}

/// A row's next one up: two nodes joined, an odd last one unchanged.
pub(crate) fn join(pair: &[Hash]) -> Hash {
    match pair {
        [left, right] => tagged(Tag::Node, &[&left.0, &right.0]),
        [odd] => *odd,
        _ => Hash::ZERO,
    }
}

/// The transactions root that a leaf leads to at this place among `count`; `None` where the branch is not as long as the
/// place asks, or there is no such place.
#[must_use]
pub fn root_of_branch(leaf: &Hash, index: u32, count: u32, branch: &[Hash]) -> Option<Hash> {
    if index >= count {
        return None;
    }
    let (mut hash, mut at, mut width) = (*leaf, index, count);
    let mut siblings = branch.iter();
    while width > 1 {
        let has_sibling = at ^ 1 < width;
        if has_sibling {
            let sibling = *siblings.next()?;
            hash = if at % 2 == 0 { join(&[hash, sibling]) } else { join(&[sibling, hash]) };
        }
        at /= 2;
        width = width.div_ceil(2);
    }
    siblings.next().is_none().then(|| tagged(Tag::Root, &[&count.to_le_bytes(), &hash.0]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::transactions_root;

    fn leaves(count: u32) -> Vec<Hash> {
        (0..count).map(|n| tagged(Tag::Transaction, &[&n.to_le_bytes()])).collect()
    }

    #[test]
    fn every_leaf_of_every_count_leads_to_the_root_and_to_it_alone() {
        for count in 1..=33u32 {
            let leaves = leaves(count);
            let root = transactions_root(&leaves);
            for (index, leaf) in (0u32..).zip(&leaves) {
                let branch = transactions_branch(&leaves, usize::try_from(index).unwrap()).unwrap();
                assert_eq!(root_of_branch(leaf, index, count, &branch), Some(root), "{index} of {count}");
                for (other, count) in (0..=count).flat_map(|i| [(i, count), (i, count + 1), (i, count - 1)]) {
                    let same = (other, count) == (index, u32::try_from(leaves.len()).unwrap());
                    assert_eq!(root_of_branch(leaf, other, count, &branch) == Some(root), same);
                }
                let mut longer = branch.clone();
                longer.push(Hash::ZERO);
                assert_eq!(root_of_branch(leaf, index, count, &longer), None);
                if let Some((_, shorter)) = branch.split_last() {
                    assert_eq!(root_of_branch(leaf, index, count, shorter), None);
                }
            }
        }
        assert_eq!(transactions_branch(&leaves(3), 3), None);
        assert_eq!(root_of_branch(&Hash::ZERO, 0, 0, &[]), None);
    }
}
