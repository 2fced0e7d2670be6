//! The seats that a request has, until it is answered: what is still being made of a long answer keeps them.
//!
//! Invariant: seats are given back once, whatever becomes of the request. Bound: a client that does not take its answer
//! keeps them no longer than a request may last.

use super::level::Queued;
use super::table::Flow;
use super::with_headers;
use crate::http::{Answer, AnswerBody, Chunks};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;

pub(crate) struct Seat {
    flow: Arc<Flow>,
    width: u32,
    queued: Option<Queued>,
}

impl Seat {
    pub(super) fn new(flow: Arc<Flow>, width: u32, queued: Option<Queued>) -> Seat {
        flow.counts.executing.fetch_add(1, Ordering::Relaxed);
        Seat { flow, width, queued }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.flow.counts.executing.fetch_sub(1, Ordering::Relaxed);
        match &self.queued {
            None => self.flow.level.leave(self.width),
            Some(queued) => self.flow.level.leave_queued(queued, self.width, Instant::now()),
        }
    }
}

/// The answer of a request that has seats, if it needed any.
pub(crate) fn accompany(seat: Option<Seat>, answer: Answer, longest: Duration) -> Answer {
    let Some(seat) = seat else { return answer };
    let answer = with_headers(&seat.flow, answer);
    let body = match answer.body {
        AnswerBody::Chunks(chunks) => {
            AnswerBody::Chunks(Box::new(HeldChunks { chunks, _held: Held::new(seat, longest) }))
        }
        AnswerBody::Stream(stream) => {
            AnswerBody::Stream(HeldStream { stream, held: Some(Held::new(seat, longest)) }.boxed())
        }
        // Made already, or by another server: it only has to be sent. Pieces are cut behind this.
        body @ (AnswerBody::Bytes(_) | AnswerBody::Proxied(_) | AnswerBody::Kept(..) | AnswerBody::Pieces(_)) => body,
    };
    Answer { body, ..answer }
}

/// Seats until this is dropped, or for so long.
struct Held {
    seat: Arc<Mutex<Option<Seat>>>,
    timer: AbortHandle,
}

impl Held {
    fn new(seat: Seat, longest: Duration) -> Held {
        let seat = Arc::new(Mutex::new(Some(seat)));
        let kept = seat.clone();
        let timer = tokio::spawn(async move {
            tokio::time::sleep(longest).await;
            drop(kept.lock().take());
        });
        Held { seat, timer: timer.abort_handle() }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.timer.abort();
        drop(self.seat.lock().take());
    }
}

struct HeldChunks {
    chunks: Box<dyn Chunks>,
    /// Dropped with the body, when its last piece is out.
    _held: Held,
}

impl Chunks for HeldChunks {
    fn next_chunk(&mut self) -> Option<Bytes> {
        self.chunks.next_chunk()
    }

    fn bytes_left(&self) -> u64 {
        self.chunks.bytes_left()
    }
}

/// A watch: its first events are out when it has nothing more to give for the first time.
struct HeldStream {
    stream: BoxStream<'static, Bytes>,
    held: Option<Held>,
}

impl Stream for HeldStream {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let polled = self.stream.poll_next_unpin(context);
        if !matches!(polled, Poll::Ready(Some(_))) {
            self.held = None;
        }
        polled
    }
}
