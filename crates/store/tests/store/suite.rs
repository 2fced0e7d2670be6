//! What every engine must do: one suite, handed an empty store for each case by `conformance!`.

use bytes::Bytes;
use futures::FutureExt as _;
use std::time::Duration;
use store::{Event, Expect, Key, KeyValue, Op, Outcome, Range, Revision, Store, StoreError, Txn, Watch};

/// Runs every case on stores that `$make` makes: `async fn() -> (impl Store, guard that keeps it alive)`.
macro_rules! conformance {
    ($make:path) => {
        conformance!(@each $make:
            revisions_begin_at_one_and_are_dense,
            a_key_keeps_when_it_was_created_until_it_is_deleted,
            a_failed_check_changes_nothing_and_shows_the_states,
            a_transaction_happens_whole_or_not_at_all,
            what_changes_nothing_takes_no_revision,
            ranges_are_ordered_pages_of_a_prefix,
            an_old_revision_reads_as_it_was,
            pages_of_one_list_agree_while_others_write,
            a_watch_gives_every_event_after_its_revision,
            a_watch_waits_for_what_comes,
            events_of_a_revision_come_in_one_batch,
            large_revisions_come_whole,
            a_slow_watch_still_gets_everything,
            the_future_is_refused,
            compaction_forgets_what_was_before,
            a_watch_that_missed_nothing_outlives_compaction,
            large_and_empty_values_and_odd_keys_are_kept,
        );
    };
    (@each $make:path: $($case:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $case() {
            // `None` where the engine is not to be had; its maker says so.
            let Some((store, _guard)) = $make().await else { return };
            $crate::suite::$case(&store).await;
        })*
    };
}

pub(crate) fn key(key: &str) -> Key {
    Key::from(key)
}

pub(crate) fn value(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub(crate) fn put(key: &str, text: &str) -> Op {
    Op::Put { key: key.into(), value: value(text) }
}

pub(crate) fn delete(key: &str) -> Op {
    Op::Delete { key: key.into() }
}

pub(crate) async fn commit(store: &impl Store, ops: Vec<Op>) -> Revision {
    match store.commit(Txn { checks: Vec::new(), ops }).await.expect("the store takes writes") {
        Outcome::Committed(revision) => revision,
        Outcome::Conflict(states) => panic!("nothing was checked, but {states:?} was in conflict"),
    }
}

/// As many events as asked for, in their batches.
pub(crate) async fn batches(watch: &mut dyn Watch, events: usize) -> Vec<Vec<Event>> {
    let mut batches: Vec<Vec<Event>> = Vec::new();
    while batches.iter().map(Vec::len).sum::<usize>() < events {
        let next = tokio::time::timeout(Duration::from_secs(60), watch.next()).await;
        batches.push(next.expect("an event comes in time").expect("the watch goes on"));
    }
    batches
}

pub(crate) async fn events(watch: &mut dyn Watch, count: usize) -> Vec<(u64, String, Option<String>)> {
    batches(watch, count).await.concat().iter().map(brief).collect()
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn brief(event: &Event) -> (u64, String, Option<String>) {
    (event.revision.0, event.key.to_string(), event.value.as_ref().map(text))
}

fn event(revision: u64, key: &str, value: Option<&str>) -> (u64, String, Option<String>) {
    (revision, key.to_owned(), value.map(str::to_owned))
}

fn keys(range: &Range) -> Vec<&str> {
    range.items.iter().map(|kv| &*kv.key).collect()
}

fn values(range: &Range) -> Vec<(String, String)> {
    range.items.iter().map(|kv| (kv.key.to_string(), text(&kv.value))).collect()
}

fn kv(key: &str, text: &str, created: u64, modified: u64) -> KeyValue {
    KeyValue { key: key.into(), value: value(text), created: Revision(created), modified: Revision(modified) }
}

pub(crate) async fn revisions_begin_at_one_and_are_dense(store: &impl Store) {
    assert_eq!(store.revision().await.unwrap(), Revision(0));
    for expected in 1..=5 {
        assert_eq!(commit(store, vec![put("a", "x"), put("b", "y")]).await, Revision(expected));
        assert_eq!(store.revision().await.unwrap(), Revision(expected));
    }
}

pub(crate) async fn a_key_keeps_when_it_was_created_until_it_is_deleted(store: &impl Store) {
    assert_eq!(store.get("a").await.unwrap(), None);
    commit(store, vec![put("a", "1")]).await;
    commit(store, vec![put("a", "2")]).await;
    assert_eq!(store.get("a").await.unwrap(), Some(kv("a", "2", 1, 2)));
    commit(store, vec![delete("a")]).await;
    assert_eq!(store.get("a").await.unwrap(), None);
    commit(store, vec![put("a", "3")]).await;
    assert_eq!(store.get("a").await.unwrap(), Some(kv("a", "3", 4, 4)));
}

pub(crate) async fn a_failed_check_changes_nothing_and_shows_the_states(store: &impl Store) {
    let commit = async |txn| store.commit(txn).await.unwrap();
    assert_eq!(commit(Txn::create(key("a"), value("1"))).await, Outcome::Committed(Revision(1)));
    let state = Some(kv("a", "1", 1, 1));
    assert_eq!(commit(Txn::create(key("a"), value("2"))).await, Outcome::Conflict(vec![state.clone()]));
    assert_eq!(commit(Txn::update(key("a"), Revision(7), value("2"))).await, Outcome::Conflict(vec![state.clone()]));
    assert_eq!(commit(Txn::delete(key("a"), Revision(7))).await, Outcome::Conflict(vec![state.clone()]));
    assert_eq!(commit(Txn::update(key("x"), Revision(1), value("2"))).await, Outcome::Conflict(vec![None]));
    assert_eq!(store.revision().await.unwrap(), Revision(1));
    assert_eq!(commit(Txn::update(key("a"), Revision(1), value("2"))).await, Outcome::Committed(Revision(2)));
    assert_eq!(commit(Txn::delete(key("a"), Revision(2))).await, Outcome::Committed(Revision(3)));
}

pub(crate) async fn a_transaction_happens_whole_or_not_at_all(store: &impl Store) {
    commit(store, vec![put("a", "1")]).await;
    let txn = Txn {
        checks: vec![(key("a"), Expect::At(Revision(1))), (key("b"), Expect::At(Revision(1)))],
        ops: vec![put("a", "2"), put("b", "2"), delete("a")],
    };
    let outcome = store.commit(txn.clone()).await.unwrap();
    assert_eq!(outcome, Outcome::Conflict(vec![Some(kv("a", "1", 1, 1)), None]));
    assert_eq!(store.get("b").await.unwrap(), None);
    let txn = Txn { checks: vec![txn.checks[0].clone(), (key("b"), Expect::Absent)], ..txn };
    assert_eq!(store.commit(txn).await.unwrap(), Outcome::Committed(Revision(2)));
    let all = store.range("", None, 0, None).await.unwrap();
    assert_eq!(all.items, [kv("b", "2", 2, 2)]);
}

pub(crate) async fn what_changes_nothing_takes_no_revision(store: &impl Store) {
    commit(store, vec![put("a", "1")]).await;
    assert_eq!(commit(store, vec![]).await, Revision(1));
    assert_eq!(commit(store, vec![delete("x")]).await, Revision(1));
    assert_eq!(commit(store, vec![delete("x"), put("a", "1")]).await, Revision(2));
    let mut watch = store.watch("", Revision(0)).await.unwrap();
    let expected = [event(1, "a", Some("1")), event(2, "a", Some("1"))];
    assert_eq!(events(&mut *watch, 2).await, expected);
}

pub(crate) async fn ranges_are_ordered_pages_of_a_prefix(store: &impl Store) {
    let names = ["/pods/a/x", "/pods/a/y", "/pods/a0", "/pods/ab/x", "/pods/b/x", "/podsx"];
    for name in names.iter().rev() {
        commit(store, vec![put(name, name)]).await;
    }
    let range = async |prefix, after, limit| store.range(prefix, after, limit, None).await.unwrap();
    assert_eq!(keys(&range("/pods/", None, 0).await), names[..5]);
    assert_eq!(keys(&range("/pods/a/", None, 0).await), names[..2]);
    assert_eq!(keys(&range("", None, 0).await), names);
    assert_eq!(keys(&range("/q", None, 0).await), Vec::<&str>::new());
    let check = async |after, limit, expected: &[&str], more| {
        let page = range("/pods/", after, limit).await;
        assert_eq!((keys(&page), page.more, page.revision), (expected.to_vec(), more, Revision(6)));
    };
    check(None, 2, &names[..2], true).await;
    check(Some("/pods/a/y"), 2, &names[2..4], true).await;
    check(Some("/pods/ab/x"), 2, &names[4..5], false).await;
    check(Some("/pods/b/x"), 2, &[], false).await;
    check(Some("/pods/a/y0"), 1, &names[2..3], true).await;
    check(Some("/a"), 5, &names[..5], false).await;
    check(Some("/z"), 5, &[], false).await;
}

pub(crate) async fn an_old_revision_reads_as_it_was(store: &impl Store) {
    commit(store, vec![put("a", "1"), put("b", "1")]).await;
    commit(store, vec![put("a", "2"), delete("b"), put("c", "2")]).await;
    commit(store, vec![put("b", "3"), delete("c")]).await;
    let at = async |revision| store.range("", None, 0, Some(Revision(revision))).await.unwrap();
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect::<Vec<_>>();
    assert_eq!(values(&at(0).await), []);
    assert_eq!(values(&at(1).await), pairs(&[("a", "1"), ("b", "1")]));
    assert_eq!(values(&at(2).await), pairs(&[("a", "2"), ("c", "2")]));
    assert_eq!(at(2).await.items, [kv("a", "2", 1, 2), kv("c", "2", 2, 2)]);
    assert_eq!(values(&at(3).await), pairs(&[("a", "2"), ("b", "3")]));
    assert_eq!(at(1).await.revision, Revision(1));
}

pub(crate) async fn pages_of_one_list_agree_while_others_write(store: &impl Store) {
    for n in 0..20 {
        commit(store, vec![put(&format!("k{n:02}"), "old")]).await;
    }
    let first = store.range("k", None, 7, None).await.unwrap();
    let (mut seen, mut more) = (first.items, first.more);
    let mut writes = 0;
    while more {
        for n in 0..20 {
            commit(store, vec![put(&format!("k{n:02}"), "new"), delete(&format!("k{:02}", 19 - n))]).await;
            writes += 1;
        }
        let last = seen.last().expect("a page is not empty").key.clone();
        let page = store.range("k", Some(&last), 7, Some(first.revision)).await.unwrap();
        assert_eq!(page.revision, first.revision);
        seen.extend(page.items);
        more = page.more;
    }
    assert!(writes > 0);
    let seen: Vec<_> = seen.iter().map(|kv| (kv.key.to_string(), text(&kv.value))).collect();
    let expected: Vec<_> = (0..20).map(|n| (format!("k{n:02}"), "old".to_owned())).collect();
    assert_eq!(seen, expected);
}

pub(crate) async fn a_watch_gives_every_event_after_its_revision(store: &impl Store) {
    commit(store, vec![put("/a/1", "1")]).await;
    commit(store, vec![put("/b/1", "1")]).await;
    commit(store, vec![put("/a/1", "2"), put("/b/1", "2")]).await;
    let mut all = store.watch("", Revision(0)).await.unwrap();
    let mut later = store.watch("/a/", Revision(1)).await.unwrap();
    commit(store, vec![delete("/a/1"), put("/a/2", "1")]).await;
    let rest = [event(3, "/a/1", Some("2")), event(4, "/a/1", None), event(4, "/a/2", Some("1"))];
    assert_eq!(events(&mut *later, 3).await, rest);
    let seen = batches(&mut *all, 6).await.concat();
    assert_eq!(seen.iter().map(|event| event.revision.0).collect::<Vec<_>>(), [1, 2, 3, 3, 4, 4]);
    assert_eq!(seen[0].previous, None);
    assert_eq!(seen[2].previous, Some(kv("/a/1", "1", 1, 1)));
    assert_eq!(seen[4].previous, Some(kv("/a/1", "2", 1, 3)));
}

pub(crate) async fn a_watch_waits_for_what_comes(store: &impl Store) {
    commit(store, vec![put("/a", "1")]).await;
    let mut watch = store.watch("/a", Revision(1)).await.unwrap();
    let writes = async {
        commit(store, vec![put("/b", "1")]).await;
        commit(store, vec![put("/a", "2")]).await;
    };
    let (seen, ()) = tokio::join!(events(&mut *watch, 1), writes);
    assert_eq!(seen, [event(3, "/a", Some("2"))]);
    assert!(watch.next().now_or_never().is_none(), "the watch gives what did not happen");
}

pub(crate) async fn events_of_a_revision_come_in_one_batch(store: &impl Store) {
    for n in 0..10 {
        commit(store, (0..700).map(|key| put(&format!("{key}"), &format!("{n}"))).collect()).await;
    }
    let mut watch = store.watch("", Revision(0)).await.unwrap();
    let mut last = 0;
    for batch in batches(&mut *watch, 7000).await {
        assert_eq!(batch.len() % 700, 0);
        assert_eq!(batch[0].revision.0, last + 1);
        last = batch[batch.len() - 1].revision.0;
    }
    assert_eq!(last, 10);
}

/// Values and what they replace are together more than an engine may deliver in one message.
pub(crate) async fn large_revisions_come_whole(store: &impl Store) {
    let filler = "x".repeat(14_000);
    for n in 1..=4 {
        let ops = (0..100).map(|key| put(&format!("{key:02}"), &format!("{n}{filler}"))).collect();
        assert_eq!(commit(store, ops).await, Revision(n));
    }
    let mut watch = store.watch("", Revision(0)).await.unwrap();
    let mut last = 0;
    for batch in batches(&mut *watch, 400).await {
        for revision in batch.chunks(100) {
            last += 1;
            let whole = revision.len() == 100 && revision.iter().all(|event| event.revision.0 == last);
            assert!(whole, "a batch has a part of revision {last}");
            assert!(revision.iter().all(|event| event.previous.is_some() == (last > 1)));
        }
    }
    assert_eq!(last, 4);
}

pub(crate) async fn a_slow_watch_still_gets_everything(store: &impl Store) {
    let mut watch = store.watch("/a", Revision(0)).await.unwrap();
    for n in 0..1500 {
        commit(store, vec![put(if n % 3 == 0 { "/a" } else { "/b" }, &n.to_string())]).await;
    }
    let expected: Vec<_> = (0..1500).step_by(3).map(|n| event(n + 1, "/a", Some(&n.to_string()))).collect();
    assert_eq!(events(&mut *watch, 500).await, expected);
}

pub(crate) async fn the_future_is_refused(store: &impl Store) {
    commit(store, vec![put("a", "1")]).await;
    let expected = "revision 2 is in the future; the current one is 1";
    let range = store.range("", None, 0, Some(Revision(2))).await.unwrap_err();
    assert_eq!(range.to_string(), expected);
    let Err(watch) = store.watch("", Revision(2)).await else { panic!("a watch of the future began") };
    assert_eq!(watch.to_string(), expected);
    assert_eq!(store.compact(Revision(2)).await.unwrap_err().to_string(), expected);
}

pub(crate) async fn compaction_forgets_what_was_before(store: &impl Store) {
    for n in 1..=5 {
        commit(store, vec![put("a", &n.to_string())]).await;
    }
    store.compact(Revision(3)).await.unwrap();
    store.compact(Revision(2)).await.expect("what is forgotten already is no error");
    let compacted =
        |error: StoreError| assert_eq!(error.to_string(), "revision 2 has been compacted; the oldest kept is 3");
    compacted(store.range("", None, 0, Some(Revision(2))).await.unwrap_err());
    match store.watch("", Revision(2)).await {
        Err(error) => compacted(error),
        Ok(mut watch) => compacted(watch.next().await.unwrap_err()),
    }
    assert_eq!(store.range("", None, 0, Some(Revision(3))).await.unwrap().items, [kv("a", "3", 1, 3)]);
    let mut watch = store.watch("", Revision(3)).await.unwrap();
    assert_eq!(events(&mut *watch, 2).await, [event(4, "a", Some("4")), event(5, "a", Some("5"))]);
    assert_eq!(store.get("a").await.unwrap(), Some(kv("a", "5", 1, 5)));
}

pub(crate) async fn a_watch_that_missed_nothing_outlives_compaction(store: &impl Store) {
    let mut watch = store.watch("/a", Revision(0)).await.unwrap();
    for n in 0..100 {
        commit(store, vec![put("/b", &n.to_string())]).await;
    }
    store.compact(Revision(100)).await.unwrap();
    commit(store, vec![put("/a", "1")]).await;
    assert_eq!(events(&mut *watch, 1).await, [event(101, "/a", Some("1"))]);
}

pub(crate) async fn large_and_empty_values_and_odd_keys_are_kept(store: &impl Store) {
    let large = Bytes::from(vec![0xa5; 1_500_000]);
    let ops = vec![
        Op::Put { key: key("large"), value: large.clone() },
        put("empty", ""),
        put("ключ/鍵\u{0}", "odd"),
        Op::Put { key: key("bytes"), value: Bytes::from_static(&[0, 255, 10, 13]) },
    ];
    commit(store, ops).await;
    assert_eq!(store.get("large").await.unwrap().expect("it was put").value, large);
    assert_eq!(store.get("empty").await.unwrap(), Some(kv("empty", "", 1, 1)));
    assert_eq!(store.get("ключ/鍵\u{0}").await.unwrap(), Some(kv("ключ/鍵\u{0}", "odd", 1, 1)));
    assert_eq!(store.get("bytes").await.unwrap().expect("it was put").value, [0, 255, 10, 13][..]);
}
