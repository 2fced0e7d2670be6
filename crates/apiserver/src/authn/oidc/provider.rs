//! An issuer as the network has it: its discovery document, and its keys, fetched when they are needed.
//!
//! Bounds: one fetch at a time, none within `PAUSE` of the former, bytes and time of each answer.

use super::keys::KeySet;
use crate::callout::{Callout, Target, boxed};
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

const WELL_KNOWN: &str = "/.well-known/openid-configuration";
const ANSWER_BYTES_MAX: usize = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);
/// Whoever sends tokens of unknown keys makes no more fetches than this allows.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
}

pub(super) struct Provider {
    callout: Callout,
    issuer: String,
    discovery: String,
    authority: Vec<u8>,
    keys: ArcSwapOption<KeySet>,
    /// When the last fetch began.
    last: Mutex<Option<Instant>>,
}

impl Provider {
    pub(super) fn new(callout: &Callout, issuer: &str, discovery: &str, authority: &str) -> Provider {
        let discovery = match discovery {
            "" => format!("{}{WELL_KNOWN}", issuer.trim_end_matches('/')),
            url => url.to_owned(),
        };
        Provider {
            callout: callout.clone(),
            issuer: issuer.to_owned(),
            discovery,
            authority: authority.as_bytes().to_vec(),
            keys: ArcSwapOption::empty(),
            last: Mutex::default(),
        }
    }

    pub(super) fn known(&self) -> Option<Arc<KeySet>> {
        self.keys.load_full()
    }

    /// The keys as they are now, unless they were just fetched: then `None`.
    pub(super) async fn fetched(&self) -> Option<Arc<KeySet>> {
        let mut last = self.last.lock().await;
        if last.is_some_and(|last| last.elapsed() < PAUSE) {
            return None;
        }
        *last = Some(Instant::now());
        match self.fetch().await {
            Ok(keys) => {
                let keys = Arc::new(keys);
                self.keys.store(Some(keys.clone()));
                Some(keys)
            }
            Err(why) => {
                tracing::error!(issuer = self.issuer, %why, "oidc authenticator: fetching the issuer's keys");
                None
            }
        }
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        let document: Document =
            serde_json::from_slice(&self.get(&self.discovery).await?).map_err(|error| error.to_string())?;
        if document.issuer != self.issuer {
            return Err(format!(
                "oidc: issuer did not match the issuer returned by provider, expected {:?} got {:?}",
                self.issuer, document.issuer
            ));
        }
        let keys = self.get(&document.jwks_uri).await?;
        KeySet::parse(&keys).map_err(|error| format!("oidc: failed to decode keys: {error}"))
    }

    async fn get(&self, url: &str) -> Result<Bytes, String> {
        let target = Target::of_url(url, self.authority.clone()).map_err(|error| error.to_string())?;
        let request = Request::builder()
            .method(Method::GET)
            .uri(url)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("sampan/", env!("CARGO_PKG_VERSION")))
            .body(boxed(Empty::new()))
            .map_err(|error| error.to_string())?;
        let answered = async {
            let response =
                self.callout.send(&target, request).await.map_err(|error| format!("Get {url:?}: {error}"))?;
            let code = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| format!("Get {url:?}: {error}"))?.to_bytes();
            if code.is_success() { Ok(body) } else { Err(format!("{code}: {}", String::from_utf8_lossy(&body))) }
        };
        let answered = tokio::time::timeout(TIMEOUT, answered).await;
        answered.unwrap_or_else(|_| Err(format!("Get {url:?}: context deadline exceeded")))
    }
}
