//! A server that answers reviews: whose a token is, whether a request may be.
//!
//! Invariant: what is asked again is what went wrong on the way; an answer is an answer.
//! Bounds: tries, time of each, bytes of an answer.

use crate::callout::{Callout, CalloutError, Identity, Target};
use client::{Config, Credentials};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Duration;

const TRIES_MAX: u32 = 5;
const PAUSE_FIRST: Duration = Duration::from_millis(500);
/// A user with 10,000 groups of 60 letters fits.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What is wrong with the file that says where the server is.
#[derive(Debug, thiserror::Error)]
pub enum WebhookFileError {
    #[error(transparent)]
    Kubeconfig(#[from] client::ConfigError),
    #[error("{path}: {source}")]
    Server { path: PathBuf, source: CalloutError },
    #[error("{path}: tls-server-name is not supported here: use a name of the server's certificate in `server`")]
    ServerName { path: PathBuf },
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error(transparent)]
    Call(#[from] CalloutError),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

pub(crate) struct ReviewWebhook {
    callout: Callout,
    target: Target,
    timeout: Duration,
    pause_first: Duration,
}

/// The server and identity of a kubeconfig's current context.
pub(crate) fn target_of_kubeconfig(path: &Path) -> Result<Target, WebhookFileError> {
    let config = Config::from_kubeconfig(path, None)?;
    if config.server_name.is_some() {
        return Err(WebhookFileError::ServerName { path: path.to_owned() });
    }
    let target = Target::of_url(&config.server, config.ca_pem.into_bytes());
    let mut target = target.map_err(|source| WebhookFileError::Server { path: path.to_owned(), source })?;
    match config.credentials {
        Credentials::Certificate { chain_pem, key_pem } => {
            target.identity = Some(Identity { certificate_pem: chain_pem, key_pem });
        }
        Credentials::Token(token) => target.bearer_token = Some(token),
        Credentials::Anonymous | Credentials::Resolver(_) => {}
    }
    Ok(target)
}

impl ReviewWebhook {
    pub(crate) fn new(target: Target, callout: &Callout, timeout: Duration) -> ReviewWebhook {
        ReviewWebhook { callout: callout.clone(), target, timeout, pause_first: PAUSE_FIRST }
    }

    /// Before it is asked again the first time it waits so long, and then ever longer.
    pub(crate) fn pausing(self, pause_first: Duration) -> ReviewWebhook {
        ReviewWebhook { pause_first, ..self }
    }

    pub(crate) fn from_kubeconfig(
        path: &Path,
        callout: &Callout,
        timeout: Duration,
    ) -> Result<ReviewWebhook, WebhookFileError> {
        Ok(ReviewWebhook::new(target_of_kubeconfig(path)?, callout, timeout))
    }

    /// Sends what has no answer, once; what a success says is not looked at.
    pub(crate) async fn send(&self, body: bytes::Bytes) -> Result<(), CalloutError> {
        self.callout.post_json(&self.target, body, self.timeout, ANSWER_BYTES_MAX).await.map(|_| ())
    }

    /// The server's answer to a review.
    pub(crate) async fn ask<A: DeserializeOwned>(&self, review: &impl Serialize) -> Result<A, AskError> {
        let body = bytes::Bytes::from(serde_json::to_vec(review)?);
        let mut pause = self.pause_first;
        for _ in 1..TRIES_MAX {
            match self.callout.post_json(&self.target, body.clone(), self.timeout, ANSWER_BYTES_MAX).await {
                Err(error) if worth_another_try(&error) => {
                    tracing::warn!(%error, "a webhook is asked again");
                    tokio::time::sleep(pause).await;
                    pause = pause * 3 / 2;
                }
                answered => return Ok(serde_json::from_slice(&answered?)?),
            }
        }
        let answer = self.callout.post_json(&self.target, body, self.timeout, ANSWER_BYTES_MAX).await?;
        Ok(serde_json::from_slice(&answer)?)
    }
}

/// Upstream asks again when the connection broke, the server failed or asked for patience; not when nobody listens.
fn worth_another_try(error: &CalloutError) -> bool {
    match error {
        CalloutError::Unanswered { why, .. } => matches!(why, crate::callout::Unreached::Http(_)),
        CalloutError::Refused { code, retry_after, .. } => *code == 500 || *code == 429 || *code == 504 || *retry_after,
        CalloutError::TooLarge { .. } => false,
    }
}
