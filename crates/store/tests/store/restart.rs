//! What lasts across restarts, what stays bounded, and who may open a store.

use crate::suite::{batches, commit, put, value};
use bytes::Bytes;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{Clock, Embedded, Op, Options, Revision, Store, StoreError, Txn};

fn size_on_disk(dir: &Path) -> u64 {
    // A file may go between the listing and the look.
    let len =
        |entry: std::io::Result<std::fs::DirEntry>| entry.and_then(|entry| entry.metadata()).map_or(0, |m| m.len());
    std::fs::read_dir(dir).unwrap().map(len).sum()
}

#[tokio::test]
async fn a_watch_resumes_after_a_restart_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), Options::default()).unwrap();
    for n in 0..100 {
        commit(&store, vec![put("/a", &n.to_string()), put("/b", "")]).await;
    }
    let mut watch = store.watch("/a", Revision(0)).await.unwrap();
    let seen = batches(&mut *watch, 40).await.concat();
    let last = seen.last().unwrap().revision;
    drop(store);
    let rest = batches(&mut *watch, 100 - seen.len()).await.concat();
    assert!(matches!(watch.next().await, Err(StoreError::Closed { .. })), "a watch of a closed store ends");

    let store = Embedded::open(dir.path(), Options::default()).unwrap();
    let mut watch = store.watch("/a", last).await.unwrap();
    let resumed = batches(&mut *watch, 100 - seen.len()).await.concat();
    assert_eq!(resumed, rest);
    assert_eq!(commit(&store, vec![put("/a", "100")]).await, Revision(101));
    let next = batches(&mut *watch, 1).await.concat();
    assert_eq!(next[0].previous.as_ref().map(|kv| kv.modified), Some(Revision(100)));
}

#[tokio::test]
async fn a_second_opener_is_told_who_holds_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), Options::default()).unwrap();
    let Err(error) = Embedded::open(dir.path(), Options::default()) else { panic!("opened twice") };
    let lock = dir.path().join("lock");
    let expected = format!("lock {}: another process holds it (pid {})", lock.display(), std::process::id());
    assert_eq!(error.to_string(), expected);
    drop(store);
    Embedded::open(dir.path(), Options::default()).unwrap();
}

#[tokio::test]
async fn only_its_user_can_read_the_store() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep").join("store");
    let store = Embedded::open(&path, Options::default()).unwrap();
    commit(&store, vec![put("secret", "s")]).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for entry in std::fs::read_dir(&path).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

/// Leases and events: a few keys overwritten for ever, and keys that come and go.
#[tokio::test]
async fn space_stays_bounded_under_churn() {
    let options = Options {
        history_events_max: 1_000,
        history_bytes_max: 200 << 10,
        segment_bytes_max: 64 << 10,
        snapshot_log_bytes: 256 << 10,
        ..Options::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), options.clone()).unwrap();
    let content = Bytes::from(vec![1; 400]);
    let mut written = 0;
    for round in 0..1_500 {
        let lease = |n| Op::Put { key: format!("/leases/{n}").into(), value: content.clone() };
        let mut ops: Vec<Op> = (0..20).map(lease).collect();
        ops.push(Op::Put { key: format!("/events/{round}").into(), value: content.clone() });
        ops.push(Op::Delete { key: format!("/events/{}", round - 50).into() });
        commit(&store, ops).await;
        shrinks_below(4 << 20, dir.path()).await;
        written = store.stats().log_bytes_written;
    }
    let stats = store.stats();
    assert_eq!(stats.keys, 70);
    assert!(stats.history_events <= 1_000 && stats.history_bytes <= 200 << 10, "{stats:?}");
    assert!(stats.snapshots >= 5, "{stats:?}");
    assert!(written > 12 << 20, "{written} bytes were written");
    drop(store);
    let store = Embedded::open(dir.path(), options).unwrap();
    assert_eq!((store.stats().keys, store.stats().revision), (70, stats.revision));
}

/// Waits for the snapshot that may be under way: on a busy machine its thread has its turn late.
async fn shrinks_below(bytes: u64, dir: &Path) {
    let begun = Instant::now();
    while size_on_disk(dir) >= bytes {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} bytes stay on disk", size_on_disk(dir));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_backup_is_a_store_that_goes_on_from_its_revision() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path().join("store"), Options::default()).unwrap();
    let empty = dir.path().join("empty");
    assert_eq!(store.backup(&empty).unwrap(), Revision(0));
    for n in 0..50 {
        commit(&store, (0..=n).map(|key| put(&key.to_string(), &n.to_string())).collect()).await;
    }
    let copy = dir.path().join("copy");
    assert_eq!(store.backup(&copy).unwrap(), Revision(50));
    let error = store.backup(&copy).unwrap_err().to_string();
    assert_eq!(error, format!("make a new store in {}: it holds a store already", copy.display()));
    commit(&store, vec![put("later", "")]).await;

    let all = async |store: &Embedded, at| store.range("", None, 0, at).await.unwrap().items;
    let restored = Embedded::open(&copy, Options::default()).unwrap();
    assert_eq!(all(&restored, None).await, all(&store, Some(Revision(50))).await);
    assert_eq!(commit(&restored, vec![put("a", "")]).await, Revision(51));
    drop(restored);
    let restored = Embedded::open(&copy, Options::default()).unwrap();
    assert_eq!(restored.revision().await.unwrap(), Revision(51));
    let restored = Embedded::open(&empty, Options::default()).unwrap();
    assert_eq!(commit(&restored, vec![put("a", "")]).await, Revision(1));
}

#[tokio::test]
async fn a_backup_ahead_gives_out_no_revision_twice_and_tells_old_watchers() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path().join("store"), Options::default()).unwrap();
    for n in 0..5 {
        commit(&store, vec![put("a", &n.to_string())]).await;
    }
    let copy = dir.path().join("copy");
    assert_eq!(store.backup_ahead(&copy, 1000).unwrap(), Revision(1005));
    // What happens after the backup is lost, but was seen.
    commit(&store, vec![put("a", "lost")]).await;
    let restored = Embedded::open(&copy, Options::default()).unwrap();
    let found = restored.get("a").await.unwrap().unwrap();
    assert_eq!((&found.value[..], found.modified), (&b"4"[..], Revision(5)));
    let Err(error) = restored.watch("", Revision(6)).await else { panic!("a lost revision can be watched from") };
    assert!(matches!(error, StoreError::Compacted { oldest: Revision(1005), .. }), "{error}");
    assert_eq!(commit(&restored, vec![put("a", "new")]).await, Revision(1006));
}

#[tokio::test]
async fn half_a_backup_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path().join("store"), Options::default()).unwrap();
    commit(&store, vec![put("a", "")]).await;
    let copy = dir.path().join("copy");
    store.backup(&copy).unwrap();
    std::fs::remove_file(copy.join("snapshot-00000000000000000001")).unwrap();
    let Err(error) = Embedded::open(&copy, Options::default()) else { panic!("half a backup was opened") };
    let expected = format!("read the log in {}: the segment that holds revision 1 is missing", copy.display());
    assert_eq!(error.to_string(), expected);
}

#[derive(Default)]
struct ManualClock(Mutex<Duration>);

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        *self.0.lock()
    }
}

#[tokio::test]
async fn history_is_forgotten_by_age_but_a_quiet_store_keeps_some() {
    let clock = Arc::new(ManualClock::default());
    let options = Options { history_events_min: 10, clock: clock.clone(), ..Options::default() };
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), options).unwrap();
    for n in 0..100 {
        commit(&store, vec![put("a", &n.to_string())]).await;
    }
    *clock.0.lock() += Duration::from_secs(301);
    assert_eq!(store.stats().oldest, Revision(0));
    commit(&store, vec![put("a", "later")]).await;
    assert_eq!(store.stats().oldest, Revision(91));
    let error = store.range("", None, 0, Some(Revision(90))).await.unwrap_err();
    assert!(matches!(error, StoreError::Compacted { asked: Revision(90), oldest: Revision(91) }), "{error}");
}

#[tokio::test]
async fn a_watch_that_lags_past_the_bound_is_told_so() {
    let options = Options { history_events_max: 100, ..Options::default() };
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), options).unwrap();
    let mut lagging = store.watch("/a", Revision(0)).await.unwrap();
    let mut elsewhere = store.watch("/b", Revision(0)).await.unwrap();
    for n in 0..300 {
        commit(&store, vec![put("/a", &n.to_string())]).await;
    }
    for _ in 0..2 {
        let error = lagging.next().await.unwrap_err();
        assert!(matches!(error, StoreError::Compacted { asked: Revision(0), oldest: Revision(200) }), "{error}");
    }
    commit(&store, vec![put("/b", "1")]).await;
    assert_eq!(batches(&mut *elsewhere, 1).await.concat()[0].revision, Revision(301));
}

#[tokio::test]
async fn an_old_revision_many_events_away_is_still_exact() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), Options::default()).unwrap();
    for n in 0..50 {
        commit(&store, (0..200).map(|key| put(&format!("{key:03}"), &n.to_string())).collect()).await;
    }
    for revision in [50, 1, 37, 38, 37, 2] {
        let range = store.range("", None, 0, Some(Revision(revision))).await.unwrap();
        let expected = (revision - 1).to_string();
        assert_eq!(range.items.len(), 200);
        assert!(range.items.iter().all(|kv| kv.modified == Revision(revision) && kv.value == expected));
    }
}

#[tokio::test]
async fn recovers_100_000_objects() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), Options::default()).unwrap();
    for chunk in 0..200 {
        let put = |n| Op::Put { key: format!("/pods/{chunk}/{n}").into(), value: Bytes::from(vec![n as u8; 200]) };
        commit(&store, (0..500).map(put).collect()).await;
    }
    drop(store);
    let started = Instant::now();
    let store = Embedded::open(dir.path(), Options::default()).unwrap();
    println!("recovered 100,000 objects of 200 bytes in {:?} (unoptimised)", started.elapsed());
    assert_eq!((store.stats().keys, store.stats().revision), (100_000, Revision(200)));
    assert_eq!(store.get("/pods/7/255").await.unwrap().unwrap().value, vec![255; 200]);
}

/// Committers, listers and watchers at once, on several threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_increments_are_all_counted_and_all_seen() {
    const INCREMENTS: u64 = 200;
    const TASKS: u64 = 16;
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Embedded::open(dir.path(), Options::default()).unwrap());
    commit(&*store, vec![put("n", "0")]).await;
    let mut watches = Vec::new();
    for _ in 0..4 {
        let mut watch = store.watch("n", Revision(1)).await.unwrap();
        watches.push(tokio::spawn(async move { batches(&mut *watch, (TASKS * INCREMENTS) as usize).await.concat() }));
    }
    let increment = |store: Arc<Embedded>| async move {
        for _ in 0..INCREMENTS {
            loop {
                let range = store.range("n", None, 0, None).await.unwrap();
                let kv = &range.items[0];
                assert_eq!(kv.modified, range.revision);
                let next = String::from_utf8_lossy(&kv.value).parse::<u64>().unwrap() + 1;
                let txn = Txn::update(kv.key.clone(), kv.modified, value(&next.to_string()));
                if let store::Outcome::Committed(_) = store.commit(txn).await.unwrap() {
                    break;
                }
            }
        }
    };
    let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(increment(store.clone()))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    let total = TASKS * INCREMENTS;
    assert_eq!(store.get("n").await.unwrap().unwrap().value, total.to_string());
    assert_eq!(store.revision().await.unwrap(), Revision(total + 1));
    for watch in watches {
        let seen: Vec<_> = watch.await.unwrap().into_iter().map(|e| (e.revision.0, e.value.unwrap())).collect();
        let expected: Vec<_> = (1..=total).map(|n| (n + 1, Bytes::from(n.to_string()))).collect();
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn a_cancelled_commit_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), Options::default()).unwrap();
    for n in 0..50 {
        let txn = Txn { checks: Vec::new(), ops: vec![put("a", &n.to_string())] };
        let commit = store.commit(txn);
        tokio::select! { biased; result = commit => drop(result.unwrap()), () = std::future::ready(()) => {} }
    }
    // Those fifty were accepted before this one.
    assert_eq!(commit(&store, vec![put("b", "")]).await, Revision(51));
}
