//! The command line of `printsyd`, and what it starts.
//!
//! What is wrong with the line itself (unknown flags, no command) ends with clap's usage lines and exit code 2.

use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::audit::{self, AuditArgs};
use crate::commands::export::{self, ExportArgs};
use crate::commands::import::{self, ImportArgs};
use crate::commands::reindex::{self, ReindexArgs};
use crate::commands::replay::{self, ReplayArgs};
use crate::commands::resolve::{self, ResolveArgs};
use crate::commands::tokens::{self, TokensArgs};
use crate::config::{Config, RunArgs};
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
    use crate::config::{Value, keys};

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
