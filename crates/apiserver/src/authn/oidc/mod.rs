//! Tokens of other issuers: OpenID Connect by flags, or any number of issuers by an `AuthenticationConfiguration`.
//!
//! Invariants: a token is judged by the issuer that it names and no other; nothing of a token is believed before its
//! signature was verified, except which issuer to ask.

pub(crate) mod configuration;
mod expressions;
mod keys;
mod provider;
mod user;
mod validation;

pub use configuration::OidcOptions;

use crate::callout::Callout;
use crate::configuration_file::{self, ConfigurationError};
use api::user::User;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use configuration::{Anonymous, Configuration, JwtEntry};
use provider::Provider;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::Path;
use validation::Compiled;

/// How late a clock may be for a token that is not valid yet.
const LEEWAY_SECONDS: i64 = 300;
const TOKEN_BYTES_MAX: usize = 64 * 1024;

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    alg: String,
    #[serde(default)]
    kid: String,
    #[serde(default)]
    crit: Option<Vec<String>>,
}

/// One issuer whose tokens are accepted.
struct JwtAuthenticator {
    entry: JwtEntry,
    compiled: Compiled,
    provider: Provider,
}

/// All that a configuration says of who asks.
#[derive(Default)]
pub(crate) struct Issuers {
    jwt: Vec<JwtAuthenticator>,
    anonymous: Option<Anonymous>,
}

fn part(text: &str) -> Result<Vec<u8>, String> {
    URL_SAFE_NO_PAD.decode(text).map_err(|error| format!("error decoding token: {error}"))
}

/// Whom the token says that it is from, which nobody has verified yet.
fn untrusted_issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        iss: String,
    }
    let payload = token.split('.').nth(1)?;
    let claims: Claims = serde_json::from_slice(&part(payload).ok()?).ok()?;
    // Google's tokens have had two spellings of their issuer.
    Some(if claims.iss == "accounts.google.com" { "https://accounts.google.com".to_owned() } else { claims.iss })
}

impl Issuers {
    pub(crate) fn new(
        configuration: Configuration,
        file: &Path,
        own_issuer: &str,
        callout: &Callout,
    ) -> Result<Issuers, ConfigurationError> {
        let (compiled, errors) = validation::validate(&configuration, own_issuer);
        if !errors.is_empty() {
            return Err(ConfigurationError::Invalid { path: file.to_owned(), errors });
        }
        let jwt = configuration.jwt.into_iter().zip(compiled).map(|(entry, compiled)| {
            let issuer = &entry.issuer;
            let provider = Provider::new(callout, &issuer.url, &issuer.discovery_url, &issuer.certificate_authority);
            JwtAuthenticator { entry, compiled, provider }
        });
        Ok(Issuers { jwt: jwt.collect(), anonymous: configuration.anonymous })
    }

    pub(crate) fn of_file(
        file: &Path,
        text: &str,
        own_issuer: &str,
        callout: &Callout,
    ) -> Result<Issuers, ConfigurationError> {
        let kind = "AuthenticationConfiguration";
        let configuration: Configuration = configuration_file::decode(file, text, kind, &["v1", "v1beta1"])?;
        tracing::debug!(version = configuration.api_version, kind = configuration.kind, "authentication configuration");
        Issuers::new(configuration, file, own_issuer, callout)
    }

    pub(crate) fn of_flags(
        options: &OidcOptions,
        own_issuer: &str,
        callout: &Callout,
    ) -> Result<Issuers, ConfigurationError> {
        let Some(entry) = options.entry()? else { return Ok(Issuers::default()) };
        if let Some(unknown) = entry.algorithms.iter().find(|name| !keys::algorithms().any(|own| own == **name)) {
            let known: Vec<&str> = keys::algorithms().collect();
            let why = format!("oidc: unsupported signing alg: {unknown:?}, supported are {}", known.join(", "));
            return Err(ConfigurationError::Flags(why));
        }
        let configuration = Configuration { jwt: vec![entry], ..Configuration::default() };
        Issuers::new(configuration, Path::new("--oidc-*"), own_issuer, callout)
    }

    /// Whether a request without credentials to that path is the anonymous user's.
    pub(crate) fn admits_anonymous(&self, path: &str) -> bool {
        self.anonymous.as_ref().is_none_or(|anonymous| {
            let everywhere = anonymous.conditions.is_empty();
            anonymous.enabled && (everywhere || anonymous.conditions.iter().any(|one| one.path == path))
        })
    }

    /// `None`: the token is of nobody here. `now` in seconds since the epoch.
    pub(crate) async fn authenticate(&self, token: &str, now: i64) -> Option<Result<User, String>> {
        if self.jwt.is_empty() || token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let issuer = untrusted_issuer(token)?;
        let own = self.jwt.iter().find(|own| own.entry.issuer.url == issuer)?;
        Some(own.authenticate(token, now).await)
    }
}

impl JwtAuthenticator {
    async fn authenticate(&self, token: &str, now: i64) -> Result<User, String> {
        let claims = self.verified(token).await.map_err(|why| format!("oidc: verify token: {why}"))?;
        self.check_times_and_audience(&claims, now).map_err(|why| format!("oidc: verify token: {why}"))?;
        user::of(&self.entry, &self.compiled, claims)
    }

    async fn verified(&self, token: &str) -> Result<Map<String, Value>, String> {
        let malformed = || "oidc: malformed jwt".to_owned();
        let (message, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, payload) = message.split_once('.').ok_or_else(malformed)?;
        let header: Header = serde_json::from_slice(&part(header)?).map_err(|_| malformed())?;
        let allowed = &self.entry.algorithms;
        let known = keys::algorithms().any(|own| own == header.alg);
        if header.crit.is_some() || !known || !(allowed.is_empty() || allowed.contains(&header.alg)) {
            return Err(format!("oidc: id token signed with unsupported algorithm, got {:?}", header.alg));
        }
        let signature = part(signature)?;
        let signed = |keys: &keys::KeySet| keys.verify(&header.alg, &header.kid, message.as_bytes(), &signature);
        let held = match self.provider.known() {
            Some(keys) => signed(&keys) || self.provider.fetched().await.is_some_and(|keys| signed(&keys)),
            None => {
                let keys = self.provider.fetched().await.or_else(|| self.provider.known());
                signed(&*keys.ok_or("oidc: authenticator not initialized")?)
            }
        };
        if !held {
            return Err("failed to verify signature: failed to verify id token signature".to_owned());
        }
        serde_json::from_slice(&part(payload)?).map_err(|_| malformed())
    }

    fn check_times_and_audience(&self, claims: &Map<String, Value>, now: i64) -> Result<(), String> {
        let seconds = |name: &str| claims.get(name).and_then(Value::as_f64);
        let expiry = seconds("exp").unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "seconds since the epoch have 34 bits")]
        let (now, leeway) = (now as f64, LEEWAY_SECONDS as f64);
        if now > expiry {
            return Err(format!("oidc: token is expired (Token Expiry: {expiry})"));
        }
        if let Some(begin) = seconds("nbf")
            && now + leeway < begin
        {
            return Err(format!("oidc: current time {now} before the nbf (not before) time: {begin}"));
        }
        let got: Vec<&str> = match claims.get("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let wanted = &self.entry.issuer.audiences;
        if wanted.iter().any(|own| got.contains(&own.as_str())) {
            return Ok(());
        }
        Err(format!("oidc: expected audience in {wanted:?} got {got:?}"))
    }
}

#[cfg(test)]
mod tests;
