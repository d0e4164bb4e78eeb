//! Changes staged over a state: view + diff = view.
//!
//! A [`Diff`] holds absolute values, so that applying it twice is applying it once and later diffs simply win. An
//! [`Overlay`] is a diff in the making; [`Staged`] reads through it, so that the rules see what was staged before.
//! Nothing here verifies anything.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec;
use crate::hash::Hash;
use crate::key::PublicKey;
use crate::state::{Entry, Holding, StateKey, StateTree, StateView, ViewError};

/// What changed: absolute values, so that applying it twice is applying it once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// The entries that changed; `None` where one is gone.
    pub entries: BTreeMap<StateKey, Option<Entry>>,
    /// The holdings that changed; the default where an account holds nothing any more.
    pub holdings: BTreeMap<(PublicKey, u64), Holding>,
    /// `(expires_at, txid)` of transactions now confirmed.
    pub confirmed: BTreeSet<(u64, Hash)>,
    /// `(expires_at, txid)` of transactions no longer confirmed.
    pub unconfirmed: BTreeSet<(u64, Hash)>,
}

impl Diff {
    /// This diff, then the other: the later values stand.
    pub fn extend(&mut self, later: Self) {
        self.entries.extend(later.entries);
        self.holdings.extend(later.holdings);
        for item in later.confirmed {
            self.unconfirmed.remove(&item);
            self.confirmed.insert(item);
        }
        for item in later.unconfirmed {
            self.confirmed.remove(&item);
            self.unconfirmed.insert(item);
        }
    }

    /// The state tree after this diff: hashed once, however many transactions it came from.
    #[must_use]
    pub fn apply_to(&self, tree: &StateTree) -> StateTree {
        tree.update(self.entries.iter().map(|(key, entry)| {
            (key.path(), entry.as_ref().map(|entry| codec::encode(entry).into_boxed_slice()))
        }))
    }
}

/// A diff in the making.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    pub(super) diff: Diff,
}

impl Overlay {
    /// Nothing changed yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An overlay that begins with changes made before.
    #[must_use]
    pub fn from_diff(diff: Diff) -> Self {
        Self { diff }
    }

    /// Stages further changes, made on the view this overlay leads to.
    pub fn extend(&mut self, later: Diff) {
        self.diff.extend(later);
    }

    /// What changed so far.
    #[must_use]
    pub fn diff(&self) -> &Diff {
        &self.diff
    }

    /// What changed.
    #[must_use]
    pub fn into_diff(self) -> Diff {
        self.diff
    }
}

/// A view with an overlay on it: reads see the changes.
#[derive(Clone, Copy, Debug)]
pub struct Staged<'a, V> {
    base: &'a V,
    overlay: &'a Overlay,
}

impl<'a, V: StateView> Staged<'a, V> {
    /// `base`, as it will be once `overlay` is published.
    #[must_use]
    pub fn new(base: &'a V, overlay: &'a Overlay) -> Self {
        Self { base, overlay }
    }
}

impl<V: StateView> StateView for Staged<'_, V> {
    fn entry(&self, key: &StateKey) -> Option<Entry> {
        match self.overlay.diff.entries.get(key) {
            Some(changed) => changed.clone(),
            None => self.base.entry(key),
        }
    }

    fn miner_count(&self) -> usize {
        let staged = self.overlay.diff.entries.range(StateKey::Miner(PublicKey::NONE)..StateKey::Supply);
        staged.fold(self.base.miner_count(), |count, (key, after)| {
            match (self.base.entry(key).is_some(), after.is_some()) {
                (false, true) => count.saturating_add(1),
                (true, false) => count.saturating_sub(1),
                _ => count,
            }
        })
    }

    fn holding(&self, account: &PublicKey, image: u64) -> Result<Holding, ViewError> {
        match self.overlay.diff.holdings.get(&(*account, image)) {
            Some(holding) => Ok(*holding),
            None => self.base.holding(account, image),
        }
    }

    fn is_confirmed(&self, expires_at: u64, txid: &Hash) -> bool {
        let item = (expires_at, *txid);
        self.overlay.diff.confirmed.contains(&item)
            || (!self.overlay.diff.unconfirmed.contains(&item) && self.base.is_confirmed(expires_at, txid))
    }
}
