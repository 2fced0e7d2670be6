//! Keys that come and go.

use crate::fixture::{KEY, PLAIN, engine, folder, key, on_disk, over, put, read, secrets, stored};
use store::{Revision, Store, StoreError};

const IDENTITY: &str = "identity: {}";

#[tokio::test]
async fn a_secret_is_on_disk_under_no_cipher() {
    for cipher in ["aesgcm", "aescbc", "secretbox"] {
        let dir = folder();
        let engine = engine(dir.path());
        let vault = over(&engine, secrets(&[&key(cipher, "k", 1)])).await;
        put(&vault, KEY, PLAIN).await;
        put(&vault, "/core/configmaps/default/web", "plain as day").await;
        engine.backup(dir.path().join("backup")).unwrap();
        assert_eq!(read(&vault, KEY).await.as_deref(), Ok(PLAIN));
        let begins = format!("k8s:enc:{cipher}:v1:k:");
        assert!(stored(&*engine, KEY).await.starts_with(begins.as_bytes()));
        drop((vault, engine));
        assert!(!on_disk(dir.path(), "aHVudGVyMg"), "{cipher}");
        assert!(on_disk(&dir.path().join("backup"), &begins) && on_disk(dir.path(), "plain as day"));
    }
}

#[tokio::test]
async fn a_new_first_key_writes_and_the_old_one_still_reads() {
    let dir = folder();
    let engine = engine(dir.path());
    let (old, new) = (key("aescbc", "old", 1), key("aesgcm", "new", 2));
    put(&*engine, KEY, PLAIN).await;
    let vault = over(&engine, secrets(&[&old, IDENTITY])).await;
    assert_eq!(read(&vault, KEY).await.as_deref(), Ok(PLAIN));
    assert!(vault.is_stale(KEY).await.unwrap(), "plain where it should be sealed");
    put(&vault, KEY, PLAIN).await;
    assert!(!vault.is_stale(KEY).await.unwrap());
    vault.replace(secrets(&[&new, &old])).await.unwrap();
    assert_eq!(read(&vault, KEY).await.as_deref(), Ok(PLAIN));
    assert!(vault.is_stale(KEY).await.unwrap(), "sealed with the key before");
    put(&vault, KEY, PLAIN).await;
    assert!(!vault.is_stale(KEY).await.unwrap());
    vault.replace(secrets(&[&new])).await.unwrap();
    assert_eq!(read(&vault, KEY).await.as_deref(), Ok(PLAIN));
    vault.replace(secrets(&[IDENTITY, &new])).await.unwrap();
    assert!(vault.is_stale(KEY).await.unwrap(), "sealed where it should be plain");
    put(&vault, KEY, PLAIN).await;
    assert_eq!(&stored(&*engine, KEY).await[..], PLAIN.as_bytes());
    assert!(!vault.is_stale("/core/secrets/default/none").await.unwrap());
}

#[tokio::test]
async fn what_no_key_opens_says_why_and_stops_nothing_else() {
    let dir = folder();
    let engine = engine(dir.path());
    let own = key("aesgcm", "k", 1);
    let vault = over(&engine, secrets(&[&own])).await;
    put(&vault, KEY, PLAIN).await;
    put(&vault, "/core/pods/default/web", "{}").await;
    for (provider, why) in [
        (key("aesgcm", "k", 2), "it was sealed with another key, or is damaged"),
        (key("aesgcm", "other", 1), "no matching prefix found"),
        (IDENTITY.to_owned(), "identity transformer tried to read encrypted data"),
    ] {
        let blind = over(&engine, secrets(&[&provider])).await;
        assert_eq!(read(&blind, KEY).await.unwrap_err(), why);
        let all = blind.range("/", None, 0, None).await.unwrap().items;
        assert_eq!((all.len(), &all[0].value[..]), (2, &b"{}"[..]));
    }
}

#[tokio::test]
async fn a_sealed_value_opens_only_at_its_own_key() {
    let dir = folder();
    let engine = engine(dir.path());
    let vault = over(&engine, secrets(&[&key("aesgcm", "k", 1)])).await;
    put(&vault, KEY, PLAIN).await;
    let moved = store::Op::Put { key: "/core/secrets/mallory/web".into(), value: stored(&*engine, KEY).await };
    engine.commit(store::Txn { ops: vec![moved], ..Default::default() }).await.unwrap();
    assert!(read(&vault, "/core/secrets/mallory/web").await.is_err());
}

#[tokio::test]
async fn whoever_was_given_a_stand_in_is_told_to_read_anew_when_the_key_comes() {
    let dir = folder();
    let engine = engine(dir.path());
    let own = key("secretbox", "k", 1);
    put(&over(&engine, secrets(&[&own])).await, KEY, PLAIN).await;
    let vault = over(&engine, secrets(&[IDENTITY])).await;
    let mut early = vault.watch("/", vault.range("/", None, 0, None).await.unwrap().revision).await.unwrap();
    vault.replace(secrets(&[IDENTITY, &own])).await.unwrap();
    assert!(matches!(early.next().await, Err(StoreError::Compacted { .. })));
    // One that begins only now, but read before, too; one that read after it not.
    let mut late = vault.watch("/", Revision(1)).await.unwrap();
    assert!(matches!(late.next().await, Err(StoreError::Compacted { .. })));
    assert_eq!(vault.range("/", None, 0, None).await.unwrap().items[0].value, PLAIN);
    let mut fresh = vault.watch("/", Revision(1)).await.unwrap();
    put(&vault, KEY, "{}").await;
    assert_eq!(fresh.next().await.unwrap()[0].value.as_deref(), Some(&b"{}"[..]));
}

#[tokio::test]
async fn a_conflict_shows_the_states_opened() {
    let dir = folder();
    let vault = over(&engine(dir.path()), secrets(&[&key("aesgcm", "k", 1)])).await;
    put(&vault, KEY, PLAIN).await;
    let txn = store::Txn::create(KEY.into(), "x".into());
    let store::Outcome::Conflict(states) = vault.commit(txn).await.unwrap() else { panic!("it was there") };
    assert_eq!(states[0].as_ref().unwrap().value, PLAIN);
}
