//! Who may ask the node: authentication by certificate or bearer token, authorization by the API server's word.
//!
//! Invariants: nobody is served anonymously; the API server's own client and administrators are served without a
//! question, so that logs and commands work while the API server is busy; what was answered is remembered for as long as
//! upstream's kubelet remembers it, and never more of it than is bounded.

mod attributes;
mod remembered;

use attributes::Attributes;
use client::Client;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use remembered::Remembered;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};

/// The API server's client, as upstream names it, and the administrators' group.
const API_SERVER: &str = "kube-apiserver-kubelet-client";
const MASTERS: &str = "system:masters";
const AUTHENTICATED: &str = "system:authenticated";

/// Upstream's defaults for a kubelet that asks the API server.
const TOKEN_LIFETIME: Duration = Duration::from_secs(120);
const ALLOWED_LIFETIME: Duration = Duration::from_secs(300);
const REFUSED_LIFETIME: Duration = Duration::from_secs(30);
/// Tokens, and decisions, that are remembered.
const REMEMBERED_MAX: usize = 1024;
/// A longer token is nobody's.
const TOKEN_BYTES_MAX: usize = 16 << 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Unauthorized,
    Forbidden {
        user: String,
        asked: Attributes,
    },
    /// The API server did not say.
    Unknown {
        user: String,
        asked: Attributes,
    },
}

impl Refusal {
    pub(super) fn code(&self) -> u16 {
        match self {
            Refusal::Unauthorized => 401,
            Refusal::Forbidden { .. } => 403,
            Refusal::Unknown { .. } => 500,
        }
    }

    /// Upstream's words.
    pub(super) fn message(&self) -> String {
        match self {
            Refusal::Unauthorized => "Unauthorized".to_owned(),
            Refusal::Forbidden { user, asked } => format!("Forbidden (user={user}, {asked})"),
            Refusal::Unknown { user, asked } => format!("Authorization error (user={user}, {asked})"),
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Caller {
    name: String,
    uid: String,
    groups: Vec<String>,
    extra: Vec<(String, Vec<String>)>,
}

impl Caller {
    /// Of a certificate that was verified against the cluster's authority.
    pub(super) fn of_certificate(certificate: &CertificateDer<'_>) -> Option<Caller> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let subject = parsed.subject();
        let name = subject.iter_common_name().find_map(|name| name.as_str().ok())?.to_owned();
        let groups = subject.iter_organization().filter_map(|group| group.as_str().ok()).map(str::to_owned);
        Some(Caller { name, groups: groups.chain([AUTHENTICATED.to_owned()]).collect(), ..Caller::default() })
    }

    fn of_review(user: UserInfo) -> Caller {
        Caller {
            name: user.username.unwrap_or_default(),
            uid: user.uid.unwrap_or_default(),
            groups: user.groups.unwrap_or_default(),
            extra: user.extra.unwrap_or_default().into_iter().collect(),
        }
    }

    fn is_trusted(&self) -> bool {
        self.name == API_SERVER || self.groups.iter().any(|group| group == MASTERS)
    }
}

pub(super) struct Door {
    client: Client,
    node: String,
    tokens: Remembered<[u8; 32], Option<Caller>>,
    decisions: Remembered<(Caller, Attributes), bool>,
}

impl Door {
    pub(super) fn new(client: Client, node: String) -> Door {
        Door { client, node, tokens: Remembered::new(REMEMBERED_MAX), decisions: Remembered::new(REMEMBERED_MAX) }
    }

    /// Whether a request may be answered; `certified` is who showed a certificate on its connection.
    pub(super) async fn admit(
        &self,
        certified: Option<&Caller>,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<(), Refusal> {
        let caller = match certified {
            Some(caller) => caller.clone(),
            None => self.of_token(headers).await.ok_or(Refusal::Unauthorized)?,
        };
        if caller.is_trusted() {
            return Ok(());
        }
        self.authorize(caller, Attributes::of(method, path)).await
    }

    async fn of_token(&self, headers: &HeaderMap) -> Option<Caller> {
        let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        let token = token.trim();
        if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let key: [u8; 32] = Sha256::digest(token).into();
        if let Some(known) = self.tokens.get(&key, Instant::now()) {
            return known;
        }
        let spec = TokenReviewSpec { token: token.to_owned(), ..TokenReviewSpec::default() };
        let status = match self.client.create(&TokenReview { spec, ..TokenReview::default() }).await {
            Ok(review) => review.status.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%error, "the API server does not say whose token a request has");
                return None;
            }
        };
        let caller =
            status.authenticated.unwrap_or_default().then(|| Caller::of_review(status.user.unwrap_or_default()));
        self.tokens.put(key, caller.clone(), TOKEN_LIFETIME, Instant::now());
        caller
    }

    async fn authorize(&self, caller: Caller, asked: Attributes) -> Result<(), Refusal> {
        let user = caller.name.clone();
        let key = (caller, asked);
        let allowed = match self.decisions.get(&key, Instant::now()) {
            Some(allowed) => allowed,
            None => match self.ask(&key.0, &key.1).await {
                Ok(allowed) => {
                    let lifetime = if allowed { ALLOWED_LIFETIME } else { REFUSED_LIFETIME };
                    self.decisions.put(key.clone(), allowed, lifetime, Instant::now());
                    allowed
                }
                Err(error) => {
                    tracing::warn!(%error, user, "the API server does not say what a user may ask of the node");
                    return Err(Refusal::Unknown { user, asked: key.1 });
                }
            },
        };
        if allowed { Ok(()) } else { Err(Refusal::Forbidden { user, asked: key.1 }) }
    }

    /// Any of the subresources is enough: the finer one, or the older that includes it.
    async fn ask(&self, caller: &Caller, asked: &Attributes) -> Result<bool, api::Status> {
        for subresource in asked.subresources {
            let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            let spec = SubjectAccessReviewSpec {
                user: some(&caller.name),
                uid: some(&caller.uid),
                groups: Some(caller.groups.clone()),
                extra: Some(caller.extra.iter().cloned().collect()),
                resource_attributes: Some(ResourceAttributes {
                    verb: some(asked.verb),
                    version: some("v1"),
                    resource: some("nodes"),
                    subresource: some(subresource),
                    name: some(&self.node),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            };
            let review = self.client.create(&SubjectAccessReview { spec, ..SubjectAccessReview::default() }).await?;
            if review.status.is_some_and(|status| status.allowed) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    fn check(name: &str, group: &str, trusted: bool) {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, group);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let caller = Caller::of_certificate(certificate.der()).unwrap();
        assert_eq!((caller.name.as_str(), caller.is_trusted()), (name, trusted), "{group}");
        assert_eq!(caller.groups, [group, "system:authenticated"]);
    }

    #[test]
    fn the_api_server_and_administrators_are_trusted() {
        check("kube-apiserver-kubelet-client", "x", true);
        check("alice", "system:masters", true);
        check("system:node:n2", "system:nodes", false);
    }

    #[test]
    fn refusals_speak_upstreams_words() {
        let asked = Attributes::of(&Method::POST, "/exec/a/b/c");
        let refusal = Refusal::Forbidden { user: "alice".into(), asked };
        assert_eq!(refusal.message(), "Forbidden (user=alice, verb=create, resource=nodes, subresource(s)=[proxy])");
    }
}
