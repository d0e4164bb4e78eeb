//! A session: one WebSocket with one node, for calls and for what the node tells by itself.
//!
//! It is as strict as the client over HTTP: messages have a bound that the opener gives, waiting has one here, and
//! whatever goes wrong is one sentence. It follows no redirection: a node is where it was said to be. A session that
//! has ended stays so; whoever wants another opens it.

use std::time::Duration;

use jsonrpsee::core::client::{
    ClientT, Error as CallError, Subscription as Notifications, SubscriptionClientT,
};
use jsonrpsee_ws_client::{PingConfig, WsClient, WsClientBuilder};
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{CONNECT_TIMEOUT, ClientError, Named, REQUEST_TIMEOUT, host_and_port, io_sentence};
use crate::method::Method;
use crate::subscription::Subscription;
use crate::token::Token;

/// How often a session asks whether the other side is there.
const PING_EVERY: Duration = Duration::from_secs(3);

/// A session in which nothing came for so long, not even the answer to a ping, has ended.
const SILENCE: Duration = Duration::from_secs(10);

/// How many notifications wait for a slow reader before its subscription ends: it has missed the news anyway.
const MAX_WAITING: usize = 64;

/// The most characters of somebody else's words in a sentence.
const MAX_WHY_CHARS: usize = 200;

/// A session with one node.
#[derive(Debug)]
pub struct Session {
    ws: WsClient,
    url: String,
}

impl Session {
    /// Opens a session with the node at `url`, such as `http://127.0.0.1:8645`. A message of more than
    /// `max_message_bytes` ends it.
    ///
    /// # Errors
    /// [`ClientError`]: the URL is none, nobody listens there, or who listens takes no WebSocket.
    pub async fn open(url: &str, max_message_bytes: u32) -> Result<Self, ClientError> {
        Self::with_token(url, None, max_message_bytes).await
    }

    /// The same, shown this token if there is one.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub async fn with_token(
        url: &str,
        token: Option<&Token>,
        max_message_bytes: u32,
    ) -> Result<Self, ClientError> {
        let address = host_and_port(url)?;
        let unreachable = |why: String| ClientError::Unreachable { url: url.to_owned(), why };
        let stream = match timeout(CONNECT_TIMEOUT, TcpStream::connect(&address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(unreachable(io_sentence(&error))),
            Err(_) => return Err(unreachable("no connection in time".to_owned())),
        };
        // Only a hint: without it answers are a little later.
        let _ = stream.set_nodelay(true);
        let builder = WsClientBuilder::default()
            .max_request_size(max_message_bytes)
            .max_response_size(max_message_bytes)
            .max_frame_size(max_message_bytes)
            .set_headers(Token::headers(token))
            .request_timeout(REQUEST_TIMEOUT)
            .max_buffer_capacity_per_subscription(MAX_WAITING)
            .enable_ws_ping(
                PingConfig::new().ping_interval(PING_EVERY).inactive_limit(SILENCE).max_failures(1),
            );
        let ws_url = url.replacen("http:", "ws:", 1);
        match timeout(CONNECT_TIMEOUT, builder.build_with_stream(ws_url, stream)).await {
            Ok(Ok(ws)) => Ok(Self { ws, url: url.to_owned() }),
            Ok(Err(error)) => Err(no_websocket(url, clip(&error.to_string()))),
            Err(_) => Err(unreachable("no answer in time".to_owned())),
        }
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
        let answer = self.ws.request(M::NAME, Named::of(params)).await;
        answer.map_err(|error| explain(&self.url, M::NAME, error))
    }

    /// Subscribes to `S`.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn subscribe<S: Subscription>(&self, params: &S::Params) -> Result<Feed<S::Item>, ClientError> {
        let name = S::NAMES.subscribe;
        let notifications = self.ws.subscribe(name, Named::of(params), S::NAMES.unsubscribe).await;
        let notifications = notifications.map_err(|error| explain(&self.url, name, error))?;
        Ok(Feed { notifications, name, url: self.url.clone() })
    }

    /// Waits until the session has ended, and says why.
    pub async fn ended(&self) -> ClientError {
        let error = self.ws.on_disconnect().await;
        explain(&self.url, "the session", error)
    }
}

/// What a node tells of one subscription. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Feed<T> {
    notifications: Notifications<T>,
    name: &'static str,
    url: String,
}

impl<T: DeserializeOwned> Feed<T> {
    /// Waits for the next notification. Nothing is lost where the waiting is given up.
    ///
    /// # Errors
    /// [`ClientError::Ended`] where the node, the connection, or a reader too slow has ended it;
    /// [`ClientError::NotANode`] for a notification that is not of its type.
    pub async fn next(&mut self) -> Result<T, ClientError> {
        match self.notifications.next().await {
            Some(Ok(item)) => Ok(item),
            Some(Err(error)) => Err(ClientError::NotANode {
                url: self.url.clone(),
                method: self.name,
                why: clip(&error.to_string()),
            }),
            None => Err(ClientError::Ended {
                url: self.url.clone(),
                why: "the subscription was closed".to_owned(),
            }),
        }
    }
}

fn no_websocket(url: &str, why: String) -> ClientError {
    ClientError::NotANode { url: url.to_owned(), method: "a WebSocket's handshake", why }
}

fn explain(url: &str, method: &'static str, error: CallError) -> ClientError {
    let url = url.to_owned();
    match error {
        CallError::Call(object) => ClientError::Refused(object.into()),
        CallError::RequestTimeout => ClientError::Timeout { url, method },
        CallError::RestartNeeded(reason) => ClientError::Ended { url, why: clip(&reason.to_string()) },
        CallError::Transport(error) => ClientError::Ended { url, why: clip(&error.to_string()) },
        other => ClientError::NotANode { url, method, why: clip(&other.to_string()) },
    }
}

/// One line of bounded length: the words may quote whatever the other side sent.
fn clip(words: &str) -> String {
    let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(MAX_WHY_CHARS).collect()
}
