//! What came for a stream and was not read yet, bounded in bytes.

use crate::limits::INBOX_BYTES_MAX;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, Waker};
use tokio::io::ReadBuf;

/// What a piece costs beside its bytes, so that pieces of one byte are bounded too.
const PIECE_COST: usize = 64;

/// Why no more will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Finished,
    Reset,
    Lost,
}

#[derive(Default)]
pub(super) struct Inbox(Mutex<State>);

#[derive(Default)]
struct State {
    pieces: VecDeque<Bytes>,
    cost: usize,
    end: Option<End>,
    /// Nobody reads: what comes is thrown away.
    abandoned: bool,
    reader: Option<Waker>,
    putter: Option<Waker>,
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl Inbox {
    /// Waits for room, and puts a piece.
    pub(super) async fn put(&self, piece: Bytes) {
        std::future::poll_fn(|context| {
            let mut state = self.0.lock();
            if state.cost >= INBOX_BYTES_MAX && !state.abandoned && state.end.is_none() {
                state.putter = Some(context.waker().clone());
                return Poll::Pending;
            }
            if !state.abandoned && state.end.is_none() && !piece.is_empty() {
                state.cost += piece.len() + PIECE_COST;
                state.pieces.push_back(piece.clone());
                wake(&mut state.reader);
            }
            Poll::Ready(())
        })
        .await;
    }

    /// The first end counts; what came before it is still read, unless it is a reset.
    pub(super) fn end(&self, end: End) {
        let mut state = self.0.lock();
        state.end.get_or_insert(end);
        wake(&mut state.reader);
        wake(&mut state.putter);
    }

    pub(super) fn abandon(&self) {
        let mut state = self.0.lock();
        (state.abandoned, state.cost) = (true, 0);
        state.pieces = VecDeque::new();
        wake(&mut state.putter);
    }

    /// Whether writing to the stream has become pointless.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self.0.lock().end, Some(End::Reset | End::Lost))
    }

    pub(super) fn poll_read(&self, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        if let Some(piece) = state.pieces.front_mut() {
            let count = piece.len().min(into.remaining());
            into.put_slice(&piece.split_to(count));
            let emptied = piece.is_empty();
            state.cost -= count;
            if emptied {
                state.pieces.pop_front();
                state.cost -= PIECE_COST;
            }
            wake(&mut state.putter);
            return Poll::Ready(Ok(()));
        }
        match state.end {
            Some(End::Finished) => Poll::Ready(Ok(())),
            Some(End::Reset) => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, "the stream was reset")))
            }
            Some(End::Lost) => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream's connection has ended")))
            }
            None => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
