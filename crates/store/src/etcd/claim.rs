//! Claims: what only one of all processes on the same etcd may have at a time.
//!
//! Invariants: a claim is a key of the data that lives as long as its lease does in etcd, renewed by its holder. The
//! holder may learn late that it has ended; what must not happen after its end is committed with a check of `fence`:
//! etcd itself then refuses it.

use super::link::{Failure, refused};
use super::proto::{
    GRANT, GrantRequest, GrantResponse, KEEP_ALIVE, LeaseRequest, LeaseResponse, PutRequest, RANGE, REVOKE,
    RangeRequest, RangeResponse,
};
use super::{Inner, watch};
use crate::{Key, Revision, StoreError, Watch as _};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

/// Renewals within the time that a claim lasts, so that some may be lost or late.
const RENEWALS: u32 = 5;
/// A member that takes longer than this part of it hangs: there must be time left to ask another.
const PATIENCES: u32 = 2;
/// After another was faster, or a lease that ended before it was used.
const PAUSE: Duration = Duration::from_millis(200);

/// Renewed until it is released, lost or dropped.
pub struct Claim {
    inner: Arc<Inner>,
    lease: i64,
    key: Key,
    at: Revision,
    renewal: JoinHandle<StoreError>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl Claim {
    /// The key, and the revision at which it is as long as the claim is ours: to be checked (`Expect::At`) in every
    /// transaction that only the holder may make.
    pub fn fence(&self) -> (Key, Revision) {
        (self.key.clone(), self.at)
    }

    /// What else is put with it ends when the claim does.
    pub(super) fn lease(&self) -> i64 {
        self.lease
    }

    /// Returns when it has ended in etcd, so that another may have it.
    pub async fn lost(&mut self) -> StoreError {
        match (&mut self.renewal).await {
            Ok(error) => error,
            Err(error) => ended(&error.to_string()),
        }
    }

    /// Lets others have it at once.
    pub async fn release(self) -> Result<(), StoreError> {
        self.renewal.abort();
        revoke(&self.inner, self.lease).await
    }
}

pub(super) async fn take(inner: &Arc<Inner>, key: &str, holder: &str) -> Result<Claim, StoreError> {
    let (lease, at) = loop {
        free(inner, key).await?;
        if let Some(taken) = attempt(inner, key, holder).await? {
            break taken;
        }
        tokio::time::sleep(PAUSE).await;
    };
    let key: Key = key.into();
    let renewal = tokio::spawn(keep(inner.clone(), lease, key.clone(), at));
    Ok(Claim { inner: inner.clone(), lease, key, at, renewal })
}

/// Returns when nobody has the claim.
async fn free(inner: &Arc<Inner>, key: &str) -> Result<(), StoreError> {
    if inner.get(key).await?.is_none() {
        return Ok(());
    }
    loop {
        // Begun before the key is looked at again, so that its end is in the one or the other.
        let mut events = watch::open(inner, key, inner.head().await?).await?;
        while inner.get(key).await?.is_some() {
            match events.next().await {
                Ok(_) => {}
                Err(StoreError::Compacted { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        if inner.get(key).await?.is_none() {
            return Ok(());
        }
    }
}

/// The lease and the revision, unless another was first.
async fn attempt(inner: &Inner, key: &str, holder: &str) -> Result<Option<(i64, Revision)>, StoreError> {
    let attempted = "claiming in etcd what only one may have";
    let request = GrantRequest { ttl: i64::try_from(inner.claim_lasts.as_secs()).unwrap_or(i64::MAX) };
    let granted = inner.link.repeat::<_, GrantResponse>(attempted, GRANT, &request).await?;
    let lease = granted.map_err(|status| refused(attempted, &status))?.id;
    let put = PutRequest { key: inner.keys.data(key), value: holder.as_bytes().to_vec(), lease };
    match inner.put_if_absent(attempted, put).await {
        Ok(_) => {}
        // Its lease has ended while etcd was away: the next attempt has one of its own.
        Err(error) if error.to_string().contains("requested lease not found") => return Ok(None),
        Err(error) => return Err(error),
    }
    // What stands there is read rather than concluded: the answer that said so may have been lost.
    let stands = inner.stands(key).await?.filter(|kv| kv.lease == lease);
    match stands {
        Some(kv) => Ok(Some((lease, inner.keys.ours(kv.mod_revision)))),
        None => {
            revoke(inner, lease).await?;
            Ok(None)
        }
    }
}

async fn revoke(inner: &Inner, lease: i64) -> Result<(), StoreError> {
    let attempted = "releasing a claim in etcd";
    match inner.link.repeat::<_, LeaseResponse>(attempted, REVOKE, &LeaseRequest { id: lease }).await? {
        Ok(_) => Ok(()),
        Err(status) if status.message().contains("requested lease not found") => Ok(()),
        Err(status) => Err(refused(attempted, &status)),
    }
}

/// Renews until etcd says that there is nothing to renew; what it said. While etcd does not answer nobody is given the
/// claim, or else the first answer tells.
async fn keep(inner: Arc<Inner>, lease: i64, key: Key, at: Revision) -> StoreError {
    let mut ticks = tokio::time::interval(inner.claim_lasts / RENEWALS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (patience, own) = (inner.claim_lasts / PATIENCES, LeaseRequest { id: lease });
    let look = RangeRequest { key: inner.keys.data(&key), ..RangeRequest::default() };
    loop {
        ticks.tick().await;
        match inner.link.call_within::<_, LeaseResponse>(patience, KEEP_ALIVE, &own).await {
            Ok(LeaseResponse { ttl: 1.. }) => {}
            Ok(_) => return ended("its lease has ended"),
            Err(Failure::Refused(status)) => return refused("renewing a claim in etcd", &status),
            Err(Failure::NotSent(status) | Failure::Unknown(status)) => {
                tracing::debug!(reason = status.message(), "a claim could not be renewed and is tried again");
                continue;
            }
        }
        match inner.link.call_within::<_, RangeResponse>(patience, RANGE, &look).await {
            Ok(found) => {
                inner.link.saw(found.header.unwrap_or_default().revision);
                if found.kvs.first().is_none_or(|kv| inner.keys.ours(kv.mod_revision) != at) {
                    return ended("somebody took its key away");
                }
            }
            Err(failure) => tracing::debug!(?failure, "a claim could not be looked at"),
        }
    }
}

fn ended(reason: &str) -> StoreError {
    StoreError::Io {
        attempted: "keeping a claim in etcd".to_owned(),
        source: io::Error::new(io::ErrorKind::TimedOut, reason.to_owned()),
    }
}
