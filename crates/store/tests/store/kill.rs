//! A process that commits is killed with SIGKILL at seeded random moments: nothing that it was told is durable is lost.

use bytes::Bytes;
use futures::FutureExt as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use store::{Embedded, Op, Options, Outcome, Revision, Store, Txn};

const DIRECTORY: &str = "STORE_KILL_TEST_DIRECTORY";
const COMMITTERS: usize = 8;
const ROUNDS: usize = 20;

/// Small, so that segments and snapshots come and go while the axe falls.
fn options() -> Options {
    Options {
        history_events_max: 500,
        segment_bytes_max: 64 << 10,
        snapshot_log_bytes: 128 << 10,
        ..Options::default()
    }
}

/// Last acknowledged counter of each committer, and the last acknowledged revision of all.
#[derive(Clone, Debug, Default)]
struct Acknowledged {
    counters: [u64; COMMITTERS],
    revision: u64,
}

/// The child: commits for ever and prints `committer counter revision` for each acknowledgement.
#[test]
#[ignore = "the process that the other test kills"]
fn child_commits_until_it_is_killed() {
    let dir = std::env::var_os(DIRECTORY).expect("only the other test runs this");
    let store = Embedded::open(Path::new(&dir), options()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let committers = (0..COMMITTERS).map(|committer| commit_for_ever(&store, committer));
    runtime.block_on(futures::future::join_all(committers));
}

async fn counter(store: &Embedded, committer: usize) -> u64 {
    let kv = store.get(&format!("counter-{committer}")).await.unwrap();
    kv.map_or(0, |kv| u64::from_le_bytes(kv.value[..8].try_into().unwrap()))
}

async fn commit_for_ever(store: &Embedded, committer: usize) {
    let mut counter = counter(store, committer).await;
    loop {
        counter += 1;
        let mut value = counter.to_le_bytes().to_vec();
        value.resize(8 + counter as usize % 3000, 1);
        let put = |name: &str| Op::Put { key: format!("{name}-{committer}").into(), value: value.clone().into() };
        let ops = vec![put("counter"), put("copy"), Op::Put { key: "shared".into(), value: Bytes::from_static(b"x") }];
        match store.commit(Txn { checks: Vec::new(), ops }).await.unwrap() {
            // One write for a line, so that a killed process leaves at most the last one incomplete.
            Outcome::Committed(Revision(revision)) => {
                std::io::stdout().write_all(format!("\nack {committer} {counter} {revision}\n").as_bytes()).unwrap();
            }
            conflict => panic!("{conflict:?} without a check"),
        }
    }
}

fn spawn(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "kill::child_commits_until_it_is_killed", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Reads acknowledgements, kills after `kill_after` of them, and reads what was still in the pipe.
fn kill_after(mut child: Child, kill_after: usize, known: &mut Acknowledged) {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = 0;
    for line in lines.map_while(Result::ok) {
        let mut words = line.split(' ');
        if words.next() != Some("ack") {
            continue;
        }
        let numbers: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
        let [committer, counter, revision] = numbers[..] else { continue };
        known.counters[committer as usize] = counter;
        known.revision = known.revision.max(revision);
        seen += 1;
        if seen == kill_after {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(seen >= kill_after, "the child ended by itself");
}

async fn check(store: &Embedded, known: &Acknowledged, last_seen: u64) {
    let current = store.revision().await.unwrap().0;
    assert!(current >= known.revision, "revision {current}, but {} was acknowledged", known.revision);
    for (committer, acknowledged) in known.counters.iter().enumerate() {
        let stored = counter(store, committer).await;
        assert!(stored == *acknowledged || stored == acknowledged + 1, "{stored} stored, {acknowledged} acknowledged");
        let both = (store.get(&format!("counter-{committer}")).await, store.get(&format!("copy-{committer}")).await);
        assert_eq!(both.0.unwrap().map(|kv| kv.value), both.1.unwrap().map(|kv| kv.value));
    }
    // A watch goes on where it was, if that is still kept, and misses no revision.
    let mut last = last_seen.max(store.stats().oldest.0);
    let mut watch = store.watch("", Revision(last)).await.unwrap();
    while let Some(events) = watch.next().now_or_never() {
        for event in events.unwrap() {
            assert!(event.revision.0 == last || event.revision.0 == last + 1, "{} after {last}", event.revision);
            last = event.revision.0;
        }
    }
    assert_eq!(last, current);
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_by_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = StdRng::seed_from_u64(20);
    let (mut known, mut last_seen) = (Acknowledged::default(), 0);
    for _ in 0..ROUNDS {
        kill_after(spawn(dir.path()), random.random_range(1..400), &mut known);
        let store = Embedded::open(dir.path(), options()).unwrap();
        check(&store, &known, last_seen).await;
        last_seen = store.revision().await.unwrap().0;
        for committer in 0..COMMITTERS {
            known.counters[committer] = counter(&store, committer).await;
        }
    }
    assert!(last_seen > 1000, "only {last_seen} commits: the kills came too early to test much");
}
