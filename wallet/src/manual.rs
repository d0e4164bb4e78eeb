//! What the program says of itself: manual pages for `man`, completions for shells. Both are made from the command line as
//! it is, so that they cannot fall behind it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

use crate::answer::Answer;
use crate::cli::Cli;

/// `printsy man`.
#[derive(Clone, Debug, Args)]
pub struct ManArgs {
    /// Where to put them, one file for the program and one for each command; made where it is not there.
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
}

/// `printsy completions`.
#[derive(Clone, Debug, Args)]
pub struct CompletionsArgs {
    /// Which shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Writes the manual pages.
///
/// # Errors
/// Where the folder cannot be written.
pub fn man(args: &ManArgs) -> Result<Answer> {
    let folder = args.to.display();
    fs::create_dir_all(&args.to).with_context(|| format!("cannot make {folder}"))?;
    // The pages of `help` say nothing that the others do not.
    let command: Command = Cli::command().disable_help_subcommand(true);
    clap_mangen::generate_to(command, &args.to).with_context(|| format!("cannot write to {folder}"))?;
    Ok(Answer::nothing())
}

/// The completions for a shell.
///
/// # Errors
/// Never: a script is text.
pub fn completions(args: &CompletionsArgs) -> Result<Answer> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "printsy", &mut script);
    let script = String::from_utf8(script).context("the script is no text")?;
    Answer::new(script.trim_end().to_owned(), &script)
}
