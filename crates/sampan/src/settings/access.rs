//! Who may prove how who he is, and who decides what he may: flags of servers, in upstream's names.

use super::Roles;
use crate::cli::Flags;
use anyhow::{Context, Result, bail};
use apiserver::authn::{AuthenticationOptions, OidcOptions};
use apiserver::authz::AuthorizationOptions;
use apiserver::go_time;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// The flags as they were given, paths absolute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Access {
    authorization_mode: Vec<String>,
    authorization_config: Option<PathBuf>,
    authorization_webhook_config_file: Option<PathBuf>,
    authorization_webhook_version: Option<String>,
    authorization_webhook_cache_authorized_ttl: Option<String>,
    authorization_webhook_cache_unauthorized_ttl: Option<String>,
    authentication_config: Option<PathBuf>,
    authentication_token_webhook_config_file: Option<PathBuf>,
    authentication_token_webhook_version: Option<String>,
    authentication_token_webhook_cache_ttl: Option<String>,
    oidc_issuer_url: Option<String>,
    oidc_client_id: Option<String>,
    oidc_username_claim: Option<String>,
    oidc_username_prefix: Option<String>,
    oidc_groups_claim: Option<String>,
    oidc_groups_prefix: Option<String>,
    oidc_required_claim: Vec<String>,
    oidc_ca_file: Option<PathBuf>,
    oidc_signing_algs: Vec<String>,
}

fn absolute(file: &Option<PathBuf>) -> Result<Option<PathBuf>> {
    file.as_ref().map(std::path::absolute).transpose().context("the path of a file for the API server")
}

fn duration(flag: &str, text: &Option<String>) -> Result<Option<Duration>> {
    let Some(text) = text else { return Ok(None) };
    let duration = go_time::parse(text);
    duration.map(Some).with_context(|| format!("--{flag}: {text:?} is no duration as 30s or 5m"))
}

impl Access {
    pub(super) fn from_flags(flags: &Flags, roles: &Roles) -> Result<Access> {
        let access = Access {
            authorization_mode: flags.authorization_mode.clone().unwrap_or_default(),
            authorization_config: absolute(&flags.authorization_config)?,
            authorization_webhook_config_file: absolute(&flags.authorization_webhook_config_file)?,
            authorization_webhook_version: flags.authorization_webhook_version.clone(),
            authorization_webhook_cache_authorized_ttl: flags.authorization_webhook_cache_authorized_ttl.clone(),
            authorization_webhook_cache_unauthorized_ttl: flags.authorization_webhook_cache_unauthorized_ttl.clone(),
            authentication_config: absolute(&flags.authentication_config)?,
            authentication_token_webhook_config_file: absolute(&flags.authentication_token_webhook_config_file)?,
            authentication_token_webhook_version: flags.authentication_token_webhook_version.clone(),
            authentication_token_webhook_cache_ttl: flags.authentication_token_webhook_cache_ttl.clone(),
            oidc_issuer_url: flags.oidc_issuer_url.clone(),
            oidc_client_id: flags.oidc_client_id.clone(),
            oidc_username_claim: flags.oidc_username_claim.clone(),
            oidc_username_prefix: flags.oidc_username_prefix.clone(),
            oidc_groups_claim: flags.oidc_groups_claim.clone(),
            oidc_groups_prefix: flags.oidc_groups_prefix.clone(),
            oidc_required_claim: flags.oidc_required_claim.clone().unwrap_or_default(),
            oidc_ca_file: absolute(&flags.oidc_ca_file)?,
            oidc_signing_algs: flags.oidc_signing_algs.clone().unwrap_or_default(),
        };
        if access != Access::default() && !roles.server() {
            bail!("--authentication-*, --authorization-* and --oidc-* are for servers: a joined node asks its server");
        }
        access.authentication()?;
        access.authorization()?;
        Ok(access)
    }

    pub(crate) fn authentication(&self) -> Result<AuthenticationOptions> {
        let flag = "authentication-token-webhook-cache-ttl";
        Ok(AuthenticationOptions {
            oidc: OidcOptions {
                issuer_url: self.oidc_issuer_url.clone(),
                client_id: self.oidc_client_id.clone(),
                username_claim: self.oidc_username_claim.clone(),
                username_prefix: self.oidc_username_prefix.clone(),
                groups_claim: self.oidc_groups_claim.clone(),
                groups_prefix: self.oidc_groups_prefix.clone(),
                required_claims: self.oidc_required_claim.clone(),
                ca_file: self.oidc_ca_file.clone(),
                signing_algs: self.oidc_signing_algs.clone(),
            },
            config_file: self.authentication_config.clone(),
            webhook_config_file: self.authentication_token_webhook_config_file.clone(),
            webhook_version: self.authentication_token_webhook_version.clone(),
            webhook_kept: duration(flag, &self.authentication_token_webhook_cache_ttl)?,
        })
    }

    pub(crate) fn authorization(&self) -> Result<AuthorizationOptions> {
        let (yes, no) = ("authorization-webhook-cache-authorized-ttl", "authorization-webhook-cache-unauthorized-ttl");
        let has_modes = !self.authorization_mode.is_empty() || self.authorization_webhook_config_file.is_some();
        if self.authorization_config.is_some() && has_modes {
            bail!(
                "--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* \
                 flags are defined"
            );
        }
        Ok(AuthorizationOptions {
            modes: self.authorization_mode.clone(),
            config_file: self.authorization_config.clone(),
            webhook_config_file: self.authorization_webhook_config_file.clone(),
            webhook_version: self.authorization_webhook_version.clone(),
            webhook_authorized: duration(yes, &self.authorization_webhook_cache_authorized_ttl)?,
            webhook_unauthorized: duration(no, &self.authorization_webhook_cache_unauthorized_ttl)?,
        })
    }
}
