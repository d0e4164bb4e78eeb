//! What the tests of the real program share: the program, run and listened to, and a node that says what a test
//! wants it to say.
#![allow(clippy::unwrap_used, reason = "test code, outside of a test function")]
#![allow(dead_code, reason = "each test file uses its part")]

pub mod mock;
#[path = "../../../../wallet/tests/network/mod.rs"]
pub mod network;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// Longer than anything takes, on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// `printsy-miner` with these arguments and no variables of ours.
pub fn miner(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_printsy-miner"));
    command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A miner that runs until it is told to stop, and what it says; it is killed if a test ends before that.
pub struct Running {
    child: Child,
    lines: mpsc::Receiver<Value>,
    seen: Vec<Value>,
}

impl Running {
    /// Mines with the work of these nodes as `miner-1`, on one thread.
    pub fn start(nodes: &[&str]) -> Self {
        let mut line = vec!["--key", "dev:miner-1", "--threads", "1", "--json", "--log", "debug"];
        nodes.iter().for_each(|node| line.extend(["--node", node]));
        Self::spawn(miner(&line))
    }

    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
                // The other end may have gone; what is said must be read on all the same.
                let _ = sender.send(line);
            }
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits until it says this.
    #[track_caller]
    pub fn says(&mut self, message: &str) -> Value {
        self.says_that(message, |_| true)
    }

    /// Waits until it says this, unless it has said so before.
    #[track_caller]
    pub fn has_said_or_says(&mut self, message: &str, is_it: impl Fn(&Value) -> bool) {
        if !self.seen.iter().any(|line| line["message"] == message && is_it(line)) {
            self.says_that(message, is_it);
        }
    }

    /// Waits until it says this, with what the test wants in it.
    #[track_caller]
    pub fn says_that(&mut self, message: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("it never said {message:?}: {:#?}", self.seen)
            };
            self.seen.push(line.clone());
            if line["message"] == message && is_it(&line) {
                return line;
            }
        }
    }

    /// Everything it said so far that was waited through.
    pub fn said(&self, message: &str) -> usize {
        self.seen.iter().filter(|line| line["message"] == message).count()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        // One that has ended by now is one that need not be told.
        let id = self.child.id().to_string();
        Command::new("kill").args(["-s", name, &id]).stderr(Stdio::null()).status().unwrap();
    }

    /// Sends a signal and waits for the end: the code, what it still said, and its standard error.
    #[track_caller]
    pub fn stop_by(mut self, name: &str) -> (i32, Vec<Value>, String) {
        self.signal(name);
        self.end()
    }

    /// Waits for the end.
    #[track_caller]
    pub fn end(&mut self) -> (i32, Vec<Value>, String) {
        let mut last = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => last.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it runs on: {:#?}", self.seen),
            }
        }
        let code = self.child.wait().unwrap().code().expect("it was not killed");
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (code, last, stderr)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
