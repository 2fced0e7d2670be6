//! From a registry into the store: layers in parallel, each byte handled once.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures::stream::{self, StreamExt};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::error::{Background, Fault, FileError, StoreError};
use super::stage::{Plan, Published, Staged, StagedLayer};
use super::{Inner, background};
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
        let settings = &self.options.distribution;
        let repository = Repository::new(&reference, credentials.as_ref(), settings).map_err(unresolved)?;
        if let Some(id) = self.unchanged(&reference, &repository).await? {
            return Ok(id.to_string());
        }
        let resolved = repository.resolve().await.map_err(unresolved)?;
        Box::pin(self.fetch(&reference, &repository, resolved)).await.map(|id| id.to_string()).map_err(failed)
    }

    /// The image, if the store has what the name means now. Asking is a HEAD, which registries do not ration.
    async fn unchanged(
        self: &Arc<Self>,
        reference: &Reference,
        repository: &Repository,
    ) -> Result<Option<Digest>, StoreError> {
        let Some(id) = self.listed(reference).await? else { return Ok(None) };
        let digest = match repository.head().await {
            Ok(Some(digest)) => digest,
            // Not every registry knows HEAD; GET will say what is wrong.
            Ok(None) | Err(RegistryError::Status { .. } | RegistryError::NotFound { .. }) => return Ok(None),
            Err(fault) => return Err(StoreError::Resolve { reference: reference.to_string(), fault }),
        };
        // A tag that means another image by now goes the long way, which finds the layers that both have.
        let current = self.listed(&reference.with_digest(digest)).await?;
        Ok(current.filter(|current| *current == id))
    }

    /// The image that the store has whole under this complete name.
    async fn listed(self: &Arc<Self>, reference: &Reference) -> Result<Option<Digest>, StoreError> {
        let (inner, reference) = (Arc::clone(self), reference.clone());
        let look = move || -> Result<Option<Digest>, FileError> {
            let (catalog, images) = inner.refresh()?;
            let id = catalog.named(&reference).map(|id| (id, id.to_string()));
            Ok(id.filter(|(_, text)| images.iter().any(|image| image.id == *text)).map(|(id, _)| id.clone()))
        };
        Ok(background(look).await??)
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
        let mut held = Held::default();
        for _ in 0..ROUNDS_MAX {
            self.fetch_missing(repository, &plan, &layers, &mut held).await?;
            let (inner, plan_, staged, names) = (Arc::clone(self), Arc::clone(&plan), held.take(), names.clone());
            let publish = move || inner.publish(&plan_, &staged, &names).map(|published| (published, staged));
            let (published, staged) = background(publish).await??;
            if published == Published::Done {
                return Ok(plan.id.clone());
            }
            held.staged = staged;
        }
        Err(Fault::Raced)
    }

    /// Stages what the store lacks. When this returns an error, nothing of the image is on disk any more.
    async fn fetch_missing(
        self: &Arc<Self>,
        repository: &Repository,
        plan: &Arc<Plan>,
        layers: &[Descriptor],
        held: &mut Held,
    ) -> Result<(), Fault> {
        let (inner, plan_, staged) = (Arc::clone(self), Arc::clone(plan), held.take());
        let look = move || inner.missing(&plan_, &staged).map(|missing| (missing, staged));
        let (missing, staged) = background(look).await??;
        held.staged = staged;
        let unpacking = TaskTracker::new();
        let outcome = {
            let mut fetching = stream::iter(missing)
                .map(|position| self.fetch_layer(repository, plan, &layers[position], position, &unpacking))
                .buffer_unordered(LAYERS_AT_ONCE);
            loop {
                match fetching.next().await {
                    None => break Ok(()),
                    Some(Ok((chain_id, layer))) => held.staged.insert(chain_id, layer),
                    Some(Err(fault)) => break Err(fault),
                };
            }
        };
        if outcome.is_err() {
            // The other layers' transfers ended with the loop; their tasks see that, and clean up.
            unpacking.close();
            unpacking.wait().await;
            let staged = held.take();
            background(move || drop(staged)).await?;
        }
        outcome
    }

    async fn fetch_layer(
        self: &Arc<Self>,
        repository: &Repository,
        plan: &Plan,
        layer: &Descriptor,
        position: usize,
        tasks: &TaskTracker,
    ) -> Result<(Digest, StagedLayer), Fault> {
        let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
        let blob = Some((layer.digest.clone(), layer.size));
        let expected = Expected { blob, diff_id: plan.diff_ids[position].clone() };
        let inner = Arc::clone(self);
        let unpacking = tasks.spawn_blocking(move || {
            StagedLayer::unpack(&inner, ChunkReader { receiver, current: Bytes::new(), ended: false }, &expected)
        });
        let sent = repository.stream(layer, sender).await;
        let unpacked = unpacking.await.map_err(Background)?;
        match sent {
            // The receiving side gave up first, and knows why.
            Ok(()) | Err(RegistryError::Abandoned) => Ok((plan.chain[position].clone(), unpacked?)),
            Err(error) => Err(error.into()),
        }
    }
}

/// Layers that a pull has. Trees may be large: when the pull is abandoned they are removed where blocking is allowed.
#[derive(Default)]
struct Held {
    staged: Staged,
}

impl Held {
    fn take(&mut self) -> Staged {
        std::mem::take(&mut self.staged)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let staged = self.take();
        if !staged.is_empty()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn_blocking(move || drop(staged));
        }
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
