//! What is measured, and where it is kept, as flags name it.

use crate::cli::Flags;
use crate::settings::Roles;
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Insight {
    interval_seconds: u64,
    history_mib: u64,
    pub(crate) remote_write: Option<RemoteWrite>,
}

/// A store that takes Prometheus' remote write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RemoteWrite {
    pub(crate) url: String,
    pub(crate) bearer_token_file: Option<PathBuf>,
    pub(crate) ca_file: Option<PathBuf>,
}

impl Default for Insight {
    fn default() -> Insight {
        Insight { interval_seconds: 10, history_mib: 512, remote_write: None }
    }
}

impl Insight {
    pub(crate) fn from_flags(flags: &Flags, roles: &Roles) -> Result<Insight> {
        let default = Insight::default();
        let absolute = |file: &Option<PathBuf>| file.as_ref().map(std::path::absolute).transpose();
        let more = [&flags.metrics_remote_write_token_file, &flags.metrics_remote_write_cafile];
        let remote_write = match &flags.metrics_remote_write_url {
            Some(url) if url.starts_with("http://") || url.starts_with("https://") => Some(RemoteWrite {
                url: url.clone(),
                bearer_token_file: absolute(more[0])?,
                ca_file: absolute(more[1])?,
            }),
            Some(url) => bail!("--metrics-remote-write-url must be http:// or https://, not {url:?}"),
            None if more.iter().any(|file| file.is_some()) => {
                bail!("--metrics-remote-write-token-file and -cafile go with --metrics-remote-write-url")
            }
            None => None,
        };
        let insight = Insight {
            interval_seconds: flags.metrics_interval.unwrap_or(default.interval_seconds),
            history_mib: flags.metrics_history_mib.unwrap_or(default.history_mib),
            remote_write,
        };
        if !(1..=15).contains(&insight.interval_seconds) {
            // Beyond it clients take what they read for stale.
            bail!("--metrics-interval must be between 1 and 15 seconds");
        }
        let for_servers = insight.history_mib != default.history_mib || insight.remote_write.is_some();
        if for_servers && !roles.server() {
            bail!(
                "--metrics-history-mib and --metrics-remote-write-url are for servers: a joined node keeps no history"
            );
        }
        Ok(insight)
    }

    pub(crate) fn interval(&self) -> Duration {
        Duration::from_secs(self.interval_seconds)
    }

    pub(crate) fn history_bytes(&self) -> u64 {
        self.history_mib << 20
    }
}
