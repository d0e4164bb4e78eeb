//! The one daemon that is killed: a real `printsyd run` on a datadir, alone on its network.
//!
//! It is started with a genesis that is easy and nothing else is: each rule holds, each commit is synced. Its life
//! begins when it answers `/livez` and ends by SIGKILL; any other end is a failure.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use printsy_consensus::{
    Admission, Catalogue, Genesis, GenesisMiner, Params, PublicKey, SecretKey, codec::List,
};
use printsy_rpc::Client;
use printsy_scenarios::folder::Folder;
use printsy_scenarios::http;
use printsy_scenarios::network::free_ports;
use printsy_scenarios::process::{Daemon, Killer};
use tokio::time::{Instant, sleep};

/// The network's name.
const NETWORK: &str = "dev-torture";
/// The miner whose key the daemon has; the harness makes its blocks with the second one's.
const OWN_MINER: &str = "dev:miner-1";
/// The names of the miners' keys.
const MINERS: [&str; 2] = ["miner-1", "miner-2"];
/// How long a start may take before that is a failure.
const READY_TIME: Duration = Duration::from_secs(60);
/// The pause between two looks whether it answers.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How many of its log's last lines tell why it ended.
const LAST_LINES: usize = 12;
/// The signal that ends each life.
const SIGKILL: i32 = 9;
/// The exit code of a daemon whose port somebody else took meanwhile.
const PORT_IN_USE: i32 = 7;

/// A genesis on which blocks cost nothing and are final soon.
///
/// # Errors
/// Never: its parameters are constants.
pub fn genesis() -> Result<Genesis> {
    let miners = MINERS.map(|name| GenesisMiner { key: public(name), name: list(name.as_bytes().to_vec()) });
    let params = Params {
        network: list(NETWORK.as_bytes().to_vec()),
        time: 1_790_000_000_000,
        max_images: 1_000_000_000,
        max_editions: 100,
        max_per_account: 0,
        catalogue: Catalogue::Open,
        admission: Admission::Open,
        target_interval_ms: 1_000,
        // 200 blocks a second at the most, and the clock of the chain never far ahead.
        min_interval_ms: 5,
        half_life_ms: 1 << 40,
        bits: 0x207f_ffff,
        finality_depth: 30,
        max_validity: 300,
        max_block_bytes: 1 << 20,
        max_per_sender: 0,
        miner_spacing: 0,
        max_future_ms: 1_000,
        registrars: list(vec![public("registrar")]),
        issuers: list(vec![public("issuer")]),
        miners: list(miners.to_vec()),
    };
    Genesis::new(params).context("the torture's genesis")
}

/// The key that the harness makes blocks with.
#[must_use]
pub fn forger() -> SecretKey {
    SecretKey::development(MINERS[1])
}

fn public(name: &str) -> PublicKey {
    SecretKey::development(name).public_key()
}

fn list<T, const MAX: usize>(items: Vec<T>) -> List<T, MAX> {
    items.try_into().unwrap_or_else(|_| panic!("constants within {MAX}"))
}

/// Whether a life's daemon makes blocks by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mining {
    /// All the time.
    Always,
    /// When it is told to (`generateBlocks`).
    WhenTold,
}

/// How to start a daemon.
#[derive(Debug)]
pub struct Starter {
    program: PathBuf,
    genesis: PathBuf,
    datadir: PathBuf,
    log: PathBuf,
}

/// A daemon that was started.
#[derive(Debug)]
pub struct Life {
    daemon: Daemon,
    rpc: SocketAddr,
    log: PathBuf,
    started: Instant,
}

/// How a start went.
#[derive(Debug)]
pub enum Start {
    /// It answers, so long after it was executed.
    Ready(Duration),
    /// It has ended by the signal of its killer.
    Killed,
    /// Somebody else took its port: to be started again.
    PortTaken,
}

impl Starter {
    /// A daemon of `program` in a folder, where the genesis is written.
    ///
    /// # Errors
    /// If it cannot be.
    pub fn new(program: &Path, folder: &Folder, genesis: &Genesis) -> Result<Self> {
        std::fs::write(folder.genesis(), genesis.to_json()).context("cannot write the genesis")?;
        Ok(Self {
            program: program.to_owned(),
            genesis: folder.genesis(),
            datadir: folder.datadir(1),
            log: folder.log(1),
        })
    }

    /// Executes the daemon.
    ///
    /// # Errors
    /// If it cannot be.
    pub fn start(&self, mining: Mining) -> Result<Life> {
        let port = free_ports(1)?.remove(0);
        let rpc = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut arguments: Vec<OsString> = vec![
            "run".into(),
            "--genesis".into(),
            self.genesis.clone().into(),
            "--datadir".into(),
            self.datadir.clone().into(),
            "--rpc-listen".into(),
            rpc.to_string().into(),
            "--listen".into(),
            "".into(),
        ];
        if mining == Mining::Always {
            arguments.extend(["--mine", "--miner-key", OWN_MINER, "--threads", "1"].map(OsString::from));
        }
        let started = Instant::now();
        Ok(Life {
            daemon: Daemon::start(&self.program, &arguments, &self.log)?,
            rpc,
            log: self.log.clone(),
            started,
        })
    }
}

impl Life {
    /// What ends it.
    ///
    /// # Errors
    /// If it has ended.
    pub fn killer(&self) -> Result<Killer> {
        self.daemon.killer()
    }

    /// What asks it.
    ///
    /// # Errors
    /// Never: the address is one.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::new(&format!("http://{}", self.rpc))?)
    }

    /// Waits until it answers, or was killed before.
    ///
    /// # Errors
    /// If it ends by itself, or does not answer in time.
    pub async fn begun(&mut self) -> Result<Start> {
        loop {
            if let Some(status) = self.daemon.has_ended() {
                use std::os::unix::process::ExitStatusExt;
                return match (status.signal(), status.code()) {
                    (Some(SIGKILL), _) => Ok(Start::Killed),
                    (_, Some(PORT_IN_USE)) => Ok(Start::PortTaken),
                    _ => bail!("the daemon ended by itself ({status}); its log ends:\n{}", self.last_lines()),
                };
            }
            if http::get(self.rpc, "/livez").await.is_ok_and(|answer| answer.status == 200) {
                return Ok(Start::Ready(self.started.elapsed()));
            }
            if self.started.elapsed() > READY_TIME {
                bail!(
                    "no answer {} s after the start; its log ends:\n{}",
                    READY_TIME.as_secs(),
                    self.last_lines()
                );
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits for its end by SIGKILL.
    ///
    /// # Errors
    /// If it ended otherwise.
    pub async fn ended(&mut self) -> Result<()> {
        use std::os::unix::process::ExitStatusExt;
        let status = self.daemon.ended().await?;
        if status.signal() == Some(SIGKILL) {
            return Ok(());
        }
        bail!("the daemon ended by itself ({status}); its log ends:\n{}", self.last_lines())
    }

    /// How it ended, if it has, in a sentence.
    pub fn obituary(&mut self) -> Option<String> {
        let status = self.daemon.has_ended()?;
        Some(format!("the daemon has ended ({status}); its log ends:\n{}", self.last_lines()))
    }

    fn last_lines(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}
