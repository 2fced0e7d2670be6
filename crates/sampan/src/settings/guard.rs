//! What the server guards itself and its data with, as flags name it.

use crate::cli::Flags;
use crate::settings::Roles;
use anyhow::{Context, Result, bail};
use apiserver::{fairness, go_time};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Guard {
    pub(crate) encryption_provider_config: Option<PathBuf>,
    pub(crate) encryption_reload: bool,
    pub(crate) load: Load,
}

/// How much the server takes on; `None` is upstream's default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Load {
    max_requests_inflight: Option<u32>,
    max_mutating_requests_inflight: Option<u32>,
    request_timeout: Option<Duration>,
    fair: Option<bool>,
}

impl Load {
    fn from_flags(flags: &Flags) -> Result<Load> {
        let timeout = flags.request_timeout.as_deref().map(|text| {
            let timeout = go_time::parse(text).filter(|timeout| !timeout.is_zero());
            timeout.with_context(|| format!("--request-timeout must be a duration like 1m0s, not {text:?}"))
        });
        let load = Load {
            max_requests_inflight: flags.max_requests_inflight,
            max_mutating_requests_inflight: flags.max_mutating_requests_inflight,
            request_timeout: timeout.transpose()?,
            fair: flags.enable_priority_and_fairness,
        };
        let options = load.options();
        if options.enabled && options.max_requests_inflight == 0 && options.max_mutating_requests_inflight == 0 {
            bail!(
                "--max-requests-inflight and --max-mutating-requests-inflight must not both be 0 with \
                 --enable-priority-and-fairness: there would be no seats to share"
            );
        }
        Ok(load)
    }

    pub(crate) fn options(&self) -> fairness::Options {
        let default = fairness::Options::default();
        fairness::Options {
            enabled: self.fair.unwrap_or(default.enabled),
            max_requests_inflight: self.max_requests_inflight.unwrap_or(default.max_requests_inflight),
            max_mutating_requests_inflight: self
                .max_mutating_requests_inflight
                .unwrap_or(default.max_mutating_requests_inflight),
            request_timeout: self.request_timeout.unwrap_or(default.request_timeout),
        }
    }
}

impl Guard {
    pub(crate) fn from_flags(flags: &Flags, roles: &Roles) -> Result<Guard> {
        let absolute = |file: &Option<PathBuf>| file.as_ref().map(std::path::absolute).transpose();
        let guard = Guard {
            encryption_provider_config: absolute(&flags.encryption_provider_config)
                .context("the path of --encryption-provider-config")?,
            encryption_reload: flags.encryption_provider_config_automatic_reload.unwrap_or(false),
            load: Load::from_flags(flags)?,
        };
        if guard.encryption_reload && guard.encryption_provider_config.is_none() {
            bail!("--encryption-provider-config-automatic-reload goes with --encryption-provider-config");
        }
        if guard != Guard::default() && !roles.server() {
            bail!(
                "--encryption-provider-config, --request-timeout and the limits of requests are for servers: a joined node \
                 keeps no objects and answers no API"
            );
        }
        Ok(guard)
    }
}
