//! Counts what the server asks of its store, under upstream's names for requests to etcd, whichever engine it is.
//!
//! Bound: one set of counters for each kind of request and each of `RESOURCES_MAX` resources; what comes of further ones
//! is counted under no resource. Known ones cost a shared lock, two clocks and three additions, and no allocation.

use async_trait::async_trait;
use exposition::{Histogram, head};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use store::{Expect, KeyValue, Op, Outcome, Range, Revision, Store, StoreError, Txn, Watch};

/// Upstream's, and some below for an engine in the same process.
const DURATIONS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0,
    10.0, 15.0, 20.0, 30.0, 45.0, 60.0,
];
/// Far more than a cluster defines; names of resources come from users.
const RESOURCES_MAX: usize = 2000;

#[derive(Clone, Copy)]
enum Operation {
    Get,
    List,
    Create,
    Update,
    Delete,
}

impl Operation {
    const NAMES: [&'static str; 5] = ["get", "list", "create", "update", "delete"];

    /// What a transaction is for is what it does first: others of its operations go with that.
    fn of(txn: &Txn) -> Operation {
        match txn.ops.first() {
            Some(Op::Delete { .. }) => Operation::Delete,
            Some(Op::Put { key, .. }) => {
                let is_absent = txn.checks.iter().any(|(own, expect)| own == key && *expect == Expect::Absent);
                if is_absent { Operation::Create } else { Operation::Update }
            }
            None => Operation::Get,
        }
    }
}

struct Requests {
    took: Histogram,
    errors: AtomicU64,
}

impl Default for Requests {
    fn default() -> Requests {
        Requests { took: Histogram::new(DURATIONS), errors: AtomicU64::default() }
    }
}

/// By `Operation`.
#[derive(Default)]
struct OfResource([Requests; Operation::NAMES.len()]);

/// A store that is counted.
pub struct MeasuredStore {
    engine: Arc<dyn Store>,
    /// By the beginning of their keys, `/core/pods/`.
    resources: RwLock<BTreeMap<Box<str>, Arc<OfResource>>>,
}

/// `/core/pods/` of a key or of a prefix; empty for what is none of a resource.
fn resource_of(key: &str) -> &str {
    let mut slashes = key.bytes().enumerate().filter(|(_, byte)| *byte == b'/').map(|(at, _)| at);
    match (slashes.next(), slashes.nth(1)) {
        (Some(0), Some(end)) => &key[..=end],
        _ => "",
    }
}

impl MeasuredStore {
    pub fn new(engine: Arc<dyn Store>) -> MeasuredStore {
        MeasuredStore { engine, resources: RwLock::default() }
    }

    fn of(&self, key: &str) -> Arc<OfResource> {
        let resource = resource_of(key);
        if let Some(known) = self.resources.read().get(resource) {
            return known.clone();
        }
        let mut resources = self.resources.write();
        let resource = if resources.len() < RESOURCES_MAX { resource } else { "" };
        resources.entry(resource.into()).or_default().clone()
    }

    fn done<T>(&self, operation: Operation, key: &str, begun: Instant, answer: &Result<T, StoreError>) {
        let resource = self.of(key);
        let requests = &resource.0[operation as usize];
        requests.took.took(begun.elapsed());
        if answer.is_err() {
            requests.errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Everything, as text.
    pub fn write_metrics(&self, out: &mut String) {
        // Writing to a String does not fail.
        if self.write(out).is_err() {
            tracing::error!("metrics of the store did not render");
        }
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let resources = self.resources.read();
        let rows = || {
            resources.iter().flat_map(|(prefix, own)| {
                let asked = Operation::NAMES.iter().zip(&own.0).filter(|(_, requests)| requests.took.count() > 0);
                asked.map(|(operation, requests)| (labels(operation, prefix), requests))
            })
        };
        let name = "etcd_request_duration_seconds";
        head(out, name, "histogram", "How long the store took, by operation and resource, in seconds.")?;
        for (labels, requests) in rows() {
            requests.took.write(name, &labels, out)?;
        }
        let name = "etcd_requests_total";
        head(out, name, "counter", "Requests to the store, by operation and resource.")?;
        for (labels, requests) in rows() {
            writeln!(out, "{name}{{{labels}}} {}", requests.took.count())?;
        }
        let name = "etcd_request_errors_total";
        head(out, name, "counter", "Requests that the store failed, by operation and resource.")?;
        for (labels, requests) in rows() {
            let errors = requests.errors.load(Ordering::Relaxed);
            if errors > 0 {
                writeln!(out, "{name}{{{labels}}} {errors}")?;
            }
        }
        Ok(())
    }
}

fn labels(operation: &str, prefix: &str) -> String {
    let mut parts = prefix.split('/').skip(1);
    let (group, resource) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let group = if group == "core" { "" } else { group };
    exposition::labels(&[("group", group), ("operation", operation), ("resource", resource)])
}

#[async_trait]
impl Store for MeasuredStore {
    async fn revision(&self) -> Result<Revision, StoreError> {
        self.engine.revision().await
    }

    async fn get(&self, key: &str) -> Result<Option<KeyValue>, StoreError> {
        let begun = Instant::now();
        let answer = self.engine.get(key).await;
        self.done(Operation::Get, key, begun, &answer);
        answer
    }

    async fn range(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<Range, StoreError> {
        let begun = Instant::now();
        let answer = self.engine.range(prefix, after, limit, at).await;
        self.done(Operation::List, prefix, begun, &answer);
        answer
    }

    async fn commit(&self, txn: Txn) -> Result<Outcome, StoreError> {
        let key = txn.ops.first().map(|(Op::Put { key, .. } | Op::Delete { key })| key.clone());
        let (operation, begun) = (Operation::of(&txn), Instant::now());
        let answer = self.engine.commit(txn).await;
        self.done(operation, key.as_deref().unwrap_or_default(), begun, &answer);
        answer
    }

    /// Not counted: it goes on for as long as somebody looks.
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, StoreError> {
        self.engine.watch(prefix, after).await
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.engine.compact(revision).await
    }

    async fn is_stale(&self, key: &str) -> Result<bool, StoreError> {
        self.engine.is_stale(key).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    /// An engine in memory is not there: one in a directory is as quick.
    async fn written(work: impl AsyncFnOnce(&MeasuredStore)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let engine = store::Embedded::open(folder.path(), store::Options::default()).unwrap();
        let measured = MeasuredStore::new(Arc::new(engine));
        work(&measured).await;
        let mut text = String::new();
        measured.write_metrics(&mut text);
        text
    }

    #[tokio::test]
    async fn requests_are_told_by_operation_and_resource() {
        let text = written(async |store| {
            let key: store::Key = "/core/pods/default/web-0".into();
            let Ok(Outcome::Committed(at)) = store.commit(Txn::create(key.clone(), Bytes::from("1"))).await else {
                panic!("the first commit is taken");
            };
            let again = store.commit(Txn::create(key.clone(), Bytes::from("1"))).await.unwrap();
            assert!(matches!(again, Outcome::Conflict(_)), "an answer like any other, no failure of the store");
            let Outcome::Committed(at) = store.commit(Txn::update(key.clone(), at, Bytes::from("2"))).await.unwrap()
            else {
                panic!("the revision is the present one");
            };
            store.commit(Txn::delete(key.clone(), at)).await.unwrap();
            assert!(store.get(&key).await.unwrap().is_none());
            store.range("/apps/deployments/", None, 0, None).await.unwrap();
            store.range("/", None, 0, Some(Revision(1 << 40))).await.unwrap_err();
        })
        .await;
        let requests: Vec<&str> = text.lines().filter(|line| line.starts_with("etcd_requests_total{")).collect();
        let pods = |operation: &str, count| {
            format!("etcd_requests_total{{group=\"\",operation=\"{operation}\",resource=\"pods\"}} {count}")
        };
        let wanted = [
            "etcd_requests_total{group=\"\",operation=\"list\",resource=\"\"} 1".to_owned(),
            "etcd_requests_total{group=\"apps\",operation=\"list\",resource=\"deployments\"} 1".to_owned(),
            pods("get", 1),
            pods("create", 2),
            pods("update", 1),
            pods("delete", 1),
        ];
        assert_eq!(requests, wanted);
        let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("etcd_request_errors_total{")).collect();
        assert_eq!(errors, ["etcd_request_errors_total{group=\"\",operation=\"list\",resource=\"\"} 1"]);
        let took = "etcd_request_duration_seconds_count{group=\"\",operation=\"create\",resource=\"pods\"} 2\n";
        assert!(text.contains(took), "{text}");
        assert!(text.contains("operation=\"create\",resource=\"pods\",le=\"60\"} 2\n"), "{text}");
    }

    #[tokio::test]
    async fn resources_beyond_the_bound_are_counted_together() {
        let text = written(async |store| {
            for number in 0..RESOURCES_MAX + 5 {
                store.get(&format!("/example.com/kind{number}/a")).await.unwrap();
            }
        })
        .await;
        let rows = text.lines().filter(|line| line.starts_with("etcd_requests_total{"));
        assert_eq!(rows.count(), RESOURCES_MAX + 1);
        assert!(text.contains("etcd_requests_total{group=\"\",operation=\"get\",resource=\"\"} 5\n"), "{text}");
    }

    #[test]
    fn a_keys_resource_is_its_beginning() {
        let check = |key, want| assert_eq!(resource_of(key), want, "{key}");
        check("/core/pods/default/web-0", "/core/pods/");
        check("/core/nodes/n1", "/core/nodes/");
        check("/apps/deployments/", "/apps/deployments/");
        check("/apps", "");
        check("/apps/deployments", "");
        check("quota/a/b/c", "");
        check("", "");
    }
}
