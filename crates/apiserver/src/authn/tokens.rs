//! Service account tokens: accepted while what they are bound to exists.
//!
//! Invariants: a token is its account's only while the account (and the pod, secret or node it is bound to) exists
//! with the uid that the token names; a signature is verified once, everything else on every request.

use super::claims::{Claims, Reference, subject};
use super::jwt::{self, JwtError};
use super::keys::Keys;
use super::remembered::Remembered;
use api::Status;
use api::user::User;
use client::{Cache, Cached, Client, Meta, PodView};
use k8s_openapi::api::core::v1::{Node, Pod, Secret, ServiceAccount};
use std::sync::Arc;

/// Signatures remembered: about 1 KB each.
const VERIFIED_MAX: usize = 4096;
/// How far the clocks of two servers may differ.
const SKEW_SECONDS: i64 = 60;
/// How long a token of something that is being deleted is still good, for its last words.
const DELETION_GRACE_SECONDS: i64 = 60;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error(transparent)]
    Jwt(#[from] JwtError),
    #[error("the token's issuer is not this cluster")]
    Issuer,
    #[error("service account token has expired")]
    Expired,
    #[error("service account token is not valid yet")]
    NotYet,
    #[error("token audiences {got:?} is invalid for the target audiences {wanted:?}")]
    Audience { got: Vec<String>, wanted: Vec<String> },
    #[error("service account token has been invalidated")]
    Invalidated,
    #[error("looking up what the token is bound to: {0}")]
    Lookup(String),
}

/// Issues and accepts service account tokens.
pub struct ServiceAccountTokens {
    pub(crate) issuer: String,
    /// Those that mean the API server itself.
    pub(crate) audiences: Vec<String>,
    pub(crate) keys: Keys,
    pub(crate) client: Client,
    accounts: Cache<ServiceAccount>,
    pods: Cache<PodView>,
    verified: Remembered<Claims>,
}

/// Whom a token stands for, and for which of the asked audiences.
pub(crate) struct Accepted {
    pub(crate) user: User,
    pub(crate) audiences: Vec<String>,
}

fn alive(meta: Meta<'_>, uid: &str, now: i64) -> bool {
    let gone = meta.deletion.is_some_and(|at| at.as_second() + DELETION_GRACE_SECONDS < now);
    meta.uid == uid && !gone
}

impl ServiceAccountTokens {
    pub(crate) fn new(issuer: &str, keys: Keys, client: &Client) -> ServiceAccountTokens {
        ServiceAccountTokens {
            issuer: issuer.to_owned(),
            audiences: vec![issuer.to_owned()],
            keys,
            accounts: client.cache(),
            pods: client.cache(),
            client: client.clone(),
            verified: Remembered::new(VERIFIED_MAX),
        }
    }

    /// The object, from the cache if it is there with that uid, else from the registry: what was created a moment
    /// ago may not have reached the cache.
    async fn current<K: Cached>(
        &self,
        cache: &Cache<K>,
        namespace: &str,
        wanted: &Reference,
    ) -> Result<Option<Arc<K>>, Status> {
        if let Some(known) = cache.get(namespace, &wanted.name)
            && known.meta().uid == wanted.uid
        {
            return Ok(Some(known));
        }
        Ok(self.client.find::<K>(namespace, &wanted.name).await?.map(Arc::new))
    }

    pub(crate) async fn account(&self, namespace: &str, name: &str) -> Result<Option<Arc<ServiceAccount>>, Status> {
        match self.accounts.get(namespace, name) {
            Some(known) => Ok(Some(known)),
            None => Ok(self.client.find(namespace, name).await?.map(Arc::new)),
        }
    }

    /// From the registry: a token is made from more of a pod than the cache has.
    pub(crate) async fn pod(&self, namespace: &str, name: &str) -> Result<Option<Pod>, Status> {
        self.client.find(namespace, name).await
    }

    /// Judges a token for any of the audiences; `now` in seconds since the epoch.
    pub(crate) async fn accept(&self, token: &str, audiences: &[String], now: i64) -> Result<Accepted, TokenError> {
        let claims = self.verified.get_or_try(token.as_bytes(), || {
            let json = jwt::verify(&self.keys, token)?;
            serde_json::from_slice::<Claims>(&json).map_err(|_| JwtError::Malformed)
        })?;
        let matched = self.check(&claims, audiences, now)?;
        self.check_bound(&claims, now).await?;
        Ok(Accepted { user: claims.user(), audiences: matched })
    }

    /// What the token says of itself.
    fn check(&self, claims: &Claims, audiences: &[String], now: i64) -> Result<Vec<String>, TokenError> {
        let bound = &claims.bound;
        if claims.iss != self.issuer || claims.sub != subject(&bound.namespace, &bound.serviceaccount.name) {
            return Err(TokenError::Issuer);
        }
        if now >= claims.exp {
            return Err(TokenError::Expired);
        }
        if now + SKEW_SECONDS < claims.nbf {
            return Err(TokenError::NotYet);
        }
        let matched: Vec<String> = audiences.iter().filter(|one| claims.aud.contains(one)).cloned().collect();
        if matched.is_empty() {
            return Err(TokenError::Audience { got: claims.aud.clone(), wanted: audiences.to_vec() });
        }
        Ok(matched)
    }

    /// Whether everything that it is bound to is still there.
    async fn check_bound(&self, claims: &Claims, now: i64) -> Result<(), TokenError> {
        let lookup = |status: Status| TokenError::Lookup(status.message);
        let bound = &claims.bound;
        let (namespace, account) = (&bound.namespace, &bound.serviceaccount);
        let found = self.current(&self.accounts, namespace, account).await.map_err(lookup)?;
        let mut valid = found.is_some_and(|found| alive(found.meta(), &account.uid, now));
        if let (true, Some(pod)) = (valid, &bound.pod) {
            let found = self.current(&self.pods, namespace, pod).await.map_err(lookup)?;
            valid = found.is_some_and(|found| alive(found.meta(), &pod.uid, now));
        }
        if let (true, Some(secret)) = (valid, &bound.secret) {
            let found = self.client.find::<Secret>(namespace, &secret.name).await.map_err(lookup)?;
            valid = found.is_some_and(|found| alive(found.meta(), &secret.uid, now));
        }
        // A pod's token names its node for information; a token that is bound to the node alone ends with it.
        if let (true, None, Some(node)) = (valid, &bound.pod, &bound.node) {
            let found = self.client.find::<Node>("", &node.name).await.map_err(lookup)?;
            valid = found.is_some_and(|found| alive(found.meta(), &node.uid, now));
        }
        if valid { Ok(()) } else { Err(TokenError::Invalidated) }
    }
}
