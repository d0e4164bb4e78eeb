//! The log of all that the node has answered, and the law: what was answered holds after every kill.
//!
//! An answer is noted the moment it is received, so the node had given it before it was killed. `included` and a
//! tip may be undone by a better branch alone, and here every better branch is the harness' own, so it knows which;
//! `final` is undone by nothing.

use std::cmp::Reverse;
use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use printsy_consensus::{Hash, Work};
use printsy_rpc::chain::Chain;
use printsy_rpc::market::{EditionRange, GetTransaction, GetTransactionParams, Status, TransactionStatus};
use printsy_rpc::{Client, ClientError, RpcReason};

use super::daemon::Mining;
use super::model::{Model, Moved, Place, Rank};

/// Something the node has answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// An order stands in a block.
    Placed(Box<Placed>),
    /// A tip, and its work where that was told.
    Tip { height: u64, hash: Hash, work: Option<Work> },
    /// A block is final.
    Final { height: u64, hash: Hash },
}

/// An order in a block, as the node told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The order.
    pub txid: Hash,
    /// Where it stands.
    pub place: Place,
    /// Whether that is final.
    pub is_final: bool,
    /// The edition numbers of a purchase.
    pub editions: Option<Vec<EditionRange>>,
}

impl Placed {
    /// What a status says of a block, if it says so.
    #[must_use]
    pub fn of(status: &Status) -> Option<Self> {
        let block = status.block?;
        let place = Place { height: block.height, hash: block.hash.into(), index: block.index };
        let is_final = status.status == TransactionStatus::Final;
        Some(Self { txid: status.tx_id.into(), place, is_final, editions: status.editions.clone() })
    }
}

/// What an answer to `getChain` promises.
#[must_use]
pub fn of_chain(chain: &Chain) -> [Answer; 2] {
    let work = Some(Work::from_be_bytes(chain.work.0));
    [
        Answer::Tip { height: chain.tip.height, hash: chain.tip.hash.into(), work },
        Answer::Final { height: chain.final_block.height, hash: chain.final_block.hash.into() },
    ]
}

/// The chain after a life, and what is known of how it came about.
#[derive(Debug)]
pub struct Seen<'a> {
    /// The chain, as it was just read.
    pub model: &'a Model,
    /// What changed since the life began.
    pub moved: Moved,
    /// How the life made blocks.
    pub mining: Mining,
}

impl Seen<'_> {
    /// A block that was told to be on the chain is there, or displaced by a branch that the harness knows of.
    fn holds(&self, height: u64, hash: &Hash) -> Result<()> {
        let now = self.model.at(height);
        let is_displaced = || height > 0 && self.model.is_displaced(hash, height, &self.moved, self.mining);
        if now == Some(*hash) || is_displaced() {
            return Ok(());
        }
        bail!("block {hash} at height {height} is lost: there is {now:?} now, and no branch that explains it")
    }
}

/// All answers that were checked once, for further checks at later starts.
#[derive(Debug, Default)]
pub struct Book {
    orders: Vec<Hash>,
    last: HashMap<Hash, Placed>,
    best: Option<Rank>,
    final_height: u64,
    checked: u64,
}

impl Book {
    /// How many answers were held against the chain, each time counted.
    #[must_use]
    pub fn checked(&self) -> u64 {
        self.checked
    }

    /// The greatest final height that was answered.
    #[must_use]
    pub fn final_height(&self) -> u64 {
        self.final_height
    }

    /// The orders that were ever told to stand in a block.
    #[must_use]
    pub fn orders(&self) -> &[Hash] {
        &self.orders
    }

    /// Holds the answers of a life against the chain after its end, as the model has just read it.
    ///
    /// # Errors
    /// The first answer that does not hold.
    pub fn settle(&mut self, chain: &Seen<'_>, answers: Vec<Answer>) -> Result<()> {
        for answer in answers {
            self.checked += 1;
            match answer {
                Answer::Tip { height, hash, work } => {
                    chain.holds(height, &hash).context("a tip that was answered")?;
                    let work = work.or_else(|| chain.model.block(&hash).map(|block| block.work));
                    self.best = self.best.max(work.map(|work| (work, Reverse(hash))));
                }
                Answer::Final { height, hash } => {
                    let now = chain.model.at(height);
                    ensure!(
                        now == Some(hash),
                        "block {hash} was final at {height}, and there is {now:?} now"
                    );
                    self.final_height = self.final_height.max(height);
                }
                Answer::Placed(placed) => self.settle_order(chain, *placed)?,
            }
        }
        if let Some(best) = self.best {
            let now = chain.model.rank();
            ensure!(now >= best, "the tip was {best:?} once, and is {now:?} after the restart");
        }
        Ok(())
    }

    fn settle_order(&mut self, chain: &Seen<'_>, placed: Placed) -> Result<()> {
        let Place { height, hash, .. } = placed.place;
        let lost = || format!("order {} was answered to stand in block {hash} at {height}", placed.txid);
        if chain.model.at(height) == Some(hash) {
            let now = chain.model.place(&placed.txid);
            ensure!(now == Some(placed.place), "{}: it stands at {now:?} now", lost());
        } else {
            ensure!(!placed.is_final, "{}, and that to be final: it is not", lost());
            chain.holds(height, &hash).with_context(lost)?;
        }
        if self.last.insert(placed.txid, placed.clone()).is_none() {
            self.orders.push(placed.txid);
        }
        Ok(())
    }

    /// Asks the node for an order of the past, and holds what it says against the model and what it said before.
    ///
    /// # Errors
    /// If they differ.
    pub async fn ask_again(&mut self, node: &Client, model: &Model, txid: &Hash) -> Result<()> {
        self.checked += 1;
        let said = match node.call::<GetTransaction>(&GetTransactionParams { tx_id: (*txid).into() }).await {
            Ok(status) => Some(status),
            Err(ClientError::Refused(error)) if error.reason() == Some(RpcReason::NotFound) => None,
            Err(error) => return Err(error).context("getTransaction"),
        };
        let now = said.as_ref().and_then(Placed::of);
        let expected = model.place(txid);
        let got = now.as_ref().map(|placed| placed.place);
        ensure!(expected == got, "order {txid}: expected at {expected:?}, the node says {said:?}");
        let Some(now) = now else { return Ok(()) };
        let before = self.last.insert(*txid, now.clone());
        if let Some(before) = before.filter(|before| before.place == now.place) {
            ensure!(before.editions == now.editions, "order {txid} had {before:?}, and has {now:?} now");
            ensure!(now.is_final || !before.is_final, "order {txid} was final, and is not now");
        }
        Ok(())
    }
}
