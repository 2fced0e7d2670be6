//! What `kubectl get` says of objects in particular states: the columns that are more than a copied field.

use api::object::find;
use api::table::Cell;
use serde_json::{Value, json};

/// The named columns of an object's row, an hour after midnight.
#[track_caller]
fn check(group: &str, plural: &str, object: Value, expected: &[(&str, &str)]) {
    let row = find(group, "v1", plural).expect("in the table");
    let mut value = json!({"apiVersion": row.def().api_version(), "kind": row.def().kind, "metadata": {"name": "a"}});
    for (key, field) in object.as_object().expect("an object") {
        value[key] = field.clone();
    }
    let object = row.from_value(value).expect("of this kind");
    let cells = object.row("2026-01-01T01:00:00Z".parse().expect("a moment"));
    for (name, text) in expected {
        let index = row.def().columns.iter().position(|column| column.name == *name);
        let shown = match &cells[index.unwrap_or_else(|| panic!("{plural} have no column {name}"))] {
            Cell::Text(text) => text.clone(),
            Cell::Integer(number) => number.to_string(),
            Cell::Number(number) => number.to_string(),
            Cell::Flag(flag) => flag.to_string(),
            Cell::Missing => String::new(),
        };
        assert_eq!(shown, *text, "{plural} {name}");
    }
}

#[test]
fn nodes() {
    let ready = |status: &str| json!({"status": {"conditions": [{"type": "Ready", "status": status}]}});
    check("", "nodes", ready("True"), &[("Status", "Ready"), ("Roles", "<none>"), ("OS-Image", "<unknown>")]);
    check("", "nodes", ready("Unknown"), &[("Status", "NotReady")]);
    check("", "nodes", json!({"spec": {"unschedulable": true}}), &[("Status", "Unknown,SchedulingDisabled")]);
    let labels = json!({"metadata": {"name": "a", "labels": {"node-role.kubernetes.io/worker": "", "kubernetes.io/role": "db"}}});
    check("", "nodes", labels, &[("Roles", "db,worker")]);
}

#[test]
fn services() {
    let of = |spec: Value, status: Value| json!({"spec": spec, "status": status});
    check(
        "",
        "services",
        of(json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}]}), json!({})),
        &[("Port(s)", "80:30080/TCP"), ("External-IP", "<none>"), ("Selector", "<none>")],
    );
    check("", "services", of(json!({"type": "LoadBalancer"}), json!({})), &[("External-IP", "<pending>")]);
    check(
        "",
        "services",
        of(
            json!({"type": "LoadBalancer", "externalIPs": ["192.0.2.9"]}),
            json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.2"}, {"hostname": "lb.example.com"}]}}),
        ),
        &[("External-IP", "192.0.2.2,lb.example.com,192.0.2.9")],
    );
    check(
        "",
        "services",
        of(json!({"type": "ExternalName", "externalName": "db.example.com"}), json!({})),
        &[("External-IP", "db.example.com"), ("Port(s)", "<none>")],
    );
}

#[test]
fn events() {
    let involved = json!({"kind": "Pod", "name": "p"});
    check(
        "",
        "events",
        json!({"involvedObject": involved, "eventTime": "2026-01-01T00:30:00.000000Z",
               "reportingComponent": "scheduler", "reportingInstance": "s-1"}),
        &[
            ("Last Seen", "30m"),
            ("First Seen", "30m"),
            ("Count", "1"),
            ("Source", "scheduler, s-1"),
            ("Object", "pod/p"),
        ],
    );
    check(
        "",
        "events",
        json!({"involvedObject": involved, "eventTime": "2026-01-01T00:30:00.000000Z",
               "series": {"count": 7, "lastObservedTime": "2026-01-01T00:59:00.000000Z"}}),
        &[("Last Seen", "60s"), ("Count", "7")],
    );
    check("", "events", json!({"involvedObject": involved}), &[("Last Seen", "<unknown>")]);
}

#[test]
fn jobs() {
    let of = |spec: Value, status: Value| json!({"spec": spec, "status": status});
    let holds = |kind: &str| json!([{"type": kind, "status": "True"}]);
    check(
        "batch",
        "jobs",
        of(
            json!({"completions": 3}),
            json!({"succeeded": 3, "conditions": holds("Complete"), "startTime": "2026-01-01T00:00:00Z",
                   "completionTime": "2026-01-01T00:01:30Z"}),
        ),
        &[("Status", "Complete"), ("Completions", "3/3"), ("Duration", "90s")],
    );
    check(
        "batch",
        "jobs",
        of(json!({"parallelism": 2}), json!({"conditions": holds("Suspended")})),
        &[("Status", "Suspended"), ("Completions", "0/1 of 2"), ("Duration", "")],
    );
}

#[test]
fn quotas() {
    check(
        "",
        "resourcequotas",
        json!({"status": {"hard": {"pods": "10", "limits.cpu": "4"}, "used": {"pods": "3"}}}),
        &[("Request", "pods: 3/10"), ("Limit", "limits.cpu: 0/4")],
    );
}

#[test]
fn requests_for_certificates() {
    let spec = json!({"request": "", "signerName": "a.b/c"});
    let of = |status: Value| json!({"spec": spec, "status": status});
    let group = "certificates.k8s.io";
    let plural = "certificatesigningrequests";
    check(group, plural, of(json!({})), &[("Condition", "Pending"), ("RequestedDuration", "<none>")]);
    let approved = json!([{"type": "Approved", "status": "True"}]);
    check(
        group,
        plural,
        of(json!({"conditions": approved, "certificate": "AA=="})),
        &[("Condition", "Approved,Issued")],
    );
    let denied = json!([{"type": "Denied", "status": "True"}]);
    check(group, plural, of(json!({"conditions": denied})), &[("Condition", "Denied")]);
}

#[test]
fn endpoints() {
    check("", "endpoints", json!({}), &[("Endpoints", "<none>")]);
    let ready = json!([{"addresses": [{"ip": "fd00::1"}], "ports": [{"port": 80}]}]);
    check("", "endpoints", json!({"subsets": ready}), &[("Endpoints", "[fd00::1]:80")]);
    let none_ready = json!([{"notReadyAddresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]);
    check("", "endpoints", json!({"subsets": none_ready}), &[("Endpoints", "")]);
    let slice = json!({"addressType": "IPv4", "endpoints": null});
    check("discovery.k8s.io", "endpointslices", slice, &[("Ports", "<unset>"), ("Endpoints", "<unset>")]);
}
