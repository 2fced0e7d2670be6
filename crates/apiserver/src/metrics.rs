//! Counters and histograms of requests, in upstream's names, in the text form that scrapers read.
//!
//! Bound: one series per verb, resource, subresource and code that was ever answered; all of them come from tables.

pub(crate) mod storage;

use crate::http::{Answer, AnswerBody};
use exposition::{Histogram, head};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
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

/// Upstream's, and some below for answers that take less than its first.
const DURATIONS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0,
    10.0, 15.0, 20.0, 30.0, 45.0, 60.0,
];
/// Bytes.
const SIZES: &[f64] = &[1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// Group, version and kind.
type WatchedKind = (&'static str, &'static str, &'static str);

#[derive(Default)]
struct Series {
    requests: BTreeMap<(Labels, u16), u64>,
    durations: BTreeMap<Labels, Histogram>,
    /// Without what others took.
    own_durations: BTreeMap<Labels, Histogram>,
    deprecated: BTreeSet<Labels>,
    watched: BTreeMap<WatchedKind, Arc<AtomicU64>>,
    sizes: BTreeMap<Labels, Histogram>,
    long_running: BTreeMap<Labels, i64>,
}

#[derive(Default)]
pub(crate) struct Metrics {
    series: Mutex<Series>,
    read_only: AtomicI64,
    mutating: AtomicI64,
}

/// Counts a request as under way until dropped.
pub(crate) struct Inflight<'a>(&'a AtomicI64);

impl Drop for Inflight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts a watch or stream as under way until dropped.
struct LongRunning {
    metrics: Arc<Metrics>,
    labels: Labels,
}

impl Drop for LongRunning {
    fn drop(&mut self) {
        if let Some(count) = self.metrics.series.lock().long_running.get_mut(&self.labels) {
            *count -= 1;
        }
    }
}

impl Metrics {
    /// Not of watches and streams: they go on for as long as somebody looks.
    pub(crate) fn enter(&self, verb: &str) -> Inflight<'_> {
        let reads = matches!(verb, "get" | "list" | "watch");
        let count = if reads { &self.read_only } else { &self.mutating };
        count.fetch_add(1, Ordering::Relaxed);
        Inflight(count)
    }

    /// Counts the watch or stream until its body, or the task that carries its bytes, ends.
    pub(crate) fn goes_on(self: &Arc<Self>, labels: Labels, mut answer: Answer) -> Answer {
        *self.series.lock().long_running.entry(labels).or_default() += 1;
        let counted = LongRunning { metrics: self.clone(), labels };
        match answer.spliced.take() {
            Some(task) => {
                answer.spliced = Some(tokio::spawn(async move {
                    if let Err(error) = task.await {
                        tracing::error!(%error, "the task of a stream failed");
                    }
                    drop(counted);
                }));
            }
            None => answer.body = AnswerBody::Kept(Box::new(answer.body), Box::new(counted)),
        }
        answer
    }

    /// Somebody asked for a version that will not be there for ever.
    pub(crate) fn deprecated(&self, labels: Labels) {
        self.series.lock().deprecated.insert(Labels { verb: "", scope: "", ..labels });
    }

    /// Counts the events that watches of a kind are sent.
    pub(crate) fn watch_events(&self, kind: WatchedKind) -> Arc<AtomicU64> {
        self.series.lock().watched.entry(kind).or_default().clone()
    }

    /// `took` is `None` for watches and streams, whose length says nothing, and beside it what it waited for others: its
    /// turn, and webhooks; `bytes` where the answer's are known.
    pub(crate) fn answered(&self, labels: Labels, code: u16, took: Option<(Duration, Duration)>, bytes: Option<u64>) {
        let mut series = self.series.lock();
        *series.requests.entry((labels, code)).or_default() += 1;
        let Some((took, elsewhere)) = took else { return };
        histogram(&mut series.durations, labels, DURATIONS).took(took);
        let own = took.saturating_sub(elsewhere);
        histogram(&mut series.own_durations, labels, DURATIONS).took(own);
        // Upstream's counts what is read only.
        if let Some(bytes) = bytes.filter(|_| matches!(labels.verb, "GET" | "LIST")) {
            histogram(&mut series.sizes, labels, SIZES).observe(bytes as f64);
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
            durations.write(name, &format!("component=\"apiserver\",dry_run=\"\",{labels}"), out)?;
        }
        let name = "apiserver_request_sli_duration_seconds";
        head(out, name, "histogram", "How long requests took without their turn and webhooks, in seconds.")?;
        for (labels, durations) in &series.own_durations {
            durations.write(name, &format!("component=\"apiserver\",{labels}"), out)?;
        }
        let name = "apiserver_requested_deprecated_apis";
        head(out, name, "gauge", "Deprecated versions that were asked for. The value is always 1.")?;
        for Labels { group, version, resource, subresource, .. } in &series.deprecated {
            writeln!(
                out,
                "{name}{{group=\"{group}\",removed_release=\"\",resource=\"{resource}\",\
                 subresource=\"{subresource}\",version=\"{version}\"}} 1"
            )?;
        }
        let name = "apiserver_watch_events_total";
        head(out, name, "counter", "Events that watches were sent.")?;
        for ((group, version, kind), count) in &series.watched {
            let count = count.load(Ordering::Relaxed);
            writeln!(out, "{name}{{group=\"{group}\",kind=\"{kind}\",version=\"{version}\"}} {count}")?;
        }
        let name = "apiserver_response_sizes";
        head(out, name, "histogram", "Bytes of answers to reads.")?;
        for (labels, sizes) in &series.sizes {
            sizes.write(name, &format!("component=\"apiserver\",{labels}"), out)?;
        }
        head(out, "apiserver_longrunning_requests", "gauge", "Watches and streams under way.")?;
        for (labels, count) in &series.long_running {
            writeln!(out, "apiserver_longrunning_requests{{component=\"apiserver\",{labels}}} {count}")?;
        }
        let name = "apiserver_current_inflight_requests";
        head(out, name, "gauge", "Requests under way, without watches and streams.")?;
        for (kind, count) in [("mutating", &self.mutating), ("readOnly", &self.read_only)] {
            writeln!(out, "{name}{{request_kind=\"{kind}\"}} {}", count.load(Ordering::Relaxed))?;
        }
        head(out, "apiserver_storage_objects", "gauge", "Stored objects by kind.")?;
        for (resource, count) in objects {
            writeln!(out, "apiserver_storage_objects{{resource=\"{resource}\"}} {count}")?;
        }
        head(out, "apiserver_watch_cache_resource_version", "gauge", "The revision that the cache has reached.")?;
        writeln!(out, "apiserver_watch_cache_resource_version {revision}")
    }
}

fn histogram<'a>(of: &'a mut BTreeMap<Labels, Histogram>, labels: Labels, bounds: &'static [f64]) -> &'a Histogram {
    of.entry(labels).or_insert_with(|| Histogram::new(bounds))
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
        let elsewhere = Duration::from_millis(85_500);
        metrics.answered(labels, 200, Some((Duration::from_millis(2), Duration::ZERO)), Some(5000));
        metrics.answered(labels, 404, Some((Duration::from_secs(90), elsewhere)), None);
        metrics.deprecated(labels);
        metrics.watch_events(("apps", "v1", "Deployment")).fetch_add(3, Ordering::Relaxed);
        metrics.watch_events(("apps", "v1", "Deployment")).fetch_add(2, Ordering::Relaxed);
        let text = metrics.render(7, &[("pods".to_owned(), 3)]);
        let has = |part: &str| assert!(text.contains(part), "{part} in {text}");
        has("resource=\"pods\",scope=\"resource\",subresource=\"\",verb=\"GET\",version=\"v1\",le=\"0.001\"} 0\n");
        has("version=\"v1\",le=\"0.0025\"} 1\n");
        has("apiserver_request_sli_duration_seconds_sum{component=\"apiserver\",group=\"\",resource=\"pods\",\
             scope=\"resource\",subresource=\"\",verb=\"GET\",version=\"v1\"} 4.502\n");
        has("deprecated_apis{group=\"\",removed_release=\"\",resource=\"pods\",subresource=\"\",version=\"v1\"} 1\n");
        has("apiserver_watch_events_total{group=\"apps\",kind=\"Deployment\",version=\"v1\"} 5\n");
        has("le=\"60\"} 1\n");
        has("le=\"+Inf\"} 2\n");
        has("apiserver_request_total{code=\"404\"");
        has("apiserver_storage_objects{resource=\"pods\"} 3\n");
        has("version=\"v1\",le=\"1000\"} 0\n");
        has("version=\"v1\",le=\"10000\"} 1\n");
        has("apiserver_response_sizes_sum{component=\"apiserver\",group=\"\",resource=\"pods\"");
    }

    #[tokio::test]
    async fn a_watch_counts_until_its_body_or_its_task_ends() {
        let metrics = Arc::new(Metrics::default());
        let labels = Labels { verb: "WATCH", resource: "pods", version: "v1", ..Labels::default() };
        let count = || metrics.series.lock().long_running[&labels];
        let body = AnswerBody::stream(futures::stream::empty());
        let watch = metrics.goes_on(labels, Answer::of("application/json", body));
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let mut upgraded = Answer::text("");
        upgraded.spliced = Some(tokio::spawn(async { ended.await.unwrap() }));
        let upgraded = metrics.goes_on(labels, upgraded);
        assert_eq!(count(), 2);
        drop(watch);
        assert_eq!(count(), 1);
        end.send(()).unwrap();
        upgraded.spliced.unwrap().await.unwrap();
        assert_eq!(count(), 0);
        assert!(metrics.render(1, &[]).contains("apiserver_longrunning_requests{component=\"apiserver\",group=\"\""));
    }

    #[test]
    fn reads_and_writes_are_told_apart() {
        let metrics = Metrics::default();
        let inflight = [metrics.enter("get"), metrics.enter("create")];
        let text = metrics.render(1, &[]);
        for kind in ["mutating", "readOnly"] {
            let line = format!("apiserver_current_inflight_requests{{request_kind=\"{kind}\"}} 1\n");
            assert!(text.contains(&line), "{line} in {text}");
        }
        drop(inflight);
        assert!(metrics.render(1, &[]).contains("{request_kind=\"readOnly\"} 0\n"));
    }
}
