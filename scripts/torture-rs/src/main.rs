//! `printsy-torture`: what `scripts/torture` runs once everything is built.
//!
//! Exit codes: 0 if every law held, 1 at the first that did not (with the seed that shows it again), 2 if the
//! command line was not understood.
#![allow(clippy::print_stdout, reason = "a program: the report is its answer")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use printsy_torture::report::Report;
use printsy_torture::{corruption, crashes, kills, reorganisations, scale, templates};

/// The long runs: nothing acknowledged is ever lost.
#[derive(Debug, Parser)]
#[command(name = "torture", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    campaign: Campaign,
    /// Write the reports to this file too, as a JSON array.
    #[arg(long, value_name = "FILE", global = true)]
    json: Option<PathBuf>,
    /// The daemon's program; by default the one beside this.
    #[arg(long, value_name = "FILE", global = true)]
    printsyd: Option<PathBuf>,
}

/// How long, and from which seed.
#[derive(Clone, Copy, Debug, Args)]
struct Extent {
    /// What all that is random begins with.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many; by default the long run's number.
    #[arg(long)]
    count: Option<u64>,
}

/// How large.
#[derive(Clone, Copy, Debug, Args)]
struct Sizes {
    /// How many images, and as many accounts.
    #[arg(long, default_value_t = 1_000_000)]
    entries: u64,
    /// How many sales of a few images.
    #[arg(long, default_value_t = 5_000_000)]
    sales: u64,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Campaign {
    /// The daemon under load, killed with SIGKILL (1,000 times), every answer checked.
    Kills(Extent),
    /// Power cuts over the seams to disk and index (20,000 images), each opened and compared.
    Crashes(Extent),
    /// Reorganisations down to the final block (10,000), each compared with a naive replay.
    Reorganisations(Extent),
    /// Templates (10,000) under random orders, registry changes and reorganisations, each judged like a block.
    Templates(Extent),
    /// One damage to one file of a stopped node (2,000 times), and what the daemon makes of it.
    Corruption(Extent),
    /// Restarts with a large state (1,000,000 images and accounts) and with many sales (5,000,000).
    Scale(Sizes),
    /// All of them, at their full length.
    All,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("torture: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<()> {
    let full = Extent { seed: 1, count: None };
    let mut reports = Vec::new();
    let mut done = |report: Report| {
        println!("{report}");
        reports.push(report);
    };
    match cli.campaign {
        Campaign::Reorganisations(extent) => done(reorganise(extent)?),
        Campaign::Crashes(extent) => done(crash(extent)?),
        Campaign::Templates(extent) => done(offer(extent)?),
        Campaign::Kills(extent) => done(kill(cli, extent).await?),
        Campaign::Corruption(extent) => done(corrupt(cli, extent).await?),
        Campaign::Scale(sizes) => done(restart(cli, sizes).await?),
        Campaign::All => {
            done(reorganise(full)?);
            done(crash(full)?);
            done(offer(full)?);
            done(corrupt(cli, full).await?);
            done(kill(cli, full).await?);
            done(restart(cli, Sizes { entries: 1_000_000, sales: 5_000_000 }).await?);
        }
    }
    if let Some(path) = &cli.json {
        let json: Vec<_> = reports.iter().map(Report::to_json).collect();
        let text = serde_json::to_string_pretty(&json)?;
        std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn reorganise(extent: Extent) -> Result<Report> {
    reorganisations::run(extent.seed, extent.count.unwrap_or(10_000))
}

fn crash(extent: Extent) -> Result<Report> {
    crashes::run(extent.seed, extent.count.unwrap_or(20_000))
}

fn offer(extent: Extent) -> Result<Report> {
    let mut report = templates::run(extent.seed, extent.count.unwrap_or(10_000))?;
    templates::time_the_largest(&mut report)?;
    Ok(report)
}

async fn kill(cli: &Cli, extent: Extent) -> Result<Report> {
    let (seed, count, printsyd) = (extent.seed, extent.count.unwrap_or(1_000), printsyd(cli)?);
    kills::run(&kills::Options { seed, count, printsyd }).await
}

async fn corrupt(cli: &Cli, extent: Extent) -> Result<Report> {
    let (seed, count, printsyd) = (extent.seed, extent.count.unwrap_or(2_000), printsyd(cli)?);
    corruption::run(&corruption::Options { seed, count, printsyd }).await
}

async fn restart(cli: &Cli, sizes: Sizes) -> Result<Report> {
    let Sizes { entries, sales } = sizes;
    scale::run(&scale::Options { entries, sales, printsyd: printsyd(cli)? }).await
}

fn printsyd(cli: &Cli) -> Result<PathBuf> {
    match &cli.printsyd {
        Some(path) => Ok(path.clone()),
        None => Ok(std::env::current_exe()?.with_file_name("printsyd")),
    }
}
