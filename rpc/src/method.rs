//! What a method is: a name, the type of its params, the type of its result; and the one way to read params.
//!
//! JSON-RPC lets a caller give params by name or by position. Each method's params are one strict struct
//! whose fields stand in the order of the positions; derived deserialisation reads both, refuses unknown
//! names by `deny_unknown_fields`, and `serde_json` refuses what follows the last position. Optional params
//! are `Option` with a default, so they may be left out, or be `null`, in both forms.
//!
//! A method's doc comment is its description for callers too (`rpc.discover`, docs/rpc.md): the first paragraph
//! says what it is asked and what it is for.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::error::{RpcError, RpcReason};

/// The most characters of the reader's words that an answer repeats: they quote what the caller wrote.
const MAX_SENTENCE_CHARS: usize = 240;

/// A method of the API. The type itself only carries the description.
pub trait Method: JsonSchema {
    /// The name it is called by.
    const NAME: &'static str;
    /// What a token must allow for it, where one is asked for.
    const SCOPE: Scope;
    /// Our own errors it may answer with, beside `unauthorized` and `rateLimited`, which any method may.
    const ERRORS: &'static [RpcReason];
    /// Params by position that are not simply the named ones in their order: how, for people.
    const POSITIONS: Option<&'static str> = None;
    /// What it is asked.
    type Params: Serialize + DeserializeOwned + JsonSchema;
    /// What it answers.
    type Result: Serialize + DeserializeOwned + JsonSchema;
}

/// What a caller may do. A token names the scopes it is good for; none includes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Ask.
    Read,
    /// Hand in orders.
    Submit,
    /// Ask for templates and hand in blocks.
    Mine,
    /// Change the node itself.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::Read, Self::Submit, Self::Mine, Self::Admin];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Submit => "submit",
            Self::Mine => "mine",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let scope = Self::ALL.into_iter().find(|scope| scope.name() == text);
        scope.ok_or_else(|| "expected read, submit, mine or admin".to_owned())
    }
}

/// The params of a method that has none: absent, `{}` or `[]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}

/// Reads the params of `M` as they came: by name, by position, or absent where all are optional.
///
/// # Errors
/// -32602 with a sentence that names the method and what was expected.
pub fn parse_params<M: Method>(raw: Option<&str>) -> Result<M::Params, RpcError> {
    parse_params_of(M::NAME, raw)
}

/// Reads the params of the method of this name, of whatever kind it is.
///
/// # Errors
/// As [`parse_params`].
pub fn parse_params_of<P: DeserializeOwned>(name: &str, raw: Option<&str>) -> Result<P, RpcError> {
    let raw = raw.unwrap_or("{}").trim();
    let refused = |why: &str| RpcError::invalid_params(format!("params of {name}: {why}"));
    if !raw.starts_with(['{', '[']) {
        return Err(refused("expected an object or an array"));
    }
    serde_json::from_str(raw).map_err(|error| refused(&sentence(&error, raw)))
}

/// The reader's own words without "at line 1 column 7", which say nothing about one line of params;
/// surplus positions, which it calls trailing characters, by their name.
fn sentence(error: &serde_json::Error, raw: &str) -> String {
    let is_json = serde_json::from_str::<IgnoredAny>(raw).is_ok();
    if error.is_syntax() && is_json {
        return "more positions than the method has params".to_owned();
    }
    let text = error.to_string();
    let what = match text.rsplit_once(" at line ") {
        Some((what, _)) if is_json => what,
        _ => &text,
    };
    what.chars().take(MAX_SENTENCE_CHARS).collect()
}
