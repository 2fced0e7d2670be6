//! What a view says of a pod, and what views share.

use super::*;
use serde_json::{Value, json};

fn decode(shelf: &mut Shelf, pod: &Value) -> PodView {
    PodView::decode(pod.to_string().as_bytes(), shelf).unwrap()
}

fn replica(name: &str, node: &str) -> Value {
    json!({
        "metadata": {"namespace": "d", "name": name, "uid": name, "resourceVersion": "7", "labels": {"app": "web"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "set", "controller": true}]},
        "spec": {"nodeName": node, "nodeSelector": {"nodeName": "decoy"}, "hostname": name, "containers": [
            {"name": "c", "image": "i:1", "env": [{"name": "text", "value": "\"nodeName\":\"decoy\""}]}]},
    })
}

#[test]
fn replicas_share_what_their_template_says() {
    let mut shelf = Shelf::default();
    let (a, b) = (decode(&mut shelf, &replica("a", "n1")), decode(&mut shelf, &replica("b", "n2")));
    assert!(Arc::ptr_eq(&a.spec, &b.spec) && Arc::ptr_eq(&a.labels, &b.labels) && Arc::ptr_eq(&a.owners, &b.owners));
    assert_eq!((a.name(), &*a.node, &*a.hostname), ("a", "n1", "a"));
    assert_eq!((b.name(), &*b.node, &*b.hostname, &*b.key()), ("b", "n2", "b", "d/b"));
    let again = decode(&mut shelf, &replica("c", "n1"));
    assert!(Arc::ptr_eq(&again.node, &a.node));
    assert_eq!(&*a.spec.containers[0].name, "c");
    let mut other = replica("d", "n1");
    other["spec"]["containers"][0]["image"] = "i:2".into();
    assert!(!Arc::ptr_eq(&decode(&mut shelf, &other).spec, &a.spec));
    let mut unasked = replica("e", "n1");
    unasked["spec"]["containers"][0]["command"] = json!(["other"]);
    assert!(Arc::ptr_eq(&decode(&mut shelf, &unasked).spec, &a.spec), "nobody asks for what they differ in");
    assert!(!Arc::ptr_eq(&decode(&mut shelf, &replica("f", "\"quoted\"")).spec, &a.spec) || a.has_node());
    assert_eq!(&*decode(&mut shelf, &replica("f", "\"quoted\"")).node, "\"quoted\"");
}

#[test]
fn a_view_says_what_the_pod_does() {
    let pod = json!({
        "metadata": {"namespace": "d", "name": "p", "uid": "u", "finalizers": ["f"], "creationTimestamp": "2026-01-01T00:00:00Z",
            "deletionTimestamp": "2026-01-01T00:01:00Z", "annotations": {"controller.kubernetes.io/pod-deletion-cost": "-5", "x": "y"}},
        "spec": {"priority": 7, "preemptionPolicy": "Never", "schedulingGates": [{"name": "g"}], "subdomain": "s", "containers": []},
        "status": {"phase": "Failed", "startTime": "2026-01-01T00:00:10Z", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
            "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:30Z"},
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no \"node\""}],
            "containerStatuses": [{"restartCount": 1}, {"restartCount": 4}]},
    });
    let view = decode(&mut Shelf::default(), &pod);
    assert!(
        view.is_ending() && view.is_terminal() && view.is_ready() && !view.has_node() && view.meta().has_finalizers
    );
    assert_eq!((view.deletion_cost, view.restarts, view.addresses.len()), (-5, 4, 2));
    assert_eq!(
        (view.spec.priority, view.spec.preempts, view.spec.is_gated, &*view.spec.subdomain),
        (7, false, true, "s")
    );
    assert_eq!(view.ready.unwrap().since, Some("2026-01-01T00:00:30Z".parse().unwrap()));
    assert_eq!(view.started, Some("2026-01-01T00:00:10Z".parse().unwrap()));
    assert_eq!(&*view.unscheduled.unwrap().message, "no \"node\"");
}

#[test]
fn what_is_missing_or_null_is_nothing() {
    let nulls = json!({"metadata": {"name": "p", "labels": null, "ownerReferences": null, "creationTimestamp": null},
        "spec": {"tolerations": null, "containers": null, "volumes": [{"name": "v", "emptyDir": {}}]}, "status": null});
    let view = decode(&mut Shelf::default(), &nulls);
    assert!(view.labels.is_empty() && view.spec.refers.is_empty() && view.controller().is_none());
    assert_eq!((view.namespace(), view.name(), view.phase), ("", "p", Phase::Pending));
    decode(&mut Shelf::default(), &json!({"metadata": {}, "spec": null}));
}

#[test]
fn references_are_found_wherever_they_stand() {
    let from = |name: &str| json!({"name": "E", "valueFrom": {"secretKeyRef": {"name": name, "key": "k"}}});
    let pod = json!({"metadata": {"name": "p"}, "spec": {
        "serviceAccountName": "account", "imagePullSecrets": [{"name": "pull"}],
        "containers": [{"env": [from("env"), from("env"), {"name": "V", "value": "v"}], "envFrom": [{"configMapRef": {"name": "all"}}]}],
        "initContainers": [{"env": [{"name": "C", "valueFrom": {"configMapKeyRef": {"name": "init", "key": "k"}}}]}],
        "ephemeralContainers": [{"envFrom": [{"secretRef": {"name": "debug"}}]}],
        "volumes": [
            {"name": "a", "secret": {"secretName": "mounted"}}, {"name": "b", "configMap": {"name": "map"}},
            {"name": "c", "persistentVolumeClaim": {"claimName": "claim"}}, {"name": "own", "ephemeral": {}},
            {"name": "d", "csi": {"driver": "x", "nodePublishSecretRef": {"name": "csi"}}},
            {"name": "e", "projected": {"sources": [{"secret": {"name": "part"}}, {"configMap": {"name": "root"}}]}}],
    }});
    let mut found = Vec::new();
    decode(&mut Shelf::default(), &pod).references(&mut |target, name| found.push(format!("{target:?} {name}")));
    found.sort();
    let want = [
        "Claim claim",
        "Claim p-own",
        "ConfigMap all",
        "ConfigMap init",
        "ConfigMap map",
        "ConfigMap root",
        "Pod p",
        "Secret csi",
        "Secret debug",
        "Secret env",
        "Secret mounted",
        "Secret part",
        "Secret pull",
        "ServiceAccount account",
    ];
    assert_eq!(found, want);
}
