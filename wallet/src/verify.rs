//! `printsy verify`: what a proof shows, without asking any node.
//!
//! The checking is `printsy_rpc::proof::verify`'s; here is what is read, and what a person is told: the claim, the block
//! it is shown against, and what is left to trust (docs/proofs.md).

use std::fmt::Write;
use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result, bail};
use printsy_consensus::{Edition, Genesis, Hash, Transaction};
use printsy_rpc::Address;
use printsy_rpc::market::EditionRange;
use printsy_rpc::proof::verify::{Claim, Trust, Verified, VerifiedBlock, verify as check};
use printsy_rpc::transaction::TransactionInfo;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::cli::VerifyArgs;

/// The most bytes of a proof: more than a node gives.
const MAX_PROOF_BYTES: u64 = 129 << 20;
/// The most bytes of a genesis file.
const MAX_GENESIS_BYTES: u64 = 1 << 20;

/// Checks the proof that the command line names.
///
/// # Errors
/// Where it cannot be read, or does not hold: then nothing in it counts.
pub fn verify(args: &VerifyArgs) -> Result<Answer> {
    let text = match args.proof.as_str() {
        "-" => read(std::io::stdin().lock(), "standard input", MAX_PROOF_BYTES)?,
        path => read_file(path, MAX_PROOF_BYTES)?,
    };
    let genesis = args.genesis.as_deref().map(genesis_hash).transpose()?;
    let trust = Trust { genesis, blocks: args.block.iter().map(|block| Hash::from(*block)).collect() };
    let verified = check(&text, &trust).context("the proof does not hold")?;
    let mut notes = Vec::new();
    if trust.genesis.is_none() {
        notes.push(format!(
            "the proof itself says which network it is of; hold it against yours with --genesis ({})",
            verified.genesis
        ));
    }
    if trust.blocks.is_empty() {
        notes.push(
            "whether a block is on the chain is not in a proof: ask nodes you trust for its id".to_owned(),
        );
    }
    Ok(Answer { notes, ..Answer::new(sentence(&verified), &json_of(&verified))? })
}

/// The id of block 0: given as such, or of the genesis file at a path.
fn genesis_hash(text: &str) -> Result<Hash> {
    if let Ok(hash) = text.parse() {
        return Ok(hash);
    }
    let json = read_file(text, MAX_GENESIS_BYTES)?;
    let genesis = Genesis::from_json(&json).with_context(|| format!("{text} is no genesis"))?;
    Ok(genesis.hash())
}

fn read_file(path: &str, most: u64) -> Result<String> {
    let file = File::open(path).with_context(|| format!("cannot read {path}"))?;
    read(file, path, most)
}

fn read(from: impl Read, name: &str, most: u64) -> Result<String> {
    let mut text = String::new();
    let read =
        from.take(most + 1).read_to_string(&mut text).with_context(|| format!("cannot read {name}"))?;
    if u64::try_from(read).unwrap_or(u64::MAX) > most {
        bail!("{name} has more than {most} bytes");
    }
    Ok(text)
}

/// What is shown, for people.
fn sentence(verified: &Verified) -> String {
    let mut text = match &verified.claim {
        Claim::Image { image, entry, editions } => image_sentence(*image, entry.as_ref(), *editions),
        Claim::Account { account, entry: None } => format!("no transaction ever touched {account}"),
        Claim::Account { account, entry: Some(entry) } => {
            let admitted = if entry.admitted { ", admitted" } else { "" };
            let (balance, count) = (entry.balance, entry.transactions);
            format!("{account} has a balance of {balance} and {count} transactions{admitted}")
        }
        Claim::Miner { miner, entry: None } => format!("{miner} is not registered as a miner"),
        Claim::Miner { miner, entry: Some(entry) } => {
            let name = String::from_utf8_lossy(&entry.name);
            format!("{miner} is registered as the miner {name:?} and made {} blocks", entry.blocks)
        }
        Claim::Transaction { transaction, index, count, editions } => {
            transaction_sentence(transaction, *index, *count, editions.as_ref())
        }
    };
    write!(text, "\n{}", block_sentence("block", &verified.block)).expect("a string takes all");
    if let Claim::Transaction { editions: Some((_, state)), .. } = &verified.claim
        && state.id != verified.block.id
    {
        write!(text, "\n{}", block_sentence("numbers by block", state)).expect("a string takes all");
    }
    write!(text, "\nnetwork {}, genesis {}", verified.network, verified.genesis).expect("a string takes all");
    text
}

fn image_sentence(image: u64, entry: Option<&Edition>, editions: u32) -> String {
    match entry {
        None => format!("image {image} was never bought or listed: all {editions} editions are left"),
        Some(entry) => {
            let left = editions.saturating_sub(entry.sold);
            let bought = if entry.last.is_none() { ", never bought" } else { "" };
            format!("image {image} has {left} of {editions} editions left{bought}")
        }
    }
}

fn transaction_sentence(
    transaction: &Transaction,
    index: u32,
    count: u32,
    editions: Option<&(Vec<EditionRange>, VerifiedBlock)>,
) -> String {
    let (txid, sender) = (transaction.body.txid(), transaction.body.sender);
    let place = format!("transaction {txid} of {sender} is number {} of {count} in its block", index + 1);
    let Some((ranges, _)) = editions else { return place };
    let bought = ranges.iter().map(|range| {
        let EditionRange { image, from, to } = range;
        if from == to {
            format!("{sender} bought edition {from} of image {image}")
        } else {
            format!("{sender} bought editions {from} to {to} of image {image}")
        }
    });
    bought.chain([place]).collect::<Vec<_>>().join("\n")
}

fn block_sentence(what: &str, block: &VerifiedBlock) -> String {
    let VerifiedBlock { height, id, time, miner, miner_name, work } = block;
    let work: String = work.to_be_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let work = work.trim_start_matches('0');
    match miner_name {
        Some(name) => {
            format!(
                "{what} {height} {id}, at {time} ms, work 0x{work}, signed by the miner {name:?} ({miner})"
            )
        }
        None => format!("{what} {height} {id}, the network's beginning"),
    }
}

/// What is shown, for programs.
fn json_of(verified: &Verified) -> Value {
    let claim = match &verified.claim {
        Claim::Image { image, entry, editions } => {
            let sold = entry.map_or(0, |entry| entry.sold);
            json!({ "image": image, "present": entry.is_some(), "editions": editions, "sold": sold,
                    "remaining": editions.saturating_sub(sold) })
        }
        Claim::Account { account, entry } => {
            let known = entry.unwrap_or_default();
            json!({ "account": Address(*account), "present": entry.is_some(),
                    "balance": known.balance.to_string(), "transactions": known.transactions,
                    "admitted": known.admitted })
        }
        Claim::Miner { miner, entry } => {
            let name = entry.as_ref().map(|entry| String::from_utf8_lossy(&entry.name).into_owned());
            json!({ "miner": Address(*miner), "present": entry.is_some(), "name": name })
        }
        Claim::Transaction { transaction, index, count, editions } => {
            let told = TransactionInfo::from(transaction.as_ref());
            json!({ "transaction": told, "index": index, "count": count,
                    "editions": editions.as_ref().map(|(ranges, _)| ranges),
                    "editionsBlock": editions.as_ref().map(|(_, block)| json_of_block(block)) })
        }
    };
    json!({ "network": verified.network, "genesis": verified.genesis.to_string(),
            "block": json_of_block(&verified.block), "shows": claim })
}

fn json_of_block(block: &VerifiedBlock) -> Value {
    json!({ "height": block.height, "hash": block.id.to_string(), "time": block.time,
            "miner": Address::unless_none(block.miner), "minerName": block.miner_name })
}
