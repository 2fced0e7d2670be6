//! Creating and changing.

use crate::open::{Kept, json_of, pod};
use api::Reason;
use registry::{FieldValidation, Part, Patch, PatchKind, ReadVersion, Write};
use serde_json::json;
use std::sync::Arc;

#[tokio::test]
async fn metadata_is_the_servers() {
    let kept = Kept::new().await;
    let body = json!({"metadata": {"name": "a", "uid": "mine", "generation": 7, "selfLink": "/x",
        "creationTimestamp": "2020-01-01T00:00:00Z", "deletionTimestamp": "2020-01-01T00:00:00Z"}});
    let created = json_of(&kept.create(&kept.maps, body).await.unwrap());
    assert_eq!(
        created,
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "ns",
            "uid": created["metadata"]["uid"], "creationTimestamp": "2001-09-09T01:46:40Z", "resourceVersion": "1"}})
    );
    assert_ne!(created["metadata"]["uid"], "mine");
    let forged = json!({"metadata": {"uid": "other", "creationTimestamp": "2020-01-01T00:00:00Z"}});
    let status = kept.patch(&kept.maps, "a", forged).await.unwrap_err();
    assert_eq!(status.reason, Reason::Conflict);
    assert!(status.message.contains("Precondition failed: UID in precondition: other, UID in object meta: "));
    let aged = json!({"metadata": {"creationTimestamp": "2020-01-01T00:00:00Z"}});
    let status = kept.patch(&kept.maps, "a", aged).await.unwrap_err();
    assert_eq!(status.code, 422, "{status}");
    let versioned = kept.create(&kept.maps, json!({"metadata": {"name": "b", "resourceVersion": "5"}})).await;
    assert_eq!(versioned.unwrap_err().message, "resourceVersion should not be set on objects to be created");
}

#[tokio::test]
async fn generation_follows_the_spec() {
    let kept = Kept::new().await;
    let created = json_of(&kept.create(&kept.pods, pod("p", None)).await.unwrap());
    assert_eq!(created["metadata"]["generation"], 1);
    let labelled = kept.patch(&kept.pods, "p", json!({"metadata": {"labels": {"a": "b"}}})).await.unwrap();
    assert_eq!(json_of(&labelled)["metadata"]["generation"], 1);
    let image = json!({"spec": {"containers": [{"name": "c", "image": "j"}]}});
    assert_eq!(json_of(&kept.patch(&kept.pods, "p", image).await.unwrap())["metadata"]["generation"], 2);
}

#[tokio::test]
async fn names_are_generated_until_one_is_free() {
    let kept = Kept::new().await;
    let body = json!({"metadata": {"generateName": "g-"}});
    let first = json_of(&kept.create(&kept.maps, body.clone()).await.unwrap());
    let name = first["metadata"]["name"].as_str().unwrap();
    assert_eq!(name.len(), "g-".len() + 5);
    let second = json_of(&kept.create(&kept.maps, body.clone()).await.unwrap());
    assert_ne!(second["metadata"]["name"], name);

    let stuck = Kept::over(tempfile::tempdir().unwrap(), true).await;
    stuck.create(&stuck.maps, body.clone()).await.unwrap();
    let status = stuck.create(&stuck.maps, body).await.unwrap_err();
    assert_eq!(status.reason, Reason::AlreadyExists);
    assert!(status.message.ends_with("the server was not able to generate a unique name for the object"));
}

#[tokio::test]
async fn a_stale_write_is_refused_and_an_unconditional_one_is_not() {
    let kept = Kept::new().await;
    let first = kept.map("a", "1").await;
    kept.relabel("a", "2").await;
    let replace = |value: serde_json::Value| {
        let object = kept.maps.kind.from_value(value).unwrap();
        let kept = &kept;
        async move { kept.registry.replace(&kept.maps, &kept.write(), Part::Object, "ns", "a", object).await }
    };
    let stale = replace(json_of(&first)).await.unwrap_err();
    assert!(stale.message.ends_with("please apply your changes to the latest version and try again"));
    replace(json!({"metadata": {"name": "a"}})).await.unwrap();
    let other = replace(json!({"metadata": {"name": "b"}})).await.unwrap_err();
    assert_eq!(other.message, "the name of the object (b) does not match the name on the URL (a)");
    let patch = json!({"metadata": {"resourceVersion": "1", "labels": {"app": "3"}}});
    assert_eq!(kept.patch(&kept.maps, "a", patch).await.unwrap_err().reason, Reason::Conflict);
}

#[tokio::test]
async fn what_changes_nothing_is_not_written() {
    let kept = Kept::new().await;
    let created = kept.map("a", "1").await;
    let same = kept.relabel("a", "1").await;
    assert_eq!(same.entry.revision, created.entry.revision);
    assert_eq!(kept.registry.revision(), created.entry.revision);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_patches_are_all_kept() {
    let kept = Arc::new(Kept::new().await);
    kept.map("a", "1").await;
    let writers = (0..16).map(|writer| {
        let kept = kept.clone();
        tokio::spawn(async move {
            for round in 0..4 {
                let patch = json!({"data": {format!("{writer}-{round}"): "x"}});
                let written = kept.patch(&kept.maps, "a", patch).await.unwrap();
                let read = kept.registry.get(&kept.maps, "ns", "a", ReadVersion::Latest).await.unwrap();
                assert!(read.revision >= written.entry.revision, "a writer reads its write");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let read = kept.registry.get(&kept.maps, "ns", "a", ReadVersion::Latest).await.unwrap();
    let value: serde_json::Value = serde_json::from_slice(&read.json()).unwrap();
    assert_eq!(value["data"].as_object().unwrap().len(), 64);
}

#[tokio::test]
async fn a_dry_run_is_not_stored() {
    let kept = Kept::new().await;
    let write = Write { dry_run: true, ..kept.write() };
    let object = || kept.maps.kind.from_value(json!({"metadata": {"name": "d"}})).unwrap();
    let tried = kept.registry.create(&kept.maps, &write, "ns", object()).await.unwrap();
    assert!(json_of(&tried)["metadata"].get("resourceVersion").is_none());
    assert!(kept.maps.get("ns", "d").is_none());
    kept.map("d", "1").await;
    let again = kept.registry.create(&kept.maps, &write, "ns", object()).await.unwrap_err();
    assert_eq!(again.reason, Reason::AlreadyExists);
}

#[tokio::test]
async fn patches_of_each_kind_apply_or_say_why_not() {
    let kept = Kept::new().await;
    kept.create(&kept.pods, pod("p", None)).await.unwrap();
    let patch = |kind, body: serde_json::Value| {
        let patch = Patch { kind, body: body.to_string().into(), validation: FieldValidation::Strict };
        let kept = &kept;
        async move {
            let part = Part::Object;
            let patched = kept.registry.patch(&kept.pods, &kept.write(), part, "ns", "p", &patch, None).await;
            patched.map(|written| json_of(&written)).map_err(|status| (status.code, status.message))
        }
    };
    let strategic = json!({"spec": {"containers": [{"name": "c", "image": "k"}]}});
    let patched = patch(PatchKind::Strategic, strategic).await.unwrap();
    assert_eq!(patched["spec"]["containers"][0]["image"], "k");
    let replaced = json!([{"op": "replace", "path": "/spec/containers/0/image", "value": "l"}]);
    let patched = patch(PatchKind::Json, replaced).await.unwrap();
    assert_eq!(patched["spec"]["containers"][0]["image"], "l");
    let failed = json!([{"op": "test", "path": "/spec/containers/0/image", "value": "z"}]);
    let generic = "the server rejected our request due to an error in our request";
    assert_eq!(patch(PatchKind::Json, failed).await, Err((422, generic.to_owned())));
    assert_eq!(patch(PatchKind::Json, json!({"op": "x"})).await.unwrap_err().0, 400);
    let unknown = patch(PatchKind::Merge, json!({"nonsense": 1})).await.unwrap_err();
    assert_eq!(unknown.0, 422, "{}", unknown.1);
    assert!(unknown.1.contains("unknown field \"nonsense\""), "{}", unknown.1);
    assert_eq!(patch(PatchKind::Merge, json!({"metadata": {"labels": 3}})).await.unwrap_err().0, 422);
}
