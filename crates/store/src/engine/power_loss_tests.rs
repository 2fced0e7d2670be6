//! The power fails or the process is killed at seeded random moments, again and again on the same disk: nothing that
//! was acknowledged, or seen after a restart, is lost.

use super::{Embedded, Options};
use crate::files::power_loss::Disk;
use crate::{Event, Key, Op, Outcome, Revision, Store, Txn};
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::BTreeMap;
use std::sync::Arc;

const COMMITTERS: usize = 4;

/// Small enough that segments, snapshots and forgetting happen all the time.
fn options() -> Options {
    Options {
        history_events_max: 40,
        history_events_min: 10,
        segment_bytes_max: 2 << 10,
        snapshot_log_bytes: 4 << 10,
        ..Options::default()
    }
}

/// What one committer knows: its counter's last acknowledged and last attempted value.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    acknowledged: u64,
    attempted: u64,
    revision: u64,
}

fn put(key: String, counter: u64, padding: usize) -> Op {
    let mut value = counter.to_le_bytes().to_vec();
    value.resize(8 + padding, 7);
    Op::Put { key: key.into(), value: value.into() }
}

fn counter(value: &Bytes) -> u64 {
    u64::from_le_bytes(value[..8].try_into().expect("a counter has 8 bytes"))
}

/// Commits until the power fails: a counter in two keys at once, and now and then a key that comes and goes.
async fn commit_until_cut(store: &Embedded, committer: usize, mut known: Known, seed: u64) -> Known {
    let mut random = StdRng::seed_from_u64(seed);
    loop {
        known.attempted += 1;
        let padding = random.random_range(0..700);
        let mut ops = vec![
            put(format!("{committer}/a"), known.attempted, padding),
            put(format!("{committer}/b"), known.attempted, 0),
        ];
        let other = Key::from(format!("{committer}/{}", random.random_range(0..20)));
        ops.push(match random.random_bool(0.5) {
            true => Op::Put { key: other, value: Bytes::from_static(b"other") },
            false => Op::Delete { key: other },
        });
        match store.commit(Txn { checks: Vec::new(), ops }).await {
            Ok(Outcome::Committed(Revision(revision))) => {
                assert!(revision > known.revision, "revision {revision} came after {}", known.revision);
                (known.acknowledged, known.revision) = (known.attempted, revision);
            }
            Ok(outcome) => panic!("{outcome:?} without a check"),
            Err(_) => return known,
        }
    }
}

/// What must hold after recovery.
async fn check(store: &Embedded, known: &mut [Known], floor_of_all: &mut u64) {
    let current = store.revision().await.unwrap().0;
    for (committer, known) in known.iter_mut().enumerate() {
        assert!(current >= known.revision, "revision {current} after {} was acknowledged", known.revision);
        let get =
            async |key| store.get(&format!("{committer}/{key}")).await.unwrap().map_or(0, |kv| counter(&kv.value));
        let (a, b) = (get("a").await, get("b").await);
        assert_eq!(a, b, "committer {committer} has half of a transaction");
        assert!((known.acknowledged..=known.attempted).contains(&a), "committer {committer} has {a}: {known:?}");
        *known = Known { acknowledged: a, attempted: a, revision: known.revision };
    }
    assert!(current >= *floor_of_all);
    *floor_of_all = current;
    history_agrees(store).await;
}

/// The tree of the oldest revision and the events since then give the newest tree.
async fn history_agrees(store: &Embedded) {
    let stats = store.stats();
    let tree = async |at| {
        let range = store.range("", None, 0, at).await.unwrap();
        range.items.into_iter().map(|kv| (kv.key.clone(), kv)).collect::<BTreeMap<_, _>>()
    };
    let mut replayed = tree(Some(stats.oldest)).await;
    let mut watch = store.watch("", stats.oldest).await.unwrap();
    let mut last = stats.oldest.0;
    while last < stats.revision.0 {
        for Event { revision, key, value, previous } in watch.next().await.unwrap() {
            assert!(revision.0 == last || revision.0 == last + 1, "revision {revision} after {last}");
            last = revision.0;
            assert_eq!(replayed.get(&key), previous.as_ref());
            let created = previous.map_or(revision, |previous| previous.created);
            match value {
                Some(value) => {
                    replayed.insert(key.clone(), crate::KeyValue { key, value, created, modified: revision })
                }
                None => replayed.remove(&key),
            };
        }
    }
    assert_eq!(replayed, tree(None).await);
}

async fn run(seed: u64) -> u64 {
    let mut random = StdRng::seed_from_u64(seed);
    let mut disk = Disk::new(seed);
    let mut known = [Known::default(); COMMITTERS];
    let (mut newest, mut snapshots) = (0, 0);
    for _ in 0..6 {
        disk.cut_after(random.random_range(0..250));
        // The power may fail during recovery too.
        if let Ok(store) = Embedded::over(Arc::new(disk.clone()), options()) {
            check(&store, &mut known, &mut newest).await;
            let seeds: [u64; COMMITTERS] = random.random();
            let commits = (0..COMMITTERS).map(|n| commit_until_cut(&store, n, known[n], seeds[n]));
            known = futures::future::join_all(commits).await.try_into().expect("one for each committer");
            snapshots += store.stats().snapshots;
        }
        disk = if random.random_bool(0.3) { disk.after_kill() } else { disk.after_power_loss() };
    }
    let store = Embedded::over(Arc::new(disk), options()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    check(&store, &mut known, &mut newest).await;
    snapshots
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_power_fails() {
    let mut snapshots = 0;
    for seed in 0..300 {
        snapshots += run(seed).await;
    }
    println!("{snapshots} snapshots");
    assert!(snapshots > 50, "only {snapshots} snapshots: the bounds are too wide to test much");
}
