//! Sends what is queued, in batches, and says goodbye.

use super::Piece;
use super::connection::Connection;
use crate::encoder::Encoder;
use crate::frame::Frame;
use bytes::BytesMut;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Bytes that are handed to the connection at once.
const BATCH_BYTES: usize = 64 << 10;

/// Until `closing` and everything queued before it is sent.
pub(super) async fn run(
    mut io: impl AsyncWrite + Unpin,
    connection: Arc<Connection>,
    mut pieces: mpsc::Receiver<Piece>,
    closing: CancellationToken,
) -> io::Result<()> {
    let mut batch = Batch { connection: connection.clone(), encoder: Encoder::default(), bytes: BytesMut::new() };
    loop {
        batch.controls();
        while batch.bytes.len() < BATCH_BYTES
            && let Ok(piece) = pieces.try_recv()
        {
            batch.piece(piece);
        }
        if !batch.bytes.is_empty() {
            batch.send(&mut io).await?;
            continue;
        }
        tokio::select! {
            biased;
            Some(piece) = pieces.recv() => batch.piece(piece),
            () = connection.woken() => {}
            () = closing.cancelled() => break,
        }
    }
    // Whoever could write has gone with the last handle: what is queued is all there is.
    while let Ok(piece) = pieces.try_recv() {
        batch.piece(piece);
        if batch.bytes.len() >= BATCH_BYTES {
            batch.send(&mut io).await?;
        }
    }
    batch.controls();
    batch.frame(&connection.goodbye());
    batch.send(&mut io).await?;
    io.shutdown().await
}

struct Batch {
    connection: Arc<Connection>,
    encoder: Encoder,
    bytes: BytesMut,
}

impl Batch {
    fn frame(&mut self, frame: &Frame) {
        self.encoder.encode(frame, &mut self.bytes);
    }

    fn controls(&mut self) {
        while self.bytes.len() < BATCH_BYTES
            && let Some(frame) = self.connection.next_control()
        {
            self.frame(&frame);
        }
    }

    /// What was queued before the piece goes before it: a stream's reply, before its data.
    fn piece(&mut self, piece: Piece) {
        while let Some(frame) = self.connection.next_control() {
            self.frame(&frame);
        }
        let Piece { id, fin, bytes } = piece;
        self.frame(&Frame::Data { id, fin, bytes });
        if fin {
            self.connection.local_finished(id);
        }
    }

    async fn send(&mut self, io: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        io.write_all_buf(&mut self.bytes).await?;
        io.flush().await
    }
}
