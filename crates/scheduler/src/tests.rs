//! Decisions as tables: a pod, some nodes, and where it may go or why not.

use crate::cluster::Cluster;
use crate::decide::Decider;
use crate::fit_error::FitError;
use crate::pod::PodInfo;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Sets `value` at a pointer, making the objects on the way.
fn put(object: &mut Value, pointer: &str, value: &Value) {
    let mut at = object;
    for step in pointer.split('/').skip(1) {
        if !at.is_object() {
            *at = json!({});
        }
        at = at.as_object_mut().unwrap().entry(step.replace("~1", "/")).or_insert(Value::Null);
    }
    *at = value.clone();
}

fn with(mut object: Value, fields: &Value) -> Value {
    for (pointer, value) in fields.as_object().unwrap_or(&Map::new()) {
        put(&mut object, pointer, value);
    }
    object
}

fn node(name: &str, fields: &Value) -> Value {
    let node = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "10"}},
    });
    with(node, fields)
}

fn pod(name: &str, fields: &Value) -> PodInfo {
    let pod = json!({"metadata": {"name": name, "namespace": "default", "uid": name}, "spec": {"containers": [{"name": "c"}]}});
    PodInfo::new(Arc::new(serde_json::from_value(with(pod, fields)).unwrap()))
}

fn cpu(amount: &str) -> Value {
    json!({"/spec/containers": [{"name": "c", "resources": {"requests": {"cpu": amount}}}]})
}

fn labelled(app: &str) -> Value {
    json!({"/metadata/labels/app": app})
}

fn cluster(nodes: &[Value], pods: &[(&str, PodInfo)]) -> Cluster {
    let mut cluster = Cluster::default();
    for node in nodes {
        cluster.set_node(Arc::new(serde_json::from_value(node.clone()).unwrap()));
    }
    for (node, pod) in pods {
        cluster.set_pod(node, Arc::new(PodInfo::new(pod.pod.clone())));
    }
    cluster
}

/// All nodes that are chosen over many seeds.
fn choices(pod: &PodInfo, cluster: &Cluster) -> Result<BTreeSet<String>, FitError> {
    (1..40).map(|seed| Decider::new(seed * 7919).schedule(pod, cluster).map(|name| name.to_string())).collect()
}

fn check(pod: &PodInfo, cluster: &Cluster, want: &[&str]) {
    let want: BTreeSet<String> = want.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(choices(pod, cluster).map_err(|error| error.to_string()), Ok(want));
}

fn check_refused(pod: &PodInfo, cluster: &Cluster, want: &str) {
    assert_eq!(choices(pod, cluster).unwrap_err().to_string(), want);
}

#[test]
fn resources_have_to_be_free() {
    let nodes = [node("a", &json!({})), node("b", &json!({"/status/allocatable/cpu": "2"})), node("c", &json!({}))];
    let full = || pod("full", &cpu("3500m"));
    let cluster = cluster(&nodes, &[("a", full())]);
    check(&pod("p", &cpu("3")), &cluster, &["c"]);
    check_refused(
        &pod("p", &cpu("5")),
        &cluster,
        "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: 3 Preemption is not helpful \
         for scheduling.",
    );
    let huge = json!({"/spec/containers": [{"name": "c", "resources": {"requests": {"cpu": "9", "memory": "9Gi", "a.b/c": "1"}}}]});
    check_refused(
        &pod("p", &huge),
        &cluster,
        "0/3 nodes are available: 3 Insufficient a.b/c, 3 Insufficient cpu, 3 Insufficient memory. preemption: 0/3 nodes \
         are available: 3 Preemption is not helpful for scheduling.",
    );
}

#[test]
fn a_refusal_says_what_preemption_would_bring() {
    let nodes = [node("a", &json!({})), node("b", &json!({"/spec/taints": [{"key": "k", "effect": "NoSchedule"}]}))];
    let placed = cluster(&nodes, &[("a", pod("full", &cpu("4")))]);
    let text = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s). preemption: 0/2 nodes are \
                available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling.";
    check_refused(&pod("p", &cpu("1")), &placed, text);
    let mut fields = cpu("1");
    fields["/spec/preemptionPolicy"] = "Never".into();
    let want = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s). preemption: not eligible \
                due to preemptionPolicy=Never.";
    check_refused(&pod("p", &fields), &placed, want);
    check_refused(&pod("p", &json!({})), &Cluster::default(), "no nodes available to schedule pods");
}

#[test]
fn a_node_takes_so_many_pods() {
    let nodes =
        [node("a", &json!({"/status/allocatable/pods": "1"})), node("b", &json!({"/status/allocatable/pods": "0"}))];
    let cluster = cluster(&nodes, &[("a", pod("one", &json!({})))]);
    let text = "0/2 nodes are available: 2 Too many pods. preemption: 0/2 nodes are available: 2 No preemption victims found \
                for incoming pod.";
    check_refused(&pod("p", &json!({})), &cluster, text);
}

#[test]
fn taints_and_cordons_keep_pods_away() {
    let taint = |effect: &str| json!({"/spec/taints": [{"key": "k", "value": "v", "effect": effect}]});
    let nodes = [
        node("no-schedule", &taint("NoSchedule")),
        node("no-execute", &taint("NoExecute")),
        node("cordoned", &json!({"/spec/unschedulable": true})),
        node("prefers-not", &taint("PreferNoSchedule")),
        node("free", &json!({})),
    ];
    let cluster = cluster(&nodes, &[]);
    check(&pod("p", &json!({})), &cluster, &["free"]);
    let all = json!({"/spec/tolerations": [{"operator": "Exists"}]});
    check(&pod("p", &all), &cluster, &["no-schedule", "no-execute", "cordoned", "prefers-not", "free"]);
    let one = json!({"/spec/tolerations": [{"key": "k", "value": "v", "effect": "NoExecute"}], "/spec/nodeSelector":
        {"kubernetes.io/hostname": "no-execute"}});
    check(&pod("p", &one), &cluster, &["no-execute"]);
    let cordoned = json!({"/spec/nodeSelector": {"kubernetes.io/hostname": "cordoned"}});
    let text = "0/5 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match Pod's node affinity/selector, 2 \
                node(s) had untolerated taint(s). preemption: 0/5 nodes are available: 5 Preemption is not helpful for \
                scheduling.";
    check_refused(&pod("p", &cordoned), &cluster, text);
}

#[test]
fn node_affinity_requires_and_prefers() {
    let zone = |zone: &str, size: &str| json!({"/metadata/labels/zone": zone, "/metadata/labels/size": size});
    let nodes = [node("a", &zone("1", "5")), node("b", &zone("2", "10")), node("c", &zone("2", "20"))];
    let cluster = cluster(&nodes, &[]);
    let required = |expression: Value| {
        json!({"/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms":
            [{"matchExpressions": [expression]}]})
    };
    let term = |key: &str, operator: &str, values: Value| json!({"key": key, "operator": operator, "values": values});
    check(&pod("p", &required(term("zone", "In", json!(["1", "3"])))), &cluster, &["a"]);
    check(&pod("p", &required(term("zone", "NotIn", json!(["1"])))), &cluster, &["b", "c"]);
    check(&pod("p", &required(term("size", "Gt", json!(["9"])))), &cluster, &["b", "c"]);
    check(&pod("p", &required(term("size", "Lt", json!(["9"])))), &cluster, &["a"]);
    check(&pod("p", &required(term("none", "DoesNotExist", Value::Null))), &cluster, &["a", "b", "c"]);
    let field = json!({"/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms":
        [{"matchFields": [term("metadata.name", "In", json!(["c"]))]}]});
    check(&pod("p", &field), &cluster, &["c"]);
    let preferred = json!({"/spec/affinity/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 1, "preference": {"matchExpressions": [term("zone", "In", json!(["1"]))]}},
        {"weight": 5, "preference": {"matchExpressions": [term("size", "In", json!(["20"]))]}}]});
    check(&pod("p", &preferred), &cluster, &["c"]);
}

#[test]
fn host_ports_are_taken_once() {
    let port = |address: &str, protocol: &str| {
        json!({"/spec/containers": [{"name": "c", "ports": [
            {"containerPort": 80, "hostPort": 80, "hostIP": address, "protocol": protocol}]}]})
    };
    let placed = cluster(&[node("a", &json!({}))], &[("a", pod("one", &port("10.0.0.1", "TCP")))]);
    check(&pod("p", &port("10.0.0.2", "TCP")), &placed, &["a"]);
    check(&pod("p", &port("10.0.0.1", "UDP")), &placed, &["a"]);
    let text = "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. preemption: 0/1 nodes \
                are available: 1 No preemption victims found for incoming pod.";
    check_refused(&pod("p", &port("", "TCP")), &placed, text);
    check_refused(&pod("p", &port("10.0.0.1", "TCP")), &placed, text);
}

#[test]
fn pods_go_where_most_is_free() {
    let nodes = [node("a", &json!({})), node("b", &json!({})), node("c", &json!({}))];
    let pods = [("a", pod("one", &cpu("2"))), ("b", pod("two", &json!({}))), ("b", pod("three", &json!({})))];
    check(&pod("p", &json!({})), &cluster(&nodes, &pods), &["c"]);
    check(&pod("p", &json!({})), &cluster(&nodes, &[]), &["a", "b", "c"]);
}

fn term(app: &str, topology: &str) -> Value {
    json!({"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": topology})
}

fn zoned() -> [Value; 3] {
    let zone = |zone: &str| json!({"/metadata/labels/zone": zone});
    [node("a1", &zone("a")), node("a2", &zone("a")), node("b1", &zone("b"))]
}

#[test]
fn pods_stay_near_or_apart() {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    let near = |app| json!({format!("/spec/affinity/podAffinity/{REQUIRED}"): [term(app, "zone")]});
    let apart = |app, topology| json!({format!("/spec/affinity/podAntiAffinity/{REQUIRED}"): [term(app, topology)]});
    let placed = cluster(&zoned(), &[("a1", pod("db", &labelled("db")))]);
    check(&pod("p", &near("db")), &placed, &["a2"]);
    check(&pod("p", &apart("db", "zone")), &placed, &["b1"]);
    check(&pod("p", &apart("db", "kubernetes.io/hostname")), &placed, &["a2", "b1"]);
    let text = "0/3 nodes are available: 3 node(s) didn't match pod affinity rules. preemption: 0/3 nodes are available: 3 \
                Preemption is not helpful for scheduling.";
    check_refused(&pod("p", &near("web")), &placed, text);
    let mut first = near("web");
    first["/metadata/labels/app"] = "web".into();
    check(&pod("first", &first), &placed, &["a2", "b1"]);
    let mut shy = apart("web", "zone");
    shy["/metadata/labels/app"] = "shy".into();
    let refusing = cluster(&zoned(), &[("a1", pod("shy", &shy))]);
    check(&pod("p", &labelled("web")), &refusing, &["b1"]);
    let mut other = labelled("web");
    other["/metadata/namespace"] = "other".into();
    check(&pod("p", &other), &refusing, &["a2", "b1"]);
}

#[test]
fn preferences_about_other_pods_count() {
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    let weighted = |app, topology| json!([{"weight": 100, "podAffinityTerm": term(app, topology)}]);
    let placed = cluster(&zoned(), &[("a1", pod("db", &labelled("db")))]);
    let near = json!({format!("/spec/affinity/podAffinity/{PREFERRED}"): weighted("db", "kubernetes.io/hostname")});
    check(&pod("p", &near), &placed, &["a1"]);
    let apart = json!({format!("/spec/affinity/podAntiAffinity/{PREFERRED}"): weighted("db", "zone")});
    check(&pod("p", &apart), &placed, &["b1"]);
}

#[test]
fn pods_spread_over_a_topology() {
    let spread = |topology: &str, when: &str| {
        json!({"/metadata/labels/app": "web", "/spec/topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": topology,
            "whenUnsatisfiable": when, "labelSelector": {"matchLabels": {"app": "web"}}}]})
    };
    let one = cluster(&zoned(), &[("a1", pod("one", &labelled("web")))]);
    check(&pod("p", &spread("zone", "DoNotSchedule")), &one, &["b1"]);
    check(&pod("p", &spread("zone", "ScheduleAnyway")), &one, &["b1"]);
    check(&pod("p", &spread("kubernetes.io/hostname", "DoNotSchedule")), &one, &["a2", "b1"]);
    let text = "0/3 nodes are available: 3 node(s) didn't match pod topology spread constraints (missing required label). \
                preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.";
    check_refused(&pod("p", &spread("rack", "DoNotSchedule")), &one, text);
}

#[test]
fn equal_pods_are_spread_as_if_each_was_thought_about_anew() {
    let nodes: Vec<Value> = (0..250).map(|n| node(&format!("n{n}"), &json!({}))).collect();
    let mut cluster = cluster(&nodes, &[]);
    let mut decider = Decider::new(1);
    for n in 0..1000 {
        let pod = pod(&format!("p{n}"), &cpu("1"));
        let node = decider.schedule(&pod, &cluster).unwrap();
        cluster.set_pod(&node, Arc::new(pod));
    }
    assert!(cluster.nodes().iter().all(|node| node.pods.len() == 4), "each node holds four such pods and no more");
    let error = decider.schedule(&pod("p", &cpu("1")), &cluster).unwrap_err();
    assert_eq!(error.rejections.iter().map(|(_, count)| count).sum::<usize>(), 250);
    let (node, _) = cluster.remove_pod("default/p7").unwrap();
    assert_eq!(decider.schedule(&pod("p", &cpu("1")), &cluster), Ok(node));
}

#[test]
fn pods_of_a_node_that_comes_back_count_again() {
    let a = node("a", &json!({}));
    let mut cluster = cluster(std::slice::from_ref(&a), &[("a", pod("one", &cpu("3"))), ("b", pod("two", &cpu("4")))]);
    cluster.remove_node("a");
    assert_eq!(choices(&pod("p", &cpu("1")), &cluster).unwrap_err().nodes, 0);
    cluster.set_node(Arc::new(serde_json::from_value(a).unwrap()));
    cluster.set_node(Arc::new(serde_json::from_value(node("b", &json!({}))).unwrap()));
    check(&pod("p", &cpu("1")), &cluster, &["a"]);
    assert!(choices(&pod("p", &cpu("2")), &cluster).is_err());
}

/// Of every relation to other pods one, each with the label that the others select.
fn related() -> Vec<Value> {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    let mut everywhere = term("web", "kubernetes.io/hostname");
    everywhere["namespaceSelector"] = json!({"matchLabels": {"team": "a"}});
    let spread = |when: &str| {
        json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": when,
            "labelSelector": {"matchLabels": {"app": "web"}}}])
    };
    let weighted = json!([{"weight": 10, "podAffinityTerm": term("web", "zone")}]);
    [
        ("/spec/affinity/podAffinity/", REQUIRED, json!([term("web", "zone")])),
        ("/spec/affinity/podAntiAffinity/", REQUIRED, json!([everywhere])),
        ("/spec/affinity/podAffinity/", PREFERRED, weighted.clone()),
        ("/spec/affinity/podAntiAffinity/", PREFERRED, weighted),
        ("/spec/topologySpreadConstraints", "", spread("DoNotSchedule")),
        ("/spec/topologySpreadConstraints", "", spread("ScheduleAnyway")),
        ("/metadata/labels/plain", "", json!("yes")),
    ]
    .map(|(place, key, wish)| json!({"/metadata/labels/app": "web", format!("{place}{key}"): wish}))
    .into()
}

#[test]
fn what_is_kept_of_earlier_decisions_never_shows() {
    let zone = |n: u64, zone: u64| node(&format!("n{n}"), &json!({"/metadata/labels/zone": format!("z{zone}")}));
    let mut cluster = cluster(&[zone(0, 0), zone(1, 0), zone(2, 1)], &[]);
    let mut decider = Decider::new(1);
    let mut random = 20_261_123_u64;
    let mut draw = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let kinds = related();
    let mut refused = 0;
    for step in 0..300 {
        match draw(6) {
            0 => cluster.remove_node(&format!("n{}", draw(6))),
            1 | 2 => cluster.set_node(Arc::new(serde_json::from_value(zone(draw(6), draw(3))).unwrap())),
            3 => drop(cluster.remove_pod(&format!("default/p{}", draw(12)))),
            4 => {
                let labels = [("team".to_owned(), ["a", "b"][draw(2) as usize].to_owned())].into();
                cluster.set_namespace("default", Some(labels));
            }
            _ => {
                // A pod's wishes never change: another of the name is another pod.
                let mut other = kinds[draw(kinds.len() as u64) as usize].clone();
                other["/metadata/uid"] = step.to_string().into();
                let other = pod(&format!("p{}", draw(12)), &other);
                cluster.set_pod(&format!("n{}", draw(6)), Arc::new(other));
            }
        }
        for (kind, fields) in kinds.iter().enumerate() {
            let asking = pod("asking", fields);
            match (decider.schedule(&asking, &cluster), choices(&asking, &cluster)) {
                (Ok(node), Ok(fresh)) => {
                    assert!(fresh.contains(&*node), "step {step}, kind {kind}: {node} of {fresh:?}")
                }
                (Err(kept), Err(fresh)) => {
                    refused += 1;
                    assert_eq!(kept.to_string(), fresh.to_string(), "step {step}, kind {kind}");
                }
                (kept, fresh) => panic!("step {step}, kind {kind}: {kept:?}, and anew {fresh:?}"),
            }
        }
    }
    assert!(refused > 5, "pods were refused now and then: {refused} times");
}
