//! Reading at revisions, and page by page.

use crate::open::Kept;
use api::Reason;
use registry::{ListQuery, Listing, ReadVersion, Revision, Selection};
use store::Store;

fn names(listing: &Listing) -> Vec<&str> {
    listing.entries.iter().map(|entry| entry.name()).collect()
}

fn query(version: ReadVersion, limit: usize, token: &str) -> ListQuery {
    ListQuery { selection: Selection::all("ns"), version, limit, continue_token: token.to_owned() }
}

#[tokio::test]
async fn a_revision_is_read_as_it_was() {
    let kept = Kept::new().await;
    kept.map("a", "1").await;
    let second = kept.map("b", "1").await.entry.revision;
    kept.delete(&kept.maps, "a").await.unwrap();
    let third = kept.relabel("b", "2").await.entry.revision;
    let list = |version| {
        let (kept, query) = (&kept, query(version, 0, ""));
        async move { kept.registry.list(&kept.maps, &query).await }
    };
    let then = list(ReadVersion::Exact(second)).await.unwrap();
    assert_eq!((names(&then), then.revision), (vec!["a", "b"], second));
    assert_eq!(then.entries[1].revision, second);
    let now = list(ReadVersion::NotOlderThan(second)).await.unwrap();
    assert_eq!((names(&now), now.revision), (vec!["b"], third));
    let future = list(ReadVersion::Exact(Revision(99))).await.unwrap_err();
    assert_eq!(future.message, format!("Too large resource version: 99, current: {third}"));
    kept.store.compact(third).await.unwrap();
    assert_eq!(list(ReadVersion::Exact(second)).await.unwrap_err().reason, Reason::Expired);
}

#[tokio::test]
async fn pages_stay_at_their_revision_while_others_write() {
    let kept = Kept::new().await;
    for name in ["a", "b", "c", "d", "e"] {
        kept.map(name, "1").await;
    }
    let first = kept.registry.list(&kept.maps, &query(ReadVersion::Latest, 2, "")).await.unwrap();
    assert_eq!((names(&first), first.remaining), (vec!["a", "b"], Some(3)));
    kept.delete(&kept.maps, "c").await.unwrap();
    kept.map("cc", "1").await;
    kept.relabel("d", "2").await;
    let second = kept.registry.list(&kept.maps, &query(ReadVersion::Latest, 2, &first.continue_token)).await.unwrap();
    assert_eq!((names(&second), second.revision), (vec!["c", "d"], first.revision));
    let third = kept.registry.list(&kept.maps, &query(ReadVersion::Latest, 2, &second.continue_token)).await.unwrap();
    assert_eq!((names(&third), third.continue_token.as_str()), (vec!["e"], ""));
    kept.store.compact(kept.registry.revision()).await.unwrap();
    let expired = kept.registry.list(&kept.maps, &query(ReadVersion::Latest, 2, &first.continue_token)).await;
    let status = expired.unwrap_err();
    assert_eq!(status.code, 410);
    assert!(status.message.starts_with("The provided continue parameter is too old"), "{status}");
}

#[tokio::test]
async fn namespaces_are_apart_though_their_names_begin_alike() {
    let kept = Kept::new().await;
    for namespace in ["ns", "ns-a", "n"] {
        let object = kept.maps.kind.from_value(serde_json::json!({"metadata": {"name": namespace}})).unwrap();
        kept.registry.create(&kept.maps, &kept.write(), namespace, object).await.unwrap();
    }
    let list = |namespace: &str| {
        let query = ListQuery::all(Selection::all(namespace));
        let kept = &kept;
        async move { kept.registry.list(&kept.maps, &query).await.unwrap().entries.len() }
    };
    assert_eq!((list("ns").await, list("n").await, list("ns-a").await, list("").await), (1, 1, 1, 3));
}
