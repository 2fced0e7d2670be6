//! What others need to verify service account tokens themselves: OpenID Connect discovery.

use super::Authenticators;
use super::keys::JsonWebKeySet;
use serde::Serialize;

pub const CONFIGURATION_PATH: &str = "/.well-known/openid-configuration";
pub const KEYS_PATH: &str = "/openid/v1/jwks";

/// The document at `/.well-known/openid-configuration`.
#[derive(Debug, Serialize)]
pub struct OpenIdConfiguration {
    pub issuer: String,
    pub jwks_uri: String,
    pub response_types_supported: [&'static str; 1],
    pub subject_types_supported: [&'static str; 1],
    pub id_token_signing_alg_values_supported: [&'static str; 1],
}

impl Authenticators {
    /// `server` as clients reach it: `https://10.0.0.1:6443`.
    pub fn openid_configuration(&self, server: &str) -> OpenIdConfiguration {
        OpenIdConfiguration {
            issuer: self.tokens.issuer.clone(),
            jwks_uri: format!("{server}{KEYS_PATH}"),
            response_types_supported: ["id_token"],
            subject_types_supported: ["public"],
            id_token_signing_alg_values_supported: ["ES256"],
        }
    }

    /// The document at `/openid/v1/jwks`.
    pub fn jwks(&self) -> JsonWebKeySet {
        self.tokens.keys.jwks()
    }
}
