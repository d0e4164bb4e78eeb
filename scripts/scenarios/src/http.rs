//! The little HTTP that `/readyz` and `/metrics` need: one GET, one answer, bounded.
//!
//! HTTP/1.0, so that the answer is neither chunked nor kept open. No client library: JSON-RPC, where it matters,
//! goes through the project's own client.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest answer read: a node's metrics are some hundred lines.
const MAX_ANSWER_BYTES: u64 = 4 << 20;
/// How long an answer may take: it is made in memory, on this machine.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// An answer: its status and its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Such as 200.
    pub status: u16,
    /// The text.
    pub body: String,
}

/// Asks for `path`.
///
/// # Errors
/// If nobody answers in time, or what is answered is not HTTP.
pub async fn get(address: SocketAddr, path: &str) -> Result<Answer> {
    let exchange = timeout(ANSWER_TIME, exchange(address, path)).await;
    let text = exchange.context("no answer in time").and_then(|text| text);
    text.and_then(|text| parse(&text)).with_context(|| format!("GET http://{address}{path}"))
}

async fn exchange(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let read = stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).await?;
    ensure!(u64::try_from(read)? < MAX_ANSWER_BYTES, "the answer has {MAX_ANSWER_BYTES} bytes or more");
    Ok(String::from_utf8(answer)?)
}

fn parse(text: &str) -> Result<Answer> {
    let (head, body) = text.split_once("\r\n\r\n").context("expected an HTTP answer, got something else")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Answer { status: status.context("expected an HTTP status, got none")?, body: body.to_owned() })
}

/// The value of a counter or gauge without labels in Prometheus text.
#[must_use]
pub fn metric(text: &str, name: &str) -> Option<u64> {
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
    text.lines().find_map(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_status_and_body() {
        let answer = parse("HTTP/1.0 503 Service Unavailable\r\nA: b\r\n\r\nno: peers\r\n").unwrap();
        assert_eq!(answer, Answer { status: 503, body: "no: peers\r\n".to_owned() });
        assert!(parse("SSH-2.0-OpenSSH").is_err());
        assert!(parse("HTTP/1.1 \r\n\r\n").is_err());
    }

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let text = "# HELP a_b help\n# TYPE a_b counter\na_b_total 7\na_b 9\nc{d=\"e\"} 1\n# EOF\n";
        assert_eq!(metric(text, "a_b_total"), Some(7));
        assert_eq!(metric(text, "a_b"), Some(9));
        assert_eq!(metric(text, "a"), None);
        assert_eq!(metric(text, "c"), None);
    }
}
