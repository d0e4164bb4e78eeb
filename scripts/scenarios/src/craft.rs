//! Blocks made to measure: perfect but for one fault, with real proof of work by a registered miner's key.
//!
//! A [`Draft`] is a block that would be valid; a [`Flaw`] breaks one rule in it and nothing else, so that a
//! refusal can have that reason alone. The same hands also make blocks without a flaw: that those are accepted
//! shows that it is the flaw that the others are refused for.

use std::sync::Arc;

use anyhow::{Context, Result};
use printsy_consensus::{
    Action, Body, CheckedTransaction, Genesis, Hash, Header, Line, PublicKey, Rule, SecretKey, SignedHeader,
    Target, VERSION, block_bytes, block_message, check_transaction, transactions_root,
};
use printsy_miner::{Cancel, Job, Miner, Search};

use crate::replica::Replica;

/// What is wrong with a block.
#[derive(Clone, Debug)]
pub enum Flaw {
    /// Nothing.
    None,
    /// One bit of the state root (B6).
    StateRoot,
    /// This purchase of a sold-out image, under roots that fit it (S4).
    SoldOut(CheckedTransaction),
}

impl Flaw {
    /// The rule it breaks.
    #[must_use]
    pub fn rule(&self) -> Option<Rule> {
        match self {
            Self::None => None,
            Self::StateRoot => Some(Rule::B6),
            Self::SoldOut(_) => Some(Rule::S4),
        }
    }
}

/// A block that lacks its work and its signature.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Its header, nonce 0.
    pub header: Header,
    transactions: Vec<CheckedTransaction>,
}

impl Draft {
    /// A block by `miner` at `now` (ms since 1970) on the replica's tip, with these orders and this flaw.
    ///
    /// # Errors
    /// As [`Replica::root_after`].
    pub fn new(
        replica: &Replica,
        miner: PublicKey,
        now: u64,
        mut transactions: Vec<CheckedTransaction>,
        flaw: &Flaw,
    ) -> Result<Self> {
        if let Flaw::SoldOut(order) = flaw {
            transactions.push(order.clone());
        }
        let mut state_root = replica.root_after(&miner, &transactions)?;
        if let Flaw::StateRoot = flaw {
            state_root.0[31] ^= 1;
        }
        let leaves: Vec<Hash> = transactions.iter().map(CheckedTransaction::leaf).collect();
        let parent = replica.tip();
        let header = Header {
            version: VERSION,
            parent: parent.id(),
            transactions_root: transactions_root(&leaves),
            state_root,
            height: parent.height + 1,
            time: now.max(parent.time + replica.genesis().params().min_interval_ms),
            bits: replica.next_bits(),
            miner,
            nonce: 0,
        };
        Ok(Self { header, transactions })
    }

    /// Does the work; `None` if `cancel` said to give up. The search also ends when this future is dropped.
    ///
    /// # Errors
    /// If the thread that searches dies.
    pub async fn work(mut self, miner: &Arc<Miner>, cancel: &Cancel) -> Result<Option<Self>> {
        let target = Target::from_bits(self.header.bits).context("the schedule's bits are a target")?;
        let job = Job::new(&self.header, target);
        let (miner, token) = (Arc::clone(miner), cancel.clone());
        let _end = CancelOnDrop(cancel.clone());
        let search = tokio::task::spawn_blocking(move || miner.search(&job, 0, &token));
        Ok(match search.await? {
            Search::Found { nonce } => {
                self.header.nonce = nonce;
                Some(self)
            }
            Search::Cancelled | Search::Exhausted => None,
        })
    }

    /// The block's bytes, signed.
    #[must_use]
    pub fn sign(&self, key: &SecretKey) -> Vec<u8> {
        let signature = key.sign(&block_message(&self.header.id()));
        block_bytes(&SignedHeader { header: self.header, signature }, &self.transactions)
    }
}

/// Ends the search when nobody awaits it any more.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// A purchase of one edition of `image` for `total`, signed and checked.
///
/// # Errors
/// The T rule that it breaks.
pub fn purchase(
    genesis: &Genesis,
    key: &SecretKey,
    image: u64,
    total: u64,
    expires_at: u64,
) -> Result<CheckedTransaction> {
    let lines = vec![Line { image, quantity: 1 }].try_into().context("one line is within the maximum")?;
    let action = Action::Purchase { lines, total };
    let body = Body { sender: key.public_key(), reference: *b"devnet scenarios", expires_at, action };
    let transaction = body.sign(&genesis.hash(), key);
    Ok(check_transaction(genesis.params(), &genesis.hash(), transaction)?)
}
