//! One `printsyd` process: started with a log of its own, ended by its own handle.
//!
//! A daemon is asked to stop (SIGTERM), waited for with a bound, and only then killed. If this program is on its
//! way out for whatever reason, dropping the handle kills what still runs. Each daemon is in a process group of
//! its own, so that a Ctrl-C reaches this program alone, which then stops them in good order.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a daemon may take to stop when it is asked to, on a machine that is busy with much else.
const STOP_TIME: Duration = Duration::from_secs(60);
/// What the names of our programs' environment variables begin with: what a user has set for daily use must not
/// leak into the network that is acted here.
const OUR_VARIABLES: &str = "PRINTSY_";

/// A command of one of our programs, without what the environment says to it.
#[must_use]
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    let is_ours = |name: &OsString| name.to_string_lossy().starts_with(OUR_VARIABLES);
    for name in std::env::vars_os().map(|(name, _)| name).filter(is_ours) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts `program`, appending all it says to `log`.
    ///
    /// # Errors
    /// If the program or the log cannot be opened.
    pub fn start(program: &Path, arguments: &[OsString], log: &Path) -> Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(log).context("cannot open the log")?;
        let child = command(program)
            .args(arguments)
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { child })
    }

    /// Waits for its end, which is not expected.
    ///
    /// # Errors
    /// If the system does not tell.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The system's id of it.
    ///
    /// # Errors
    /// If it has ended and was waited for.
    pub fn id(&self) -> Result<u32> {
        self.child.id().context("it has ended already")
    }

    /// What kills it at any moment, from any thread.
    ///
    /// # Errors
    /// If it has ended and was waited for.
    pub fn killer(&self) -> Result<Killer> {
        Ok(Killer(pid_of(&self.child)?.context("it has ended already")?))
    }

    /// Stops it in good order.
    ///
    /// # Errors
    /// If it had to be killed, or said by its exit code that something was wrong.
    pub async fn stop(&mut self) -> Result<()> {
        // Without an id it has ended and been waited for: `wait` below says how.
        if let Some(pid) = pid_of(&self.child)? {
            kill_process(pid, Signal::TERM).context("cannot send SIGTERM")?;
        }
        let Ok(status) = timeout(STOP_TIME, self.child.wait()).await else {
            self.child.kill().await?;
            bail!("expected it to stop within {} s of SIGTERM, and had to kill it", STOP_TIME.as_secs());
        };
        match status? {
            status if status.success() => Ok(()),
            status => bail!("expected it to end with exit code 0, got {status}"),
        }
    }
}

/// Ends a daemon without asking it. Use it before the daemon's end was waited for: its id is its own until then.
#[derive(Clone, Copy, Debug)]
pub struct Killer(Pid);

impl Killer {
    /// Sends SIGKILL.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn kill(self) -> Result<()> {
        kill_process(self.0, Signal::KILL).context("cannot send SIGKILL")
    }
}

/// The id of a child that was not waited for yet.
fn pid_of(child: &Child) -> Result<Option<Pid>> {
    let Some(id) = child.id() else { return Ok(None) };
    Ok(Some(i32::try_from(id).ok().and_then(Pid::from_raw).context("the system's ids are positive")?))
}
