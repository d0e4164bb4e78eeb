//! The command line: what may be written, read into types before anything happens.
//!
//! What can be wrong in a word alone is refused here, with exit code 2 and clap's own usage lines. What needs
//! the network to know (is dev:alice good here, is the image listed) is asked later.

use std::str::FromStr;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use printsy_consensus::PublicKey;
use printsy_keys::{KeyError, KeySource};
use printsy_rpc::HashHex;
use printsy_rpc::market::Wait;
use printsy_rpc::text::MAX_SAFE_INTEGER;

/// The node asked when nobody says otherwise.
pub const DEFAULT_RPC: &str = "http://127.0.0.1:8645";

/// Buy limited-edition prints, and everything around it, through any Printsy node.
#[derive(Clone, Debug, Parser)]
#[command(name = "printsy", version, about, propagate_version = true)]
pub struct Cli {
    /// The node to ask.
    #[arg(long, global = true, value_name = "URL", env = "PRINTSY_RPC", default_value = DEFAULT_RPC)]
    pub rpc: String,
    /// The key to sign with: a name among your keys, a key file, or dev:NAME on a development network.
    #[arg(long, global = true, value_name = "KEY")]
    pub key: Option<String>,
    /// Print what the node answers, as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Make and list your own keys.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Check a proof (getProof, getInclusionProof) without asking any node.
    Verify(VerifyArgs),
    /// Everything that asks a node.
    #[command(flatten)]
    Node(NodeCommand),
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
    /// Buy images: a cart is bought whole or not at all.
    Buy {
        /// An image's number, with :QTY for more than one edition of it.
        #[arg(required = true, value_name = "IMAGE[:QTY]")]
        items: Vec<Item>,
        /// How many editions of each image that has no :QTY.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        quantity: u32,
        /// Buy nothing if it costs more than this.
        #[arg(long, value_name = "T")]
        max_total: Option<u64>,
        /// How to send it.
        #[command(flatten)]
        send: Send,
    },
    /// Every other order.
    #[command(flatten)]
    Order(OrderCommand),
    /// What an account has; without ADDR, your key's.
    Balance {
        /// Which account.
        #[arg(value_name = "ADDR")]
        account: Option<Account>,
    },
    /// What became of a transaction.
    Status {
        /// The transaction's id.
        #[arg(value_name = "TXID", value_parser = HashHex::from_str)]
        tx_id: HashHex,
    },
    /// Where the node stands.
    Chain,
}

/// The orders that need nothing but what is written: all but a purchase, whose total is asked first.
#[derive(Clone, Debug, Subcommand)]
pub enum OrderCommand {
    /// Put an image on sale, or change its terms (registrars).
    ListImage {
        /// The image's number.
        #[arg(value_parser = image())]
        image: u64,
        /// Who is paid for each sale.
        #[arg(long, value_name = "ADDR")]
        seller: Account,
        /// The price of one edition.
        #[arg(long, value_name = "P")]
        price: u64,
        /// How many editions there are.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        editions: u32,
        /// How to send it.
        #[command(flatten)]
        send: Send,
    },
    /// Pay another account from your balance.
    Transfer {
        /// Whom to pay.
        #[arg(value_name = "ADDR")]
        to: Account,
        /// How much.
        #[arg(value_parser = amount())]
        amount: u64,
        /// How to send it.
        #[command(flatten)]
        send: Send,
    },
    /// Credit a deposit to an account (issuers).
    Issue {
        /// Whom to credit.
        #[arg(value_name = "ADDR")]
        to: Account,
        /// How much.
        #[arg(value_parser = amount())]
        amount: u64,
        /// How to send it.
        #[command(flatten)]
        send: Send,
    },
    /// Withdraw from your balance.
    Redeem {
        /// How much.
        #[arg(value_parser = amount())]
        amount: u64,
        /// How to send it.
        #[command(flatten)]
        send: Send,
    },
    /// Rate an image you bought.
    Review {
        /// The image's number.
        #[arg(value_parser = image())]
        image: u64,
        /// 1 to 5.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=5))]
        rating: u8,
        /// What you have to say.
        #[arg(long, default_value = "")]
        text: String,
        /// How to send it.
        #[command(flatten)]
        send: Send,
    },
    /// Let an account take part (registrars).
    Admit {
        /// Which account.
        #[arg(value_name = "ADDR")]
        account: Account,
        /// How to send it.
        #[command(flatten)]
        send: Send,
    },
    /// Let an account take part no longer (registrars).
    Expel {
        /// Which account.
        #[arg(value_name = "ADDR")]
        account: Account,
        /// How to send it.
        #[command(flatten)]
        send: Send,
    },
    /// Let a key make blocks (registrars).
    RegisterMiner {
        /// The miner's key.
        #[arg(value_name = "ADDR")]
        miner: Account,
        /// What people shall call it.
        #[arg(long)]
        name: String,
        /// How to send it.
        #[command(flatten)]
        send: Send,
    },
    /// Let a key make blocks no longer (registrars).
    RevokeMiner {
        /// The miner's key.
        #[arg(value_name = "ADDR")]
        miner: Account,
        /// How to send it.
        #[command(flatten)]
        send: Send,
    },
}

/// Make and list your own keys.
#[derive(Clone, Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a new key and keep it under a name.
    New {
        /// The name.
        name: String,
    },
    /// List your keys.
    List,
}

/// How a transaction is sent.
#[derive(Clone, Copy, Debug, Args)]
pub struct Send {
    /// How far to wait for it.
    #[arg(long, value_enum, default_value_t = WaitFor::Included)]
    pub wait: WaitFor,
    /// How long to wait, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(..=600_000))]
    pub timeout_ms: u64,
    /// In how many blocks from now it expires; by default 120, or what the network allows.
    #[arg(long, value_name = "BLOCKS", value_parser = clap::value_parser!(u32).range(1..))]
    pub valid_for: Option<u32>,
}

/// How far to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WaitFor {
    /// Until the node holds it and has sent it on.
    Admitted,
    /// Until a block contains it.
    Included,
    /// Until that block is final.
    Final,
}

impl From<WaitFor> for Wait {
    fn from(wait: WaitFor) -> Self {
        match wait {
            WaitFor::Admitted => Self::Admitted,
            WaitFor::Included => Self::Included,
            WaitFor::Final => Self::Final,
        }
    }
}

/// One item of a cart as it is written: `25` or `25:2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// The image.
    pub image: u64,
    /// How many editions, if it says.
    pub quantity: Option<u32>,
}

impl FromStr for Item {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (image, quantity) = match text.split_once(':') {
            Some((image, quantity)) => (image, Some(quantity)),
            None => (text, None),
        };
        let image = image.parse().ok().filter(|image| *image <= MAX_SAFE_INTEGER);
        let image = image.ok_or("an image is a number, such as 25 or 25:2")?;
        let quantity = quantity.map(|text| text.parse().ok().filter(|quantity| *quantity >= 1));
        match quantity {
            Some(None) => Err("a quantity is a number of at least 1, such as in 25:2".to_owned()),
            Some(quantity) => Ok(Self { image, quantity }),
            None => Ok(Self { image, quantity: None }),
        }
    }
}

/// An account as it is written: an address, or `dev:NAME` on a development network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// An address.
    Address(PublicKey),
    /// A development key.
    Development(KeySource),
}

impl FromStr for Account {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("dev:") {
            return KeySource::parse(text).map(Self::Development).map_err(|error| error.to_string());
        }
        let key: PublicKey = text.parse().map_err(|error| format!("{error}"))?;
        if key.is_on_curve() { Ok(Self::Address(key)) } else { Err("no key has this address".to_owned()) }
    }
}

impl Account {
    /// The account's key on `network`.
    ///
    /// # Errors
    /// [`KeyError::NotDevelopment`] for a development key on another network.
    pub fn on(&self, network: &str) -> Result<PublicKey, KeyError> {
        match self {
            Self::Address(key) => Ok(*key),
            Self::Development(source) => source.load(network).map(|key| key.public_key()),
        }
    }
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
            Self::Keys(_) | Self::Verify(_) => false,
            Self::Node(NodeCommand::Buy { .. } | NodeCommand::Order(_)) => true,
            Self::Node(NodeCommand::Balance { account }) => account.is_none(),
            Self::Node(_) => false,
        }
    }
}

impl OrderCommand {
    /// How the order is sent.
    #[must_use]
    pub fn send(&self) -> Send {
        match self {
            Self::ListImage { send, .. }
            | Self::Transfer { send, .. }
            | Self::Issue { send, .. }
            | Self::Redeem { send, .. }
            | Self::Review { send, .. }
            | Self::Admit { send, .. }
            | Self::Expel { send, .. }
            | Self::RegisterMiner { send, .. }
            | Self::RevokeMiner { send, .. } => *send,
        }
    }
}

fn image() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(..=MAX_SAFE_INTEGER)
}

fn amount() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(1..)
}
