//! One `printsy-miner` process: what it says as JSON is read all the time, and waited for with a bound.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use crate::process::command;

/// How long the program may take to stop when it is asked to: what it promises, and time to be scheduled.
const STOP_TIME: Duration = Duration::from_secs(5);

/// A running miner. It is killed when this is dropped.
#[derive(Debug)]
pub struct ExternalMiner {
    child: Child,
    lines: mpsc::UnboundedReceiver<Value>,
    said: Vec<Value>,
}

impl ExternalMiner {
    /// Starts `program` with the key and one thread, asking these nodes.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn start(program: &Path, key: &str, nodes: &[&str]) -> Result<Self> {
        Self::spawn(command(program), program, key, nodes)
    }

    /// The same, showing the token in this file.
    ///
    /// # Errors
    /// As [`ExternalMiner::start`].
    pub fn start_with_token(program: &Path, key: &str, nodes: &[&str], token: &Path) -> Result<Self> {
        let mut command = command(program);
        command.env("PRINTSY_MINER_TOKEN_FILE", token);
        Self::spawn(command, program, key, nodes)
    }

    fn spawn(mut command: Command, program: &Path, key: &str, nodes: &[&str]) -> Result<Self> {
        command.args(["--key", key, "--threads", "1", "--json", "--log", "info,printsy_miner_program=debug"]);
        nodes.iter().for_each(|node| {
            command.args(["--node", node]);
        });
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut stdout =
            BufReader::new(child.stdout.take().context("its standard output is a pipe")?).lines();
        // Unbounded: the program must never wait for a reader that waits for something else.
        let (sender, lines) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = stdout.next_line().await {
                if let Ok(line) = serde_json::from_str(&line) {
                    let _ = sender.send(line);
                }
            }
        });
        Ok(Self { child, lines, said: Vec::new() })
    }

    /// Waits until it says `message`, with what is wanted in it.
    ///
    /// # Errors
    /// What it said instead, when the time is over.
    pub async fn says(
        &mut self,
        message: &str,
        within: Duration,
        is_it: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let deadline = Instant::now() + within;
        while let Ok(Some(line)) = timeout_at(deadline, self.lines.recv()).await {
            self.said.push(line.clone());
            if line["message"] == message && is_it(&line) {
                return Ok(line);
            }
        }
        let last: Vec<_> = self.said.iter().rev().take(20).collect();
        bail!("expected the miner to say {message:?} within {} s, got {last:#?}", within.as_secs())
    }

    /// Everything it has said so far, from the start on.
    pub fn said(&mut self) -> &[Value] {
        while let Ok(line) = self.lines.try_recv() {
            self.said.push(line);
        }
        &self.said
    }

    /// How many times it has said `message` so far.
    pub fn count(&mut self, message: &str) -> usize {
        self.said().iter().filter(|line| line["message"] == message).count()
    }

    /// Kills it, and waits until it is gone.
    ///
    /// # Errors
    /// If the system refuses.
    pub async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Stops it in good order; all it has said.
    ///
    /// # Errors
    /// If it does not end in time with 0.
    pub async fn stop(mut self) -> Result<Vec<Value>> {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        kill_process(id.context("the miner has ended by itself")?, Signal::TERM)?;
        let status = timeout(STOP_TIME, self.child.wait()).await.context("the miner does not stop")??;
        ensure!(status.success(), "expected the miner to end with 0, got {status}");
        while let Some(line) = self.lines.recv().await {
            self.said.push(line);
        }
        Ok(self.said)
    }
}
