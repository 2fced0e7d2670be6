//! The node's image store: pulled or imported once, unpacked once, shared by every container.
//!
//! Several processes may have one store open: changes are made under a file lock, and everyone reads the index again
//! when it changed. Invariants: an image that is listed is whole; a layer is never changed once it is published; what
//! fails leaves nothing but the other images.

mod catalog;
mod error;
mod import;
mod layout;
mod pull;
mod stage;
mod workplace;

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;

use super::digest::Digest;
use super::distribution::Settings;
use super::reference::Reference;
use super::unpack::Limits;
use super::{Credentials, Image, ImageError, ImageStore, Usage};
use catalog::{Catalog, Entry};
use error::{Background, FileError, StoreError, at};
use layout::{Layout, fs_of, read_record, write_whole};
use workplace::Workplace;

/// Says whether something still stacks this directory (one of [`Image::layers`]).
pub type InUse = Arc<dyn Fn(&Path) -> bool + Send + Sync>;

/// How a store behaves.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How registries are reached, and how long they may take.
    pub distribution: Settings,
    /// What a layer may cost.
    pub limits: Limits,
}

/// An image that an archive had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Digest of its configuration.
    pub id: Digest,
    /// What it is called from now on; empty if the archive gave no name.
    pub names: Vec<Reference>,
}

/// Images in a directory.
#[derive(Clone)]
pub struct DiskStore {
    inner: Arc<Inner>,
}

struct Inner {
    layout: Layout,
    options: Options,
    workplace: Workplace,
    seen: Mutex<Seen>,
    pulls: Mutex<HashMap<PullKey, WeakShared<Pull>>>,
    in_use: OnceLock<InUse>,
}

/// Pulls of one image by one user are one: whoever asks meanwhile waits for the first.
type PullKey = (Reference, Option<Credentials>);
type Pull = BoxFuture<'static, Result<String, Arc<StoreError>>>;

/// The index as it was read last.
#[derive(Default)]
struct Seen {
    /// Inode, time and size of the file: every change is a new file.
    stamp: Option<(u64, i64, i64, u64)>,
    catalog: Arc<Catalog>,
    images: Arc<Vec<Arc<Image>>>,
}

impl DiskStore {
    /// Opens the store in `root`, makes it if there is none, and removes what processes that are gone left
    /// unfinished. Blocking, but short.
    pub fn open(root: impl Into<PathBuf>, options: Options) -> Result<DiskStore, ImageError> {
        let open = || -> Result<Inner, FileError> {
            let layout = Layout::create(root.into())?;
            let workplace = Workplace::open(&layout)?;
            let (seen, pulls, in_use) = (Mutex::default(), Mutex::default(), OnceLock::new());
            let inner = Inner { layout, options, workplace, seen, pulls, in_use };
            // A garbled index shows here, not at the first pod.
            inner.snapshot()?;
            Ok(inner)
        };
        let inner = open().map_err(|error| StoreError::from(error).to_contract())?;
        Ok(DiskStore { inner: Arc::new(inner) })
    }

    /// Lets the store free layers that no image has, now and whenever an image is removed, except while `in_use` says
    /// otherwise. Without this none are freed: only who runs the containers knows. The first call counts.
    pub async fn collect_garbage(&self, in_use: InUse) -> Result<(), ImageError> {
        let in_use = self.inner.in_use.get_or_init(|| in_use).clone();
        self.blocking(move |inner| Ok(inner.sweep(&in_use)?)).await
    }

    /// Imports the images of a docker archive or OCI layout: a tar, a compressed tar, or a directory.
    pub async fn import(&self, path: &Path) -> Result<Vec<Imported>, ImageError> {
        let path = path.to_owned();
        self.blocking(move |inner| inner.import(&path)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Inner>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ImageError> {
        let inner = Arc::clone(&self.inner);
        let done = background(move || work(&inner)).await.map_err(StoreError::from);
        done.flatten().map_err(|error| error.to_contract())
    }

    /// The pull that is under way for this key, or a new one. It goes on as long as one of its callers waits.
    fn join_pull(&self, reference: Reference, credentials: Option<Credentials>) -> Shared<Pull> {
        let mut pulls = self.inner.pulls.lock();
        pulls.retain(|_, pull| pull.upgrade().is_some_and(|pull| pull.peek().is_none()));
        let key = (reference.clone(), credentials.clone());
        if let Some(running) = pulls.get(&key).and_then(WeakShared::upgrade) {
            return running;
        }
        let inner = Arc::clone(&self.inner);
        let pull = async move { inner.pull(reference, credentials).await.map_err(Arc::new) }.boxed().shared();
        if let Some(weak) = pull.downgrade() {
            pulls.insert(key, weak);
        }
        pull
    }
}

#[async_trait]
impl ImageStore for DiskStore {
    async fn pull(&self, reference: &str, credentials: Option<&Credentials>) -> Result<String, ImageError> {
        let reference: Reference = reference.parse().map_err(|error| StoreError::Name(error).to_contract())?;
        self.join_pull(reference, credentials.cloned()).await.map_err(|error| error.to_contract())
    }

    async fn resolve(&self, reference: &str) -> Result<Option<Arc<Image>>, ImageError> {
        let reference = reference.to_owned();
        self.blocking(move |inner| {
            let (catalog, images) = inner.refresh()?;
            let found = catalog.find(&reference)?.map(|id| id.to_string());
            Ok(found.and_then(|id| images.iter().find(|image| image.id == id).cloned()))
        })
        .await
    }

    async fn list(&self) -> Result<Vec<Arc<Image>>, ImageError> {
        self.blocking(|inner| Ok(inner.snapshot()?.to_vec())).await
    }

    async fn remove(&self, reference: &str) -> Result<(), ImageError> {
        let reference = reference.to_owned();
        self.blocking(move |inner| inner.remove(&reference)).await
    }

    async fn usage(&self) -> Result<Usage, ImageError> {
        self.blocking(|inner| Ok(inner.usage()?)).await
    }
}

/// Runs what blocks where blocking is allowed.
async fn background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Background> {
    tokio::task::spawn_blocking(work).await.map_err(Background)
}

impl Inner {
    fn remove(&self, reference: &str) -> Result<(), StoreError> {
        {
            let _lock = self.layout.lock()?;
            let mut catalog = self.read_catalog()?;
            let Some(id) = catalog.find(reference)? else { return Ok(()) };
            catalog.remove(&id);
            self.write_catalog(&catalog)?;
        }
        match self.in_use.get() {
            Some(in_use) => Ok(self.sweep(in_use)?),
            None => Ok(()),
        }
    }

    fn usage(&self) -> Result<Usage, FileError> {
        let mut usage = Usage { path: self.layout.root().to_owned(), ..Usage::default() };
        for directory in self.layout.layer_directories()? {
            if let Some(record) = read_record(&directory)? {
                usage.bytes += record.bytes;
                usage.inodes += record.inodes;
            }
        }
        for image in self.snapshot()?.iter() {
            usage.bytes += self.config_bytes(&image.id)?;
            usage.inodes += 1;
        }
        Ok(usage)
    }

    fn config_bytes(&self, id: &str) -> Result<u64, FileError> {
        let Ok(digest) = id.parse() else { return Ok(0) };
        let path = self.layout.config(&digest);
        match path.metadata() {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(at("look at", &path)(error)),
        }
    }

    /// The images, read again if the index changed.
    fn snapshot(&self) -> Result<Arc<Vec<Arc<Image>>>, FileError> {
        self.refresh().map(|(_, images)| images)
    }

    /// Index and images as of now.
    fn refresh(&self) -> Result<(Arc<Catalog>, Arc<Vec<Arc<Image>>>), FileError> {
        let path = self.layout.index();
        let mut seen = self.seen.lock();
        let stamp = match path.metadata() {
            Ok(file) => Some((file.ino(), file.mtime(), file.mtime_nsec(), file.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(at("look at", &path)(error)),
        };
        if stamp != seen.stamp {
            let catalog = Arc::new(self.read_catalog()?);
            let images = catalog.images().filter_map(|(id, entry)| self.whole(&catalog, id, entry)).collect();
            *seen = Seen { stamp, catalog, images: Arc::new(images) };
        }
        Ok((Arc::clone(&seen.catalog), Arc::clone(&seen.images)))
    }

    /// An image that somebody damaged is not listed, so that pulling it again repairs it.
    fn whole(&self, catalog: &Catalog, id: &Digest, entry: &Entry) -> Option<Arc<Image>> {
        match self.load(catalog, id, entry) {
            Ok(image) => Some(Arc::new(image)),
            Err(error) => {
                tracing::warn!(image = %id, %error, "image store: this image is damaged; pull or import it again");
                None
            }
        }
    }

    fn load(&self, catalog: &Catalog, id: &Digest, entry: &Entry) -> Result<Image, FileError> {
        let path = self.layout.config(id);
        let content = std::fs::read(&path).map_err(at("read", &path))?;
        let invalid = |reason| io::Error::new(io::ErrorKind::InvalidData, reason);
        if Digest::of(&content) != *id {
            return Err(at("read", &path)(invalid("its digest is not the image's id".to_owned())));
        }
        let config = stage::parse_config(&content).map_err(invalid).map_err(at("parse", &path))?;
        let mut size_bytes = content.len() as u64;
        let mut layers = Vec::new();
        for chain_id in entry.chain().iter().rev() {
            let directory = self.layout.layer(chain_id);
            let gone = || at("read", &directory)(io::ErrorKind::NotFound.into());
            size_bytes += self.layout.layer_record(chain_id)?.ok_or_else(gone)?.bytes;
            layers.push(fs_of(&directory));
        }
        if layers.is_empty() {
            layers.push(self.layout.empty_layer());
        }
        let (tags, digests) = catalog.names_of(id);
        Ok(Image { id: id.to_string(), tags, digests, size_bytes, config, layers, pinned: false })
    }

    fn read_catalog(&self) -> Result<Catalog, FileError> {
        let path = self.layout.index();
        match std::fs::read(&path) {
            Ok(content) => {
                let invalid = |reason| io::Error::new(io::ErrorKind::InvalidData, reason);
                Catalog::decode(&content).map_err(invalid).map_err(at("parse", &path))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Catalog::default()),
            Err(error) => Err(at("read", &path)(error)),
        }
    }

    /// Only under the lock.
    fn write_catalog(&self, catalog: &Catalog) -> Result<(), FileError> {
        write_whole(&self.layout.index(), &catalog.encode(), self.workplace.path())
    }
}
