//! How the program ends: one line for a person, one code for a script.
//!
//! Every error that ends `printsyd` becomes a [`Failure`] here and nowhere else, so that this file is the whole
//! table of exit codes. What a failure tells to do is said where the failure is made, or here where a lower
//! crate cannot know it (that `printsyd` has a datadir which can be moved away). Errors that do not end the
//! process are not failures and never come here.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use printsy_consensus::GenesisError;
use printsy_keys::KeyError;
use printsy_ledger::store::StoreError;
use printsy_ledger::{ChainFileError, LedgerError, MoveChainError, RetreatError};

use crate::config::ConfigError;
use crate::guard::{DatadirLost, advice};
use crate::node::NodeError;
use crate::server::ServerError;

/// Why the program ends before it was asked to. The text is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// 1: something failed while running.
    #[error("{0}")]
    Runtime(String),
    /// 2: the command line was not understood.
    #[error("{0}")]
    Usage(String),
    /// 3: the configuration, a key or the genesis is wrong.
    #[error("{0}")]
    Config(String),
    /// 4: another process uses the datadir.
    #[error("{0}")]
    DatadirInUse(String),
    /// 5: what was durable in the datadir is not what it was.
    #[error("{0}")]
    Damaged(String),
    /// 6: the datadir belongs to another network, or to a newer program.
    #[error("{0}")]
    Foreign(String),
    /// 7: another process listens on the port.
    #[error("{0}")]
    PortInUse(String),
    /// 8: the disk is full.
    #[error("{0}")]
    DiskFull(String),
    /// 9: a heavier chain leaves what is final here, and the node was told to end then.
    #[error("{0}")]
    FinalityConflict(String),
}

impl Failure {
    /// The exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Runtime(_) => 1,
            Self::Usage(_) => 2,
            Self::Config(_) => 3,
            Self::DatadirInUse(_) => 4,
            Self::Damaged(_) => 5,
            Self::Foreign(_) => 6,
            Self::PortInUse(_) => 7,
            Self::DiskFull(_) => 8,
            Self::FinalityConflict(_) => 9,
        }
    }

    /// The line for standard error: one line, whatever the errors below said.
    #[must_use]
    pub fn line(&self) -> String {
        let message = self.to_string();
        let words: Vec<&str> = message.split_whitespace().collect();
        format!("printsyd: error: {}", words.join(" "))
    }

    /// Writes the line to standard error and gives the code back, for `main` to return.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        eprintln!("{}", self.line());
        ExitCode::from(self.code())
    }

    /// What the operating system said while we tried to `what` (an infinitive) the file at `path`.
    #[must_use]
    pub fn io(what: impl fmt::Display, path: &Path, error: &io::Error) -> Self {
        let message = format!("cannot {what} {}: {error}{}", path.display(), advice(error));
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull(message),
            _ => Self::Runtime(message),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let message = error.to_string();
        if error.is_usage() { Self::Usage(message) } else { Self::Config(message) }
    }
}

impl From<GenesisError> for Failure {
    fn from(error: GenesisError) -> Self {
        Self::Config(format!("bad genesis: {error}"))
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        match &error {
            KeyError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Self::DiskFull(error.to_string())
            }
            KeyError::Random(_) => Self::Runtime(error.to_string()),
            _ => Self::Config(error.to_string()),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::Damaged { .. } => damaged(&message),
            StoreError::Index(_) => Self::Damaged(format!(
                "{message}; remove the folder `index` in the datadir, and it is made again from the journal"
            )),
            StoreError::ForeignGenesis { .. } => Self::Foreign(format!(
                "{message}; give each network a datadir of its own (--datadir), or, where it was the datadir's \
                     genesis.json that changed, copy the network's genesis file there"
            )),
            StoreError::NewerFormat { .. } => {
                Self::Foreign(format!("{message}; run the newer program, or use another datadir"))
            }
            StoreError::Full => {
                Self::DiskFull(format!("{message}; make room and start again, nothing is lost"))
            }
            StoreError::Io { source, .. } => Self::Runtime(match advice(&source) {
                "" => format!(
                    "{message}; look at the datadir and its disk, and start again: nothing answered is lost"
                ),
                advice => message + advice,
            }),
            StoreError::Poisoned => Self::Runtime(format!(
                "{message}; the log says why it failed: mend that and start again, nothing that was answered is lost"
            )),
            StoreError::TooLarge { .. } => Self::Runtime(format!(
                "{message}; nothing was changed: do it in smaller steps, or run a newer program"
            )),
        }
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        let message = error.to_string();
        match error {
            LedgerError::Store(error) => error.into(),
            LedgerError::Journal { .. } | LedgerError::MissingBlock { .. } => damaged(&message),
            LedgerError::View(_) => Self::Runtime(format!(
                "{message}; start again: what is made from the journal is then made anew where it must be"
            )),
            LedgerError::Moving => Self::Runtime(message),
            LedgerError::Untold => {
                Self::Runtime(format!("{message}; start again, the journal tells it then"))
            }
            LedgerError::Panicked => Self::Runtime(format!(
                "{message}; start again, what was journalled is whole; the log has what to report"
            )),
        }
    }
}

impl From<DatadirLost> for Failure {
    fn from(error: DatadirLost) -> Self {
        Self::Runtime(error.to_string())
    }
}

impl Failure {
    /// What ended the export or import (`what`, an infinitive) of a chain; `after` says how things stand.
    #[must_use]
    pub fn moving_chain(what: &str, error: MoveChainError, after: &str) -> Self {
        let (kind, advice): (fn(String) -> Self, &str) = match &error {
            MoveChainError::File(ChainFileError::Io(source)) => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (Self::DiskFull, "make room"),
                _ => (Self::Runtime, "try again"),
            },
            MoveChainError::File(ChainFileError::NewerFormat { .. }) | MoveChainError::NewerBlock { .. } => {
                (Self::Foreign, "run the newer program")
            }
            MoveChainError::File(_) => (Self::Damaged, "get another copy of it"),
            MoveChainError::Invalid { .. } => (Self::Damaged, "get the chain from somebody else"),
            MoveChainError::TooHigh { .. } => (Self::Usage, "ask for less"),
            MoveChainError::FromFuture { .. } => (Self::Runtime, "set the clock, or import again later"),
            MoveChainError::BelowFinal { .. } => (
                Self::FinalityConflict,
                "decide with `printsyd resolve`, or import it into a datadir of its own",
            ),
            MoveChainError::TooDeep { .. } => (Self::Runtime, "import it into a datadir of its own"),
            MoveChainError::Ledger(_) => (Self::Runtime, ""),
        };
        match error {
            MoveChainError::Ledger(error) => error.into(),
            error => kind(format!("cannot {what}: {error}; {advice}{after}")),
        }
    }
}

impl From<RetreatError> for Failure {
    fn from(error: RetreatError) -> Self {
        let message = error.to_string();
        match error {
            RetreatError::Ledger(error) => error.into(),
            RetreatError::NotBelowFinal { .. } => Self::Usage(format!(
                "{message}: there is no conflict, the node leaves the blocks above it by itself where a chain has more \
                 work; nothing was changed"
            )),
            RetreatError::Unknown { .. } => Self::Usage(format!("{message}; nothing was changed")),
        }
    }
}

impl From<printsy_p2p::Error> for Failure {
    fn from(error: printsy_p2p::Error) -> Self {
        use printsy_p2p::Error;
        let message = error.to_string();
        match error {
            Error::ListenInUse { .. } => {
                Self::PortInUse(format!("{message}; stop the other program, or choose another --listen"))
            }
            Error::BadAddress { .. } | Error::BadPeerId { .. } => Self::Config(message),
            Error::Listen { .. } | Error::Setup { .. } | Error::TaskDied => Self::Runtime(message),
        }
    }
}

impl From<printsy_miner::Error> for Failure {
    fn from(error: printsy_miner::Error) -> Self {
        match error {
            printsy_miner::Error::Threads { .. } => Self::Config(format!("mining.{error}")),
            _ => Self::Runtime(error.to_string()),
        }
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        let message = error.to_string();
        match error {
            ServerError::InUse { .. } => Self::PortInUse(message),
            ServerError::Tokens(failure) => failure,
            ServerError::Listen { .. } | ServerError::Methods(_) => Self::Runtime(message),
        }
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Ledger(error) => error.into(),
            NodeError::Datadir(lost) => lost.into(),
            NodeError::Conflict(conflict) => Self::FinalityConflict(conflict.to_string()),
            NodeError::Network(error) => error.into(),
            NodeError::Miner(error) => error.into(),
            NodeError::Server(error) => error.into(),
            error @ (NodeError::Thread(_) | NodeError::Task) => Self::Runtime(error.to_string()),
        }
    }
}

fn damaged(message: &str) -> Failure {
    if message.contains("--bootnodes") {
        return Failure::Damaged(format!("{message}; or restore a copy"));
    }
    Failure::Damaged(format!(
        "{message}; move the datadir away (keep node.key) and start again to fetch the chain from peers, or \
         restore a copy"
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use printsy_consensus::Hash;

    use super::*;

    #[test]
    fn every_kind_of_store_trouble_has_its_code() {
        let file = || "journal/00000000000000000000.seg".to_owned();
        let io = io::Error::from(io::ErrorKind::PermissionDenied);
        let cases = [
            (StoreError::Io { what: "read", file: file(), source: Arc::new(io) }, 1),
            (StoreError::Poisoned, 1),
            (StoreError::TooLarge { got: 2, max: 1 }, 1),
            (StoreError::Damaged { file: file(), offset: 7, what: "checksum".into() }, 5),
            (StoreError::Index("cut short".into()), 5),
            (StoreError::ForeignGenesis { file: file(), got: Hash([1; 32]), expected: Hash::ZERO }, 6),
            (StoreError::NewerFormat { file: file(), got: 9, expected: 1 }, 6),
            (StoreError::Full, 8),
        ];
        for (error, code) in cases {
            assert_eq!(Failure::from(error.clone()).code(), code, "{error}");
            assert_eq!(Failure::from(NodeError::from(LedgerError::from(error))).code(), code);
        }
    }

    #[test]
    fn every_kind_of_store_trouble_says_what_to_do() {
        let file = || "journal/00000000000000000000.seg".to_owned();
        // EIO has no kind of its own.
        let io = || Arc::new(io::Error::from_raw_os_error(5));
        let other = Arc::new(io::Error::from(io::ErrorKind::TimedOut));
        let cases = [
            (StoreError::Io { what: "sync", file: file(), source: io() }, "move the datadir to a sound disk"),
            (StoreError::Io { what: "read", file: file(), source: other }, "look at the datadir"),
            (StoreError::Poisoned, "start again"),
            (StoreError::TooLarge { got: 2, max: 1 }, "smaller steps"),
            (StoreError::Damaged { file: file(), offset: 7, what: "checksum".into() }, "restore a copy"),
            (StoreError::Index("cut short".into()), "remove the folder `index`"),
            (
                StoreError::ForeignGenesis { file: file(), got: Hash([1; 32]), expected: Hash::ZERO },
                "genesis.json",
            ),
            (StoreError::NewerFormat { file: file(), got: 9, expected: 1 }, "run the newer program"),
            (StoreError::Full, "make room"),
        ];
        for (error, advice) in cases {
            let line = Failure::from(error).line();
            assert!(line.contains(advice), "{line}");
        }
    }

    #[test]
    fn a_port_in_use_is_seven_and_a_bad_address_three() {
        let address = "/ip4/127.0.0.1/tcp/8640".to_owned();
        let used = Failure::from(printsy_p2p::Error::ListenInUse { address: address.clone() });
        assert_eq!(used.code(), 7);
        assert!(used.to_string().contains(&address), "{used}");
        let used = ServerError::InUse { address: "127.0.0.1:8645".parse().unwrap() };
        assert_eq!(Failure::from(NodeError::from(used)).code(), 7);
        let bad = printsy_p2p::Error::BadAddress { address, reason: "it is a joke".into() };
        assert_eq!(Failure::from(bad).code(), 3);
    }

    #[test]
    fn a_failure_is_one_line_whatever_it_was_told() {
        let failure = Failure::Config("first\n  second\tthird\n".into());
        assert_eq!(failure.line(), "printsyd: error: first second third");
    }

    #[test]
    fn codes_are_those_of_the_manual() {
        let text = String::new;
        let all = [
            Failure::Runtime(text()),
            Failure::Usage(text()),
            Failure::Config(text()),
            Failure::DatadirInUse(text()),
            Failure::Damaged(text()),
            Failure::Foreign(text()),
            Failure::PortInUse(text()),
            Failure::DiskFull(text()),
            Failure::FinalityConflict(text()),
        ];
        let codes: Vec<u8> = all.iter().map(Failure::code).collect();
        assert_eq!(codes, (1..=9).collect::<Vec<u8>>());
    }
}
