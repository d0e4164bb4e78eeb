//! The real `printsyd`, started in an environment of its own and never waited for without a bound.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "test code, outside of a test function")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Longer than any of these programs takes, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// `printsyd` with these arguments, no variables of ours, and `home` for a home.
pub fn printsyd(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_printsyd"));
    command.args(arguments).env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The address in `is ready at http://ADDRESS (`.
pub fn address_in(line: &str) -> SocketAddr {
    let (_, rest) = line.split_once("http://").unwrap();
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

/// The whole answer to a GET.
pub fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// How a program ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let code = output.status.code().expect("it was not killed");
        Self { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Asserts one line of error with this code that says all of these.
    #[track_caller]
    pub fn refuses(&self, code: i32, says: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stderr.starts_with("printsyd: error: "), "{self:?}");
        assert_eq!(self.stderr.trim_end().lines().count(), 1, "{self:?}");
        assert_eq!(self.stdout, "", "standard output is for data");
        for text in says {
            assert!(self.stderr.contains(text), "{text}\n{self:?}");
        }
    }
}

/// Runs a command to its end.
#[track_caller]
pub fn run(mut command: Command) -> Ended {
    let child = command.spawn().unwrap();
    let id = child.id();
    let (sender, end) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    match end.recv_timeout(PATIENCE) {
        Ok(output) => Ended::of(output.unwrap()),
        Err(_) => {
            signal(id, "KILL");
            panic!("still running after {PATIENCE:?}: {command:?}");
        }
    }
}

/// A program that runs until it is told to stop; it is killed if a test ends before that.
pub struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // The other end may have gone; what is said must be read on all the same.
                let _ = sender.send(line);
            }
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for a line on standard error that holds `text`.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("it never said {text:?}: {:#?}", self.seen)
            };
            self.seen.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the program has ended by itself: its code, and the lines of error it ended with.
    #[track_caller]
    pub fn wait_for_end(mut self) -> (i32, Vec<String>) {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.seen.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it runs on: {:#?}", self.seen),
            }
        }
        let code = self.child.wait().unwrap().code();
        assert!(!self.seen.iter().any(|line| line.contains("panicked")), "{:#?}", self.seen);
        let errors = self.seen.iter().filter(|line| line.starts_with("printsyd: error: "));
        (code.unwrap_or_else(|| panic!("killed by a signal: {:#?}", self.seen)), errors.cloned().collect())
    }

    /// Sends a signal and waits for the end.
    #[track_caller]
    pub fn stop_by(mut self, name: &str) -> (i32, String) {
        signal(self.child.id(), name);
        // Standard error ends when the process does.
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.seen.push(line);
        }
        let code = self.child.wait().unwrap().code();
        let mut stdout = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        (code.unwrap_or_else(|| panic!("killed by a signal: {:#?}", self.seen)), stdout)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(id: u32, name: &str) {
    Command::new("kill").args(["-s", name, &id.to_string()]).status().unwrap();
}

/// Every file below a folder, with what is in it.
pub fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files.extend(contents(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}
