//! What is counted of a FlowSchema's requests, in upstream's names.
//!
//! Bound: one set per FlowSchema that is there.

use super::level::Rejection;
use super::table::Table;
use exposition::Histogram;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

const BUCKETS_SECONDS: &[f64] = &[0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0];

pub(super) struct Counts {
    pub(super) executing: AtomicU32,
    waiting: AtomicU32,
    served: Histogram,
    refused: Histogram,
    rejections: [AtomicU64; Rejection::ALL.len()],
}

impl Default for Counts {
    fn default() -> Counts {
        Counts {
            executing: AtomicU32::default(),
            waiting: AtomicU32::default(),
            served: Histogram::new(BUCKETS_SECONDS),
            refused: Histogram::new(BUCKETS_SECONDS),
            rejections: Default::default(),
        }
    }
}

/// A request that waits, until this is dropped.
pub(super) struct InQueue<'a>(&'a AtomicU32);

impl Drop for InQueue<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counts {
    pub(super) fn enter_waiting(&self) -> InQueue<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        InQueue(&self.waiting)
    }

    pub(super) fn served_after(&self, wait: Duration) {
        self.served.took(wait);
    }

    pub(super) fn rejected(&self, why: Rejection, wait: Duration) {
        self.refused.took(wait);
        if let Some(index) = Rejection::ALL.iter().position(|own| *own == why) {
            self.rejections[index].fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(out, "# HELP apiserver_flowcontrol_{name} {help}\n# TYPE apiserver_flowcontrol_{name} {kind}")
}

impl Table {
    /// Everything that is counted, as text.
    pub(super) fn metrics(&self, out: &mut String) -> std::fmt::Result {
        self.request_metrics(out)?;
        self.wait_metrics(out)?;
        self.level_metrics(out)
    }

    fn request_metrics(&self, out: &mut String) -> std::fmt::Result {
        let flows = || self.flows.iter().map(|flow| (flow.labels(), &flow.counts));
        head(out, "rejected_requests_total", "counter", "Requests that were refused for want of seats.")?;
        for (labels, counts) in flows() {
            for (why, count) in Rejection::ALL.iter().zip(&counts.rejections) {
                let (why, count) = (why.name(), count.load(Ordering::Relaxed));
                if count > 0 {
                    writeln!(
                        out,
                        "apiserver_flowcontrol_rejected_requests_total{{{labels},reason=\"{why}\"}} {count}"
                    )?;
                }
            }
        }
        head(out, "dispatched_requests_total", "counter", "Requests that got their seats.")?;
        for (labels, counts) in flows() {
            let count = counts.served.count();
            writeln!(out, "apiserver_flowcontrol_dispatched_requests_total{{{labels}}} {count}")?;
        }
        head(out, "current_inqueue_requests", "gauge", "Requests that wait for seats.")?;
        for (labels, counts) in flows() {
            let count = counts.waiting.load(Ordering::Relaxed);
            writeln!(out, "apiserver_flowcontrol_current_inqueue_requests{{{labels}}} {count}")?;
        }
        head(out, "current_executing_requests", "gauge", "Requests that have seats.")?;
        for (labels, counts) in flows() {
            let count = counts.executing.load(Ordering::Relaxed);
            writeln!(out, "apiserver_flowcontrol_current_executing_requests{{{labels}}} {count}")?;
        }
        Ok(())
    }

    fn wait_metrics(&self, out: &mut String) -> std::fmt::Result {
        head(out, "request_wait_duration_seconds", "histogram", "How long requests waited for seats, in seconds.")?;
        let name = "apiserver_flowcontrol_request_wait_duration_seconds";
        for flow in &self.flows {
            let labels = flow.labels();
            for (execute, waits) in [(true, &flow.counts.served), (false, &flow.counts.refused)] {
                if waits.count() > 0 {
                    waits.write(name, &format!("execute=\"{execute}\",{labels}"), out)?;
                }
            }
        }
        Ok(())
    }

    fn level_metrics(&self, out: &mut String) -> std::fmt::Result {
        let limited = || self.levels.iter().filter_map(|level| Some((&level.name, level.nominal()?, level)));
        head(out, "nominal_limit_seats", "gauge", "The seats of a level when none are lent.")?;
        for (name, nominal, _) in limited() {
            writeln!(out, "apiserver_flowcontrol_nominal_limit_seats{{priority_level=\"{name}\"}} {nominal}")?;
        }
        head(out, "current_limit_seats", "gauge", "The seats of a level, with those that are lent to it.")?;
        for (name, _, level) in limited() {
            let seats = level.limit();
            writeln!(out, "apiserver_flowcontrol_current_limit_seats{{priority_level=\"{name}\"}} {seats}")?;
        }
        head(out, "current_executing_seats", "gauge", "The seats that are taken.")?;
        for level in &self.levels {
            let (name, seats) = (&level.name, level.seats_executing());
            writeln!(out, "apiserver_flowcontrol_current_executing_seats{{priority_level=\"{name}\"}} {seats}")?;
        }
        Ok(())
    }
}
