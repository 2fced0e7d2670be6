//! Renews a certificate before it expires.

use super::CertificateError;
use super::identity::{Identity, store};
use super::request::{Purpose, obtain};
use client::Client;
use jiff::Timestamp;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long a renewal waits for its signature, and how long after a failure the next begins.
const SIGNATURE_TIMEOUT: Duration = Duration::from_secs(900);
const RETRY_FIRST: Duration = Duration::from_secs(5);
const RETRY_MOST: Duration = Duration::from_secs(600);
/// The longest sleep: a clock that is set is noticed within it.
const SLEEP_MOST: Duration = Duration::from_secs(3600);

/// What is kept, and where.
pub(crate) struct Kept {
    pub(crate) client: Client,
    pub(crate) node: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) purpose: Purpose,
}

/// The certificate on disk, or a first one, however long that takes.
pub(crate) async fn first(kept: &Kept) -> Arc<Identity> {
    let path = kept.purpose.path(&kept.data_dir);
    match Identity::load(&path) {
        Ok(Some(identity)) if identity.is_valid(Timestamp::now()) => return Arc::new(identity),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the certificate on disk is of no use; another is asked for"),
    }
    let mut retry = RETRY_FIRST;
    loop {
        match obtain_first(kept).await {
            Ok(identity) => return Arc::new(identity),
            Err(error) => tracing::warn!(purpose = ?kept.purpose, %error, "no certificate; it is asked for again"),
        }
        tokio::time::sleep(retry).await;
        retry = (retry * 2).min(RETRY_MOST);
    }
}

async fn obtain_first(kept: &Kept) -> Result<Identity, CertificateError> {
    let pair = obtain(&kept.client, &kept.purpose, &kept.node, SIGNATURE_TIMEOUT).await?;
    store(&kept.purpose.path(&kept.data_dir), &pair.chain_pem, &pair.key_pem)?;
    Identity::from_pem(&pair.chain_pem, &pair.key_pem)
}

/// Renews until `stop` changes.
pub(crate) async fn keep(kept: Kept, identity: Arc<Identity>, mut stop: watch::Receiver<bool>) {
    let mut retry = RETRY_FIRST;
    loop {
        let due = Duration::try_from(identity.renew_at().duration_since(Timestamp::now())).unwrap_or_default();
        let mut wait = due.min(SLEEP_MOST);
        if due.is_zero() {
            match renew(&kept, &identity).await {
                Ok(()) => {
                    retry = RETRY_FIRST;
                    tracing::info!(purpose = ?kept.purpose, not_after = %identity.not_after(), "certificate renewed");
                }
                Err(error) => {
                    tracing::warn!(purpose = ?kept.purpose, %error, "the certificate was not renewed; it is tried again");
                    wait = retry;
                    retry = (retry * 2).min(RETRY_MOST);
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stop.changed() => return,
        }
    }
}

async fn renew(kept: &Kept, identity: &Identity) -> Result<(), CertificateError> {
    let pair = obtain(&kept.client, &kept.purpose, &kept.node, SIGNATURE_TIMEOUT).await?;
    identity.replace(&pair.chain_pem, &pair.key_pem)?;
    store(&kept.purpose.path(&kept.data_dir), &pair.chain_pem, &pair.key_pem)
}
