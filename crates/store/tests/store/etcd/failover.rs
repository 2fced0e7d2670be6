//! Three members, whose leader is killed with SIGKILL under load, again and again.

use super::member::{Member, installed, open, options};
use crate::suite::key;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use store::{Etcd, Event, Outcome, Revision, Store, StoreError, Txn};
use tokio::sync::watch;

const WRITERS: usize = 6;
const KILLS: usize = 2;
const WRITES_BETWEEN: u64 = 150;

/// Counts its key up for as long as it may, and what was acknowledged; says the last value that was.
async fn count_up(
    store: Arc<Etcd>,
    name: String,
    acknowledged: Arc<AtomicU64>,
    mut go_on: watch::Receiver<bool>,
) -> u64 {
    let (mut count, mut at) = (0_u64, None);
    while *go_on.borrow_and_update() {
        let value = Bytes::from((count + 1).to_string());
        let txn = match at {
            None => Txn::create(key(&name), value),
            Some(at) => Txn::update(key(&name), at, value),
        };
        match store.commit(txn).await {
            Ok(Outcome::Committed(revision)) => {
                assert!(at.is_none_or(|at| at < revision), "{revision} after {at:?}");
                (count, at) = (count + 1, Some(revision));
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            // Nobody else writes this key: a conflict would be with a write of its own that was not acknowledged.
            Ok(Outcome::Conflict(states)) => panic!("{name} is at {count}, {at:?}, but the store at {states:?}"),
            Err(error) => panic!("{name} at {count}: {error}"),
        }
    }
    count
}

/// Revisions as they are read: never back.
async fn read_revisions(store: Arc<Etcd>, mut go_on: watch::Receiver<bool>) {
    let mut last = Revision(0);
    while *go_on.borrow_and_update() {
        let now = store.revision().await.unwrap();
        assert!(last <= now, "{now} after {last}");
        last = now;
    }
}

async fn follow(store: Arc<Etcd>, until: tokio::sync::oneshot::Receiver<Revision>) -> Result<Vec<Event>, StoreError> {
    let mut watch = store.watch("", Revision(0)).await?;
    let (mut seen, mut until, mut end): (Vec<Event>, _, _) = (Vec::new(), until, None);
    while end.is_none_or(|end| seen.last().is_none_or(|event| event.revision < end)) {
        tokio::select! {
            events = watch.next() => seen.extend(events?),
            told = &mut until, if end.is_none() => end = Some(told.unwrap()),
        }
    }
    Ok(seen)
}

async fn acknowledged_beyond(acknowledged: &AtomicU64, count: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while acknowledged.load(Ordering::SeqCst) < count {
        assert!(Instant::now() < deadline, "only {acknowledged:?} of {count} writes were acknowledged");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Every count of every key once, in order; every event after the one before it.
fn check_seen(seen: &[Event], counts: &HashMap<String, u64>) {
    let mut reached: HashMap<String, u64> = HashMap::new();
    for pair in seen.windows(2) {
        assert!(pair[0].revision < pair[1].revision, "{} after {}", pair[1].revision, pair[0].revision);
    }
    for event in seen {
        let count = reached.entry(event.key.to_string()).or_default();
        *count += 1;
        assert_eq!(event.value.as_deref(), Some(count.to_string().as_bytes()), "{} at {}", event.key, event.revision);
        let before = event.previous.as_ref().map(|kv| kv.value.clone());
        assert_eq!(before.is_some(), *count > 1);
    }
    assert_eq!(&reached, counts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_or_undone_when_leaders_die() {
    if !installed() {
        return;
    }
    let mut members = Member::cluster(3, &["--heartbeat-interval=50", "--election-timeout=500"], None);
    let urls: Vec<String> = members.iter().map(|member| member.url.clone()).collect();
    let mut order: Vec<&str> = urls.iter().map(String::as_str).collect();
    open(options(&order)).await;
    // One store talks to the leader that will be killed, the other to a member that loses its leader.
    order.rotate_left(members.iter().position(Member::leads).expect("somebody leads"));
    let one = Arc::new(open(options(&order)).await);
    order.reverse();
    let two = Arc::new(open(options(&order)).await);
    let (acknowledged, go_on) = (Arc::new(AtomicU64::new(0)), watch::Sender::new(true));
    let mut writers = HashMap::new();
    for n in 0..WRITERS {
        let (store, name) = (if n % 2 == 0 { one.clone() } else { two.clone() }, format!("k{n}"));
        let writer = tokio::spawn(count_up(store, name.clone(), acknowledged.clone(), go_on.subscribe()));
        writers.insert(name, writer);
    }
    let readers = [&one, &two].map(|store| tokio::spawn(read_revisions(store.clone(), go_on.subscribe())));
    let followers = [&one, &two].map(|store| {
        let (tell, told) = tokio::sync::oneshot::channel();
        (tell, tokio::spawn(follow(store.clone(), told)))
    });
    for kill in 0..KILLS {
        acknowledged_beyond(&acknowledged, acknowledged.load(Ordering::SeqCst) + WRITES_BETWEEN).await;
        let leader = members.iter_mut().find(|member| member.leads()).expect("somebody leads");
        eprintln!("kill {kill}: {} at {acknowledged:?}", leader.url);
        leader.kill();
        acknowledged_beyond(&acknowledged, acknowledged.load(Ordering::SeqCst) + WRITES_BETWEEN).await;
        leader.start();
    }
    go_on.send(false).unwrap();
    let mut counts = HashMap::new();
    for (name, writer) in writers {
        counts.insert(name, writer.await.unwrap());
    }
    for reader in readers {
        reader.await.unwrap();
    }
    for (name, count) in &counts {
        assert_eq!(one.get(name).await.unwrap().unwrap().value, count.to_string());
    }
    let end = two.revision().await.unwrap();
    for (tell, follower) in followers {
        tell.send(end).unwrap();
        check_seen(&follower.await.unwrap().unwrap(), &counts);
    }
}
