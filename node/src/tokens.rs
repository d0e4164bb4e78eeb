//! Who may call the RPC: the cookie of one run, and lasting tokens with what each is good for.
//!
//! A secret is 256 random bits, written as 64 hex digits. Of a token only its hash is kept, in `rpc.tokens` of the
//! datadir, so that whoever reads that file can call nothing; the secret is shown once, when it is made. Secrets of this
//! length need no slow hash. The cookie is a file that only the node's own user can read, and is another one at every start.
//! `printsyd tokens` writes the file, a running node reads it again within a second.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use printsy_consensus::{Hash, sha256d};
use printsy_rpc::Scope;
use rand::TryRng;
use rand::rngs::SysRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::datadir::{read_bounded, write_file};
use crate::exit::Failure;

/// The cookie's name in a datadir.
pub const COOKIE_FILE: &str = "rpc.cookie";
/// The tokens' name in a datadir.
pub const TOKENS_FILE: &str = "rpc.tokens";

/// The most tokens: each is looked at for each call that brings one.
pub const MAX_TOKENS: usize = 1_000;
/// The most bytes of the file: as many lines of the longest names, and comments.
const MAX_TOKENS_BYTES: u64 = 256 << 10;
/// How a new file begins.
const HEAD: &str = "# Tokens for the RPC, made by `printsyd tokens`: name, scopes, hash.\n";
/// The longest name of a token.
const MAX_NAME_CHARS: usize = 64;

/// What a caller shows to be let in. It appears in no log.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// A new one, from the system's randomness.
    ///
    /// # Errors
    /// Where the system has none.
    pub fn generate() -> Result<Self, Failure> {
        let mut bytes = Zeroizing::new([0; 32]);
        let filled = SysRng.try_fill_bytes(bytes.as_mut());
        filled.map_err(|error| {
            Failure::Runtime(format!("the system gave no random bytes for a token: {error}"))
        })?;
        Ok(Self(bytes))
    }

    /// The secret that these 64 hex digits are.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text, bytes.as_mut()).ok()?;
        Some(Self(bytes))
    }

    /// The 64 hex digits: for who is to have it, and nobody else.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.0.as_ref()))
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(sha256d(self.0.as_ref()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// The hash of a secret. Two are compared in constant time.
#[derive(Clone, Copy, Debug)]
pub struct TokenHash(Hash);

impl TokenHash {
    /// Whether it is the hash of the same secret.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.0.ct_eq(&other.0.0).into()
    }
}

/// A lasting token.
#[derive(Clone, Debug)]
pub struct Token {
    /// What people call it.
    pub name: String,
    /// What it is good for.
    pub scopes: BTreeSet<Scope>,
    hash: TokenHash,
}

/// The lasting tokens of a datadir.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Vec<Token>);

impl Tokens {
    /// Reads the file in a datadir; none where there is no file.
    ///
    /// # Errors
    /// Exit code 3 where a line is no token, or others than the owner may write the file.
    pub fn load(datadir: &Path) -> Result<Self, Failure> {
        let path = datadir.join(TOKENS_FILE);
        let failed = |error: io::Error| Failure::io("read", &path, &error);
        let mode = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed(error)),
            Ok(metadata) => metadata.permissions().mode() & 0o7777,
        };
        if mode & 0o022 != 0 {
            return Err(Failure::Config(format!(
                "others may write {0} (mode {mode:04o}), and so let themselves in; run `chmod 600 {0}`",
                path.display()
            )));
        }
        Self::parse(&read_bounded(&path, MAX_TOKENS_BYTES).map_err(failed)?)
            .map_err(|why| Failure::Config(format!("{}:{why}", path.display())))
    }

    /// Changes the file in a datadir: read, changed and put in its place while no other change is under way.
    ///
    /// # Errors
    /// As [`Tokens::load`], [`Tokens::save`], and what `change` says; the file is then what it was.
    pub fn change<T>(
        datadir: &Path,
        change: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        // The folder, for the file is another one after each change. Closing it gives the lock back.
        let locked = File::open(datadir).and_then(|folder| folder.lock().map(|()| folder));
        let _locked = locked.map_err(|error| Failure::io("lock", datadir, &error))?;
        let mut tokens = Self::load(datadir)?;
        let answer = change(&mut tokens)?;
        tokens.save(datadir)?;
        Ok(answer)
    }

    /// Reads the file's text: a token a line, its name, its scopes and its hash; `#` begins a comment.
    fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Self::default();
        for (line, number) in text.lines().zip(1..) {
            let line = without_comment(line);
            if line.is_empty() {
                continue;
            }
            let token = Token::parse(line).map_err(|why| format!("{number}: {why}"))?;
            tokens.add(token).map_err(|why| format!("{number}: {why}"))?;
        }
        Ok(tokens)
    }

    /// Puts the file in its place, for its owner alone. What stands there of tokens that are still there, and comments, stays.
    ///
    /// # Errors
    /// Where the disk refuses; the file is then what it was.
    pub fn save(&self, datadir: &Path) -> Result<(), Failure> {
        let path = datadir.join(TOKENS_FILE);
        let before = match read_bounded(&path, MAX_TOKENS_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => HEAD.to_owned(),
            read => read.map_err(|error| Failure::io("read", &path, &error))?,
        };
        write_file(datadir, TOKENS_FILE, self.rewrite(&before).as_bytes(), 0o600)
    }

    /// The file's text: that of before without the lines of tokens that are gone, and with those of new ones.
    fn rewrite(&self, before: &str) -> String {
        let is_there = |token: &Token| self.0.iter().any(|other| other.hash.is(&token.hash));
        let (mut text, mut told) = (String::new(), Self::default());
        for line in before.lines() {
            let token = Token::parse(without_comment(line)).ok();
            if token.as_ref().is_none_or(is_there) {
                text += &format!("{line}\n");
            }
            told.0.extend(token);
        }
        for token @ Token { name, scopes, hash } in &self.0 {
            if told.find(&token.hash).is_none() {
                text += &format!("{name} {} {}\n", scope_list(scopes), hash.0);
            }
        }
        text
    }

    /// Makes a token, and answers the secret that is shown once.
    ///
    /// # Errors
    /// A sentence for a bad name, a name that is taken, no scope, or too many tokens; or no randomness.
    pub fn create(&mut self, name: &str, scopes: BTreeSet<Scope>) -> Result<Secret, Failure> {
        let secret = Secret::generate()?;
        let hash = secret.hash();
        check_name(name)
            .and_then(|()| self.add(Token { name: name.to_owned(), scopes, hash }))
            .map_err(Failure::Usage)?;
        Ok(secret)
    }

    fn add(&mut self, token: Token) -> Result<(), String> {
        if token.scopes.is_empty() {
            return Err("a token is good for at least one of read, submit, mine and admin".to_owned());
        }
        if self.0.iter().any(|other| other.name == token.name) {
            return Err(format!("there is a token named {}", token.name));
        }
        if self.0.len() >= MAX_TOKENS {
            return Err(format!("there are {MAX_TOKENS} tokens, as many as there may be"));
        }
        self.0.push(token);
        Ok(())
    }

    /// Takes a token away; whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|token| token.name != name);
        self.0.len() < before
    }

    /// The token with this hash. All are looked at, whichever it is.
    #[must_use]
    pub fn find(&self, hash: &TokenHash) -> Option<&Token> {
        self.0.iter().fold(None, |found, token| if token.hash.is(hash) { Some(token) } else { found })
    }

    /// All tokens.
    pub fn iter(&self) -> impl Iterator<Item = &Token> {
        self.0.iter()
    }
}

impl Token {
    fn parse(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        let (Some(name), Some(scopes), Some(hash), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err("expected a name, scopes and a hash".to_owned());
        };
        check_name(name)?;
        let hash = hash.parse().map_err(|_| "expected a hash of 64 lower-case hex digits".to_owned())?;
        Ok(Self { name: name.to_owned(), scopes: parse_scopes(scopes)?, hash: TokenHash(hash) })
    }
}

fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
}

/// Scopes as they are written: separated by commas.
///
/// # Errors
/// A sentence that names the scopes there are.
pub fn parse_scopes(text: &str) -> Result<BTreeSet<Scope>, String> {
    text.split(',').map(|scope| scope.trim().parse()).collect()
}

/// Scopes as they are written.
#[must_use]
pub fn scope_list(scopes: &BTreeSet<Scope>) -> String {
    scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(",")
}

fn check_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=MAX_NAME_CHARS).contains(&name.len()) && name.chars().all(fits) {
        Ok(())
    } else {
        Err(format!("a token's name is 1 to {MAX_NAME_CHARS} letters, digits, dots, dashes and underscores"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_by_its_hash_and_shown_by_nothing() {
        let mut tokens = Tokens::default();
        let shop = tokens.create("shop", parse_scopes("submit,read").unwrap()).unwrap();
        let miner = tokens.create("miner-1", parse_scopes("mine").unwrap()).unwrap();
        assert_eq!(tokens.find(&shop.hash()).unwrap().name, "shop");
        assert_eq!(tokens.find(&miner.hash()).unwrap().name, "miner-1");
        assert!(tokens.find(&Secret::generate().unwrap().hash()).is_none());
        let read = Secret::parse(&shop.reveal()).unwrap();
        assert!(read.hash().is(&shop.hash()));
        assert_eq!(format!("{shop:?}"), "Secret(hidden)");
        assert!(!format!("{tokens:?}").contains(shop.reveal().as_str()));
        assert!(tokens.remove("shop") && !tokens.remove("shop"));
        assert!(tokens.find(&shop.hash()).is_none());
    }

    #[test]
    fn the_file_reads_as_it_was_written_and_holds_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Tokens::load(folder.path()).unwrap().iter().count(), 0);
        let mut tokens = Tokens::default();
        let secret = tokens.create("shop", parse_scopes("read,submit").unwrap()).unwrap();
        tokens.save(folder.path()).unwrap();
        let path = folder.path().join(TOKENS_FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert!(!fs::read_to_string(&path).unwrap().contains(secret.reveal().as_str()));
        let read = Tokens::load(folder.path()).unwrap();
        assert_eq!(scope_list(&read.find(&secret.hash()).unwrap().scopes), "read,submit");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o622)).unwrap();
        assert!(Tokens::load(folder.path()).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn what_somebody_wrote_into_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let create = |name: &str| {
            Tokens::change(folder.path(), |tokens| tokens.create(name, parse_scopes("read").unwrap()))
                .unwrap()
        };
        create("shop");
        let path = folder.path().join(TOKENS_FILE);
        let first = fs::read_to_string(&path).unwrap();
        let by_hand = first.replace("shop read", "\n# The shop's own:\n  shop  read ") + "# the end\n";
        fs::write(&path, by_hand.trim_end().replace("\n# the end", " # of Ann\n# the end")).unwrap();
        create("till");
        let second = fs::read_to_string(&path).unwrap();
        assert!(second.starts_with(HEAD), "{second}");
        let shop = second.lines().find(|line| line.starts_with("  shop  read  ")).unwrap();
        assert!(shop.ends_with(" # of Ann"), "{second}");
        assert_eq!(second.matches("# the end\ntill read ").count(), 1, "{second}");
        Tokens::change(folder.path(), |tokens| Ok(tokens.remove("shop"))).unwrap();
        let third = fs::read_to_string(&path).unwrap();
        assert_eq!(third, second.replace(&format!("{shop}\n"), ""));
        assert_eq!(Tokens::load(folder.path()).unwrap().iter().count(), 1);
    }

    #[test]
    fn a_line_that_is_no_token_is_named() {
        let hash = "ab".repeat(32);
        for (text, line) in [
            ("shop read", "1:"),
            ("\n# a comment\nshop read,write ab", "3:"),
            (&format!("a read {hash}\na read {hash}"), "2: there is"),
            (&format!("a/b read {hash}"), "1: a token's name"),
            (&format!("a read {}", "AB".repeat(32)), "1: expected a hash"),
        ] {
            let error = Tokens::parse(text).unwrap_err();
            assert!(error.starts_with(line), "{error}");
        }
        assert!(Tokens::default().create("a b", parse_scopes("read").unwrap()).is_err());
    }

    #[test]
    fn changes_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let add = &|name: String| {
            let scopes = parse_scopes("read").unwrap();
            Tokens::change(folder.path(), |tokens| tokens.create(&name, scopes)).unwrap();
        };
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || (0..8).for_each(|n| add(format!("t{thread}-{n}"))));
            }
        });
        assert_eq!(Tokens::load(folder.path()).unwrap().iter().count(), 32);
        let refused = Tokens::change(folder.path(), |tokens| {
            tokens.remove("t0-0");
            Err::<(), _>(Failure::Usage("no".to_owned()))
        });
        assert!(refused.is_err());
        assert_eq!(Tokens::load(folder.path()).unwrap().iter().count(), 32, "a refused change is none");
    }
}
