//! What the scheduler counts, under upstream's names, in the text form that scrapers read.

use reconcile::Histogram;
use std::fmt::{Error, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Upstream's, and one below for attempts that take less than its first.
const SECONDS: &[f64] =
    &[0.0001, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384];

/// How an attempt to find a pod its node ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    Scheduled,
    Unschedulable,
    Error,
}

const ATTEMPTS: [(Attempt, &str); 3] =
    [(Attempt::Scheduled, "scheduled"), (Attempt::Unschedulable, "unschedulable"), (Attempt::Error, "error")];

/// How many pods wait, and for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) active: usize,
    pub(crate) backoff: usize,
    pub(crate) unschedulable: usize,
}

#[derive(Debug)]
pub(crate) struct Metrics {
    attempts: [Histogram; ATTEMPTS.len()],
    active: AtomicUsize,
    backoff: AtomicUsize,
    unschedulable: AtomicUsize,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            attempts: ATTEMPTS.map(|_| Histogram::new(SECONDS)),
            active: AtomicUsize::default(),
            backoff: AtomicUsize::default(),
            unschedulable: AtomicUsize::default(),
        }
    }
}

impl Metrics {
    /// From when the pod was taken up until its binding was written, or nothing came of it.
    pub(crate) fn attempted(&self, how: Attempt, took: Duration) {
        self.attempts[how as usize].took(took);
    }

    pub(crate) fn pending(&self, pending: Pending) {
        self.active.store(pending.active, Ordering::Relaxed);
        self.backoff.store(pending.backoff, Ordering::Relaxed);
        self.unschedulable.store(pending.unschedulable, Ordering::Relaxed);
    }

    /// Appends everything; `profile` is the scheduler's name.
    pub(crate) fn write(&self, profile: &str, out: &mut String) -> Result<(), Error> {
        let name = "scheduler_pending_pods";
        writeln!(out, "# HELP {name} Pods that wait, by what for.\n# TYPE {name} gauge")?;
        let waiting = [("active", &self.active), ("backoff", &self.backoff), ("unschedulable", &self.unschedulable)];
        for (queue, count) in waiting {
            writeln!(out, "{name}{{queue=\"{queue}\"}} {}", count.load(Ordering::Relaxed))?;
        }
        let name = "scheduler_schedule_attempts_total";
        writeln!(out, "# HELP {name} Attempts to schedule pods, by their result.\n# TYPE {name} counter")?;
        for (how, result) in ATTEMPTS {
            let count = self.attempts[how as usize].count();
            writeln!(out, "{name}{{profile=\"{profile}\",result=\"{result}\"}} {count}")?;
        }
        let name = "scheduler_scheduling_attempt_duration_seconds";
        writeln!(out, "# HELP {name} How long attempts took, binding included.\n# TYPE {name} histogram")?;
        for (how, result) in ATTEMPTS {
            let labels = format!("profile=\"{profile}\",result=\"{result}\"");
            self.attempts[how as usize].write(name, &labels, out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_and_waiting_pods_are_counted() {
        let metrics = Metrics::default();
        metrics.attempted(Attempt::Scheduled, Duration::from_micros(1500));
        metrics.attempted(Attempt::Scheduled, Duration::from_secs(60));
        metrics.attempted(Attempt::Unschedulable, Duration::from_micros(10));
        metrics.pending(Pending { active: 1, backoff: 2, unschedulable: 3 });
        let mut text = String::new();
        metrics.write("own", &mut text).unwrap();
        for line in [
            "scheduler_pending_pods{queue=\"unschedulable\"} 3",
            "scheduler_schedule_attempts_total{profile=\"own\",result=\"scheduled\"} 2",
            "scheduler_schedule_attempts_total{profile=\"own\",result=\"error\"} 0",
            "scheduler_scheduling_attempt_duration_seconds_bucket{profile=\"own\",result=\"scheduled\",le=\"0.001\"} 0",
            "scheduler_scheduling_attempt_duration_seconds_bucket{profile=\"own\",result=\"scheduled\",le=\"0.002\"} 1",
            "scheduler_scheduling_attempt_duration_seconds_bucket{profile=\"own\",result=\"scheduled\",le=\"16.384\"} 1",
            "scheduler_scheduling_attempt_duration_seconds_bucket{profile=\"own\",result=\"scheduled\",le=\"+Inf\"} 2",
            "scheduler_scheduling_attempt_duration_seconds_count{profile=\"own\",result=\"unschedulable\"} 1",
        ] {
            assert!(text.lines().any(|own| own == line), "{line} in {text}");
        }
    }
}
