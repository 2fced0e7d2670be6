//! Who asks: client certificates, bearer tokens, or nobody.
//!
//! Invariants: credentials that are presented and wrong are always 401, never the anonymous user; every identity but
//! the anonymous one carries `system:authenticated`; what is wrong with a credential goes to the log, not the client.

mod bearer;
pub(crate) mod bootstrap_token;
mod certificate;
mod claims;
mod discovery;
pub(crate) mod domain_path;
mod impersonation;
mod jwt;
mod keys;
mod oidc;
mod options;
mod remembered;
mod review;
mod token_request;
mod token_webhook;
mod tokens;

pub use discovery::{CONFIGURATION_PATH, KEYS_PATH, OpenIdConfiguration};
pub use impersonation::Assumed;
pub use keys::{JsonWebKey, JsonWebKeySet, KeyError, Keys};
pub use oidc::OidcOptions;
pub use options::AuthenticationOptions;
pub use review::user_info;
pub use tokens::ServiceAccountTokens;

use api::Status;
use api::user::User;
use arc_swap::{ArcSwap, ArcSwapOption};
use certificate::Identity;
use client::Client;
use oidc::Issuers;
use remembered::Remembered;
use rustls::pki_types::CertificateDer;
use std::sync::Arc;
use token_webhook::TokenWebhook;

/// The issuer of service account tokens, and the audience that means the API server.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// The extra of a user that tells which credential was shown.
pub(crate) const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";
/// Certificates remembered: one per client that is connected.
const CERTIFICATES_MAX: usize = 8192;

/// Seconds since the epoch, from wherever the server takes its time.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// All ways in which a request may prove who sends it.
pub struct Authenticators {
    tokens: ServiceAccountTokens,
    client: Client,
    clock: Clock,
    certificates: Remembered<Identity>,
    issuers: ArcSwap<Issuers>,
    webhook: ArcSwapOption<TokenWebhook>,
}

pub(crate) fn add_authenticated(groups: &mut Vec<String>) {
    if !groups.iter().any(|group| group == User::AUTHENTICATED) {
        groups.push(User::AUTHENTICATED.to_owned());
    }
}

impl Authenticators {
    /// `keys` are `Pki::service_account_keys`, parsed by `Keys::from_pem`.
    pub fn new(issuer: &str, keys: Keys, client: &Client, clock: Clock) -> Authenticators {
        Authenticators {
            tokens: ServiceAccountTokens::new(issuer, keys, client),
            client: client.clone(),
            clock,
            certificates: Remembered::new(CERTIFICATES_MAX),
            issuers: ArcSwap::default(),
            webhook: ArcSwapOption::empty(),
        }
    }

    /// Issues tokens: the `token` subresource.
    pub fn tokens(&self) -> &ServiceAccountTokens {
        &self.tokens
    }

    pub fn now(&self) -> i64 {
        (self.clock)()
    }

    /// `peer_certificates` as TLS verified them against the client CA, leaf first; empty without one.
    pub async fn authenticate(
        &self,
        parts: &http::request::Parts,
        peer_certificates: &[CertificateDer<'static>],
    ) -> Result<User, Status> {
        if let Some(leaf) = peer_certificates.first() {
            return self.certificate(leaf);
        }
        match bearer::token(&parts.headers) {
            bearer::Presented::Nothing if !self.issuers.load().admits_anonymous(parts.uri.path()) => {
                Err(Status::unauthorized())
            }
            bearer::Presented::Nothing => Ok(User::anonymous()),
            bearer::Presented::Unknown => Err(Status::unauthorized()),
            bearer::Presented::Token(token) => self.bearer(&token).await,
        }
    }

    fn certificate(&self, leaf: &CertificateDer<'static>) -> Result<User, Status> {
        let identity = self.certificates.get_or_try(leaf, || Identity::parse(leaf));
        let user = identity.and_then(|identity| identity.user(self.now()).cloned());
        user.map_err(|why| {
            tracing::info!(%why, "a client certificate is refused");
            Status::unauthorized()
        })
    }

    async fn bearer(&self, token: &str) -> Result<User, Status> {
        self.token_user(token, &self.tokens.audiences).await.map(|accepted| accepted.user).map_err(|why| {
            tracing::info!(%why, "a bearer token is refused");
            Status::unauthorized()
        })
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.tokens.issuer
    }

    /// Whom a bearer token of any kind stands for, for any of the audiences.
    async fn token_user(&self, token: &str, audiences: &[String]) -> Result<tokens::Accepted, review::Refusal> {
        let refusal = match self.own_token_user(token, audiences).await {
            Ok(accepted) => return Ok(accepted),
            Err(refusal) => refusal,
        };
        // Boxed: without other issuers, a token that is not ours is refused here.
        Box::pin(self.foreign_token_user(token, audiences, refusal)).await
    }

    /// Of the kinds that this cluster makes.
    async fn own_token_user(&self, token: &str, audiences: &[String]) -> Result<tokens::Accepted, review::Refusal> {
        let now = self.now();
        if jwt::is_jwt(token) {
            return Ok(self.tokens.accept(token, audiences, now).await?);
        }
        let user = bootstrap_token::authenticate(&self.client, token, now).await.ok_or(review::Refusal::Unknown)?;
        self.for_own_audiences(user, audiences).ok_or(review::Refusal::Unknown)
    }

    /// A user whose token knows no audiences: it is for the API server.
    fn for_own_audiences(&self, user: User, audiences: &[String]) -> Option<tokens::Accepted> {
        let audiences: Vec<String> =
            audiences.iter().filter(|one| self.tokens.audiences.contains(one)).cloned().collect();
        (!audiences.is_empty()).then_some(tokens::Accepted { user, audiences })
    }

    /// Of issuers and of the webhook that are configured, in this order; `refusal` is what is said without them.
    async fn foreign_token_user(
        &self,
        token: &str,
        audiences: &[String],
        refusal: review::Refusal,
    ) -> Result<tokens::Accepted, review::Refusal> {
        let mut refusal = refusal;
        let issuers = self.issuers.load_full();
        match issuers.authenticate(token, self.now()).await {
            Some(Ok(mut user)) => {
                add_authenticated(&mut user.groups);
                return self.for_own_audiences(user, audiences).ok_or(review::Refusal::Unknown);
            }
            Some(Err(why)) => refusal = review::Refusal::Foreign(why),
            None => {}
        }
        let Some(webhook) = self.webhook.load_full() else { return Err(refusal) };
        match webhook.authenticate(token, audiences, &self.tokens.audiences).await {
            Ok(Some((mut user, audiences))) => {
                add_authenticated(&mut user.groups);
                Ok(tokens::Accepted { user, audiences })
            }
            Ok(None) => Err(refusal),
            Err(why) => Err(review::Refusal::Foreign(why)),
        }
    }
}

#[cfg(test)]
mod tests;
