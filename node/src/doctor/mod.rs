//! `printsyd doctor`: what an operator would look at before a start, and when something is odd.
//!
//! It takes the flags of `printsyd run`, looks at what a node with them would meet (its network, datadir, disk, clock,
//! ports and bootnodes), and says of each whether it is well, what it found, and what to do. It changes nothing but a
//! file of its own in the datadir, which measures the disk and is removed. It may be run beside the node.
//!
//! `machine` looks at the datadir, the disk and the process's limits; `clock` at the time; `reach` at ports and bootnodes.

mod clock;
mod machine;
mod reach;

use std::fmt::{self, Write};
use std::path::Path;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::commands;
use crate::config::RunArgs;
use crate::config::{Config, GenesisChoice};
use crate::datadir::{self, GivenGenesis};
use crate::dev;
use crate::exit::Failure;

/// `printsyd doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    run: RunArgs,
    /// A node whose clock is right, by the URL of its JSON-RPC: this machine's clock is held against it.
    #[arg(long, value_name = "URL")]
    against: Option<String>,
    /// Answer with one JSON object.
    #[arg(long)]
    json: bool,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// Well.
    Ok,
    /// A node runs with it, but not as it should.
    Warn,
    /// A node does not start with it, or is of no use.
    Fail,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        })
    }
}

/// What was found about one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    found: String,
    /// What to do about it; nothing where it is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, found: found.into(), advice: None }
    }

    fn warn(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warn, found: found.into(), advice: Some(advice.into()) }
    }

    fn fail(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Fail, found: found.into(), advice: Some(advice.into()) }
    }
}

/// Looks at everything and tells it on standard output.
///
/// # Errors
/// Exit code 3 for a configuration that cannot be read, 1 where a check fails.
pub fn doctor(args: &DoctorArgs) -> Result<(), Failure> {
    let config = Config::load(&args.run)?;
    let findings = examine(&config, args.against.as_deref());
    let text = if args.json { as_json(&findings) } else { as_text(&findings) };
    commands::answer(&text)?;
    let failed = findings.iter().filter(|finding| finding.verdict == Verdict::Fail).count();
    match failed {
        0 => Ok(()),
        _ => Err(Failure::Runtime(format!(
            "{failed} of {} checks failed; what to do is said at each",
            findings.len()
        ))),
    }
}

fn examine(config: &Config, against: Option<&str>) -> Vec<Finding> {
    let (network, params) = match genesis(config) {
        Ok(given) => {
            let params = given.genesis.params();
            let found =
                format!("{}, genesis {} from {}", params.network_name(), given.genesis.hash(), given.from);
            (Finding::ok("network", found), Some(params.clone()))
        }
        Err(failure) => {
            let advice = "give --genesis FILE, the network's genesis.json";
            (Finding::fail("network", failure.to_string(), advice), None)
        }
    };
    let is_running = config.datadir.as_deref().is_some_and(datadir::is_in_use);
    let mut findings = vec![network];
    findings.extend(mining(config, params.as_ref().map(printsy_consensus::Params::network_name)));
    if let Some(path) = &config.datadir {
        let interval_ms = params.as_ref().map(|params| params.target_interval_ms);
        findings.extend(machine::datadir(path, is_running, config.min_free_bytes, interval_ms));
    }
    findings.push(machine::open_files(config));
    findings.extend(clock::examine(params.as_ref(), against));
    findings.extend(reach::ports(config, is_running));
    findings.extend(reach::bootnodes(config));
    findings
}

/// The genesis that a node with this configuration would have.
fn genesis(config: &Config) -> Result<GivenGenesis, Failure> {
    match &config.genesis {
        GenesisChoice::Solo => Ok(GivenGenesis::built_in(dev::genesis(), "--dev")),
        GenesisChoice::File(path) => GivenGenesis::read(path),
        GenesisChoice::Stored => {
            let path = config.datadir.as_deref().unwrap_or(Path::new(".")).join(datadir::GENESIS_FILE);
            GivenGenesis::read(&path)
        }
    }
}

/// Whether the miner's key is there and safe, where the node is to mine.
fn mining(config: &Config, network: Option<String>) -> Option<Finding> {
    let mining = config.mining.as_ref()?;
    Some(match mining.key.load(&network.unwrap_or_default()) {
        Ok(key) => Finding::ok("miner key", key.public_key().to_string()),
        Err(error) => Finding::fail(
            "miner key",
            error.to_string(),
            "give --miner-key the file of a registered miner's key",
        ),
    })
}

fn as_text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { check, verdict, found, advice } in findings {
        writeln!(text, "{verdict:<5} {check:<12} {found}").expect("a string takes all");
        if let Some(advice) = advice {
            writeln!(text, "{:<18} -> {advice}", "").expect("a string takes all");
        }
    }
    text
}

fn as_json(findings: &[Finding]) -> String {
    let worst = findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok);
    json!({ "verdict": worst, "checks": findings }).to_string() + "\n"
}
