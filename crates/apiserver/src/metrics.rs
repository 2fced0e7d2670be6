//! Counters and histograms of requests, in upstream's names, in the text form that scrapers read.
//!
//! Bound: one series per verb, resource, subresource and code that was ever answered; all of them come from tables.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Labels {
    pub verb: &'static str,
    pub group: &'static str,
    pub version: &'static str,
    pub resource: &'static str,
    pub subresource: &'static str,
    /// `cluster`, `namespace` or `resource`.
    pub scope: &'static str,
}

const BUCKETS_SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0];

#[derive(Default)]
struct Durations {
    buckets: [u64; BUCKETS_SECONDS.len()],
    sum_seconds: f64,
    count: u64,
}

#[derive(Default)]
struct Series {
    requests: BTreeMap<(Labels, u16), u64>,
    durations: BTreeMap<Labels, Durations>,
    long_running: BTreeMap<Labels, i64>,
}

#[derive(Default)]
pub(crate) struct Metrics {
    series: Mutex<Series>,
    inflight: AtomicI64,
}

/// Counts a request as under way until dropped.
pub(crate) struct Inflight<'a>(&'a Metrics);

impl Drop for Inflight<'_> {
    fn drop(&mut self) {
        self.0.inflight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    pub(crate) fn enter(&self) -> Inflight<'_> {
        self.inflight.fetch_add(1, Ordering::Relaxed);
        Inflight(self)
    }

    /// `took` is `None` for watches and streams, whose length says nothing.
    pub(crate) fn answered(&self, labels: Labels, code: u16, took: Option<Duration>) {
        let mut series = self.series.lock();
        *series.requests.entry((labels, code)).or_default() += 1;
        let Some(took) = took else {
            *series.long_running.entry(labels).or_default() += 1;
            return;
        };
        let seconds = took.as_secs_f64();
        let durations = series.durations.entry(labels).or_default();
        durations.count += 1;
        durations.sum_seconds += seconds;
        let first = BUCKETS_SECONDS.partition_point(|bound| *bound < seconds);
        for bucket in &mut durations.buckets[first..] {
            *bucket += 1;
        }
    }

    /// Everything, as text.
    pub(crate) fn render(&self, revision: u64, objects: &[(String, usize)]) -> String {
        let mut out = String::new();
        // Writing to a String does not fail.
        if self.write(&mut out, revision, objects).is_err() {
            tracing::error!("metrics did not render");
        }
        out
    }

    fn write(&self, out: &mut String, revision: u64, objects: &[(String, usize)]) -> std::fmt::Result {
        let series = self.series.lock();
        head(out, "apiserver_request_total", "counter", "Requests by verb, resource and response code.")?;
        for ((labels, code), count) in &series.requests {
            writeln!(
                out,
                "apiserver_request_total{{code=\"{code}\",component=\"apiserver\",dry_run=\"\",{labels}}} {count}"
            )?;
        }
        let name = "apiserver_request_duration_seconds";
        head(out, name, "histogram", "How long requests took, in seconds.")?;
        for (labels, durations) in &series.durations {
            for (bound, count) in BUCKETS_SECONDS.iter().zip(durations.buckets) {
                writeln!(out, "{name}_bucket{{component=\"apiserver\",dry_run=\"\",{labels},le=\"{bound}\"}} {count}")?;
            }
            let count = durations.count;
            writeln!(out, "{name}_bucket{{component=\"apiserver\",dry_run=\"\",{labels},le=\"+Inf\"}} {count}")?;
            let sum = durations.sum_seconds;
            writeln!(out, "{name}_sum{{component=\"apiserver\",dry_run=\"\",{labels}}} {sum}")?;
            writeln!(out, "{name}_count{{component=\"apiserver\",dry_run=\"\",{labels}}} {count}")?;
        }
        head(out, "apiserver_longrunning_requests_total", "counter", "Watches and streams that were begun.")?;
        for (labels, count) in &series.long_running {
            writeln!(out, "apiserver_longrunning_requests_total{{component=\"apiserver\",{labels}}} {count}")?;
        }
        head(out, "apiserver_current_inflight_requests", "gauge", "Requests under way.")?;
        let inflight = self.inflight.load(Ordering::Relaxed);
        writeln!(out, "apiserver_current_inflight_requests{{request_kind=\"all\"}} {inflight}")?;
        head(out, "apiserver_storage_objects", "gauge", "Stored objects by kind.")?;
        for (resource, count) in objects {
            writeln!(out, "apiserver_storage_objects{{resource=\"{resource}\"}} {count}")?;
        }
        head(out, "apiserver_watch_cache_resource_version", "gauge", "The revision that the cache has reached.")?;
        writeln!(out, "apiserver_watch_cache_resource_version {revision}")
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

impl std::fmt::Display for Labels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Labels { verb, group, version, resource, subresource, scope } = self;
        write!(
            f,
            "group=\"{group}\",resource=\"{resource}\",scope=\"{scope}\",subresource=\"{subresource}\",\
             verb=\"{verb}\",version=\"{version}\""
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let metrics = Metrics::default();
        let labels = Labels { verb: "GET", resource: "pods", version: "v1", scope: "resource", ..Labels::default() };
        metrics.answered(labels, 200, Some(Duration::from_millis(2)));
        metrics.answered(labels, 404, Some(Duration::from_secs(90)));
        let text = metrics.render(7, &[("pods".to_owned(), 3)]);
        let has = |part: &str| assert!(text.contains(part), "{part} in {text}");
        has("resource=\"pods\",scope=\"resource\",subresource=\"\",verb=\"GET\",version=\"v1\",le=\"0.001\"} 0\n");
        has("version=\"v1\",le=\"0.0025\"} 1\n");
        has("le=\"60\"} 1\n");
        has("le=\"+Inf\"} 2\n");
        has("apiserver_request_total{code=\"404\"");
        has("apiserver_storage_objects{resource=\"pods\"} 3\n");
    }
}
