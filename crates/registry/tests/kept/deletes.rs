//! Deleting: at once, with grace, with finalizers, many at a time.

use crate::open::{Kept, json_of, pod};
use registry::{DeleteRequest, Deleted, ListQuery, Propagation, ReadVersion, Selection};
use serde_json::{Value, json};

/// What a delete leaves: `gone`, or the grace and finalizers of what stays.
async fn check(kept: &Kept, name: &str, request: DeleteRequest) -> Value {
    let deleted = kept.registry.delete(&kept.pods, &kept.write(), "ns", name, &request).await;
    match deleted {
        Ok(Deleted::Removed(_)) => {
            assert!(kept.pods.get("ns", name).is_none());
            json!("gone")
        }
        Ok(Deleted::Pending(written)) => {
            let object = json_of(&written);
            let meta = &object["metadata"];
            json!([meta["deletionGracePeriodSeconds"], meta["deletionTimestamp"], meta["finalizers"]])
        }
        Err(status) => json!(status.code),
    }
}

fn grace(seconds: i64) -> DeleteRequest {
    DeleteRequest { grace_seconds: Some(seconds), ..DeleteRequest::default() }
}

#[tokio::test]
async fn a_pod_leaves_with_its_grace() {
    let kept = Kept::new().await;
    kept.create(&kept.pods, pod("free", None)).await.unwrap();
    assert_eq!(check(&kept, "free", DeleteRequest::default()).await, "gone", "no node has it");
    kept.create(&kept.pods, pod("p", Some("n"))).await.unwrap();
    let until = |time: &str, seconds: i64| json!([seconds, time, null]);
    assert_eq!(check(&kept, "p", DeleteRequest::default()).await, until("2001-09-09T01:47:10Z", 30));
    assert_eq!(check(&kept, "p", grace(60)).await, until("2001-09-09T01:47:10Z", 30), "grace only shrinks");
    assert_eq!(check(&kept, "p", grace(5)).await, until("2001-09-09T01:46:45Z", 5));
    assert_eq!(check(&kept, "p", grace(0)).await, "gone");
    assert_eq!(check(&kept, "p", grace(0)).await, 404);
    kept.create(&kept.pods, pod("q", Some("n"))).await.unwrap();
    assert_eq!(check(&kept, "q", grace(-1)).await, until("2001-09-09T01:46:41Z", 1));
}

#[tokio::test]
async fn finalizers_hold_and_propagation_names_them() {
    let kept = Kept::new().await;
    let mut held = pod("p", None);
    held["metadata"]["finalizers"] = json!(["example.com/a", "orphan"]);
    kept.create(&kept.pods, held).await.unwrap();
    let foreground = DeleteRequest { propagation: Some(Propagation::Foreground), ..DeleteRequest::default() };
    let marked = check(&kept, "p", foreground).await;
    assert_eq!(marked, json!([0, "2001-09-09T01:46:40Z", ["example.com/a", "foregroundDeletion"]]));
    let generation = kept.registry.get(&kept.pods, "ns", "p", ReadVersion::Latest).await.unwrap().json();
    let generation: Value = serde_json::from_slice(&generation).unwrap();
    assert_eq!(generation["metadata"]["generation"], 2);
    kept.patch(&kept.pods, "p", json!({"metadata": {"finalizers": ["foregroundDeletion"]}})).await.unwrap();
    assert!(kept.pods.get("ns", "p").is_some());
    kept.patch(&kept.pods, "p", json!({"metadata": {"finalizers": null}})).await.unwrap();
    assert!(kept.pods.get("ns", "p").is_none(), "the last finalizer went");

    kept.create(&kept.pods, pod("o", None)).await.unwrap();
    let orphan = DeleteRequest { propagation: Some(Propagation::Orphan), ..DeleteRequest::default() };
    assert_eq!(check(&kept, "o", orphan).await, json!([0, "2001-09-09T01:46:40Z", ["orphan"]]));
}

#[tokio::test]
async fn preconditions_name_one_object() {
    let kept = Kept::new().await;
    let created = json_of(&kept.create(&kept.pods, pod("p", None)).await.unwrap());
    let with = |uid: Option<&str>, version: Option<&str>| DeleteRequest {
        uid: uid.map(str::to_owned),
        resource_version: version.map(str::to_owned),
        ..DeleteRequest::default()
    };
    assert_eq!(check(&kept, "p", with(Some("other"), None)).await, 409);
    assert_eq!(check(&kept, "p", with(None, Some("99"))).await, 409);
    let meta = &created["metadata"];
    let right = with(meta["uid"].as_str(), meta["resourceVersion"].as_str());
    assert_eq!(check(&kept, "p", right).await, "gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_goes() {
    let kept = Kept::new().await;
    for index in 0..300 {
        kept.map(&format!("m{index:03}"), if index % 3 == 0 { "a" } else { "b" }).await;
    }
    let labels = api::selector::Selector::parse("app=b").unwrap();
    let query = ListQuery::all(Selection { labels, ..Selection::all("ns") });
    let request = DeleteRequest::default();
    let deleted = kept.registry.delete_collection(&kept.maps, &kept.write(), &query, &request).await.unwrap();
    assert_eq!(deleted.entries.len(), 200);
    assert_eq!(kept.maps.snapshot().objects.len(), 100);
}
