//! Admission webhooks: real HTTPS servers that are asked about writes, and what becomes of their answers.

mod answers;
mod connections;
mod failures;
mod managers;
mod matching;
mod python;
pub(crate) mod server;
mod subresources;

use crate::cluster::{Answer, Cluster};
use serde_json::{Value, json};
use server::Hooks;
use std::time::{Duration, Instant};

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";
const DEADLINE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy)]
enum Kind {
    Mutating,
    Validating,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Mutating => "MutatingWebhookConfiguration",
            Kind::Validating => "ValidatingWebhookConfiguration",
        }
    }

    fn path(self) -> String {
        format!("{GROUP}/{}s", self.name().to_lowercase())
    }
}

fn rule(operations: &[&str], group: &str, version: &str, resources: &[&str]) -> Value {
    json!({"operations": operations, "apiGroups": [group], "apiVersions": [version], "resources": resources})
}

/// A webhook `NAME.test.io` at `/NAME`, about config maps that are created or updated, but for what `more` says.
fn hook(hooks: &Hooks, name: &str, more: Value) -> Value {
    let mut hook = json!({
        "name": format!("{name}.test.io"),
        "clientConfig": hooks.client(name),
        "rules": [rule(&["CREATE", "UPDATE"], "", "v1", &["configmaps"])],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "objectSelector": {"matchExpressions": [{"key": "marker", "operator": "DoesNotExist"}]},
    });
    for (field, value) in more.as_object().unwrap() {
        hook[field] = value.clone();
    }
    hook
}

fn configuration(kind: Kind, name: &str, hooks: Vec<Value>) -> Value {
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind.name(), "metadata": {"name": name},
        "webhooks": hooks})
}

fn map(name: &str, labels: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": {"k": "v"}})
}

fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "i"}]}})
}

/// A configuration in force: beside its webhooks it has one that refuses a config map which is tried until that happens.
async fn configure(cluster: &Cluster, server: &Hooks, kind: Kind, name: &str, mut hooks: Vec<Value>) {
    let marker = format!("marker-{name}");
    server.refuse(&marker, json!({"message": "in force"}));
    let selector = json!({"objectSelector": {"matchLabels": {"marker": name}}});
    hooks.push(hook(server, &marker, selector));
    cluster.post(&kind.path(), configuration(kind, name, hooks)).await.expect(201);
    let begun = Instant::now();
    let tried = map("marker", json!({"marker": name}));
    loop {
        let answer = cluster.post(&format!("{MAPS}?dryRun=All"), tried.clone()).await;
        if answer.code == 400 {
            break;
        }
        assert!(begun.elapsed() < DEADLINE, "{name} is not in force: {}", String::from_utf8_lossy(&answer.body));
    }
    server.forget();
}

/// The `request` of the only review that a path was sent since.
#[track_caller]
fn only(server: &Hooks, path: &str) -> Value {
    let mut all = server.take(path);
    let names: Vec<String> = all.iter().map(|own| format!("{} {}", own["operation"], own["name"])).collect();
    assert_eq!(all.len(), 1, "{path} was asked {names:?}");
    all.remove(0)
}

async fn account(cluster: &Cluster) {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    let answer: Answer = cluster.post("/api/v1/namespaces/default/serviceaccounts", account).await;
    assert!(matches!(answer.code, 201 | 409), "{}", answer.message());
}
