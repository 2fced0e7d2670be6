//! Plugins that an administrator turns on, by flags and by a file, and what becomes of writes then.

mod images;
mod namespaces;
mod nodes;
mod owners;

use crate::cluster::Cluster;
use apiserver::admission::AdmissionOptions;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";

/// A cluster with these plugins and this list of their configurations, whose default namespace can have pods.
async fn with(enable: &[&str], plugins: &str) -> Cluster {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("admission.yaml");
    let head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n";
    std::fs::write(&file, format!("{head}{plugins}")).unwrap();
    let enable = enable.iter().map(|&name| name.to_owned()).collect();
    let config_file = (!plugins.is_empty()).then_some(file);
    let options = AdmissionOptions { enable, config_file, ..AdmissionOptions::default() };
    let cluster = Cluster::told(options.read().unwrap()).await;
    account(&cluster, "default").await;
    cluster
}

async fn account(cluster: &Cluster, namespace: &str) {
    let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
    cluster.post(&accounts, json!({"metadata": {"name": "default"}})).await.expect(201);
}

fn pod(name: &str, spec: Value) -> Value {
    let mut pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    pod
}
