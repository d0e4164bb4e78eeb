//! One connection that is kept open for many requests, so that a hundred thousand of them need no hundred thousand ports.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::server_support::PATIENCE;

/// The connection.
pub struct Pipe {
    at: SocketAddr,
    socket: BufReader<TcpStream>,
}

impl Pipe {
    pub async fn open(at: SocketAddr) -> Self {
        Self { at, socket: BufReader::new(TcpStream::connect(at).await.unwrap()) }
    }

    /// Posts a body: the status, and the body of the answer.
    pub async fn post(&mut self, body: &str) -> (u16, String) {
        let exchange = async {
            let length = body.len();
            let request = format!(
                "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                 Content-Length: {length}\r\n\r\n{body}"
            );
            // At once: in two pieces the second waits for the first to be acknowledged.
            self.socket.write_all(request.as_bytes()).await.unwrap();
            self.read().await
        };
        let (status, answer, closes) =
            tokio::time::timeout(PATIENCE, exchange).await.unwrap_or_else(|_| panic!("it hangs on {body}"));
        if closes {
            *self = Self::open(self.at).await;
        }
        (status, answer)
    }

    async fn read(&mut self) -> (u16, String, bool) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.socket.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let length = header("content-length:").map_or(0, |length| length.parse().unwrap());
        assert!(header("transfer-encoding:").is_none(), "{head}");
        let mut body = vec![0; length];
        self.socket.read_exact(&mut body).await.unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, String::from_utf8(body).unwrap(), header("connection:") == Some("close"))
    }
}
