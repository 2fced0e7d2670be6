//! Who decides, as flags and the configuration file say it, in upstream's names.

use super::chain::{Chain, Step};
use super::validation;
use super::webhook::{Conditions, FailurePolicy, Settings, Version, Webhook};
use crate::callout::Callout;
use crate::configuration_file::{self, ConfigurationError};
use crate::go_time;
use crate::review_webhook::ReviewWebhook;
use api::FieldPath;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const AUTHORIZED: Duration = Duration::from_secs(300);
const UNAUTHORIZED: Duration = Duration::from_secs(30);
/// Of a webhook that flags name; those of a file say it themselves.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// What the flags `--authorization-*` say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorizationOptions {
    /// `--authorization-mode`; empty: Node, RBAC.
    pub modes: Vec<String>,
    /// `--authorization-config`.
    pub config_file: Option<PathBuf>,
    /// `--authorization-webhook-config-file`.
    pub webhook_config_file: Option<PathBuf>,
    /// `--authorization-webhook-version`; v1beta1 unless said otherwise, as upstream.
    pub webhook_version: Option<String>,
    /// `--authorization-webhook-cache-authorized-ttl`.
    pub webhook_authorized: Option<Duration>,
    /// `--authorization-webhook-cache-unauthorized-ttl`.
    pub webhook_unauthorized: Option<Duration>,
}

/// The file's content.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Configuration {
    /// Judged before the rest is read.
    api_version: String,
    kind: String,
    pub(super) authorizers: Vec<AuthorizerEntry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AuthorizerEntry {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) webhook: Option<WebhookEntry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct WebhookEntry {
    #[serde(rename = "authorizedTTL", deserialize_with = "go_time::of_text")]
    pub(super) authorized_ttl: Option<Duration>,
    pub(super) cache_authorized_requests: Option<bool>,
    #[serde(rename = "unauthorizedTTL", deserialize_with = "go_time::of_text")]
    pub(super) unauthorized_ttl: Option<Duration>,
    pub(super) cache_unauthorized_requests: Option<bool>,
    #[serde(deserialize_with = "go_time::of_text")]
    pub(super) timeout: Option<Duration>,
    pub(super) subject_access_review_version: String,
    pub(super) match_condition_subject_access_review_version: String,
    pub(super) failure_policy: String,
    pub(super) connection_info: ConnectionInfo,
    pub(super) match_conditions: Vec<MatchCondition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct ConnectionInfo {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) kube_config_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct MatchCondition {
    pub(super) expression: String,
}

impl WebhookEntry {
    pub(super) fn expressions(&self) -> Vec<String> {
        self.match_conditions.iter().map(|condition| condition.expression.clone()).collect()
    }

    fn settings(&self, name: &str) -> Settings {
        let kept = |ttl: Option<Duration>, default, cached: Option<bool>| {
            Some(ttl.unwrap_or(default)).filter(|_| cached.unwrap_or(true))
        };
        Settings {
            version: Version::parse(&self.subject_access_review_version).unwrap_or(Version::V1),
            authorized: kept(self.authorized_ttl, AUTHORIZED, self.cache_authorized_requests),
            unauthorized: kept(self.unauthorized_ttl, UNAUTHORIZED, self.cache_unauthorized_requests),
            failure: if self.failure_policy == "Deny" { FailurePolicy::Deny } else { FailurePolicy::NoOpinion },
            conditions: Conditions::compile(&FieldPath::default(), &self.expressions(), &mut Vec::new()),
            name: name.to_owned(),
        }
    }
}

impl AuthorizationOptions {
    /// Whom to ask, in order.
    pub fn chain(&self, callout: &Callout) -> Result<Chain, ConfigurationError> {
        match &self.config_file {
            Some(path) => chain_of_file(path, &configuration_file::text(path)?, callout),
            None => self.chain_of_flags(callout),
        }
    }

    fn chain_of_flags(&self, callout: &Callout) -> Result<Chain, ConfigurationError> {
        let flags = |why: String| Err(ConfigurationError::Flags(why));
        if self.modes.is_empty() && self.webhook_config_file.is_none() {
            return Ok(Chain::default());
        }
        let mut steps = Vec::new();
        for (index, mode) in self.modes.iter().enumerate() {
            if self.modes[..index].contains(mode) {
                return flags(format!("authorization-mode {:?} has mode specified more than once", self.modes));
            }
            steps.push(match (mode.as_str(), &self.webhook_config_file) {
                ("Webhook", Some(file)) => Step::Webhook(Arc::new(self.webhook(file, callout)?)),
                ("Webhook", None) => {
                    return flags("authorization-mode Webhook's authorization config file not passed".to_owned());
                }
                (mode, _) => plain_step(mode).map_err(ConfigurationError::Flags)?,
            });
        }
        if self.webhook_config_file.is_some() && !self.modes.iter().any(|mode| mode == "Webhook") {
            return flags("cannot specify --authorization-webhook-config-file without mode Webhook".to_owned());
        }
        Ok(Chain::new(steps))
    }

    fn webhook(&self, file: &Path, callout: &Callout) -> Result<Webhook, ConfigurationError> {
        let version = self.webhook_version.as_deref().unwrap_or("v1beta1");
        let version = Version::parse(version).ok_or_else(|| {
            let known = r#"supported versions are "v1", "v1beta1""#;
            ConfigurationError::Flags(format!("unsupported webhook authorizer version {version:?}, {known}"))
        })?;
        let kept = |ttl: Option<Duration>, default| Some(ttl.unwrap_or(default)).filter(|ttl| !ttl.is_zero());
        let settings = Settings {
            version,
            authorized: kept(self.webhook_authorized, AUTHORIZED),
            unauthorized: kept(self.webhook_unauthorized, UNAUTHORIZED),
            failure: FailurePolicy::NoOpinion,
            conditions: None,
            name: "default".to_owned(),
        };
        let server = ReviewWebhook::from_kubeconfig(file, callout, WEBHOOK_TIMEOUT)?;
        Ok(Webhook::new(server, settings, callout.series()))
    }
}

fn plain_step(mode: &str) -> Result<Step, String> {
    match mode {
        "Node" => Ok(Step::Node),
        "RBAC" => Ok(Step::Rbac),
        "AlwaysAllow" => Ok(Step::AlwaysAllow),
        "AlwaysDeny" => Ok(Step::AlwaysDeny),
        "ABAC" => Err("authorization-mode ABAC is not supported here: RBAC has its rules".to_owned()),
        mode => Err(format!("authorization-mode {mode:?} is not a valid mode")),
    }
}

pub(super) fn chain_of_file(path: &Path, text: &str, callout: &Callout) -> Result<Chain, ConfigurationError> {
    let configuration: Configuration =
        configuration_file::decode(path, text, "AuthorizationConfiguration", &["v1", "v1beta1"])?;
    tracing::debug!(version = configuration.api_version, kind = configuration.kind, "authorization configuration");
    let errors = validation::validate(&configuration);
    if !errors.is_empty() {
        return Err(ConfigurationError::Invalid { path: path.to_owned(), errors });
    }
    let unusable = |why: String| ConfigurationError::Unusable { path: path.to_owned(), why };
    let mut steps = Vec::new();
    for entry in &configuration.authorizers {
        let Some(webhook) = &entry.webhook else {
            steps.push(plain_step(&entry.kind).map_err(unusable)?);
            continue;
        };
        let Some(file) = &webhook.connection_info.kube_config_file else {
            let why = "this server runs in no pod: use connectionInfo of type KubeConfigFile";
            return Err(unusable(format!("authorizer {:?}: {why}", entry.name)));
        };
        let server = ReviewWebhook::from_kubeconfig(file, callout, webhook.timeout.unwrap_or(WEBHOOK_TIMEOUT))?;
        let webhook = Webhook::new(server, webhook.settings(&entry.name), callout.series());
        steps.push(Step::Webhook(Arc::new(webhook)));
    }
    Ok(Chain::new(steps))
}
