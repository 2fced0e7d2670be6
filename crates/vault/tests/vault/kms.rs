//! Values under a key management service that changes its key, refuses, and goes away.

use crate::fixture::{KEY, PLAIN, engine, folder, on_disk, over, put, read, secrets, stored};
use crate::service::KeyService;
use std::sync::atomic::Ordering;
use store::{Store, StoreError};
use tonic::Status;

#[tokio::test]
async fn a_seed_is_wrapped_once_and_unwrapped_once() {
    let dir = folder();
    let engine = engine(&dir.path().join("store"));
    let service = KeyService::start(dir.path());
    let vault = over(&engine, secrets(&[&service.provider()])).await;
    assert_eq!(vault.health(), Ok(()));
    for n in 0..50 {
        put(&vault, &format!("/core/secrets/default/{n:02}"), PLAIN).await;
    }
    assert!(stored(&*engine, "/core/secrets/default/00").await.starts_with(b"k8s:enc:kms:v2:box:"));
    assert!(!on_disk(&dir.path().join("store"), "aHVudGVyMg"));
    let again = over(&engine, secrets(&[&service.provider()])).await;
    let all = again.range("/", None, 0, None).await.unwrap().items;
    assert!(all.len() == 50 && all.iter().all(|item| item.value == PLAIN));
    assert_eq!(service.state.unwrapped.load(Ordering::Acquire), 1);
}

#[tokio::test]
async fn a_new_key_of_the_service_makes_values_stale_but_readable() {
    let dir = folder();
    let engine = engine(&dir.path().join("store"));
    let service = KeyService::start(dir.path());
    put(&over(&engine, secrets(&[&service.provider()])).await, KEY, PLAIN).await;
    service.state.key_id.store(1, Ordering::Release);
    let vault = over(&engine, secrets(&[&service.provider()])).await;
    assert_eq!(read(&vault, KEY).await.as_deref(), Ok(PLAIN));
    assert!(vault.is_stale(KEY).await.unwrap());
    put(&vault, KEY, PLAIN).await;
    assert!(!vault.is_stale(KEY).await.unwrap());
}

#[tokio::test]
async fn a_service_that_goes_away_is_missed_by_what_it_has_not_unwrapped_yet() {
    let dir = folder();
    let engine = engine(&dir.path().join("store"));
    let mut service = KeyService::start(dir.path());
    let before = over(&engine, secrets(&[&service.provider()])).await;
    put(&before, KEY, PLAIN).await;
    put(&before, "/core/pods/default/web", "{}").await;
    service.end().await;
    // Its seed is known, and its lease not ended.
    assert_eq!(read(&before, KEY).await.as_deref(), Ok(PLAIN));
    put(&before, KEY, PLAIN).await;
    let blind = over(&engine, secrets(&[&service.provider()])).await;
    assert!(blind.health().unwrap_err().starts_with("kms provider box: failed to get status"));
    let items = blind.range("/", None, 0, None).await.unwrap().items;
    assert_eq!(items[0].value, "{}");
    assert!(read(&blind, KEY).await.unwrap_err().starts_with("failed to decrypt DEK"));
    let refused = blind.commit(store::Txn::create("/core/secrets/a/b".into(), PLAIN.into())).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Unsealed { .. }), "{refused}");
    assert!(blind.replace(secrets(&[&service.provider()])).await.is_err());
    let mut watch = blind.watch("/", store::Revision(3)).await.unwrap();
    service.begin();
    blind.replace(secrets(&[&service.provider()])).await.unwrap();
    assert!(matches!(watch.next().await, Err(StoreError::Compacted { .. })));
    assert_eq!((read(&blind, KEY).await.as_deref(), blind.health()), (Ok(PLAIN), Ok(())));
}

#[tokio::test]
async fn a_refusal_is_the_reason_that_is_told() {
    let dir = folder();
    let engine = engine(&dir.path().join("store"));
    let service = KeyService::start(dir.path());
    put(&over(&engine, secrets(&[&service.provider()])).await, KEY, PLAIN).await;
    *service.state.refusal.lock().unwrap() = Some(Status::permission_denied("the key was destroyed"));
    let vault = over(&engine, secrets(&[&service.provider()])).await;
    let why = "failed to decrypt DEK, error: PermissionDenied: the key was destroyed";
    assert_eq!(read(&vault, KEY).await.unwrap_err(), why);
}
