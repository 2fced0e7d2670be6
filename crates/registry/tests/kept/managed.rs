//! The books of who manages what, through every write.

use crate::open::{Kept, json_of, pod};
use api::{Object, Status};
use async_trait::async_trait;
use registry::{Admission, Apply, Attempt, Claim, Part, Write};
use serde_json::{Value, json};

/// Labels everything.
struct Labelling;

#[async_trait]
impl Admission for Labelling {
    async fn mutate(
        &self,
        _: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        _: Option<&dyn Object>,
    ) -> Result<(), Status> {
        object.meta_mut().labels.get_or_insert_default().insert("admitted".to_owned(), "yes".to_owned());
        Ok(())
    }
    async fn validate(
        &self,
        _: &Attempt<'_>,
        _: Option<&dyn Object>,
        _: Option<&dyn Object>,
    ) -> Result<Vec<Claim>, Status> {
        Ok(Vec::new())
    }
}

fn books(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| format!("{} {}", entry["manager"].as_str().unwrap(), entry["fieldsV1"])).collect()
}

async fn apply(kept: &Kept, write: &Write<'_>, intent: Value) -> Result<Value, Status> {
    let apply = Apply { intent, force: false, may_create: &|| Ok(()), pick: None };
    kept.registry.apply(&kept.maps, write, Part::Object, "ns", "m", &apply).await.map(|written| json_of(&written))
}

#[tokio::test]
async fn what_admission_adds_is_nobodys() {
    let kept = Kept::new().await;
    let write = Write { admission: &Labelling, ..kept.write() };
    let object = kept.maps.kind.from_value(json!({"metadata": {"name": "m"}, "data": {"a": "1"}})).unwrap();
    let created = json_of(&kept.registry.create(&kept.maps, &write, "ns", object).await.unwrap());
    assert_eq!(created["metadata"]["labels"]["admitted"], "yes");
    assert_eq!(books(&created), [r#"test {"f:data":{".":{},"f:a":{}}}"#]);
    let intent =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "labels": {"admitted": "no"}}});
    let applied = apply(&kept, &kept.write(), intent).await.unwrap();
    assert_eq!(applied["metadata"]["labels"]["admitted"], "no", "no conflict: nobody manages it");
}

#[tokio::test]
async fn a_write_without_a_manager_leaves_the_books() {
    let kept = Kept::new().await;
    let created = json_of(&kept.map("m", "1").await);
    let write = Write { manager: None, ..kept.write() };
    let mut change = |current: &registry::Current<'_>| {
        let mut object = current.object.boxed();
        object.meta_mut().labels.get_or_insert_default().insert("app".to_owned(), "2".to_owned());
        Ok(object)
    };
    let update = kept.registry.update(&kept.maps, &write, Part::Object, "ns", "m", &mut change);
    assert_eq!(books(&json_of(&update.await.unwrap())), books(&created));
}

#[tokio::test]
async fn books_outlive_marks_of_deletion_and_restarts() {
    let kept = Kept::new().await;
    let created = json_of(&kept.create(&kept.pods, pod("p", Some("n"))).await.unwrap());
    assert_eq!(books(&created).len(), 1);
    kept.delete(&kept.pods, "p").await.unwrap();
    let read = |kept: &Kept| -> Value { serde_json::from_slice(&kept.pods.get("ns", "p").unwrap().json()).unwrap() };
    assert!(read(&kept)["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(books(&read(&kept)), books(&created));
    let kept = kept.restart().await;
    assert_eq!(books(&read(&kept)), books(&created));
    let entry = kept.pods.get("ns", "p").unwrap();
    let unmanaged: Value = serde_json::from_slice(&entry.unmanaged_json()).unwrap();
    let mut whole = read(&kept);
    whole["metadata"].as_object_mut().unwrap().remove("managedFields");
    assert_eq!(unmanaged, whole);
    assert!(entry.decode(kept.pods.kind).unwrap().meta().managed_fields.is_none());
}

#[tokio::test]
async fn an_apply_that_only_tells_the_time_is_not_written() {
    let kept = Kept::new().await;
    let write = kept.write();
    let intent = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "1"}});
    let first = apply(&kept, &write, intent.clone()).await.unwrap();
    assert_eq!(apply(&kept, &write, intent.clone()).await.unwrap(), first);
    // Times that a client makes up are not worth a write either.
    let mut fields = first["metadata"]["managedFields"].clone();
    fields[0]["time"] = json!("2020-01-01T00:00:00Z");
    let patch = json!({"metadata": {"managedFields": fields}});
    let patched = kept.patch(&kept.maps, "m", patch).await.unwrap();
    assert_eq!(json_of(&patched), first);
    let refused = Apply { intent, force: false, may_create: &|| Err(Status::unauthorized()), pick: None };
    let absent = kept.registry.apply(&kept.maps, &write, Part::Object, "ns", "other", &refused);
    assert_eq!(absent.await.unwrap_err().code, 401);
}
