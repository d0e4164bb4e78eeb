//! `printsy keys ...`: keys of one's own, on this machine alone. No node is asked.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use printsy_consensus::PublicKey;
use printsy_keys::WordCount;

use super::PasswordFrom;

/// Make, list and keep your own keys.
#[derive(Clone, Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a new key: words to write down, and a file that a password protects.
    New(NewKey),
    /// List your keys.
    List,
    /// All about one key that is no secret.
    Show {
        /// Its name.
        name: String,
    },
    /// Take over a key from a key file, of this wallet or of a miner.
    Import {
        /// The name to keep it under.
        name: String,
        /// The file.
        #[arg(value_name = "FILE")]
        from: PathBuf,
    },
    /// Make a key again from its words.
    Restore {
        /// The name to keep it under.
        name: String,
        /// Where the words are: a file, or standard input (-). Without it, the terminal is asked.
        #[arg(long, value_name = "PATH")]
        words_file: Option<PathBuf>,
        /// Which account below the words.
        #[arg(long, value_name = "N", default_value_t = 0)]
        account: u32,
        /// Which key of the account.
        #[arg(long, value_name = "N", default_value_t = 0)]
        index: u32,
    },
    /// Show a key's words once more: for your eyes alone.
    Words {
        /// Its name.
        name: String,
    },
    /// Keep an address under a name, to watch it or to pay it.
    Watch {
        /// The name to keep it under.
        name: String,
        /// The address.
        #[arg(value_name = "ADDR", value_parser = address)]
        address: PublicKey,
    },
    /// Give a key another password.
    Passwd {
        /// Its name.
        name: String,
        /// Where the new password is: the one line of a file, or a line of standard input (-).
        #[arg(long, value_name = "PATH")]
        new_password_file: Option<PasswordFrom>,
    },
    /// Remove a key for good. Its words, or a copy of its file, bring it back; nothing else does.
    Remove {
        /// Its name.
        name: String,
    },
}

/// A new key.
#[derive(Clone, Debug, Args)]
pub struct NewKey {
    /// The name to keep it under.
    pub name: String,
    /// How many words.
    #[arg(long, value_enum, value_name = "N", default_value_t = WordsArg::Twelve)]
    pub words: WordsArg,
    /// No words and no password: a file that its mode alone protects, for a miner that runs by itself.
    #[arg(long, conflicts_with_all = ["words", "password_file"])]
    pub plain: bool,
}

/// How many words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WordsArg {
    /// 128 bits.
    #[value(name = "12")]
    Twelve,
    /// 256 bits.
    #[value(name = "24")]
    TwentyFour,
}

impl From<WordsArg> for WordCount {
    fn from(words: WordsArg) -> Self {
        match words {
            WordsArg::Twelve => Self::Twelve,
            WordsArg::TwentyFour => Self::TwentyFour,
        }
    }
}

fn address(text: &str) -> Result<PublicKey, String> {
    let key: PublicKey = text.parse().map_err(|error| format!("{error}"))?;
    if key.is_on_curve() { Ok(key) } else { Err("no key has this address".to_owned()) }
}
