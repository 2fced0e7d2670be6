//! What an answer's body is made of: bytes at once, or chunks made as the client takes them.

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Makes a body piece by piece; its length is known beforehand.
pub(crate) trait Chunks: Send {
    fn next_chunk(&mut self) -> Option<Bytes>;
    /// Of what is still to come.
    fn bytes_left(&self) -> u64;
}

pub(crate) enum AnswerBody {
    Bytes(Bytes),
    Chunks(Box<dyn Chunks>),
    /// As chunks, of a length that nobody knows beforehand.
    Pieces(Box<dyn Iterator<Item = Bytes> + Send>),
    /// Until it ends by itself: watches, logs.
    Stream(BoxStream<'static, Bytes>),
    /// What another server sends.
    Proxied(hyper::body::Incoming),
    /// A body, and what is dropped when it ends or is given up.
    Kept(Box<AnswerBody>, Box<dyn std::any::Any + Send>),
}

impl AnswerBody {
    pub(crate) fn empty() -> AnswerBody {
        AnswerBody::Bytes(Bytes::new())
    }
}

impl std::fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AnswerBody::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            AnswerBody::Chunks(chunks) => write!(f, "{} bytes in chunks", chunks.bytes_left()),
            AnswerBody::Pieces(_) => f.write_str("pieces"),
            AnswerBody::Stream(_) => f.write_str("a stream"),
            AnswerBody::Proxied(_) => f.write_str("another server's body"),
            AnswerBody::Kept(body, _) => body.fmt(f),
        }
    }
}

/// Why a body could not be sent to its end.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let wrap = |chunk: Option<Bytes>| chunk.map(|chunk| Ok(Frame::data(chunk)));
        match self.get_mut() {
            AnswerBody::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            AnswerBody::Bytes(bytes) => Poll::Ready(wrap(Some(std::mem::take(bytes)))),
            AnswerBody::Chunks(chunks) => Poll::Ready(wrap(chunks.next_chunk())),
            AnswerBody::Pieces(pieces) => Poll::Ready(wrap(pieces.next())),
            AnswerBody::Stream(stream) => stream.poll_next_unpin(context).map(wrap),
            AnswerBody::Proxied(body) => {
                Pin::new(body).poll_frame(context).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
            AnswerBody::Kept(body, _) => Pin::new(body.as_mut()).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            AnswerBody::Bytes(bytes) => bytes.is_empty(),
            AnswerBody::Proxied(body) => body.is_end_stream(),
            AnswerBody::Kept(body, _) => body.is_end_stream(),
            AnswerBody::Chunks(_) | AnswerBody::Pieces(_) | AnswerBody::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            AnswerBody::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            AnswerBody::Chunks(chunks) => SizeHint::with_exact(chunks.bytes_left()),
            AnswerBody::Proxied(body) => body.size_hint(),
            AnswerBody::Kept(body, _) => body.size_hint(),
            AnswerBody::Pieces(_) | AnswerBody::Stream(_) => SizeHint::default(),
        }
    }
}

impl AnswerBody {
    /// The whole body in memory: for the in-process client, and for tests.
    pub(crate) async fn collect(self) -> Result<Bytes, BodyError> {
        match self {
            AnswerBody::Bytes(bytes) => Ok(bytes),
            AnswerBody::Chunks(mut chunks) => {
                let length = usize::try_from(chunks.bytes_left())?;
                let mut all = Vec::with_capacity(length);
                while let Some(chunk) = chunks.next_chunk() {
                    all.extend_from_slice(&chunk);
                }
                Ok(Bytes::from(all))
            }
            AnswerBody::Pieces(pieces) => Ok(Bytes::from(pieces.collect::<Vec<Bytes>>().concat())),
            AnswerBody::Stream(stream) => {
                let all: Vec<Bytes> = stream.collect().await;
                Ok(Bytes::from(all.concat()))
            }
            AnswerBody::Proxied(body) => Ok(http_body_util::BodyExt::collect(body).await?.to_bytes()),
            AnswerBody::Kept(body, _kept) => Box::pin(body.collect()).await,
        }
    }

    pub(crate) fn stream(stream: impl Stream<Item = Bytes> + Send + 'static) -> AnswerBody {
        AnswerBody::Stream(stream.boxed())
    }
}
