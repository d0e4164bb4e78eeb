//! Frames of the request-response protocol: a `u32` length, then the bytes of one value.
//!
//! A frame is bounded by its kind before it is read, and grows only as bytes really arrive. Bytes that are no
//! message are not a failed stream but a value of their own, [`Malformed`], so that their sender can be
//! charged; a stream that ends early is nobody's fault.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response::Codec;

use crate::message::{Request, Response};
use crate::wire::{Kind, MAX_REQUEST_BYTES, Malformed};

/// Room made for a frame before its bytes come.
const FIRST_ALLOCATION: usize = 64 * 1024;

/// One codec is cloned for each stream, so it can remember what was asked on it.
#[derive(Clone, Debug)]
pub(crate) struct SyncCodec {
    max_block_bytes: usize,
    asked: Option<Kind>,
}

impl SyncCodec {
    pub(crate) fn new(max_block_bytes: usize) -> Self {
        Self { max_block_bytes, asked: None }
    }
}

impl Codec for SyncCodec {
    type Protocol = StreamProtocol;
    type Request = Result<Request, Malformed>;
    type Response = Result<Response, Malformed>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Self::Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        let frame = read_frame(io, MAX_REQUEST_BYTES).await?;
        Ok(frame.and_then(|bytes| Ok(Request::from_bytes(&bytes)?)))
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Self::Response>
    where
        T: AsyncRead + Unpin + Send,
    {
        let asked = self.asked.expect("an answer is read on the stream its request was written to");
        let frame = read_frame(io, asked.max_response_bytes(self.max_block_bytes)).await?;
        Ok(frame.and_then(|bytes| {
            let response = Response::from_bytes(&bytes, self.max_block_bytes)?;
            match response.kind() {
                got if got == asked => Ok(response),
                got => Err(Malformed::WrongKind { asked, got }),
            }
        }))
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        value: Self::Request,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let request = value.map_err(io::Error::other)?;
        self.asked = Some(request.kind());
        write_frame(io, &request.to_bytes()).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        value: Self::Response,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        // The answer itself goes before its bytes do: they may take long.
        let bytes = value.map_err(io::Error::other)?.to_bytes();
        write_frame(io, &bytes).await
    }
}

async fn read_frame<T>(io: &mut T, max: usize) -> io::Result<Result<Vec<u8>, Malformed>>
where
    T: AsyncRead + Unpin + Send,
{
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let length = u32::from_le_bytes(length);
    let got = usize::try_from(length).unwrap_or(usize::MAX);
    if got > max {
        return Ok(Err(Malformed::FrameTooLong { got, max }));
    }
    let mut bytes = Vec::with_capacity(got.min(FIRST_ALLOCATION));
    io.take(u64::from(length)).read_to_end(&mut bytes).await?;
    if bytes.len() < got {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Ok(bytes))
}

async fn write_frame<T>(io: &mut T, bytes: &[u8]) -> io::Result<()>
where
    T: AsyncWrite + Unpin + Send,
{
    let length = u32::try_from(bytes.len()).expect("no message reaches 4 GiB");
    io.write_all(&length.to_le_bytes()).await?;
    io.write_all(bytes).await?;
    io.flush().await
}

#[cfg(test)]
mod tests;
