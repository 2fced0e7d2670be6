//! Events sent to another server, as an EventList.
//!
//! Bounds: tries of a list, and the time of each; what no try delivers is lost, counted and told.

use crate::callout::{Callout, CalloutError};
use crate::review_webhook::{ReviewWebhook, WebhookFileError};
use bytes::Bytes;
use rand::RngExt;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const TRIES_MAX: u32 = 5;
const TRY_TIME_MAX: Duration = Duration::from_secs(30);
const HEAD: &[u8] = br#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["#;

pub(super) struct Webhook {
    server: ReviewWebhook,
    /// The pause before the second try; each further one is half as long again.
    backoff: Duration,
}

impl Webhook {
    pub(super) fn from_kubeconfig(
        path: &Path,
        callout: &Callout,
        backoff: Duration,
    ) -> Result<Webhook, WebhookFileError> {
        Ok(Webhook { server: ReviewWebhook::from_kubeconfig(path, callout, TRY_TIME_MAX)?, backoff })
    }

    /// Whatever went wrong may go right next time: nothing is a reason to lose events at once. When the server ends
    /// there is one last try.
    pub(super) async fn send(&self, events: &[Bytes], stopping: &CancellationToken) -> Result<(), CalloutError> {
        let body = list(events);
        let mut pause = self.backoff;
        for _ in 1..TRIES_MAX {
            match self.server.send(body.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) => tracing::warn!(%error, events = events.len(), "audit events are sent again"),
            }
            // Upstream's jitter: servers that failed together do not come back together.
            let spread = rand::rng().random_range(1.0..1.2);
            tokio::select! {
                () = stopping.cancelled() => break,
                () = tokio::time::sleep(pause.mul_f64(spread)) => {}
            }
            pause = pause * 3 / 2;
        }
        self.server.send(body).await
    }
}

fn list(events: &[Bytes]) -> Bytes {
    let mut text = HEAD.to_vec();
    text.extend_from_slice(&events.join(&b','));
    text.extend_from_slice(b"]}");
    Bytes::from(text)
}
