//! `printsyd init`: a datadir made ready before the first run.
//!
//! It writes a commented configuration, the node's key, and the genesis: a copy of the file given, or a new one
//! calibrated to the hash rate the network begins with. What is there already is kept, never overwritten; a
//! datadir of another network is refused untouched. The same command again changes nothing.

mod template;

use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, ValueEnum};
use printsy_consensus::codec::List;
use printsy_consensus::{Admission, Catalogue, Genesis, GenesisMiner, Params, PublicKey, Target, Work};
use printsy_keys::KeySource;

use crate::clock::Clock;
use crate::config::{Environment, FILE as CONFIG_FILE};
use crate::datadir::{Datadir, GENESIS_FILE, GivenGenesis, NODE_KEY_FILE};
use crate::exit::Failure;

pub use template::config_text;

/// What to prepare. The options from `--network` on describe a new network.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("origin").args(["genesis", "network"]))]
pub struct InitArgs {
    /// The folder to prepare; without it, the one that `run` takes.
    #[arg(long, value_name = "FOLDER")]
    pub datadir: Option<PathBuf>,
    /// The genesis file of a network that is there already.
    #[arg(long, value_name = "FILE")]
    pub genesis: Option<PathBuf>,
    /// A new network's name: a-z, 0-9 and -; those that begin with dev- are for development.
    #[arg(long, value_name = "NAME", requires_all = ["registrar", "miner", "hash_rate"])]
    pub network: Option<String>,
    /// The new network's options.
    #[command(flatten)]
    pub new: NewNetwork,
}

/// A new network. A KEY is an address, a key file, or `dev:NAME` on a development network.
#[derive(Clone, Debug, Args)]
pub struct NewNetwork {
    /// Who registers miners, admits accounts and lists images; may be repeated.
    #[arg(long, value_name = "KEY", requires = "network")]
    pub registrar: Vec<String>,
    /// Who takes deposits; may be repeated.
    #[arg(long, value_name = "KEY", requires = "network")]
    pub issuer: Vec<String>,
    /// A miner that is registered from the first block on, and its name; may be repeated.
    #[arg(long, value_name = "KEY=NAME", requires = "network")]
    pub miner: Vec<String>,
    /// The hashes a second that all miners have together at the start; k, M, G and T may follow.
    #[arg(long, value_name = "H", requires = "network", value_parser = hash_rate)]
    pub hash_rate: Option<u64>,
    /// The spacing of blocks to aim at, in milliseconds.
    #[arg(long, value_name = "MS", requires = "network", default_value_t = 2_000)]
    pub target_interval_ms: u64,
    /// MAX: how many editions of an image may ever be sold, unless it is listed with fewer.
    #[arg(long, value_name = "N", requires = "network", default_value_t = 100)]
    pub max_editions: u32,
    /// Images are numbered from 0 to one below this.
    #[arg(long, value_name = "N", requires = "network", default_value_t = 1_000_000_000)]
    pub max_images: u64,
    /// How many editions of one image an account may hold; 0: any number.
    #[arg(long, value_name = "N", requires = "network", default_value_t = 0)]
    pub max_per_account: u32,
    /// Which images may be bought; without it, listed ones, and all of them on a development network.
    #[arg(long, value_enum, requires = "network")]
    pub catalogue: Option<CatalogueArg>,
    /// Who may take part; without it, registered accounts, and everybody on a development network.
    #[arg(long, value_enum, requires = "network")]
    pub admission: Option<AdmissionArg>,
}

/// Which images may be bought.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CatalogueArg {
    /// Any image; unlisted ones are free.
    Open,
    /// Those a registrar put on sale.
    Listed,
}

/// Who may take part.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum AdmissionArg {
    /// Everybody: development networks alone.
    Open,
    /// Accounts a registrar admitted.
    Registered,
}

/// What was prepared.
#[derive(Clone, Debug)]
pub struct InitReport {
    datadir: PathBuf,
    genesis: Option<Genesis>,
    /// Each file, and whether it was there before.
    files: Vec<(&'static str, bool)>,
}

impl fmt::Display for InitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, kept) in &self.files {
            let what = if *kept { "kept" } else { "wrote" };
            writeln!(f, "{what} {}", self.datadir.join(name).display())?;
        }
        let datadir = self.datadir.display();
        match &self.genesis {
            Some(genesis) => {
                let (name, hash) = (genesis.params().network_name(), genesis.hash());
                write!(f, "network {name}, genesis {hash}\nstart the node: printsyd run --datadir {datadir}")
            }
            None => write!(f, "start the node: printsyd run --datadir {datadir} --genesis FILE"),
        }
    }
}

/// Prepares a datadir.
///
/// # Errors
/// Exit code 3 for a network that breaks a rule of genesis, or a key that is none; 4 where a process uses the
/// datadir; 6 where it holds another genesis.
pub fn init(args: &InitArgs) -> Result<InitReport, Failure> {
    let path = match &args.datadir {
        Some(path) => path.clone(),
        None => Environment::of_process().default_datadir().ok_or_else(|| {
            Failure::Config("cannot tell where to keep data: give --datadir, or set HOME".into())
        })?,
    };
    let given = match (&args.genesis, &args.network) {
        (Some(file), _) => Some(GivenGenesis::read(file)?),
        (None, Some(network)) => Some(new_network(network, &args.new, &path)?),
        (None, None) => None,
    };
    let had = |name: &str| path.join(name).exists();
    let mut files = vec![
        (CONFIG_FILE, had(CONFIG_FILE)),
        (NODE_KEY_FILE, had(NODE_KEY_FILE)),
        (GENESIS_FILE, had(GENESIS_FILE)),
    ];
    let (datadir, genesis) = if given.is_some() || had(GENESIS_FILE) {
        let (datadir, genesis) = Datadir::open(&path, given)?;
        (datadir, Some(genesis))
    } else {
        files.pop();
        (Datadir::lock(&path)?, None)
    };
    datadir.node_key()?;
    if !had(CONFIG_FILE) {
        datadir.write(CONFIG_FILE, config_text().as_bytes(), 0o644)?;
    }
    Ok(InitReport { datadir: path, genesis, files })
}

/// The genesis of a new network. Where the datadir holds one of the same description, that one: only the time
/// of making tells them apart, and the same command again is to change nothing.
fn new_network(name: &str, new: &NewNetwork, datadir: &Path) -> Result<GivenGenesis, Failure> {
    let mut params = new_params(name, new)?;
    let held = datadir.join(GENESIS_FILE);
    if held.exists() {
        let held = GivenGenesis::read(&held)?;
        params.time = held.genesis.params().time;
    }
    Ok(GivenGenesis::built_in(Genesis::new(params)?, "the new network"))
}

fn new_params(name: &str, new: &NewNetwork) -> Result<Params, Failure> {
    let development = name.starts_with(printsy_consensus::DEVELOPMENT_PREFIX);
    let keys =
        |texts: &[String]| texts.iter().map(|text| public_key(text, name)).collect::<Result<Vec<_>, _>>();
    let interval = new.target_interval_ms;
    let rate = new.hash_rate.ok_or_else(|| Failure::Usage("a new network needs --hash-rate".into()))?;
    let expected_hashes = u128::from(rate) * u128::from(interval) / 1_000;
    Ok(Params {
        network: list(name.as_bytes().to_vec(), "letters in --network")?,
        time: Clock::default().now(),
        max_images: new.max_images,
        max_editions: new.max_editions,
        max_per_account: new.max_per_account,
        catalogue: match new.catalogue {
            Some(CatalogueArg::Open) => Catalogue::Open,
            Some(CatalogueArg::Listed) => Catalogue::Listed,
            None if development => Catalogue::Open,
            None => Catalogue::Listed,
        },
        admission: match new.admission {
            Some(AdmissionArg::Open) => Admission::Open,
            Some(AdmissionArg::Registered) => Admission::Registered,
            None if development => Admission::Open,
            None => Admission::Registered,
        },
        target_interval_ms: interval,
        min_interval_ms: (interval / 4).max(1),
        half_life_ms: interval.saturating_mul(HALF_LIFE_BLOCKS),
        bits: calibrated_bits(expected_hashes),
        finality_depth: FINALITY_DEPTH,
        max_validity: MAX_VALIDITY,
        max_block_bytes: MAX_BLOCK_BYTES,
        max_per_sender: 0,
        miner_spacing: 0,
        max_future_ms: MAX_FUTURE_MS.max(interval),
        registrars: list(keys(&new.registrar)?, "--registrar")?,
        issuers: list(keys(&new.issuer)?, "--issuer")?,
        miners: list(miners(&new.miner, name)?, "--miner")?,
    })
}

/// Difficulty halves or doubles when blocks are off by 60 intervals: it follows within minutes, and noise of a
/// few blocks does not shake it.
const HALF_LIFE_BLOCKS: u64 = 60;
/// A block is final under 1,800 others: an hour at two seconds, longer than a partition is left unnoticed.
const FINALITY_DEPTH: u32 = 1_800;
/// An order is valid for at most 300 blocks: ten minutes at two seconds.
const MAX_VALIDITY: u32 = 300;
/// A block has at most 4 MiB: some 20,000 orders.
const MAX_BLOCK_BYTES: u32 = 4 << 20;
/// A block's time is at most 10 s ahead, more than clocks kept by a time service are apart.
const MAX_FUTURE_MS: u64 = 10_000;

/// The compact form of the easiest target that takes at least this many hashes for a block on average.
#[must_use]
pub fn calibrated_bits(expected_hashes: u128) -> u32 {
    // Canonical compact forms in their order: sizes with all mantissas of three bytes whose first bit is clear
    // and which are not one of two bytes. Their targets rise with them, so the work falls.
    const LEAST_MANTISSA: u32 = 0x0000_8000;
    const MANTISSAS: u32 = 0x0080_0000 - LEAST_MANTISSA;
    const LEAST_SIZE: u32 = 4;
    const SIZES: u32 = 30;
    let bits_at = |at: u32| (LEAST_SIZE + at / MANTISSAS) << 24 | (LEAST_MANTISSA + at % MANTISSAS);
    let mut bytes = [0; 32];
    bytes[16..].copy_from_slice(&expected_hashes.to_be_bytes());
    let wanted = Work::from_be_bytes(bytes);
    let is_enough = |at| Target::from_bits(bits_at(at)).is_some_and(|target| target.work() >= wanted);
    // `low` is enough, for nobody hashes 2^128 times a block; `high` is beyond every target.
    let (mut low, mut high) = (0, SIZES * MANTISSAS);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if is_enough(middle) { low = middle } else { high = middle }
    }
    bits_at(low)
}

fn hash_rate(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k')) => (&text[..at], 1_000),
        Some((at, 'M')) => (&text[..at], 1_000_000),
        Some((at, 'G')) => (&text[..at], 1_000_000_000),
        Some((at, 'T')) => (&text[..at], 1_000_000_000_000),
        _ => (text, 1),
    };
    let rate = digits.parse::<u64>().ok().and_then(|rate| rate.checked_mul(unit)).filter(|rate| *rate > 0);
    rate.ok_or_else(|| "expected hashes a second, such as 30000000 or 30M".to_owned())
}

fn miners(texts: &[String], network: &str) -> Result<Vec<GenesisMiner>, Failure> {
    let miner = |text: &String| {
        let (key, name) = text
            .split_once('=')
            .ok_or_else(|| Failure::Usage(format!("--miner: expected KEY=NAME, got {text:?}")))?;
        let name = list(name.as_bytes().to_vec(), "letters in a miner's name")?;
        Ok(GenesisMiner { key: public_key(key, network)?, name })
    };
    texts.iter().map(miner).collect()
}

fn public_key(text: &str, network: &str) -> Result<PublicKey, Failure> {
    match text.parse() {
        Ok(key) => Ok(key),
        Err(error) if text.starts_with("prt1") => Err(Failure::Config(error.to_string())),
        Err(_) => Ok(KeySource::parse(text)?.address(network)?),
    }
}

fn list<T, const MAX: usize>(items: Vec<T>, what: &str) -> Result<List<T, MAX>, Failure> {
    items.try_into().map_err(|error| {
        let mut message = String::new();
        write!(message, "{what}: {error}").expect("a string takes all");
        Failure::Config(message)
    })
}

#[cfg(test)]
mod tests;
