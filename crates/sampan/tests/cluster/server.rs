//! The server alone.

use crate::harness::{Cluster, possible};

#[test]
fn a_second_start_in_the_same_directory_is_harmless_or_refused() {
    if !possible() {
        return;
    }
    let cluster = Cluster::machines(1);
    let machine = cluster.first();
    machine.up_server();
    let first = machine.status();
    machine.up_server();
    assert_eq!(machine.status()["pid"], first["pid"], "the same supervisor");
    cluster.finish();
}

const WIDGETS: &str = r#"{
  "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
  "metadata": {"name": "widgets.example.com"},
  "spec": {
    "group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
    "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
      "type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}}}]
  }
}"#;
const WIDGET: &str = r#"{"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "shop"},
  "spec": {"size": 3}}"#;

#[test]
fn custom_objects_outlive_the_server_and_go_with_their_namespace() {
    if !possible() {
        return;
    }
    let cluster = Cluster::machines(1);
    let machine = cluster.first();
    machine.up_server();
    machine.apply(WIDGETS);
    machine.kubectl("wait --for=condition=Established crd/widgets.example.com --timeout=10s");
    machine.kubectl("create namespace shop");
    machine.apply(WIDGET);
    machine.stop();
    machine.up_again();
    assert_eq!(machine.kubectl("get widget w -n shop -o jsonpath={.spec.size}"), "3");
    machine.kubectl("delete namespace shop --timeout=30s");
    assert_eq!(machine.kubectl("get widgets -A -o name"), "");
    machine.kubectl("create namespace shop");
    machine.apply(WIDGET);
    machine.kubectl("delete crd widgets.example.com --timeout=30s");
    machine.apply(WIDGETS);
    machine.kubectl("wait --for=condition=Established crd/widgets.example.com --timeout=10s");
    assert_eq!(machine.kubectl("get widgets -A -o name"), "", "the definition took its objects with it");
    cluster.finish();
}
