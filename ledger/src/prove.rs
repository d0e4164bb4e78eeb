//! Proofs for someone who has no node: what the state says of one entry, and that a transaction is in a block.
//!
//! What is proved is held against a header of the chain. The state of a block below the tip is made again by undoing the
//! blocks above it, within a bound; nothing is kept for it. A header is worth what its miner's signature is worth, so each
//! comes with what shows that its miner was registered: nothing where genesis names the key, else the registrar's
//! signed transaction.

mod inclusion;

use printsy_consensus::{
    Action, Entry, Hash, Overlay, Proof, PublicKey, SignedHeader, StateKey, StateTree, Transaction,
};

use crate::error::LedgerError;
use crate::moment::Moment;
use crate::reader::Reader;
use crate::state::entry_in;

pub use inclusion::{MAX_PROOF_READ_BYTES, MAX_PROOF_STEPS, ProvenEditions, ProvenInclusion, ProvenLine};

/// How many blocks below the tip a state is proved at the most: a day's of one a minute, an hour's of one in two
/// seconds.
pub const MAX_UNDONE_BLOCKS: u64 = 2_048;
/// How many bytes of blocks are undone for a proof at the most: about a second of work.
pub const MAX_UNDONE_BYTES: u64 = 32 << 20;

/// A header of the chain, and what shows that its miner was registered.
#[derive(Clone, Debug)]
pub struct ProvenHeader {
    /// The header and its miner's signature.
    pub signed: SignedHeader,
    /// The registrar's order that registered the miner; none where genesis names the key.
    pub registration: Option<Transaction>,
}

/// What the state after a block says of one entry.
#[derive(Clone, Debug)]
pub struct ProvenState {
    /// The block.
    pub header: ProvenHeader,
    /// The proof against the header's state root.
    pub proof: Proof,
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The state of this block is not made again any more.
    #[error("the state is proved for the heights from {lowest} to {tip} now, not for {height}")]
    OutOfReach {
        /// What was asked for.
        height: u64,
        /// The lowest height there is a proof for now.
        lowest: u64,
        /// The tip, the highest.
        tip: u64,
    },
    /// No transaction of this chain.
    #[error("no block of this node's chain holds the transaction")]
    NotConfirmed,
    /// The editions of an old purchase take more than a proof may hold.
    #[error(
        "since the purchase more happened to image {image} than a proof may hold; its place in its block alone is \
         told by getTransaction"
    )]
    TooMuchSince {
        /// The image.
        image: u64,
    },
    /// Who made the block was registered, and is not any more.
    #[error("the miner of block {height} has been revoked since, and its registration is not looked for")]
    Revoked {
        /// The block.
        height: u64,
    },
    /// This node's trouble.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Reader {
    /// What the state says of an entry: after the tip, or after the block at a height within reach of it.
    ///
    /// # Errors
    /// [`ProveError`]. Between two calls the chain may move: each answer is of one moment.
    pub fn prove_state(&self, key: &StateKey, height: Option<u64>) -> Result<ProvenState, ProveError> {
        let proven = self.at_one_moment(|now| {
            let height = height.unwrap_or(now.snapshot().tip.height());
            Ok(match State::at(now, height)? {
                Ok(state) => state.header(now)?.map(|header| (header, state.tree.prove(&key.path()))),
                Err(error) => Err(error),
            })
        })?;
        proven.map(|(header, proof)| ProvenState { header, proof })
    }
}

/// The state after a block of the chain.
struct State {
    height: u64,
    signed: SignedHeader,
    tree: StateTree,
}

impl State {
    /// Made by undoing the blocks above it. The inner error is no trouble of this node's.
    fn at(now: &Moment<'_>, height: u64) -> Result<Result<Self, ProveError>, LedgerError> {
        let tip = now.snapshot().tip.height();
        let lowest = lowest_in_reach(now)?;
        if !(lowest..=tip).contains(&height) {
            return Ok(Err(ProveError::OutOfReach { height, lowest, tip }));
        }
        let mut overlay = Overlay::new();
        let mut read_bytes = 0u64;
        for undone in (height + 1..=tip).rev() {
            let block = now.decoded(record(now, undone)?.position)?;
            overlay.extend(block.undo.reversed(&block.block));
            read_bytes = read_bytes.saturating_add(u64::try_from(block.bytes).unwrap_or(u64::MAX));
            if read_bytes > 2 * MAX_UNDONE_BYTES && undone > height + 1 {
                // The journal's places promised less: blocks of an earlier branch lie elsewhere in it.
                return Ok(Err(ProveError::OutOfReach { height, lowest: undone - 1, tip }));
            }
        }
        let tree = overlay.into_diff().apply_to(now.snapshot().tree());
        let signed = record(now, height)?.signed;
        if tree.root() != signed.header.state_root {
            let id = signed.header.id();
            return Err(LedgerError::journal(id, height, "undoing down to it misses its state root"));
        }
        Ok(Ok(Self { height, signed, tree }))
    }

    fn entry(&self, key: &StateKey) -> Option<Entry> {
        entry_in(&self.tree, key)
    }

    fn header(&self, now: &Moment<'_>) -> Result<Result<ProvenHeader, ProveError>, LedgerError> {
        proven_header(now, self.signed)
    }
}

/// The lowest height whose state is within reach: by the number of blocks above it and by their bytes, as their places
/// in the journal tell without reading them.
fn lowest_in_reach(now: &Moment<'_>) -> Result<u64, LedgerError> {
    let tip = now.snapshot().tip.height();
    let floor = tip.saturating_sub(MAX_UNDONE_BLOCKS);
    let count = usize::try_from(MAX_UNDONE_BLOCKS + 1).expect("a small constant");
    let records = now.headers_from(floor, count)?;
    let Some(last) = records.last() else { return Ok(tip) };
    // The state of a block needs those above it undone.
    let above = records.iter().skip(1);
    let far = above.take_while(|record| last.position.saturating_sub(record.position) > MAX_UNDONE_BYTES);
    let far = u64::try_from(far.count()).unwrap_or(u64::MAX);
    Ok(floor.saturating_add(far).min(tip))
}

fn record(now: &Moment<'_>, height: u64) -> Result<crate::store::HeaderRecord, LedgerError> {
    now.header_at(height)?.ok_or(LedgerError::MissingBlock { id: Hash::ZERO, height })
}

/// The header with what shows that its miner was registered: the genesis' word, or a registrar's.
fn proven_header(
    now: &Moment<'_>,
    signed: SignedHeader,
) -> Result<Result<ProvenHeader, ProveError>, LedgerError> {
    let miner = signed.header.miner;
    let params = now.genesis().params();
    let from_genesis = miner == PublicKey::NONE
        || params.is_registrar(&miner)
        || params.miners.iter().any(|named| named.key == miner);
    if from_genesis {
        return Ok(Ok(ProvenHeader { signed, registration: None }));
    }
    let Some(entry) = now.snapshot().miner(&miner) else {
        return Ok(Err(ProveError::Revoked { height: signed.header.height }));
    };
    let block = now.decoded(record(now, entry.registered_at)?.position)?;
    let registers = |tx: &&Transaction| matches!(&tx.body.action, Action::RegisterMiner { miner: named, .. } if *named == miner);
    let registration = block.block.transactions.iter().find(registers).cloned();
    let missing = || {
        let (id, height) = (block.block.header.header.id(), entry.registered_at);
        LedgerError::journal(id, height, format!("it does not register {miner}"))
    };
    Ok(Ok(ProvenHeader { signed, registration: Some(registration.ok_or_else(missing)?) }))
}
