//! Somebody who reads a page, types what it says, and looks whether the terminal shows what it says.
//!
//! They sit in an empty folder where the programs of this build are at `target/release`, as after the README's build, with
//! a home of their own. Only ports are others: each one that a page names stands for one that is free. What is asked at
//! the terminal they answer: yes, their password, the words that they were shown.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rexpect::ReadUntil;
use rexpect::process::WaitStatus;
use rexpect::reader::Regex;
use rexpect::session::spawn_command;
use tempfile::TempDir;

use super::page::{Step, is_alike, lines, shows};

/// How long anything may take before the reader gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);
/// What they answer where a password is asked for.
const PASSWORD: &str = "open sesame";
/// Everything that is asked.
const QUESTIONS: &str =
    r"\[y/N\] |new password for [\w-]+: |the same once more: |password of [\w-]+: |word \d+: ";
/// Where programs of ours listen, and seek each other, when nobody says otherwise.
const RPC_PORT: u16 = 8645;
const PEER_PORT: u16 = 8640;
/// What a command begins with that stays until it is stopped.
const STAYING: [&str; 3] =
    ["target/release/printsyd run", "target/release/printsy-miner --key", "target/release/printsy watch"];

/// The reader.
pub struct Reader {
    /// The ports of the page, and those that stand for them.
    ports: BTreeMap<u16, u16>,
    /// Words of the page that stand for others, such as `ADDRESS`.
    words: Vec<(String, String)>,
    /// What was started and stays.
    pub staying: Vec<Program>,
    /// The last to go: what stays writes into it until it ends.
    home: TempDir,
}

/// What a command came to.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// The lines of the terminal that hold anything.
    pub screen: Vec<String>,
}

impl Reader {
    /// Somebody with an empty folder.
    pub fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let programs = Path::new(env!("CARGO_BIN_EXE_printsy-scenarios")).parent().unwrap();
        for name in ["printsyd", "printsy", "printsy-miner"] {
            assert!(
                programs.join(name).is_file(),
                "{name} is not built: run the tests of the whole workspace"
            );
        }
        std::fs::create_dir(home.path().join("target")).unwrap();
        symlink(programs, home.path().join("target/release")).unwrap();
        let genesis = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../genesis.json");
        symlink(genesis, home.path().join("genesis.json")).unwrap();
        let mut reader = Self { home, ports: BTreeMap::new(), words: Vec::new(), staying: Vec::new() };
        reader.port(RPC_PORT);
        reader.port(PEER_PORT);
        reader
    }

    /// The port that stands for one of the page.
    fn port(&mut self, page: u16) -> u16 {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        *self.ports.entry(page).or_insert_with(free)
    }

    /// Where a node serves that serves where the page says, such as 8645.
    pub fn url(&mut self, page: u16) -> String {
        format!("http://127.0.0.1:{}", self.port(page))
    }

    /// From now on a word of the page stands for another.
    pub fn replaces(&mut self, word: &str, by: &str) {
        self.words.push((word.to_owned(), by.to_owned()));
    }

    /// The home, where keys are.
    pub fn home(&self) -> PathBuf {
        self.home.path().canonicalize().unwrap()
    }

    /// A line as it is typed here.
    fn here(&mut self, line: &str) -> String {
        let mut line = line.to_owned();
        for (word, by) in &self.words {
            line = line.replace(word, by);
        }
        for before in ["/tcp/", "127.0.0.1:"] {
            let mut parts = line.split(before).map(str::to_owned).collect::<Vec<_>>();
            for part in &mut parts[1..] {
                let digits = part.bytes().take_while(u8::is_ascii_digit).count();
                if let Ok(page @ 1..) = part[..digits].parse() {
                    part.replace_range(..digits, &self.port(page).to_string());
                }
            }
            line = parts.join(before);
        }
        line
    }

    /// A line of the terminal as it would be where the page's own ports are.
    fn there(&self, line: &str) -> String {
        let mut line = line.replace(self.home().to_str().unwrap(), "~");
        for (page, here) in &self.ports {
            for before in ["/tcp/", "127.0.0.1:"] {
                line = line.replace(&format!("{before}{here}"), &format!("{before}{page}"));
            }
        }
        line
    }

    fn command(&mut self, line: &str) -> Command {
        let line = self.here(line);
        let (rpc, peers) = (self.port(RPC_PORT), self.port(PEER_PORT));
        let mut command = Command::new("sh");
        command.args(["-c", &line]).current_dir(self.home.path()).env("HOME", self.home());
        command.env_remove("XDG_DATA_HOME").env("PRINTSY_RPC", format!("http://127.0.0.1:{rpc}"));
        command.env("PRINTSY_RPC__LISTEN", format!("127.0.0.1:{rpc}"));
        command.env("PRINTSY_NETWORK__LISTEN", format!("/ip4/127.0.0.1/tcp/{peers}"));
        command
    }

    /// Types a command that ends, and answers what is asked.
    pub fn types(&mut self, line: &str) -> Ran {
        let command = self.command(line);
        let patience = u64::try_from(PATIENCE.as_millis()).unwrap();
        let mut session = spawn_command(command, Some(patience)).unwrap();
        let mut screen = String::new();
        let questions = Regex::new(QUESTIONS).unwrap();
        loop {
            let question = ReadUntil::Regex(questions.clone());
            let (before, question) = session
                .exp_any(vec![question, ReadUntil::EOF])
                .unwrap_or_else(|error| panic!("{line}: {error}\n{screen}"));
            screen += &before;
            screen += &question;
            // At the end of all it is no question.
            let Some(answer) = answer(&question, &screen) else { break };
            session.send_line(&answer).unwrap();
            // This terminal shows nothing that is typed; a person's shows all but passwords.
            screen += if answer == PASSWORD { "" } else { &answer };
            screen += "\n";
        }
        let WaitStatus::Exited(_, code) = session.process().wait().unwrap() else { panic!("{line}: killed") };
        Ran { code, screen: lines(&screen).iter().map(|shown| self.there(shown)).collect() }
    }

    /// Types a command that stays.
    pub fn starts(&mut self, line: &str) -> &Program {
        let mut command = self.command(&format!("exec {line}"));
        self.staying.push(Program::start(&mut command));
        self.staying.last().unwrap()
    }

    /// Does what a step says, and looks whether it shows what it says.
    #[track_caller]
    pub fn follows(&mut self, step: &Step) {
        let stays = |line: &String| STAYING.iter().any(|staying| line.starts_with(staying));
        if let [line] = step.typed.as_slice()
            && stays(line)
        {
            self.starts(line);
            for seen in step.seen.iter().filter(|seen| *seen != "...") {
                let program = self.staying.last().unwrap();
                program.says(line, |said| is_alike(&self.there(said), seen));
            }
            return;
        }
        let mut screen = Vec::new();
        for (at, line) in step.typed.iter().enumerate() {
            let ran = self.types(line);
            let is_last = at + 1 == step.typed.len();
            let expected = i32::from(is_last && step.is_refused);
            assert_eq!(ran.code, expected, "{line}\n{}", ran.screen.join("\n"));
            screen.extend(ran.screen);
        }
        let (typed, got, seen) = (step.typed.join("\n"), screen.join("\n"), step.seen.join("\n"));
        let is_right = step.seen.is_empty() || shows(&screen, &step.seen);
        assert!(is_right, "{typed}\n--- is to show\n{seen}\n--- and shows\n{got}");
    }
}

/// What is answered to a question; `None` if it is none.
fn answer(question: &str, screen: &str) -> Option<String> {
    if question.starts_with("word ") {
        let number = question.trim_start_matches("word ").trim_end_matches(": ");
        let shown = screen.lines().filter_map(|line| line.trim().split_once("  "));
        let mut words = shown.filter(|(at, _)| *at == number).map(|(_, word)| word.trim().to_owned());
        return Some(words.next_back().expect("the word was shown"));
    }
    match question {
        "" => None,
        "[y/N] " => Some("y".to_owned()),
        _ => Some(PASSWORD.to_owned()),
    }
}

/// A program that stays, ended by its own handle, with the lines it says.
pub struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    fn start(command: &mut Command) -> Self {
        let streams = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = streams.spawn().unwrap();
        let (sender, lines) = channel();
        pass_on(child.stdout.take().unwrap(), sender.clone());
        pass_on(child.stderr.take().unwrap(), sender);
        Self { child, lines }
    }

    /// Waits for a line, and says which it was.
    pub fn says(&self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + PATIENCE;
        let mut said = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("{what}: it never said what was waited for, but\n{}", said.join("\n"));
            };
            if is_it(&line) {
                return line;
            }
            said.push(line);
        }
    }

    /// Waits for a line that contains this.
    pub fn mentions(&self, text: &str) -> String {
        self.says(text, |line| line.contains(text))
    }
}

/// Lines of a stream, read to its end: a full pipe would stop the program.
fn pass_on(stream: impl std::io::Read + Send + 'static, sender: Sender<String>) {
    std::thread::spawn(move || {
        BufReader::new(stream).lines().map_while(Result::ok).for_each(|line| {
            // Where nobody listens any more, it is read all the same.
            let _ = sender.send(line);
        });
    });
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
