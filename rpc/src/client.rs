//! A client over HTTP: one generic call, and errors that say in one sentence what to do.
//!
//! It keeps no state but a pool of connections. A refusal by the node comes back as the very [`RpcError`] the
//! node made; everything that kept the call from being answered is another variant, in plain words.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use jsonrpsee::core::client::{ClientT, Error as CallError};
use jsonrpsee::core::traits::ToRpcParams;
use jsonrpsee_http_client::transport::Error as TransportError;
use jsonrpsee_http_client::{HttpClient, HttpClientBuilder};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::RpcError;
use crate::method::Method;
use crate::session::Session;
use crate::text::MAX_BLOCK_BYTES;
use crate::token::Token;

/// How long a connection may take: a node is near, or it is not there.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may take: the longest wait a call may ask for, and time to answer.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(600 + 30);

/// The largest request and answer: the largest block in hex, and room for what stands around it.
const MAX_BODY_BYTES: u32 = body_limit();

const fn body_limit() -> u32 {
    // 2 * 64 MiB + 1 MiB fits u32 with room to spare; const evaluation refuses to compile if it ever does not.
    let bytes = 2 * MAX_BLOCK_BYTES + (1 << 20);
    assert!(bytes <= 0xffff_ffff, "the body limit fits 32 bits");
    #[allow(clippy::cast_possible_truncation, reason = "asserted one line above")]
    let limit = bytes as u32;
    limit
}

/// What kept a call from succeeding.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The node answered, and refused.
    #[error("{0}")]
    Refused(#[from] RpcError),
    /// The URL is not one this client can call.
    #[error("cannot use {url} as a node's address: {why}; give one like http://127.0.0.1:8645")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody listens there.
    #[error(
        "no node answers at {url} ({why}); start one with `printsyd run --dev`, or give another with --rpc URL"
    )]
    Unreachable {
        /// Whom the client called.
        url: String,
        /// The system's words.
        why: String,
    },
    /// No answer in time.
    #[error("the node at {url} did not answer {method} in time; the call may still have been carried out")]
    Timeout {
        /// Whom the client called.
        url: String,
        /// The method.
        method: &'static str,
    },
    /// Whoever listens there gave no answer this time: a proxy without its node, a node that is full or stops.
    #[error("there is no answer at {url} now ({why}); try again: the call may still have been carried out")]
    Unavailable {
        /// Whom the client called.
        url: String,
        /// What came instead.
        why: String,
    },
    /// Somebody listens there, but it is no node of ours, or one of another version.
    #[error("what {url} answered to {method} is not a node's answer: {why}")]
    NotANode {
        /// Whom the client called.
        url: String,
        /// The method.
        method: &'static str,
        /// What was wrong with the answer.
        why: String,
    },
    /// The session, or one subscription of it, is over.
    #[error("the connection to {url} ended: {why}")]
    Ended {
        /// With whom it was.
        url: String,
        /// What ended it.
        why: String,
    },
}

/// Calls one node.
#[derive(Clone, Debug)]
pub struct Client {
    http: HttpClient,
    url: String,
    token: Option<Token>,
}

impl Client {
    /// A client of the node at `url`, such as `http://127.0.0.1:8645`. Connects when first called.
    ///
    /// # Errors
    /// [`ClientError::Url`] if it is no `http` URL.
    pub fn new(url: &str) -> Result<Self, ClientError> {
        Self::with_token(url, None)
    }

    /// A client that shows this token, if there is one.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_token(url: &str, token: Option<Token>) -> Result<Self, ClientError> {
        Self::with_limits(url, token, MAX_BODY_BYTES, REQUEST_TIMEOUT)
    }

    /// A client that takes no larger message and waits no longer than this.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_limits(
        url: &str,
        token: Option<Token>,
        max_body_bytes: u32,
        answer_within: Duration,
    ) -> Result<Self, ClientError> {
        refuse_tls(url)?;
        let http = HttpClientBuilder::default()
            .connect_timeout(CONNECT_TIMEOUT)
            .request_timeout(answer_within)
            .max_request_size(max_body_bytes)
            .max_response_size(max_body_bytes)
            .set_headers(Token::headers(token.as_ref()))
            .build(url)
            .map_err(|error| bad_url(url, error.to_string()))?;
        Ok(Self { http, url: url.to_owned(), token })
    }

    /// The node's address, as it was given.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A client of the same node with the same token, and a connection of its own.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn again(&self) -> Result<Self, ClientError> {
        Self::with_token(&self.url, self.token.clone())
    }

    /// Opens a session with the same node, shown the same token. A message of more than `max_message_bytes` ends it.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub async fn session(&self, max_message_bytes: u32) -> Result<Session, ClientError> {
        Session::with_token(&self.url, self.token.as_ref(), max_message_bytes).await
    }

    /// Calls `M`.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the node's own error, or what kept it from answering.
    pub async fn call<M: Method>(&self, params: &M::Params) -> Result<M::Result, ClientError> {
        self.http.request(M::NAME, Named::of(params)).await.map_err(|error| self.explain(M::NAME, error))
    }

    fn explain(&self, method: &'static str, error: CallError) -> ClientError {
        let url = self.url.clone();
        match error {
            CallError::Call(object) => ClientError::Refused(object.into()),
            CallError::RequestTimeout => ClientError::Timeout { url, method },
            CallError::Transport(error) => self.explain_transport(method, error.as_ref()),
            other => ClientError::NotANode { url, method, why: other.to_string() },
        }
    }

    fn explain_transport(&self, method: &'static str, error: &(dyn StdError + 'static)) -> ClientError {
        let url = self.url.clone();
        if let Some(TransportError::Rejected { status_code }) = error.downcast_ref() {
            let why = format!("HTTP status {status_code}");
            return match status_code {
                // What proxies say of a node that is away, and a node that has no room.
                502..=504 => ClientError::Unavailable { url, why },
                _ => ClientError::NotANode { url, method, why },
            };
        }
        let cause = root_cause(error);
        if cause.downcast_ref().is_some_and(hyper::Error::is_incomplete_message) {
            return ClientError::Unavailable {
                url,
                why: "the connection ended before the answer".to_owned(),
            };
        }
        match cause.downcast_ref::<io::Error>() {
            Some(io) => ClientError::Unreachable { url, why: io_sentence(io) },
            None => ClientError::NotANode { url, method, why: cause.to_string() },
        }
    }
}

fn bad_url(url: &str, why: impl Into<String>) -> ClientError {
    ClientError::Url { url: url.to_owned(), why: why.into() }
}

fn refuse_tls(url: &str) -> Result<(), ClientError> {
    if url.starts_with("https:") {
        return Err(bad_url(url, "a node speaks plain http, so reach a far one through a tunnel (ssh -L)"));
    }
    Ok(())
}

/// `host:port` of an `http` URL, to connect to.
///
/// # Errors
/// [`ClientError::Url`].
pub(crate) fn host_and_port(url: &str) -> Result<String, ClientError> {
    refuse_tls(url)?;
    let rest = url.strip_prefix("http://").ok_or_else(|| bad_url(url, "it does not begin with http://"))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() || authority.contains('@') {
        return Err(bad_url(url, "it names no host"));
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if has_port { authority.to_owned() } else { format!("{authority}:80") })
}

/// Params by name.
pub(crate) struct Named(Option<Box<RawValue>>);

impl Named {
    /// These params.
    pub(crate) fn of(params: &impl Serialize) -> Self {
        Self(RawValue::from_string(to_json(params)).ok())
    }
}

impl ToRpcParams for Named {
    fn to_rpc_params(self) -> Result<Option<Box<RawValue>>, serde_json::Error> {
        Ok(self.0)
    }
}

fn to_json<T: Serialize>(params: &T) -> String {
    serde_json::to_string(params).expect("params are structs of strings and numbers, which are always JSON")
}

/// The last error of the chain: the ones above it only say that something below failed.
fn root_cause<'a>(error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause
}

/// The system's words without "(os error 111)".
pub(crate) fn io_sentence(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
