//! States that move between the engines: what was there is there, nobody is shown a revision twice, and half a state is
//! never served.

use super::member::{Member, installed, open};
use crate::suite::{commit, put};
use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use store::{
    Embedded, Etcd, EtcdOptions, EtcdRestore, KeyValue, Op, Options, Outcome, Revision, Store, StoreError, Txn,
    check_sizes, write_copy,
};
use tokio::runtime::Runtime;

/// All there is, by key; and the keys in the order in which they were last written.
async fn state(store: &impl Store) -> (Vec<KeyValue>, Revision) {
    let range = store.range("/", None, 0, None).await.unwrap();
    (range.items, range.revision)
}

fn contents(items: &[KeyValue]) -> BTreeMap<String, Bytes> {
    items.iter().map(|item| (item.key.to_string(), item.value.clone())).collect()
}

/// Whether of two keys the later one of `before` is never the earlier one of `after`; they may have one revision.
fn keeps_order(before: &[KeyValue], after: &[KeyValue]) -> bool {
    let old: BTreeMap<_, _> = before.iter().map(|item| (item.key.clone(), item.modified)).collect();
    let mut sorted: Vec<_> = after.iter().map(|item| (item.modified, old[&item.key])).collect();
    sorted.sort_unstable();
    // Sorted by both, only a later revision with an older state is left to find.
    sorted.is_sorted_by_key(|(_, old)| *old)
}

async fn restore(options: EtcdOptions, after: Revision, items: Vec<KeyValue>) -> Revision {
    let restore = EtcdRestore::begin(options, "a test").await.unwrap();
    let restoring = restore.clear(after).await.unwrap();
    restoring.put(items).await.unwrap();
    restoring.finish(&[("owner", b"us")]).await.unwrap()
}

/// Embedded to etcd to embedded, of any history, over whatever the etcd had before.
#[test]
fn a_state_survives_both_moves() {
    if !installed() {
        return;
    }
    let member = Member::single(&[]);
    let runtime = Runtime::new().unwrap();
    let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..2000));
    let writes = prop::collection::vec((0..40_u8, value), 0..400);
    let mut runner = TestRunner::new(ProptestConfig { cases: 12, failure_persistence: None, ..Default::default() });
    let outcome = runner.run(&writes, |writes| {
        runtime.block_on(there_and_back(&member, writes));
        Ok(())
    });
    outcome.unwrap();
}

async fn there_and_back(member: &Member, writes: Vec<(u8, Option<Vec<u8>>)>) {
    let dir = tempfile::tempdir().unwrap();
    let embedded = Embedded::open(dir.path(), Options::default()).unwrap();
    for (key, value) in writes {
        let key = format!("/core/things/{key}").into();
        let op = match value {
            Some(value) => Op::Put { key, value: value.into() },
            None => Op::Delete { key },
        };
        commit(&embedded, vec![op]).await;
    }
    let (before, revision) = state(&embedded).await;
    let seen = open(member.options()).await.revision().await.unwrap();
    let floor = Revision(revision.0 + 1_000);
    let arrived = restore(member.options(), floor, before.clone()).await;

    let etcd = open(member.options()).await;
    assert_eq!(etcd.shared("owner").await.unwrap().unwrap(), b"us");
    let (within, newest) = state(&etcd).await;
    assert_eq!(contents(&within), contents(&before));
    assert!(keeps_order(&before, &within));
    assert!(within.iter().all(|item| item.modified > floor && item.modified > seen));
    assert_eq!(newest, arrived);
    for old in [revision, seen, floor].into_iter().filter(|old| *old < newest) {
        let watch = etcd.watch("/", old).await.map(|_| ());
        assert!(matches!(watch, Err(StoreError::Compacted { .. })), "{old}: {watch:?}");
    }
    assert!(commit(&etcd, vec![put("/core/things/next", "x")]).await > arrived);

    let copy = tempfile::tempdir().unwrap();
    write_copy(copy.path(), newest, within.clone()).unwrap();
    let back = Embedded::open(copy.path(), Options::default()).unwrap();
    assert_eq!(state(&back).await, (within, newest));
}

/// More than fits into one transaction, and one object that nearly fills one.
#[tokio::test]
async fn many_and_large_objects_arrive_whole() {
    if !installed() {
        return;
    }
    let member = Member::single(&[]);
    let item = |n: usize, bytes: usize| {
        let revision = Revision(n as u64 + 1);
        let value = vec![b'v'; bytes].into();
        KeyValue { key: format!("/core/things/{n:05}").into(), value, created: revision, modified: revision }
    };
    let mut items: Vec<_> = (0..3_000).map(|n| item(n, 1_000)).collect();
    items.push(item(3_000, (3 << 19) - 512 - 64 - "/core/things/00000".len()));
    check_sizes(&member.options(), &items).unwrap();
    assert!(check_sizes(&member.options(), &[item(0, 3 << 19)]).is_err());
    restore(member.options(), Revision(5_000), items.clone()).await;
    let (within, _) = state(&open(member.options()).await).await;
    assert_eq!(contents(&within), contents(&items));
    assert!(keeps_order(&items, &within));
}

#[tokio::test]
async fn an_interrupted_restore_is_never_served_and_is_repeated() {
    if !installed() {
        return;
    }
    let member = Member::single(&[]);
    let store = open(member.options()).await;
    let kept = commit(&store, vec![put("/a", "1")]).await;
    store.share("owner", b"them").await.unwrap();
    let item = KeyValue { key: "/b".into(), value: "2".into(), created: Revision(1), modified: Revision(1) };

    // Looked at and left alone.
    let looked = EtcdRestore::begin(member.options(), "n0").await.unwrap();
    assert!(!looked.is_empty().await.unwrap());
    assert_eq!(looked.shared("owner").await.unwrap().unwrap(), b"them");
    let refused = Etcd::open(member.options()).await.map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("a state is being restored into this etcd by n0"), "{refused}");
    looked.abandon().await.unwrap();
    assert_eq!(open(member.options()).await.revision().await.unwrap(), kept);

    // Killed before it changed anything: nothing was interrupted, and who comes next still finds what is there.
    drop(EtcdRestore::begin(member.options(), "n0").await.unwrap());
    assert_eq!(open_when_free(&member).await.revision().await.unwrap(), kept);
    let looked = EtcdRestore::begin(member.options(), "n0").await.unwrap();
    assert!(!looked.is_empty().await.unwrap());
    looked.abandon().await.unwrap();

    // Killed in the middle.
    let restore = EtcdRestore::begin(member.options(), "n0").await.unwrap();
    let restoring = restore.clear(Revision(1_000)).await.unwrap();
    restoring.put(vec![item.clone()]).await.unwrap();
    drop(restoring);
    let refused = Etcd::open(member.options()).await.map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("it was interrupted: restore again"), "{refused}");
    // One that was open before cannot become a server any more.
    let refused = store.claim("claims/server", "n1").await.map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("another state was restored into this etcd: start again"), "{refused}");

    let again = EtcdRestore::begin(member.options(), "n0").await.unwrap();
    assert!(again.is_empty().await.unwrap(), "what an interrupted one left is nothing");
    let restoring = again.clear(Revision(1_000)).await.unwrap();
    restoring.put(vec![item]).await.unwrap();
    restoring.finish(&[]).await.unwrap();
    let (items, revision) = state(&open(member.options()).await).await;
    assert_eq!(contents(&items).into_keys().collect::<Vec<_>>(), ["/b"]);
    assert!(revision > Revision(1_000));
}

/// When the claim of a process that died has ended.
async fn open_when_free(member: &Member) -> Etcd {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match Etcd::open(member.options()).await {
            Ok(store) => return store,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// One that was stopped for longer than its claim lasts, and goes on in the middle of the next one.
#[tokio::test]
async fn a_restore_that_slept_does_not_open_what_another_has_half_done() {
    if !installed() {
        return;
    }
    let member = Member::single(&[]);
    let item = |key: &str| KeyValue { key: key.into(), value: "x".into(), created: Revision(1), modified: Revision(1) };
    let looked = EtcdRestore::begin(member.options(), "n0").await.unwrap();
    let lose_claim = || member.ctl(&["del", "/sampan:claims/restore"]);
    lose_claim();
    let slept = EtcdRestore::begin(member.options(), "n1").await.unwrap().clear(Revision(9)).await.unwrap();
    slept.put(vec![item("/old")]).await.unwrap();
    lose_claim();
    let last = EtcdRestore::begin(member.options(), "n2").await.unwrap().clear(Revision(9)).await.unwrap();
    last.put(vec![item("/a")]).await.unwrap();

    looked.abandon().await.unwrap();
    assert!(slept.put(vec![item("/older")]).await.is_err());
    assert!(slept.finish(&[]).await.is_err());
    let refused = Etcd::open(member.options()).await.map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("restored into this etcd by n2; if nothing does so"), "{refused}");
    last.put(vec![item("/b")]).await.unwrap();
    last.finish(&[("owner", b"us")]).await.unwrap();
    let store = open(member.options()).await;
    assert_eq!(contents(&state(&store).await.0).into_keys().collect::<Vec<_>>(), ["/a", "/b"]);
    assert_eq!(store.shared("owner").await.unwrap().unwrap(), b"us");
}

#[tokio::test]
async fn an_etcd_that_is_served_is_left_alone() {
    if !installed() {
        return;
    }
    let member = Member::single(&[]);
    let store = open(member.options()).await;
    let claim = store.claim("claims/server", "n7").await.unwrap();
    let refused = EtcdRestore::begin(member.options(), "n0").await.map(|_| ()).unwrap_err();
    let StoreError::Io { source, .. } = refused else { panic!("{refused}") };
    assert_eq!(source.to_string(), "n7 has claims/server in it: stop it first");
    // It goes on.
    let (key, at) = claim.fence();
    let fenced = Txn { checks: vec![(key, store::Expect::At(at))], ops: vec![put("/a", "1")] };
    assert!(matches!(store.commit(fenced).await.unwrap(), Outcome::Committed(_)));
    claim.release().await.unwrap();
    restore(member.options(), Revision(9), Vec::new()).await;
    assert_eq!(state(&open(member.options()).await).await.0, []);
}

/// A server that was stopped for a while, with its connections, and goes on when another state is there.
#[tokio::test]
async fn a_process_that_slept_through_a_restore_does_nothing_any_more() {
    if !installed() {
        return;
    }
    let member = Member::single(&[]);
    let store = open(member.options()).await;
    for n in 0..200 {
        commit(&store, vec![put(&format!("/{n:03}"), "old")]).await;
    }
    let newest = store.revision().await.unwrap();
    let mut watch = store.watch("/", newest).await.unwrap();
    let item = KeyValue { key: "/000".into(), value: "new".into(), created: Revision(1), modified: Revision(1) };
    restore(member.options(), newest, vec![item]).await;

    let closed = |error: StoreError| matches!(&error, StoreError::Closed { reason } if reason.contains("start again"));
    let told = watch.next().await;
    let told = told.expect_err("it is not told that everything was deleted");
    assert!(matches!(&told, StoreError::Closed { reason } if reason.contains("start again")), "{told}");
    assert!(closed(store.range("/", None, 0, None).await.unwrap_err()));
    for txn in [Txn::create("/new".into(), "x".into()), Txn { checks: Vec::new(), ops: vec![put("/000", "x")] }] {
        assert!(closed(store.commit(txn).await.unwrap_err()));
    }
    assert!(store.claim("claims/server", "n0").await.is_err_and(closed));
    assert!(closed(store.share("keys", b"its own").await.unwrap_err()));
    let (items, _) = state(&open(member.options()).await).await;
    assert_eq!(contents(&items).into_iter().collect::<Vec<_>>(), [("/000".to_owned(), "new".into())]);
}
