//! The ledger: the chain on disk, its state in memory, and the orders that wait.
//!
//! The journal is the truth (`store`): blocks and moves, one fdatasync for each net move before anything about
//! it is answered or announced. The index is a follower that heals itself from the journal. The live state, the
//! header tree and the mempool are in memory; [`Ledger`] owns them all and is owned by one thread; [`Reader`]
//! reads from others.
//!
//! # Invariants
//! journal ⊇ published chain ⊇ checkpoint; headers.dat = the published chain's headers (once opened);
//! mempool ∩ chain = ∅; any subset of the mempool, in its order, is a valid body on the tip.

mod advance;
pub mod audit;
mod bodies;
mod chain_file;
mod connected;
mod error;
mod finality;
mod history;
mod holdings;
mod import;
mod kept;
mod ledger;
mod mempool;
mod moment;
mod open;
mod progress;
mod prove;
mod published;
mod reader;
mod recent;
mod recount;
mod recover;
mod retreat;
mod rows;
mod salvage;
mod state;
mod status;
pub mod store;
mod telling;
mod template;
mod templates;
mod walk;

pub use advance::{Advance, TipChange};
pub use bodies::{BRANCH_FACTOR, MAX_SIDE_BODY_BYTES};
pub use chain_file::{ChainFileEnd, ChainFileError, ChainReader, ChainWriter, MAX_GENESIS_TEXT_BYTES};
pub use connected::MAX_CONNECTED_BYTES;
pub use error::{Damage, LedgerError};
pub use history::{
    Confirmed, Cursor, MAX_NEWER_REVIEWS, MAX_PAGE_ENTRIES, MAX_PAGE_READ_BYTES, MAX_PAGE_TRANSACTION_BYTES,
    Page, Passage, Reviewed, Subject,
};
pub use holdings::{HoldingOf, Holdings};
pub use import::{Imported, Lighter, MoveChainError};
pub use ledger::{InsertError, Ledger, MAX_TREE_HEADERS};
pub use mempool::{
    AdmitError, Admitted, Chain, EXPIRY_MARGIN, MAX_BYTES, MAX_PARKED, MAX_PER_ACCOUNT, MAX_TRANSACTIONS,
    Mempool, Notice, Origin, Outcome, PoolBound, RESERVED_PLACES,
};
pub use moment::Moment;
pub use open::OpenReport;
pub use progress::{Progress, Watch};
pub use prove::{
    MAX_PROOF_READ_BYTES, MAX_PROOF_STEPS, MAX_UNDONE_BLOCKS, MAX_UNDONE_BYTES, ProveError, ProvenEditions,
    ProvenHeader, ProvenInclusion, ProvenLine, ProvenState,
};
pub use published::{Snapshot, Tip};
pub use reader::{Availability, EditionNumbers, Order, Reader, StoredBlock};
pub use recount::MAX_RECOUNT_TRANSACTIONS;
pub use retreat::{GivenUp, Retreat, RetreatError};
pub use status::{Change, MAX_CHANGES, MAX_STORIES, MAX_STORY_BYTES, Status, Story};
pub use template::Template;
pub use templates::{TemplateError, TemplateFault};
