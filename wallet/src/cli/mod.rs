//! The command line: what may be written, read into types before anything happens.
//!
//! What can be wrong in a word alone is refused here, with exit code 2 and clap's own usage lines. What needs
//! the network to know (is dev:alice good here, is the image listed) is asked later. No password is ever an argument.
//!
//! - [`keys`]: `printsy keys ...`
//! - [`orders`]: everything that becomes a transaction, sent at once or built to be signed elsewhere
//! - [`text`]: single words: an item of a cart, an account, where a password is

pub mod keys;
pub mod orders;
pub mod text;

use std::path::PathBuf;
use std::str::FromStr;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use printsy_rpc::HashHex;
use printsy_rpc::history::{Cursor, HoldingsCursor};

pub use keys::{KeysCommand, NewKey};
pub use orders::{Build, OrderCommand, Send, TxCommand, WaitFor};
use text::image;

use crate::manual::{CompletionsArgs, ManArgs};

pub use text::{Account, Item, PasswordFrom, Price};

/// The node asked when nobody says otherwise.
pub const DEFAULT_RPC: &str = "http://127.0.0.1:8645";

/// How many images one `watch` looks at: each is a question at every look.
pub const MAX_WATCHED_IMAGES: usize = 64;

/// Buy limited-edition prints, and everything around it, through any Printsy node.
#[derive(Clone, Debug, Parser)]
#[command(name = "printsy", version, about, propagate_version = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// The node to ask.
    #[arg(long, global = true, value_name = "URL", env = "PRINTSY_RPC", default_value = DEFAULT_RPC)]
    pub rpc: String,
    /// The file that holds the token to show to the node, where it asks for one; its owner alone may read it.
    #[arg(long, global = true, value_name = "PATH", env = "PRINTSY_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// The key to sign with: a name among your keys, a key file, or dev:NAME on a development network.
    #[arg(long, global = true, value_name = "KEY")]
    pub key: Option<String>,
    /// Where the key's password is: the one line of a file, or a line of standard input (-). Without it, the
    /// terminal is asked.
    #[arg(long, global = true, value_name = "PATH")]
    pub password_file: Option<PasswordFrom>,
    /// Ask for no confirmation.
    #[arg(long, short = 'y', global = true)]
    pub yes: bool,
    /// Print what the node answers, as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What scripts go by.
const EXIT_CODES: &str = "Exit codes: 0 done; 1 refused or failed, and nothing is under way; 2 not understood; \
3 sent, but not as far as was asked: it may still happen, so do not order again (status, resend).";

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Make, list and keep your own keys.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Build, sign and send an order in three steps, the second without any network.
    #[command(subcommand)]
    Tx(TxCommand),
    /// The orders sent from here, as they are kept.
    Orders,
    /// Check a proof (getProof, getInclusionProof) without asking any node.
    Verify(VerifyArgs),
    /// Everything that asks a node.
    #[command(flatten)]
    Node(NodeCommand),
    /// Write the manual pages of this program into a folder.
    Man(ManArgs),
    /// Write the completions for a shell to standard output.
    Completions(CompletionsArgs),
}

/// Which proof, and what is known from elsewhere.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// The proof as a node answered it; `-` for standard input.
    #[arg(value_name = "FILE|-")]
    pub proof: String,
    /// The network it must be of: its genesis.json, or the id of its block 0. Without it the proof says which.
    #[arg(long, value_name = "FILE|HASH")]
    pub genesis: Option<String>,
    /// A block known to be on the chain, by its id; may be repeated. The proof must then be against these.
    #[arg(long, value_name = "HASH", value_parser = HashHex::from_str)]
    pub block: Vec<HashHex>,
}

/// What is asked of a node.
#[derive(Clone, Debug, Subcommand)]
pub enum NodeCommand {
    /// How many editions of an image are left.
    Available {
        /// The image's number.
        #[arg(value_parser = image())]
        image: u64,
    },
    /// Every order, made and sent at once.
    #[command(flatten)]
    Order(OrderCommand<Send>),
    /// What an account has; without ADDR, your key's.
    Balance {
        /// Which account.
        #[arg(value_name = "ADDR")]
        account: Option<Account>,
    },
    /// Which images an account holds; without ADDR, your key's.
    Holdings {
        /// Which account.
        #[arg(value_name = "ADDR")]
        account: Option<Account>,
        /// How many at the most.
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = limit())]
        limit: u64,
        /// Where the last page ended.
        #[arg(long, value_parser = HoldingsCursor::from_str)]
        cursor: Option<HoldingsCursor>,
    },
    /// What happened to an account, or to an image, newest first; without either, to your key's account.
    History {
        /// Which account.
        #[arg(value_name = "ADDR", conflicts_with = "image")]
        account: Option<Account>,
        /// The image's number.
        #[arg(long, value_name = "IMAGE", value_parser = image())]
        image: Option<u64>,
        /// Which page.
        #[command(flatten)]
        page: Page,
    },
    /// Who bought which editions of an image, newest first.
    Owners {
        /// The image's number.
        #[arg(value_parser = image())]
        image: u64,
        /// Which page.
        #[command(flatten)]
        page: Page,
    },
    /// What buyers say of an image, newest first.
    Reviews {
        /// The image's number.
        #[arg(value_parser = image())]
        image: u64,
        /// Which page.
        #[command(flatten)]
        page: Page,
    },
    /// Who may make blocks, and who did.
    Miners,
    /// What was ever deposited and withdrawn, and what all accounts together have.
    Supply,
    /// What became of a transaction.
    Status {
        /// The transaction's id.
        #[arg(value_name = "TXID", value_parser = HashHex::from_str)]
        tx_id: HashHex,
    },
    /// Send an order of yours once more, the very same bytes: it can never become two.
    Resend {
        /// The order's id.
        #[arg(value_name = "TXID", value_parser = HashHex::from_str)]
        tx_id: HashHex,
        /// How far to wait.
        #[command(flatten)]
        wait: orders::Waiting,
    },
    /// Watch blocks as they come, an order until it is final, or images, until Ctrl-C.
    Watch {
        /// The order to watch; without it, blocks.
        #[arg(value_name = "TXID", value_parser = HashHex::from_str, conflicts_with = "image")]
        tx_id: Option<HashHex>,
        /// An image to watch; may be repeated.
        #[arg(long, value_name = "IMAGE", value_parser = image())]
        image: Vec<u64>,
        /// End after so many lines.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
    },
    /// Where the node stands.
    Chain,
}

/// A page of a list.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Page {
    /// How many at the most.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = limit())]
    pub limit: u64,
    /// Where the last page ended.
    #[arg(long, value_parser = Cursor::from_str)]
    pub cursor: Option<Cursor>,
}

impl Cli {
    /// Reads the program's arguments; a usage error ends the process with exit code 2.
    #[must_use]
    pub fn from_arguments() -> Self {
        let cli = Self::parse();
        if cli.key.is_none() && cli.command.needs_key() {
            let text = "this needs a key to sign with: --key NAME, --key FILE or --key dev:NAME (make one with \
                        `printsy keys new NAME`)";
            Self::command().error(ErrorKind::MissingRequiredArgument, text).exit();
        }
        cli
    }
}

impl Command {
    /// Whether the command signs, or asks about the signer's own account.
    #[must_use]
    pub fn needs_key(&self) -> bool {
        match self {
            Self::Tx(command) => matches!(command, TxCommand::Sign { .. }),
            Self::Node(NodeCommand::Order(_)) => true,
            Self::Node(NodeCommand::Balance { account } | NodeCommand::Holdings { account, .. }) => {
                account.is_none()
            }
            Self::Node(NodeCommand::History { account, image, .. }) => account.is_none() && image.is_none(),
            Self::Keys(_) | Self::Orders | Self::Verify(_) | Self::Node(_) => false,
            Self::Man(_) | Self::Completions(_) => false,
        }
    }
}

fn limit() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(1..=1_000)
}
