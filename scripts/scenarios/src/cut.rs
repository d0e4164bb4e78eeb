//! A wire that can be cut: passes connections on to a port of this machine, or holds everything back.
//!
//! Cut, it is what a network is whose packets go nowhere: connections stay open, and nothing arrives. Mended, what was
//! held back arrives late, on connections that the ends may long have given up.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How much is passed on at once.
const CHUNK_BYTES: usize = 16 << 10;

/// The wire.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    is_whole: Arc<watch::Sender<bool>>,
}

impl Wire {
    /// A whole wire to `target`, with an end of its own on the loopback.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn to(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let is_whole = Arc::new(watch::Sender::new(true));
        tokio::spawn(accept(listener, target, is_whole.clone()));
        Ok(Self { address, is_whole })
    }

    /// Where its end is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on nothing arrives.
    pub fn cut(&self) {
        self.is_whole.send_replace(false);
    }

    /// From now on everything arrives.
    pub fn mend(&self) {
        self.is_whole.send_replace(true);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, is_whole: Arc<watch::Sender<bool>>) {
    while let Ok((near, _)) = listener.accept().await {
        let mut whole = is_whole.subscribe();
        tokio::spawn(async move {
            if whole.wait_for(|whole| *whole).await.is_err() {
                return;
            }
            let Ok(far) = TcpStream::connect(target).await else { return };
            let (near, far) = (near.into_split(), far.into_split());
            tokio::spawn(pass(near.0, far.1, whole.clone()));
            tokio::spawn(pass(far.0, near.1, whole));
        });
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut whole: watch::Receiver<bool>) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        let is_passed = whole.wait_for(|whole| *whole).await.is_ok();
        if !is_passed || to.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
}
