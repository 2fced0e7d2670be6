//! Pods against standards, in upstream's words.

use super::*;
use serde_json::{Value, json};

fn check(level: &str, version: &str, spec: Value, expected: &str) {
    let labels = [("enforce", level), ("enforce-version", version)];
    let labels = labels.iter().map(|(key, value)| (format!("pod-security.kubernetes.io/{key}"), (*value).to_owned()));
    let (policy, errors) = Policy::of(Some(&labels.collect()), Policy::default());
    assert!(errors.is_empty());
    let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap();
    let said = violations(&Subject::of_pod(&pod).unwrap(), policy.enforce);
    assert_eq!(said.unwrap_or_default(), expected, "{level} {spec}");
}

fn hardened() -> Value {
    json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "c", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}}],
        "volumes": [{"name": "v", "emptyDir": {}}],
    })
}

#[test]
fn a_plain_pod_is_baseline_and_not_restricted() {
    let plain = json!({"containers": [{"name": "c"}]});
    check("baseline", "latest", plain.clone(), "");
    check(
        "restricted",
        "latest",
        plain.clone(),
        "PodSecurity \"restricted:latest\": \
         allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), \
         unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), \
         runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), \
         seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" \
         or \"Localhost\")",
    );
    check("restricted", "latest", hardened(), "");
    check(
        "restricted",
        "v1.0",
        plain,
        "PodSecurity \"restricted:v1.0\": \
         runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true)",
    );
}

#[test]
fn what_leaves_the_box_is_refused_at_baseline() {
    let table = [
        (json!({"hostNetwork": true, "hostPID": true}), "host namespaces (hostNetwork=true, hostPID=true)"),
        (
            json!({"volumes": [{"name": "a", "hostPath": {"path": "/"}}, {"name": "b", "hostPath": {"path": "/"}}]}),
            "hostPath volumes (volumes \"a\", \"b\")",
        ),
        (
            json!({"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}),
            "forbidden sysctls (kernel.msgmax)",
        ),
        (
            json!({"securityContext": {"seLinuxOptions": {"type": "spc_t", "user": "u"}}}),
            "seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type \"spc_t\"; user may not be set)",
        ),
        (
            json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}),
            "seccompProfile (pod must not set securityContext.seccompProfile.type to \"Unconfined\")",
        ),
    ];
    for (edits, text) in table {
        let mut spec = json!({"containers": [{"name": "c"}]});
        spec.as_object_mut().unwrap().extend(edits.as_object().unwrap().clone());
        check("baseline", "latest", spec, &format!("PodSecurity \"baseline:latest\": {text}"));
    }
}

#[test]
fn containers_of_every_sort_are_judged() {
    let bad = |name: &str| json!({"name": name, "securityContext": {"privileged": true}});
    check(
        "baseline",
        "latest",
        json!({"initContainers": [bad("i")], "containers": [bad("c"), {"name": "d"}], "ephemeralContainers": [bad("e")]}),
        "PodSecurity \"baseline:latest\": privileged (containers \"i\", \"c\", \"e\" must not set \
         securityContext.privileged=true)",
    );
    check(
        "baseline",
        "latest",
        json!({"containers": [{"name": "c", "securityContext": {"capabilities": {"add": ["SYS_ADMIN", "NET_RAW", "KILL"]}},
                               "ports": [{"containerPort": 1, "hostPort": 80}, {"containerPort": 2, "hostPort": 443}],
                               "livenessProbe": {"httpGet": {"port": 1, "host": "example.com"}}}]}),
        "PodSecurity \"baseline:latest\": \
         non-default capabilities (container \"c\" must not include \"NET_RAW\", \"SYS_ADMIN\" in \
         securityContext.capabilities.add), hostPort (container \"c\" uses hostPorts 80, 443), \
         probe or lifecycle host (container \"c\" must not set probe or lifecycle host)",
    );
}

#[test]
fn a_stricter_check_speaks_for_the_laxer_one() {
    let mut spec = hardened();
    spec["volumes"] =
        json!([{"name": "h", "hostPath": {"path": "/"}}, {"name": "n", "nfs": {"server": "s", "path": "/"}}]);
    check(
        "restricted",
        "latest",
        spec,
        "PodSecurity \"restricted:latest\": restricted volume types (volumes \"h\", \"n\" use restricted volume \
         types \"hostPath\", \"nfs\")",
    );
    let mut spec = hardened();
    spec["securityContext"]["runAsUser"] = json!(0);
    spec["containers"][0]["securityContext"]["runAsNonRoot"] = json!(false);
    check(
        "restricted",
        "latest",
        spec.clone(),
        "PodSecurity \"restricted:latest\": runAsNonRoot != true (container \"c\" must not set \
         securityContext.runAsNonRoot=false), runAsUser=0 (pod must not set runAsUser=0)",
    );
    spec["hostUsers"] = json!(false);
    check("restricted", "latest", spec, "");
}
