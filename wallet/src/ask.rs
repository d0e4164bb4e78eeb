//! Whoever sits at the terminal: told things, asked things, or not there.
//!
//! Somebody is there if standard input and standard error are both a terminal: questions go to the one and answers
//! come from the other, and standard output stays data. [`Person`] is the seam that tests answer through.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, Result, bail, ensure};
use printsy_keys::SecretString;

/// The longest line that is read from a person, in bytes.
const MAX_LINE_BYTES: u64 = 4096;

/// Somebody who can be asked, or nobody.
pub trait Person {
    /// Whether there is anybody to ask.
    fn is_there(&self) -> bool;

    /// Says something.
    fn tell(&mut self, text: &str);

    /// Asks for a line.
    ///
    /// # Errors
    /// If there is nobody, or they went away.
    fn ask(&mut self, question: &str) -> Result<String>;

    /// Asks for a line that is not shown while it is typed.
    ///
    /// # Errors
    /// If there is nobody, or they went away.
    fn ask_secret(&mut self, question: &str) -> Result<SecretString>;
}

/// The terminal of this process.
#[derive(Clone, Copy, Debug)]
pub struct Terminal;

impl Person for Terminal {
    fn is_there(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    fn tell(&mut self, text: &str) {
        eprintln!("{text}");
    }

    fn ask(&mut self, question: &str) -> Result<String> {
        ensure!(self.is_there(), "there is no terminal to ask: {question}");
        eprint!("{question}");
        io::stderr().flush()?;
        let mut line = String::new();
        let length = io::Read::take(io::stdin().lock(), MAX_LINE_BYTES).read_line(&mut line)?;
        ensure!(length > 0, "no answer");
        Ok(line.trim().to_owned())
    }

    fn ask_secret(&mut self, question: &str) -> Result<SecretString> {
        ensure!(self.is_there(), "there is no terminal to ask: {question}");
        eprint!("{question}");
        io::stderr().flush()?;
        Ok(rpassword::read_password().context("cannot read from the terminal")?.into())
    }
}

/// Has what is about to happen confirmed.
///
/// With a person there, they are told `summary` and asked, but with `yes`. With nobody there `yes` is needed, but where
/// there is nothing to lose: keys that everybody has guard nothing.
///
/// # Errors
/// A sentence, if it is not confirmed.
pub fn confirm(
    person: &mut dyn Person,
    summary: &str,
    question: &str,
    (yes, nothing_to_lose): (bool, bool),
) -> Result<()> {
    if !person.is_there() {
        ensure!(
            yes || nothing_to_lose,
            "nothing was done: it needs a confirmation, and standard input is no terminal; add --yes to do it without asking"
        );
        return Ok(());
    }
    person.tell(summary);
    if yes {
        return Ok(());
    }
    match person.ask(&format!("{question} [y/N] "))?.to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => bail!("nothing was done"),
    }
}
