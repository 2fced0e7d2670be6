//! A store in a temporary directory, and what must hold of it after any failure.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use runtime::image::{DiskStore, ImageStore, Limits, Options, RegistryOptions, Settings, Timing};
use tempfile::TempDir;

pub(crate) struct Store {
    pub(crate) root: TempDir,
    pub(crate) store: DiskStore,
}

/// Tries again at once.
pub(crate) fn timing() -> Timing {
    let patience = Duration::from_secs(60);
    Timing { answer: patience, silence: patience, attempts: 3, back_off: Duration::from_millis(1) }
}

impl Store {
    /// A store that speaks plain HTTP to this registry.
    pub(crate) fn new(registry: &str) -> Store {
        Store::timed(registry, timing())
    }

    pub(crate) fn timed(registry: &str, timing: Timing) -> Store {
        let plain = RegistryOptions { plain_http: true, ..RegistryOptions::default() };
        let registries = HashMap::from([(registry.to_owned(), plain)]);
        Store::with(Options { distribution: Settings { registries, timing }, limits: Limits::default() })
    }

    pub(crate) fn with(options: Options) -> Store {
        let root = tempfile::tempdir().unwrap();
        let store = DiskStore::open(root.path(), options).unwrap();
        Store { root, store }
    }

    pub(crate) fn import_only() -> Store {
        Store::with(Options::default())
    }

    pub(crate) async fn import_bytes(
        &self,
        archive: &[u8],
    ) -> Result<Vec<runtime::image::Imported>, runtime::image::ImageError> {
        let file = self.root.path().join("archive");
        std::fs::write(&file, archive).unwrap();
        let imported = self.store.import(&file).await;
        std::fs::remove_file(&file).unwrap();
        imported
    }

    /// The layers of the image, the topmost first.
    pub(crate) async fn layers(&self, name: &str) -> Vec<PathBuf> {
        self.store.resolve(name).await.unwrap().expect("the image is there").layers.clone()
    }

    /// Nothing half-written: no layer, no configuration, no image, nothing in the workplace.
    pub(crate) async fn assert_empty(&self) {
        assert_eq!(self.store.list().await.unwrap().len(), 0);
        self.assert_no_unfinished_work();
        assert_eq!(names(&self.root.path().join("layers")), ["empty"]);
        assert_eq!(names(&self.root.path().join("configs")), Vec::<String>::new());
    }

    pub(crate) fn assert_no_unfinished_work(&self) {
        assert_eq!(self.unfinished(), Vec::<String>::new());
    }

    /// What is in the workplaces of all processes.
    pub(crate) fn unfinished(&self) -> Vec<String> {
        let tmp = self.root.path().join("tmp");
        names(&tmp).iter().flat_map(|workplace| names(&tmp.join(workplace))).collect()
    }
}

pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Waits until it holds; what it waits for tells no one.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether the tests may make devices and give files away. Says so when not.
pub(crate) fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED {test}: needs root");
    }
    root
}
