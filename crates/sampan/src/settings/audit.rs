//! The API server's audit log, as flags name it in upstream's names.

use crate::cli::Flags;
use crate::settings::Roles;
use anyhow::{Context, Result, bail};
use apiserver::audit::{AuditOptions, SinkOptions};
use apiserver::go_time;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The flags as they were given, paths absolute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Audit {
    policy_file: Option<PathBuf>,
    log_path: Option<PathBuf>,
    log_format: Option<String>,
    log_maxsize: Option<u64>,
    log_maxage: Option<u64>,
    log_maxbackup: Option<usize>,
    log_compress: Option<bool>,
    log_mode: Option<String>,
    log_batch_buffer_size: Option<usize>,
    log_truncate_enabled: Option<bool>,
    log_truncate_max_event_size: Option<usize>,
    webhook_config_file: Option<PathBuf>,
    webhook_mode: Option<String>,
    webhook_initial_backoff: Option<String>,
    webhook_batch_buffer_size: Option<usize>,
    webhook_batch_max_size: Option<usize>,
    webhook_batch_max_wait: Option<String>,
    webhook_truncate_enabled: Option<bool>,
    webhook_truncate_max_event_size: Option<usize>,
}

fn absolute(flag: &str, file: &Option<PathBuf>) -> Result<Option<PathBuf>> {
    match file {
        // Standard output.
        Some(path) if path == Path::new("-") => Ok(file.clone()),
        _ => file.as_ref().map(std::path::absolute).transpose().with_context(|| format!("the path of --{flag}")),
    }
}

fn duration(flag: &str, text: &Option<String>) -> Result<Option<Duration>> {
    let Some(text) = text else { return Ok(None) };
    let duration = go_time::parse(text);
    duration.map(Some).with_context(|| format!("--{flag}: {text:?} is no duration as 30s or 5m"))
}

impl Audit {
    pub(super) fn from_flags(flags: &Flags, roles: &Roles) -> Result<Audit> {
        let audit = Audit {
            policy_file: absolute("audit-policy-file", &flags.audit_policy_file)?,
            log_path: absolute("audit-log-path", &flags.audit_log_path)?,
            log_format: flags.audit_log_format.clone(),
            log_maxsize: flags.audit_log_maxsize,
            log_maxage: flags.audit_log_maxage,
            log_maxbackup: flags.audit_log_maxbackup,
            log_compress: flags.audit_log_compress,
            log_mode: flags.audit_log_mode.clone(),
            log_batch_buffer_size: flags.audit_log_batch_buffer_size,
            log_truncate_enabled: flags.audit_log_truncate_enabled,
            log_truncate_max_event_size: flags.audit_log_truncate_max_event_size,
            webhook_config_file: absolute("audit-webhook-config-file", &flags.audit_webhook_config_file)?,
            webhook_mode: flags.audit_webhook_mode.clone(),
            webhook_initial_backoff: flags.audit_webhook_initial_backoff.clone(),
            webhook_batch_buffer_size: flags.audit_webhook_batch_buffer_size,
            webhook_batch_max_size: flags.audit_webhook_batch_max_size,
            webhook_batch_max_wait: flags.audit_webhook_batch_max_wait.clone(),
            webhook_truncate_enabled: flags.audit_webhook_truncate_enabled,
            webhook_truncate_max_event_size: flags.audit_webhook_truncate_max_event_size,
        };
        if audit != Audit::default() && !roles.server() {
            bail!("--audit-* is for servers: a joined node serves no API");
        }
        audit.options()?.check()?;
        Ok(audit)
    }

    pub(crate) fn options(&self) -> Result<AuditOptions> {
        let (backoff, wait) = ("audit-webhook-initial-backoff", "audit-webhook-batch-max-wait");
        Ok(AuditOptions {
            policy_file: self.policy_file.clone(),
            log_path: self.log_path.clone(),
            log_format: self.log_format.clone(),
            log_maxsize: self.log_maxsize,
            log_maxage: self.log_maxage,
            log_maxbackup: self.log_maxbackup,
            log_compress: self.log_compress.unwrap_or(false),
            webhook_config_file: self.webhook_config_file.clone(),
            webhook_initial_backoff: duration(backoff, &self.webhook_initial_backoff)?,
            webhook_batch_max_size: self.webhook_batch_max_size,
            webhook_batch_max_wait: duration(wait, &self.webhook_batch_max_wait)?,
            log: SinkOptions {
                mode: self.log_mode.clone(),
                batch_buffer_size: self.log_batch_buffer_size,
                truncate_enabled: self.log_truncate_enabled.unwrap_or(false),
                truncate_max_event_size: self.log_truncate_max_event_size,
            },
            webhook: SinkOptions {
                mode: self.webhook_mode.clone(),
                batch_buffer_size: self.webhook_batch_buffer_size,
                truncate_enabled: self.webhook_truncate_enabled.unwrap_or(false),
                truncate_max_event_size: self.webhook_truncate_max_event_size,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(flags: Flags, roles: &Roles) -> Result<AuditOptions, String> {
        let audit = Audit::from_flags(&flags, roles).map_err(|error| error.to_string())?;
        audit.options().map_err(|error| error.to_string())
    }

    #[test]
    fn flags_become_options_and_are_refused_before_anything_starts() {
        let whole = Flags {
            audit_policy_file: Some("policy.yaml".into()),
            audit_log_path: Some("-".into()),
            audit_webhook_batch_max_wait: Some("1m30s".to_owned()),
            ..Flags::default()
        };
        let options = check(whole.clone(), &Roles::Server).unwrap();
        assert!(options.policy_file.is_some_and(|path| path.is_absolute()));
        assert_eq!(options.log_path, Some("-".into()), "standard output is no file");
        assert_eq!(options.webhook_batch_max_wait, Some(Duration::from_secs(90)));
        assert!(!check(Flags::default(), &Roles::Server).unwrap().any());
        let node = Roles::Node(vec!["https://192.0.2.1:6443".to_owned()]);
        assert!(check(whole.clone(), &node).unwrap_err().contains("for servers"));
        let without = Flags { audit_policy_file: None, ..whole.clone() };
        assert!(check(without, &Roles::Server).unwrap_err().contains("--audit-policy-file"));
        let wrong = Flags { audit_webhook_initial_backoff: Some("soon".to_owned()), ..whole };
        assert!(check(wrong, &Roles::Server).unwrap_err().contains("--audit-webhook-initial-backoff: \"soon\""));
    }
}
