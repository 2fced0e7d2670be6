//! What becomes of readers, writers and watchers when the store is lost, and when the follower falls behind it.

use crate::open::Open;
use api::user::User;
use api::{Kind, Reason};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::ConfigMap;
use registry::{ListQuery, Notes, Options, Registry, Selection, Start, Write};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use store::{KeyValue, Outcome, Range, Revision, Store, StoreError, Txn, Watch};
use tokio::sync::Notify;

/// The store on disk, whose watches fail once when told to.
struct Failing {
    inner: store::Embedded,
    failure: Arc<Failure>,
}

#[derive(Default)]
struct Failure {
    tell: Notify,
    compacted: AtomicBool,
    /// Whether nobody answers what the newest revision is; and how often that was asked.
    away: AtomicBool,
    questions: AtomicUsize,
}

struct FailingWatch {
    inner: Box<dyn Watch>,
    failure: Arc<Failure>,
}

#[async_trait]
impl Watch for FailingWatch {
    async fn next(&mut self) -> Result<Vec<store::Event>, StoreError> {
        tokio::select! {
            biased;
            () = self.failure.tell.notified() => {
                if self.failure.compacted.load(Ordering::Relaxed) {
                    return Err(StoreError::Compacted { asked: Revision(0), oldest: Revision(1) });
                }
                Err(StoreError::Closed { reason: "the disk is gone".to_owned() })
            }
            events = self.inner.next() => events,
        }
    }
}

#[async_trait]
impl Store for Failing {
    async fn revision(&self) -> Result<Revision, StoreError> {
        if !self.failure.away.load(Ordering::Relaxed) {
            return self.inner.revision().await;
        }
        self.failure.questions.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        let source = std::io::Error::other("nobody answers");
        Err(StoreError::Io { attempted: "asking".to_owned(), source })
    }
    async fn get(&self, key: &str) -> Result<Option<KeyValue>, StoreError> {
        self.inner.get(key).await
    }
    async fn range(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<Range, StoreError> {
        self.inner.range(prefix, after, limit, at).await
    }
    async fn commit(&self, txn: Txn) -> Result<Outcome, StoreError> {
        self.inner.commit(txn).await
    }
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, StoreError> {
        let inner = self.inner.watch(prefix, after).await?;
        Ok(Box::new(FailingWatch { inner, failure: self.failure.clone() }))
    }
    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.inner.compact(revision).await
    }
}

async fn open(dir: &tempfile::TempDir) -> (Arc<Registry>, Arc<Failure>) {
    open_with(dir, Options::default()).await
}

async fn open_with(dir: &tempfile::TempDir, options: Options) -> (Arc<Registry>, Arc<Failure>) {
    let inner = store::Embedded::open(dir.path(), store::Options::default()).unwrap();
    let failure = Arc::<Failure>::default();
    let store = Arc::new(Failing { inner, failure: failure.clone() });
    (Registry::open(store, options).await.unwrap(), failure)
}

async fn create(registry: &Registry, name: &str) -> Result<(), api::Status> {
    let maps = registry.resource(&ConfigMap::DEF).unwrap();
    let user = User::component("test");
    let write = Write {
        user: &user,
        admission: &Open,
        dry_run: false,
        subresource: None,
        manager: Some("test"),
        options: None,
        notes: Notes::unheard(),
        fence: None,
    };
    let object = maps.kind.from_value(json!({"metadata": {"name": name}})).unwrap();
    registry.create(&maps, &write, "ns", object).await.map(drop)
}

#[tokio::test]
async fn a_lost_store_is_told_to_everybody() {
    let dir = tempfile::tempdir().unwrap();
    let (registry, failure) = open(&dir).await;
    create(&registry, "a").await.unwrap();
    let maps = registry.resource(&ConfigMap::DEF).unwrap();
    let mut watcher = registry.watch(&maps, Selection::all("ns"), Start::Now).await.unwrap();
    assert!(watcher.try_next().unwrap().is_none());
    failure.tell.notify_one();
    watcher.changed().await;
    assert_eq!(watcher.try_next().unwrap_err().reason, Reason::ServiceUnavailable);
    let refused = create(&registry, "b").await.unwrap_err();
    assert_eq!(refused.message, "the store cannot be followed: the store is closed: the disk is gone");
    let query = ListQuery::all(Selection::all("ns"));
    assert_eq!(registry.list(&maps, &query).await.unwrap_err().code, 503);
    assert!(registry.health().is_err());
    assert_eq!(registry.lost().await, "the store is closed: the disk is gone");
}

/// All who ask while the store is away are told after its patience, not after that of those before them as well.
#[tokio::test]
async fn who_asks_a_store_that_is_away_does_not_queue() {
    let dir = tempfile::tempdir().unwrap();
    let (registry, failure) = open_with(&dir, Options { exclusive: false, ..Options::default() }).await;
    let maps = registry.resource(&ConfigMap::DEF).unwrap();
    failure.away.store(true, Ordering::Relaxed);
    let query = ListQuery::all(Selection::all("ns"));
    let answers = futures::future::join_all((0..10).map(|_| registry.list(&maps, &query))).await;
    assert!(
        answers.iter().all(|answer| answer.as_ref().is_err_and(|status| status.message.contains("nobody answers")))
    );
    // Whoever asked while a question was under way is answered by the next.
    assert_eq!(failure.questions.load(Ordering::Relaxed), 2);
    failure.away.store(false, Ordering::Relaxed);
    registry.list(&maps, &query).await.unwrap();
}

#[tokio::test]
async fn a_follower_that_fell_behind_loads_anew_and_ends_watches() {
    let dir = tempfile::tempdir().unwrap();
    let (registry, failure) = open(&dir).await;
    create(&registry, "a").await.unwrap();
    let maps = registry.resource(&ConfigMap::DEF).unwrap();
    let mut watcher = registry.watch(&maps, Selection::all("ns"), Start::Now).await.unwrap();
    assert!(watcher.try_next().unwrap().is_none());
    failure.compacted.store(true, Ordering::Relaxed);
    failure.tell.notify_one();
    watcher.changed().await;
    assert_eq!(watcher.try_next().unwrap_err().reason, Reason::Expired);
    create(&registry, "b").await.unwrap();
    let listing = registry.list(&maps, &ListQuery::all(Selection::all("ns"))).await.unwrap();
    assert_eq!(listing.entries.len(), 2);
    let again = registry.watch(&maps, Selection::all("ns"), Start::After(listing.revision)).await;
    assert!(again.unwrap().try_next().unwrap().is_none());
}
