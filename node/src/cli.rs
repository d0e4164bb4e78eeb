//! The command line of `printsyd`, and what it starts.
//!
//! A flag is one way among others to give a configuration key, so flags stay text here and are read with the
//! rest in [`crate::config`]: a value is judged in one place, wherever it came from. What is wrong with the line
//! itself (unknown flags, no command) ends with clap's usage lines and exit code 2.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::commands::audit::{self, AuditArgs};
use crate::commands::export::{self, ExportArgs};
use crate::commands::import::{self, ImportArgs};
use crate::commands::reindex::{self, ReindexArgs};
use crate::commands::replay::{self, ReplayArgs};
use crate::commands::resolve::{self, ResolveArgs};
use crate::commands::tokens::{self, TokensArgs};
use crate::config::{Config, Value, keys};
use crate::doctor::{self, DoctorArgs};
use crate::exit::Failure;
use crate::init::InitArgs;
use crate::manual::{self, CompletionsArgs, ManArgs};
use crate::{daemon, init, logging};

/// A node of a Printsy network.
#[derive(Clone, Debug, Parser)]
#[command(name = "printsyd", version, about, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run a node until it is told to stop (Ctrl-C, SIGTERM).
    Run(RunArgs),
    /// Prepare a datadir: a commented configuration, the node's key, and the genesis of a network.
    Init(InitArgs),
    /// Make the index of a stopped node again from its journal.
    Reindex(ReindexArgs),
    /// Write the chain of a stopped node into one file.
    Export(ExportArgs),
    /// Take the chain of such a file into a datadir, checking everything.
    Import(ImportArgs),
    /// Take the chain of a stopped node back below its final block, to end a finality conflict.
    Resolve(ResolveArgs),
    /// Execute the whole chain of a stopped node again: every rule, every root.
    Replay(ReplayArgs),
    /// Check everything a stopped node has, and compare its chain with another node's.
    Audit(AuditArgs),
    /// Make, list and take away the tokens that let callers in; the node may run meanwhile.
    Tokens(TokensArgs),
    /// Look at what a node with these options would meet: network, disk, clock, ports, bootnodes.
    Doctor(DoctorArgs),
    /// Write the manual pages of this program into a folder.
    Man(ManArgs),
    /// Write the completions for a shell to standard output.
    Completions(CompletionsArgs),
}

/// How to run. Every flag but `--dev` and `--config` is also a key of the configuration, and of the environment.
#[derive(Clone, Debug, Default, Args)]
pub struct RunArgs {
    /// One node on an easy network of its own: in memory unless --datadir is given, mining when orders wait.
    #[arg(long)]
    pub dev: bool,
    /// The configuration; without it, printsyd.toml in the datadir if there is one.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the node keeps everything.
    #[arg(long, value_name = "FOLDER")]
    pub datadir: Option<String>,
    /// The network's genesis file; needed once for each datadir.
    #[arg(long, value_name = "FILE", conflicts_with = "dev")]
    pub genesis: Option<String>,
    /// An address to listen on for peers; may be repeated.
    #[arg(long, value_name = "MULTIADDR", value_delimiter = ',')]
    pub listen: Vec<String>,
    /// A node to dial first; may be repeated.
    #[arg(long, value_name = "MULTIADDR", value_delimiter = ',')]
    pub bootnodes: Vec<String>,
    /// Where JSON-RPC, health checks and metrics are served.
    #[arg(long, value_name = "ADDR")]
    pub rpc_listen: Option<String>,
    /// Mine.
    #[arg(long)]
    pub mine: bool,
    /// The registered miner's key: a file, or dev:NAME on a development network.
    #[arg(long, value_name = "KEY")]
    pub miner_key: Option<String>,
    /// How many threads search.
    #[arg(long, value_name = "N")]
    pub threads: Option<u64>,
    /// What tries nonces, instead of the fastest that this processor runs: avx512, sha-ni, avx2, portable or scalar.
    #[arg(long, value_name = "NAME")]
    pub kernel: Option<String>,
    /// Mine before there is a first peer, in spite of bootnodes.
    #[arg(long)]
    pub solo: bool,
    /// Which events are logged, such as info or info,printsy_p2p=debug.
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// How log lines are written: text or json.
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
}

impl RunArgs {
    /// The configuration keys that were given as flags.
    #[must_use]
    pub fn flags(&self) -> Vec<(&'static keys::Key, Value)> {
        let text = |key, text: &Option<String>| text.clone().map(|text| (key, Value::Text(text)));
        let texts = |key, texts: &[String]| {
            // `--listen ""` is the way to say "nowhere".
            let items = texts.iter().filter(|item| !item.is_empty()).cloned().collect();
            (!texts.is_empty()).then_some((key, Value::Texts(items)))
        };
        let switch = |key, on: bool| on.then_some((key, Value::Switch(true)));
        [
            text(&keys::DATADIR, &self.datadir),
            text(&keys::GENESIS, &self.genesis),
            texts(&keys::LISTEN, &self.listen),
            texts(&keys::BOOTNODES, &self.bootnodes),
            text(&keys::RPC_LISTEN, &self.rpc_listen),
            switch(&keys::MINING_ENABLED, self.mine),
            text(&keys::MINING_KEY, &self.miner_key),
            self.threads.map(|threads| (&keys::THREADS, Value::Whole(threads))),
            text(&keys::KERNEL, &self.kernel),
            switch(&keys::SOLO, self.solo),
            text(&keys::LOG_FILTER, &self.log),
            text(&keys::LOG_FORMAT, &self.log_format),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Does what the command line says, to the end.
///
/// # Errors
/// The [`Failure`] to report and to exit with.
pub fn execute(cli: &Cli) -> Result<(), Failure> {
    match &cli.command {
        Command::Init(args) => init::init(args).map(|report| eprintln!("{report}")),
        Command::Reindex(args) => reindex::reindex(args),
        Command::Export(args) => export::export(args),
        Command::Import(args) => import::import(args),
        Command::Resolve(args) => resolve::resolve(args),
        Command::Replay(args) => replay::replay(args),
        Command::Audit(args) => audit::audit(args),
        Command::Tokens(args) => tokens::tokens(args),
        Command::Doctor(args) => doctor::doctor(args),
        Command::Man(args) => manual::man(Cli::command(), args),
        Command::Completions(args) => manual::completions(Cli::command(), args),
        Command::Run(args) => {
            let config = Config::load(args)?;
            let logs = logging::install(&config.log.filter, config.log.format)?;
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .map_err(|error| Failure::Runtime(format!("cannot start the runtime: {error}")))?;
            let result = runtime.block_on(daemon::run(config, logs));
            // The node has stopped: what still runs is a call that nobody waits for.
            runtime.shutdown_background();
            result
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_key_with_a_flag_is_given_by_that_flag_in_its_shape() {
        for key in keys::KEYS {
            let Some(flag) = key.flag else { continue };
            let mut words = vec!["printsyd", "run", flag];
            let (value, shape): (Option<&str>, fn(&Value) -> bool) = match key.shape {
                keys::Shape::Text => (Some("x"), |value| matches!(value, Value::Text(_))),
                keys::Shape::Texts => (Some("x,y"), |value| matches!(value, Value::Texts(v) if v.len() == 2)),
                keys::Shape::Whole => (Some("7"), |value| matches!(value, Value::Whole(7))),
                keys::Shape::Switch => (None, |value| matches!(value, Value::Switch(true))),
            };
            words.extend(value);
            let Command::Run(args) = Cli::parse_from(words).command else { panic!("run") };
            let flags = args.flags();
            assert_eq!(flags.len(), 1, "{flag}");
            assert_eq!(flags[0].0.name, key.name, "{flag}");
            assert!(shape(&flags[0].1), "{flag}");
        }
    }
}
