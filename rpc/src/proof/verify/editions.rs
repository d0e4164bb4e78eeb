//! The edition numbers of a purchase: a step of each image's register that leads to the register in a state.
//!
//! A register is a hash over all steps of an image. The state has its end; the proof brings the register before the
//! purchase and the steps since. The purchase's own step is not taken from the proof but made of the transaction: its
//! sender, its quantity, its place, and the numbers claimed. If all steps together lead to the state's register,
//! the claimed numbers are those that the chain gave.

use printsy_consensus::{
    Edition, Entry, Genesis, Hash, Header, Line, Position, PublicKey, RegisterKind, RegisterStep, StateKey,
};

use super::header::{VerifiedBlock, verify_block};
use super::{ProofRefused, Trust, state_entry};
use crate::market::EditionRange;
use crate::proof::{EditionProof, EditionsProof};

/// The purchase whose numbers are claimed.
pub(super) struct Purchase<'a> {
    pub(super) header: &'a Header,
    pub(super) sender: PublicKey,
    pub(super) lines: &'a [Line],
    pub(super) index: u32,
}

/// Checks the numbers of every line.
pub(super) fn verify_editions(
    genesis: &Genesis,
    trust: &Trust,
    told: &EditionsProof,
    purchase: Purchase<'_>,
) -> Result<(Vec<EditionRange>, VerifiedBlock), ProofRefused> {
    let (header, block) = verify_block(genesis, &told.block, trust)?;
    let is_own = header == *purchase.header;
    if header.height < purchase.header.height || (header.height == purchase.header.height && !is_own) {
        return Err(ProofRefused::Header {
            height: header.height,
            why: "it is neither the purchase's own block nor a later one".to_owned(),
        });
    }
    if told.lines.len() != purchase.lines.len() {
        return Err(ProofRefused::Lines);
    }
    let mut ranges = Vec::with_capacity(told.lines.len());
    for (line, bought) in told.lines.iter().zip(purchase.lines) {
        if line.image != bought.image {
            return Err(ProofRefused::Lines);
        }
        let key = StateKey::Edition(line.image);
        let refused = |why| ProofRefused::Editions { image: line.image, why };
        let Some(Entry::Edition(edition)) = state_entry(&line.proof, &header.state_root, key)? else {
            return Err(refused("the state has no entry of it"));
        };
        verify_line(line, bought.quantity, &edition, &header, &purchase).map_err(refused)?;
        ranges.push(EditionRange { image: line.image, from: line.from, to: line.to });
    }
    Ok((ranges, block))
}

fn verify_line(
    line: &EditionProof,
    quantity: u32,
    edition: &Edition,
    state: &Header,
    purchase: &Purchase<'_>,
) -> Result<(), &'static str> {
    let sold_before = line.from.checked_sub(1).ok_or("edition numbers begin at 1")?;
    if sold_before.checked_add(quantity) != Some(line.to) {
        return Err("they are not as many as were bought");
    }
    let position = Position { height: purchase.header.height, index: purchase.index };
    let own = RegisterStep {
        kind: RegisterKind::Purchase,
        sender: purchase.sender,
        value: quantity,
        sold: line.to,
        position,
    };
    let register = Hash::from(line.register);
    if (register == Hash::ZERO) != (sold_before == 0) {
        return Err("the register before the purchase does not go with the editions sold before it");
    }
    let (mut register, mut last) = (own.after(&register), own);
    for step in line.since.iter().map(RegisterStep::from) {
        verify_follows(&step, &last)?;
        (register, last) = (step.after(&register), step);
    }
    if last.position.height > state.height {
        return Err("a step is later than the state");
    }
    if register != edition.register || last.sold != edition.sold {
        return Err("the steps do not lead to the image's register in the state");
    }
    Ok(())
}

/// A step stands after the one before, and sells what it says.
fn verify_follows(step: &RegisterStep, last: &RegisterStep) -> Result<(), &'static str> {
    let sold = match step.kind {
        RegisterKind::Purchase => last.sold.checked_add(step.value),
        RegisterKind::Review => Some(last.sold),
    };
    if step.position <= last.position || sold != Some(step.sold) {
        return Err("a step does not follow the one before");
    }
    Ok(())
}
