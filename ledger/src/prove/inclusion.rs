//! That a transaction is in a block, and which edition numbers a purchase got.
//!
//! The branch leads from the transaction to its block's transactions root. The numbers are proved by the image's
//! register: the state holds its end, and given the register before the purchase, the purchase's own step and every step
//! since lead to that end in one way only. The state taken is that of the very block where it is within reach, else the
//! oldest that is, so that few steps are needed.

use std::collections::VecDeque;

use printsy_consensus::{
    Action, Edition, Entry, Hash, Position, Proof, RegisterKind, RegisterStep, StateKey, Transaction,
    transactions_branch,
};

use super::{ProveError, ProvenHeader, State, lowest_in_reach, proven_header, record};
use crate::error::LedgerError;
use crate::history::{Confirmed, Subject};
use crate::moment::Moment;
use crate::reader::Reader;
use crate::walk::Walk;

/// How many steps of registers one proof holds at the most: some 2 MB as JSON.
pub const MAX_PROOF_STEPS: usize = 10_000;
/// How many bytes of blocks are read for the steps of one proof at the most: some seconds of decoding.
pub const MAX_PROOF_READ_BYTES: usize = 256 << 20;

/// That a transaction is in a block of the chain.
#[derive(Clone, Debug)]
pub struct ProvenInclusion {
    /// The block.
    pub header: ProvenHeader,
    /// The transaction.
    pub transaction: Transaction,
    /// Its place in the block.
    pub index: u32,
    /// How many transactions the block holds.
    pub count: u32,
    /// From its leaf to the block's transactions root.
    pub branch: Vec<Hash>,
    /// A purchase's edition numbers.
    pub editions: Option<ProvenEditions>,
}

/// The edition numbers of a purchase.
#[derive(Clone, Debug)]
pub struct ProvenEditions {
    /// The block whose state shows them: the purchase's own, or a later one.
    pub header: ProvenHeader,
    /// For each line of the purchase.
    pub lines: Vec<ProvenLine>,
}

/// The edition numbers of one line.
#[derive(Clone, Debug)]
pub struct ProvenLine {
    /// The image.
    pub image: u64,
    /// The first edition number.
    pub from: u32,
    /// The last.
    pub to: u32,
    /// The image's register before the purchase.
    pub register: Hash,
    /// The steps of the register since the purchase, oldest first.
    pub since: Vec<RegisterStep>,
    /// The image's entry in the state.
    pub proof: Proof,
}

/// What may still be read and held for one proof.
struct Budget {
    steps: usize,
    read_bytes: usize,
}

type Found<T> = Result<Result<T, ProveError>, LedgerError>;

impl Reader {
    /// That a transaction is in a block of the chain, with a purchase's edition numbers.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn prove_inclusion(&self, txid: &Hash) -> Result<ProvenInclusion, ProveError> {
        self.at_one_moment(|now| {
            let Some((confirmed, _)) = now.confirmed(txid)? else { return Ok(Err(ProveError::NotConfirmed)) };
            inclusion(now, &confirmed)
        })?
    }
}

fn inclusion(now: &Moment<'_>, confirmed: &Confirmed) -> Found<ProvenInclusion> {
    let Position { height, index } = confirmed.position;
    let record = record(now, height)?;
    let block = now.decoded(record.position)?;
    let leaves: Vec<Hash> = block.block.transactions.iter().map(|tx| tx.leaf(&tx.body.txid())).collect();
    let count = u32::try_from(leaves.len()).expect("no block holds 2^32 transactions");
    let branch = usize::try_from(index).ok().and_then(|index| transactions_branch(&leaves, index));
    let branch = branch.ok_or(LedgerError::MissingBlock { id: record.signed.header.id(), height })?;
    let header = match proven_header(now, record.signed)? {
        Ok(header) => header,
        Err(error) => return Ok(Err(error)),
    };
    let editions = match &confirmed.transaction.body.action {
        Action::Purchase { .. } => match editions(now, confirmed)? {
            Ok(editions) => Some(editions),
            Err(error) => return Ok(Err(error)),
        },
        _ => None,
    };
    let transaction = confirmed.transaction.clone();
    Ok(Ok(ProvenInclusion { header, transaction, index, count, branch, editions }))
}

fn editions(now: &Moment<'_>, confirmed: &Confirmed) -> Found<ProvenEditions> {
    let height = confirmed.position.height.max(lowest_in_reach(now)?);
    let state = match State::at(now, height)? {
        Ok(state) => state,
        // The bytes of the blocks told otherwise: from the tip it is further, but nothing is undone.
        Err(ProveError::OutOfReach { tip, .. }) => match State::at(now, tip)? {
            Ok(state) => state,
            Err(error) => return Ok(Err(error)),
        },
        Err(error) => return Ok(Err(error)),
    };
    let header = match state.header(now)? {
        Ok(header) => header,
        Err(error) => return Ok(Err(error)),
    };
    let mut budget = Budget { steps: MAX_PROOF_STEPS, read_bytes: MAX_PROOF_READ_BYTES };
    let mut lines = Vec::new();
    for numbers in confirmed.edition_numbers() {
        let image = numbers.image;
        let Some(steps) = steps_since(now, &state, image, confirmed.position, &mut budget)? else {
            return Ok(Err(ProveError::TooMuchSince { image }));
        };
        let before = confirmed.undo.edition_before(image).unwrap_or_default();
        lines.push(ProvenLine {
            image,
            from: numbers.from,
            to: numbers.to,
            register: before.register,
            since: steps.into(),
            proof: state.tree.prove(&StateKey::Edition(image).path()),
        });
    }
    Ok(Ok(ProvenEditions { header, lines }))
}

/// The steps of an image's register after a position, up to a state; `None` where they are more than the budget.
fn steps_since(
    now: &Moment<'_>,
    state: &State,
    image: u64,
    position: Position,
    budget: &mut Budget,
) -> Result<Option<VecDeque<RegisterStep>>, LedgerError> {
    let Some(Entry::Edition(edition)) = state.entry(&StateKey::Edition(image)) else {
        let id = state.signed.header.id();
        return Err(LedgerError::journal(id, state.height, format!("image {image} is not in its state")));
    };
    let newest = edition.last.max(edition.last_review);
    let mut walk = Walk::at(now, Subject::Image(image), newest);
    let mut steps = VecDeque::new();
    while walk.next_position().is_some_and(|next| next > position) {
        if budget.steps == 0 || walk.read_bytes() > budget.read_bytes {
            return Ok(None);
        }
        let Some(passage) = walk.step()? else { break };
        budget.steps -= 1;
        steps.push_front(step(&passage.confirmed, image));
    }
    budget.read_bytes = budget.read_bytes.saturating_sub(walk.read_bytes());
    Ok(Some(steps))
}

/// The step that a purchase or a review of an image was.
fn step(confirmed: &Confirmed, image: u64) -> RegisterStep {
    let before: Edition = confirmed.undo.edition_before(image).unwrap_or_default();
    let body = &confirmed.transaction.body;
    let (kind, value, sold) = match &body.action {
        Action::Purchase { lines, .. } => {
            let bought = lines.iter().find(|line| line.image == image).map_or(0, |line| line.quantity);
            (RegisterKind::Purchase, bought, before.sold.saturating_add(bought))
        }
        Action::Review { rating, .. } => (RegisterKind::Review, u32::from(*rating), before.sold),
        _ => unreachable!("the links of an image lead to its purchases and reviews alone"),
    };
    RegisterStep { kind, sender: body.sender, value, sold, position: confirmed.position }
}
