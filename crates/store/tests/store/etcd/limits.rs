//! What etcd does not take is refused with the reason, whether this side or a member notices; and what others write to
//! the same etcd is none of the store's business.

use super::member::{Member, installed, open};
use crate::suite::{batches, commit, put};
use store::{EtcdOptions, Op, Revision, Store, StoreError, Txn};

async fn refusal(store: &impl Store, ops: Vec<Op>) -> String {
    match store.commit(Txn { checks: Vec::new(), ops }).await {
        Err(StoreError::TooLarge { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

fn many() -> Vec<Op> {
    (0..200).map(|n| put(&n.to_string(), "")).collect()
}

fn large(bytes: usize) -> Vec<Op> {
    vec![Op::Put { key: "a".into(), value: vec![1; bytes].into() }]
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_harms_nothing() {
    if !installed() {
        return;
    }
    let member = Member::single(&[]);
    let store = open(member.options()).await;
    assert_eq!(refusal(&store, many()).await, "201 operations in one transaction; etcd takes 128 (--max-txn-ops)");
    assert!(refusal(&store, large(2 << 20)).await.ends_with("etcd takes 1572864 (--max-request-bytes)"));
    let trusting = EtcdOptions { txn_ops_max: 9999, request_bytes_max: 8 << 20, ..member.options() };
    let trusting = open(trusting).await;
    assert!(refusal(&trusting, many()).await.contains("too many operations"));
    for bytes in [1_600_000, 2 << 20, 4 << 20] {
        assert!(refusal(&trusting, large(bytes)).await.contains("large"));
    }
    assert_eq!(store.revision().await.unwrap(), Revision(0));
    assert_eq!(commit(&store, vec![put("a", "1")]).await, Revision(1));
}

#[tokio::test]
async fn what_others_write_is_no_commit_of_ours() {
    if !installed() {
        return;
    }
    let member = Member::single(&[]);
    let store = open(member.options()).await;
    let other = open(EtcdOptions { prefix: "/other".to_owned(), ..member.options() }).await;
    let newest = commit(&store, vec![put("a", "1")]).await;
    for n in 0..5 {
        commit(&other, vec![put("a", &n.to_string())]).await;
    }
    assert_eq!(store.revision().await.unwrap(), newest);
    let range = store.range("", None, 0, None).await.unwrap();
    assert_eq!((range.items.len(), range.revision), (1, newest));
    let mut watch = store.watch("", range.revision).await.unwrap();
    let next = commit(&store, vec![put("b", "1")]).await;
    let events = batches(&mut *watch, 1).await.concat();
    assert_eq!((events.len(), events[0].revision), (1, next));
    assert_eq!(store.revision().await.unwrap(), next);
}

#[tokio::test]
async fn the_first_owner_stays() {
    if !installed() {
        return;
    }
    let member = Member::single(&[]);
    let store = open(member.options()).await;
    assert_eq!(store.shared("owner").await.unwrap(), None);
    assert_eq!(store.share("owner", b"cluster one").await.unwrap(), b"cluster one");
    let second = open(member.options()).await;
    assert_eq!(second.share("owner", b"cluster two").await.unwrap(), b"cluster one");
    assert_eq!(store.shared("owner").await.unwrap().unwrap(), b"cluster one");
}

#[tokio::test]
async fn an_etcd_that_is_not_there_is_named() {
    let options = EtcdOptions {
        endpoints: vec!["http://127.0.0.1:1".to_owned()],
        patience: std::time::Duration::from_millis(200),
        ..EtcdOptions::default()
    };
    let Err(error) = store::Etcd::open(options).await else { panic!("nothing listens there") };
    let StoreError::Io { source, .. } = error else { panic!("{error}") };
    assert!(source.to_string().contains("http://127.0.0.1:1"), "{source}");
}
