//! The second engine: an etcd cluster, over its v3 API (3.4 or newer).
//!
//! Invariants:
//! - All reads are linearizable: they see what any process was told is committed.
//! - A revision is etcd's less one. On an etcd of the store's own they are dense per commit but for its upkeep; where
//!   others write the same etcd there are gaps, and `revision()` is still the newest commit of this store.
//! - Progress notifications of etcd are not used: before 3.4.25 and 3.5.8 they may overtake events. The head key says
//!   how far a watch must have come.

mod claim;
mod commit;
mod keyspace;
mod link;
mod marks;
mod options;
mod proto;
mod read;
mod upkeep;
mod watch;

pub use claim::{Claim, Claimed};
pub use options::{EtcdOptions, EtcdTls};

use crate::{KeyValue, Outcome, Range, Revision, Store, StoreError, Txn, Watch};
use async_trait::async_trait;
use keyspace::{Keyspace, OWNER, theirs};
use link::{Link, refused};
use marks::Marks;
use proto::{
    COMPACT, CompactionRequest, CompactionResponse, Compare, PutRequest, RangeRequest, Request, TXN, TxnRequest,
    TxnResponse,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;

struct Inner {
    link: Link,
    keys: Keyspace,
    marks: Marks,
    claim_lasts: Duration,
    txn_ops_max: usize,
    request_bytes_max: usize,
}

/// A store in etcd. Several processes may have the same one open.
pub struct Etcd {
    inner: Arc<Inner>,
    upkeep: Option<AbortHandle>,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        if let Some(upkeep) = &self.upkeep {
            upkeep.abort();
        }
    }
}

impl Etcd {
    /// Finds a member that answers, within the patience of `options`.
    pub async fn open(options: EtcdOptions) -> Result<Etcd, StoreError> {
        let inner = Arc::new(Inner {
            link: Link::new(&options)?,
            keys: Keyspace::new(&options.prefix),
            marks: Marks::new(),
            claim_lasts: options.claim_lasts,
            txn_ops_max: options.txn_ops_max,
            request_bytes_max: options.request_bytes_max,
        });
        inner.head().await?;
        let upkeep = options.compact_every.map(|every| tokio::spawn(upkeep::run(Arc::downgrade(&inner), every)));
        Ok(Etcd { inner, upkeep: upkeep.map(|task| task.abort_handle()) })
    }

    /// Whether etcd answered when it was last asked.
    pub fn health(&self) -> Result<(), StoreError> {
        self.inner.link.health()
    }

    /// Writes down whose data these are unless that stands there already; what stands there then.
    pub async fn own(&self, owner: &str) -> Result<String, StoreError> {
        let key = self.inner.keys.beside(OWNER);
        let put = PutRequest { key, value: owner.as_bytes().to_vec(), lease: 0 };
        let found = self.inner.put_if_absent("reading from etcd whose data it holds", put).await?;
        Ok(found.map_or_else(|| owner.to_owned(), |kv| String::from_utf8_lossy(&kv.value).into_owned()))
    }

    /// Takes what only one process may have at a time, under the name `name`, for a holder that others are told of.
    /// Where somebody has it, waits for as long as a dead holder's claim would last.
    pub async fn claim(&self, name: &str, holder: &str) -> Result<Claimed, StoreError> {
        claim::take(&self.inner, name, holder).await
    }
}

impl Inner {
    /// Puts a key that is absent, else gives what it has. (Twice is as good as once: the second finds the first's.)
    async fn put_if_absent(&self, attempted: &str, put: PutRequest) -> Result<Option<proto::KeyValue>, StoreError> {
        let range = RangeRequest { key: put.key.clone(), ..RangeRequest::default() };
        let request = TxnRequest {
            compare: vec![Compare::modified_at(put.key.clone(), 0)],
            success: vec![Request::Put(put).into()],
            failure: vec![Request::Range(range).into()],
        };
        match self.link.repeat::<_, TxnResponse>(attempted, TXN, &request).await? {
            Ok(answer) if answer.succeeded => Ok(None),
            Ok(answer) => Ok(answer.kvs().next()),
            Err(status) => Err(refused(attempted, &status)),
        }
    }
}

impl Inner {
    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        let attempted = "compacting etcd";
        let request = CompactionRequest { revision: theirs(revision) };
        match self.link.repeat::<_, CompactionResponse>(attempted, COMPACT, &request).await? {
            Ok(_) => Ok(()),
            Err(status) if read::compacted_already(&status) => Ok(()),
            Err(status) => Err(self.about_revision(attempted, &status, revision).await),
        }
    }
}

#[async_trait]
impl Store for Etcd {
    async fn revision(&self) -> Result<Revision, StoreError> {
        self.inner.head().await
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
        Ok(Box::new(watch::open(&self.inner, prefix, after).await?))
    }
    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.inner.compact(revision).await
    }
}
