//! One end of a connection: two loops that read and write frames, and handles to open, take and use streams.
//!
//! The connection lives as long as a handle or stream of it, then says goodbye: what was queued is sent, GOAWAY, and
//! the peer's bytes are read until it leaves too (or [`LINGER`] has passed), so that no reset overtakes the end.

mod connection;
mod inbox;
mod read;
mod stream;
mod write;

pub use stream::{Stream, StreamReader, StreamWriter};

use crate::frame::Status;
use crate::headers::Headers;
use crate::limits::{LINGER, OPEN_TIMEOUT, OUTBOX_PIECES, UNACCEPTED_MAX};
use connection::{Connection, Role};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Why no stream came of it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the connection has ended")]
    Ended,
    #[error("the peer takes no more streams")]
    GoneAway,
    #[error("too many streams are open")]
    TooMany,
    #[error("the peer refused the stream (status {})", .0.0)]
    Refused(Status),
    #[error("the peer did not answer in time")]
    Timeout,
}

/// A piece of a stream on its way out.
pub(crate) struct Piece {
    id: u32,
    fin: bool,
    bytes: bytes::Bytes,
}

/// What keeps a connection open.
pub(crate) struct Handle {
    connection: Arc<Connection>,
    pieces: mpsc::Sender<Piece>,
    closing: CancellationToken,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

/// The client's end: opens streams.
#[derive(Clone)]
pub struct Session {
    handle: Arc<Handle>,
}

/// The server's end: takes the streams that the client opens.
pub struct Incoming {
    /// Keeps the connection open while streams are awaited.
    _handle: Arc<Handle>,
    opened: mpsc::Receiver<Stream>,
}

impl Session {
    /// Begins on a connection whose upgrade is done.
    pub fn client(io: impl AsyncRead + AsyncWrite + Send + 'static) -> Session {
        Session { handle: start(io, Role::Client, None) }
    }

    /// Begins as the server of a connection whose upgrade is done.
    pub fn server(io: impl AsyncRead + AsyncWrite + Send + 'static) -> Incoming {
        let (sink, opened) = mpsc::channel(UNACCEPTED_MAX);
        Incoming { _handle: start(io, Role::Server, Some(sink)), opened }
    }

    /// Opens a stream, and returns when the peer has taken it: what is written before, some peers throw away.
    pub async fn open(&self, headers: Headers) -> Result<Stream, OpenError> {
        let (reply, replied) = oneshot::channel();
        let (id, inbox) = self.handle.connection.open(headers.clone(), reply)?;
        let stream = Stream::new(id, headers, inbox, self.handle.clone());
        match tokio::time::timeout(OPEN_TIMEOUT, replied).await {
            Ok(Ok(Ok(()))) => Ok(stream),
            Ok(Ok(Err(status))) => Err(OpenError::Refused(status)),
            Ok(Err(_)) => Err(OpenError::Ended),
            Err(_) => Err(OpenError::Timeout),
        }
    }
}

impl Incoming {
    /// The next stream; `None` when the connection has ended.
    pub async fn next(&mut self) -> Option<Stream> {
        self.opened.recv().await
    }
}

fn start(
    io: impl AsyncRead + AsyncWrite + Send + 'static,
    role: Role,
    opened: Option<mpsc::Sender<Stream>>,
) -> Arc<Handle> {
    let connection = Arc::new(Connection::new(role));
    let (pieces, queued) = mpsc::channel(OUTBOX_PIECES);
    let closing = CancellationToken::new();
    let handle = Arc::new(Handle { connection: connection.clone(), pieces, closing: closing.clone() });
    let (reader, writer) = tokio::io::split(io);
    let reading = read::run(reader, connection.clone(), opened, Arc::downgrade(&handle));
    let writing = write::run(writer, connection.clone(), queued, closing);
    tokio::spawn(drive(connection, reading, writing));
    handle
}

async fn drive(
    connection: Arc<Connection>,
    reading: impl Future<Output = Result<(), read::ReadError>>,
    writing: impl Future<Output = std::io::Result<()>>,
) {
    tokio::pin!(reading, writing);
    tokio::select! {
        read = &mut reading => {
            if let Err(error) = read {
                tracing::debug!(%error, "a SPDY connection was cut");
            }
        }
        written = &mut writing => match written {
            Ok(()) => {
                connection.lose();
                if tokio::time::timeout(LINGER, reading).await.is_err() {
                    tracing::debug!("the peer of a closed SPDY connection did not leave in time");
                }
            }
            Err(error) => tracing::debug!(%error, "a SPDY connection broke while writing"),
        },
        () = connection.overflowed() => tracing::debug!("the peer of a SPDY connection asks and does not read"),
    }
    connection.lose();
}
