//! Reads frames and hands them to whom they concern.

use super::connection::Connection;
use super::{Handle, Stream};
use crate::decoder::Decoder;
use crate::frame::{Frame, ProtocolError, Status};
use crate::headers::Headers;
use bytes::{Bytes, BytesMut};
use std::sync::{Arc, Weak};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

const READ_BYTES: usize = 16 << 10;

#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("reading: {0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

/// Until the peer closes the connection.
pub(super) async fn run(
    mut io: impl AsyncRead + Unpin,
    connection: Arc<Connection>,
    opened: Option<mpsc::Sender<Stream>>,
    handle: Weak<Handle>,
) -> Result<(), ReadError> {
    let mut reader = Reader { connection, opened, handle, keeps_windows: false };
    let (mut decoder, mut bytes) = (Decoder::default(), BytesMut::new());
    loop {
        while let Some(frame) = decoder.decode(&mut bytes)? {
            reader.take(frame).await;
        }
        bytes.reserve(READ_BYTES);
        if io.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    }
}

struct Reader {
    connection: Arc<Connection>,
    opened: Option<mpsc::Sender<Stream>>,
    handle: Weak<Handle>,
    /// The peer knows of windows, and waits for them to grow. Kubernetes' own clients do not.
    keeps_windows: bool,
}

impl Reader {
    async fn take(&mut self, frame: Frame) {
        let connection = &self.connection;
        match frame {
            Frame::Data { id, fin, bytes } => self.data(id, fin, bytes).await,
            Frame::SynStream { id, fin, unidirectional, headers, .. } => self.open(id, fin, unidirectional, headers),
            Frame::SynReply { id, fin, .. } => {
                connection.replied(id);
                if fin {
                    connection.remote_finished(id);
                }
            }
            Frame::Headers { id, fin: true, .. } => connection.remote_finished(id),
            Frame::Headers { .. } => {}
            Frame::RstStream { id, status } => connection.reset(id, status),
            Frame::Ping(id) => connection.answer_ping(id),
            Frame::GoAway { .. } => connection.gone_away(),
            Frame::Settings(_) | Frame::WindowUpdate { .. } => self.keeps_windows = true,
        }
    }

    /// Waits until the stream has room: the whole connection waits with it, as the clients' does.
    async fn data(&mut self, id: u32, fin: bool, bytes: Bytes) {
        let taken = bytes.len() as u32;
        if let Some(inbox) = self.connection.inbox(id) {
            // A copy: a small piece must not keep the whole buffer that it came in.
            inbox.put(Bytes::copy_from_slice(&bytes)).await;
        }
        if fin {
            self.connection.remote_finished(id);
        }
        if self.keeps_windows && taken > 0 {
            if !fin {
                self.connection.send(Frame::WindowUpdate { id, delta: taken });
            }
            self.connection.send(Frame::WindowUpdate { id: 0, delta: taken });
        }
    }

    fn open(&mut self, id: u32, fin: bool, unidirectional: bool, headers: Headers) {
        let connection = &self.connection;
        let inbox = match connection.opened(id, fin, unidirectional) {
            Ok(inbox) => inbox,
            Err(status) => return connection.send(Frame::RstStream { id, status }),
        };
        let (Some(handle), Some(opened)) = (self.handle.upgrade(), &self.opened) else {
            return connection.cancel(id, Status::REFUSED_STREAM);
        };
        let Ok(permit) = opened.try_reserve() else { return connection.cancel(id, Status::REFUSED_STREAM) };
        // Queued before anything the stream's user may write: no data overtakes it.
        connection.send(Frame::SynReply { id, fin: false, headers: Headers::default() });
        permit.send(Stream::new(id, headers, inbox, handle));
    }
}
