//! The command line.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::manual::{CompletionsArgs, ManArgs};

/// Where a node of this machine serves, when nobody says otherwise.
const OWN_NODE: &str = "http://127.0.0.1:8645";

/// Mine with the work that a node hands out.
#[derive(Clone, Debug, Parser)]
#[command(name = "printsy-miner", version, propagate_version = true, args_override_self = true)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Cli {
    /// What to do instead of mining.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// A node to get work from, the preferred one first; may be repeated.
    #[arg(long = "node", value_name = "URL", env = "PRINTSY_MINER_NODES", value_delimiter = ',',
        default_value = OWN_NODE)]
    pub nodes: Vec<String>,
    /// The file that holds the token to show to the nodes, which must be of one host, where they ask for one; its owner alone may read it.
    #[arg(long, value_name = "PATH", env = "PRINTSY_MINER_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// The registered miner's key: a file, or dev:NAME on a development network.
    #[arg(long, value_name = "KEY", env = "PRINTSY_MINER_KEY", required_unless_present_any = ["bench", "selftest"])]
    pub key: Option<String>,
    /// Mine on the network of this genesis file alone; without it, on that of the first node that answers.
    #[arg(long, value_name = "FILE", env = "PRINTSY_MINER_GENESIS")]
    pub genesis: Option<PathBuf>,
    /// How many threads search; by default as many as the machine runs at once.
    #[arg(long, value_name = "N", env = "PRINTSY_MINER_THREADS")]
    pub threads: Option<usize>,
    /// What to search with; by default the fastest that this machine runs.
    #[arg(long, value_name = "NAME", env = "PRINTSY_MINER_KERNEL")]
    pub kernel: Option<String>,
    /// Offer Prometheus metrics there, such as 127.0.0.1:9645.
    #[arg(long, value_name = "ADDR", env = "PRINTSY_MINER_METRICS_LISTEN")]
    pub metrics_listen: Option<SocketAddr>,
    /// Say what happens as JSON, one object a line, on standard output.
    #[arg(long)]
    pub json: bool,
    /// Which events are told, such as info or info,printsy_miner_program=debug.
    #[arg(long, value_name = "FILTER", env = "PRINTSY_MINER_LOG", default_value = "info")]
    pub log: String,
    /// Measure every kernel of this machine, and mine nothing.
    #[arg(long, conflicts_with = "selftest")]
    pub bench: bool,
    /// Put the known questions to every kernel of this machine, and mine nothing.
    #[arg(long)]
    pub selftest: bool,
}

/// What to do instead of mining.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Write the manual pages of this program into a folder.
    Man(ManArgs),
    /// Write the completions for a shell to standard output.
    Completions(CompletionsArgs),
}

impl Cli {
    /// How many threads to search with.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZeroUsize::get))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        let line = ["printsy-miner", "--key", "dev:a", "--node", "http://a,http://b", "--node", "http://c"];
        assert_eq!(Cli::parse_from(line).nodes, ["http://a", "http://b", "http://c"]);
        assert!(Cli::try_parse_from(["printsy-miner"]).is_err(), "a miner has a key");
        assert!(Cli::try_parse_from(["printsy-miner", "--bench"]).is_ok());
        assert!(Cli::try_parse_from(["printsy-miner", "man", "--to", "man1"]).is_ok());
        assert!(Cli::try_parse_from(["printsy-miner", "man"]).is_err(), "it has to go somewhere");
    }
}
