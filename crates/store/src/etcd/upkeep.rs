//! Periodic compaction, by one of all processes that use the same etcd.
//!
//! Invariants: what is forgotten was history for a whole period at least. Who compacts is who first writes the mark
//! that all of them saw a period ago; the others wait for the next.

use super::Inner;
use super::keyspace::COMPACTED;
use super::link::refused;
use super::proto::{Compare, PutRequest, RangeRequest, Request, TXN, TxnRequest, TxnResponse};
use crate::{Revision, StoreError};
use std::sync::Weak;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

#[derive(Default)]
struct Upkeep {
    /// When the mark was last written, in etcd's count; 0: never.
    mark: i64,
    /// The newest commit a period ago.
    then: Revision,
}

/// Ends with the store.
pub(super) async fn run(inner: Weak<Inner>, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut upkeep = Upkeep::default();
    loop {
        ticks.tick().await;
        let Some(inner) = inner.upgrade() else { return };
        if let Err(error) = upkeep.tick(&inner).await {
            tracing::warn!(%error, "etcd's history was not compacted; it is tried again in {every:?}");
        }
    }
}

impl Upkeep {
    async fn tick(&mut self, inner: &Inner) -> Result<(), StoreError> {
        let now = inner.head().await?;
        let then = std::mem::replace(&mut self.then, now);
        if self.is_mine(inner, now).await? && then > Revision(0) {
            inner.compact(then).await?;
            tracing::debug!(revision = %then, "etcd's history was compacted");
        }
        Ok(())
    }

    async fn is_mine(&mut self, inner: &Inner, now: Revision) -> Result<bool, StoreError> {
        let attempted = "marking a compaction in etcd";
        let key = inner.keys.beside(COMPACTED);
        let put = PutRequest { key: key.clone(), value: now.to_string().into_bytes(), lease: 0 };
        let request = TxnRequest {
            compare: vec![Compare::modified_at(key.clone(), self.mark)],
            success: vec![Request::Put(put).into()],
            failure: vec![Request::Range(RangeRequest { key, ..RangeRequest::default() }).into()],
        };
        // An answer that was lost looks like another's mark at the second try: this period nobody compacts.
        let answer: TxnResponse = match inner.link.repeat(attempted, TXN, &request).await? {
            Ok(answer) => answer,
            Err(status) => return Err(refused(attempted, &status)),
        };
        if answer.succeeded {
            self.mark = answer.header.unwrap_or_default().revision;
            return Ok(true);
        }
        let seen = answer.kvs().next();
        self.mark = seen.map_or(0, |kv| kv.mod_revision);
        tracing::trace!(mark = %inner.keys.ours(self.mark), "another process compacts");
        Ok(false)
    }
}
