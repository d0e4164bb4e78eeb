//! The flags of `printsyd run`.
//!
//! A flag is one way among others to give a configuration key, so flags stay text here and are read with the
//! rest: a value is judged in one place, wherever it came from.

use std::path::PathBuf;

use clap::Args;

use super::keys;
use super::layers::Value;

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
