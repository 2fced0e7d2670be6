//! Objects and what is said of them.

use super::*;
use serde_json::{Value, json};

#[track_caller]
fn check<K: Kind>(object: Value, expected: &[&str]) {
    let mut object: K = serde_json::from_value(object).unwrap();
    Kind::defaults(&mut object);
    assert_eq!(of(&object, None), expected, "{object:?}");
}

fn pod_with(edits: Value) -> Value {
    let mut pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}});
    pod["spec"].as_object_mut().unwrap().extend(edits.as_object().unwrap().clone());
    pod
}

#[test]
fn what_the_later_of_two_hides_is_named() {
    check::<Pod>(pod_with(json!({})), &[]);
    check::<Pod>(
        pod_with(json!({"containers": [{"name": "c", "env": [
            {"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}, {"name": "A", "value": "3"}]}]})),
        &["spec.containers[0].env[2]: hides previous definition of \"A\", which may be dropped when using apply"],
    );
    check::<Pod>(
        pod_with(json!({"hostAliases": [{"ip": "1.1.1.1"}, {"ip": "1.1.1.1"}],
                        "imagePullSecrets": [{"name": "s"}, {"name": "s"}, {}]})),
        &[
            "spec.hostAliases[1].ip: duplicate ip \"1.1.1.1\"",
            "spec.imagePullSecrets[1].name: duplicate name \"s\"",
            "spec.imagePullSecrets[2].name: invalid empty name \"\"",
        ],
    );
    check::<Pod>(
        pod_with(json!({"containers": [
            {"name": "a", "ports": [{"containerPort": 80}, {"containerPort": 80, "hostPort": 8080}]},
            {"name": "b", "ports": [{"containerPort": 80, "hostPort": 8080, "hostIP": "1.2.3.4"}]}]})),
        &[
            "spec.containers[0].ports[1]: overlapping port definition with spec.containers[0].ports[0]",
            "spec.containers[1].ports[0]: overlapping port definition with spec.containers[0].ports[0]",
            "spec.containers[1].ports[0]: dangerously ambiguous port definition with spec.containers[0].ports[1]",
        ],
    );
}

#[test]
fn what_is_deprecated_or_does_nothing_is_named() {
    check::<Pod>(
        json!({"metadata": {"name": "a.b", "annotations": {"scheduler.alpha.kubernetes.io/critical-pod": ""}},
            "spec": {"containers": [{"name": "c", "resources": {"requests": {"memory": "100m"}}}],
                "nodeSelector": {"beta.kubernetes.io/os": "linux"}, "terminationGracePeriodSeconds": -1,
                "volumes": [{"name": "v", "gitRepo": {"repository": "r"}}],
                "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "k", "whenUnsatisfiable": "DoNotSchedule"}]}}),
        &[
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is \
             recommended: [must not contain dots]",
            "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
            "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
            "metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the \
             \"priorityClassName\" field instead",
            "spec.volumes[0].gitRepo: deprecated in v1.11",
            "spec.containers[0].resources.requests[memory]: fractional byte value \"100m\" is invalid, must be an integer",
            "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
        ],
    );
}

#[test]
fn templates_are_looked_at_where_they_stand() {
    let spec = json!({"containers": [{"name": "c"}], "nodeSelector": {"beta.kubernetes.io/arch": "a"}});
    let message = "deprecated since v1.14; use \"kubernetes.io/arch\" instead";
    check::<Deployment>(
        json!({"metadata": {"name": "d"}, "spec": {"selector": {}, "template": {"spec": spec}}}),
        &[&format!("spec.template.spec.nodeSelector[beta.kubernetes.io/arch]: {message}")],
    );
    check::<CronJob>(
        json!({"metadata": {"name": "d"}, "spec": {"schedule": "* * * * *",
            "jobTemplate": {"spec": {"template": {"spec": spec}}}}}),
        &[&format!("spec.jobTemplate.spec.template.spec.nodeSelector[beta.kubernetes.io/arch]: {message}")],
    );
    let set: Deployment = serde_json::from_value(
        json!({"metadata": {"name": "d"}, "spec": {"selector": {}, "template": {"spec": spec}}}),
    )
    .unwrap();
    assert_eq!(of(&set, Some(&set)), Vec::<String>::new(), "its template has not changed");
}

#[test]
fn services_volumes_and_others_have_rows_of_their_own() {
    check::<Service>(
        json!({"metadata": {"name": "s"}, "spec": {"clusterIP": "None", "type": "ClusterIP", "externalName": "x",
            "externalIPs": ["2001:DB8::1"], "loadBalancerSourceRanges": ["2001:db8:0::/48"]}}),
        &[
            "spec.externalIPs is ignored for headless services",
            "spec.externalIPs[0]: IPv6 address \"2001:DB8::1\" is not in RFC 5952 canonical format (\"2001:db8::1\"), \
             which may cause controller apply-loops",
            "spec.loadBalancerSourceRanges[0]: IPv6 prefix \"2001:db8:0::/48\" is not in RFC 5952 canonical format \
             (\"2001:db8::/48\"), which may cause controller apply-loops",
            "spec.externalName is ignored when spec.type is not \"ExternalName\"",
        ],
    );
    check::<Ingress>(
        json!({"metadata": {"name": "i", "annotations": {INGRESS_CLASS: "n"}}, "spec": {}}),
        &["annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"],
    );
    check::<PersistentVolumeClaim>(
        json!({"metadata": {"name": "c", "annotations": {STORAGE_CLASS: "n"}},
            "spec": {"resources": {"requests": {"storage": "500m"}}}}),
        &[
            "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use \
             \"storageClassName\" attribute instead",
            "spec.resources.requests[storage]: fractional byte value \"500m\" is invalid, must be an integer",
        ],
    );
}
