//! From a registry into the store: layers in parallel, each byte handled once.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::mpsc;

use super::Inner;
use super::error::{Fault, StoreError};
use super::stage::{Plan, Published, Staged, StagedLayer};
use crate::image::Credentials;
use crate::image::digest::Digest;
use crate::image::distribution::{Chunk, RegistryError, Repository, Resolved};
use crate::image::manifest::{CONFIG_BYTES_MAX, Descriptor};
use crate::image::reference::Reference;
use crate::image::unpack::Expected;

/// Layers of one image that are fetched at once, as in containerd.
const LAYERS_AT_ONCE: usize = 3;
/// Chunks between the network and the disk.
const CHUNKS_MAX: usize = 8;
/// How often layers may be removed under a pull before it gives up.
const ROUNDS_MAX: usize = 3;

impl Inner {
    /// Makes the image present, and answers its id.
    pub(super) async fn pull(
        self: Arc<Self>,
        reference: Reference,
        credentials: Option<Credentials>,
    ) -> Result<String, StoreError> {
        let name = reference.to_string();
        let unresolved = |fault| StoreError::Resolve { reference: name.clone(), fault };
        let failed = |fault| StoreError::Pull { reference: name.clone(), fault };
        let settings = &self.options.registries;
        let repository = Repository::new(&reference, credentials.as_ref(), settings).map_err(unresolved)?;
        if let Some(id) = self.unchanged(&reference, &repository).await? {
            return Ok(id.to_string());
        }
        let resolved = repository.resolve().await.map_err(unresolved)?;
        Box::pin(self.fetch(&reference, &repository, resolved)).await.map(|id| id.to_string()).map_err(failed)
    }

    /// The image, if the store has what the name means now. Asking is a HEAD, which registries do not ration.
    async fn unchanged(&self, reference: &Reference, repository: &Repository) -> Result<Option<Digest>, StoreError> {
        if self.catalog()?.named(reference).is_none() {
            return Ok(None);
        }
        let digest = match repository.head().await {
            Ok(Some(digest)) => digest,
            // Not every registry knows HEAD; GET will say what is wrong.
            Ok(None) | Err(RegistryError::Status { .. } | RegistryError::NotFound { .. }) => return Ok(None),
            Err(fault) => return Err(StoreError::Resolve { reference: reference.to_string(), fault }),
        };
        let by_digest = reference.with_digest(digest);
        let catalog = self.catalog()?;
        let Some(id) = catalog.named(&by_digest) else { return Ok(None) };
        let whole = self.snapshot()?.iter().any(|image| image.id == id.to_string());
        // A tag that means another image by now goes the long way, which finds its layers present.
        Ok((whole && catalog.named(reference) == Some(id)).then(|| id.clone()))
    }

    async fn fetch(
        self: &Arc<Self>,
        reference: &Reference,
        repository: &Repository,
        resolved: Resolved,
    ) -> Result<Digest, Fault> {
        let config = repository.blob(&resolved.manifest.config, CONFIG_BYTES_MAX).await?;
        let layers = resolved.manifest.layers;
        let plan = Arc::new(Plan::new(config.to_vec(), layers.len())?);
        let names = [reference.clone(), reference.with_digest(resolved.digest)];
        let mut staged = Staged::new();
        for _ in 0..ROUNDS_MAX {
            let missing = self.missing(&plan, &staged)?;
            let fetched: Vec<(Digest, StagedLayer)> = stream::iter(missing)
                .map(|position| self.fetch_layer(repository, &plan, &layers[position], position))
                .buffer_unordered(LAYERS_AT_ONCE)
                .try_collect()
                .await?;
            staged.extend(fetched);
            let (published, rest) = self.publish_in_background(&plan, staged, names.to_vec()).await?;
            match published {
                Published::Done => return Ok(plan.id.clone()),
                Published::LayersMissing => staged = rest,
            }
        }
        Err(Fault::Raced)
    }

    async fn fetch_layer(
        self: &Arc<Self>,
        repository: &Repository,
        plan: &Arc<Plan>,
        layer: &Descriptor,
        position: usize,
    ) -> Result<(Digest, StagedLayer), Fault> {
        let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
        let blob = Some((layer.digest.clone(), layer.size));
        let expected = Expected { blob, diff_id: plan.diff_ids[position].clone() };
        let inner = Arc::clone(self);
        let unpacking = tokio::task::spawn_blocking(move || {
            StagedLayer::unpack(&inner, ChunkReader { receiver, current: Bytes::new(), ended: false }, &expected)
        });
        let sent = repository.stream(layer, sender).await;
        let unpacked = unpacking.await?;
        match sent {
            // The receiving side gave up first, and knows why.
            Err(RegistryError::Abandoned) => {}
            Err(error) => return Err(error.into()),
            Ok(()) => {}
        }
        Ok((plan.chain[position].clone(), unpacked?))
    }

    async fn publish_in_background(
        self: &Arc<Self>,
        plan: &Arc<Plan>,
        staged: Staged,
        names: Vec<Reference>,
    ) -> Result<(Published, Staged), Fault> {
        let (inner, plan) = (Arc::clone(self), Arc::clone(plan));
        let task = move || inner.publish(&plan, &staged, &names).map(|published| (published, staged));
        Ok(tokio::task::spawn_blocking(task).await??)
    }
}

/// The receiving end of a blob, for blocking readers.
struct ChunkReader {
    receiver: mpsc::Receiver<Chunk>,
    current: Bytes,
    ended: bool,
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Chunk::Data(data)) => self.current = data,
                Some(Chunk::End) => self.ended = true,
                // The sender is gone without a word: the transfer broke, or nobody wants it any more.
                None => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the transfer broke off")),
            }
        }
        let read = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..read]);
        Ok(read)
    }
}
