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
use crate::text::MAX_BLOCK_BYTES;

/// How long a connection may take: a node is near, or it is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may take: the longest wait a call may ask for, and time to answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(600 + 30);

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
}

/// Calls one node.
#[derive(Clone, Debug)]
pub struct Client {
    http: HttpClient,
    url: String,
}

impl Client {
    /// A client of the node at `url`, such as `http://127.0.0.1:8645`. Connects when first called.
    ///
    /// # Errors
    /// [`ClientError::Url`] if it is no `http` URL.
    pub fn new(url: &str) -> Result<Self, ClientError> {
        let refused = |why: &str| ClientError::Url { url: url.to_owned(), why: why.to_owned() };
        if url.starts_with("https:") {
            return Err(refused("a node speaks plain http, so reach a far one through a tunnel (ssh -L)"));
        }
        let http = HttpClientBuilder::default()
            .connect_timeout(CONNECT_TIMEOUT)
            .request_timeout(REQUEST_TIMEOUT)
            .max_request_size(MAX_BODY_BYTES)
            .max_response_size(MAX_BODY_BYTES)
            .build(url)
            .map_err(|error| refused(&error.to_string()))?;
        Ok(Self { http, url: url.to_owned() })
    }

    /// The node's address, as it was given.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Calls `M`.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the node's own error, or what kept it from answering.
    pub async fn call<M: Method>(&self, params: &M::Params) -> Result<M::Result, ClientError> {
        let params = Named(RawValue::from_string(to_json(params)).ok());
        self.http.request(M::NAME, params).await.map_err(|error| self.explain(M::NAME, error))
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
            return ClientError::NotANode { url, method, why: format!("HTTP status {status_code}") };
        }
        let cause = root_cause(error);
        match cause.downcast_ref::<io::Error>() {
            Some(io) => ClientError::Unreachable { url, why: plain(io) },
            None => ClientError::NotANode { url, method, why: cause.to_string() },
        }
    }
}

/// Params by name.
struct Named(Option<Box<RawValue>>);

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
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
