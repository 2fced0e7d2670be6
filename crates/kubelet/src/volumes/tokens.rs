//! ServiceAccount tokens of one pod: asked for when its volumes are set up, and again before they get old.

use crate::pod;
use api::{Status, Subresource};
use client::Client;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount, ServiceAccountTokenProjection};
use std::collections::BTreeMap;

/// A token is replaced at this share of its life, or when it is a day old: upstream's rule.
const REFRESH_PERCENT: i32 = 80;
const AGE_MAX: SignedDuration = SignedDuration::from_hours(24);
const EXPIRATION_SECONDS_DEFAULT: i64 = 3600;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    audience: String,
    expiration_seconds: i64,
}

impl Key {
    fn of(projection: &ServiceAccountTokenProjection) -> Key {
        Key {
            audience: projection.audience.clone().unwrap_or_default(),
            expiration_seconds: projection.expiration_seconds.unwrap_or(EXPIRATION_SECONDS_DEFAULT),
        }
    }
}

#[derive(Clone, Debug)]
struct Token {
    text: String,
    refresh_at: Timestamp,
    expires_at: Timestamp,
}

/// The tokens that a pod's projected volumes show.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tokens {
    by_key: BTreeMap<Key, Token>,
}

impl Tokens {
    pub(crate) fn get(&self, projection: &ServiceAccountTokenProjection) -> Option<&str> {
        self.by_key.get(&Key::of(projection)).map(|token| token.text.as_str())
    }

    /// When the first of them should be replaced.
    pub(crate) fn refresh_at(&self) -> Option<Timestamp> {
        self.by_key.values().map(|token| token.refresh_at).min()
    }

    /// Asks for those that are missing or old. One that cannot be replaced is kept while it is valid.
    pub(crate) async fn refresh(&mut self, client: &Client, pod: &Pod, now: Timestamp) -> Result<(), Status> {
        for projection in projections(pod) {
            let key = Key::of(projection);
            if self.by_key.get(&key).is_some_and(|token| token.refresh_at > now) {
                continue;
            }
            match request(client, pod, &key, now).await {
                Ok(token) => drop(self.by_key.insert(key, token)),
                Err(status) => match self.by_key.get_mut(&key).filter(|token| token.expires_at > now) {
                    Some(token) => {
                        tracing::warn!(pod = %pod::described(pod), %status, "a service account token was not renewed");
                        token.refresh_at = now + SignedDuration::from_secs(10);
                    }
                    None => return Err(status),
                },
            }
        }
        Ok(())
    }
}

fn projections(pod: &Pod) -> impl Iterator<Item = &ServiceAccountTokenProjection> {
    let volumes = pod::spec(pod).volumes.iter().flatten();
    let sources =
        volumes.filter_map(|volume| volume.projected.as_ref()).flat_map(|projected| projected.sources.iter().flatten());
    sources.filter_map(|source| source.service_account_token.as_ref())
}

async fn request(client: &Client, pod: &Pod, key: &Key, now: Timestamp) -> Result<Token, Status> {
    let account = pod::spec(pod).service_account_name.as_deref().filter(|name| !name.is_empty()).unwrap_or("default");
    let body = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(Some(key.audience.clone()).filter(|audience| !audience.is_empty()).into_iter().collect()),
            expiration_seconds: Some(key.expiration_seconds),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: pod.metadata.name.clone(),
                uid: pod.metadata.uid.clone(),
            }),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let answer: TokenRequest = client
        .create_subresource::<ServiceAccount, _, _>(pod::namespace(pod), account, Subresource::Token, &body)
        .await?;
    let status = answer.status.unwrap_or_default();
    let (Some(text), Some(expires)) = (status.token, status.expiration_timestamp) else {
        return Err(Status::internal("the server issued no token"));
    };
    let life = expires.0.duration_since(now);
    let refresh_after = (life * REFRESH_PERCENT / 100).min(AGE_MAX).max(SignedDuration::from_secs(1));
    Ok(Token { text, refresh_at: now + refresh_after, expires_at: expires.0 })
}
