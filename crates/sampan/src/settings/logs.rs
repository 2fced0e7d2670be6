//! How long a node keeps logs, and where it sends them, as flags name it.

use crate::cli::Flags;
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Some 30,000 lines a second. At the kubelet's looks for logs to rotate, two seconds apart, a file is at most 34 MiB.
const RATE_MIB_DEFAULT: u64 = 4;
const DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Logs {
    rate_mib: Option<u64>,
    archive_days: Option<u64>,
    archive_mib: Option<u64>,
    export: Option<Export>,
}

/// A receiver of all that containers write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Export {
    url: String,
    is_loki: bool,
    bearer_token_file: Option<PathBuf>,
    headers_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    gzip: bool,
}

impl Export {
    fn from_flags(flags: &Flags) -> Result<Option<Export>> {
        let absolute = |file: &Option<PathBuf>| file.as_ref().map(std::path::absolute).transpose();
        let files = [&flags.log_export_token_file, &flags.log_export_headers_file, &flags.log_export_cafile];
        let is_loki = match flags.log_export_protocol.as_deref() {
            None | Some("otlp") => false,
            Some("loki") => true,
            Some(other) => bail!("--log-export-protocol must be otlp or loki, not {other:?}"),
        };
        let Some(url) = &flags.log_export_url else {
            let has_more = flags.log_export_protocol.is_some() || flags.log_export_gzip.is_some();
            if has_more || files.iter().any(|file| file.is_some()) {
                bail!("--log-export-protocol, -gzip, -token-file, -headers-file and -cafile go with --log-export-url");
            }
            return Ok(None);
        };
        if is_loki && flags.log_export_gzip == Some(true) {
            bail!("--log-export-gzip goes with otlp: what is sent to Loki is compressed already");
        }
        if !url.starts_with("http://") && !url.starts_with("https://") {
            bail!("--log-export-url must be http:// or https://, not {url:?}");
        }
        let [bearer_token_file, headers_file, ca_file] = files.map(absolute);
        Ok(Some(Export {
            url: url.clone(),
            is_loki,
            bearer_token_file: bearer_token_file?,
            headers_file: headers_file?,
            ca_file: ca_file?,
            gzip: flags.log_export_gzip.unwrap_or(false),
        }))
    }
}

impl Logs {
    pub(crate) fn from_flags(flags: &Flags) -> Result<Logs> {
        let logs = Logs {
            rate_mib: flags.log_rate_mib,
            archive_days: flags.log_archive_days,
            archive_mib: flags.log_archive_mib,
            export: Export::from_flags(flags)?,
        };
        if logs.rate_mib.is_some_and(|mebibytes| mebibytes > 1 << 20) {
            bail!("--log-rate-mib must be at most 1048576");
        }
        if logs.archive_mib.is_some_and(|mebibytes| !(16..=1 << 24).contains(&mebibytes)) {
            bail!("--log-archive-mib must be between 16 and 16777216");
        }
        if logs.archive_days.is_some_and(|days| days > 36_500) {
            bail!("--log-archive-days must be at most 36500");
        }
        Ok(logs)
    }

    /// What the embedded runtime lets a container write to its log; 0 is no limit.
    pub(crate) fn bytes_per_second(&self) -> u64 {
        self.rate_mib.unwrap_or(RATE_MIB_DEFAULT) << 20
    }

    /// Below the data directory of the node's agent, so that logs move into the archive without being copied.
    pub(crate) fn archive(&self, kubelet_dir: &Path) -> logs::Options {
        logs::Options {
            live: kubelet_dir.join("pod-logs"),
            ended: kubelet_dir.join("pod-logs-ended"),
            archive: kubelet_dir.join("log-archive"),
            age_max: self.archive_days.map_or(logs::AGE_MAX_DEFAULT, |days| DAY * days as u32),
            bytes_max: self.archive_mib.map(|mebibytes| mebibytes << 20),
        }
    }

    /// Where all that containers write is sent, if anywhere.
    pub(crate) fn export(&self, kubelet_dir: &Path, node: &str) -> Option<logs::export::Options> {
        let Export { url, is_loki, bearer_token_file, headers_file, ca_file, gzip } = self.export.clone()?;
        Some(logs::export::Options {
            url,
            protocol: if is_loki { logs::export::Protocol::Loki } else { logs::export::Protocol::Otlp },
            node: node.to_owned(),
            directory: kubelet_dir.join("log-export"),
            bearer_token_file,
            headers_file,
            ca_file,
            gzip,
            pace: logs::export::Pace::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_exported_where_flags_say() {
        let none = Logs::from_flags(&Flags::default()).unwrap();
        assert!(none.export(Path::new("/k"), "n1").is_none());
        let with = Flags { log_export_url: Some("http://loki:3100".into()), ..Flags::default() };
        let with = Flags { log_export_protocol: Some("loki".into()), ..with };
        let options = Logs::from_flags(&with).unwrap().export(Path::new("/k"), "n1").unwrap();
        assert_eq!((options.url.as_str(), options.protocol), ("http://loki:3100", logs::export::Protocol::Loki));
        assert_eq!((options.directory.as_path(), options.node.as_str()), (Path::new("/k/log-export"), "n1"));
        let wrong = |flags: Flags| Logs::from_flags(&flags).unwrap_err().to_string();
        let protocol = Flags { log_export_protocol: Some("syslog".into()), ..with.clone() };
        assert_eq!(wrong(protocol), "--log-export-protocol must be otlp or loki, not \"syslog\"");
        let url = Flags { log_export_url: Some("loki:3100".into()), ..with.clone() };
        assert_eq!(wrong(url), "--log-export-url must be http:// or https://, not \"loki:3100\"");
        let zipped = Flags { log_export_gzip: Some(true), ..with.clone() };
        assert!(wrong(zipped).starts_with("--log-export-gzip goes with otlp"));
        let alone = Flags { log_export_url: None, ..with };
        assert!(wrong(alone).ends_with("go with --log-export-url"));
    }
}
