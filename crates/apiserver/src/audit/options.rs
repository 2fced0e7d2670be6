//! The audit log's options, in upstream's names and with its defaults.

use super::log_file::{Format, Rotation};
use super::queue::{Batching, EVENTS_MAX};
use crate::configuration_file::ConfigurationError;
use std::path::PathBuf;
use std::time::Duration;

const MEGABYTE: u64 = 1 << 20;
/// Where no size is said.
const LOG_MEGABYTES_MAX: u64 = 100;
const LOG_BATCH_EVENTS: usize = 256;
const LOG_BATCH_BYTES: usize = 4 << 20;
const WEBHOOK_BATCH_EVENTS: usize = 400;
const WEBHOOK_BATCH_BYTES: usize = 10 << 20;
const WEBHOOK_BATCH_WAIT: Duration = Duration::from_secs(30);
const WEBHOOK_BACKOFF: Duration = Duration::from_secs(10);
/// Of an event, where truncating is asked for and no size is said.
const EVENT_BYTES_MAX: usize = 100 << 10;

/// What requests have to do with the storing of their events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nothing: what does not fit into the buffer is lost.
    Batch,
    /// They wait for it.
    Blocking,
    /// They are refused where the first event cannot be stored.
    BlockingStrict,
}

/// The flags `--audit-*`; what is `None` has upstream's default. Without a policy there are no events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditOptions {
    pub policy_file: Option<PathBuf>,
    /// `-` is standard output.
    pub log_path: Option<PathBuf>,
    /// `json` or `legacy`.
    pub log_format: Option<String>,
    /// In megabytes.
    pub log_maxsize: Option<u64>,
    /// In days; zero: for ever.
    pub log_maxage: Option<u64>,
    /// Old files; zero: all.
    pub log_maxbackup: Option<usize>,
    pub log_compress: bool,
    pub webhook_config_file: Option<PathBuf>,
    pub webhook_initial_backoff: Option<Duration>,
    pub webhook_batch_max_size: Option<usize>,
    pub webhook_batch_max_wait: Option<Duration>,
    pub log: SinkOptions,
    pub webhook: SinkOptions,
}

/// What a log and a webhook have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkOptions {
    /// `batch`, `blocking` or `blocking-strict`.
    pub mode: Option<String>,
    /// In events.
    pub batch_buffer_size: Option<usize>,
    pub truncate_enabled: bool,
    /// In bytes.
    pub truncate_max_event_size: Option<usize>,
}

fn refused(why: impl Into<String>) -> ConfigurationError {
    ConfigurationError::Flags(why.into())
}

impl AuditOptions {
    /// Whether any of the flags was given.
    pub fn any(&self) -> bool {
        *self != AuditOptions::default()
    }

    /// What can be refused before anything is opened.
    pub fn check(&self) -> Result<(), ConfigurationError> {
        self.format()?;
        let webhook_batch = self.webhook_batch_max_size.unwrap_or(WEBHOOK_BATCH_EVENTS);
        if webhook_batch == 0 {
            return Err(refused("invalid audit batch webhook max batch size 0, must be a positive number"));
        }
        for (name, options) in [("log", &self.log), ("webhook", &self.webhook)] {
            options.mode(name, Mode::Batch)?;
            if options.batch_buffer_size == Some(0) {
                return Err(refused(format!("invalid audit batch {name} buffer size 0, must be a positive number")));
            }
            if options.truncate_max_event_size == Some(0) {
                let what = "max event size 0, must be a positive number";
                return Err(refused(format!("invalid audit truncate {name} {what}")));
            }
        }
        let sinks = self.log_path.is_some() || self.webhook_config_file.is_some();
        match (&self.policy_file, sinks) {
            (Some(_), false) => {
                Err(refused("--audit-policy-file needs --audit-log-path or --audit-webhook-config-file"))
            }
            (None, true) => Err(refused(
                "--audit-log-path and --audit-webhook-config-file need --audit-policy-file: without a policy there are no events",
            )),
            (None, false) if self.any() => Err(refused("the --audit-* flags go with --audit-policy-file")),
            _ => Ok(()),
        }
    }

    pub(super) fn format(&self) -> Result<Format, ConfigurationError> {
        match self.log_format.as_deref() {
            None | Some("json") => Ok(Format::Json),
            Some("legacy") => Ok(Format::Legacy),
            Some(other) => {
                Err(refused(format!("invalid audit log format {other}, allowed formats are \"legacy,json\"")))
            }
        }
    }

    pub(super) fn rotation(&self) -> Rotation {
        let megabytes = self.log_maxsize.filter(|megabytes| *megabytes > 0).unwrap_or(LOG_MEGABYTES_MAX);
        Rotation {
            bytes_max: megabytes.saturating_mul(MEGABYTE),
            files_max: self.log_maxbackup.unwrap_or_default(),
            days_max: self.log_maxage.unwrap_or_default(),
            compress: self.log_compress,
        }
    }

    /// Of the log: what waits is written together, nothing waits for more.
    pub(super) fn log_batching() -> Batching {
        Batching { events_max: LOG_BATCH_EVENTS, bytes_max: LOG_BATCH_BYTES, wait: Duration::ZERO }
    }

    pub(super) fn webhook_batching(&self, mode: Mode) -> Batching {
        let wait = match mode {
            Mode::Batch => self.webhook_batch_max_wait.unwrap_or(WEBHOOK_BATCH_WAIT),
            Mode::Blocking | Mode::BlockingStrict => Duration::ZERO,
        };
        let events_max = self.webhook_batch_max_size.unwrap_or(WEBHOOK_BATCH_EVENTS);
        Batching { events_max, bytes_max: WEBHOOK_BATCH_BYTES, wait }
    }

    pub(super) fn backoff(&self) -> Duration {
        self.webhook_initial_backoff.unwrap_or(WEBHOOK_BACKOFF)
    }
}

impl SinkOptions {
    pub(super) fn mode(&self, sink: &str, default: Mode) -> Result<Mode, ConfigurationError> {
        match self.mode.as_deref() {
            None => Ok(default),
            Some("batch") => Ok(Mode::Batch),
            Some("blocking") => Ok(Mode::Blocking),
            Some("blocking-strict") => Ok(Mode::BlockingStrict),
            Some(other) => {
                let allowed = "allowed modes are \"batch,blocking,blocking-strict\"";
                Err(refused(format!("invalid audit {sink} mode {other}, {allowed}")))
            }
        }
    }

    pub(super) fn events_max(&self) -> usize {
        self.batch_buffer_size.unwrap_or(EVENTS_MAX)
    }

    /// `None`: the queue's own bound.
    pub(super) fn event_bytes_max(&self) -> Option<usize> {
        self.truncate_enabled.then(|| self.truncate_max_event_size.unwrap_or(EVENT_BYTES_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_do_not_fit_are_refused() {
        let whole =
            AuditOptions { policy_file: Some("/p".into()), log_path: Some("-".into()), ..AuditOptions::default() };
        let sink = |mode: &str| SinkOptions { mode: Some(mode.to_owned()), ..SinkOptions::default() };
        let none = AuditOptions::default();
        for (options, why) in [
            (whole.clone(), ""),
            (none.clone(), ""),
            (AuditOptions { log: sink("blocking-strict"), ..whole.clone() }, ""),
            (AuditOptions { log: sink("now"), ..whole.clone() }, "invalid audit log mode now, allowed modes"),
            (AuditOptions { log_format: Some("xml".into()), ..whole.clone() }, "invalid audit log format xml"),
            (AuditOptions { log_path: None, ..whole.clone() }, "--audit-policy-file needs --audit-log-path or"),
            (AuditOptions { policy_file: None, ..whole.clone() }, "without a policy there are no events"),
            (AuditOptions { log_compress: true, ..none }, "go with --audit-policy-file"),
            (AuditOptions { webhook_batch_max_size: Some(0), ..whole.clone() }, "max batch size 0"),
            (
                AuditOptions { webhook: SinkOptions { batch_buffer_size: Some(0), ..SinkOptions::default() }, ..whole },
                "invalid audit batch webhook buffer size 0",
            ),
        ] {
            let said = options.check().err().map(|error| error.to_string()).unwrap_or_default();
            assert!(said.contains(why) && why.is_empty() == said.is_empty(), "{said}: {why}");
        }
    }
}
