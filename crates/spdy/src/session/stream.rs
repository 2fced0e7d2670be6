//! A stream, as its user holds it.

use super::inbox::Inbox;
use super::{Handle, Piece};
use crate::frame::Status;
use crate::headers::Headers;
use crate::limits::DATA_BYTES_MAX;
use bytes::Bytes;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::PollSender;

/// Bytes both ways. Dropped before it was shut down, it is reset.
pub struct Stream {
    headers: Headers,
    reader: StreamReader,
    writer: StreamWriter,
}

/// What the peer writes. Dropped, the rest is thrown away.
pub struct StreamReader {
    inbox: Arc<Inbox>,
    /// The connection lives while its streams are read.
    _handle: Arc<Handle>,
}

/// What the peer reads. Shutting it down ends this direction; dropping it before resets the whole stream.
pub struct StreamWriter {
    id: u32,
    inbox: Arc<Inbox>,
    sender: PollSender<Piece>,
    handle: Arc<Handle>,
    finished: bool,
}

impl Stream {
    pub(super) fn new(id: u32, headers: Headers, inbox: Arc<Inbox>, handle: Arc<Handle>) -> Stream {
        let sender = PollSender::new(handle.pieces.clone());
        let reader = StreamReader { inbox: inbox.clone(), _handle: handle.clone() };
        Stream { headers, reader, writer: StreamWriter { id, inbox, sender, handle, finished: false } }
    }

    /// What it was opened with.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    pub fn into_split(self) -> (StreamReader, StreamWriter) {
        (self.reader, self.writer)
    }
}

impl AsyncRead for StreamReader {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.inbox.poll_read(context, into)
    }
}

impl Drop for StreamReader {
    fn drop(&mut self) {
        self.inbox.abandon();
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the stream has ended")
}

impl StreamWriter {
    fn poll_send(&mut self, context: &mut Context<'_>, fin: bool, bytes: &[u8]) -> Poll<io::Result<()>> {
        if self.finished || self.inbox.is_broken() {
            return Poll::Ready(Err(broken()));
        }
        ready!(self.sender.poll_reserve(context)).map_err(|_| broken())?;
        let piece = Piece { id: self.id, fin, bytes: Bytes::copy_from_slice(bytes) };
        self.sender.send_item(piece).map_err(|_| broken())?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for StreamWriter {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = bytes.len().min(DATA_BYTES_MAX);
        ready!(self.poll_send(context, false, &bytes[..count]))?;
        Poll::Ready(Ok(count))
    }

    /// What is written is on its way: the connection sends it without being asked.
    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.finished {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_send(context, true, &[]))?;
        self.finished = true;
        Poll::Ready(Ok(()))
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        if !self.finished {
            self.handle.connection.cancel(self.id, Status::CANCEL);
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(context, into)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(context)
    }
}
