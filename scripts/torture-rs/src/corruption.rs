//! `corruption`: one random flip, cut or deletion in one file of a stopped node's datadir, of every kind of file, and
//! then the real daemon is started on it.
//!
//! It may heal the damage: then it has the very chain it had, to the tip's state root, and an audit finds nothing. It
//! may refuse, with an exit code that means "damaged" (for the small files that people write themselves: a wrong
//! configuration, key or genesis) and a message. Or it runs on what it has not read, with the same chain, and an
//! audit finds the damage. What must never be: another chain in silence, a panic, a hang.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use printsy_rpc::chain::{Chain, GetChain};
use printsy_rpc::{Client, NoParams};
use printsy_scenarios::folder::Folder;
use printsy_scenarios::network::free_ports;
use printsy_scenarios::process::Daemon;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use crate::files::{copy_folder, files_in};
use crate::kills;
use crate::report::Report;
use crate::support::Random;

/// How long the daemon may take to answer or to refuse.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two looks whether it answers.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Where the peer listens.
const LOOPBACK: &str = "/ip4/127.0.0.1/tcp/0";
/// After so many damages the datadir they are done to is made anew.
const DAMAGES_A_DATADIR: u64 = 250;
/// How often the daemon is killed while a datadir is made: enough for every kind of file to be there.
const KILLS_A_DATADIR: u64 = 6;
/// The exit code of an audit that found something, and of a start that is refused for damage.
const DAMAGED: i32 = 5;
/// Files that people write: a flip in them makes another word of a word.
const WRITTEN_BY_PEOPLE: [&str; 2] = ["genesis.json", "node.key"];
/// What a start with such a file may end with: a wrong configuration, or another network than the journal's.
const WRONG_WORDS: [i32; 2] = [3, 6];

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

/// Of so many refused damages to the journal, one is repaired with a peer's help.
const REFETCH_ONE_IN: u64 = 4;

/// What became of one damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// The daemon has its chain, and an audit finds nothing.
    Healed,
    /// The daemon did not start, and said why.
    Refused,
    /// The daemon did not start, and said why; with a peer to ask it started, has its chain, and an audit finds nothing.
    Refetched,
    /// The daemon has its chain, and an audit finds the damage.
    FoundByAudit,
}

/// Where a chain stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stand {
    height: u64,
    tip: String,
}

/// Damages, starts, compares.
///
/// # Errors
/// The first damage after which a law is broken, with the seed; the datadir is kept in the folder it names.
pub async fn run(options: &Options) -> Result<Report> {
    let mut folder = Folder::temporary()?;
    let outcome = campaign(options, &folder).await;
    outcome.with_context(|| {
        folder.keep();
        format!("corruption, seed {}; the datadir is kept in {}", options.seed, folder.path().display())
    })
}

async fn campaign(options: &Options, folder: &Folder) -> Result<Report> {
    let begun = Instant::now();
    let mut random = Random::new(options.seed);
    let mut tally: BTreeMap<(String, Outcome), u64> = BTreeMap::new();
    let mut whole = None;
    for number in 0..options.count {
        if number % DAMAGES_A_DATADIR == 0 {
            whole = Some(make_datadir(options, folder, number).await?);
        }
        let stand = whole.as_ref().context("a datadir was made")?;
        let copy = folder.datadir(1);
        if copy.exists() {
            fs::remove_dir_all(&copy)?;
        }
        copy_folder(&folder.datadir(0), &copy)?;
        let (kind, what) = damage(&mut random, &copy)?;
        let judged = async {
            match judge(options, folder, &copy, stand, &kind).await? {
                Outcome::Refused if kind == "journal" && random.chance(REFETCH_ONE_IN) => {
                    refetch(options, folder, &copy, stand).await.context("with a peer")
                }
                outcome => Ok(outcome),
            }
        };
        let outcome = judged.await.with_context(|| format!("damage {number}: {what}"))?;
        *tally.entry((kind, outcome)).or_default() += 1;
    }
    let mut report = Report::new("corruption");
    report.add("damages", options.count);
    for outcome in [Outcome::Healed, Outcome::Refused, Outcome::Refetched, Outcome::FoundByAudit] {
        let count: u64 = tally.iter().filter(|((_, of), _)| *of == outcome).map(|(_, count)| count).sum();
        report.add(&format!("{outcome:?}"), count);
    }
    for ((kind, outcome), count) in &tally {
        report.add(&format!("{kind}: {outcome:?}"), count);
    }
    report.add("seconds", begun.elapsed().as_secs());
    Ok(report)
}

/// A datadir with a history of kills behind it, and last a clean stop; says where its chain stands.
async fn make_datadir(options: &Options, folder: &Folder, number: u64) -> Result<Stand> {
    let datadir = folder.datadir(0);
    if datadir.exists() {
        fs::remove_dir_all(&datadir)?;
    }
    let seed = options.seed.wrapping_add(number);
    let printsyd = options.printsyd.clone();
    kills::leave_datadir(&kills::Options { seed, count: KILLS_A_DATADIR, printsyd }, &datadir).await?;
    let mut running = Running::start(options, folder, &datadir)?;
    let stand = match running.stand().await? {
        Ok(stand) => stand,
        Err(code) => bail!("the daemon does not start on a whole datadir: exit code {code}"),
    };
    running.daemon.stop().await?;
    Ok(stand)
}

/// Starts the daemon on a damaged datadir, and holds what it does against the law.
async fn judge(
    options: &Options,
    folder: &Folder,
    datadir: &Path,
    whole: &Stand,
    kind: &str,
) -> Result<Outcome> {
    let mut running = Running::start(options, folder, datadir)?;
    let stand = match running.stand().await? {
        Ok(stand) => stand,
        Err(code) => {
            let by_people = WRITTEN_BY_PEOPLE.contains(&kind) && WRONG_WORDS.contains(&code);
            let said = fs::read_to_string(folder.log(1))?;
            ensure!(code == DAMAGED || by_people, "exit code {code}: {}", last_line(&said));
            ensure!(said.contains("printsyd: error: "), "no word with exit code {code}");
            return Ok(Outcome::Refused);
        }
    };
    ensure!(stand == *whole, "the chain stood at {whole:?}, and stands at {stand:?} now, in silence");
    running.daemon.stop().await.context("a clean stop")?;
    match audit(options, datadir).await? {
        0 => Ok(Outcome::Healed),
        DAMAGED => Ok(Outcome::FoundByAudit),
        code => bail!("the audit ended with {code}"),
    }
}

/// Starts the daemon on a damaged datadir beside a peer that has the whole chain: it must get back what it lost.
async fn refetch(options: &Options, folder: &Folder, datadir: &Path, whole: &Stand) -> Result<Outcome> {
    let other = folder.datadir(2);
    if other.exists() {
        fs::remove_dir_all(&other)?;
    }
    copy_folder(&folder.datadir(0), &other)?;
    // Two nodes with one key would take each other for themselves.
    let key = other.join("node.key");
    if key.exists() {
        fs::remove_file(key)?;
    }
    let mut peer = Running::start_with(options, folder, &other, 2, &["--listen", LOOPBACK])?;
    let chain = peer.chain().await?.map_err(|code| anyhow!("the peer ended with {code}"))?;
    let address = chain.listen.first().context("the peer listens")?;
    let bootnode = format!("{address}/p2p/{}", chain.peer_id);
    let mut mended =
        Running::start_with(options, folder, datadir, 1, &["--listen", "", "--bootnodes", &bootnode])?;
    let begun = Instant::now();
    loop {
        match mended.stand().await? {
            Ok(stand) if stand == *whole => break,
            Ok(stand) => {
                ensure!(begun.elapsed() < PATIENCE, "stands at {stand:?}, and stood at {whole:?}");
                sleep(LOOK_EVERY).await;
            }
            Err(code) => bail!("refused with {code} though there is a peer"),
        }
    }
    mended.daemon.stop().await?;
    peer.daemon.stop().await?;
    let found = audit(options, datadir).await?;
    ensure!(found == 0, "the audit after the repair ended with {found}");
    Ok(Outcome::Refetched)
}

/// A daemon that was started on some datadir.
struct Running {
    daemon: Daemon,
    rpc: SocketAddr,
}

impl Running {
    /// A node without a network.
    fn start(options: &Options, folder: &Folder, datadir: &Path) -> Result<Self> {
        Self::start_with(options, folder, datadir, 1, &["--listen", ""])
    }

    fn start_with(
        options: &Options,
        folder: &Folder,
        datadir: &Path,
        number: usize,
        words: &[&str],
    ) -> Result<Self> {
        let rpc = SocketAddr::from((Ipv4Addr::LOCALHOST, free_ports(1)?.remove(0)));
        let mut arguments: Vec<OsString> = vec!["run".into()];
        arguments.extend(words.iter().map(OsString::from));
        arguments.extend(["--datadir".into(), datadir.into()]);
        arguments.extend(["--rpc-listen".into(), rpc.to_string().into()]);
        let log = folder.log(number);
        if log.exists() {
            fs::remove_file(&log)?;
        }
        Ok(Self { daemon: Daemon::start(&options.printsyd, &arguments, &log)?, rpc })
    }

    /// Where its chain stands, or with which exit code it refused.
    async fn stand(&mut self) -> Result<Result<Stand, i32>> {
        let stand = |chain: Chain| Stand { height: chain.tip.height, tip: chain.tip.hash.to_string() };
        Ok(self.chain().await?.map(stand))
    }

    /// What it says of its chain, or with which exit code it refused.
    async fn chain(&mut self) -> Result<Result<Chain, i32>> {
        let client = Client::new(&format!("http://{}", self.rpc))?;
        let begun = Instant::now();
        loop {
            if let Some(status) = self.daemon.has_ended() {
                let code = status.code().with_context(|| format!("ended by signal {:?}", status.signal()))?;
                return Ok(Err(code));
            }
            if let Ok(chain) = client.call::<GetChain>(&NoParams {}).await {
                return Ok(Ok(chain));
            }
            ensure!(begun.elapsed() < PATIENCE, "neither an answer nor an end within {PATIENCE:?}");
            sleep(LOOK_EVERY).await;
        }
    }
}

/// Audits a stopped datadir: the exit code.
async fn audit(options: &Options, datadir: &Path) -> Result<i32> {
    let mut command = Command::new(&options.printsyd);
    command.args(["audit", "--log", "warn", "--datadir"]).arg(datadir);
    command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let status = timeout(PATIENCE, command.status()).await.context("the audit hangs")??;
    status.code().with_context(|| format!("the audit ended by signal {:?}", status.signal()))
}

/// Damages one file; says of which kind it is, and how.
fn damage(random: &mut Random, datadir: &Path) -> Result<(String, String)> {
    let mut kinds: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in files_in(datadir)? {
        let len = fs::metadata(&path)?.len();
        if let Some(kind) = kind_of(datadir, &path).filter(|_| len > 0) {
            kinds.entry(kind).or_default().push(path);
        }
    }
    let names: Vec<&String> = kinds.keys().collect();
    // The journal is most of what there is, and what all else is made from.
    let kind = if random.chance(3) { "journal".to_owned() } else { names[random.index(names.len())].clone() };
    let paths = kinds.get(&kind).context("a journal")?;
    let path = &paths[random.index(paths.len())];
    let name = path.strip_prefix(datadir)?.display().to_string();
    let mut bytes = fs::read(path)?;
    let at = random.index(bytes.len());
    let how = match random.below(8) {
        0 => {
            fs::remove_file(path)?;
            return Ok((kind, format!("{name} removed")));
        }
        1 => {
            bytes.truncate(at);
            format!("{name} cut to {at}")
        }
        2 => {
            let end = bytes.len().min(at + 1 + random.index(512));
            bytes[at..end].fill(0);
            format!("{name} zeroed from {at} to {end}")
        }
        _ => {
            bytes[at] ^= 1 << random.below(8);
            format!("{name} flipped at {at}")
        }
    };
    fs::write(path, bytes)?;
    Ok((kind, how))
}

/// The kind of a file; `None` for what is nobody's data: the lock, whose bytes only name a process.
fn kind_of(datadir: &Path, path: &Path) -> Option<String> {
    let name = path.strip_prefix(datadir).ok()?.to_str()?;
    match name {
        "lock" => None,
        _ if name.ends_with(".seg") => Some("journal".to_owned()),
        _ if name.starts_with("journal/torn") => Some("torn tail".to_owned()),
        _ if name.starts_with("index/") => Some("index".to_owned()),
        _ => Some(name.to_owned()),
    }
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or("nothing was said")
}
