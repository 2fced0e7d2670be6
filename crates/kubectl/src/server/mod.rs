//! The door to an API server: one request, one answer whose body is a stream.
//!
//! This is below `client::Transport` because a client for people needs what programs do not: tables, warnings, and
//! bodies that never end (logs).

mod connection;
mod dial;
mod exec;
mod fetch;
mod https;
mod socket;
#[cfg(test)]
pub(crate) mod testing;
mod tunnel;
mod uri;

use crate::failure::{Failure, Result};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use http::Method;

pub(crate) use connection::Connection;
pub(crate) use dial::check_proxy;
pub(crate) use exec::{Input, Output, Piece, open as open_exec};
pub(crate) use fetch::fetch;
pub(crate) use https::Https;
pub(crate) use tunnel::{Tunnel, open as open_tunnel};
pub(crate) use uri::{resource_path, with_query};

/// No answer that is read whole is larger: a list of 50,000 pods is 138 MB.
const ANSWER_BYTES_MAX: usize = 1 << 30;
/// A longer line of a watch is an error: objects are at most 3 MiB.
const LINE_BYTES_MAX: usize = 8 << 20;

pub(crate) const JSON: &str = "application/json";
pub(crate) const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
pub(crate) const DISCOVERY: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    /// With the query, escaped.
    pub(crate) path: String,
    pub(crate) accept: &'static str,
    pub(crate) content_type: &'static str,
    /// Empty: none.
    pub(crate) body: Bytes,
}

impl Ask {
    pub(crate) fn get(path: String) -> Ask {
        Ask { method: Method::GET, path, accept: JSON, content_type: JSON, body: Bytes::new() }
    }
    pub(crate) fn accept(mut self, accept: &'static str) -> Ask {
        self.accept = accept;
        self
    }
}

pub(crate) type Chunks = BoxStream<'static, Result<Bytes>>;

/// What came back with a code of success; any other is `Failure::Api`.
pub(crate) struct Answer {
    pub(crate) warnings: Vec<String>,
    pub(crate) body: Chunks,
}

#[async_trait]
pub(crate) trait Server: Send + Sync {
    async fn ask(&self, ask: Ask) -> Result<Answer>;
}

/// The whole of a body.
pub(crate) async fn whole(mut body: Chunks) -> Result<Bytes> {
    let mut buffer = BytesMut::new();
    while let Some(chunk) = body.next().await {
        buffer.extend_from_slice(&chunk?);
        if buffer.len() > ANSWER_BYTES_MAX {
            return Err(Failure::message(format!("the answer is larger than {ANSWER_BYTES_MAX} bytes")));
        }
    }
    Ok(buffer.freeze())
}

/// A body cut at its newlines, which stay at the lines' ends; the last line may lack its own.
pub(crate) fn lines(body: Chunks) -> Chunks {
    let state = (body, BytesMut::new(), 0, false);
    futures::stream::unfold(state, |(mut body, mut buffer, mut searched, mut ended)| async move {
        loop {
            if let Some(end) = buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let line = buffer.split_to(searched + end + 1).freeze();
                return Some((Ok(line), (body, buffer, 0, ended)));
            }
            searched = buffer.len();
            if ended {
                let rest = buffer.split().freeze();
                return (!rest.is_empty()).then_some((Ok(rest), (body, buffer, 0, true)));
            }
            if buffer.len() > LINE_BYTES_MAX {
                let error = Failure::message(format!("a line of the answer is longer than {LINE_BYTES_MAX} bytes"));
                buffer.clear();
                return Some((Err(error), (body, buffer, 0, true)));
            }
            match body.next().await {
                Some(Ok(chunk)) => buffer.extend_from_slice(&chunk),
                Some(Err(error)) => {
                    buffer.clear();
                    return Some((Err(error), (body, buffer, 0, true)));
                }
                None => ended = true,
            }
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_cut_across_chunks() {
        let chunks = ["a", "b\nc\n", "", "d"].map(|text| Ok(Bytes::from(text)));
        let cut: Vec<Bytes> = lines(futures::stream::iter(chunks).boxed()).map(|line| line.unwrap()).collect().await;
        assert_eq!(cut, ["ab\n", "c\n", "d"]);
    }
}
