//! What a controller counts, under upstream's names.

use std::fmt::{Error, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One controller's counters.
#[derive(Debug, Default)]
pub struct Metrics {
    pub(crate) adds: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) reconciles: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) busy_micros: AtomicU64,
    /// Reconciles put off because the cache had not shown the last one's writes.
    pub(crate) deferred: AtomicU64,
}

impl Metrics {
    pub(crate) fn ran(&self, took: Duration) {
        self.reconciles.fetch_add(1, Ordering::Relaxed);
        self.busy_micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub fn reconciles(&self) -> u64 {
        self.reconciles.load(Ordering::Relaxed)
    }

    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    pub fn deferred(&self) -> u64 {
        self.deferred.load(Ordering::Relaxed)
    }

    /// The exposition format's samples, without `TYPE` lines.
    pub fn render(&self, name: &str, depth: usize, out: &mut String) -> Result<(), Error> {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        writeln!(out, "workqueue_depth{{name=\"{name}\"}} {depth}")?;
        for (metric, counter) in [
            ("workqueue_adds_total", &self.adds),
            ("workqueue_retries_total", &self.retries),
            ("sampan_reconcile_total", &self.reconciles),
            ("sampan_reconcile_errors_total", &self.errors),
            ("sampan_reconcile_deferred_total", &self.deferred),
        ] {
            writeln!(out, "{metric}{{name=\"{name}\"}} {}", load(counter))?;
        }
        let seconds = Duration::from_micros(load(&self.busy_micros)).as_secs_f64();
        writeln!(out, "workqueue_work_duration_seconds_sum{{name=\"{name}\"}} {seconds}")?;
        writeln!(out, "workqueue_work_duration_seconds_count{{name=\"{name}\"}} {}", load(&self.reconciles))
    }
}
