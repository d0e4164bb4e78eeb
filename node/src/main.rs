//! `printsyd`: the program of one node. All of it is in the library; this is the way in and the way out.
//!
//! Exit codes and their meaning: `exit`. Options: `cli` and `config`.

use std::process::ExitCode;

use clap::Parser;
use printsy_node::cli::{Cli, execute};

fn main() -> ExitCode {
    match execute(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
