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
mod restore;
mod shared;
mod upkeep;
mod watch;

pub use claim::Claim;
pub use options::{EtcdOptions, EtcdTls};
pub use restore::{EtcdRestore, EtcdRestoring, check_sizes};

use crate::{KeyValue, Outcome, Range, Revision, Store, StoreError, Txn, Watch};
use async_trait::async_trait;
use keyspace::Keyspace;
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
    /// Finds a member that answers, within the patience of `options`. Refuses an etcd that holds half a state.
    pub async fn open(options: EtcdOptions) -> Result<Etcd, StoreError> {
        let etcd = Etcd::open_whatever(options).await?;
        etcd.inner.check_whole().await?;
        Ok(etcd)
    }

    async fn open_whatever(options: EtcdOptions) -> Result<Etcd, StoreError> {
        let inner = Arc::new(Inner {
            link: Link::new(&options)?,
            keys: Keyspace::new(&options.prefix),
            marks: Marks::new(),
            claim_lasts: options.claim_lasts,
            txn_ops_max: options.txn_ops_max,
            request_bytes_max: options.request_bytes_max,
        });
        inner.read_ahead().await?;
        let upkeep = options.compact_every.map(|every| tokio::spawn(upkeep::run(Arc::downgrade(&inner), every)));
        Ok(Etcd { inner, upkeep: upkeep.map(|task| task.abort_handle()) })
    }

    /// Whether etcd answered when it was last asked.
    pub fn health(&self) -> Result<(), StoreError> {
        self.inner.link.health()
    }

    /// Takes what only one process may have at a time, as the key `key` with the value `holder`, for as long as this
    /// process lives. Waits for as long as somebody else has it.
    pub async fn claim(&self, key: &str, holder: &str) -> Result<Claim, StoreError> {
        let claim = claim::take(&self.inner, key, holder).await?;
        // Who restores looks for claims after it has put its marker: one of both sees the other.
        if let Err(error) = self.inner.check_whole().await {
            claim.release().await?;
            return Err(error);
        }
        Ok(claim)
    }
}

impl Inner {
    /// Puts a key that is absent, else gives what it has. (Twice is as good as once: the second finds the first's.)
    /// Nothing is put into a state that a restore has brought since.
    async fn put_if_absent(&self, attempted: &str, put: PutRequest) -> Result<Option<proto::KeyValue>, StoreError> {
        let range = RangeRequest { key: put.key.clone(), ..RangeRequest::default() };
        let request = TxnRequest {
            compare: vec![Compare::modified_at(put.key.clone(), 0), self.keys.same_state()],
            success: vec![Request::Put(put).into()],
            failure: vec![Request::Range(range).into()],
        };
        match self.link.repeat::<_, TxnResponse>(attempted, TXN, &request).await? {
            Ok(answer) if answer.succeeded => Ok(None),
            Ok(answer) => answer.kvs().next().map(Some).ok_or_else(restore::replaced),
            Err(status) => Err(refused(attempted, &status)),
        }
    }
}

impl Inner {
    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        let attempted = "compacting etcd";
        let Some(theirs) = self.keys.theirs(revision) else { return Ok(()) };
        let request = CompactionRequest { revision: theirs };
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
