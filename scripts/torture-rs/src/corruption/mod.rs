//! `corruption`: one random flip, cut or deletion in one file of a stopped node's datadir, of every kind of file, and
//! then the real daemon is started on it.
//!
//! It may heal the damage: then it has the very chain it had, as far final, with the orders that waited, and an audit
//! finds nothing. It may refuse a damaged journal, genesis, key or configuration, with the exit code that
//! docs/operating.md has for it and one line that names the file and says what to do; with a peer to ask, it must then
//! get back what it lost. Or it runs on what it has not read, with the same chain, and an audit finds the damage. What
//! must never be: another chain in silence, a panic, a hang, a file it could make again and does not.
//!
//! Some datadirs are in the midst of a repair when they are damaged once more: with a peer, they must become whole.
//!
//! Reading order: `datadir`, `kind`, `damage`, `running`.

mod damage;
mod datadir;
mod kind;
mod running;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use printsy_rpc::chain::Chain;
use printsy_scenarios::folder::Folder;
use tokio::time::{Instant, sleep};

use self::damage::{Damage, damage, damage_unread};
use self::kind::Kind;
use self::running::{Running, audit};
use crate::files::copy_folder;
use crate::report::Report;
use crate::support::Random;

/// How long the daemon may take to answer, to refuse, or to become whole.
const PATIENCE: Duration = Duration::from_secs(120);
/// The pause between two looks whether it does.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Where a daemon listens that has a network.
const LOOPBACK: &str = "/ip4/127.0.0.1/tcp/0";
/// After so many damages the datadirs they are done to are made anew.
const DAMAGES_A_DATADIR: u64 = 250;
/// Of so many damages, one is done in the midst of a repair.
const MIDWAY_ONE_IN: u64 = 6;
/// Of so many damages, one is done where no start reads.
const UNREAD_ONE_IN: u64 = 20;
/// Of so many refused damages to the journal, one is repaired with a peer's help.
const REFETCH_ONE_IN: u64 = 2;
/// The exit code of an audit that found something.
const DAMAGED: u8 = 5;
/// That a repair is not at its end.
const LOST_FILE: &str = "journal/lost";

/// The folders: a whole datadir, the damaged copy, the peer's, and one in the midst of a repair.
const WHOLE: usize = 0;
const COPY: usize = 1;
const PEER: usize = 2;
const MIDWAY: usize = 3;

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The seed.
    pub seed: u64,
    /// How many damages.
    pub count: u64,
    /// The daemon's program.
    pub printsyd: PathBuf,
}

/// What became of one damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// The daemon has its chain, and an audit finds nothing.
    Healed,
    /// The daemon did not start, and said why and what to do.
    Refused,
    /// With a peer to ask it started, has its chain, and an audit finds nothing.
    Refetched,
    /// The daemon has its chain, and an audit finds the damage.
    FoundByAudit,
}

/// What a node tells of its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stand {
    height: u64,
    tip: String,
    final_height: u64,
}

impl Stand {
    fn of(chain: &Chain) -> Self {
        let (height, tip) = (chain.tip.height, chain.tip.hash.to_string());
        Self { height, tip, final_height: chain.final_block.height }
    }
}

/// What the whole datadir's node tells.
#[derive(Clone, Debug)]
struct Whole {
    stand: Stand,
    /// How many orders wait.
    waiting: u64,
}

/// Damages, starts, compares.
///
/// # Errors
/// The first damage after which a law is broken, with the seed; the datadir is kept in the folder it names.
pub async fn run(options: &Options) -> Result<Report> {
    let folder = Folder::temporary()?;
    let mut campaign =
        Campaign { options, folder, random: Random::new(options.seed), tally: BTreeMap::new() };
    let outcome = campaign.run().await;
    outcome.with_context(|| {
        campaign.folder.keep();
        format!(
            "corruption, seed {}; the datadir is kept in {}",
            options.seed,
            campaign.folder.path().display()
        )
    })
}

struct Campaign<'a> {
    options: &'a Options,
    folder: Folder,
    random: Random,
    tally: BTreeMap<(Kind, Outcome), u64>,
}

impl Campaign<'_> {
    async fn run(&mut self) -> Result<Report> {
        let begun = Instant::now();
        let mut whole = None;
        for number in 0..self.options.count {
            if number % DAMAGES_A_DATADIR == 0 {
                eprintln!("{number} damages in {} s", begun.elapsed().as_secs());
                whole = Some(self.make_datadirs(number).await.context("making the datadirs")?);
            }
            let whole = whole.as_ref().context("the datadirs were made")?;
            let is_unread = number % UNREAD_ONE_IN == UNREAD_ONE_IN - 1;
            let is_midway = !is_unread && self.random.chance(MIDWAY_ONE_IN);
            self.copy(if is_midway { MIDWAY } else { WHOLE }, COPY)?;
            let spoil = if is_unread { damage_unread } else { damage };
            let done = spoil(&mut self.random, &self.folder.datadir(COPY))?;
            let outcome = match is_midway {
                true => self.with_peer(whole, &done).await.context("in the midst of a repair"),
                false => self.alone(whole, &done).await,
            };
            let outcome = outcome.with_context(|| format!("damage {number}: {}", done.what))?;
            *self.tally.entry((done.kind, outcome)).or_default() += 1;
        }
        Ok(self.report(begun.elapsed()))
    }

    /// The datadirs that copies are damaged of; answers how a node on a whole one stands.
    async fn make_datadirs(&mut self, number: u64) -> Result<Whole> {
        self.empty(WHOLE)?;
        datadir::make(self.options, &self.folder.datadir(WHOLE), number).await?;
        // A start mends what is unfinished there: only a copy may tell.
        self.copy(WHOLE, COPY)?;
        let mut running = Running::start(self.options, &self.folder, COPY, &["--listen", ""])?;
        let chain =
            running.chain().await?.map_err(|code| anyhow!("a whole datadir is refused with {code}"))?;
        running.stop().await?;
        let found = audit(self.options, &self.folder.datadir(COPY)).await?;
        ensure!(found == 0, "an audit of a whole datadir ends with {found}");
        let whole = Whole { stand: Stand::of(&chain), waiting: chain.mempool.transactions };
        self.copy(WHOLE, MIDWAY)?;
        datadir::begin_repair(&mut self.random, &self.folder.datadir(MIDWAY))?;
        Ok(whole)
    }

    /// Starts the daemon on the damaged copy, and holds what it does against the law.
    async fn alone(&mut self, whole: &Whole, done: &Damage) -> Result<Outcome> {
        // Only a node that has a network reads who it is there, and whom it knew.
        let listen = if matches!(done.kind, Kind::NodeKey | Kind::Peers) { LOOPBACK } else { "" };
        let mut running = Running::start(self.options, &self.folder, COPY, &["--listen", listen])?;
        let chain = match running.chain().await? {
            Ok(chain) => chain,
            Err(code) => {
                running.check_refusal(done.kind, code)?;
                if done.kind == Kind::Segment && self.random.chance(REFETCH_ONE_IN) {
                    return self.with_peer(whole, done).await.context("with a peer");
                }
                return Ok(Outcome::Refused);
            }
        };
        let stand = Stand::of(&chain);
        ensure!(stand == whole.stand, "it stood at {:?}, and stands at {stand:?} in silence", whole.stand);
        let (expected, got) = (whole.waiting, chain.mempool.transactions);
        // A chain made anew may go over a branch that it had left: its orders wait again, as after any reorganisation.
        let is_kept = got == expected || (done.kind == Kind::Segment && got > expected);
        ensure!(is_kept || done.kind == Kind::Orders, "{expected} orders waited, and {got} do now");
        running.stop().await.context("a clean stop")?;
        self.audited(done, Outcome::Healed).await
    }

    /// Starts the daemon on the damaged copy beside a peer that has the whole chain: it must become whole.
    async fn with_peer(&mut self, whole: &Whole, done: &Damage) -> Result<Outcome> {
        self.copy(WHOLE, PEER)?;
        // Two nodes with one key would take each other for themselves.
        fs::remove_file(self.folder.datadir(PEER).join("node.key"))?;
        let mut peer = Running::start(self.options, &self.folder, PEER, &["--listen", LOOPBACK])?;
        let chain = peer.chain().await?.map_err(|code| anyhow!("the peer ended with {code}"))?;
        let address = chain.listen.first().context("the peer listens")?;
        let id = format!("/p2p/{}", chain.peer_id);
        let bootnode = if address.ends_with(&id) { address.clone() } else { format!("{address}{id}") };
        let words = ["--listen", "", "--bootnodes", &bootnode];
        let mut mended = Running::start(self.options, &self.folder, COPY, &words)?;
        let begun = Instant::now();
        loop {
            let stand = match mended.chain().await? {
                Ok(chain) => Stand::of(&chain),
                Err(code) if done.kind != Kind::Segment => {
                    mended.check_refusal(done.kind, code)?;
                    return Ok(Outcome::Refused);
                }
                Err(code) => bail!("refused with {code} though there is a peer"),
            };
            let is_at_its_end = !self.folder.datadir(COPY).join(LOST_FILE).exists();
            if stand == whole.stand && is_at_its_end {
                break;
            }
            ensure!(begun.elapsed() < PATIENCE, "stands at {stand:?}, and stood at {:?}", whole.stand);
            sleep(LOOK_EVERY).await;
        }
        mended.stop().await?;
        peer.stop().await?;
        self.audited(done, Outcome::Refetched).await
    }

    /// What became of a damage after which the chain is the same: the outcome given, if an audit finds nothing.
    async fn audited(&self, done: &Damage, otherwise: Outcome) -> Result<Outcome> {
        match audit(self.options, &self.folder.datadir(COPY)).await? {
            0 => Ok(otherwise),
            DAMAGED if done.kind.may_lie_unread() => Ok(Outcome::FoundByAudit),
            code => bail!("the audit ended with {code}"),
        }
    }

    fn copy(&self, from: usize, to: usize) -> Result<()> {
        self.empty(to)?;
        copy_folder(&self.folder.datadir(from), &self.folder.datadir(to))
    }

    fn empty(&self, number: usize) -> Result<()> {
        let datadir: &Path = &self.folder.datadir(number);
        if datadir.exists() {
            fs::remove_dir_all(datadir)?;
        }
        Ok(())
    }

    fn report(&self, took: Duration) -> Report {
        let mut report = Report::new("corruption");
        report.add("damages", self.options.count);
        for outcome in [Outcome::Healed, Outcome::Refused, Outcome::Refetched, Outcome::FoundByAudit] {
            let counts = self.tally.iter().filter(|((_, of), _)| *of == outcome).map(|(_, count)| count);
            report.add(&format!("{outcome:?}"), counts.sum::<u64>());
        }
        for ((kind, outcome), count) in &self.tally {
            report.add(&format!("{kind}: {outcome:?}"), count);
        }
        report.add("seconds", took.as_secs());
        report
    }
}
