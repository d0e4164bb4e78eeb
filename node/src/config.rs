//! What a node is told to do: one value for each key, from flag, environment, file or default, in this order.
//!
//! [`keys`] is the table of all keys. `layers` gathers what was given, with where it was given; `value` reads it.
//! `args` are the
//! flags. This file puts the pieces together: [`Config::resolve`] is pure, [`Config::load`] reads the process's
//! environment and the file first. Nothing here opens a datadir, a key or a genesis: it only says which.
//!
//! An error names the key, the place where its value was given (`--flag`, `VARIABLE`, `file:line`) and what is
//! expected there. A key that nobody knows is an error and names the nearest that there is.

mod args;
pub mod keys;
mod layers;
mod rpc;
mod value;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use printsy_keys::KeySource;

pub use args::RunArgs;
pub use keys::{DEFAULT_LISTEN, DEFAULT_RPC_LISTEN};
pub use layers::{Source, Value};
pub use rpc::RpcConfig;

use crate::dev;
use crate::logging::LogFormat;
use crate::{MiningMode, OnConflict};
use layers::Layers;

/// The configuration's name in a datadir, where it is found without being named.
pub const FILE: &str = "printsyd.toml";

/// The most bytes of a configuration: far more than all keys with their comments.
const MAX_FILE_BYTES: u64 = 256 << 10;

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key that nobody knows.
    #[error("{source_text}: unknown key {got}; the nearest known is {nearest}")]
    Unknown {
        /// Where it stands.
        source_text: String,
        /// The key as given.
        got: String,
        /// The most similar key there is.
        nearest: String,
    },
    /// A value that is none for its key.
    #[error("{place}: {key}: expected {expected}, got {got}")]
    Value {
        /// The key.
        key: &'static str,
        /// Where the value was given.
        place: Source,
        /// What the key takes.
        expected: String,
        /// What was given.
        got: String,
    },
    /// The file is not TOML.
    #[error("{}:{line}: {what}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}; mend it, or move it away", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Values that are fine one by one do not go together.
    #[error("{0}")]
    Together(String),
    /// Flags that do not go together.
    #[error("{0}")]
    Usage(String),
}

impl ConfigError {
    /// Whether the command line is to blame, rather than the environment or the file.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Usage(_) | Self::Value { place: Source::Flag(_), .. })
    }
}

/// Which network a node is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GenesisChoice {
    /// The easy network of `--dev`.
    Solo,
    /// The one this file describes.
    File(PathBuf),
    /// The one the datadir holds.
    Stored,
}

/// What to do on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkConfig {
    /// Addresses to listen on.
    pub listen: Vec<String>,
    /// Addresses to begin with.
    pub bootnodes: Vec<String>,
    /// Peers to seek by itself.
    pub target_outbound: usize,
    /// Connections taken from others.
    pub max_inbound: u32,
}

impl NetworkConfig {
    /// Whether the node neither listens nor dials: then it needs no network at all.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.listen.is_empty() && self.bootnodes.is_empty()
    }
}

/// How to mine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MiningConfig {
    /// Where the miner's key comes from.
    pub key: KeySource,
    /// How many threads search.
    pub threads: usize,
    /// Which kernel they search with, by its name; the fastest where none is said.
    pub kernel: Option<&'static str>,
    /// When.
    pub mode: MiningMode,
    /// Whether to wait for a first peer: there are bootnodes, and nobody said `solo`.
    pub wait_for_peer: bool,
}

/// What to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Which events, as `tracing` writes filters.
    pub filter: String,
    /// In which form.
    pub format: LogFormat,
}

/// All that a node is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which network.
    pub genesis: GenesisChoice,
    /// Where everything is kept; none: in memory (`--dev` alone).
    pub datadir: Option<PathBuf>,
    /// The network.
    pub network: NetworkConfig,
    /// JSON-RPC, health and metrics.
    pub rpc: RpcConfig,
    /// How to mine, if at all.
    pub mining: Option<MiningConfig>,
    /// With less than this free on the datadir's file system, in bytes, no orders are taken; 0: never mind.
    pub min_free_bytes: u64,
    /// What to do about a heavier chain that leaves what is final here.
    pub on_conflict: OnConflict,
    /// The logs.
    pub log: LogConfig,
}

/// What the process was given by its surroundings, as a value.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The variables. Those that are not text are shown with replacement characters.
    pub variables: BTreeMap<String, String>,
    /// How many threads run at once on this machine.
    pub cores: usize,
}

impl Environment {
    /// This process's.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Self {
            variables: std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect(),
            cores: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        }
    }

    /// Where a node's data is kept when nobody says: `$XDG_DATA_HOME/printsy/node`, or
    /// `~/.local/share/printsy/node`. A relative `XDG_DATA_HOME` is as good as none, as its specification has it.
    #[must_use]
    pub fn default_datadir(&self) -> Option<PathBuf> {
        let absolute = |name| self.variables.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let data =
            absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
        data.map(|data| data.join("printsy/node"))
    }
}

/// A configuration file that was read.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// Where it is: paths in it are relative to its folder.
    pub path: PathBuf,
    /// What it says, TOML.
    pub text: String,
}

impl ConfigFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`ConfigError::Read`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let failed = |source| ConfigError::Read { path: path.to_owned(), source };
        let length = fs::metadata(path).map_err(failed)?.len();
        if length > MAX_FILE_BYTES {
            let what = format!("it has {length} bytes, expected at most {MAX_FILE_BYTES}");
            return Err(failed(io::Error::other(what)));
        }
        Ok(Self { path: path.to_owned(), text: fs::read_to_string(path).map_err(failed)? })
    }
}

impl Config {
    /// The configuration of this process: its flags, its environment, and the file named by `--config` or
    /// found in the datadir.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(args: &RunArgs) -> Result<Self, ConfigError> {
        let environment = Environment::of_process();
        if let Some(path) = &args.config {
            return Self::resolve(args, &environment, Some(&ConfigFile::read(path)?));
        }
        let without = Self::resolve_datadir(args, &environment)?;
        let Some(found) = without.as_deref().map(|datadir| datadir.join(FILE)).filter(|path| path.is_file())
        else {
            return Self::resolve(args, &environment, None);
        };
        let config = Self::resolve(args, &environment, Some(&ConfigFile::read(&found)?))?;
        if config.datadir == without {
            return Ok(config);
        }
        Err(ConfigError::Together(format!(
            "{} sets a storage.datadir other than the one it lies in; name the file by --config to use it so",
            found.display()
        )))
    }

    /// Flag, then environment, then file, then default, for each key.
    ///
    /// # Errors
    /// [`ConfigError`], the first there is.
    pub fn resolve(
        args: &RunArgs,
        environment: &Environment,
        file: Option<&ConfigFile>,
    ) -> Result<Self, ConfigError> {
        let layers = Layers::gather(args.flags(), &environment.variables, file)?;
        let network = network(&layers, args.dev)?;
        Ok(Self {
            genesis: genesis(&layers, args.dev)?,
            datadir: datadir(&layers, environment, args.dev)?,
            mining: mining(&layers, environment, args.dev, !network.bootnodes.is_empty())?,
            network,
            rpc: rpc::read(&layers)?,
            min_free_bytes: min_free_bytes(&layers)?,
            on_conflict: match layers.switch(&keys::EXIT_ON_CONFLICT) {
                Some(true) => OnConflict::End,
                Some(false) | None => OnConflict::Stay,
            },
            log: log(&layers)?,
        })
    }

    /// The datadir as flags and environment have it, to look for a file in.
    fn resolve_datadir(args: &RunArgs, environment: &Environment) -> Result<Option<PathBuf>, ConfigError> {
        let layers = Layers::gather(args.flags(), &environment.variables, None)?;
        datadir(&layers, environment, args.dev)
    }
}

fn genesis(layers: &Layers, dev: bool) -> Result<GenesisChoice, ConfigError> {
    match (layers.path(&keys::GENESIS)?, dev) {
        (None, true) => Ok(GenesisChoice::Solo),
        (None, false) => Ok(GenesisChoice::Stored),
        (Some(path), false) => Ok(GenesisChoice::File(path)),
        (Some(_), true) => Err(ConfigError::Together(format!(
            "--dev has a genesis of its own, and {} gives another; leave one of them out",
            layers.place(&keys::GENESIS)
        ))),
    }
}

fn datadir(layers: &Layers, environment: &Environment, dev: bool) -> Result<Option<PathBuf>, ConfigError> {
    match layers.path(&keys::DATADIR)? {
        Some(path) => Ok(Some(path)),
        None if dev => Ok(None),
        None => environment.default_datadir().map(Some).ok_or_else(|| {
            ConfigError::Together("cannot tell where to keep data: give --datadir, or set HOME".to_owned())
        }),
    }
}

fn network(layers: &Layers, dev: bool) -> Result<NetworkConfig, ConfigError> {
    let default_listen = || if dev { Vec::new() } else { vec![DEFAULT_LISTEN.to_owned()] };
    let limits = printsy_p2p::Limits::default();
    let most = u64::from(limits.max_outbound);
    let target = layers.whole(&keys::TARGET_OUTBOUND, 0, most)?;
    let inbound = layers.whole(&keys::MAX_INBOUND, 0, keys::MOST_INBOUND)?;
    Ok(NetworkConfig {
        listen: layers.addresses(&keys::LISTEN)?.unwrap_or_else(default_listen),
        bootnodes: layers.addresses(&keys::BOOTNODES)?.unwrap_or_default(),
        target_outbound: target.map_or(limits.target_outbound, |count| {
            usize::try_from(count).expect("at most max_outbound, a small number")
        }),
        max_inbound: inbound
            .map_or(limits.max_inbound, |count| u32::try_from(count).expect("at most MOST_INBOUND")),
    })
}

/// Off unless it is on; on the network of `--dev`, on demand unless it is said.
fn mining(
    layers: &Layers,
    environment: &Environment,
    dev: bool,
    has_bootnodes: bool,
) -> Result<Option<MiningConfig>, ConfigError> {
    let most = u64::try_from(printsy_miner::MAX_THREADS).expect("a small number");
    let threads = layers.whole(&keys::THREADS, 1, most)?;
    let kernel = layers.kernel(&keys::KERNEL)?;
    let key = layers.key_source(&keys::MINING_KEY)?;
    let mode = match layers.switch(&keys::MINING_ENABLED) {
        Some(true) => MiningMode::Always,
        None if dev => MiningMode::OnDemand,
        Some(false) | None => return idle_flags(layers).map_or(Ok(None), Err),
    };
    let default_key = || {
        let key = dev.then(|| KeySource::parse(dev::MINER_KEY).expect("a constant that a test reads"));
        key.ok_or_else(|| no_miner_key(layers))
    };
    let default_threads = match mode {
        MiningMode::Always => environment.cores.saturating_sub(1).clamp(1, printsy_miner::MAX_THREADS),
        MiningMode::OnDemand => 1,
    };
    Ok(Some(MiningConfig {
        key: key.map_or_else(default_key, Ok)?,
        threads: threads
            .map_or(default_threads, |count| usize::try_from(count).expect("at most MAX_THREADS")),
        kernel,
        mode,
        wait_for_peer: has_bootnodes && layers.switch(&keys::SOLO) != Some(true),
    }))
}

fn no_miner_key(layers: &Layers) -> ConfigError {
    let message =
        "mining needs the key of a registered miner: give --miner-key FILE (or mining.key)".to_owned();
    match layers.place(&keys::MINING_ENABLED) {
        Source::Flag(_) => ConfigError::Usage(message),
        _ => ConfigError::Together(message),
    }
}

/// A miner's flag while mining is off: whoever wrote it believes that this node will mine.
fn idle_flags(layers: &Layers) -> Option<ConfigError> {
    let keys = [&keys::MINING_KEY, &keys::THREADS, &keys::KERNEL, &keys::SOLO];
    keys.into_iter().find_map(|key| match layers.place(key) {
        Source::Flag(flag) => Some(ConfigError::Usage(format!("{flag} says how to mine: add --mine"))),
        _ => None,
    })
}

fn min_free_bytes(layers: &Layers) -> Result<u64, ConfigError> {
    let mib = layers.whole(&keys::MIN_FREE, 0, keys::MOST_MIN_FREE_MIB)?;
    Ok(mib.unwrap_or(keys::DEFAULT_MIN_FREE_MIB) << 20)
}

fn log(layers: &Layers) -> Result<LogConfig, ConfigError> {
    let filter = layers.text_if(&keys::LOG_FILTER, crate::logging::is_filter)?;
    Ok(LogConfig {
        filter: filter.unwrap_or_else(|| keys::DEFAULT_LOG_FILTER.to_owned()),
        format: layers.parsed(&keys::LOG_FORMAT)?.unwrap_or(LogFormat::Text),
    })
}

#[cfg(test)]
mod tests;
