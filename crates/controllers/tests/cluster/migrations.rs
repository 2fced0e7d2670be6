//! Storage migrations.

use crate::Cluster;
use api::k8s_openapi::api::core::v1::ConfigMap;
use api::k8s_openapi::api::storagemigration::v1::StorageVersionMigration;
use api::k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use api::{Reason, Status};
use client::{PatchType, Verb};
use serde_json::{Value, json};

async fn migrate(cluster: &Cluster, name: &str, resource: &str, group: &str) {
    let spec = json!({"resource": {"resource": resource, "group": group}});
    cluster.create::<StorageVersionMigration>(json!({"metadata": {"name": name}, "spec": spec})).await;
}

/// Type, reason and message of what holds.
fn conditions(cluster: &Cluster, name: &str) -> Vec<(String, String, String)> {
    let migration = cluster.get::<StorageVersionMigration>("", name).unwrap();
    let conditions = migration.status.and_then(|status| status.conditions).unwrap_or_default();
    let holding = conditions.into_iter().filter(|condition| condition.status == "True");
    holding.map(|own| (own.type_, own.reason, own.message)).collect()
}

fn of(kind: &str, reason: &str, message: &str) -> Vec<(String, String, String)> {
    vec![(kind.to_owned(), reason.to_owned(), message.to_owned())]
}

async fn maps(cluster: &Cluster) {
    for name in ["a", "b", "c"] {
        cluster.create::<ConfigMap>(json!({"metadata": {"name": name, "namespace": "default"}})).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_object_is_written_again_once() {
    let cluster = Cluster::start_lagging();
    maps(&cluster).await;
    migrate(&cluster, "first", "configmaps", "").await;
    migrate(&cluster, "second", "configmaps", "").await;
    cluster.settle().await;
    for name in ["first", "second"] {
        assert_eq!(conditions(&cluster, name), of("Succeeded", "StorageVersionMigrationSucceeded", ""));
    }
    assert_eq!(cluster.fake.calls("patch configmaps"), 6, "once for each migration");
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again_and_what_does_not_fails() {
    let cluster = Cluster::start();
    maps(&cluster).await;
    let refuse = |status: Status| {
        cluster.fake.set_fault(move |request| {
            let is_write = request.verb == Verb::Patch(PatchType::Merge) && request.name == "b";
            is_write.then(|| status.clone())
        });
    };
    refuse(Status::unavailable("away"));
    migrate(&cluster, "m", "configmaps", "").await;
    cluster.settle().await;
    assert_eq!(conditions(&cluster, "m"), of("Running", "MigrationRunning", "The migration is running"));
    refuse(Status::new(Reason::Conflict, "changed"));
    cluster.settle().await;
    assert_eq!(conditions(&cluster, "m")[0].0, "Succeeded", "what changed meanwhile is stored anew already");
    refuse(Status::new(Reason::Invalid, "no good"));
    migrate(&cluster, "bad", "configmaps", "").await;
    cluster.settle().await;
    let says = "migration encountered unhandled error: no good";
    assert_eq!(conditions(&cluster, "bad"), of("Failed", "StorageVersionMigrationFailed", says));
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_definition_forgets_the_versions_that_nothing_is_stored_in() {
    let cluster = Cluster::start();
    let version = |name: &str, storage: bool| json!({"name": name, "served": true, "storage": storage});
    let definition = json!({"metadata": {"name": "widgets.example.com"}, "spec": {"group": "example.com",
        "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget", "singular": "widget"},
        "versions": [version("v1", false), version("v2", true)]}});
    cluster.create::<CustomResourceDefinition>(definition).await;
    let stored =
        json!({"status": {"storedVersions": ["v1", "v2"], "acceptedNames": {"plural": "widgets", "kind": "Widget"}}});
    cluster.merge::<CustomResourceDefinition>("", "widgets.example.com", Some(api::Subresource::Status), stored).await;
    migrate(&cluster, "m", "widgets", "example.com").await;
    cluster.settle().await;
    assert_eq!(conditions(&cluster, "m")[0].0, "Succeeded");
    let definition = cluster.get::<CustomResourceDefinition>("", "widgets.example.com").unwrap();
    let status: Value = serde_json::to_value(definition.status.unwrap()).unwrap();
    assert_eq!(status["storedVersions"], json!(["v2"]));
    let condition = &status["conditions"][0];
    assert_eq!((&condition["type"], &condition["status"]), (&json!("StorageMigrating"), &json!("False")));
    assert_eq!(condition["message"], "The migration has succeeded and the stored versions have been updated");
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_does_not_come_is_not_waited_for_for_ever() {
    let cluster = Cluster::start();
    migrate(&cluster, "m", "nothings", "example.com").await;
    cluster.settle().await;
    cluster.settle().await;
    let says = "migration encountered unhandled error: unable to obtain GVR from discovery";
    assert_eq!(conditions(&cluster, "m"), of("Failed", "StorageVersionMigrationFailed", says));
    cluster.stop().await;
}
