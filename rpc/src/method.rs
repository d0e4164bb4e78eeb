//! What a method is: a name, the type of its params, the type of its result; and the one way to read params.
//!
//! JSON-RPC lets a caller give params by name or by position. Each method's params are one strict struct
//! whose fields stand in the order of the positions; derived deserialisation reads both, refuses unknown
//! names by `deny_unknown_fields`, and `serde_json` refuses what follows the last position. Optional params
//! are `Option` with a default, so they may be left out, or be `null`, in both forms.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::error::RpcError;

/// The most characters of the reader's words that an answer repeats: they quote what the caller wrote.
const MAX_SENTENCE_CHARS: usize = 240;

/// A method of the API.
pub trait Method {
    /// The name it is called by.
    const NAME: &'static str;
    /// What it is asked.
    type Params: Serialize + DeserializeOwned;
    /// What it answers.
    type Result: Serialize + DeserializeOwned;
}

/// The params of a method that has none: absent, `{}` or `[]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
