//! The load of one life: customers who send orders, and a hand that makes blocks, until the daemon is killed.
//!
//! Every answer is noted as it comes. Blocks come from the node itself (`generateBlocks`, its own miner) and from
//! the harness: extensions, better branches of any depth down to the final block, and branches from below it, which
//! must be refused. The begin of each call that makes the node commit is told, so that the kill can fall into it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use printsy_consensus::{CheckedTransaction, Hash, SecretKey};
use printsy_rpc::admin::{GenerateBlocks, GenerateBlocksParams};
use printsy_rpc::chain::GetChain;
use printsy_rpc::market::{
    ExecuteManyParams, ExecuteParams, ExecuteTransaction, ExecuteTransactions, Outcome, Wait,
};
use printsy_rpc::mining::{Submission, SubmitBlock, SubmitBlockParams, Verdict};
use printsy_rpc::text::BlockHex;
use printsy_rpc::{Client, ClientError, NoParams, TransactionHex};
use printsy_scenarios::stage::now_ms;
use tokio::sync::{Mutex, Notify};
use tokio::time::sleep;

use super::answers::{Answer, Placed, of_chain};
use super::daemon::Mining;
use super::model::Model;
use super::orders::Customers;
use crate::support::Random;

/// The most orders of one call.
const MOST_IN_A_BATCH: u64 = 20;
/// The longest wait that a call asks for, ms: longer than most lives.
const LONGEST_WAIT_MS: u64 = 1_500;
/// The longest pause of a customer, and of the hand that makes blocks.
const LONGEST_PAUSE_MS: u64 = 12;

/// What customers and block makers share.
#[derive(Debug)]
pub struct Load {
    client: Client,
    mining: Mining,
    customers: Mutex<Customers>,
    answers: Mutex<Vec<Answer>>,
    /// The node's height, as last told.
    height: AtomicU64,
    window: AtomicU64,
    /// Told when a call begins that makes the node commit.
    pub commits: Notify,
    /// What was done, for the report.
    pub counts: Counts,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Counts {
    /// Orders sent.
    pub orders: AtomicU64,
    /// Orders refused.
    pub refused: AtomicU64,
    /// Blocks submitted.
    pub submitted: AtomicU64,
    /// Submitted branches that the node went to.
    pub branches: AtomicU64,
    /// Branches from below the final block, refused.
    pub too_deep: AtomicU64,
}

impl Counts {
    fn add(counter: &AtomicU64, more: u64) {
        counter.fetch_add(more, Ordering::Relaxed);
    }
}

impl Load {
    /// For a node at `height`; `window` is the first image on sale.
    #[must_use]
    pub fn new(client: Client, mining: Mining, customers: Customers, height: u64, window: u64) -> Self {
        Self {
            client,
            mining,
            customers: Mutex::new(customers),
            answers: Mutex::default(),
            height: AtomicU64::new(height),
            window: AtomicU64::new(window),
            commits: Notify::new(),
            counts: Counts::default(),
        }
    }

    /// The customers and all answers, when the life is over.
    #[must_use]
    pub fn into_parts(self) -> (Customers, Vec<Answer>, Counts) {
        (self.customers.into_inner(), self.answers.into_inner(), self.counts)
    }

    async fn note(&self, answers: impl IntoIterator<Item = Answer>) {
        self.answers.lock().await.extend(answers);
    }

    async fn orders(&self, random: &mut Random, count: u64) -> Result<Vec<CheckedTransaction>> {
        let (window, height) = (self.window.load(Ordering::Relaxed), self.height.load(Ordering::Relaxed));
        let mut customers = self.customers.lock().await;
        (0..count).map(|_| customers.order(random, window, height + 1)).collect()
    }

    /// A customer's life: orders one by one and in batches, each with a wait of its own.
    ///
    /// # Errors
    /// What kept a call from being answered: at the end, the kill.
    pub async fn shop(self: Arc<Self>, mut random: Random) -> Result<()> {
        loop {
            let wait = [Wait::Admitted, Wait::Included, Wait::Included, Wait::Final][random.index(4)];
            let timeout = 1 + random.below(LONGEST_WAIT_MS);
            match random.below(4) {
                0 => {
                    let count = 2 + random.below(MOST_IN_A_BATCH - 1);
                    let orders = self.orders(&mut random, count).await?;
                    self.execute_many(&orders, wait, timeout).await?;
                }
                _ => {
                    let order = self.orders(&mut random, 1).await?.remove(0);
                    self.execute(&order, wait, timeout).await?;
                }
            }
            sleep(Duration::from_millis(random.below(LONGEST_PAUSE_MS))).await;
        }
    }

    async fn execute(&self, order: &CheckedTransaction, wait: Wait, timeout: u64) -> Result<()> {
        Counts::add(&self.counts.orders, 1);
        let params = ExecuteParams {
            transaction: hex(order)?,
            wait: Some(wait),
            timeout_ms: Some(timeout.try_into().map_err(anyhow::Error::msg)?),
        };
        match self.client.call::<ExecuteTransaction>(&params).await {
            Ok(status) => self.note(Placed::of(&status).map(|placed| Answer::Placed(Box::new(placed)))).await,
            Err(ClientError::Refused(_)) => Counts::add(&self.counts.refused, 1),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn execute_many(&self, orders: &[CheckedTransaction], wait: Wait, timeout: u64) -> Result<()> {
        Counts::add(&self.counts.orders, u64::try_from(orders.len())?);
        let transactions = orders.iter().map(hex).collect::<Result<Vec<_>>>()?;
        let params = ExecuteManyParams {
            transactions: transactions.try_into().map_err(anyhow::Error::msg)?,
            wait: Some(wait),
            timeout_ms: Some(timeout.try_into().map_err(anyhow::Error::msg)?),
        };
        let outcomes = match self.client.call::<ExecuteTransactions>(&params).await {
            Ok(outcomes) => outcomes,
            Err(ClientError::Refused(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for outcome in outcomes {
            match outcome {
                Outcome::Status(status) => {
                    self.note(Placed::of(&status).map(|placed| Answer::Placed(Box::new(placed)))).await;
                }
                Outcome::Error(_) => Counts::add(&self.counts.refused, 1),
            }
        }
        Ok(())
    }

    /// The hand that makes blocks, and looks where the chain stands.
    ///
    /// # Errors
    /// A law that is broken, as [`Broken`]; what kept a call from being answered: at the end, the kill.
    pub async fn make_blocks(&self, model: &mut Model, key: &SecretKey, random: &mut Random) -> Result<()> {
        loop {
            self.look().await?;
            match random.below(20) {
                // Not beside the node's own miner: of two blocks on one parent the lower id is the chain, and one
                // answered would be displaced by one that the harness knows nothing of.
                0..=10 if self.mining == Mining::Always => {}
                0..=10 => self.generate(1 + random.below(3)).await?,
                11..=17 => self.branch(model, key, random).await?,
                18 => self.extend(model, key, random).await?,
                _ => self.too_deep(model, key, random).await?,
            }
            sleep(Duration::from_millis(random.below(LONGEST_PAUSE_MS))).await;
        }
    }

    /// Where the node stands, noted; answers its final height.
    async fn look(&self) -> Result<u64> {
        let chain = self.client.call::<GetChain>(&NoParams {}).await?;
        self.height.store(chain.tip.height, Ordering::Relaxed);
        self.note(of_chain(&chain)).await;
        Ok(chain.final_block.height)
    }

    async fn generate(&self, count: u64) -> Result<()> {
        self.commits.notify_waiters();
        let count = count.try_into().map_err(anyhow::Error::msg)?;
        match self.client.call::<GenerateBlocks>(&GenerateBlocksParams { count }).await {
            Ok(made) => {
                let tip = Answer::Tip { height: made.tip.height, hash: made.tip.hash.into(), work: None };
                self.note([tip]).await;
                Ok(())
            }
            // The chain's clock is ahead, or the node's own miner is faster.
            Err(ClientError::Refused(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A branch of the harness' own from some block that is not final, one block longer than the chain.
    async fn branch(&self, model: &mut Model, key: &SecretKey, random: &mut Random) -> Result<()> {
        model.follow(&self.client).await?;
        let unfinal = model.height() - self.look().await?.min(model.height());
        if unfinal == 0 {
            return Ok(());
        }
        // Mostly shallow, as in life; now and then as deep as can be.
        let deepest = if random.chance(4) { unfinal } else { unfinal.min(3) };
        let depth = 1 + random.below(deepest);
        self.grow(model, key, random, depth).await
    }

    /// One or two blocks on the tip.
    async fn extend(&self, model: &mut Model, key: &SecretKey, random: &mut Random) -> Result<()> {
        model.follow(&self.client).await?;
        for _ in 0..=random.below(2) {
            self.grow(model, key, random, 0).await?;
        }
        Ok(())
    }

    /// Builds on the block `depth` below the tip until there is more work than the tip's, then submits it all.
    async fn grow(&self, model: &mut Model, key: &SecretKey, random: &mut Random, depth: u64) -> Result<()> {
        let fork = model.height() - depth;
        let mut parent = model.at(fork).context("the fork is on the chain")?;
        let mut blocks = Vec::new();
        for _ in 0..=depth {
            let (id, bytes) = self.block(model, key, random, &parent).await?;
            blocks.push((id, bytes));
            parent = id;
        }
        for (id, bytes) in blocks {
            let Some(submission) = self.submit(bytes).await? else { return Ok(()) };
            match submission.verdict {
                Verdict::Accepted if depth > 0 => Counts::add(&self.counts.branches, 1),
                Verdict::Accepted | Verdict::Stale | Verdict::Held => {}
                verdict => {
                    // The one good reason: the fork has become final meanwhile.
                    let final_height = self.look().await?;
                    let why =
                        || format!("a valid block {id} on {fork} was answered {verdict:?}: {submission:?}");
                    ensure!(final_height > fork, Broken(why()));
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// A block on a block below the final one: refused, whatever follows it.
    async fn too_deep(&self, model: &mut Model, key: &SecretKey, random: &mut Random) -> Result<()> {
        let final_height = self.look().await?;
        model.follow(&self.client).await?;
        let Some(below) = final_height.checked_sub(1) else { return Ok(()) };
        let parent = model.at(below).context("what is final is on the chain")?;
        if model.state(&parent).is_none() {
            return Ok(());
        }
        let (id, bytes) = self.block(model, key, random, &parent).await?;
        let Some(submission) = self.submit(bytes).await? else { return Ok(()) };
        if !matches!(submission.verdict, Verdict::Refused | Verdict::UnknownParent) {
            bail!(Broken(format!("block {id} forks below the final height {final_height}: {submission:?}")));
        }
        Counts::add(&self.counts.too_deep, 1);
        Ok(())
    }

    /// A block with some orders that customers have sent, and some that nobody has.
    async fn block(
        &self,
        model: &mut Model,
        key: &SecretKey,
        random: &mut Random,
        parent: &Hash,
    ) -> Result<(Hash, Vec<u8>)> {
        let fresh = random.below(3);
        let mut orders = self.orders(random, fresh).await?;
        let (count, nonce) = (random.index(8), random.next());
        orders.extend(self.customers.lock().await.sent(random, count));
        model.make(parent, key, now_ms(), nonce, orders)
    }

    /// `None` where the node refused the call, not the block.
    async fn submit(&self, block: Vec<u8>) -> Result<Option<Submission>> {
        Counts::add(&self.counts.submitted, 1);
        let block = BlockHex::new(block).map_err(anyhow::Error::msg)?;
        self.commits.notify_waiters();
        match self.client.call::<SubmitBlock>(&SubmitBlockParams::Block { block }).await {
            Ok(submission) => {
                let tip = submission.tip;
                self.note([Answer::Tip { height: tip.height, hash: tip.hash.into(), work: None }]).await;
                Ok(Some(submission))
            }
            Err(ClientError::Refused(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn hex(order: &CheckedTransaction) -> Result<TransactionHex> {
    TransactionHex::new(order.bytes().to_vec()).map_err(anyhow::Error::msg)
}

/// A law that does not hold: no kill explains it.
#[derive(Debug)]
pub struct Broken(pub String);

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}
