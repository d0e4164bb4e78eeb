//! The daemon: a configuration becomes a running node, until a signal or its own trouble ends it.
//!
//! It opens and locks the datadir, starts the [`Node`], says where it is to be reached, and stops it in good order. A
//! second signal ends everything at once, which loses nothing that was answered.

use std::sync::Arc;

use printsy_consensus::{Genesis, SecretKey};
use printsy_p2p::Limits;
use printsy_rpc::Scope;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::clock::Clock;
use crate::config::{Config, GenesisChoice, MiningConfig, NetworkConfig};
use crate::datadir::{Datadir, GivenGenesis};
use crate::dev;
use crate::exit::Failure;
use crate::logging::LogControl;
use crate::node::{MiningOptions, Node, NodeError, NodeOptions};
use crate::notify;
use crate::server::{AccessOptions, ServerOptions};
use crate::storage::Storage;

/// The development key that makes blocks for `generateBlocks` on a node that does not mine.
const GENERATE_KEY: &str = "miner-1";

/// Runs a node until SIGTERM, SIGINT or its own trouble ends it.
///
/// # Errors
/// The [`Failure`] to report and to exit with.
pub async fn run(config: Config, logs: LogControl) -> Result<(), Failure> {
    let signals = Signals::install()?;
    let (datadir, genesis) = open(&config)?;
    let result = run_in(&config, logs, signals, datadir.as_ref(), genesis).await;
    // Whatever ended it: the cookie was this run's.
    datadir.iter().for_each(Datadir::remove_cookie);
    result
}

/// Runs a node in a datadir, or in memory.
async fn run_in(
    config: &Config,
    logs: LogControl,
    mut signals: Signals,
    datadir: Option<&Datadir>,
    genesis: Genesis,
) -> Result<(), Failure> {
    let genesis = Arc::new(genesis);
    tracing::info!(network = %genesis.params().network_name(), genesis = %genesis.hash(), "starting");
    let options = node_options(config, datadir, &genesis, logs)?;
    let mut node = Node::start(options).await?;
    announce(config, &node);
    let asked = node.handle().clone();
    let failed = tokio::select! {
        failed = node.failed() => Some(failed),
        name = signals.next() => {
            tracing::info!(signal = name, "stopping");
            None
        }
        () = asked.stop_asked() => None,
    };
    notify::stopping();
    let is_lost = matches!(&failed, Some(Err(NodeError::Datadir(_))));
    if let (Some(datadir), Some(network), false) = (datadir, node.handle().network(), is_lost) {
        // Worth a line, not worth keeping the node from stopping well.
        if let Err(failure) = datadir.save_peers(&network.peer_addresses()) {
            tracing::warn!(%failure, "the addresses of peers are not remembered");
        }
    }
    tokio::select! {
        stopped = node.stop() => match failed {
            Some(failed) => Ok(failed?),
            None => Ok(stopped?),
        },
        // What was answered is on the disk: a second signal may end everything at once.
        name = signals.next() => Err(Failure::Runtime(format!("{name} again: ended at once; nothing is lost"))),
    }
}

/// The datadir, locked, and the genesis of the network.
fn open(config: &Config) -> Result<(Option<Datadir>, Genesis), Failure> {
    let given = match &config.genesis {
        GenesisChoice::Solo => Some(GivenGenesis::built_in(dev::genesis(), "--dev")),
        GenesisChoice::File(path) => Some(GivenGenesis::read(path)?),
        GenesisChoice::Stored => None,
    };
    match (&config.datadir, given) {
        (Some(path), given) => {
            let (datadir, genesis) = Datadir::open(path, given)?;
            Ok((Some(datadir), genesis))
        }
        (None, Some(given)) => Ok((None, given.genesis)),
        (None, None) => Err(Failure::Config("no datadir and no genesis: pass --genesis FILE".to_owned())),
    }
}

fn node_options(
    config: &Config,
    datadir: Option<&Datadir>,
    genesis: &Arc<Genesis>,
    logs: LogControl,
) -> Result<NodeOptions, Failure> {
    let network_name = genesis.params().network_name();
    let mining = config.mining.as_ref().map(|mining| mining_options(mining, &network_name)).transpose()?;
    let mut server = server_options(config, datadir, genesis, logs)?;
    if genesis.params().is_development() {
        let own = mining.as_ref().map(|mining| mining.key.clone());
        server.generate_key = Some(own.unwrap_or_else(|| SecretKey::development(GENERATE_KEY)));
    }
    Ok(NodeOptions {
        genesis: genesis.clone(),
        storage: datadir.map_or(Storage::Memory, |datadir| Storage::Datadir(datadir.path().to_owned())),
        network: network_options(&config.network, datadir, genesis)?,
        mining,
        server: Some(server),
        clock: Clock::default(),
        guard: datadir.map(|datadir| datadir.guard(config.min_free_bytes)).transpose()?,
        on_conflict: config.on_conflict,
    })
}

fn server_options(
    config: &Config,
    datadir: Option<&Datadir>,
    genesis: &Genesis,
    logs: LogControl,
) -> Result<ServerOptions, Failure> {
    let rpc = &config.rpc;
    if !rpc.listen.ip().is_loopback() && !rpc.require_token.contains(&Scope::Submit) {
        tracing::warn!(
            rpc = %rpc.listen,
            "whoever reaches this address may ask and hand in orders: see rpc.require_token"
        );
    }
    let mut server = ServerOptions::new(rpc.listen, genesis.params());
    server.expects_peers = !config.network.bootnodes.is_empty();
    server.logs = Some(logs);
    server.hosts.clone_from(&rpc.hosts);
    server.cors_origins.clone_from(&rpc.cors_origins);
    server.access = AccessOptions {
        cookie: datadir.map(Datadir::make_cookie).transpose()?,
        tokens_in: datadir.map(|datadir| datadir.path().to_owned()),
        require_token: rpc.require_token.clone(),
        rate: rpc.rate,
        local_rate: rpc.local_rate,
        behind_proxy: rpc.behind_proxy,
        trusted_proxies: rpc.trusted_proxies.clone(),
    };
    Ok(server)
}

fn mining_options(mining: &MiningConfig, network: &str) -> Result<MiningOptions, Failure> {
    Ok(MiningOptions {
        key: mining.key.load(network)?,
        threads: mining.threads,
        kernel: mining.kernel.map(printsy_miner::kernel_named).transpose()?,
        mode: mining.mode,
        wait_for_peer: mining.wait_for_peer,
    })
}

fn network_options(
    config: &NetworkConfig,
    datadir: Option<&Datadir>,
    genesis: &Genesis,
) -> Result<Option<printsy_p2p::Config>, Failure> {
    if config.is_off() {
        return Ok(None);
    }
    let node_key = match datadir {
        Some(datadir) => datadir.node_key()?,
        None => crate::datadir::new_node_key()?,
    };
    let limits = Limits {
        target_outbound: config.target_outbound,
        max_inbound: config.max_inbound,
        ..Limits::default()
    };
    Ok(Some(printsy_p2p::Config {
        genesis: genesis.hash(),
        node_key,
        listen: config.listen.clone(),
        bootnodes: config.bootnodes.clone(),
        known_peers: datadir.map(Datadir::load_peers).unwrap_or_default(),
        agent: concat!("printsyd/", env!("CARGO_PKG_VERSION")).to_owned(),
        limits,
        max_block_bytes: genesis.params().max_block_bytes,
    }))
}

/// Says where the node is to be reached.
fn announce(config: &Config, node: &Node) {
    let Some(server) = node.server() else { return };
    if let Some(network) = node.handle().network() {
        for address in network.listen_addresses() {
            tracing::info!(%address, "listening");
        }
    }
    let height = node.opened().height;
    tracing::info!(rpc = %server.local_addr(), height, "ready");
    notify::ready(&format!("JSON-RPC on {}, started at height {height}", server.local_addr()));
    if config.genesis == GenesisChoice::Solo {
        eprintln!("{}", dev::welcome(server.local_addr(), config.datadir.as_deref()));
    }
}

/// The signals that stop a node.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn install() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| Failure::Runtime(format!("cannot listen for signals: {error}")))
        };
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
