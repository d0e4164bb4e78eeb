//! `kills`: the real daemon under load, killed with SIGKILL again and again, and every answer it gave checked.
//!
//! A life: the daemon is executed, one in four times killed while it still recovers; when it answers, its chain is
//! read and verified block by block, all answers of the life before are held against it, and its state against a
//! replica's; then the load runs until the next kill. One datadir goes through all lives. At the end, the whole
//! chain is read once more from genesis, and every order ever told to stand in a block is asked for.
//!
//! Reading order: `daemon`, `model` (what the harness knows of the chain), `answers` (the law), `orders`, `load`.

mod answers;
mod daemon;
mod load;
mod model;
mod orders;
mod state;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use printsy_rpc::chain::GetChain;
use printsy_rpc::{Client, NoParams};
use printsy_scenarios::folder::Folder;
use printsy_scenarios::process::Killer;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use self::answers::{Answer, Book, Seen, of_chain};
pub(crate) use self::daemon::genesis;
use self::daemon::{Life, Mining, Start, Starter};
use self::load::Load;
use self::model::{Model, Moved};
use self::orders::Customers;
use crate::files::copy_folder;
use crate::report::Report;
use crate::support::Random;

/// The longest life under load, ms.
const LONGEST_LIFE_MS: u64 = 1_000;
/// Into a call that makes the node commit, the kill falls within this time, us.
const INTO_A_COMMIT_US: u64 = 6_000;
/// How many customers send orders at once.
const CUSTOMERS: usize = 3;
/// How many orders of the past are asked for at each start.
const ASKED_AGAIN: usize = 25;
/// After so many lives, the next image comes on sale.
const LIVES_AN_IMAGE: u64 = 4;
/// How long calls may take to fail once the daemon is dead.
const LAST_WORDS: Duration = Duration::from_secs(60);

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The seed of all that is random here; the daemon's threads are not.
    pub seed: u64,
    /// How many kills.
    pub count: u64,
    /// The daemon's program.
    pub printsyd: PathBuf,
}

/// Kills the daemon as often as asked, and reports.
///
/// # Errors
/// The first law broken, with the seed; datadir and log are kept in the folder it names.
pub async fn run(options: &Options) -> Result<Report> {
    let mut folder = Folder::temporary()?;
    let outcome = match Campaign::new(options, &folder) {
        Ok(mut campaign) => campaign.run(options.count).await,
        Err(error) => Err(error),
    };
    outcome.with_context(|| {
        folder.keep();
        format!("kills, seed {}; datadir and log are kept in {}", options.seed, folder.path().display())
    })
}

/// Kills the daemon as often as asked, and leaves the datadir of all its lives at `datadir`.
///
/// # Errors
/// As [`run`].
pub async fn leave_datadir(options: &Options, datadir: &Path) -> Result<()> {
    let folder = Folder::temporary()?;
    Campaign::new(options, &folder)?.run(options.count).await?;
    copy_folder(&folder.datadir(1), datadir)
}

struct Campaign {
    starter: Starter,
    model: Model,
    book: Book,
    customers: Option<Customers>,
    random: Random,
    tally: Tally,
}

/// What is counted for the report.
#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    in_recovery: u64,
    restarts: Vec<Duration>,
    orders: u64,
    refused: u64,
    submitted: u64,
    branches: u64,
    too_deep: u64,
    disconnected: u64,
    states: u64,
}

impl Campaign {
    fn new(options: &Options, folder: &Folder) -> Result<Self> {
        let genesis = genesis()?;
        Ok(Self {
            starter: Starter::new(&options.printsyd, folder, &genesis)?,
            model: Model::new(genesis.clone())?,
            book: Book::default(),
            customers: Some(Customers::new(genesis)),
            random: Random::new(options.seed),
            tally: Tally::default(),
        })
    }

    async fn run(&mut self, kills: u64) -> Result<Report> {
        let begun = Instant::now();
        let mut last = (Mining::WhenTold, Vec::new());
        while self.tally.kills < kills {
            let mining = if self.random.chance(4) { Mining::Always } else { Mining::WhenTold };
            let Some(mut life) = self.start(mining, kills).await? else { continue };
            let client = life.client()?;
            self.check(&client, last).await.map_err(|error| with_end(&mut life, error))?;
            last = (mining, self.live(&mut life, mining, client).await?);
        }
        let Some(mut life) = self.start(Mining::WhenTold, u64::MAX).await? else {
            bail!("the daemon did not come up after the last kill");
        };
        let client = life.client()?;
        self.check(&client, last).await?;
        self.check_all(&client).await?;
        life.killer()?.kill()?;
        life.ended().await?;
        Ok(self.report(begun.elapsed()))
    }

    /// Starts the daemon; one in four times kills it while it recovers, as long as kills are left.
    async fn start(&mut self, mining: Mining, kills: u64) -> Result<Option<Life>> {
        let mut life = self.starter.start(mining)?;
        let usual = self.tally.restarts.last().copied().unwrap_or(Duration::from_millis(100));
        let within = u64::try_from(usual.as_micros())?.max(1_000);
        let early = (kills != u64::MAX && self.random.chance(4)).then(|| self.random.below(within));
        let killing = early.map(|us| kill_after(Ok(life.killer()), Duration::from_micros(us)));
        let start = life.begun().await?;
        match (start, killing) {
            (Start::Ready(took), None) => {
                self.tally.restarts.push(took);
                Ok(Some(life))
            }
            (start, Some(killing)) => {
                killing.await??;
                life.ended().await?;
                self.tally.kills += 1;
                self.tally.in_recovery += u64::from(matches!(start, Start::Killed));
                Ok(None)
            }
            (Start::PortTaken, None) => Ok(None),
            (Start::Killed, None) => bail!("somebody else killed the daemon"),
        }
    }

    /// Runs the load until the kill, and answers what the node answered.
    async fn live(&mut self, life: &mut Life, mining: Mining, client: Client) -> Result<Vec<Answer>> {
        let customers = self.customers.take().context("customers come back from each life")?;
        let window = self.tally.kills / LIVES_AN_IMAGE;
        let load = Arc::new(Load::new(client, mining, customers, self.model.height(), window));
        let shops: Vec<JoinHandle<Result<()>>> = (0..CUSTOMERS)
            .map(|_| tokio::spawn(load.clone().shop(Random::new(self.random.next()))))
            .collect();
        let killing = self.spawn_killer(life, &load)?;
        let (key, mut random) = (daemon::forger(), Random::new(self.random.next()));
        let made = load.make_blocks(&mut self.model, &key, &mut random).await;
        if let Err(error) = made {
            // A call that is not answered is what the kill is expected to look like; nothing else is.
            let is_dead = is_of_a_call(&error) && timeout(LAST_WORDS, killing).await.is_ok();
            if !is_dead {
                return Err(with_end(life, error));
            }
        }
        life.ended().await?;
        for shop in shops {
            let ended = timeout(LAST_WORDS, shop).await.context("a call to a dead node did not end")??;
            if let Err(error) = ended
                && !is_of_a_call(&error)
            {
                return Err(error);
            }
        }
        self.tally.kills += 1;
        let load = Arc::into_inner(load).context("all who shared the load have ended")?;
        let (customers, answers, counts) = load.into_parts();
        self.customers = Some(customers);
        self.tally.orders += counts.orders.load(Ordering::Relaxed);
        self.tally.refused += counts.refused.load(Ordering::Relaxed);
        self.tally.submitted += counts.submitted.load(Ordering::Relaxed);
        self.tally.branches += counts.branches.load(Ordering::Relaxed);
        self.tally.too_deep += counts.too_deep.load(Ordering::Relaxed);
        Ok(answers)
    }

    /// Kills at any moment, or within the commit that follows it.
    fn spawn_killer(&mut self, life: &Life, load: &Arc<Load>) -> Result<JoinHandle<Result<()>>> {
        let killer = life.killer()?;
        let at = Duration::from_millis(self.random.below(LONGEST_LIFE_MS));
        let into = self.random.chance(2).then(|| Duration::from_micros(self.random.below(INTO_A_COMMIT_US)));
        let load = load.clone();
        Ok(tokio::spawn(async move {
            sleep(at).await;
            if let Some(into) = into {
                load.commits.notified().await;
                sleep(into).await;
            }
            killer.kill()
        }))
    }

    /// Holds a node that has just come up against all that the last life's node answered.
    async fn check(&mut self, client: &Client, (mining, answers): (Mining, Vec<Answer>)) -> Result<()> {
        self.model.follow(client).await.context("after the restart")?;
        let moved = self.model.take_moved();
        self.tally.disconnected += u64::try_from(moved.disconnected)?;
        let seen = Seen { model: &self.model, moved, mining };
        self.book.settle(&seen, answers).context("after the restart")?;
        let chain = client.call::<GetChain>(&NoParams {}).await?;
        let (now, before) = (chain.final_block.height, self.book.final_height());
        ensure!(now >= before, "the final height was {before}, and is {now} after the restart");
        self.model.note_final(now)?;
        // Its own miner may have gone on since.
        self.model.follow(client).await?;
        let seen = Seen { model: &self.model, moved: Moved::default(), mining };
        self.book.settle(&seen, of_chain(&chain).to_vec())?;
        for _ in 0..ASKED_AGAIN.min(self.book.orders().len()) {
            let orders = self.book.orders();
            // Half of them are among the last.
            let from = if self.random.chance(2) { orders.len().saturating_sub(2 * ASKED_AGAIN) } else { 0 };
            let txid = orders[from + self.random.index(orders.len() - from)];
            self.book.ask_again(client, &self.model, &txid).await?;
        }
        let customers = self.customers.as_ref().context("customers come back from each life")?;
        let window = self.tally.kills / LIVES_AN_IMAGE;
        self.tally.states +=
            state::compare(client, &mut self.model, &customers.accounts(), window, &mut self.random).await?;
        Ok(())
    }

    /// At the end: the whole chain by a replica of its own, and every order that was ever answered.
    async fn check_all(&mut self, client: &Client) -> Result<()> {
        let mut fresh = Model::new(self.model.genesis().clone())?;
        fresh.follow(client).await.context("the whole chain once more")?;
        ensure!(fresh.tip() == self.model.tip(), "the whole chain leads elsewhere than its parts");
        for txid in self.book.orders().to_vec() {
            self.book.ask_again(client, &self.model, &txid).await.context("at the end")?;
        }
        Ok(())
    }

    fn report(&mut self, took: Duration) -> Report {
        let tally = &mut self.tally;
        tally.restarts.sort_unstable();
        let at = |part: usize| {
            let index = (tally.restarts.len() * part / 100).min(tally.restarts.len().saturating_sub(1));
            tally.restarts.get(index).map_or(0, |restart| restart.as_millis())
        };
        let mut report = Report::new("kills");
        report.add("kills", tally.kills);
        report.add("kills during recovery", tally.in_recovery);
        report.add("answers checked", self.book.checked());
        report.add("states compared", tally.states);
        report.add("orders sent", tally.orders);
        report.add("orders refused", tally.refused);
        report.add("orders answered in a block", self.book.orders().len());
        report.add("height", self.model.height());
        report.add("blocks verified", self.model.blocks());
        report.add("blocks submitted", tally.submitted);
        report.add("reorganisations by a submitted branch", tally.branches);
        report.add("blocks seen to be disconnected", tally.disconnected);
        report.add("branches below the final block, refused", tally.too_deep);
        report.add("restart ms, p50", at(50));
        report.add("restart ms, p99", at(99));
        report.add("restart ms, longest", at(100));
        report.add("lost", 0);
        report.add("repairs by hand", 0);
        report.add("seconds", took.as_secs());
        report
    }
}

/// Kills after some time, whatever the daemon does then.
fn kill_after(killer: Result<Result<Killer>>, after: Duration) -> JoinHandle<Result<()>> {
    tokio::spawn(async move {
        let killer = killer??;
        sleep(after).await;
        killer.kill()
    })
}

/// Whether it is that a call was not answered, and no more.
fn is_of_a_call(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<printsy_rpc::ClientError>())
}

/// The error, with how the daemon ended if it has: that is what it is really about.
fn with_end(life: &mut Life, error: anyhow::Error) -> anyhow::Error {
    match life.obituary() {
        Some(end) => error.context(end),
        None => error,
    }
}
