//! `printsyd`: the program of one node. All of it is in the library; this is the way in and the way out.
//!
//! Exit codes and their meaning: `exit`. Options: `cli` and `config`.

use std::process::ExitCode;

use clap::Parser;
use printsy_node::cli::{Cli, execute};

/// A node runs for months and serves from many threads: the system's allocator keeps what one thread gave back from the
/// others.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match execute(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
