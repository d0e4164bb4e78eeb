//! A reader of subscriptions: one session, its answers and its notifications told apart.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::server_support::Session;

/// One session.
pub struct Reader {
    session: Session,
    told: VecDeque<Value>,
    calls: u64,
}

impl Reader {
    pub async fn open(address: SocketAddr) -> Self {
        Self::over(Session::open(address, "Host: localhost\r\n").await.unwrap())
    }

    pub fn over(session: Session) -> Self {
        Self { session, told: VecDeque::new(), calls: 0 }
    }

    /// Sends a call without waiting for its answer.
    pub async fn send(&mut self, method: &str, params: Value) -> u64 {
        self.calls += 1;
        let id = self.calls;
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.session.send(&call.to_string()).await;
        id
    }

    /// A call's whole answer; what is told meanwhile is kept for later.
    pub async fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params).await;
        loop {
            let message = self.session.receive().await.expect("an answer");
            if message["id"] == id {
                return message;
            }
            self.told.push_back(message);
        }
    }

    /// Begins a subscription: its number.
    pub async fn subscribe(&mut self, method: &str, params: Value) -> u64 {
        let answer = self.call(method, params).await;
        answer["result"].as_u64().unwrap_or_else(|| panic!("{method}: {answer}"))
    }

    /// A call that is refused: its error.
    pub async fn refused(&mut self, method: &str, params: Value) -> Value {
        let mut answer = self.call(method, params).await;
        assert!(answer.get("result").is_none(), "{method}: {answer}");
        answer["error"].take()
    }

    /// The next notification, whole; `None` once the session is closed.
    pub async fn message(&mut self) -> Option<Value> {
        match self.told.pop_front() {
            Some(told) => Some(told),
            None => self.session.receive().await,
        }
    }

    /// The next item, which has to be of this subscription.
    pub async fn item(&mut self, method: &str, subscription: u64) -> Value {
        let mut params = self.params(method, subscription).await;
        assert!(params.get("error").is_none(), "{params}");
        params["result"].take()
    }

    /// The word with which the node ends this subscription.
    pub async fn end(&mut self, method: &str, subscription: u64) -> Value {
        let mut params = self.params(method, subscription).await;
        assert!(params.get("result").is_none(), "{params}");
        params["error"].take()
    }

    async fn params(&mut self, method: &str, subscription: u64) -> Value {
        let mut message = self.message().await.expect("a notification");
        assert_eq!(message["method"], method, "{message}");
        assert_eq!(message["params"]["subscription"], subscription, "{message}");
        message["params"].take()
    }
}
