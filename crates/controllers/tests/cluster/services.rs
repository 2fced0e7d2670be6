//! Services and the pods behind them: slices, and the old form.

use crate::Cluster;
use api::Subresource;
use api::k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use api::k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};
use std::time::Duration;

async fn service(cluster: &Cluster, name: &str, spec: Value) -> Service {
    cluster
        .create(json!({"metadata": {"name": name, "namespace": "default", "labels": {"team": "a"}}, "spec": spec}))
        .await
}

fn web() -> Value {
    json!({"clusterIP": "10.43.0.7", "selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]})
}

async fn pod(cluster: &Cluster, name: &str, app: &str) {
    cluster
        .create::<Pod>(json!({"metadata": {"name": name, "namespace": "default", "labels": {"app": app}},
            "spec": {"nodeName": "n1", "containers": []}}))
        .await;
}

async fn run(cluster: &Cluster, name: &str, ip: &str, ready: bool) {
    let ready = if ready { "True" } else { "False" };
    let status = json!({"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
        "conditions": [{"type": "Ready", "status": ready}]}});
    cluster.merge::<Pod>("default", name, Some(Subresource::Status), status).await;
}

fn address(n: usize) -> String {
    format!("10.42.{}.{}", n / 250, n % 250 + 1)
}

/// The addresses of a service's slices that are ready, in order.
fn ready(cluster: &Cluster, service: &str) -> Vec<String> {
    let mut all: Vec<String> = slices(cluster, service)
        .into_iter()
        .flat_map(|slice| slice.endpoints.unwrap_or_default())
        .filter(|endpoint| endpoint.conditions.as_ref().unwrap().ready == Some(true))
        .flat_map(|endpoint| endpoint.addresses)
        .collect();
    all.sort();
    all
}

fn slices(cluster: &Cluster, service: &str) -> Vec<EndpointSlice> {
    let mut all = cluster.fake.all::<EndpointSlice>();
    all.retain(|slice| slice.metadata.labels.as_ref().unwrap()["kubernetes.io/service-name"] == service);
    all
}

/// Ready and other addresses of the old form.
fn legacy(cluster: &Cluster, service: &str) -> Option<(Vec<String>, Vec<String>)> {
    let endpoints: Endpoints = cluster.get("default", service)?;
    let subsets = endpoints.subsets.unwrap_or_default();
    let ready = subsets.iter().flat_map(|s| s.addresses.iter().flatten()).map(|a| a.ip.clone()).collect();
    let others = subsets.iter().flat_map(|s| s.not_ready_addresses.iter().flatten()).map(|a| a.ip.clone()).collect();
    Some((ready, others))
}

#[tokio::test(start_paused = true)]
async fn endpoints_follow_their_pods() {
    let cluster = Cluster::start_lagging();
    cluster.node("n1").await;
    let made = service(&cluster, "web", web()).await;
    cluster.settle().await;
    let empty = slices(&cluster, "web");
    assert_eq!((empty.len(), empty[0].endpoints.as_ref().map_or(0, Vec::len)), (1, 0), "one says that there are none");
    assert_eq!(legacy(&cluster, "web"), Some((vec![], vec![])));
    for (name, app) in [("a", "web"), ("b", "web"), ("c", "db")] {
        pod(&cluster, name, app).await;
    }
    run(&cluster, "a", "10.42.0.1", true).await;
    run(&cluster, "b", "10.42.0.2", false).await;
    run(&cluster, "c", "10.42.0.3", true).await;
    cluster.settle().await;
    assert_eq!(ready(&cluster, "web"), ["10.42.0.1"]);
    assert_eq!(legacy(&cluster, "web").unwrap(), (vec!["10.42.0.1".to_owned()], vec!["10.42.0.2".to_owned()]));
    let slice = slices(&cluster, "web").pop().unwrap();
    assert!(slice.metadata.name.as_ref().unwrap().starts_with("web-"));
    assert_eq!(slice.metadata.owner_references.as_ref().unwrap()[0].uid, made.metadata.uid.unwrap());
    let labels = slice.metadata.labels.unwrap();
    assert_eq!(labels["endpointslice.kubernetes.io/managed-by"], "endpointslice-controller.k8s.io");
    assert_eq!((labels["team"].as_str(), labels.contains_key("service.kubernetes.io/headless")), ("a", false));
    let port = &slice.ports.unwrap()[0];
    assert_eq!((port.name.as_deref(), port.port, port.protocol.as_deref()), (Some("http"), Some(8080), Some("TCP")));
    let endpoint = slice.endpoints.unwrap().into_iter().find(|e| e.addresses == ["10.42.0.1"]).unwrap();
    assert_eq!(endpoint.node_name.as_deref(), Some("n1"));
    assert_eq!(endpoint.target_ref.unwrap().name.as_deref(), Some("a"));
    // A label moves a pod from one service to another.
    cluster.merge::<Pod>("default", "c", None, json!({"metadata": {"labels": {"app": "web"}}})).await;
    cluster.merge::<Pod>("default", "a", None, json!({"metadata": {"labels": {"app": "db"}}})).await;
    cluster.settle().await;
    assert_eq!(ready(&cluster, "web"), ["10.42.0.3"]);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_ends_serves_no_more_but_is_told_of_until_it_is_gone() {
    let cluster = Cluster::start();
    cluster.node("n1").await;
    service(&cluster, "web", web()).await;
    pod(&cluster, "a", "web").await;
    run(&cluster, "a", "10.42.0.1", true).await;
    cluster.settle().await;
    cluster.delete::<Pod>("default", "a", None).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let endpoint = slices(&cluster, "web")[0].endpoints.clone().unwrap().pop().unwrap();
    let conditions = endpoint.conditions.unwrap();
    assert_eq!((conditions.ready, conditions.serving, conditions.terminating), (Some(false), Some(true), Some(true)));
    assert_eq!(legacy(&cluster, "web").unwrap(), (vec![], vec![]));
    cluster.ended("a", "default").await;
    cluster.settle().await;
    assert_eq!(slices(&cluster, "web")[0].endpoints.as_ref().map_or(0, Vec::len), 0);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_pods_that_become_ready_at_once_cost_few_writes() {
    let cluster = Cluster::start();
    cluster.node("n1").await;
    service(&cluster, "web", web()).await;
    for n in 0..1000 {
        pod(&cluster, &format!("p{n:04}"), "web").await;
        run(&cluster, &format!("p{n:04}"), &address(n), false).await;
    }
    cluster.settle().await;
    assert_eq!(slices(&cluster, "web").len(), 10);
    let writes = || cluster.fake.calls("update endpointslices") + cluster.fake.calls("create endpointslices");
    let (before, old_before) = (writes(), cluster.fake.calls("update endpoints"));
    for n in 0..1000 {
        run(&cluster, &format!("p{n:04}"), &address(n), true).await;
        if n % 50 == 49 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    cluster.settle().await;
    assert_eq!(ready(&cluster, "web").len(), 1000);
    assert_eq!(legacy(&cluster, "web").unwrap().0.len(), 1000);
    let (written, old_written) = (writes() - before, cluster.fake.calls("update endpoints") - old_before);
    assert!(written < 100, "{written} writes of slices");
    assert!(old_written < 20, "{old_written} writes of endpoints");
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn slices_that_others_change_or_delete_are_put_right() {
    let cluster = Cluster::start_lagging();
    cluster.node("n1").await;
    service(&cluster, "web", web()).await;
    pod(&cluster, "a", "web").await;
    run(&cluster, "a", "10.42.0.1", true).await;
    cluster.settle().await;
    let name = slices(&cluster, "web")[0].metadata.name.clone().unwrap();
    cluster.merge::<EndpointSlice>("default", &name, None, json!({"endpoints": [{"addresses": ["10.9.9.9"]}]})).await;
    cluster.settle().await;
    assert_eq!(ready(&cluster, "web"), ["10.42.0.1"]);
    cluster.delete::<EndpointSlice>("default", &name, None).await;
    cluster.delete::<Endpoints>("default", "web", None).await;
    cluster.settle().await;
    assert_eq!(ready(&cluster, "web"), ["10.42.0.1"]);
    assert_eq!(legacy(&cluster, "web").unwrap().0, ["10.42.0.1"]);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn services_without_a_selector_are_left_to_others() {
    let cluster = Cluster::start();
    cluster.node("n1").await;
    service(&cluster, "manual", json!({"ports": [{"port": 80}]})).await;
    service(
        &cluster,
        "external",
        json!({"type": "ExternalName", "externalName": "a.example", "selector": {"app": "web"}}),
    )
    .await;
    cluster
        .create::<EndpointSlice>(json!({"metadata": {"name": "mine", "namespace": "default",
            "labels": {"kubernetes.io/service-name": "manual"}}, "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.1.1.1"]}]}))
        .await;
    cluster.create::<Endpoints>(json!({"metadata": {"name": "manual", "namespace": "default"}})).await;
    pod(&cluster, "a", "web").await;
    run(&cluster, "a", "10.42.0.1", true).await;
    cluster.settle().await;
    assert_eq!(slices(&cluster, "manual").len(), 1);
    assert_eq!(slices(&cluster, "external").len(), 0);
    assert!(cluster.get::<Endpoints>("default", "manual").is_some());
    assert!(cluster.get::<Endpoints>("default", "external").is_none());
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_services_end_takes_its_endpoints_and_a_new_one_makes_its_own() {
    let cluster = Cluster::start_lagging();
    cluster.node("n1").await;
    service(&cluster, "web", web()).await;
    pod(&cluster, "a", "web").await;
    run(&cluster, "a", "10.42.0.1", true).await;
    cluster.settle().await;
    cluster.delete::<Service>("default", "web", None).await;
    cluster.settle().await;
    assert_eq!((slices(&cluster, "web").len(), legacy(&cluster, "web")), (0, None));
    service(&cluster, "web", web()).await;
    cluster.settle().await;
    cluster.delete::<Service>("default", "web", None).await;
    let again = service(&cluster, "web", web()).await;
    cluster.settle().await;
    assert_eq!(ready(&cluster, "web"), ["10.42.0.1"]);
    let owner = slices(&cluster, "web")[0].metadata.owner_references.clone().unwrap().pop().unwrap();
    assert_eq!(Some(owner.uid), again.metadata.uid);
    assert_eq!(legacy(&cluster, "web").unwrap().0, ["10.42.0.1"]);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_old_form_says_when_it_does_not_hold_all_and_keeps_the_ready_ones() {
    let cluster = Cluster::start();
    cluster.node("n1").await;
    service(&cluster, "web", web()).await;
    for n in 0..1010 {
        pod(&cluster, &format!("p{n:04}"), "web").await;
        run(&cluster, &format!("p{n:04}"), &address(n), n >= 20).await;
    }
    cluster.settle().await;
    let (ready, others) = legacy(&cluster, "web").unwrap();
    assert_eq!((ready.len(), others.len()), (990, 10));
    let endpoints: Endpoints = cluster.get("default", "web").unwrap();
    assert_eq!(endpoints.metadata.annotations.unwrap()["endpoints.kubernetes.io/over-capacity"], "truncated");
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pods_that_say_nothing_new_cost_nothing() {
    let cluster = Cluster::start();
    cluster.node("n1").await;
    service(&cluster, "web", web()).await;
    pod(&cluster, "a", "web").await;
    run(&cluster, "a", "10.42.0.1", true).await;
    cluster.settle().await;
    let runs = |cluster: &Cluster| {
        let mut metrics = String::new();
        cluster.handle.metrics()(&mut metrics);
        let line = metrics.lines().find(|line| line.starts_with("sampan_reconcile_total{name=\"endpointslice\"}"));
        line.unwrap().rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()
    };
    let before = runs(&cluster);
    for n in 0..20 {
        let status = json!({"status": {"message": format!("still here {n}")}});
        cluster.merge::<Pod>("default", "a", Some(Subresource::Status), status).await;
        cluster.settle().await;
    }
    assert_eq!(runs(&cluster), before, "no endpoint changed");
    cluster.stop().await;
}
