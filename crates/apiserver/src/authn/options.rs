//! Who may prove how who he is, as flags say it, in upstream's names.

use super::Authenticators;
use super::oidc::{Issuers, OidcOptions};
use super::token_webhook::TokenWebhook;
use crate::callout::Callout;
use crate::configuration_file::{self, ConfigurationError};
use crate::review_webhook::ReviewWebhook;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(30);
const WEBHOOK_KEPT: Duration = Duration::from_secs(120);

/// What the flags `--oidc-*` and `--authentication-*` say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthenticationOptions {
    pub oidc: OidcOptions,
    /// `--authentication-config`.
    pub config_file: Option<PathBuf>,
    /// `--authentication-token-webhook-config-file`.
    pub webhook_config_file: Option<PathBuf>,
    /// `--authentication-token-webhook-version`; v1beta1 unless said otherwise, as upstream.
    pub webhook_version: Option<String>,
    /// `--authentication-token-webhook-cache-ttl`.
    pub webhook_kept: Option<Duration>,
}

impl Authenticators {
    /// Takes what the options say; to be called before the server listens.
    pub fn configure(&self, options: &AuthenticationOptions, callout: &Callout) -> Result<(), ConfigurationError> {
        let flags = |why: &str| Err(ConfigurationError::Flags(why.to_owned()));
        let issuers = match &options.config_file {
            Some(_) if options.oidc != OidcOptions::default() => {
                return flags("authentication-config file and oidc-* flags are mutually exclusive");
            }
            Some(path) => Issuers::of_file(path, &configuration_file::text(path)?, self.issuer(), callout)?,
            None => Issuers::of_flags(&options.oidc, self.issuer(), callout)?,
        };
        self.issuers.store(Arc::new(issuers));
        let Some(file) = &options.webhook_config_file else { return Ok(()) };
        let version = options.webhook_version.as_deref().unwrap_or("v1beta1");
        if !matches!(version, "v1" | "v1beta1") {
            let known = r#"supported versions are "v1", "v1beta1""#;
            return flags(&format!("unsupported authentication webhook version {version:?}, {known}"));
        }
        let server = ReviewWebhook::from_kubeconfig(file, callout, WEBHOOK_TIMEOUT)?;
        let webhook = TokenWebhook::new(server, version, options.webhook_kept.unwrap_or(WEBHOOK_KEPT));
        self.webhook.store(Some(Arc::new(webhook)));
        Ok(())
    }

    /// Takes what the configuration file says now; one that is not valid changes nothing.
    pub fn take_file(&self, path: &Path, callout: &Callout) -> Result<(), ConfigurationError> {
        let issuers = Issuers::of_file(path, &configuration_file::text(path)?, self.issuer(), callout)?;
        self.issuers.store(Arc::new(issuers));
        Ok(())
    }
}
