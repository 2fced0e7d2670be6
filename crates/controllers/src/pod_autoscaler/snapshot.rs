//! The pods of a namespace and what they use, at one moment: autoscalers of a namespace are judged together, by one
//! list of its metrics.
//!
//! Bound: one snapshot per namespace that has an autoscaler, gone when it is older than `AGE_MAX` and another is made.

use super::metric::{Reading, Usage, sample};
use super::pods::Samples;
use api::Kind;
use api::metrics::{ContainerMetrics, PodMetrics};
use api::quantity::Quantity;
use api::selector::Selector;
use client::{Cache, Client, Labels, PodView, Request, Verb};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde::Deserialize;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// Half of how often a node measures: whoever looks in between would see the same.
const AGE_MAX: Duration = Duration::from_secs(5);

/// Of one pod.
struct Used {
    at: Timestamp,
    window: SignedDuration,
    containers: Vec<(Box<str>, Usage)>,
}

pub(super) struct Snapshot {
    namespace: String,
    taken: Instant,
    /// Pods of equal labels, which those of one template share.
    alike: Vec<(Arc<Labels>, Vec<Arc<PodView>>)>,
    /// Which of those have a label, by the label's hash; what is found is looked at once more.
    by_label: HashMap<u64, Vec<usize>>,
    /// Read when the first metric asks for it.
    used: OnceCell<Result<HashMap<String, Used>, String>>,
}

/// A label as a number.
pub(super) fn label_hash(key: &str, value: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, value).hash(&mut hasher);
    hasher.finish()
}

impl Snapshot {
    fn take(namespace: &str, pods: Vec<Arc<PodView>>) -> Snapshot {
        let mut places: HashMap<*const Labels, usize> = HashMap::new();
        let mut alike: Vec<(Arc<Labels>, Vec<Arc<PodView>>)> = Vec::new();
        for pod in pods {
            let place = *places.entry(Arc::as_ptr(&pod.labels)).or_insert_with(|| {
                alike.push((pod.labels.clone(), Vec::new()));
                alike.len() - 1
            });
            alike[place].1.push(pod);
        }
        let mut by_label: HashMap<u64, Vec<usize>> = HashMap::new();
        for (place, (labels, _)) in alike.iter().enumerate() {
            for (key, value) in labels.iter() {
                by_label.entry(label_hash(key, value)).or_default().push(place);
            }
        }
        let (namespace, used) = (namespace.to_owned(), OnceCell::new());
        Snapshot { namespace, taken: Instant::now(), alike, by_label, used }
    }

    /// The groups of equal labels that are selected.
    pub(super) fn selected<'a>(
        &'a self,
        selector: &'a Selector,
    ) -> impl Iterator<Item = &'a (Arc<Labels>, Vec<Arc<PodView>>)> {
        let exact = selector.requirements().iter().filter_map(|own| Some((own.key(), selector.exact(own.key())?)));
        let places =
            exact.map(|(key, value)| self.by_label.get(&label_hash(key, value)).map_or(&[][..], Vec::as_slice));
        let candidates: Box<dyn Iterator<Item = usize>> = match places.min_by_key(|places| places.len()) {
            Some(places) => Box::new(places.iter().copied()),
            None => Box::new(0..self.alike.len()),
        };
        candidates.map(|place| &self.alike[place]).filter(|(labels, _)| selector.matches(labels))
    }

    /// What the pods use of a resource: whole pods, or one container of each. An error says why that is not known.
    pub(super) async fn resource(
        &self,
        client: &Client,
        pods: &[Arc<PodView>],
        of: (&str, &str),
    ) -> Result<Reading, String> {
        let used = self.used.get_or_init(|| used(client, &self.namespace)).await;
        let used = used.as_ref().map_err(|why| format!("unable to fetch metrics from resource metrics API: {why}"))?;
        let mut samples = Samples::new();
        let mut is_any = false;
        for pod in pods {
            let Some(own) = used.get(pod.name()) else { continue };
            is_any = true;
            let container = of.1;
            if !container.is_empty() && own.containers.iter().all(|(name, _)| **name != *container) {
                let (namespace, name) = (pod.namespace(), pod.name());
                let why = format!("container {container} not present in metrics for pod {namespace}/{name}");
                return Err(format!("failed to get container metrics: {why}"));
            }
            if let Some(sample) = sample(&own.containers, of, own.at, own.window) {
                samples.insert(pod.name().to_owned(), sample);
            }
        }
        if is_any {
            Ok(Reading::Pods(samples))
        } else {
            Err("no metrics returned from resource metrics API".to_owned())
        }
    }
}

/// The newest snapshot of each namespace.
pub(super) struct Snapshots {
    pods: Cache<PodView>,
    taken: Mutex<HashMap<String, Arc<Snapshot>>>,
}

impl Snapshots {
    pub(super) fn new(pods: Cache<PodView>) -> Snapshots {
        Snapshots { pods, taken: Mutex::default() }
    }

    pub(super) fn of(&self, namespace: &str) -> Arc<Snapshot> {
        let mut taken = self.taken.lock();
        if let Some(known) = taken.get(namespace).filter(|known| known.taken.elapsed() < AGE_MAX) {
            return known.clone();
        }
        taken.retain(|_, known| known.taken.elapsed() < AGE_MAX);
        let new = Arc::new(Snapshot::take(namespace, self.pods.list_namespace(namespace)));
        taken.insert(namespace.to_owned(), new.clone());
        new
    }
}

#[derive(Deserialize)]
struct Listed {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Named,
    timestamp: Time,
    window: String,
    #[serde(default)]
    containers: Vec<ContainerMetrics>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

async fn used(client: &Client, namespace: &str) -> Result<HashMap<String, Used>, String> {
    let request = Request::new(Verb::List, &PodMetrics::DEF, namespace, "");
    let body = client.call(request).await.map_err(|status| status.message)?;
    let listed: Listed = serde_json::from_slice(&body).map_err(|error| format!("decoding the metrics: {error}"))?;
    Ok(listed.items.into_iter().map(|item| (item.metadata.name.clone(), used_by(item))).collect())
}

fn used_by(item: Item) -> Used {
    let amount =
        |(resource, amount): (String, _)| Some((resource.into(), Quantity::try_from(&amount).ok()?.milli_value()));
    let of = |own: ContainerMetrics| (own.name.into(), own.usage.into_iter().filter_map(amount).collect());
    Used {
        at: item.timestamp.0,
        // Go's way to write a length of time is one that is read.
        window: item.window.parse().unwrap_or(SignedDuration::ZERO),
        containers: item.containers.into_iter().map(of).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pods_are_found_by_their_labels() {
        let pod = |name: &str, app: &str, tier: &str| -> Arc<PodView> {
            let labels = json!({"app": app, "tier": tier});
            Arc::new(
                serde_json::from_value(json!({"metadata": {"name": name, "namespace": "d", "labels": labels}}))
                    .unwrap(),
            )
        };
        let snapshot = Snapshot::take("d", vec![pod("a", "web", "1"), pod("b", "db", "1"), pod("c", "web", "2")]);
        let check = |selector: &str, want: &[&str]| {
            let selector = Selector::parse(selector).unwrap();
            let names = snapshot.selected(&selector).flat_map(|(_, pods)| pods.iter().map(|pod| pod.name().to_owned()));
            let mut names: Vec<_> = names.collect();
            names.sort();
            assert_eq!(names, want, "{selector}");
        };
        check("app=web", &["a", "c"]);
        check("app=web,tier=2", &["c"]);
        check("app!=web", &["b"]);
        check("tier in (1,2)", &["a", "b", "c"]);
        check("app=none", &[]);
        check("", &["a", "b", "c"]);
    }

    #[test]
    fn what_a_metrics_server_says_is_read() {
        let item = json!({"metadata": {"name": "p"}, "timestamp": "2026-01-01T00:00:00Z", "window": "1m10.5s",
            "containers": [{"name": "c", "usage": {"cpu": "250000001n", "memory": "1Ki"}}]});
        let used = used_by(serde_json::from_value(item).unwrap());
        assert_eq!(used.window, SignedDuration::from_millis(70_500));
        let cpu = sample(&used.containers, ("cpu", ""), used.at, used.window).unwrap();
        assert_eq!(cpu.milli, 251, "rounded up, as upstream does");
        assert_eq!(sample(&used.containers, ("memory", "c"), used.at, used.window).unwrap().milli, 1_024_000);
        assert_eq!(sample(&used.containers, ("disk", ""), used.at, used.window), None);
    }
}
