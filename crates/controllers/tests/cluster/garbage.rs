//! Owners and what they own.

use crate::{Cluster, names};
use api::k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, Pod, Secret};
use api::k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use api::k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use api::{Kind, ResourceDef};
use client::{Request, Verb};
use serde_json::{Value, json};

/// A config map owned by others: `(kind, name, uid, blocks)`.
async fn owned(cluster: &Cluster, name: &str, owners: &[(&str, &str, &str, bool)]) -> String {
    owned_in(cluster, "default", name, owners).await
}

async fn owned_in(cluster: &Cluster, namespace: &str, name: &str, owners: &[(&str, &str, &str, bool)]) -> String {
    let owners: Vec<Value> = owners
        .iter()
        .map(|(kind, name, uid, blocks)| {
            json!({"apiVersion": "v1", "kind": kind, "name": name, "uid": uid, "blockOwnerDeletion": blocks})
        })
        .collect();
    let map: ConfigMap =
        cluster.create(json!({"metadata": {"name": name, "namespace": namespace, "ownerReferences": owners}})).await;
    map.metadata.uid.unwrap()
}

fn maps(cluster: &Cluster) -> Vec<String> {
    let mut names = names(&cluster.fake.all::<ConfigMap>());
    names.retain(|name| name != "kube-root-ca.crt");
    names
}

fn owners(cluster: &Cluster, name: &str) -> Vec<String> {
    let map: ConfigMap = cluster.get("default", name).unwrap();
    map.metadata.owner_references.unwrap_or_default().into_iter().map(|owner| owner.name).collect()
}

#[tokio::test(start_paused = true)]
async fn dependents_go_after_their_owner_to_the_last_generation() {
    let cluster = Cluster::start_lagging();
    let root = owned(&cluster, "root", &[]).await;
    for child in 0..20 {
        let uid = owned(&cluster, &format!("child-{child}"), &[("ConfigMap", "root", &root, true)]).await;
        let kind = ("ConfigMap", format!("child-{child}"), uid);
        owned(&cluster, &format!("grandchild-{child}"), &[(kind.0, &kind.1, &kind.2, true)]).await;
    }
    owned(&cluster, "stranger", &[]).await;
    cluster.settle().await;
    assert_eq!(maps(&cluster).len(), 42);
    cluster.delete::<ConfigMap>("default", "root", None).await;
    cluster.settle().await;
    assert_eq!(maps(&cluster), ["stranger"]);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_deleted_in_the_foreground_waits_for_those_that_block_it() {
    let cluster = Cluster::start_lagging();
    let root = owned(&cluster, "root", &[]).await;
    let child = owned(&cluster, "child", &[("ConfigMap", "root", &root, true)]).await;
    owned(&cluster, "grandchild", &[("ConfigMap", "child", &child, true)]).await;
    cluster
        .create::<Secret>(json!({"metadata": {"name": "held", "namespace": "default", "finalizers": ["a.io/b"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "child", "uid": child,
                "blockOwnerDeletion": true}]}}))
        .await;
    cluster
        .create::<Secret>(json!({"metadata": {"name": "free", "namespace": "default", "finalizers": ["a.io/b"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "root", "uid": root}]}}))
        .await;
    cluster.settle().await;
    cluster.delete::<ConfigMap>("default", "root", Some("Foreground")).await;
    cluster.settle().await;
    assert_eq!(maps(&cluster), ["child", "root"], "they wait for the secret, which somebody holds");
    cluster.merge::<Secret>("default", "held", None, json!({"metadata": {"finalizers": null}})).await;
    cluster.settle().await;
    assert_eq!(maps(&cluster), Vec::<String>::new());
    let free: Secret = cluster.get("default", "free").unwrap();
    assert!(free.metadata.deletion_timestamp.is_some(), "one that does not block goes too, in its own time");
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_without_dependents_does_not_wait() {
    let cluster = Cluster::start();
    owned(&cluster, "alone", &[]).await;
    cluster.settle().await;
    cluster.delete::<ConfigMap>("default", "alone", Some("Foreground")).await;
    cluster.settle().await;
    owned(&cluster, "orphaner", &[]).await;
    cluster.delete::<ConfigMap>("default", "orphaner", Some("Orphan")).await;
    cluster.settle().await;
    assert_eq!(maps(&cluster), Vec::<String>::new());
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn orphans_lose_their_owner_and_stay() {
    let cluster = Cluster::start_lagging();
    let (root, other) = (owned(&cluster, "root", &[]).await, owned(&cluster, "other", &[]).await);
    for child in 0..10 {
        let both = [("ConfigMap", "root", root.as_str(), true), ("ConfigMap", "other", other.as_str(), false)];
        owned(&cluster, &format!("child-{child}"), &both).await;
    }
    cluster.settle().await;
    cluster.delete::<ConfigMap>("default", "root", Some("Orphan")).await;
    cluster.settle().await;
    assert_eq!(maps(&cluster).len(), 11);
    assert_eq!(owners(&cluster, "child-3"), ["other"]);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_never_was_is_asked_for_before_anything_is_deleted() {
    let cluster = Cluster::start_lagging();
    let real = owned(&cluster, "real", &[]).await;
    owned(&cluster, "kept", &[("ConfigMap", "real", &real, true)]).await;
    owned(&cluster, "half", &[("ConfigMap", "real", &real, true), ("ConfigMap", "gone", "uid-gone", true)]).await;
    owned(&cluster, "lost", &[("ConfigMap", "gone", "uid-gone", true)]).await;
    owned(&cluster, "renewed", &[("ConfigMap", "real", "uid-of-its-predecessor", true)]).await;
    cluster
        .create::<Secret>(json!({"metadata": {"name": "foreign", "namespace": "default", "ownerReferences": [
            {"apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "uid": "w"}]}}))
        .await;
    cluster.settle().await;
    assert_eq!(maps(&cluster), ["half", "kept", "real"]);
    assert_eq!(owners(&cluster, "half"), ["real"], "the absent one is forgotten");
    assert!(cluster.get::<Secret>("default", "foreign").is_some(), "a kind that is not known may have its owner");
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_is_looked_for_in_the_namespace_of_what_it_owns() {
    let cluster = Cluster::start_lagging();
    cluster.create::<Namespace>(json!({"metadata": {"name": "other"}})).await;
    let uid = owned_in(&cluster, "other", "owner", &[]).await;
    cluster.settle().await;
    owned(&cluster, "astray", &[("ConfigMap", "owner", &uid, true)]).await;
    let node = json!({"metadata": {"name": "n1", "ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}]}});
    cluster.create::<Node>(node).await;
    let node: Node = cluster.create(json!({"metadata": {"name": "n2"}})).await;
    owned(&cluster, "of-node", &[("Node", "n2", node.metadata.uid.as_deref().unwrap(), false)]).await;
    cluster.settle().await;
    assert_eq!(maps(&cluster), ["of-node", "owner"], "an owner elsewhere is none");
    assert!(
        cluster.get::<Node>("", "n1").is_some(),
        "a cluster's object cannot be owned by a namespace's: nothing is done"
    );
    let events = cluster.fake.all::<Event>();
    let mut about: Vec<_> = events
        .iter()
        .filter(|event| event.reason.as_deref() == Some("OwnerRefInvalidNamespace"))
        .map(|event| event.involved_object.name.clone().unwrap())
        .collect();
    about.sort();
    about.dedup();
    assert_eq!(about, ["astray", "n1"]);
    cluster.delete::<Node>("", "n2", None).await;
    cluster.settle().await;
    assert_eq!(maps(&cluster), ["owner"]);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_deletion_is_tried_again() {
    let cluster = Cluster::start();
    let root = owned(&cluster, "root", &[]).await;
    owned(&cluster, "child", &[("ConfigMap", "root", &root, true)]).await;
    cluster.settle().await;
    cluster.fake.set_fault(|request| {
        let refused = request.verb == client::Verb::Delete && request.name == "child";
        refused.then(|| api::Status::new(api::Reason::ServiceUnavailable, "away"))
    });
    cluster.delete::<ConfigMap>("default", "root", None).await;
    cluster.settle().await;
    assert_eq!(maps(&cluster), ["child"]);
    cluster.fake.clear_fault();
    cluster.settle().await;
    assert_eq!(maps(&cluster), Vec::<String>::new());
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_in_its_grace_blocks_until_it_is_gone() {
    let cluster = Cluster::start();
    let root = owned(&cluster, "root", &[]).await;
    cluster.create::<Node>(json!({"metadata": {"name": "n1"}})).await;
    cluster
        .create::<Pod>(json!({"metadata": {"name": "p", "namespace": "default", "ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "root", "uid": root, "blockOwnerDeletion": true}]},
            "spec": {"nodeName": "n1", "containers": []}}))
        .await;
    cluster.settle().await;
    cluster.delete::<ConfigMap>("default", "root", Some("Foreground")).await;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(maps(&cluster), ["root"]);
    assert!(cluster.get::<Pod>("default", "p").unwrap().metadata.deletion_timestamp.is_some());
    cluster.ended("p", "default").await;
    cluster.settle().await;
    assert_eq!(maps(&cluster), Vec::<String>::new());
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn two_that_own_each_other_do_not_wait_for_ever() {
    let cluster = Cluster::start_lagging();
    let one = owned(&cluster, "one", &[]).await;
    let two = owned(&cluster, "two", &[("ConfigMap", "one", &one, true)]).await;
    let owner =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "two", "uid": two, "blockOwnerDeletion": true}]);
    cluster.merge::<ConfigMap>("default", "one", None, json!({"metadata": {"ownerReferences": owner}})).await;
    cluster.settle().await;
    assert_eq!(maps(&cluster), ["one", "two"]);
    cluster.delete::<ConfigMap>("default", "one", Some("Foreground")).await;
    cluster.settle().await;
    assert_eq!(maps(&cluster), Vec::<String>::new());
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_dependents_cost_a_look_and_a_delete_each() {
    let cluster = Cluster::start();
    let root = owned(&cluster, "root", &[]).await;
    for child in 0..1000 {
        owned(&cluster, &format!("child-{child}"), &[("ConfigMap", "root", &root, true)]).await;
    }
    cluster.settle().await;
    assert!(cluster.fake.calls("get configmaps") <= 16, "an owner is asked for once, or once by each worker");
    let before = cluster.fake.calls("get configmaps");
    cluster.delete::<ConfigMap>("default", "root", None).await;
    cluster.settle().await;
    assert_eq!(maps(&cluster), Vec::<String>::new());
    assert_eq!(cluster.fake.calls("delete configmaps"), 1001);
    assert_eq!(cluster.fake.calls("get configmaps") - before, 1000);
    cluster.stop().await;
}

/// The row of a kind that a definition adds.
async fn define(cluster: &Cluster, plural: &str, kind: &str, scope: &str) -> &'static ResourceDef {
    let definition: CustomResourceDefinition = cluster
        .create(json!({"metadata": {"name": format!("{plural}.example.com")}, "spec": {"group": "example.com",
            "scope": scope, "names": {"plural": plural, "singular": plural, "kind": kind},
            "versions": [{"name": "v1", "served": true, "storage": true}]}}))
        .await;
    let established = json!({"status": {"conditions": [{"type": "Established", "status": "True"}]}});
    let name = definition.metadata.name.clone().unwrap();
    cluster.merge::<CustomResourceDefinition>("", &name, Some(api::Subresource::Status), established).await;
    api::custom::row_of(&definition).unwrap().unwrap()
}

/// Creates an object of any kind; its uid.
async fn make(
    cluster: &Cluster,
    def: &'static ResourceDef,
    name: &str,
    owner: Option<(&ResourceDef, &str, &str)>,
) -> String {
    let owners: Vec<Value> = owner
        .iter()
        .map(|(def, name, uid)| {
            json!({"apiVersion": def.api_version(), "kind": def.kind, "name": name, "uid": uid, "blockOwnerDeletion": true})
        })
        .collect();
    let namespace = if def.namespaced() { "default" } else { "" };
    let body = json!({"metadata": {"name": name, "namespace": namespace, "ownerReferences": owners}});
    let request = Request::new(Verb::Create, def, namespace, "").body(serde_json::to_vec(&body).unwrap());
    let made: Value = serde_json::from_slice(&cluster.client.call(request).await.unwrap()).unwrap();
    made["metadata"]["uid"].as_str().unwrap().to_owned()
}

async fn there(cluster: &Cluster, def: &'static ResourceDef) -> Vec<String> {
    let request = Request::new(Verb::List, def, "", "");
    let listed: Value = serde_json::from_slice(&cluster.client.call(request).await.unwrap()).unwrap();
    let items = listed["items"].as_array().unwrap();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

async fn remove(cluster: &Cluster, def: &'static ResourceDef, name: &str, propagation: &str) {
    let namespace = if def.namespaced() { "default" } else { "" };
    let body = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation});
    let request = Request::new(Verb::Delete, def, namespace, name).body(serde_json::to_vec(&body).unwrap());
    cluster.client.call(request).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn kinds_that_users_add_own_and_are_owned() {
    let cluster = Cluster::start_lagging();
    let widgets = define(&cluster, "widgets", "Widget", "Namespaced").await;
    let gadgets = define(&cluster, "gadgets", "Gadget", "Cluster").await;
    let gadget = make(&cluster, gadgets, "root", None).await;
    let widget = make(&cluster, widgets, "child", Some((gadgets, "root", &gadget))).await;
    let map = make(&cluster, &ConfigMap::DEF, "grandchild", Some((widgets, "child", &widget))).await;
    make(&cluster, widgets, "last", Some((&ConfigMap::DEF, "grandchild", &map))).await;
    make(&cluster, widgets, "stranger", None).await;
    cluster.settle().await;
    assert_eq!(there(&cluster, widgets).await, ["child", "last", "stranger"]);
    remove(&cluster, gadgets, "root", "Foreground").await;
    cluster.settle().await;
    assert_eq!(there(&cluster, gadgets).await, Vec::<String>::new());
    assert_eq!(there(&cluster, widgets).await, ["stranger"]);
    assert_eq!(maps(&cluster), Vec::<String>::new());
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_orphaned_object_of_an_added_kind_forgets_its_owner_and_one_of_an_unknown_kind_keeps_it() {
    let cluster = Cluster::start_lagging();
    let widgets = define(&cluster, "widgets", "Widget", "Namespaced").await;
    let root = make(&cluster, widgets, "root", None).await;
    make(&cluster, widgets, "child", Some((widgets, "root", &root))).await;
    let unknown = ResourceDef { group: "other.example.com", kind: "Thing", ..*widgets };
    make(&cluster, &ConfigMap::DEF, "kept", Some((&unknown, "thing", "u-1"))).await;
    remove(&cluster, widgets, "root", "Orphan").await;
    cluster.settle().await;
    assert_eq!(there(&cluster, widgets).await, ["child"]);
    assert_eq!(maps(&cluster), ["kept"]);
    remove(&cluster, widgets, "child", "Foreground").await;
    cluster.settle().await;
    assert_eq!(there(&cluster, widgets).await, Vec::<String>::new(), "it waited for nobody");
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_kind_owned_goes_with_the_kind() {
    let cluster = Cluster::start_lagging();
    // Known as an owner's kind before the kind itself is.
    let widgets = api::custom::row_of(
        &serde_json::from_value::<CustomResourceDefinition>(json!({"metadata": {"name": "widgets.example.com"},
            "spec": {"group": "example.com", "scope": "Namespaced",
                "names": {"plural": "widgets", "singular": "widgets", "kind": "Widget"},
                "versions": [{"name": "v1", "served": true, "storage": true}]}}))
        .unwrap(),
    );
    let widgets = widgets.unwrap().unwrap();
    make(&cluster, &ConfigMap::DEF, "early", Some((widgets, "never", "u-never"))).await;
    cluster.settle().await;
    assert_eq!(maps(&cluster), ["early"], "its owner's kind is not known");
    define(&cluster, "widgets", "Widget", "Namespaced").await;
    let widget = make(&cluster, widgets, "w", None).await;
    make(&cluster, &ConfigMap::DEF, "owned", Some((widgets, "w", &widget))).await;
    cluster.settle().await;
    assert_eq!(maps(&cluster), ["owned"], "now it is certain that the other's owner is not there");
    remove(&cluster, widgets, "w", "Background").await;
    cluster.delete::<CustomResourceDefinition>("", "widgets.example.com", None).await;
    cluster.settle().await;
    assert_eq!(maps(&cluster), Vec::<String>::new());
    cluster.stop().await;
}

/// A kind of another server's.
fn foreign(plural: &str, kind: &str, verbs: &[&str]) -> client::Foreign {
    let scope = api::resource::Scope::Namespaced;
    let def = api::custom::foreign_row(("wardle.example.com", "v1alpha1"), kind, plural, scope).unwrap();
    client::Foreign { def, verbs: verbs.iter().map(|&verb| verb.to_owned()).collect() }
}

fn wardle(kinds: Option<Vec<client::Foreign>>) -> Vec<client::Aggregated> {
    vec![client::Aggregated { group_version: "wardle.example.com/v1alpha1".to_owned(), kinds }]
}

#[tokio::test(start_paused = true)]
async fn kinds_of_other_servers_own_and_are_owned() {
    let cluster = Cluster::start_lagging();
    let flunders = foreign("flunders", "Flunder", &["create", "delete", "get", "list", "patch", "watch"]);
    let unwatched = foreign("rocks", "Rock", &["create", "delete", "list"]);
    cluster.fake.set_aggregated(wardle(Some(vec![flunders.clone(), unwatched.clone()])));
    let service = json!({"metadata": {"name": "v1alpha1.wardle.example.com"}, "spec": {"group": "wardle.example.com",
        "version": "v1alpha1", "groupPriorityMinimum": 1000, "versionPriority": 15}});
    cluster.create::<APIService>(service).await;
    let (flunders, rocks) = (flunders.def, unwatched.def);
    let root = make(&cluster, &ConfigMap::DEF, "root", None).await;
    let flunder = make(&cluster, flunders, "child", Some((&ConfigMap::DEF, "root", &root))).await;
    make(&cluster, &ConfigMap::DEF, "grandchild", Some((flunders, "child", &flunder))).await;
    make(&cluster, &ConfigMap::DEF, "of-a-rock", Some((rocks, "rock", "u-1"))).await;
    make(&cluster, flunders, "stranger", None).await;
    cluster.settle().await;
    assert_eq!(maps(&cluster), ["grandchild", "of-a-rock", "root"]);
    remove(&cluster, &ConfigMap::DEF, "root", "Foreground").await;
    cluster.settle().await;
    assert_eq!(there(&cluster, flunders).await, ["stranger"]);
    assert_eq!(maps(&cluster), ["of-a-rock"], "whether there is such a rock nobody can follow");
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_a_server_that_is_away_nothing_is_concluded() {
    let cluster = Cluster::start_lagging();
    let flunders = foreign("flunders", "Flunder", &["create", "delete", "get", "list", "patch", "watch"]);
    let all = wardle(Some(vec![flunders.clone()]));
    cluster.fake.set_aggregated(all.clone());
    let service = json!({"metadata": {"name": "v1alpha1.wardle.example.com"}, "spec": {"group": "wardle.example.com",
        "version": "v1alpha1", "groupPriorityMinimum": 1000, "versionPriority": 15}});
    cluster.create::<APIService>(service).await;
    cluster.settle().await;
    cluster.fake.set_aggregated(wardle(None));
    cluster.fake.set_fault(|request| {
        (request.def.plural == "flunders").then(|| api::Status::unavailable("service unavailable"))
    });
    cluster.settle().await;
    make(&cluster, &ConfigMap::DEF, "kept", Some((flunders.def, "gone", "u-1"))).await;
    cluster.settle().await;
    assert_eq!(maps(&cluster), ["kept"], "its owner may be there");
    // Its APIService is away as well: a kind that nobody serves.
    cluster.fake.set_aggregated(Vec::new());
    cluster.settle().await;
    assert_eq!(maps(&cluster), ["kept"]);
    cluster.fake.clear_fault();
    cluster.fake.set_aggregated(all);
    cluster
        .merge::<APIService>("", "v1alpha1.wardle.example.com", None, json!({"metadata": {"labels": {"a": "b"}}}))
        .await;
    cluster.settle().await;
    assert_eq!(maps(&cluster), Vec::<String>::new(), "asked, its server says that there is none");
    cluster.stop().await;
}
