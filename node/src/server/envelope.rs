//! Where jsonrpsee takes what came by POST for something else than it is: judged again, as JSON-RPC 2.0 has it.
//!
//! It looks for the beginning of a call behind 128 blanks at the most; it answers a notification with `null`, takes a call
//! with an id that it does not know for one, and says of a JSON value that is no call that it is no JSON. All of this
//! is rare: what is looked at on the usual way is the size of an answer.

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jsonrpsee::server::{MethodResponse, http::response::from_method_response};
use jsonrpsee::types::{ErrorCode, ErrorObject, Id};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// What jsonrpsee answers to a notification.
const NULL: &str = "null";
/// What jsonrpsee answers to what it cannot read.
const PARSE_ERROR: &str = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}"#;

/// The text without the blanks before it.
pub(super) fn begin(text: Bytes) -> Bytes {
    let blanks = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    text.slice(blanks..)
}

/// The answer to this text as it should be. A text that was not kept, for it is large, is taken for what jsonrpsee took it.
pub(super) async fn amended(response: Response, text: Option<Bytes>) -> Response {
    let size = response.body().size_hint().exact().and_then(|size| usize::try_from(size).ok());
    let Some(size) = size.filter(|size| [NULL.len(), PARSE_ERROR.len()].contains(size)) else {
        return response;
    };
    let (parts, body) = response.into_parts();
    let Ok(said) = to_bytes(body, size).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if said == NULL {
        let has_id = text.as_ref().is_some_and(has_id);
        let sentence = "Invalid request: an id is a string, a whole number from 0 on, or null";
        return if has_id { invalid(sentence) } else { StatusCode::NO_CONTENT.into_response() };
    }
    let is_json = text.is_some_and(|text| serde_json::from_slice::<IgnoredAny>(&text).is_ok());
    if said == PARSE_ERROR && is_json {
        return invalid(ErrorCode::InvalidRequest.message());
    }
    Response::from_parts(parts, Body::from(said))
}

fn invalid(sentence: &'static str) -> Response {
    let error = ErrorObject::borrowed(ErrorCode::InvalidRequest.code(), sentence, None);
    from_method_response(MethodResponse::error(Id::Null, error)).map(Body::new)
}

/// Whether a call says an id, of whatever kind.
fn has_id(text: &Bytes) -> bool {
    #[derive(Deserialize)]
    struct Call {
        id: Option<IgnoredAny>,
    }
    // A list would be read as the fields in their order.
    text.starts_with(b"{") && serde_json::from_slice::<Call>(text).is_ok_and(|call| call.id.is_some())
}
