//! How the program ends: one line for a person, one code for a script. The codes are those of `printsyd`.

use std::process::ExitCode;

use printsy_keys::KeyError;

/// Why the program ends before it was asked to. The text is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// 1: something failed while running.
    #[error("{0}")]
    Runtime(String),
    /// 2: the command line was not understood.
    #[error("{0}")]
    Usage(String),
    /// 3: a key, a node's address or the genesis is wrong.
    #[error("{0}")]
    Config(String),
    /// 7: another process listens on the port.
    #[error("{0}")]
    PortInUse(String),
}

impl Failure {
    /// The exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Runtime(_) => 1,
            Self::Usage(_) => 2,
            Self::Config(_) => 3,
            Self::PortInUse(_) => 7,
        }
    }

    /// Writes one line to standard error, whatever the errors below said, and gives the code back.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        let message = self.to_string();
        let words: Vec<&str> = message.split_whitespace().collect();
        eprintln!("printsy-miner: error: {}", words.join(" "));
        ExitCode::from(self.code())
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::Config(error.to_string())
    }
}

impl From<printsy_miner::Error> for Failure {
    fn from(error: printsy_miner::Error) -> Self {
        match error {
            printsy_miner::Error::Threads { .. } => Self::Usage(format!("--{error}")),
            _ => Self::Runtime(error.to_string()),
        }
    }
}
