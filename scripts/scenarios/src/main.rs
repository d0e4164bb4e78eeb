//! `printsy-scenarios`: what `scripts/devnet` runs once everything is built.
//!
//! Exit codes: 0 if all was as it should be (or the network was kept running and then stopped by Ctrl-C), 1 if
//! anything was not, 2 if the command line was not understood. However it ends, no node is left running.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::available_parallelism;

use anyhow::{Context, Result, bail};
use clap::Parser;
use printsy_miner::Miner;
use printsy_scenarios::calibrate;
use printsy_scenarios::folder::Folder;
use printsy_scenarios::narrate::Narrator;
use printsy_scenarios::network::{MINERS, Network};
use printsy_scenarios::replica::Replica;
use printsy_scenarios::scenario;
use printsy_scenarios::stage::{Stage, now_ms};
use printsy_scenarios::wallet::Wallet;
use tokio::signal::unix::{SignalKind, signal};

/// The forger's threads for each core: more than one, for it shares the cores with three miners and has to win a
/// race against them now and then.
const FORGER_THREADS_PER_CORE: usize = 2;

/// Act the scenarios Printsy exists for, on a development network of four nodes.
#[derive(Debug, Parser)]
#[command(name = "devnet", version, args_override_self = true)]
struct Cli {
    /// Stop everything at the end; exit with 0 only if all was as it should be.
    #[arg(long)]
    once: bool,
    /// The folder for datadirs and logs; emptied of an earlier network's. With --once, a temporary one.
    #[arg(long, value_name = "DIR", default_value = ".devnet")]
    dir: PathBuf,
    /// The genesis to stamp with the present time and this machine's work.
    #[arg(long, value_name = "FILE", default_value = "genesis.json")]
    genesis: PathBuf,
    /// The node's program; by default the one beside this.
    #[arg(long, value_name = "FILE")]
    printsyd: Option<PathBuf>,
    /// The wallet's program; by default the one beside this.
    #[arg(long, value_name = "FILE")]
    printsy: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ndevnet: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<()> {
    let mut folder = if cli.once { Folder::temporary()? } else { Folder::open(&cli.dir)? };
    let mut stage = set_up(cli, &folder)?;
    let played = tokio::select! {
        played = scenario::play(&mut stage) => played,
        name = interrupted() => Err(anyhow::anyhow!("stopped by {name} before the end")),
    };
    let kept = match played {
        Ok(()) if !cli.once => keep_running(&mut stage, &folder).await,
        Ok(()) => Ok(()),
        Err(error) => Err(add_fallen(&mut stage.network, error)),
    };
    stage.story.line("\nStopping the nodes.");
    let outcome = kept.and(stage.network.stop().await.context("a node did not stop as it should"));
    match &outcome {
        Ok(()) if cli.once => stage.story.line("All was as it should be."),
        Ok(()) => stage.story.line("Stopped."),
        Err(_) => {
            folder.keep();
            eprintln!("\ndevnet: logs and datadirs are kept in {}", folder.path().display());
        }
    }
    outcome
}

/// Everything but the nodes' processes.
fn set_up(cli: &Cli, folder: &Folder) -> Result<Stage> {
    let rate = calibrate::measure(MINERS.len())?;
    let template = std::fs::read_to_string(&cli.genesis)
        .with_context(|| format!("cannot read {}", cli.genesis.display()))?;
    let genesis = calibrate::stamp(&template, now_ms(), &rate)?;
    let story = Narrator::new();
    story.line("A Printsy network on this machine: three miners, and a node that sells.");
    story.line(&format!("  folder     {}", folder.path().display()));
    let (million, tenth) = (rate.per_second / 1_000_000, rate.per_second / 100_000 % 10);
    story.line(&format!(
        "  hash rate  {million}.{tenth} million a second on {} threads ({})",
        rate.threads, rate.kernel
    ));
    let interval = genesis.params().target_interval_ms;
    story
        .line(&format!("  work       bits {:08x}: a block about every {interval} ms", genesis.params().bits));
    story.line(&format!("  genesis    {}", genesis.hash()));
    let cores = available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let wallet = Wallet::new(&program(cli.printsy.as_deref(), "printsy")?, &folder.wallet());
    Ok(Stage {
        network: Network::new(&program(cli.printsyd.as_deref(), "printsyd")?, folder, genesis.clone())?,
        wallet,
        replica: Replica::new(genesis),
        forger: Arc::new(Miner::new(cores * FORGER_THREADS_PER_CORE)?),
        story,
    })
}

/// The program as it was given, or the one of this name beside this one.
fn program(given: Option<&Path>, name: &str) -> Result<PathBuf> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()?.with_file_name(name),
    };
    match path.is_file() {
        true => Ok(path.canonicalize()?),
        false => bail!("no program at {}; build it with `cargo build --release`", path.display()),
    }
}

/// Says how to use the network, and keeps it until it is interrupted.
async fn keep_running(stage: &mut Stage, folder: &Folder) -> Result<()> {
    let (rpc, bootnode) = (stage.network.shop().url(), stage.network.bootnode().unwrap_or_default());
    let genesis = folder.genesis();
    let genesis = genesis.display();
    let lines = [
        "\nAll was as it should be. The network keeps running; Ctrl-C stops it. Meanwhile, for example:"
            .to_owned(),
        format!("  printsy available 25 --rpc {rpc}"),
        format!("  printsy buy 25 --key dev:alice --rpc {rpc}"),
        format!("  printsy chain --rpc {}", stage.network.nodes()[0].url()),
        "To join with a miner of your own: make a key, have it registered, start a node with it.".to_owned(),
        "  printsy keys new my-miner --plain".to_owned(),
        format!("  printsy register-miner ADDRESS --name my-miner --key dev:registrar --rpc {rpc}"),
        format!("  printsyd run --genesis {genesis} --datadir my-node --bootnodes {bootnode} \\"),
        "      --listen /ip4/127.0.0.1/tcp/0 --rpc-listen 127.0.0.1:0 --mine --miner-key KEYFILE".to_owned(),
        "The programs are in target/release.".to_owned(),
    ];
    lines.iter().for_each(|line| stage.story.line(line));
    tokio::select! {
        fallen = stage.network.first_fallen() => bail!("{fallen}"),
        _ = interrupted() => Ok(()),
    }
}

/// The error, with the nodes that ended by themselves, which is what it is really about.
fn add_fallen(network: &mut Network, error: anyhow::Error) -> anyhow::Error {
    let fallen = network.fallen();
    if fallen.is_empty() { error } else { error.context(fallen.join("\n")) }
}

/// Waits for a signal that asks this program to end, and names it.
async fn interrupted() -> &'static str {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else {
        // Without handlers the system ends this program, and the nodes with it as their handles drop: nothing
        // to wait for.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => "Ctrl-C",
        _ = terminate.recv() => "SIGTERM",
        _ = hangup.recv() => "SIGHUP",
    }
}
