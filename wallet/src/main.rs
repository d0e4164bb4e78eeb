//! `printsy`: the wallet and client of any node.
//!
//! Data on standard output, everything else on standard error. Exit codes: 0 done, 1 refused or not done (the
//! sentence says why and what to do), 2 the command line was not understood.
#![allow(clippy::print_stdout, reason = "a program: its answer goes to standard output")]

use std::io::{self, Write};
use std::process::ExitCode;

use printsy_rpc::ClientError;
use printsy_wallet::cli::Cli;
use printsy_wallet::run::{Answer, run};
use printsy_wallet::tell;
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::from_arguments();
    match run(&cli).await {
        Ok(answer) => match write_answer(&answer, cli.json) {
            Ok(()) if answer.success => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        },
        Err(error) => {
            write_error(&error, cli.json);
            ExitCode::FAILURE
        }
    }
}

/// The answer on standard output, its notes on standard error.
fn write_answer(answer: &Answer, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", answer.json)?;
    } else if !answer.text.is_empty() {
        writeln!(out, "{}", answer.text)?;
    }
    for note in &answer.notes {
        eprintln!("printsy: {note}");
    }
    out.flush()
}

/// One line on standard error: a sentence, or with `--json` an object with the node's own error in it.
fn write_error(error: &anyhow::Error, json: bool) {
    let refusal = match error.downcast_ref() {
        Some(ClientError::Refused(refusal)) => Some(refusal),
        _ => None,
    };
    let message = refusal.map_or_else(|| format!("{error:#}"), tell::refusal);
    if json {
        let object = refusal.map_or_else(|| json!({ "message": message }), |refusal| json!(refusal));
        eprintln!("{}", json!({ "error": object }));
    } else {
        eprintln!("printsy: {message}");
    }
}
