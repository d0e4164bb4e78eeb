//! `printsy`: the wallet and client of any node.
//!
//! Data on standard output, everything else on standard error. Exit codes: 0 done; 1 refused or failed, and nothing is
//! under way (the sentence says why and what to do); 2 the command line was not understood, or a secret stands in the
//! environment; 3 an order was sent and is not as far as was asked: it may still happen.
#![allow(clippy::print_stdout, reason = "a program: its answer goes to standard output")]

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use printsy_rpc::ClientError;
use printsy_wallet::answer::{Answer, MayBeUnderWay, Outcome};
use printsy_wallet::ask::Terminal;
use printsy_wallet::cli::Cli;
use printsy_wallet::password::forbidden_variable;
use printsy_wallet::run::run;
use printsy_wallet::tell;
use printsy_wallet::watch::Lines;
use serde_json::{Value, json};

/// The exit code of a command line that was not understood, as clap has it.
const USAGE: u8 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    if let Some(name) = forbidden_variable(names) {
        eprintln!(
            "printsy: {name} is set, and a secret in the environment can be read by other programs; unset it, and \
             give --password-file PATH, or - for standard input"
        );
        return ExitCode::from(USAGE);
    }
    let cli = Cli::from_arguments();
    match run(&cli, &mut Terminal, &mut Output { json: cli.json }).await {
        Ok(answer) => match write_answer(&answer, cli.json) {
            Ok(()) => ExitCode::from(answer.outcome.code()),
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            write_error(&error, cli.json);
            let is_open = error.downcast_ref::<MayBeUnderWay>().is_some();
            ExitCode::from(if is_open { Outcome::Open.code() } else { Outcome::Refused.code() })
        }
    }
}

/// The answer on standard output, its notes on standard error.
fn write_answer(answer: &Answer, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json && !answer.json.is_null() {
        writeln!(out, "{}", answer.json)?;
    } else if !json && !answer.text.is_empty() {
        writeln!(out, "{}", answer.text)?;
    }
    out.flush()?;
    for note in &answer.notes {
        eprintln!("printsy: {}", tell::plain(note));
    }
    Ok(())
}

/// The lines of `watch`, each on its way at once.
struct Output {
    json: bool,
}

impl Lines for Output {
    fn line(&mut self, text: &str, json: &Value) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{json}")?;
        } else {
            writeln!(out, "{text}")?;
        }
        Ok(out.flush()?)
    }

    fn note(&mut self, text: &str) {
        eprintln!("printsy: {}", tell::plain(text));
    }
}

/// One line on standard error: a sentence, or with `--json` an object with the node's own error in it.
fn write_error(error: &anyhow::Error, json: bool) {
    let refusal = match error.downcast_ref() {
        Some(ClientError::Refused(refusal)) => Some(refusal),
        _ => None,
    };
    let message = refusal.map_or_else(|| format!("{error:#}"), tell::refusal);
    if json {
        let object = match (refusal, error.downcast_ref::<MayBeUnderWay>()) {
            (Some(refusal), _) => json!(refusal),
            // With its id, which a script has nowhere else from.
            (None, Some(MayBeUnderWay { txid, expires_at })) => {
                json!({ "message": message, "txId": txid.to_string(), "expiresAt": expires_at })
            }
            (None, None) => json!({ "message": message }),
        };
        eprintln!("{}", json!({ "error": object }));
    } else {
        eprintln!("printsy: {}", tell::plain(&message));
    }
}
