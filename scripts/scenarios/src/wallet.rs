//! The buyer's side: the real `printsy` wallet, run as a user runs it.
//!
//! A command is given as the line a user would type, without the program and without `--rpc`, which are the
//! same for all. What the wallet says on either stream is kept as it is, and its exit code is believed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use printsy_rpc::HashHex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use crate::process::command;

/// How long a wallet may take: its own wait for a block is a minute.
const WALLET_TIME: Duration = Duration::from_secs(90);
/// What the wallet says first, before it waits for a block.
const ORDER_NOTE: &str = "printsy: order ";

/// The wallet's program, and where it keeps what it sent: not in the home of whoever runs this.
#[derive(Clone, Debug)]
pub struct Wallet {
    program: PathBuf,
    home: PathBuf,
}

/// What a wallet said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Whether it ended with 0.
    pub success: bool,
    /// Standard output.
    pub answer: String,
    /// Standard error.
    pub notes: String,
}

/// A wallet that has sent its order and waits for a block.
#[derive(Debug)]
pub struct Buyer {
    /// The order's id.
    pub txid: HashHex,
    child: Child,
    notes: BufReader<ChildStderr>,
}

impl Wallet {
    /// The wallet at `program`, which keeps its files below `home`.
    #[must_use]
    pub fn new(program: &Path, home: &Path) -> Self {
        Self { program: program.to_owned(), home: home.to_owned() }
    }

    /// Runs `line` against the node at `url`, to its end.
    ///
    /// # Errors
    /// If it cannot be run, or does not end.
    pub async fn run(&self, line: &str, url: &str) -> Result<Said> {
        let output = timeout(WALLET_TIME, self.command(line, url).output()).await;
        let output = output.context("the wallet did not end in time")?.context("cannot run the wallet")?;
        Ok(Said {
            success: output.status.success(),
            answer: String::from_utf8(output.stdout)?.trim().to_owned(),
            notes: String::from_utf8(output.stderr)?.trim().to_owned(),
        })
    }

    /// Starts `line` against the node at `url`, and returns once it has named its order.
    ///
    /// # Errors
    /// If it ends before that.
    pub async fn begin(&self, line: &str, url: &str) -> Result<Buyer> {
        let mut command = self.command(line, url);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot run the wallet")?;
        let mut notes = BufReader::new(child.stderr.take().context("its standard error is a pipe")?);
        let mut first = String::new();
        timeout(WALLET_TIME, notes.read_line(&mut first)).await.context("the wallet says nothing")??;
        let Some(txid) = first.trim().strip_prefix(ORDER_NOTE) else {
            bail!("expected the wallet to name its order, got {:?}", first.trim());
        };
        Ok(Buyer { txid: txid.parse().map_err(anyhow::Error::msg)?, child, notes })
    }

    fn command(&self, line: &str, url: &str) -> Command {
        let mut command = command(&self.program);
        command.args(line.split_whitespace()).args(["--rpc", url]).env("XDG_DATA_HOME", &self.home);
        command
    }
}

impl Buyer {
    /// What the wallet said, once it has ended.
    ///
    /// # Errors
    /// If it does not end.
    pub async fn finish(mut self) -> Result<Said> {
        let mut notes = String::new();
        let end = async {
            self.notes.read_to_string(&mut notes).await?;
            self.child.wait_with_output().await
        };
        let output = timeout(WALLET_TIME, end).await.context("the wallet did not end in time")??;
        Ok(Said {
            success: output.status.success(),
            answer: String::from_utf8(output.stdout)?.trim().to_owned(),
            notes: notes.trim().to_owned(),
        })
    }
}
