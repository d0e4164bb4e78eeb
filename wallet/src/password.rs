//! Passwords: from a file, a line of standard input or the terminal, and from nowhere else.
//!
//! An argument can be read by every program of the machine, and the environment by every child: a variable that looks
//! like a password of ours is refused, so that nobody believes it is heard.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use printsy_keys::{ExposeSecret, KeyError, Keystore, MAX_PASSWORD_BYTES, Opened, SecretString};

use crate::ask::Person;
use crate::cli::PasswordFrom;

/// How often a person may mistype.
const TRIES: usize = 3;
/// Passwords shorter than this are taken, with a word about it.
const SHORT_CHARS: usize = 8;

/// What a variable's name must not hold after `PRINTSY_`.
const FORBIDDEN: [&str; 5] = ["PASSWORD", "PASSPHRASE", "SECRET", "MNEMONIC", "WORDS"];

/// The first of these variables that looks like a secret of ours.
pub fn forbidden_variable(names: impl Iterator<Item = String>) -> Option<String> {
    let mut ours = names.filter(|name| {
        let upper = name.to_uppercase();
        upper.starts_with("PRINTSY_") && FORBIDDEN.iter().any(|word| upper.contains(word))
    });
    ours.next()
}

/// The password that `from` holds.
///
/// # Errors
/// A sentence that never holds what was read.
pub fn given(from: &PasswordFrom) -> Result<SecretString> {
    let line = match from {
        PasswordFrom::File(path) => only_line(path, MAX_PASSWORD_BYTES)?,
        PasswordFrom::Input => next_line(&mut io::stdin().lock(), MAX_PASSWORD_BYTES)?,
    };
    ensure!(!line.expose_secret().is_empty(), "the password is empty");
    Ok(line)
}

/// The one line of a file.
fn only_line(path: &Path, most: usize) -> Result<SecretString> {
    let read = || format!("cannot read the password in {}", path.display());
    let mut reader = BufReader::new(File::open(path).with_context(read)?);
    let line = next_line(&mut reader, most).with_context(read)?;
    let rest = reader.take(1).read_to_end(&mut Vec::new()).with_context(read)?;
    ensure!(rest == 0, "{} has more than one line, and a password is one", path.display());
    Ok(line)
}

/// The next line, without its end.
fn next_line(reader: &mut impl BufRead, most: usize) -> Result<SecretString> {
    // A line's end of two bytes, and one more that tells that there is more.
    let limit = u64::try_from(most + 3)?;
    let mut line = zeroize::Zeroizing::new(String::with_capacity(most + 3));
    let read = reader.take(limit).read_line(&mut line);
    match read {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => bail!("it is not text"),
        other => other?,
    };
    let text = line.strip_suffix('\n').unwrap_or(&line);
    let text = text.strip_suffix('\r').unwrap_or(text);
    ensure!(text.len() <= most, "it is longer than {most} bytes");
    Ok(text.to_owned().into())
}

/// Opens a key with the password that `from` holds, or that a person types.
///
/// # Errors
/// What the keystore says; a sentence if there is nobody to ask.
pub fn open(keystore: &Keystore, from: Option<&PasswordFrom>, person: &mut dyn Person) -> Result<Opened> {
    open_with(keystore, from, person).map(|(opened, _)| opened)
}

/// The same, with the password that opened it.
///
/// # Errors
/// As [`open`].
pub fn open_with(
    keystore: &Keystore,
    from: Option<&PasswordFrom>,
    person: &mut dyn Person,
) -> Result<(Opened, SecretString)> {
    let name = keystore.name();
    if keystore.is_watch_only() {
        return Err(KeyError::WatchOnlyName { name: name.to_owned() }.into());
    }
    if let Some(from) = from {
        let password = given(from)?;
        return Ok((keystore.open(&password)?, password));
    }
    ensure!(
        person.is_there(),
        "{name} is protected by a password, and standard input is no terminal to ask for it; give --password-file FILE, or --password-file - for standard input"
    );
    let mut tries = 1;
    loop {
        let password = person.ask_secret(&format!("password of {name}: "))?;
        match keystore.open(&password) {
            Err(error @ KeyError::WrongPassword { .. }) if tries < TRIES => {
                person.tell(&format!("{error}; once more"));
                tries += 1;
            }
            other => return Ok((other?, password)),
        }
    }
}

/// A password for a key: what `from` holds, or what a person types twice.
///
/// # Errors
/// A sentence if it is empty, or there is nobody to ask.
pub fn choose(
    name: &str,
    from: Option<&PasswordFrom>,
    person: &mut dyn Person,
    option: &str,
) -> Result<SecretString> {
    if let Some(from) = from {
        return given(from);
    }
    ensure!(
        person.is_there(),
        "{name} needs a new password, and standard input is no terminal to ask for it; give {option} FILE, or {option} - for standard input"
    );
    for _ in 0..TRIES {
        let password = person.ask_secret(&format!("new password for {name}: "))?;
        if password.expose_secret().is_empty() {
            person.tell("a password is not empty; once more");
            continue;
        }
        let again = person.ask_secret("the same once more: ")?;
        if again.expose_secret() != password.expose_secret() {
            person.tell("they differ; once more");
            continue;
        }
        if password.expose_secret().chars().count() < SHORT_CHARS {
            person.tell(
                "that is short: whoever has the file can try many passwords; four words or more are better",
            );
        }
        return Ok(password);
    }
    bail!("no password was chosen, and nothing was kept")
}
