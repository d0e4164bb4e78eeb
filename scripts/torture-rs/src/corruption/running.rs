//! The daemon on one of the campaign's datadirs: started, asked, and held to its word where it refuses.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use anyhow::{Context, Result, ensure};
use printsy_rpc::chain::{Chain, GetChain};
use printsy_rpc::{Client, NoParams};
use printsy_scenarios::folder::Folder;
use printsy_scenarios::network::free_ports;
use printsy_scenarios::process::{Daemon, command};
use tokio::time::{Instant, sleep, timeout};

use super::kind::Kind;
use super::{LOOK_EVERY, Options, PATIENCE};

/// What the one line begins with that a program says when it fails.
const ERROR: &str = "printsyd: error: ";

/// A daemon that was started on some datadir.
pub struct Running {
    daemon: Daemon,
    rpc: SocketAddr,
    log: PathBuf,
}

impl Running {
    /// Starts it on the folder's datadir with this number; `words` are further arguments.
    pub fn start(options: &Options, folder: &Folder, number: usize, words: &[&str]) -> Result<Self> {
        let rpc = SocketAddr::from((Ipv4Addr::LOCALHOST, free_ports(1)?.remove(0)));
        let mut arguments: Vec<OsString> = vec!["run".into()];
        arguments.extend(words.iter().map(OsString::from));
        arguments.extend(["--datadir".into(), folder.datadir(number).into()]);
        arguments.extend(["--rpc-listen".into(), rpc.to_string().into()]);
        let log = folder.log(number);
        if log.exists() {
            fs::remove_file(&log)?;
        }
        Ok(Self { daemon: Daemon::start(&options.printsyd, &arguments, &log)?, rpc, log })
    }

    /// What it says of its chain, or with which exit code it refused.
    pub async fn chain(&mut self) -> Result<Result<Chain, u8>> {
        let client = Client::new(&format!("http://{}", self.rpc))?;
        let begun = Instant::now();
        loop {
            if let Some(status) = self.daemon.has_ended() {
                return Ok(Err(code_of(status)?));
            }
            if let Ok(chain) = client.call::<GetChain>(&NoParams {}).await {
                return Ok(Ok(chain));
            }
            ensure!(begun.elapsed() < PATIENCE, "neither an answer nor an end within {PATIENCE:?}");
            sleep(LOOK_EVERY).await;
        }
    }

    /// Stops it in good order.
    pub async fn stop(&mut self) -> Result<()> {
        self.daemon.stop().await
    }

    /// Whether it refused as it may: with a code that damage to this kind of file has, and in one line that names what
    /// is damaged and says what to do.
    pub fn check_refusal(&self, kind: Kind, code: u8) -> Result<()> {
        let said = fs::read_to_string(&self.log)?;
        let errors: Vec<&str> = said.lines().filter(|line| line.starts_with(ERROR)).collect();
        ensure!(errors.len() == 1, "exit code {code} and {} lines of an error: {said}", errors.len());
        let line = errors[0];
        ensure!(kind.may_refuse_with().contains(&code), "exit code {code} for {kind}: {line}");
        let has_one = |words: &[&str]| words.iter().any(|word| line.contains(word));
        ensure!(has_one(kind.words()), "the refusal does not name {kind}: {line}");
        ensure!(has_one(kind.advice()), "the refusal does not say what to do: {line}");
        Ok(())
    }
}

/// Audits a stopped datadir: the exit code.
pub async fn audit(options: &Options, datadir: &Path) -> Result<u8> {
    let mut command = command(&options.printsyd);
    command.args(["audit", "--log", "warn", "--datadir"]).arg(datadir);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    code_of(timeout(PATIENCE, command.status()).await.context("the audit hangs")??)
}

fn code_of(status: ExitStatus) -> Result<u8> {
    let code = status.code().with_context(|| format!("ended by signal {:?}", status.signal()))?;
    Ok(u8::try_from(code)?)
}
