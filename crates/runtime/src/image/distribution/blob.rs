//! One blob as a stream of chunks, resumed where it broke.
//!
//! Sizes are checked here; the digest by whoever receives the bytes, before they are kept.

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::mpsc::Sender;
use tokio::time::timeout;

use super::error::chain;
use super::{Descriptor, RegistryError, Repository};

/// Chunks between network and disk. hyper's are at most some 400 KiB, so that this bounds a layer at a few MiB.
pub(crate) const CHUNKS_MAX: usize = 8;

/// A piece of a blob. A stream that closes without `End` broke.
#[derive(Debug)]
pub(crate) enum Chunk {
    Data(Bytes),
    End,
}

/// How far a blob has come.
struct Progress<'a> {
    descriptor: &'a Descriptor,
    received: u64,
    sink: &'a Sender<Chunk>,
}

impl Repository {
    /// Sends the whole blob, and `End` behind it only if its size is right.
    pub(crate) async fn stream(&self, descriptor: &Descriptor, sink: Sender<Chunk>) -> Result<(), RegistryError> {
        let mut progress = Progress { descriptor, received: 0, sink: &sink };
        let mut attempt = 1;
        loop {
            match self.advance(&mut progress).await {
                Ok(()) => break,
                Err(error) if error.may_pass() && attempt < self.transport.timing.attempts => {
                    self.transport.pause(&mut attempt, &error).await;
                }
                Err(error) => return Err(error),
            }
        }
        sink.send(Chunk::End).await.map_err(|_| RegistryError::Abandoned)
    }

    async fn advance(&self, progress: &mut Progress<'_>) -> Result<(), RegistryError> {
        if progress.received > 0 && progress.received == progress.descriptor.size {
            return Ok(());
        }
        let exchange = self.blob_exchange(&progress.descriptor.digest, progress.received);
        let response = self.transport.send(&exchange).await?;
        // A registry that does not know ranges sends all of it again.
        let resumed = response.status() == StatusCode::PARTIAL_CONTENT;
        let mut known = if resumed { 0 } else { progress.received };
        let mut body: Incoming = response.into_body();
        loop {
            let silence = self.transport.timing.silence;
            let frame = timeout(silence, body.frame())
                .await
                .map_err(|_| RegistryError::Stalled { what: progress.what(), after: silence })?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| progress.truncated(chain(&error)))?;
            let Ok(mut data) = frame.into_data() else { continue };
            let skipped = known.min(data.len() as u64);
            known -= skipped;
            // `skipped` is at most the length of a chunk in memory.
            let fresh = data.split_off(usize::try_from(skipped).unwrap_or(data.len()));
            progress.push(fresh).await?;
        }
        if progress.received < progress.descriptor.size {
            return Err(progress.truncated("the body ended".to_owned()));
        }
        Ok(())
    }
}

impl Progress<'_> {
    async fn push(&mut self, data: Bytes) -> Result<(), RegistryError> {
        if data.is_empty() {
            return Ok(());
        }
        self.received += data.len() as u64;
        if self.received > self.descriptor.size {
            let (got, expected) = (self.received, self.descriptor.size);
            return Err(RegistryError::Size { what: self.what(), got, expected });
        }
        self.sink.send(Chunk::Data(data)).await.map_err(|_| RegistryError::Abandoned)
    }

    fn what(&self) -> String {
        format!("blob {}", self.descriptor.digest)
    }

    fn truncated(&self, reason: String) -> RegistryError {
        RegistryError::Truncated { what: self.what(), received: self.received, expected: self.descriptor.size, reason }
    }
}
