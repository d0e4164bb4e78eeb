//! `printsy keys ...`: keys are made, taken over, shown, watched, changed and removed, on this machine alone.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use printsy_consensus::PublicKey;
use printsy_keys::{
    Cost, ExposeSecret, KeyEntry, KeyFile, KeyPath, Keyring, Keystore, SecretString, Words, check_name,
};
use printsy_rpc::Address;
use rand::TryRng;
use rand::rngs::SysRng;
use serde::Serialize;

use crate::answer::Answer;
use crate::ask::{Person, confirm};
use crate::cli::{Cli, KeysCommand, NewKey, PasswordFrom};
use crate::clock::now_ms;
use crate::offline::read_text;
use crate::password;

/// How many of their words a person is asked to write once more: enough to see that they were written down.
const WORDS_ASKED: usize = 3;
/// How often one may be mistyped.
const TRIES: usize = 3;

/// A key as it is told: nothing of it is secret.
#[derive(Serialize)]
struct KeyInfo {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Address>,
    path: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    protection: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    derivation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl KeyInfo {
    fn of(name: &str, path: PathBuf, file: &KeyFile) -> Self {
        let (protection, keystore) = match file {
            KeyFile::Plain(_) => ("none", None),
            KeyFile::Keystore(keystore) if keystore.is_watch_only() => ("watchOnly", Some(keystore)),
            KeyFile::Keystore(keystore) => ("password", Some(keystore)),
        };
        Self {
            name: name.to_owned(),
            address: Some(Address(file.address())),
            path,
            protection: Some(protection),
            derivation: keystore.and_then(Keystore::path).map(|path| path.to_string()),
            created: keystore.map(Keystore::created),
            error: None,
        }
    }

    /// What a person is told behind the address.
    fn remark(&self) -> &'static str {
        match self.protection {
            Some("none") => "  (no password)",
            Some("watchOnly") => "  (watched)",
            _ => "",
        }
    }
}

/// One command about keys, with all it may use.
struct Keys<'a> {
    ring: &'a Keyring,
    password_file: Option<&'a PasswordFrom>,
    yes: bool,
    cost: Cost,
    person: &'a mut dyn Person,
}

/// Carries out `printsy keys ...` in `ring`. A password costs a guesser `cost`.
///
/// # Errors
/// What the ring says; a sentence where a person is needed and not there.
pub fn keys(
    cli: &Cli,
    command: &KeysCommand,
    ring: &Keyring,
    cost: Cost,
    person: &mut dyn Person,
) -> Result<Answer> {
    let mut keys = Keys { ring, password_file: cli.password_file.as_ref(), yes: cli.yes, cost, person };
    match command {
        KeysCommand::New(new) if new.plain => keys.new_plain(&new.name),
        KeysCommand::New(new) => keys.new_key(new),
        KeysCommand::List => list(ring.list()?, ring),
        KeysCommand::Show { name } => show(ring, name),
        KeysCommand::Import { name, from } => keys.import(name, from),
        KeysCommand::Restore { name, words_file, account, index } => {
            keys.restore(name, words_file.as_deref(), KeyPath::new(*account, *index)?)
        }
        KeysCommand::Words { name } => keys.words(name),
        KeysCommand::Watch { name, address } => {
            keys.must_be_free(name)?;
            let path = ring.keep(&Keystore::watch_only(name, now_ms(), *address)?)?;
            kept(ring, name, path)
        }
        KeysCommand::Passwd { name, new_password_file } => keys.passwd(name, new_password_file.as_ref()),
        KeysCommand::Remove { name } => keys.remove(name),
    }
}

impl Keys<'_> {
    fn new_plain(&self, name: &str) -> Result<Answer> {
        let (_, path) = self.ring.create_plain(name)?;
        Ok(kept(self.ring, name, path)?
            .note("whoever has this file has the key; keep a copy safe".to_owned()))
    }

    /// Words are shown before the key is kept, and asked for again: a key whose words were lost on the way to the
    /// paper is never kept.
    fn new_key(&mut self, new: &NewKey) -> Result<Answer> {
        self.must_be_free(&new.name)?;
        if !self.person.is_there() && self.password_file.is_none() {
            bail!(
                "a new key needs a password, and standard input is no terminal to ask for it; give --password-file FILE (or - for standard input), or --plain for a key that its file's mode alone protects"
            );
        }
        let password = self.choose(&new.name)?;
        let words = Words::generate(new.words.into())?;
        if self.person.is_there() {
            self.show_words(&words);
            self.ask_words_back(&words)?;
        }
        let answer = self.keep_words(&new.name, &words, KeyPath::default(), &password)?;
        let note = if self.person.is_there() {
            "its words are the key: they, or the file and its password, bring it back, and nothing else does"
                .to_owned()
        } else {
            format!(
                "its words were not shown: see them with `printsy keys words {}`, and write them down",
                new.name
            )
        };
        Ok(answer.note(note))
    }

    fn show_words(&mut self, words: &Words) {
        self.person.tell(
            "\nThese words are your key. Write them down on paper, in this order, and show them to nobody:\n",
        );
        for (at, word) in words.iter().enumerate() {
            self.person.tell(&format!("  {:>2}  {word}", at + 1));
        }
        self.person.tell("\nThey are shown this once. Now from your paper:");
    }

    fn ask_words_back(&mut self, words: &Words) -> Result<()> {
        let words: Vec<&str> = words.iter().collect();
        for at in some_of(words.len(), WORDS_ASKED)? {
            let mut tries = 1;
            while !self.person.ask(&format!("word {}: ", at + 1))?.eq_ignore_ascii_case(words[at]) {
                ensure!(tries < TRIES, "that is not word {}: nothing was kept, so begin again", at + 1);
                self.person.tell("no, look again");
                tries += 1;
            }
        }
        Ok(())
    }

    fn keep_words(
        &self,
        name: &str,
        words: &Words,
        path: KeyPath,
        password: &SecretString,
    ) -> Result<Answer> {
        let keystore = Keystore::with_words(name, now_ms(), (words, path), password, self.cost)?;
        let path = self.ring.keep(&keystore)?;
        kept(self.ring, name, path)
    }

    fn import(&mut self, name: &str, from: &Path) -> Result<Answer> {
        self.must_be_free(name)?;
        let keystore = match KeyFile::read(from)? {
            KeyFile::Plain(key) => {
                let password = self.choose(name)?;
                Keystore::with_secret(name, now_ms(), &key, &password, self.cost)?
            }
            KeyFile::Keystore(keystore) if keystore.is_watch_only() => {
                Keystore::watch_only(name, keystore.created(), keystore.address())?
            }
            KeyFile::Keystore(keystore) => {
                let (opened, password) = password::open_with(&keystore, self.password_file, self.person)?;
                let created = keystore.created();
                match opened.words {
                    Some((words, path)) => {
                        Keystore::with_words(name, created, (&words, path), &password, self.cost)?
                    }
                    None => Keystore::with_secret(name, created, &opened.key, &password, self.cost)?,
                }
            }
        };
        let path = self.ring.keep(&keystore)?;
        let note = format!("{} is still there: remove it if nobody else uses it", from.display());
        Ok(kept(self.ring, name, path)?.note(note))
    }

    fn restore(&mut self, name: &str, from: Option<&Path>, path: KeyPath) -> Result<Answer> {
        self.must_be_free(name)?;
        let words = match from {
            Some(from) => Words::parse(&zeroize::Zeroizing::new(read_text(from)?))?,
            None => {
                ensure!(
                    self.person.is_there(),
                    "standard input is no terminal to ask for the words; give --words-file FILE, or --words-file - for standard input"
                );
                let typed =
                    self.person.ask_secret("the words, with a space between (they are not shown): ")?;
                Words::parse(typed.expose_secret())?
            }
        };
        let address = words.key(path)?.public_key();
        if self.person.is_there() {
            self.person.tell(&format!("these words make {address}"));
        }
        let password = self.choose(name)?;
        self.keep_words(name, &words, path, &password)
    }

    fn words(&mut self, name: &str) -> Result<Answer> {
        let KeyFile::Keystore(keystore) = self.ring.read(name)? else {
            bail!("{name} has no words: it is a plain file, so copy that");
        };
        confirm(
            self.person,
            &format!("the words of {name} will be shown on this screen: whoever sees them has the key"),
            "show them?",
            (self.yes, false),
        )?;
        let opened = password::open(&keystore, self.password_file, self.person)?;
        let (words, path) =
            opened.words.with_context(|| format!("{name} was not made from words: copy its file"))?;
        let json =
            serde_json::json!({ "name": name, "words": *words.text(), "derivation": path.to_string() });
        Answer::new((*words.text()).clone(), &json)
    }

    fn passwd(&mut self, name: &str, new: Option<&PasswordFrom>) -> Result<Answer> {
        let KeyFile::Keystore(keystore) = self.ring.read(name)? else {
            bail!(
                "{name} has no password: it is a plain file; `printsy keys import` makes a key with a password of it"
            );
        };
        let (_, old) = password::open_with(&keystore, self.password_file, self.person)?;
        let new = password::choose(name, new, self.person, "--new-password-file")?;
        let path = self.ring.replace(&keystore.with_password(&old, &new, self.cost)?)?;
        let note = "copies of the file from before open with the old password still".to_owned();
        Ok(kept(self.ring, name, path)?.note(note))
    }

    fn remove(&mut self, name: &str) -> Result<Answer> {
        let path = self.ring.path(name);
        // A file that cannot be read may be removed too: whoever asks for it knows its name.
        let what = match self.ring.read(name) {
            Ok(file) if file.is_locked() => format!("{name} ({}), a key", file.address()),
            Ok(KeyFile::Plain(key)) => format!("{name} ({}), a key without a password", key.public_key()),
            Ok(file) => format!("{name} ({}), an address to watch", file.address()),
            Err(error) => format!("{name} ({error})"),
        };
        let summary =
            format!("remove {what}: its words or a copy of its file bring it back, and nothing else does");
        confirm(self.person, &summary, "remove it?", (self.yes, false))?;
        self.ring.remove(name)?;
        Answer::new(format!("removed {name}"), &serde_json::json!({ "name": name, "path": path }))
    }

    fn choose(&mut self, name: &str) -> Result<SecretString> {
        password::choose(name, self.password_file, self.person, "--password-file")
    }

    /// Whether a name can be given away, before a person writes words down for it.
    fn must_be_free(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let path = self.ring.path(name);
        ensure!(
            path.symlink_metadata().is_err(),
            "{} is there already, and a key is never overwritten; choose another name",
            path.display()
        );
        Ok(())
    }
}

/// Some different numbers below `of`, ascending.
fn some_of(of: usize, count: usize) -> Result<Vec<usize>> {
    let mut chosen = Vec::new();
    while chosen.len() < count.min(of) {
        let mut random = [0; 8];
        SysRng.try_fill_bytes(&mut random).context("the system gave no random bytes")?;
        // Below `of`, which is 24 at the most: the bias of the remainder is nothing.
        let at = usize::try_from(u64::from_le_bytes(random) % u64::try_from(of)?)?;
        if !chosen.contains(&at) {
            chosen.push(at);
        }
    }
    chosen.sort_unstable();
    Ok(chosen)
}

/// The answer about a key that was just kept.
fn kept(ring: &Keyring, name: &str, path: PathBuf) -> Result<Answer> {
    let info = KeyInfo::of(name, path, &ring.read(name)?);
    let address = info.address.context("a key that can be read has an address")?;
    let text = format!("{name}  {address}{}", info.remark());
    Ok(Answer::new(text, &info)?.note(format!("kept in {}", info.path.display())))
}

fn show(ring: &Keyring, name: &str) -> Result<Answer> {
    let info = KeyInfo::of(name, ring.path(name), &ring.read(name)?);
    let address: PublicKey = info.address.context("a key that can be read has an address")?.0;
    let mut text = format!("name        {name}\naddress     {address}\nfile        {}", info.path.display());
    let protected = match info.protection {
        Some("none") => "by its file's mode alone",
        Some("watchOnly") => "no key: an address to watch",
        _ => "by a password",
    };
    text.push_str(&format!("\nprotected   {protected}"));
    if let Some(derivation) = &info.derivation {
        text.push_str(&format!("\nderivation  {derivation}"));
    }
    if let Some(created) = info.created {
        text.push_str(&format!("\ncreated     {}", crate::tell::date(created)));
    }
    Answer::new(text, &info)
}

fn list(entries: Vec<KeyEntry>, ring: &Keyring) -> Result<Answer> {
    let width = entries.iter().map(|entry| entry.name.len()).max().unwrap_or_default();
    let (mut lines, mut notes, mut infos) = (Vec::new(), Vec::new(), Vec::new());
    for KeyEntry { name, path, key } in entries {
        match key {
            Ok(file) => {
                let info = KeyInfo::of(&name, path, &file);
                lines.push(format!("{name:width$}  {}{}", file.address(), info.remark()));
                infos.push(info);
            }
            Err(error) => {
                notes.push(error.to_string());
                let error = Some(error.to_string());
                infos.push(KeyInfo {
                    name,
                    address: None,
                    path,
                    protection: None,
                    derivation: None,
                    created: None,
                    error,
                });
            }
        }
    }
    if infos.is_empty() {
        notes.push(format!("no keys in {}; make one with `printsy keys new NAME`", ring.folder().display()));
    }
    Ok(Answer { notes, ..Answer::new(lines.join("\n"), &infos)? })
}
