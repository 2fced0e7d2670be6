//! Kinds that come and go while the registry runs.

use crate::open::Kept;
use api::custom::{Definition, Lease, Schemas};
use api::selector::{FieldSelector, Selector};
use api::{Registered, Status};
use async_trait::async_trait;
use bytes::Bytes;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use registry::{
    Converter, Entry, EventType, FieldValidation, ListQuery, Part, Patch, PatchKind, ReadVersion, Resource, Selection,
    Start, Step,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn lease(version: &str) -> Lease {
    let version = json!({"name": version, "served": true, "storage": true});
    let definition: CustomResourceDefinition = serde_json::from_value(json!({
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "versions": [version],
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"}},
    }))
    .unwrap();
    leases(&definition).remove(0)
}

/// Of each version.
fn leases(definition: &CustomResourceDefinition) -> Vec<Lease> {
    let versions = &definition.spec.versions;
    let schemas = Schemas::of(versions).unwrap();
    let compiled = versions.iter().map(|version| Definition::of(definition, version, &schemas, None).unwrap());
    compiled.map(|definition| Lease::new(Arc::new(definition)).unwrap()).collect()
}

async fn install(kept: &Kept, lease: &Lease) -> Arc<Resource> {
    kept.registry.install(lease.kind(), &[], None).await.unwrap();
    kept.registry.resource(lease.kind().def()).unwrap()
}

async fn create(kept: &Kept, resource: &Resource, name: &str) {
    let object = resource.kind.from_value(json!({"metadata": {"name": name}, "spec": {"a": 1}})).unwrap();
    kept.registry.create(resource, &kept.write(), "default", object).await.unwrap();
}

#[tokio::test]
async fn a_kind_that_comes_back_has_its_objects() {
    let kept = Kept::new().await;
    let lease = lease("v1");
    let resource = install(&kept, &lease).await;
    create(&kept, &resource, "a").await;
    let mut watch = kept.registry.watch(&resource, Selection::all(""), Start::Now).await.unwrap();
    kept.registry.uninstall("example.com", "widgets").await;
    assert!(kept.registry.find("example.com", "v1", "widgets").is_none());
    watch.changed().await;
    assert!(watch.try_next().is_err(), "the watch of a kind that is gone ends");

    let resource = install(&kept, &lease).await;
    let read = resource.get("default", "a").unwrap();
    assert!(read.value().starts_with(br#"{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"#));
    let mut watch = kept.registry.watch(&resource, Selection::all(""), Start::Now).await.unwrap();
    create(&kept, &resource, "b").await;
    let Some(Step::Events(events)) = watch.try_next().unwrap() else { panic!("no event") };
    assert_eq!(events.len(), 1);
    assert!(watch.try_next().unwrap().is_none());
}

#[tokio::test]
async fn a_kind_that_changes_keeps_its_objects_and_watches() {
    let kept = Kept::new().await;
    let (first, second) = (lease("v1"), lease("v2"));
    let old = install(&kept, &first).await;
    create(&kept, &old, "a").await;
    let mut watch = kept.registry.watch(&old, Selection::all(""), Start::Now).await.unwrap();
    let new = install(&kept, &second).await;
    assert!(kept.registry.find("example.com", "v1", "widgets").is_none());
    assert!(new.get("default", "a").is_some());
    create(&kept, &new, "b").await;
    let Some(Step::Events(events)) = watch.try_next().unwrap() else { panic!("no event") };
    assert_eq!(events.len(), 1);
}

/// One version whose spec has these properties.
fn lease_of(properties: Value) -> Lease {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}});
    let version = json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
    let definition = json!({"metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "versions": [version],
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"}}});
    leases(&serde_json::from_value(definition).unwrap()).remove(0)
}

async fn read(kept: &Kept, resource: &Resource) -> (Value, String) {
    let entry = kept.registry.get(resource, "default", "a", ReadVersion::Latest).await.unwrap();
    let object: Value = serde_json::from_slice(&entry.json()).unwrap();
    (object["spec"].clone(), object["metadata"]["resourceVersion"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_is_stored_is_read_as_the_kind_is_now() {
    let kept = Kept::new().await;
    let integer = || json!({"type": "integer"});
    let first = lease_of(json!({"a": integer(), "b": integer()}));
    let old = install(&kept, &first).await;
    let object = old.kind.from_value(json!({"metadata": {"name": "a"}, "spec": {"a": 1, "b": 2}})).unwrap();
    kept.registry.create(&old, &kept.write(), "default", object).await.unwrap();
    let (spec, version) = read(&kept, &old).await;
    assert_eq!(spec, json!({"a": 1, "b": 2}));
    let mut watch = kept.registry.watch(&old, Selection::all(""), Start::Now).await.unwrap();

    let second = lease_of(json!({"a": integer(), "c": {"type": "string", "default": "d"}}));
    let new = install(&kept, &second).await;
    assert_eq!(read(&kept, &new).await, (json!({"a": 1, "c": "d"}), version.clone()));
    assert!(watch.try_next().is_err(), "who watches has not been told: it begins anew");
    let third = lease_of(json!({"a": integer(), "b": integer()}));
    let back = install(&kept, &third).await;
    assert_eq!(read(&kept, &back).await, (json!({"a": 1, "b": 2}), version.clone()), "reading writes nothing");

    let again = install(&kept, &second).await;
    let mut change = |current: &registry::Current<'_>| Ok(current.object.boxed());
    let write = kept.write();
    let written = kept.registry.update(&again, &write, Part::Object, "default", "a", &mut change).await.unwrap();
    assert_ne!(written.entry.revision.to_string(), version, "a write that changes nothing stores what is read");
    let last = written.entry.revision;
    let mut change = |current: &registry::Current<'_>| Ok(current.object.boxed());
    let written = kept.registry.update(&again, &write, Part::Object, "default", "a", &mut change).await.unwrap();
    assert_eq!(written.entry.revision, last);
}

/// Adds one to what versions call `a` and `b`; says no to anything negative.
struct Adder {
    asked: AtomicUsize,
}

#[async_trait]
impl Converter for Adder {
    async fn convert(&self, objects: &[Bytes], version: &str) -> Result<Vec<Bytes>, Status> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let convert = |object: &Bytes| {
            let mut object: Value = serde_json::from_slice(object).map_err(Status::internal)?;
            let (from, to, by) = if version == "v2" { ("a", "b", 1) } else { ("b", "a", -1) };
            let number = object["spec"][from].as_i64().ok_or_else(|| Status::internal("nothing to add to"))?;
            if number < 0 {
                return Err(Status::internal("negative"));
            }
            object["apiVersion"] = json!(format!("example.com/{version}"));
            object["spec"] = json!({to: number + by});
            object["metadata"]["labels"] = json!({"number": (number + by).to_string()});
            serde_json::to_vec(&object).map(Bytes::from).map_err(Status::internal)
        };
        objects.iter().map(convert).collect()
    }
}

fn two_versions(stored: &str, stored_versions: &[&str]) -> Vec<Lease> {
    let version = |name: &str, field: &str| {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object",
            "properties": {field: {"type": "integer"}}}}});
        json!({"name": name, "served": true, "storage": name == stored, "schema": {"openAPIV3Schema": schema},
            "selectableFields": [{"jsonPath": format!(".spec.{field}")}]})
    };
    let definition = json!({"metadata": {"name": "widgets.example.com"}, "status": {"storedVersions": stored_versions},
        "spec": {"group": "example.com", "scope": "Namespaced", "versions": [version("v1", "a"), version("v2", "b")],
            "conversion": {"strategy": "Webhook"},
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"}}});
    let mut leases = leases(&serde_json::from_value(definition).unwrap());
    leases.sort_by_key(|lease| lease.kind().def().version != stored);
    leases
}

fn spec_of(entry: &Entry) -> Value {
    serde_json::from_slice::<Value>(entry.value()).unwrap()["spec"].clone()
}

#[tokio::test]
async fn objects_are_shown_and_written_in_the_version_that_is_asked_for() {
    let kept = Kept::new().await;
    let adder = Arc::new(Adder { asked: AtomicUsize::new(0) });
    let both = two_versions("v1", &["v1"]);
    kept.registry.install(both[0].kind(), &[both[1].kind()], Some(adder.clone())).await.unwrap();
    let (first, second) = (
        kept.registry.find("example.com", "v1", "widgets").unwrap(),
        kept.registry.find("example.com", "v2", "widgets").unwrap(),
    );
    let selected = |value: &str| {
        let fields = FieldSelector::parse(&format!("spec.b={value}")).unwrap();
        ListQuery::all(Selection::new("default", "", Selector::default(), fields))
    };
    let mut watch = kept.registry.watch(&second, selected("6").selection, Start::Now).await.unwrap();

    let object = first.kind.from_value(json!({"metadata": {"name": "a"}, "spec": {"a": 1}})).unwrap();
    kept.registry.create(&first, &kept.write(), "default", object).await.unwrap();
    assert_eq!(adder.asked.load(Ordering::SeqCst), 0, "the stored version needs nobody");
    let object = second.kind.from_value(json!({"metadata": {"name": "b"}, "spec": {"b": 6}})).unwrap();
    let written = kept.registry.create(&second, &kept.write(), "default", object).await.unwrap();
    assert_eq!(spec_of(&written.entry), json!({"b": 6}));
    assert_eq!(spec_of(&first.get("default", "b").unwrap()), json!({"a": 5}));

    let asked = adder.asked.load(Ordering::SeqCst);
    let listed = kept.registry.list(&second, &ListQuery::all(Selection::all(""))).await.unwrap();
    assert_eq!(
        listed.entries.iter().map(|entry| spec_of(entry)).collect::<Vec<_>>(),
        [json!({"b": 2}), json!({"b": 6})]
    );
    let listed = kept.registry.list(&second, &selected("2")).await.unwrap();
    assert_eq!(listed.entries.len(), 1);
    assert_eq!(adder.asked.load(Ordering::SeqCst), asked + 1, "what was converted is remembered");

    let Some(Step::Events(events)) = watch.try_next_shown().await.unwrap() else { panic!("no event") };
    assert_eq!((events.len(), events[0].0), (1, EventType::Added));
    assert_eq!(spec_of(events[0].1.entry(EventType::Added)), json!({"b": 6}));
    let patch = Patch {
        kind: PatchKind::Merge,
        body: Bytes::from_static(br#"{"spec":{"b":7}}"#),
        validation: FieldValidation::Strict,
    };
    let write = kept.write();
    let patched = kept.registry.patch(&second, &write, Part::Object, "default", "b", &patch, None).await.unwrap();
    assert_eq!(spec_of(&patched.entry), json!({"b": 7}));
    assert_eq!(spec_of(&first.get("default", "b").unwrap()), json!({"a": 6}));
    let Some(Step::Events(events)) = watch.try_next_shown().await.unwrap() else { panic!("no event") };
    assert_eq!(events[0].0, EventType::Deleted, "it is selected no more");

    let refused = second.kind.from_value(json!({"metadata": {"name": "c"}, "spec": {"b": -1}})).unwrap();
    let refused = kept.registry.create(&second, &kept.write(), "default", refused).await.unwrap_err();
    assert!(refused.message.contains("negative"), "{}", refused.message);
    let poison = first.kind.from_value(json!({"metadata": {"name": "c"}, "spec": {"a": -1}})).unwrap();
    kept.registry.create(&first, &kept.write(), "default", poison).await.unwrap();
    kept.registry.list(&second, &ListQuery::all(Selection::all(""))).await.unwrap_err();
    watch.try_next_shown().await.unwrap_err();
}

#[tokio::test]
async fn objects_of_an_earlier_stored_version_are_converted_and_migrated_by_a_write() {
    let kept = Kept::new().await;
    let adder = Arc::new(Adder { asked: AtomicUsize::new(0) });
    let before = two_versions("v1", &["v1"]);
    kept.registry.install(before[0].kind(), &[before[1].kind()], Some(adder.clone())).await.unwrap();
    let first = kept.registry.find("example.com", "v1", "widgets").unwrap();
    let object = first.kind.from_value(json!({"metadata": {"name": "a"}, "spec": {"a": 1}})).unwrap();
    kept.registry.create(&first, &kept.write(), "default", object).await.unwrap();
    let after = two_versions("v2", &["v1", "v2"]);
    kept.registry.install(after[0].kind(), &[after[1].kind()], Some(adder.clone())).await.unwrap();
    let second = kept.registry.find("example.com", "v2", "widgets").unwrap();
    assert_eq!(spec_of(&second.get("default", "a").unwrap()), json!({"a": 1}));
    let shown = kept.registry.get(&second, "default", "a", ReadVersion::Latest).await.unwrap();
    assert_eq!(spec_of(&shown), json!({"b": 2}));
    let mut change = |current: &registry::Current<'_>| Ok(current.object.boxed());
    let write = kept.write();
    kept.registry.update(&second, &write, Part::Object, "default", "a", &mut change).await.unwrap();
    let stored = second.get("default", "a").unwrap();
    assert_eq!(spec_of(&stored), json!({"b": 2}));
    assert!(stored.value().starts_with(br#"{"apiVersion":"example.com/v2""#));
    let first = kept.registry.find("example.com", "v1", "widgets").unwrap();
    let shown = kept.registry.get(&first, "default", "a", ReadVersion::Latest).await.unwrap();
    assert_eq!(spec_of(&shown), json!({"a": 1}));
}
