//! What only one object may have, made true when objects come with keys of another time: from a backup, or an engine
//! that keeps none.

use crate::open::Open;
use api::user::User;
use api::{Kind, Object};
use k8s_openapi::api::core::v1::ConfigMap;
use registry::{Hook, Notes, Options, Registry, Write};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use store::{Embedded, Op, Store, Txn};

/// A config map has what its data names.
struct Names;

impl Hook for Names {
    fn unique(&self, object: &dyn Object) -> Vec<String> {
        let map: &ConfigMap = object.downcast().unwrap();
        map.data.iter().flat_map(BTreeMap::keys).cloned().collect()
    }
}

async fn open(store: &Arc<Embedded>, exclusive: bool) -> Arc<Registry> {
    let hooks: HashMap<String, Arc<dyn Hook>> = [("configmaps".to_owned(), Arc::new(Names) as Arc<dyn Hook>)].into();
    Registry::open(store.clone(), Options { exclusive, hooks, ..Options::default() }).await.unwrap()
}

#[tokio::test]
async fn keys_are_made_true_for_the_objects_that_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Embedded::open(dir.path(), store::Options::default()).unwrap());
    let alone = open(&store, true).await;
    let (maps, user) = (alone.resource(&ConfigMap::DEF).unwrap(), User::component("test"));
    let write = Write {
        user: &user,
        admission: &Open,
        dry_run: false,
        subresource: None,
        manager: None,
        options: None,
        notes: Notes::unheard(),
        fence: None,
    };
    for (name, has) in [("a", ["kept", "anothers"]), ("b", ["missing", "twice"]), ("c", ["others", "twice"])] {
        let value = json!({"metadata": {"name": name}, "data": {(has[0]): "", (has[1]): ""}});
        alone.create(&maps, &write, "ns", maps.kind.from_value(value).unwrap()).await.unwrap();
    }
    drop(alone);
    let owners = |text: &[(&str, &str)]| -> BTreeMap<String, String> {
        let owner = |name: &str| ConfigMap::DEF.key("ns", name);
        text.iter().map(|(name, has)| (format!("unique/{has}"), owner(name))).collect()
    };
    let outdated = owners(&[
        ("a", "kept"),
        ("gone", "anothers"),
        ("b", "others"),
        ("a", "nobodys"),
        ("gone", "gone"),
        ("b", "twice"),
    ]);
    let ops = outdated.into_iter().map(|(key, owner)| Op::Put { key: key.into(), value: owner.into() });
    store.commit(Txn { checks: Vec::new(), ops: ops.collect() }).await.unwrap();

    for _ in 0..2 {
        drop(open(&store, false).await);
        let present = store.range("unique/", None, 0, None).await.unwrap().items;
        let text = |kv: store::KeyValue| (kv.key.to_string(), String::from_utf8(kv.value.to_vec()).unwrap());
        let wanted = [("a", "kept"), ("a", "anothers"), ("b", "missing"), ("c", "others"), ("b", "twice")];
        assert_eq!(present.into_iter().map(text).collect::<BTreeMap<_, _>>(), owners(&wanted));
    }
}
