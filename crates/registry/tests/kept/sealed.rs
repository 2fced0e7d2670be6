//! Values that cannot be read, and values that are stored in a form of before.

use crate::open::{Kept, Open};
use api::user::User;
use api::{Kind, Reason};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use registry::{ListQuery, Notes, Options, Part, ReadVersion, Registry, Selection, Start, Write};
use serde_json::json;
use std::sync::Arc;
use store::{Op, Store, Txn};
use vault::{Configuration, Vault};

const KEY: &str = "/core/configmaps/ns/a";
const WHY: &str = "unable to transform key \"/core/configmaps/ns/a\": no matching prefix found";

fn configuration(provider: &str) -> Configuration {
    let text = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n\
                - resources: [configmaps]\n  providers:\n";
    Configuration::parse(&format!("{text}  - {provider}\n  - identity: {{}}\n")).unwrap()
}

fn key(name: &str) -> String {
    format!("aesgcm: {{keys: [{{name: {name}, secret: AAAAAAAAAAAAAAAAAAAAAA==}}]}}")
}

fn write(user: &User) -> Write<'_> {
    Write {
        user,
        admission: &Open,
        dry_run: false,
        subresource: None,
        manager: Some("test"),
        options: None,
        notes: Notes::unheard(),
        fence: None,
    }
}

#[tokio::test]
async fn what_cannot_be_read_stops_no_other_kind() {
    let kept = Kept::new().await;
    kept.map("a", "1").await;
    kept.map("b", "1").await;
    let all = || ListQuery::all(Selection::all("ns"));
    let mut watch = kept.registry.watch(&kept.maps, Selection::all(""), Start::Now).await.unwrap();
    let value = store::unreadable("no matching prefix found");
    let put = Txn { ops: vec![Op::Put { key: KEY.into(), value }], ..Txn::default() };
    kept.store.commit(put).await.unwrap();
    kept.create(&kept.pods, crate::open::pod("p", None)).await.unwrap();
    let get = |name: &'static str| kept.registry.get(&kept.maps, "ns", name, ReadVersion::Latest);
    let refused = get("a").await.unwrap_err();
    assert_eq!((refused.code, refused.message.contains(WHY)), (500, true), "{}", refused.message);
    assert!(get("b").await.is_ok());
    assert!(kept.registry.list(&kept.maps, &all()).await.unwrap_err().message.contains(WHY));
    let elsewhere = ListQuery::all(Selection::all("other"));
    assert_eq!(kept.registry.list(&kept.maps, &elsewhere).await.unwrap().entries.len(), 0);
    assert_eq!(kept.registry.list(&kept.pods, &all()).await.unwrap().entries.len(), 1);
    assert_eq!(
        watch.try_next().unwrap_err().reason,
        Reason::Expired,
        "a watcher was told of a deletion, or of nothing"
    );
    assert!(kept.registry.watch(&kept.maps, Selection::all(""), Start::State).await.is_err());
    assert!(kept.delete(&kept.maps, "a").await.unwrap_err().message.contains(WHY));
    // It stands there: nobody may think it does not.
    let created = kept.create(&kept.maps, json!({"metadata": {"name": "a"}})).await.unwrap_err();
    assert_eq!(created.reason, Reason::AlreadyExists);
    drop(watch);
    let kept = kept.restart().await;
    assert!(kept.registry.get(&kept.maps, "ns", "a", ReadVersion::Latest).await.unwrap_err().message.contains(WHY));
    kept.store.commit(Txn { ops: vec![Op::Delete { key: KEY.into() }], ..Txn::default() }).await.unwrap();
    kept.map("c", "1").await;
    assert_eq!(kept.registry.list(&kept.maps, &all()).await.unwrap().entries.len(), 2);
}

#[tokio::test]
async fn replacing_an_object_by_itself_seals_it_with_the_newest_key() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Arc::new(store::Embedded::open(dir.path(), store::Options::default()).unwrap());
    let vault = Arc::new(Vault::open(engine.clone(), configuration(&key("old"))).await.unwrap());
    let registry = Registry::open(vault.clone(), Options::default()).await.unwrap();
    let maps = registry.resource(&ConfigMap::DEF).unwrap();
    let user = User::component("test");
    let value = json!({"metadata": {"name": "a", "namespace": "ns"}, "data": {"k": "v"}});
    let object = || maps.kind.from_value(value.clone()).unwrap();
    let first = registry.create(&maps, &write(&user), "ns", object()).await.unwrap().entry.revision;
    let replace = async || registry.replace(&maps, &write(&user), Part::Object, "ns", "a", object()).await;
    assert_eq!(replace().await.unwrap().entry.revision, first, "a write that changes nothing is not committed");
    vault.replace(configuration(&key("new"))).await.unwrap();
    let second = replace().await.unwrap().entry.revision;
    assert!(second > first);
    let stored = engine.get(KEY).await.unwrap().unwrap().value;
    assert!(stored.starts_with(b"k8s:enc:aesgcm:v1:new:"));
    assert_eq!(replace().await.unwrap().entry.revision, second);
}

#[tokio::test]
async fn objects_are_read_again_when_their_key_comes() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Arc::new(store::Embedded::open(dir.path(), store::Options::default()).unwrap());
    let user = User::component("test");
    {
        let vault = Arc::new(Vault::open(engine.clone(), configuration(&key("own"))).await.unwrap());
        let registry = Registry::open(vault, Options::default()).await.unwrap();
        let maps = registry.resource(&ConfigMap::DEF).unwrap();
        let object = maps.kind.from_value(json!({"metadata": {"name": "a"}})).unwrap();
        registry.create(&maps, &write(&user), "ns", object).await.unwrap();
    }
    let vault = Arc::new(Vault::open(engine, configuration(&key("other"))).await.unwrap());
    let registry = Registry::open(vault.clone(), Options::default()).await.unwrap();
    let maps = registry.resource(&ConfigMap::DEF).unwrap();
    let get = || registry.get(&maps, "ns", "a", ReadVersion::Latest);
    assert!(get().await.unwrap_err().message.contains(WHY));
    vault.replace(configuration(&key("own"))).await.unwrap();
    let readable = async {
        while get().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), readable).await.expect("it is read again");
    assert!(registry.find("", "v1", Pod::DEF.plural).is_some());
}
