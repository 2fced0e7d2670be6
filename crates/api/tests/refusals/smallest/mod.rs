//! What is refused, and in which words: objects as small as good ones can be, with one thing changed.

mod pods;

use super::merge;
use api::object::{Object, Registered, find};
use api::resource::Subresource;
use serde_json::{Value, json};

fn row(group: &str, plural: &str) -> &'static dyn Registered {
    find(group, "v1", plural).unwrap_or_else(|| panic!("{group}/{plural} is in the table"))
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
