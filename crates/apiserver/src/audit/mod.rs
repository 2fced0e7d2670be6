//! The audit log: who asked for what, and what became of it, as a policy says.
//!
//! A request has a `Trail`, which the layers of the stack tell what they learn; at each stage an `Event` of
//! `audit.k8s.io/v1` goes to the queues of the log and the webhook. Invariants: without a policy a request pays one
//! branch; in the blocking modes a client has no answer before its events are stored. Bounds: in `queue`.

mod event;
mod log_file;
mod objects;
mod old_files;
mod options;
mod origin;
mod policy;
mod queue;
mod source;
mod trail;
mod webhook;

pub use log_file::LogFileError;
pub use options::{AuditOptions, SinkOptions};
pub(crate) use origin::Origin;
pub(crate) use trail::{Streaming, Trail};

use crate::callout::Callout;
use crate::configuration_file::ConfigurationError;
use event::Event;
use log_file::LogFile;
use options::Mode;
use policy::{Level, Policy};
use queue::{Queue, Sink};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use webhook::Webhook;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    #[error(transparent)]
    Log(#[from] LogFileError),
}

/// The policy, and where events go.
pub struct Audit {
    policy: Policy,
    queues: Vec<Arc<Queue>>,
    /// Requests by level, in the order of `Level::ALL`.
    levels: [AtomicU64; 4],
    events: AtomicU64,
    rejected: AtomicU64,
}

impl Audit {
    /// Reads the policy and opens what events go to; `None` where none is asked for.
    ///
    /// # Errors
    /// What is wrong with the flags, or with a file that one of them names, which the error names too.
    pub fn open(options: &AuditOptions, callout: &Callout) -> Result<Option<Arc<Audit>>, AuditError> {
        options.check()?;
        let Some(policy) = &options.policy_file else { return Ok(None) };
        let policy = Policy::read(policy)?;
        let mut queues = Vec::new();
        if let Some(path) = &options.log_path {
            let file = LogFile::open(path, options.format()?, options.rotation())?;
            let mode = options.log.mode("log", Mode::Blocking)?;
            queues.push((Sink::Log(file), mode, &options.log, AuditOptions::log_batching()));
        }
        if let Some(path) = &options.webhook_config_file {
            let webhook =
                Webhook::from_kubeconfig(path, callout, options.backoff()).map_err(ConfigurationError::from)?;
            let mode = options.webhook.mode("webhook", Mode::Batch)?;
            queues.push((Sink::Webhook(webhook), mode, &options.webhook, options.webhook_batching(mode)));
        }
        let start = |(sink, mode, own, batching)| {
            let own: &SinkOptions = own;
            Arc::new(Queue::start(sink, mode, own.events_max(), own.event_bytes_max(), batching))
        };
        Ok(Some(Arc::new(Audit {
            policy,
            queues: queues.into_iter().map(start).collect(),
            levels: Default::default(),
            events: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
        })))
    }

    fn count_level(&self, level: Level) {
        self.levels[level as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Whether all that must be stored was.
    async fn put(&self, event: &Event) -> bool {
        self.events.fetch_add(1, Ordering::Relaxed);
        let mut stored = true;
        for queue in &self.queues {
            stored &= queue.put(event).await;
        }
        stored
    }

    fn put_detached(&self, event: &Event) {
        self.events.fetch_add(1, Ordering::Relaxed);
        for queue in &self.queues {
            queue.put_detached(event);
        }
    }

    /// Returns when what waits is stored, or the time for it is over.
    pub(crate) async fn end(&self) {
        for queue in &self.queues {
            queue.end().await;
        }
    }

    /// Appends what scrapers read, in upstream's names.
    pub(crate) fn metrics(&self, out: &mut String) {
        // Writing to a String does not fail.
        if self.write_metrics(out).is_err() {
            tracing::error!("the audit log's metrics did not render");
        }
    }

    fn write_metrics(&self, out: &mut String) -> std::fmt::Result {
        let head = |out: &mut String, name: &str, help: &str| {
            writeln!(out, "# HELP apiserver_audit_{name} {help}\n# TYPE apiserver_audit_{name} counter")
        };
        head(out, "event_total", "Audit events that were made.")?;
        writeln!(out, "apiserver_audit_event_total {}", self.events.load(Ordering::Relaxed))?;
        head(out, "level_total", "Requests by the level that the policy has for them.")?;
        for (level, count) in Level::ALL.iter().zip(&self.levels) {
            let count = count.load(Ordering::Relaxed);
            writeln!(out, "apiserver_audit_level_total{{level=\"{}\"}} {count}", level.name())?;
        }
        head(out, "error_total", "Audit events that were lost, by what lost them.")?;
        for queue in &self.queues {
            writeln!(out, "apiserver_audit_error_total{{plugin=\"{}\"}} {}", queue.name, queue.lost())?;
        }
        head(out, "requests_rejected_total", "Requests refused because their audit event could not be stored.")?;
        writeln!(out, "apiserver_audit_requests_rejected_total {}", self.rejected.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests;
