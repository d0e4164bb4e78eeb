//! How a node is asked: over a WebSocket, where it also tells of new work by itself, or by HTTP where that is all
//! there is, as behind a proxy that passes no WebSockets on.

use std::sync::Arc;
use std::time::Duration;

use printsy_rpc::{Client, ClientError, Method, RpcReason, Session, Token};
use tokio::time::timeout;

/// The longest message of a node: what it tells is a header, or the parameters of a network with a thousand miners.
const MAX_MESSAGE_BYTES: u32 = 1 << 20;

/// How long a node may take to answer: it answers from memory, and one that cannot is no node to mine with.
pub const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The most characters of a node's words that are repeated to people.
const MAX_WORDS_CHARS: usize = 240;

/// A way to ask a node. Cloning shares the connection.
#[derive(Clone, Debug)]
pub enum Link {
    /// By a WebSocket.
    Session(Arc<Session>),
    /// By HTTP.
    Http(Client),
}

impl Link {
    /// Connects to the node at `url`, shown this token if there is one: by a WebSocket if it takes one, else by HTTP.
    ///
    /// # Errors
    /// If nobody is there, or the URL is none.
    pub async fn open(url: &str, token: Option<&Token>) -> Result<Self, ClientError> {
        match Session::with_token(url, token, MAX_MESSAGE_BYTES).await {
            Ok(session) => Ok(Self::Session(Arc::new(session))),
            // Who listens there takes no WebSocket: it may well answer calls.
            Err(ClientError::NotANode { why, .. }) => {
                tracing::debug!(url, why, "no websocket");
                let token = token.cloned();
                Client::with_limits(url, token, MAX_MESSAGE_BYTES, ANSWER_TIME).map(Self::Http)
            }
            Err(error) => Err(error),
        }
    }

    /// Calls `M`.
    ///
    /// # Errors
    /// The node's refusal, or what kept it from answering in time.
    pub async fn call<M: Method>(&self, params: &M::Params) -> Result<M::Result, ClientError> {
        let call = async {
            match self {
                Self::Session(session) => session.call::<M>(params).await,
                Self::Http(client) => client.call::<M>(params).await,
            }
        };
        let url = match self {
            Self::Session(session) => session.url(),
            Self::Http(client) => client.url(),
        };
        let late = || ClientError::Timeout { url: url.to_owned(), method: M::NAME };
        timeout(ANSWER_TIME, call).await.unwrap_or_else(|_| Err(late()))
    }
}

/// An error's sentence for somebody who mines: without the wallet's advice, and without the address, which stands
/// beside it.
#[must_use]
pub fn sentence(error: &ClientError) -> String {
    clean(&match error {
        ClientError::Unreachable { why, .. } => format!("nobody answers there: {why}"),
        ClientError::Unavailable { why, .. } => format!("no answer now: {why}"),
        ClientError::Timeout { method, .. } => format!("no answer to {method} in time"),
        ClientError::NotANode { method, why, .. } => {
            format!("what it answers to {method} is not a node's answer: {why}")
        }
        ClientError::Ended { why, .. } => format!("the connection ended: {why}"),
        ClientError::Refused(error) if error.reason() == Some(RpcReason::Unauthorized) => {
            format!(
                "{error}; give --token-file PATH: the node's operator makes a token (`printsyd tokens add`)"
            )
        }
        ClientError::Refused(error) => error.to_string(),
        other => other.to_string(),
    })
}

/// A node's words as one short line without control characters: they end on somebody's terminal.
#[must_use]
pub fn clean(words: &str) -> String {
    let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|letter| !letter.is_control()).take(MAX_WORDS_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use printsy_rpc::{ErrorData, RpcError};

    use super::*;

    #[test]
    fn a_node_s_words_are_one_short_line_and_touch_no_terminal() {
        let words = format!("bad\n\x1b[2J\u{9b}news {}", "x".repeat(10_000));
        let error = ClientError::Refused(RpcError::refused(words, ErrorData::new(RpcReason::Storage)));
        let said = sentence(&error);
        assert!(said.starts_with("bad [2Jnews x"), "{said:?}");
        assert!(said.chars().count() <= MAX_WORDS_CHARS && !said.chars().any(char::is_control));
    }
}
