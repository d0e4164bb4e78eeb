//! Everything that becomes a transaction: the same words whether it is sent at once (with [`Send`]) or built to be
//! signed elsewhere (with [`Build`]).

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use printsy_rpc::market::Wait;

use super::text::{amount, image};
use super::{Account, Item, Price};

/// The orders. `H` is how one is sent, or built.
#[derive(Clone, Debug, Subcommand)]
pub enum OrderCommand<H: Args> {
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
        /// How.
        #[command(flatten)]
        how: H,
    },
    /// Put an image on sale, or change its terms (registrars).
    #[command(visible_alias = "list")]
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
        /// How.
        #[command(flatten)]
        how: H,
    },
    /// Pay another account from your balance.
    Transfer {
        /// Whom to pay.
        #[arg(value_name = "ADDR")]
        to: Account,
        /// How much.
        #[arg(value_parser = amount())]
        amount: u64,
        /// How.
        #[command(flatten)]
        how: H,
    },
    /// Credit a deposit to an account (issuers).
    Issue {
        /// Whom to credit.
        #[arg(value_name = "ADDR")]
        to: Account,
        /// How much.
        #[arg(value_parser = amount())]
        amount: u64,
        /// How.
        #[command(flatten)]
        how: H,
    },
    /// Withdraw from your balance.
    Redeem {
        /// How much.
        #[arg(value_parser = amount())]
        amount: u64,
        /// How.
        #[command(flatten)]
        how: H,
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
        /// How.
        #[command(flatten)]
        how: H,
    },
    /// Let an account take part (registrars).
    Admit {
        /// Which account.
        #[arg(value_name = "ADDR")]
        account: Account,
        /// How.
        #[command(flatten)]
        how: H,
    },
    /// Let an account take part no longer (registrars).
    Expel {
        /// Which account.
        #[arg(value_name = "ADDR")]
        account: Account,
        /// How.
        #[command(flatten)]
        how: H,
    },
    /// Let a key make blocks (registrars).
    RegisterMiner {
        /// The miner's key.
        #[arg(value_name = "ADDR")]
        miner: Account,
        /// What people shall call it.
        #[arg(long)]
        name: String,
        /// How.
        #[command(flatten)]
        how: H,
    },
    /// Let a key make blocks no longer (registrars).
    RevokeMiner {
        /// The miner's key.
        #[arg(value_name = "ADDR")]
        miner: Account,
        /// How.
        #[command(flatten)]
        how: H,
    },
}

impl<H: Args> OrderCommand<H> {
    /// How it is sent, or built.
    #[must_use]
    pub fn how(&self) -> &H {
        match self {
            Self::Buy { how, .. }
            | Self::ListImage { how, .. }
            | Self::Transfer { how, .. }
            | Self::Issue { how, .. }
            | Self::Redeem { how, .. }
            | Self::Review { how, .. }
            | Self::Admit { how, .. }
            | Self::Expel { how, .. }
            | Self::RegisterMiner { how, .. }
            | Self::RevokeMiner { how, .. } => how,
        }
    }
}

/// How a transaction is sent.
#[derive(Clone, Copy, Debug, Args)]
pub struct Send {
    /// How far to wait.
    #[command(flatten)]
    pub waiting: Waiting,
    /// How long it is valid.
    #[command(flatten)]
    pub validity: Validity,
}

/// How far and how long to wait for an order.
#[derive(Clone, Copy, Debug, Args)]
pub struct Waiting {
    /// How far to wait for it.
    #[arg(long, value_enum, default_value_t = WaitFor::Included)]
    pub wait: WaitFor,
    /// How long to wait, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(..=600_000))]
    pub timeout_ms: u64,
}

/// How long an order is valid.
#[derive(Clone, Copy, Debug, Args)]
pub struct Validity {
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

/// What an order is built for. With --genesis and --height no node is asked.
#[derive(Clone, Debug, Args)]
pub struct Build {
    /// Whose order it is: an address, a name among your keys, or dev:NAME on a development network.
    #[arg(long, value_name = "ADDR")]
    pub from: Account,
    /// The network's genesis.json.
    #[arg(long, value_name = "FILE", requires = "height")]
    pub genesis: Option<PathBuf>,
    /// The height of the network's tip.
    #[arg(long, value_name = "H", requires = "genesis")]
    pub height: Option<u64>,
    /// What one edition of an image of the cart costs; may be repeated.
    #[arg(long, value_name = "IMAGE=P", requires = "genesis")]
    pub price: Vec<Price>,
    /// How long it is valid.
    #[command(flatten)]
    pub validity: Validity,
}

/// An order in three steps.
#[derive(Clone, Debug, Subcommand)]
pub enum TxCommand {
    /// Make an order that is not signed, on standard output.
    Build {
        /// The order.
        #[command(subcommand)]
        order: Box<OrderCommand<Build>>,
    },
    /// Say what an order would do.
    Show {
        /// The order's file; - for standard input.
        file: PathBuf,
    },
    /// Sign an order, on standard output. No node is asked.
    Sign {
        /// The order's file; - for standard input.
        file: PathBuf,
        /// The network's genesis.json, to be sure that the order is for this network.
        #[arg(long, value_name = "FILE")]
        genesis: Option<PathBuf>,
    },
    /// Send a signed order.
    Send {
        /// The order's file; - for standard input.
        file: PathBuf,
        /// How far to wait.
        #[command(flatten)]
        waiting: Waiting,
    },
}
