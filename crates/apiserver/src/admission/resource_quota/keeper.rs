//! Writes what is used into the quotas' status, whenever it changes.
//!
//! Invariants: what is reported is what is judged by, of one ledger; while a round of writes is under way changes add
//! up, so that a crowd of them costs few writes.

use super::ledger::Ledger;
use api::{Reason, Status};
use client::Client;
use k8s_openapi::api::core::v1::{ResourceQuota, ResourceQuotaStatus};
use k8s_openapi::jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// A pause after a failure: the store is away, or the server is not ready.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Between two rounds: an object's creation is several writes, and nobody reads the status faster.
const REST: Duration = Duration::from_millis(20);

/// Runs until it is dropped.
pub(super) async fn keep(ledger: Arc<Ledger>, client: Client) {
    loop {
        match round(&ledger, &client).await {
            Ok(ending) => wait(&ledger, ending).await,
            Err(error) => {
                tracing::debug!(%error, "the quotas' status is written later");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

async fn wait(ledger: &Ledger, ending: Option<Timestamp>) {
    let until = |ending: Timestamp| Duration::try_from(ending.duration_since(ledger.now())).unwrap_or_default();
    tokio::time::sleep(REST).await;
    match ending {
        // A moment later, so that it is over.
        Some(ending) => tokio::select! {
            () = ledger.changed() => {}
            () = tokio::time::sleep(until(ending) + REST) => {}
        },
        None => ledger.changed().await,
    }
}

/// Writes every status that is not what it should be; when one will change by time alone.
async fn round(ledger: &Ledger, client: &Client) -> Result<Option<Timestamp>, Status> {
    let (reports, ending) = ledger.reports().await?;
    for (quota, status) in reports {
        write(client, &quota, status).await?;
    }
    Ok(ending)
}

async fn write(client: &Client, quota: &ResourceQuota, status: ResourceQuotaStatus) -> Result<(), Status> {
    let mut wanted = quota.clone();
    wanted.status = Some(status);
    match client.update_status(&wanted).await {
        // Changed or gone meanwhile, which rings again.
        Err(status) if matches!(status.reason, Reason::Conflict | Reason::NotFound) => Ok(()),
        answer => answer.map(drop),
    }
}
