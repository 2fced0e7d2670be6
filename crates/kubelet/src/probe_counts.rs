//! How probes ended and how long they took, under upstream's names, in the text form that scrapers read.
//!
//! Bound: a few series for each probe of a container that is here; they go with its pod.

use crate::pod::{self, Uid};
use crate::pod_machine::{Outcome, ProbeKind};
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use reconcile::Histogram;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// Upstream's, in seconds.
const BOUNDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

struct Times {
    /// Another pod of its name goes on with the series.
    pod: Uid,
    took: Histogram,
}

#[derive(Default)]
struct Series {
    /// By pod, and by the labels, result included.
    results: BTreeMap<(Uid, String), u64>,
    /// By labels: these name no uid.
    times: BTreeMap<String, Times>,
}

#[derive(Default)]
pub(crate) struct ProbeCounts(Mutex<Series>);

impl ProbeCounts {
    pub(crate) fn count(&self, of: &Pod, container: &str, kind: ProbeKind, outcome: &Outcome, took: Duration) {
        let (namespace, name, uid, kind) = (pod::namespace(of), pod::name(of), pod::uid(of), kind.title());
        let result = match outcome {
            Outcome::Success => "successful",
            Outcome::Failure(_) => "failed",
            Outcome::Error(_) => "unknown",
        };
        let whose = format!("container=\"{container}\",namespace=\"{namespace}\",pod=\"{name}\"");
        let labels = format!("{whose},pod_uid=\"{uid}\",probe_type=\"{kind}\",result=\"{result}\"");
        let uid: Uid = uid.into();
        let mut series = self.0.lock();
        *series.results.entry((uid.clone(), labels)).or_default() += 1;
        let times = series.times.entry(format!("{whose},probe_type=\"{kind}\""));
        let times = times.or_insert_with(|| Times { pod: uid.clone(), took: Histogram::new(BOUNDS) });
        times.pod = uid;
        times.took.took(took);
    }

    /// To be called when no probe of the pod is under way any more.
    pub(crate) fn forget(&self, pod: &Uid) {
        let mut series = self.0.lock();
        series.results.retain(|(own, _), _| own != pod);
        series.times.retain(|_, times| times.pod != *pod);
    }

    pub(crate) fn page(&self) -> String {
        let mut text = String::new();
        if self.write(&mut text).is_err() {
            tracing::error!("the counts of probes did not render");
        }
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let series = self.0.lock();
        let name = "prober_probe_total";
        writeln!(out, "# HELP {name} Probes of containers, by their result.\n# TYPE {name} counter")?;
        for ((_, labels), count) in &series.results {
            writeln!(out, "{name}{{{labels}}} {count}")?;
        }
        let name = "prober_probe_duration_seconds";
        writeln!(out, "# HELP {name} How long probes of containers took.\n# TYPE {name} histogram")?;
        series.times.iter().try_for_each(|(labels, times)| times.took.write(name, labels, out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, uid: &str) -> Pod {
        let mut own = Pod::default();
        own.metadata.namespace = Some("shop".into());
        own.metadata.name = Some(name.into());
        own.metadata.uid = Some(uid.into());
        own
    }

    #[test]
    fn probes_are_counted_until_their_pod_is_gone() {
        let counts = ProbeCounts::default();
        let (old, new) = (named("db-0", "u1"), named("db-0", "u2"));
        let count = |of: &Pod, outcome: Outcome| {
            counts.count(of, "main", ProbeKind::Liveness, &outcome, Duration::from_millis(20));
        };
        count(&old, Outcome::Success);
        count(&old, Outcome::Failure("no".into()));
        count(&old, Outcome::Success);
        let whose = "container=\"main\",namespace=\"shop\",pod=\"db-0\"";
        let total = |uid: &str, result: &str, times: u32| {
            format!(
                "prober_probe_total{{{whose},pod_uid=\"{uid}\",probe_type=\"Liveness\",result=\"{result}\"}} {times}\n"
            )
        };
        let took =
            |times: u32| format!("prober_probe_duration_seconds_count{{{whose},probe_type=\"Liveness\"}} {times}\n");
        let has = |parts: &[String]| {
            let text = counts.page();
            for part in parts {
                assert!(text.contains(part), "{part} in {text}");
            }
        };
        has(&[total("u1", "successful", 2), total("u1", "failed", 1), took(3)]);
        count(&new, Outcome::Error("what?".into()));
        counts.forget(&"u1".into());
        has(&[total("u2", "unknown", 1), took(4)]);
        assert!(!counts.page().contains("u1"));
        counts.forget(&"u2".into());
        assert_eq!(counts.page().lines().filter(|line| !line.starts_with('#')).count(), 0);
    }
}
