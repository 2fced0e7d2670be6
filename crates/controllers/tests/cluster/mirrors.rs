//! Endpoints that are written by hand, and the slices that say the same.

use crate::Cluster;
use api::k8s_openapi::api::core::v1::{Endpoints, Event, Service};
use api::k8s_openapi::api::discovery::v1::EndpointSlice;
use client::testing::Fake;
use serde_json::{Value, json};

const BY: &str = "endpointslicemirroring-controller.k8s.io";

async fn service(cluster: &Cluster, spec: Value) {
    cluster.create::<Service>(json!({"metadata": {"name": "db", "namespace": "default"}, "spec": spec})).await;
}

async fn endpoints(cluster: &Cluster, subsets: Value) -> Endpoints {
    let meta = json!({"name": "db", "namespace": "default", "labels": {"team": "a"},
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "x"}});
    cluster.create(json!({"metadata": meta, "subsets": subsets})).await
}

fn one(ip: &str, port: i32) -> Value {
    json!([{"ports": [{"port": port}], "addresses": [{"ip": ip}]}])
}

fn mirrors(fake: &Fake) -> Vec<EndpointSlice> {
    let mut all = fake.all::<EndpointSlice>();
    all.retain(|slice| {
        slice.metadata.labels.as_ref().unwrap().get("endpointslice.kubernetes.io/managed-by").is_some_and(|by| by == BY)
    });
    all
}

/// `ports: addresses` of every mirror.
fn told(fake: &Fake) -> Vec<String> {
    let line = |slice: EndpointSlice| {
        let ports: Vec<String> = slice.ports.iter().flatten().map(|port| port.port.unwrap().to_string()).collect();
        let endpoints: Vec<String> =
            slice.endpoints.iter().flatten().map(|endpoint| endpoint.addresses.join("+")).collect();
        format!("{}: {}", ports.join(","), endpoints.join(" "))
    };
    let mut all: Vec<String> = mirrors(fake).into_iter().map(line).collect();
    all.sort();
    all
}

#[tokio::test(start_paused = true)]
async fn they_are_mirrored_through_create_update_and_delete() {
    let cluster = Cluster::start_lagging();
    service(&cluster, json!({"ports": [{"name": "example", "port": 80, "protocol": "TCP"}]})).await;
    let made = endpoints(&cluster, one("10.1.2.3", 80)).await;
    cluster.settle().await;
    assert_eq!(told(&cluster.fake), ["80: 10.1.2.3"]);
    let slice = mirrors(&cluster.fake).remove(0);
    let name = slice.metadata.name.clone().unwrap();
    assert!(name.starts_with("db-"), "{name}");
    let labels = slice.metadata.labels.unwrap();
    assert_eq!((labels["kubernetes.io/service-name"].as_str(), labels["team"].as_str()), ("db", "a"));
    let annotations: Vec<_> = slice.metadata.annotations.unwrap().into_iter().collect();
    assert_eq!(annotations, [("note".to_owned(), "x".to_owned())]);
    assert_eq!(Some(&slice.metadata.owner_references.unwrap()[0].uid), made.metadata.uid.as_ref());

    let other = json!({"metadata": {"annotations": {"note": null}}, "subsets": one("10.2.3.4", 80)});
    cluster.merge::<Endpoints>("default", "db", None, other).await;
    cluster.settle().await;
    assert_eq!(told(&cluster.fake), ["80: 10.2.3.4"]);
    let updated = mirrors(&cluster.fake).remove(0).metadata;
    assert_eq!(updated.name.as_ref(), Some(&name), "the same slice says it");
    assert_eq!(updated.annotations, None);

    cluster.merge::<Endpoints>("default", "db", None, json!({"subsets": one("10.2.3.4", 81)})).await;
    cluster.settle().await;
    assert_eq!(told(&cluster.fake), ["81: 10.2.3.4"]);
    assert_eq!(mirrors(&cluster.fake)[0].metadata.name.as_ref(), Some(&name), "other ports, the same slice");
    assert_eq!(cluster.fake.calls("create endpointslices"), 1);
    assert_eq!(cluster.fake.calls("update endpointslices"), 2, "nothing is written that was said");

    cluster.delete::<Endpoints>("default", "db", None).await;
    cluster.settle().await;
    assert_eq!(told(&cluster.fake), Vec::<String>::new());
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn mirrors_come_and_go_with_their_service_and_its_selector() {
    let cluster = Cluster::start_lagging();
    endpoints(&cluster, one("10.1.2.3", 80)).await;
    cluster.settle().await;
    assert_eq!(told(&cluster.fake), Vec::<String>::new(), "no service");
    service(&cluster, json!({"ports": [{"port": 80}]})).await;
    cluster.settle().await;
    assert_eq!(told(&cluster.fake), ["80: 10.1.2.3"]);
    let selector = |selector: Value| json!({"spec": {"selector": selector}});
    cluster.merge::<Service>("default", "db", None, selector(json!({"app": "db"}))).await;
    cluster.settle().await;
    assert_eq!(told(&cluster.fake), Vec::<String>::new(), "pods stand behind it now");
    // What was made of the pods is a user's now, and says what he makes of it.
    cluster.merge::<Service>("default", "db", None, selector(Value::Null)).await;
    cluster.settle().await;
    cluster.merge::<Endpoints>("default", "db", None, json!({"subsets": one("10.5.5.5", 80)})).await;
    cluster.settle().await;
    assert_eq!(told(&cluster.fake), ["80: 10.5.5.5"]);
    assert_eq!(cluster.fake.all::<EndpointSlice>().len(), 1, "and nothing of the pods' is left");
    let skip = json!({"metadata": {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}});
    cluster.merge::<Endpoints>("default", "db", None, skip).await;
    cluster.settle().await;
    assert_eq!(told(&cluster.fake), Vec::<String>::new(), "their author keeps slices himself");
    let unskip = json!({"metadata": {"labels": {"endpointslice.kubernetes.io/skip-mirror": null}}});
    cluster.merge::<Endpoints>("default", "db", None, unskip).await;
    cluster.settle().await;
    assert_eq!(told(&cluster.fake).len(), 1);
    cluster.delete::<Service>("default", "db", None).await;
    cluster.settle().await;
    assert_eq!(told(&cluster.fake), Vec::<String>::new());
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_mirror_that_somebody_spoils_is_set_right_and_new_endpoints_own_their_own() {
    let cluster = Cluster::start_lagging();
    service(&cluster, json!({"ports": [{"port": 80}]})).await;
    endpoints(&cluster, one("10.1.2.3", 80)).await;
    cluster.settle().await;
    let name = mirrors(&cluster.fake)[0].metadata.name.clone().unwrap();
    cluster.merge::<EndpointSlice>("default", &name, None, json!({"endpoints": [{"addresses": ["10.9.9.9"]}]})).await;
    cluster.settle().await;
    assert_eq!(told(&cluster.fake), ["80: 10.1.2.3"]);
    cluster.delete::<EndpointSlice>("default", &name, None).await;
    cluster.settle().await;
    assert_eq!(told(&cluster.fake), ["80: 10.1.2.3"]);
    cluster.delete::<Endpoints>("default", "db", None).await;
    let again = endpoints(&cluster, one("10.1.2.3", 80)).await;
    cluster.settle().await;
    assert_eq!(told(&cluster.fake), ["80: 10.1.2.3"]);
    let owners = mirrors(&cluster.fake).remove(0).metadata.owner_references.unwrap();
    assert_eq!(Some(&owners[0].uid), again.metadata.uid.as_ref());
    // Foreground: the mirrors go first, are not made anew, and do not hold back the end.
    cluster.delete::<Endpoints>("default", "db", Some("Foreground")).await;
    cluster.settle().await;
    assert!(cluster.get::<Endpoints>("default", "db").is_none());
    assert_eq!(told(&cluster.fake), Vec::<String>::new());
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_addresses_are_one_slice_and_the_rest_is_told() {
    let cluster = Cluster::start();
    service(&cluster, json!({"ports": [{"port": 80}]})).await;
    let addresses: Vec<Value> = (0..1005).map(|n| json!({"ip": format!("10.1.{}.{}", n / 250, n % 250)})).collect();
    endpoints(&cluster, json!([{"ports": [{"port": 80}], "addresses": addresses}])).await;
    cluster.settle().await;
    let sizes: Vec<usize> =
        mirrors(&cluster.fake).iter().map(|slice| slice.endpoints.as_ref().unwrap().len()).collect();
    assert_eq!(sizes, [1000]);
    let events = cluster.fake.all::<Event>();
    let said: Vec<_> =
        events.iter().filter(|event| event.involved_object.kind.as_deref() == Some("Endpoints")).collect();
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].reason.as_deref(), Some("TooManyAddressesToMirror"));
    assert!(said[0].message.as_deref().unwrap().ends_with("5 addresses were skipped"), "{:?}", said[0].message);
    cluster.stop().await;
}
