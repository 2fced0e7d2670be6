//! Claims: what only one of all processes on the same etcd may have at a time.
//!
//! Invariants: a claim is a key that lives as long as its lease does in etcd; its holder is told that it is lost no
//! later than etcd may give it to another, counted from when the last renewal was sent.

use super::Inner;
use super::link::{Backoff, Failure, refused};
use super::proto::{GRANT, GrantRequest, GrantResponse, KEEP_ALIVE, LeaseRequest, LeaseResponse, PutRequest, REVOKE};
use crate::StoreError;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Renewals within the time that a claim lasts, so that one or two may be lost.
const RENEWALS: u32 = 4;
/// etcd looks for ended leases twice a second, and grants whole seconds.
const GRACE: Duration = Duration::from_secs(3);

pub enum Claimed {
    Ours(Claim),
    /// Of this holder, who is alive.
    Theirs(String),
}

/// Renewed until it is released, lost or dropped.
pub struct Claim {
    inner: Arc<Inner>,
    lease: i64,
    renewal: JoinHandle<StoreError>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl Claim {
    /// Returns when another may have it.
    pub async fn lost(&mut self) -> StoreError {
        match (&mut self.renewal).await {
            Ok(error) => error,
            Err(error) => lost(&error.to_string()),
        }
    }

    /// Lets others have it at once.
    pub async fn release(self) -> Result<(), StoreError> {
        self.renewal.abort();
        let attempted = "releasing a claim in etcd";
        let request = LeaseRequest { id: self.lease };
        match self.inner.link.repeat::<_, LeaseResponse>(attempted, REVOKE, &request).await? {
            Ok(_) => Ok(()),
            Err(status) => Err(refused(attempted, &status)),
        }
    }
}

pub(super) async fn take(inner: &Arc<Inner>, name: &str, holder: &str) -> Result<Claimed, StoreError> {
    let attempted = "claiming in etcd what only one may have";
    let request = GrantRequest { ttl: i64::try_from(inner.claim_lasts.as_secs()).unwrap_or(i64::MAX) };
    let mut renewed = Instant::now();
    let granted = inner.link.repeat::<_, GrantResponse>(attempted, GRANT, &request).await?;
    let lease = granted.map_err(|status| refused(attempted, &status))?.id;
    let mut backoff = Backoff::until(inner.claim_lasts + GRACE);
    loop {
        let put = PutRequest { key: inner.keys.beside(name), value: holder.as_bytes().to_vec(), lease };
        let theirs = match inner.put_if_absent(attempted, put).await? {
            None => break,
            Some(kv) if kv.lease == lease => break,
            Some(kv) => String::from_utf8_lossy(&kv.value).into_owned(),
        };
        if !backoff.pause().await {
            return Ok(Claimed::Theirs(theirs));
        }
        renewed = renew(inner, lease, renewed).await?;
    }
    let renewal = tokio::spawn(keep(inner.clone(), lease, renewed));
    Ok(Claimed::Ours(Claim { inner: inner.clone(), lease, renewal }))
}

/// Renews until that is not possible any more; why.
async fn keep(inner: Arc<Inner>, lease: i64, mut renewed: Instant) -> StoreError {
    let mut ticks = tokio::time::interval(inner.claim_lasts / RENEWALS);
    loop {
        ticks.tick().await;
        match renew(&inner, lease, renewed).await {
            Ok(when) => renewed = when,
            Err(error) => return error,
        }
    }
}

/// When the renewal was sent that etcd has confirmed; tried until the last one runs out.
async fn renew(inner: &Inner, lease: i64, last: Instant) -> Result<Instant, StoreError> {
    let mut backoff = Backoff::until(inner.claim_lasts);
    let ends = tokio::time::Instant::from_std(last + inner.claim_lasts);
    loop {
        let sent = Instant::now();
        let request = LeaseRequest { id: lease };
        let asked = inner.link.call::<_, LeaseResponse>(KEEP_ALIVE, &request);
        match tokio::time::timeout_at(ends, asked).await {
            Ok(Ok(LeaseResponse { ttl: 1.. })) => return Ok(sent),
            Ok(Ok(_)) => return Err(lost("its lease has ended")),
            Ok(Err(Failure::Refused(status))) => return Err(refused("renewing a claim in etcd", &status)),
            Ok(Err(Failure::NotSent(_) | Failure::Unknown(_))) => backoff.wait().await,
            Err(_) => return Err(lost("no etcd member has answered for as long as it lasts")),
        }
    }
}

fn lost(reason: &str) -> StoreError {
    StoreError::Io {
        attempted: "keeping a claim in etcd".to_owned(),
        source: io::Error::new(io::ErrorKind::TimedOut, reason.to_owned()),
    }
}
