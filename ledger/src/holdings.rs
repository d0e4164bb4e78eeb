//! What an account holds, image by image: the rows of the index under its name.
//!
//! The state root does not cover holdings. Each row told here is held against what the root does cover, as far as that
//! goes; what cannot be is an error that names the index, which is made again from the journal.

use printsy_consensus::{Holding, PublicKey};

use crate::error::LedgerError;
use crate::history::MAX_PAGE_ENTRIES;
use crate::published::Snapshot;
use crate::reader::Reader;
use crate::rows::{HoldingRow, decode_row, holding_key, holdings_prefix, image_of};
use crate::store::{KeyValue, StoreError};
use crate::telling::DisturbedBy;

/// The best rating (T7).
const MAX_RATING: u8 = 5;

/// What an account holds of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldingOf {
    /// Which image.
    pub image: u64,
    /// How many editions of it, and the account's rating.
    pub holding: Holding,
}

/// Some of what an account holds, and where it goes on.
#[derive(Clone, Debug)]
pub struct Holdings {
    /// The chain it was read from.
    pub snapshot: Snapshot,
    /// Ascending by image.
    pub holdings: Vec<HoldingOf>,
    /// The next image; `None` only at the end.
    pub next: Option<u64>,
}

impl Reader {
    /// What an account holds of the images from `from` on, ascending, at most `limit` of them. All of one moment.
    ///
    /// # Errors
    /// Where the index fails or is damaged; [`LedgerError::Moving`] where the chain moved each time it was read;
    /// [`LedgerError::Untold`] once the node is about to stop.
    pub fn holdings(&self, account: &PublicKey, from: u64, limit: usize) -> Result<Holdings, LedgerError> {
        let limit = limit.clamp(1, MAX_PAGE_ENTRIES);
        let (prefix, first) = (holdings_prefix(account), holding_key(account, from));
        self.undisturbed(DisturbedBy::EveryMove, || {
            let snapshot = self.snapshot();
            let rows = self.index.page(&prefix, &first, limit + 1)?;
            let held: Result<Vec<HoldingOf>, StoreError> =
                rows.iter().map(|row| holding_of(&snapshot, &prefix, row)).collect();
            let mut holdings = held?;
            let next = holdings.get(limit).map(|next| next.image);
            holdings.truncate(limit);
            Ok(Holdings { snapshot, holdings, next })
        })
    }
}

/// A row, if it is one that can be: nobody holds none, nor more than is sold.
fn holding_of(now: &Snapshot, prefix: &[u8], (key, value): &KeyValue) -> Result<HoldingOf, StoreError> {
    let damaged = || StoreError::Index("a row of a holding cannot be".to_owned());
    let image = image_of(prefix, key).ok_or_else(damaged)?;
    let holding = decode_row::<HoldingRow>(value)?.holding;
    let sold = now.edition(image).map_or(0, |edition| edition.sold);
    let can_be = (1..=sold).contains(&holding.quantity) && holding.rating <= MAX_RATING;
    can_be.then_some(HoldingOf { image, holding }).ok_or_else(damaged)
}
