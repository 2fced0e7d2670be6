//! What is refused, and in which words: good objects with one thing changed.

use api::object::{Object, Registered, find};
use api::resource::Subresource;
use serde_json::{Value, json};

fn row(group: &str, plural: &str) -> &'static dyn Registered {
    find(group, "v1", plural).unwrap_or_else(|| panic!("{group}/{plural} is in the table"))
}

/// A JSON merge patch.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let object = target.as_object_mut().expect("made one above");
    for (key, value) in fields {
        if value.is_null() {
            object.remove(key);
        } else {
            merge(object.entry(key).or_insert(Value::Null), value);
        }
    }
}

fn good(group: &str, plural: &str) -> Value {
    let meta = json!({"name": "a", "namespace": "ns", "uid": "1", "resourceVersion": "1"});
    let selector = json!({"matchLabels": {"app": "a"}});
    let pod = json!({"containers": [{"name": "c", "image": "i:1"}]});
    let template = json!({"metadata": {"labels": {"app": "a"}}, "spec": pod});
    let body = match (group, plural) {
        ("", "pods") => json!({"spec": pod}),
        ("", "services") => {
            json!({"spec": {"ports": [{"port": 80}], "clusterIP": "10.43.0.9", "clusterIPs": ["10.43.0.9"]}})
        }
        ("", "nodes") => json!({"metadata": {"namespace": null}, "spec": {"podCIDRs": ["10.42.0.0/22"]}}),
        ("apps", _) => json!({"spec": {"selector": selector, "template": template}}),
        ("policy", _) => json!({"spec": {"selector": selector, "minAvailable": 1}}),
        ("rbac.authorization.k8s.io", "rolebindings") => json!({"roleRef": {"kind": "Role", "name": "r"}}),
        ("rbac.authorization.k8s.io", "clusterrolebindings") => {
            json!({"metadata": {"namespace": null}, "roleRef": {"kind": "ClusterRole", "name": "r"}})
        }
        ("discovery.k8s.io", _) => json!({"addressType": "IPv4"}),
        ("certificates.k8s.io", _) => json!({"metadata": {"namespace": null}, "spec": {
            "request": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0=",
            "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]}}),
        _ => json!({}),
    };
    let mut value = json!({"metadata": meta});
    merge(&mut value, &body);
    value
}

fn object(row: &dyn Registered, group: &str, plural: &str, patch: &Value) -> Box<dyn Object> {
    let mut value = good(group, plural);
    merge(&mut value, patch);
    let def = row.def();
    merge(&mut value, &json!({"apiVersion": def.api_version(), "kind": def.kind}));
    row.from_value(value).unwrap_or_else(|error| panic!("{plural} {patch}: {error}"))
}

fn texts(errors: &[api::FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// Errors of a new object that is `good` but for `patch`.
#[track_caller]
fn check(group: &str, plural: &str, patch: Value, expected: &[&str]) {
    let row = row(group, plural);
    let mut object = object(row, group, plural, &patch);
    object.prepare_create();
    object.defaults();
    let mut errors = object.validate();
    errors.extend(object.validate_create());
    assert_eq!(texts(&errors), expected, "{plural} {patch}");
}

/// Errors of changing a good object (with `before`) by `patch`.
#[track_caller]
fn check_update(group: &str, plural: &str, before: Value, patch: Value, expected: &[&str]) {
    let row = row(group, plural);
    let mut old = object(row, group, plural, &before);
    old.defaults();
    let mut value = old.to_value().expect("objects are JSON");
    merge(&mut value, &patch);
    let mut new = row.from_value(value).expect("still of the kind");
    new.prepare_update(old.as_ref());
    new.defaults();
    assert_eq!(texts(&new.validate_update(old.as_ref())), expected, "{plural} {before} changed by {patch}");
}

fn container(fields: Value) -> Value {
    let mut container = json!({"name": "c", "image": "i:1"});
    merge(&mut container, &fields);
    json!({"spec": {"containers": [container]}})
}

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
                     and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
                     '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

#[test]
fn good_objects_are_good() {
    for (group, plural) in [
        ("", "pods"),
        ("", "services"),
        ("", "nodes"),
        ("", "configmaps"),
        ("", "secrets"),
        ("apps", "deployments"),
        ("apps", "replicasets"),
        ("apps", "statefulsets"),
        ("apps", "daemonsets"),
        ("policy", "poddisruptionbudgets"),
        ("networking.k8s.io", "networkpolicies"),
        ("rbac.authorization.k8s.io", "rolebindings"),
        ("rbac.authorization.k8s.io", "clusterrolebindings"),
        ("discovery.k8s.io", "endpointslices"),
        ("certificates.k8s.io", "certificatesigningrequests"),
    ] {
        check(group, plural, json!({}), &[]);
        check_update(group, plural, json!({}), json!({}), &[]);
    }
}

#[test]
fn containers() {
    let pods = |patch: Value, expected: &[&str]| check("", "pods", patch, expected);
    pods(json!({"spec": {"containers": []}}), &["spec.containers: Required value"]);
    pods(container(json!({"name": ""})), &["spec.containers[0].name: Required value"]);
    pods(container(json!({"name": "A"})), &[&format!("spec.containers[0].name: Invalid value: \"A\": {LABEL}")]);
    pods(container(json!({"image": null})), &["spec.containers[0].image: Required value"]);
    pods(
        container(json!({"image": "i:1 "})),
        &["spec.containers[0].image: Invalid value: \"i:1 \": must not have leading or trailing whitespace"],
    );
    pods(
        json!({"spec": {"containers": [{"name": "c", "image": "i"}, {"name": "c", "image": "i"}]}}),
        &["spec.containers[1].name: Duplicate value: \"c\""],
    );
    pods(
        container(json!({"imagePullPolicy": "Sometimes"})),
        &["spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \
           \"IfNotPresent\", \"Never\""],
    );
    pods(
        container(json!({"ports": [{"containerPort": 0}, {"containerPort": 70000, "name": "x"},
                                    {"containerPort": 1, "name": "x", "protocol": "ICMP"}]})),
        &[
            "spec.containers[0].ports[0].containerPort: Required value",
            "spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            "spec.containers[0].ports[2].name: Duplicate value: \"x\"",
            "spec.containers[0].ports[2].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
        ],
    );
    pods(
        container(json!({"ports": [{"containerPort": 1, "hostPort": 9}, {"containerPort": 2, "hostPort": 9}]})),
        &["spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//9\""],
    );
    pods(
        container(json!({"env": [{"name": ""}, {"name": "A=B"}, {"name": "C", "valueFrom": {}},
            {"name": "D", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            {"name": "E", "valueFrom": {"fieldRef": {"fieldPath": "spec.replicas"}}}]})),
        &[
            "spec.containers[0].env[0].name: Required value",
            "spec.containers[0].env[1].name: Invalid value: \"A=B\": a valid environment variable name must consist only \
             of printable ASCII characters other than '='",
            "spec.containers[0].env[2].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, \
             `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
            "spec.containers[0].env[3].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
            "spec.containers[0].env[4].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.replicas\": error converting \
             fieldPath: field label not supported: spec.replicas",
        ],
    );
    pods(
        container(json!({"resources": {"requests": {"cpu": "200m"}, "limits": {"cpu": "100m"}}})),
        &[
            "spec.containers[0].resources.requests: Invalid value: \"200m\": must be less than or equal to cpu limit of \
           100m",
        ],
    );
    pods(
        container(json!({"volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a",
                                            "subPath": "../x"}]})),
        &[
            "spec.containers[0].volumeMounts[0].name: Not found: \"v\"",
            "spec.containers[0].volumeMounts[1].name: Not found: \"v\"",
            "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique",
            "spec.containers[0].volumeMounts.subPath: Invalid value: \"../x\": must not contain '..'",
        ],
    );
    pods(
        json!({"spec": {"initContainers": [{"name": "c", "image": "i", "readinessProbe": {"exec": {"command": ["a"]}}}]}}),
        &[
            "spec.initContainers[0].name: Duplicate value: \"c\"",
            "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without \
             restartPolicy=Always",
        ],
    );
    pods(
        json!({"spec": {"ephemeralContainers": [{"name": "e", "image": "i"}]}}),
        &["spec.ephemeralContainers: Forbidden: cannot be set on create"],
    );
}

#[test]
fn probes() {
    let pods = |patch: Value, expected: &[&str]| check("", "pods", container(patch), expected);
    pods(
        json!({"livenessProbe": {}}),
        &["spec.containers[0].livenessProbe: Required value: must specify a handler type"],
    );
    pods(
        json!({"livenessProbe": {"exec": {}, "tcpSocket": {"port": 0}, "successThreshold": 2}}),
        &[
            "spec.containers[0].livenessProbe.exec.command: Required value",
            "spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ],
    );
    pods(
        json!({"readinessProbe": {"httpGet": {"port": "a_b", "scheme": "FTP"}, "periodSeconds": -1,
                                   "terminationGracePeriodSeconds": 1}}),
        &[
            "spec.containers[0].readinessProbe.httpGet.port: Invalid value: \"a_b\": must contain only alpha-numeric \
             characters (a-z, 0-9), and hyphens (-)",
            "spec.containers[0].readinessProbe.httpGet.scheme: Unsupported value: \"FTP\": supported values: \"HTTP\", \
             \"HTTPS\"",
            "spec.containers[0].readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
            "spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 1: must not be set for \
             readinessProbes",
        ],
    );
    pods(
        json!({"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}}),
        &["spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than \
           terminationGracePeriodSeconds (30)"],
    );
}

#[test]
fn pod_specs() {
    let pods = |spec: Value, expected: &[&str]| check("", "pods", json!({"spec": spec}), expected);
    pods(
        json!({"restartPolicy": "Maybe"}),
        &["spec.restartPolicy: Unsupported value: \"Maybe\": supported values: \"Always\", \"OnFailure\", \"Never\""],
    );
    pods(
        json!({"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/../x"}}, {"name": "w", "secret": {}},
                            {"name": "w"}]}),
        &[
            "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
            "spec.volumes[0].hostPath.path: Invalid value: \"/../x\": must not contain '..'",
            "spec.volumes[1].secret.secretName: Required value",
            "spec.volumes[2].name: Duplicate value: \"w\"",
        ],
    );
    pods(
        json!({"volumes": [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 1}}]}}]}),
        &[
            "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 1: may not \
             specify a duration less than 10 minutes",
            "spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when \
             serviceAccountName is not set",
        ],
    );
    pods(
        json!({"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}, {"tolerationSeconds": 1},
                                {"key": "a", "effect": "Never"}]}),
        &[
            "spec.tolerations[0].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'",
            "spec.tolerations[1].operator: Invalid value: \"\": operator must be Exists when `key` is empty, which means \
             \"match all values and all keys\"",
            "spec.tolerations[1].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set",
            "spec.tolerations[2].effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", \
             \"PreferNoSchedule\", \"NoExecute\"",
        ],
    );
    pods(
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}},
            "podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 0, "podAffinityTerm": {"topologyKey": "a"}}]}}}),
        &[
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required \
             value: must have at least one node selector term",
            "spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must \
             be in the range 1-100",
        ],
    );
    pods(
        json!({"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "", "whenUnsatisfiable": "Whatever"}]}),
        &[
            "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
            "spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty",
            "spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: \"Whatever\": supported values: \
             \"DoNotSchedule\", \"ScheduleAnyway\"",
        ],
    );
    pods(
        json!({"dnsPolicy": "None"}),
        &["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"],
    );
    pods(
        json!({"securityContext": {"runAsUser": -1, "seccompProfile": {"type": "Localhost"},
                                    "sysctls": [{"name": "Net", "value": "1"}]}}),
        &[
            "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 4294967295, inclusive",
            "spec.securityContext.sysctls[0].name: Invalid value: \"Net\": must have at most 253 characters and match \
             regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
            "spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is \
             Localhost",
        ],
    );
    pods(
        json!({"nodeName": "n", "schedulingGates": [{"name": "x.io/a"}]}),
        &["spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"],
    );
    pods(
        json!({"activeDeadlineSeconds": 0, "hostname": "A.b"}),
        &[
            &format!("spec.hostname: Invalid value: \"A.b\": {LABEL}"),
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
        ],
    );
}

#[test]
fn pods_change_little() {
    let pods = |patch: Value, expected: &[&str]| check_update("", "pods", json!({}), patch, expected);
    // A merge patch replaces the list, so that the container is given whole.
    let with_image = json!({"image": "i:2", "imagePullPolicy": "IfNotPresent", "resources": {},
                            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"});
    pods(container(with_image), &[]);
    pods(json!({"spec": {"activeDeadlineSeconds": 5, "tolerations": [{"operator": "Exists"}]}}), &[]);
    pods(
        json!({"spec": {"containers": []}}),
        &["spec.containers: Forbidden: pod updates may not add or remove containers"],
    );
    pods(
        json!({"spec": {"nodeName": "n"}}),
        &["spec: Forbidden: pod updates may not change fields other than \
           `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only \
           additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
           previously negative)\n-\tnodeName: null\n+\tnodeName: \"n\""],
    );
    check_update(
        "",
        "pods",
        json!({"spec": {"activeDeadlineSeconds": 5, "tolerations": [{"key": "a", "operator": "Exists"}]}}),
        json!({"spec": {"activeDeadlineSeconds": 6, "tolerations": null}}),
        &["spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value"],
    );
    check_update(
        "",
        "pods",
        json!({"spec": {"tolerations": [{"key": "a", "operator": "Exists"}]}}),
        json!({"spec": {"tolerations": null}}),
        &["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"],
    );
    check_update(
        "",
        "pods",
        json!({"spec": {"schedulingGates": [{"name": "x.io/a"}]}}),
        json!({"spec": {"schedulingGates": null, "nodeSelector": {"a": "b"}}}),
        &[],
    );
    check_update("", "pods", json!({"spec": {"tolerations": []}}), json!({"spec": {"tolerations": null}}), &[]);
}

#[test]
fn what_has_ended_stays_ended() {
    let row = row("", "pods");
    let spec = json!({"restartPolicy": "Never"});
    let of = |state: Value| {
        json!({"spec": spec, "status": {"containerStatuses": [
        {"name": "c", "image": "i:1", "imageID": "", "ready": false, "restartCount": 0, "state": state}]}})
    };
    let old = object(row, "", "pods", &of(json!({"terminated": {"exitCode": 1}})));
    let mut new = object(row, "", "pods", &of(json!({"running": {}})));
    new.prepare_status(old.as_ref());
    assert_eq!(
        texts(&new.validate_update(old.as_ref())),
        ["status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"]
    );
}

#[test]
fn ephemeral_containers_come_and_stay() {
    let row = row("", "pods");
    let with = |name: &str| json!({"spec": {"ephemeralContainers": [{"name": name, "image": "i:1"}]}});
    let old = object(row, "", "pods", &with("a"));
    let mut new = object(row, "", "pods", &with("b"));
    new.prepare_subresource(Subresource::EphemeralContainers, old.as_ref());
    assert_eq!(
        texts(&new.validate_subresource(Subresource::EphemeralContainers, old.as_ref())),
        ["spec.ephemeralContainers: Forbidden: existing ephemeral containers \"a\" may not be removed\n"]
    );
}

#[test]
fn templates_and_selectors() {
    let deployments = |patch: Value, expected: &[&str]| check("apps", "deployments", patch, expected);
    deployments(
        json!({"spec": {"template": {"metadata": {"labels": {"app": "b"}}}}}),
        &["spec.template.metadata.labels: Invalid value: {\"app\":\"b\"}: `selector` does not match template `labels`"],
    );
    deployments(
        json!({"spec": {"selector": {"matchLabels": null}}}),
        &["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
    );
    deployments(
        json!({"spec": {"selector": {"matchExpressions": [{"key": "app", "operator": "In"}]}}}),
        &[
            "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or \
             'NotIn'",
            "spec.selector: Invalid value: {\"matchExpressions\":[{\"key\":\"app\",\"operator\":\"In\"}],\
             \"matchLabels\":{\"app\":\"a\"}}: invalid label selector",
        ],
    );
    deployments(
        json!({"spec": {"template": {"spec": {"restartPolicy": "Never"}}}}),
        &["spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\""],
    );
    deployments(
        json!({"spec": {"replicas": -1, "progressDeadlineSeconds": 5, "minReadySeconds": 5}}),
        &[
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            "spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds",
        ],
    );
    deployments(
        json!({"spec": {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}}}),
        &["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0"],
    );
    deployments(
        json!({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": {}}}}),
        &["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
    );
    for plural in ["deployments", "replicasets", "daemonsets"] {
        check_update(
            "apps",
            plural,
            json!({}),
            json!({"spec": {"selector": {"matchLabels": {"app": "b"}}}}),
            &["spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"b\"}}: field is immutable"],
        );
    }
}

#[test]
fn services() {
    let services = |spec: Value, expected: &[&str]| check("", "services", json!({"spec": spec}), expected);
    services(json!({"ports": null}), &["spec.ports: Required value"]);
    services(json!({"ports": null, "clusterIP": "None", "clusterIPs": ["None"]}), &[]);
    services(
        json!({"ports": [{"port": 80}, {"port": 80, "targetPort": "x_"}]}),
        &[
            "spec.ports[0].name: Required value",
            "spec.ports[1].name: Required value",
            "spec.ports[1].targetPort: Invalid value: \"x_\": must contain only alpha-numeric characters (a-z, 0-9), and \
             hyphens (-)",
            "spec.ports[1]: Duplicate value: {\"protocol\":\"TCP\",\"port\":80,\"targetPort\":0}",
        ],
    );
    services(
        json!({"type": "Magic", "sessionAffinity": "Cookie"}),
        &[
            "spec.sessionAffinity: Unsupported value: \"Cookie\": supported values: \"ClientIP\", \"None\"",
            "spec.type: Unsupported value: \"Magic\": supported values: \"ClusterIP\", \"ExternalName\", \
             \"LoadBalancer\", \"NodePort\"",
        ],
    );
    services(
        json!({"ports": [{"port": 80, "nodePort": 30000}]}),
        &["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
    );
    services(
        json!({"type": "ExternalName"}),
        &["spec.clusterIPs: Forbidden: may not be set for ExternalName services", "spec.externalName: Required value"],
    );
    services(
        json!({"clusterIP": "10.0.0.1"}),
        &["spec.clusterIPs: Invalid value: [\"10.43.0.9\"]: first value must match `clusterIP`"],
    );
    services(
        json!({"externalIPs": ["127.0.0.1"]}),
        &["spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)"],
    );
    check_update(
        "",
        "services",
        json!({}),
        json!({"spec": {"clusterIP": "10.43.0.10", "clusterIPs": ["10.43.0.10"]}}),
        &["spec.clusterIPs[0]: Invalid value: [\"10.43.0.10\"]: may not change once set"],
    );
}

#[test]
fn services_keep_what_they_were_given() {
    let row = row("", "services");
    let before = json!({"spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}});
    let mut old = object(row, "", "services", &before);
    old.defaults();
    let sent = json!({"spec": {"type": "NodePort", "clusterIP": null, "clusterIPs": null, "ports": [{"port": 80}]}});
    let mut new = object(row, "", "services", &sent);
    new.prepare_update(old.as_ref());
    let value = new.to_value().unwrap();
    assert_eq!(value["spec"]["clusterIP"], "10.43.0.9");
    assert_eq!(value["spec"]["clusterIPs"], json!(["10.43.0.9"]));
    assert_eq!(value["spec"]["ports"][0]["nodePort"], 30080);
    let sent = json!({"spec": {"type": "ClusterIP", "ports": [{"port": 80, "nodePort": 30080}]}});
    let mut new = object(row, "", "services", &sent);
    new.prepare_update(old.as_ref());
    assert_eq!(new.to_value().unwrap()["spec"]["ports"][0].get("nodePort"), None, "the type takes its ports along");
}

#[test]
fn settings() {
    check(
        "",
        "configmaps",
        json!({"data": {"a/b": "", "c": ""}, "binaryData": {"c": ""}}),
        &[
            "data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', '_' or \
             '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
            "data[c]: Invalid value: \"c\": duplicate of key present in binaryData",
        ],
    );
    check(
        "",
        "configmaps",
        json!({"data": {"a": "x".repeat(1_048_577)}}),
        &["[]: Too long: may not be more than 1048576 bytes"],
    );
    check_update(
        "",
        "configmaps",
        json!({"immutable": true, "data": {"a": "b"}}),
        json!({"immutable": null, "data": {"a": "c"}}),
        &[
            "immutable: Forbidden: field is immutable when `immutable` is set",
            "data: Forbidden: field is immutable when `immutable` is set",
        ],
    );
    check(
        "",
        "secrets",
        json!({"type": "kubernetes.io/tls"}),
        &["data[tls.crt]: Required value", "data[tls.key]: Required value"],
    );
    check(
        "",
        "secrets",
        json!({"type": "kubernetes.io/service-account-token"}),
        &["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
    );
    check_update(
        "",
        "secrets",
        json!({}),
        json!({"type": "other"}),
        &["type: Invalid value: \"other\": field is immutable"],
    );
}

#[test]
fn nodes() {
    check(
        "",
        "nodes",
        json!({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}],
                         "podCIDRs": ["10.0.0.0/33"]}}),
        &[
            "metadata.taints[1]: Duplicate value: {\"effect\":\"NoSchedule\",\"key\":\"a\"}: taints must be unique by key \
             and effect pair",
            "spec.podCIDRs[0]: Invalid value: \"10.0.0.0/33\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or \
             2001:db8::/64)",
        ],
    );
    check_update(
        "",
        "nodes",
        json!({"spec": {"providerID": "a"}}),
        json!({"spec": {"providerID": "b", "podCIDRs": ["10.42.4.0/22"]}}),
        &[
            "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid",
            "spec.providerID: Forbidden: node updates may not change providerID except from \"\" to valid",
        ],
    );
}

#[test]
fn network_policies() {
    let policies =
        |spec: Value, expected: &[&str]| check("networking.k8s.io", "networkpolicies", json!({"spec": spec}), expected);
    policies(
        json!({"ingress": [{"from": [{}], "ports": [{"port": 90, "endPort": 80}, {"endPort": 80}]}]}),
        &[
            "spec.ingress[0].ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`",
            "spec.ingress[0].ports[1].endPort: Invalid value: 80: may not be specified when `port` is not specified",
            "spec.ingress[0].from[0]: Required value: must specify a peer",
        ],
    );
    policies(
        json!({"egress": [{"to": [{"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}]}],
                "policyTypes": ["Egress", "Through"]}),
        &[
            "spec.egress[0].to[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`",
            "spec.egress[0].to[0]: Forbidden: may not specify both ipBlock and another peer",
            "spec.policyTypes[1]: Unsupported value: \"Through\": supported values: \"Ingress\", \"Egress\"",
        ],
    );
}

#[test]
fn budgets() {
    check(
        "policy",
        "poddisruptionbudgets",
        json!({"spec": {"maxUnavailable": "101%", "selector": null}}),
        &[
            "spec: Invalid value: {\"maxUnavailable\":\"101%\",\"minAvailable\":1}: minAvailable and maxUnavailable \
             cannot be both set",
            "spec.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%",
        ],
    );
}

#[test]
fn roles_and_bindings() {
    let group = "rbac.authorization.k8s.io";
    check(
        group,
        "roles",
        json!({"rules": [{"verbs": []}, {"verbs": ["get"], "nonResourceURLs": ["/x"]}]}),
        &[
            "rules[0].verbs: Required value: verbs must contain at least one value",
            "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
            "rules[0].resources: Required value: resource rules must supply at least one resource",
            "rules[1].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs",
        ],
    );
    check(
        group,
        "clusterrolebindings",
        json!({"roleRef": {"kind": "Role"}, "subjects": [{"kind": "Robot", "name": "a"}, {"kind": "ServiceAccount", "name": "a"}]}),
        &[
            "roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\"",
            "subjects[0].kind: Unsupported value: \"Robot\": supported values: \"ServiceAccount\", \"User\", \"Group\"",
            "subjects[1].namespace: Required value",
        ],
    );
    check_update(
        group,
        "rolebindings",
        json!({}),
        json!({"roleRef": {"name": "other"}}),
        &[
            "roleRef: Invalid value: {\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"Role\",\"name\":\"other\"}: \
           cannot change roleRef",
        ],
    );
}

#[test]
fn slices() {
    let group = "discovery.k8s.io";
    check(
        group,
        "endpointslices",
        json!({"endpoints": [{"addresses": ["127.0.0.1"]}, {"addresses": []}], "ports": [{"name": "a"}, {"name": "a"}]}),
        &[
            "endpoints[0].addresses[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, \
             ::1/128)",
            "endpoints[1].addresses: Required value: must contain at least 1 address",
            "ports[1].name: Duplicate value: \"a\"",
        ],
    );
    check_update(
        group,
        "endpointslices",
        json!({}),
        json!({"addressType": "IPv6"}),
        &["addressType: Invalid value: \"IPv6\": field is immutable"],
    );
}

#[test]
fn requests_for_certificates() {
    let group = "certificates.k8s.io";
    check(
        group,
        "certificatesigningrequests",
        json!({"spec": {"usages": [], "signerName": "x", "expirationSeconds": 5}}),
        &[
            "spec.signerName: Invalid value: \"x\": must be a fully qualified domain and path of the form \
             'example.com/signer-name'",
            "spec.usages: Required value: usages must be provided",
            "spec.expirationSeconds: Invalid value: 5: may not specify a duration less than 600 seconds (10 minutes)",
        ],
    );
}

#[test]
fn only_the_server_says_who_asks_for_a_certificate() {
    let row = row("certificates.k8s.io", "certificatesigningrequests");
    let claims = json!({"spec": {"username": "system:node:n1", "groups": ["system:masters"]},
                         "status": {"conditions": [{"type": "Approved", "status": "True"}]}});
    let mut object = object(row, "certificates.k8s.io", "certificatesigningrequests", &claims);
    object.prepare_create();
    let value = object.to_value().unwrap();
    assert_eq!((value["spec"].get("username"), value["spec"].get("groups"), value.get("status")), (None, None, None));
}

#[test]
fn a_signer_does_not_approve_and_an_approver_does_not_sign() {
    let (group, plural) = ("certificates.k8s.io", "certificatesigningrequests");
    let row = row(group, plural);
    let old = object(row, group, plural, &json!({}));
    let both = json!({"status": {"certificate": "AA==", "conditions": [{"type": "Approved", "status": "True"}]}});
    let mut by_signer = object(row, group, plural, &both);
    by_signer.prepare_status(old.as_ref());
    assert_eq!(by_signer.to_value().unwrap()["status"], json!({"certificate": "AA=="}));
    let mut by_approver = object(row, group, plural, &both);
    by_approver.prepare_subresource(Subresource::Approval, old.as_ref());
    let status = json!({"conditions": [{"type": "Approved", "status": "True"}]});
    assert_eq!(by_approver.to_value().unwrap()["status"], status);
}

#[test]
fn pods_end_in_their_own_time() {
    let row = row("", "pods");
    let grace = |patch: Value| object(row, "", "pods", &patch).default_grace_seconds();
    assert_eq!(grace(json!({})), Some(30));
    assert_eq!(grace(json!({"spec": {"terminationGracePeriodSeconds": 5}})), Some(5));
    assert_eq!(grace(json!({"spec": {"terminationGracePeriodSeconds": -5}})), Some(1));
    let at_once = |patch: Value, grace| object(row, "", "pods", &patch).deletes_at_once(grace);
    let running = json!({"spec": {"nodeName": "n"}, "status": {"phase": "Running"}});
    assert!(at_once(json!({}), 30), "no node has it");
    assert!(!at_once(running.clone(), 30));
    assert!(at_once(running, 0));
    assert!(at_once(json!({"spec": {"nodeName": "n"}, "status": {"phase": "Failed"}}), 30));
}
