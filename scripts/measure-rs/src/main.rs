//! `printsy-measure`: what `scripts/measure` runs once everything is built.
//!
//! Exit codes: 0 if every bar is met, 1 if one is not or anything failed, 2 if the command line was not understood.
#![allow(clippy::print_stdout, reason = "a program: the table is its answer")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use printsy_measure::place::Place;
use printsy_measure::table::{Row, Table};
use printsy_measure::{network, turn, validation};

/// Measure the real programs on this machine, each against its bar.
#[derive(Debug, Parser)]
#[command(name = "measure", version, arg_required_else_help = true, args_override_self = true)]
struct Cli {
    #[command(subcommand)]
    what: What,
    /// The folder of the programs; by default the one of this.
    #[arg(long, value_name = "DIR", global = true)]
    programs: Option<PathBuf>,
    /// The genesis to begin with.
    #[arg(long, value_name = "FILE", default_value = "genesis.json", global = true)]
    genesis: PathBuf,
    /// Write the table to this file too, as a JSON array.
    #[arg(long, value_name = "FILE", global = true)]
    json: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Mining: how soon miners turn, what they waste, what they cost, how the first blocks come.
    Mining(Mining),
}

#[derive(Debug, Args)]
struct Mining {
    /// One part alone; by default all.
    #[arg(long, value_name = "PART")]
    only: Option<Part>,
    /// How many tips to turn to.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(20..))]
    tips: u64,
    /// How many blocks to validate in each round.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    blocks: u64,
    /// How many rounds of validation.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// How many blocks of the fresh network.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(2..))]
    network_blocks: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// From a new tip to the first hash on it.
    Turn,
    /// A block's validation with the miner on and off.
    Validation,
    /// Three miners on a fresh network, and their stale work.
    Network,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("measure: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every bar is met.
async fn run(cli: &Cli) -> Result<bool> {
    let What::Mining(mining) = &cli.what;
    let programs = match &cli.programs {
        Some(folder) => folder.canonicalize()?,
        None => std::env::current_exe()?.parent().context("a program lies in a folder")?.to_owned(),
    };
    let genesis = std::fs::read_to_string(&cli.genesis)
        .with_context(|| format!("cannot read {}", cli.genesis.display()))?;
    let place = Place { programs, genesis };
    let wants = |part| mining.only.is_none_or(|only| only == part);
    let mut rows: Vec<Row> = Vec::new();
    if wants(Part::Turn) {
        rows.extend(turn::run(&place, mining.tips).await.context("turning to a new tip")?);
    }
    if wants(Part::Validation) {
        let (blocks, rounds) = (mining.blocks, mining.rounds);
        rows.extend(validation::run(&place, blocks, rounds).await.context("validating blocks")?);
    }
    if wants(Part::Network) {
        let blocks = mining.network_blocks;
        rows.extend(network::run(&place, blocks).await.context("three miners on a fresh network")?);
    }
    let table = Table(rows);
    println!("{table}");
    if let Some(path) = &cli.json {
        let json: Vec<_> = table.0.iter().map(Row::to_json).collect();
        let text = serde_json::to_string_pretty(&json)?;
        std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(table.is_met())
}
