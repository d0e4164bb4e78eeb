//! What the program says of itself: manual pages for `man`, completions for shells. Both are made from the command line as
//! it is, so that they cannot fall behind it.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

use crate::exit::Failure;

/// `printsy-miner man`.
#[derive(Clone, Debug, Args)]
pub struct ManArgs {
    /// Where to put them, one file for the program and one for each command; made where it is not there.
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
}

/// `printsy-miner completions`.
#[derive(Clone, Debug, Args)]
pub struct CompletionsArgs {
    /// Which shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Writes the manual pages of `command`.
///
/// # Errors
/// Where the folder cannot be written.
pub fn man(command: clap::Command, args: &ManArgs) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        Failure::Runtime(format!("cannot write the pages to {}: {error}", args.to.display()))
    };
    fs::create_dir_all(&args.to).map_err(failed)?;
    // The pages of `help` say nothing that the others do not.
    clap_mangen::generate_to(command.disable_help_subcommand(true), &args.to).map_err(failed)
}

/// Writes the completions of `command` for a shell to standard output. A reader who has gone is no failure.
///
/// # Errors
/// Where standard output cannot be written.
pub fn completions(mut command: clap::Command, args: &CompletionsArgs) -> Result<(), Failure> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    let mut out = io::stdout().lock();
    match out.write_all(&script).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Runtime(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
