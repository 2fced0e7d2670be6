//! One object of every served kind, as a client writes it: the samples of the api crate, at home in this cluster.

use crate::cluster::Cluster;
use api::{Registered, ResourceDef};
use serde_json::{Value, json};

/// Where the namespaced ones live.
pub(crate) const NAMESPACE: &str = "kinds";

/// The sample of a kind: one that may be created, with nothing in it that a creator cannot set.
pub(crate) fn sample(row: &dyn Registered) -> Value {
    let def = row.def();
    let group = if def.group.is_empty() { "core" } else { def.group.split('.').next().unwrap() };
    let version = if row.stored().is_some() { format!("-{}", def.version) } else { String::new() };
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../api/testdata/kinds");
    let text = std::fs::read(format!("{folder}/{group}-{}{version}.json", def.singular)).unwrap();
    at_home(def, serde_json::from_slice(&text).unwrap())
}

/// An object as it may be created in this cluster.
pub(crate) fn at_home(def: &ResourceDef, mut sample: Value) -> Value {
    let meta = sample["metadata"].as_object_mut().unwrap();
    for field in ["creationTimestamp", "namespace", "finalizers", "ownerReferences", "managedFields"] {
        meta.remove(field);
    }
    if def.namespaced() {
        meta.insert("namespace".to_owned(), NAMESPACE.into());
    }
    // Only the namespace's default account is there.
    if def.kind == "Pod" {
        for field in ["serviceAccountName", "serviceAccount"] {
            sample["spec"].as_object_mut().unwrap().remove(field);
        }
    }
    for about in ["involvedObject", "regarding"] {
        if let Some(namespace) = sample.pointer_mut(&format!("/{about}/namespace")) {
            *namespace = NAMESPACE.into();
        }
    }
    sample
}

/// Makes the namespace of the samples, with the account that its pods run as.
pub(crate) async fn prepare(cluster: &Cluster) {
    cluster.post("/api/v1/namespaces", json!({"metadata": {"name": NAMESPACE}})).await.expect(201);
    let accounts = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts");
    cluster.post(&accounts, json!({"metadata": {"name": "default"}})).await.expect(201);
}
