//! A connection whose other end has to read: where too little can be written for some time, it fails.
//!
//! Neither hyper nor jsonrpsee bounds how long a write may take: a caller that stops reading, or reads a trickle, would
//! hold its place, and a stopping server, for as long as its machine keeps the connection up. Nor does jsonrpsee stop
//! reading a session whose answers pile up: nothing is read here while a write waits, so that who does not read is not
//! heard either. What was flushed is told to the connection's [`Outbox`].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::limits::WRITE_BYTES;
use super::outbox::Outbox;

/// A connection that is read from, or ends.
#[derive(Debug)]
pub(super) struct Patient {
    stream: TcpStream,
    patience: Duration,
    outbox: Outbox,
    /// Runs since a write had to wait, until all or enough is written.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Bytes written since then.
    since: usize,
    /// Whether a write waits.
    is_waiting: bool,
    /// Bytes written since the last flush.
    unflushed: usize,
    /// Who is to be told that reading goes on.
    reader: Option<Waker>,
}

impl Patient {
    pub(super) fn new(stream: TcpStream, patience: Duration, outbox: Outbox) -> Self {
        Self {
            stream,
            patience,
            outbox,
            deadline: None,
            since: 0,
            is_waiting: false,
            unflushed: 0,
            reader: None,
        }
    }

    /// What became of a write, or the error that it takes too long.
    fn judge(
        &mut self,
        context: &mut Context<'_>,
        write: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.is_waiting = write.is_pending();
        if let Poll::Ready(Ok(bytes)) = &write {
            self.unflushed = self.unflushed.saturating_add(*bytes);
            self.since = self.since.saturating_add(*bytes);
            self.read_on();
            if self.since >= WRITE_BYTES {
                self.deadline = None;
            }
        }
        if self.is_waiting && self.deadline.is_none() {
            self.since = 0;
            self.deadline = Some(Box::pin(sleep(self.patience)));
        }
        let is_over =
            self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(context).is_ready());
        if !is_over {
            return write;
        }
        self.is_waiting = false;
        self.read_on();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other end does not read")))
    }

    /// No write waits any more.
    fn read_on(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_waiting {
            self.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.judge(context, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flush = Pin::new(&mut self.stream).poll_flush(context);
        if flush.is_ready() {
            // All that there was is written.
            self.deadline = None;
            let flushed = std::mem::take(&mut self.unflushed);
            self.outbox.flushed(flushed);
        }
        flush
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn who_stops_reading_is_cut_off_and_who_reads_slowly_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut reader = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let mut writer = Patient::new(socket, Duration::from_millis(300), Outbox::default());
        let slow = tokio::spawn(async move {
            let mut read = 0;
            let mut piece = vec![0; 1 << 20];
            // Far more than the system holds for the two ends, over longer than the patience.
            while read < 32 << 20 {
                sleep(Duration::from_millis(20)).await;
                read += reader.read(&mut piece).await.unwrap();
            }
            reader
        });
        writer.write_all(&vec![7; 32 << 20]).await.unwrap();
        let reader = slow.await.unwrap();
        let error = writer.write_all(&vec![7; 32 << 20]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(reader);
    }

    #[tokio::test]
    async fn who_reads_a_trickle_is_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut reader = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let mut writer = Patient::new(socket, Duration::from_millis(300), Outbox::default());
        let trickle = tokio::spawn(async move {
            let mut piece = vec![0; 1 << 10];
            while reader.read(&mut piece).await.is_ok_and(|length| length > 0) {
                sleep(Duration::from_millis(5)).await;
            }
        });
        let error = writer.write_all(&vec![7; 32 << 20]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        trickle.abort();
    }

    #[tokio::test]
    async fn nothing_is_read_while_a_write_waits() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut other = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let (mut reader, mut writer) =
            tokio::io::split(Patient::new(socket, Duration::from_secs(600), Outbox::default()));
        let written = tokio::spawn(async move {
            writer.write_all(&vec![7; 32 << 20]).await.unwrap();
            writer
        });
        // The first byte says that the writing has begun; the rest is more than the system holds.
        other.read_exact(&mut [0]).await.unwrap();
        while !written.is_finished() {
            // Whether the write waits is seen from this end alone by what is not read.
            other.write_all(b"a").await.unwrap();
            let heard = tokio::time::timeout(Duration::from_millis(200), reader.read_u8()).await;
            if heard.is_err() {
                break;
            }
        }
        assert!(!written.is_finished(), "the write waits for its reader");
        other.read_exact(&mut vec![0; (32 << 20) - 1]).await.unwrap();
        let _writer = written.await.unwrap();
        assert_eq!(reader.read_u8().await.unwrap(), b'a');
    }
}
