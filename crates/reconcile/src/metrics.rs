//! What a controller counts, under upstream's names.

use exposition::Histogram;
use std::fmt::{Error, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upstream's, in seconds.
const WORK_BOUNDS: &[f64] =
    &[0.000_000_01, 0.000_000_1, 0.000_001, 0.000_01, 0.000_1, 0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0];

/// One controller's counters.
#[derive(Debug)]
pub struct Metrics {
    pub(crate) adds: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) errors: AtomicU64,
    work: Histogram,
    /// Reconciles put off because the cache had not shown the last one's writes.
    pub(crate) deferred: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            adds: AtomicU64::default(),
            retries: AtomicU64::default(),
            errors: AtomicU64::default(),
            work: Histogram::new(WORK_BOUNDS),
            deferred: AtomicU64::default(),
        }
    }
}

impl Metrics {
    pub(crate) fn ran(&self, took: Duration) {
        self.work.took(took);
    }

    pub fn reconciles(&self) -> u64 {
        self.work.count()
    }

    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    pub fn deferred(&self) -> u64 {
        self.deferred.load(Ordering::Relaxed)
    }
}

type Counter = (&'static str, &'static str, fn(&Metrics) -> u64);

const COUNTERS: [Counter; 5] = [
    ("workqueue_adds_total", "Total number of adds handled by workqueue", |own| own.adds.load(Ordering::Relaxed)),
    ("workqueue_retries_total", "Total number of retries handled by workqueue", |own| {
        own.retries.load(Ordering::Relaxed)
    }),
    ("sampan_reconcile_total", "Reconciles that ended.", Metrics::reconciles),
    ("sampan_reconcile_errors_total", "Reconciles that failed.", Metrics::errors),
    (
        "sampan_reconcile_deferred_total",
        "Reconciles put off because the cache had not shown the last one's writes.",
        Metrics::deferred,
    ),
];

/// Appends what controllers count, by their names and with the depths of their queues, in Prometheus' text format.
pub fn write(controllers: &[(&str, &Metrics, usize)], out: &mut String) -> Result<(), Error> {
    writeln!(out, "# HELP workqueue_depth Current depth of workqueue\n# TYPE workqueue_depth gauge")?;
    for (name, _, depth) in controllers {
        writeln!(out, "workqueue_depth{{name=\"{name}\"}} {depth}")?;
    }
    for (family, help, counter) in COUNTERS {
        writeln!(out, "# HELP {family} {help}\n# TYPE {family} counter")?;
        for (name, metrics, _) in controllers {
            writeln!(out, "{family}{{name=\"{name}\"}} {}", counter(metrics))?;
        }
    }
    let family = "workqueue_work_duration_seconds";
    writeln!(
        out,
        "# HELP {family} How long in seconds processing an item from workqueue takes.\n# TYPE {family} histogram"
    )?;
    for (name, metrics, _) in controllers {
        metrics.work.write(family, &format!("name=\"{name}\""), out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_stand_together() {
        let (one, other) = (Metrics::default(), Metrics::default());
        one.adds.store(3, Ordering::Relaxed);
        other.ran(Duration::from_millis(1500));
        let mut text = String::new();
        write(&[("job", &one, 2), ("node", &other, 0)], &mut text).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let adds = lines.iter().position(|line| *line == "# TYPE workqueue_adds_total counter").unwrap();
        assert_eq!(
            lines[adds + 1..adds + 3],
            ["workqueue_adds_total{name=\"job\"} 3", "workqueue_adds_total{name=\"node\"} 0"]
        );
        for line in [
            "workqueue_depth{name=\"job\"} 2",
            "sampan_reconcile_total{name=\"node\"} 1",
            "workqueue_work_duration_seconds_bucket{name=\"node\",le=\"0.00000001\"} 0",
            "workqueue_work_duration_seconds_bucket{name=\"node\",le=\"10\"} 1",
            "workqueue_work_duration_seconds_sum{name=\"node\"} 1.5",
        ] {
            assert!(lines.contains(&line), "{line} in {text}");
        }
        assert_eq!(lines.iter().filter(|line| line.starts_with("# TYPE")).count(), 7);
    }
}
