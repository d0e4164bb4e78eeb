//! `printsyd tokens`: makes, lists and takes away the lasting tokens of a datadir.
//!
//! Works beside a running node, which reads the file again within a second. The secret of a new token is written to
//! standard output, once; only its hash is kept.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::answer;
use crate::config::Config;
use crate::config::RunArgs;
use crate::exit::Failure;
use crate::tokens::{Tokens, parse_scopes, scope_list};

/// What to do with tokens.
#[derive(Clone, Debug, Args)]
pub struct TokensArgs {
    /// The node's folder.
    #[arg(long, value_name = "FOLDER", global = true)]
    pub datadir: Option<String>,
    /// The configuration; without it, printsyd.toml in the datadir if there is one.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: TokensCommand,
}

/// What to do with tokens.
#[derive(Clone, Debug, Subcommand)]
pub enum TokensCommand {
    /// Make a token, and print it once.
    Add {
        /// What to call it, such as the name of who gets it.
        name: String,
        /// What it is good for, of read, submit, mine and admin.
        #[arg(long, value_name = "SCOPE", value_delimiter = ',', required = true)]
        scope: Vec<String>,
    },
    /// Show the names of all tokens, and what each is good for.
    List,
    /// Take a token away.
    Remove {
        /// Its name.
        name: String,
    },
}

/// Does it.
///
/// # Errors
/// Exit code 2 for a name or a scope that is none, or a name that is taken; 3 for a bad file of tokens.
pub fn tokens(args: &TokensArgs) -> Result<(), Failure> {
    let config = Config::load(&RunArgs {
        datadir: args.datadir.clone(),
        config: args.config.clone(),
        ..RunArgs::default()
    })?;
    let datadir = config.datadir.expect("only `--dev` goes without a datadir");
    if !datadir.is_dir() {
        return Err(Failure::Config(format!(
            "{} is no folder: make it with `printsyd init`",
            datadir.display()
        )));
    }
    match &args.command {
        TokensCommand::Add { name, scope } => {
            let scopes =
                parse_scopes(&scope.join(",")).map_err(|why| Failure::Usage(format!("--scope: {why}")))?;
            let secret = Tokens::change(&datadir, |tokens| tokens.create(name, scopes))?;
            eprintln!("printsyd: this is shown once; give it to {name} alone (Authorization: Bearer TOKEN)");
            answer(&format!("{}\n", *secret.reveal()))
        }
        TokensCommand::List => {
            let tokens = Tokens::load(&datadir)?;
            let lines = tokens.iter().map(|token| format!("{} {}\n", token.name, scope_list(&token.scopes)));
            answer(&lines.collect::<String>())
        }
        TokensCommand::Remove { name } => Tokens::change(&datadir, |tokens| {
            let is_gone = tokens.remove(name);
            is_gone.then_some(()).ok_or_else(|| Failure::Usage(format!("there is no token named {name}")))
        }),
    }
}
