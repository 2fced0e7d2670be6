//! Kinds that come and go while the registry runs.

use crate::open::Kept;
use api::Registered;
use api::custom::{Definition, Lease};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use registry::{Resource, Selection, Start, Step};
use serde_json::json;
use std::sync::Arc;

fn lease(version: &str) -> Lease {
    let version = json!({"name": version, "served": true, "storage": true});
    let definition: CustomResourceDefinition = serde_json::from_value(json!({
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "versions": [version],
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"}},
    }))
    .unwrap();
    Lease::new(Arc::new(Definition::of(&definition, &definition.spec.versions[0], None).unwrap())).unwrap()
}

async fn install(kept: &Kept, lease: &Lease) -> Arc<Resource> {
    kept.registry.install(lease.kind(), &[]).await.unwrap();
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
