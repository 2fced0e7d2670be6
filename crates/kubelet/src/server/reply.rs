//! Answers of the server.

use bytes::Bytes;
use http::Response;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use std::io;
use tokio::sync::mpsc::Receiver;

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// What comes through a channel, until it ends.
pub(super) fn chunked(chunks: Receiver<Bytes>) -> Body {
    let frames = futures::stream::unfold(chunks, |mut chunks| async move {
        let chunk = chunks.recv().await?;
        Some((Ok::<_, io::Error>(Frame::data(chunk)), chunks))
    });
    StreamBody::new(frames).boxed_unsync()
}

pub(super) fn answer(code: u16, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert("content-type", http::HeaderValue::from_static(content_type));
    response
}

pub(super) fn text(code: u16, text: impl Into<String>) -> Response<Body> {
    answer(code, "text/plain; charset=utf-8", full(text.into()))
}

pub(super) fn json(value: &impl serde::Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(bytes) => answer(200, "application/json", full(bytes)),
        Err(error) => text(500, format!("encoding the answer: {error}")),
    }
}
