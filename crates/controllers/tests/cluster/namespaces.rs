//! Namespaces: what each has, and how it ends.

use crate::{Cluster, names};
use api::Subresource;
use api::k8s_openapi::api::core::v1::{ConfigMap, Namespace, NamespaceCondition, Pod, ServiceAccount};
use client::Foreign;
use serde_json::json;
use std::time::Duration;

async fn namespace(cluster: &Cluster, name: &str) {
    cluster.create::<Namespace>(json!({"metadata": {"name": name}})).await;
}

fn root_ca(cluster: &Cluster, namespace: &str) -> Option<String> {
    cluster.get::<ConfigMap>(namespace, "kube-root-ca.crt").map(|map| map.data.unwrap()["ca.crt"].clone())
}

#[tokio::test(start_paused = true)]
async fn every_namespace_has_its_account_and_the_root_certificate_whatever_is_done_to_them() {
    let cluster = Cluster::start_lagging();
    namespace(&cluster, "dev").await;
    cluster.settle().await;
    assert_eq!(root_ca(&cluster, "dev").as_deref(), Some("PEM"));
    assert!(cluster.get::<ServiceAccount>("dev", "default").is_some());
    cluster.delete::<ServiceAccount>("dev", "default", None).await;
    cluster
        .merge::<ConfigMap>("dev", "kube-root-ca.crt", None, json!({"data": {"ca.crt": "forged", "more": "x"}}))
        .await;
    cluster.settle().await;
    assert!(cluster.get::<ServiceAccount>("dev", "default").is_some());
    let map: ConfigMap = cluster.get("dev", "kube-root-ca.crt").unwrap();
    assert_eq!(map.data.unwrap().into_iter().collect::<Vec<_>>(), [("ca.crt".to_owned(), "PEM".to_owned())]);
    cluster.delete::<ConfigMap>("dev", "kube-root-ca.crt", None).await;
    cluster.settle().await;
    assert_eq!(root_ca(&cluster, "dev").as_deref(), Some("PEM"));
    cluster.stop().await;
}

fn condition(cluster: &Cluster, name: &str, type_: &str) -> NamespaceCondition {
    let status = cluster.get::<Namespace>("", name).unwrap().status.unwrap();
    status.conditions.unwrap().into_iter().find(|condition| condition.type_ == type_).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_namespace_goes_when_all_in_it_is_gone() {
    let cluster = Cluster::start_lagging();
    namespace(&cluster, "dev").await;
    namespace(&cluster, "prod").await;
    for namespace in ["dev", "prod"] {
        cluster.create::<ConfigMap>(json!({"metadata": {"name": "plain", "namespace": namespace}})).await;
    }
    cluster
        .create::<ConfigMap>(json!({"metadata": {"name": "held", "namespace": "dev", "finalizers": ["a.io/b"]}}))
        .await;
    cluster.settle().await;
    cluster.delete::<Namespace>("", "dev", None).await;
    cluster.settle().await;
    assert_eq!(
        names(&cluster.fake.all::<ConfigMap>()),
        ["held", "kube-root-ca.crt", "plain"],
        "what is held, and the other's"
    );
    let content = condition(&cluster, "dev", "NamespaceContentRemaining");
    assert_eq!(content.status, "True");
    let message = content.message.unwrap();
    assert_eq!(message, "Some resources are remaining: configmaps. has 1 resource instances");
    let finalizers = condition(&cluster, "dev", "NamespaceFinalizersRemaining");
    let message = finalizers.message.unwrap();
    assert_eq!(message, "Some content in the namespace has finalizers remaining: a.io/b in 1 resource instances");
    assert_eq!(condition(&cluster, "dev", "NamespaceDeletionContentFailure").status, "False");
    cluster.merge::<ConfigMap>("dev", "held", None, json!({"metadata": {"finalizers": null}})).await;
    cluster.settle().await;
    assert!(cluster.get::<Namespace>("", "dev").is_none());
    assert!(cluster.get::<Namespace>("", "prod").is_some());
    assert_eq!(names(&cluster.fake.all::<ConfigMap>()), ["kube-root-ca.crt", "plain"]);
    assert!(cluster.get::<ServiceAccount>("dev", "default").is_none(), "nothing is made again in what ends");
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pods_end_before_what_they_may_need() {
    let cluster = Cluster::start();
    cluster.node("n1").await;
    namespace(&cluster, "dev").await;
    cluster.create::<ConfigMap>(json!({"metadata": {"name": "settings", "namespace": "dev"}})).await;
    cluster
        .create::<Pod>(
            json!({"metadata": {"name": "p", "namespace": "dev"}, "spec": {"nodeName": "n1", "containers": []}}),
        )
        .await;
    cluster.settle().await;
    cluster.delete::<Namespace>("", "dev", None).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let pod: Pod = cluster.get("dev", "p").unwrap();
    assert!(pod.metadata.deletion_timestamp.is_some(), "told to end");
    assert!(cluster.get::<ConfigMap>("dev", "settings").is_some(), "and may still read its settings");
    let content = condition(&cluster, "dev", "NamespaceContentRemaining").message.unwrap();
    assert!(content.contains("pods. has 1 resource instances"), "{content}");
    // The node says that it has ended, at which the namespace does not wait for a second look.
    cluster.ended("p", "dev").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(cluster.get::<Namespace>("", "dev").is_none());
    assert!(cluster.get::<ConfigMap>("dev", "settings").is_none());
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_cannot_be_deleted_is_told_and_tried_again() {
    let cluster = Cluster::start();
    namespace(&cluster, "dev").await;
    cluster.create::<ConfigMap>(json!({"metadata": {"name": "a", "namespace": "dev"}})).await;
    cluster.settle().await;
    cluster.fake.set_fault(|request| {
        let refused = request.verb == client::Verb::DeleteCollection && request.def.plural == "configmaps";
        refused.then(|| api::Status::internal("no"))
    });
    cluster.delete::<Namespace>("", "dev", None).await;
    cluster.settle().await;
    let failure = condition(&cluster, "dev", "NamespaceDeletionContentFailure");
    assert_eq!((failure.status.as_str(), failure.reason.as_deref()), ("True", Some("ContentDeletionFailed")));
    assert!(failure.message.unwrap().contains("no"));
    assert!(cluster.get::<ServiceAccount>("dev", "default").is_none(), "other kinds are not held back by one");
    cluster.fake.clear_fault();
    cluster.settle().await;
    assert!(cluster.get::<Namespace>("", "dev").is_none());
    cluster.stop().await;
}

/// A kind of another server's, with these verbs.
fn foreign(plural: &str, verbs: &[&str]) -> Foreign {
    let (group_version, scope) = (("wardle.example.com", "v1alpha1"), api::resource::Scope::Namespaced);
    let def = api::custom::foreign_row(group_version, plural, plural, scope).unwrap();
    Foreign { def, verbs: verbs.iter().map(|&verb| verb.to_owned()).collect() }
}

async fn put(cluster: &Cluster, kind: &Foreign, namespace: &str, name: &str) {
    let object = json!({"metadata": {"name": name, "namespace": namespace}}).to_string();
    let request = client::Request::new(client::Verb::Create, kind.def, namespace, "").body(object);
    cluster.client.call(request).await.unwrap();
}

async fn left(cluster: &Cluster, kind: &Foreign) -> Vec<String> {
    let body = cluster.client.call(client::Request::new(client::Verb::List, kind.def, "", "")).await.unwrap();
    let list: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let items = list["items"].as_array().unwrap().iter();
    items.map(|own| format!("{}/{}", own["metadata"]["namespace"], own["metadata"]["name"]).replace('"', "")).collect()
}

#[tokio::test(start_paused = true)]
async fn objects_of_other_servers_go_with_their_namespace_and_it_waits_for_who_is_away() {
    let cluster = Cluster::start();
    let at_once = foreign("flunders", &["create", "delete", "deletecollection", "list"]);
    let one_by_one = foreign("fischers", &["create", "delete", "list"]);
    let for_ever = foreign("rocks", &["create", "list"]);
    let served = |group_version: &str, kinds: Option<Vec<Foreign>>| client::Aggregated {
        group_version: group_version.to_owned(),
        kinds,
    };
    let all = served("wardle.example.com/v1alpha1", Some(vec![at_once.clone(), one_by_one.clone(), for_ever.clone()]));
    cluster.fake.set_aggregated(vec![all.clone(), served("away.example.com/v1", None)]);
    for space in ["dev", "prod"] {
        namespace(&cluster, space).await;
        for kind in [&at_once, &one_by_one, &for_ever] {
            put(&cluster, kind, space, "a").await;
        }
        put(&cluster, &one_by_one, space, "b").await;
    }
    cluster.settle().await;
    cluster.delete::<Namespace>("", "dev", None).await;
    cluster.settle().await;
    let failure = condition(&cluster, "dev", "NamespaceDeletionDiscoveryFailure");
    assert_eq!((failure.status.as_str(), failure.reason.as_deref()), ("True", Some("DiscoveryFailed")));
    assert_eq!(
        failure.message.unwrap(),
        "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: \
         away.example.com/v1: stale GroupVersion discovery: away.example.com/v1"
    );
    assert_eq!(left(&cluster, &at_once).await, ["prod/a"], "who is away keeps nobody else");
    assert_eq!(left(&cluster, &one_by_one).await, ["prod/a", "prod/b"]);
    assert_eq!(left(&cluster, &for_ever).await, ["dev/a", "prod/a"], "it cannot be deleted, so nobody waits for it");
    cluster.fake.set_fault(|request| {
        let refused = request.def.plural == "flunders" && request.verb == client::Verb::List;
        refused.then(|| api::Status::unavailable("service unavailable"))
    });
    cluster.fake.set_aggregated(vec![all]);
    cluster.settle().await;
    assert_eq!(condition(&cluster, "dev", "NamespaceDeletionDiscoveryFailure").status, "False");
    let failure = condition(&cluster, "dev", "NamespaceDeletionContentFailure");
    assert_eq!((failure.status.as_str(), failure.reason.as_deref()), ("True", Some("ContentDeletionFailed")));
    cluster.fake.clear_fault();
    cluster.settle().await;
    assert!(cluster.get::<Namespace>("", "dev").is_none());
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn others_finalizers_of_a_namespace_are_left_to_them() {
    let cluster = Cluster::start();
    namespace(&cluster, "dev").await;
    let request = client::Request::new(client::Verb::Update, &<Namespace as api::Kind>::DEF, "", "dev")
        .subresource(Some(Subresource::Finalize))
        .body(json!({"metadata": {"name": "dev"}, "spec": {"finalizers": ["kubernetes", "mine.io/x"]}}).to_string());
    cluster.client.call(request).await.unwrap();
    cluster.settle().await;
    cluster.delete::<Namespace>("", "dev", None).await;
    cluster.settle().await;
    let left: Namespace = cluster.get("", "dev").unwrap();
    assert_eq!(left.spec.unwrap().finalizers.unwrap(), ["mine.io/x"]);
    cluster.stop().await;
}
