//! What a follower hears, whatever happens to the files meanwhile.

use super::*;
use crate::query::Query;
use crate::test_node::Node;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

struct Heard {
    follower: Follower,
    before: Vec<String>,
}

fn text_of(entry: &Entry<'_>) -> String {
    String::from_utf8_lossy(entry.text).into_owned()
}

fn follow(archive: &Arc<Archive>, query: Query) -> Heard {
    let watcher = Arc::new(Watcher::start().unwrap());
    let (mut search, follower) = Follower::begin(archive, &watcher, Filter::new(query).unwrap()).unwrap();
    let mut before = Vec::new();
    while let Some(entry) = search.next_entry() {
        before.push(text_of(&entry));
    }
    Heard { follower, before }
}

impl Heard {
    /// Hears until so many lines came, or nothing for too long.
    async fn hear(&mut self, count: usize) -> Vec<String> {
        let mut heard = Vec::new();
        while heard.len() < count {
            self.follower.take(|entry| heard.push(text_of(&entry))).unwrap();
            if heard.len() >= count {
                break;
            }
            let woken = tokio::time::timeout(Duration::from_secs(10), self.follower.wake.notified()).await;
            assert!(woken.is_ok(), "nothing more after {} of {count}: {heard:?}", heard.len());
        }
        heard
    }
}

#[tokio::test]
async fn a_follower_goes_on_where_the_search_ended() {
    let node = Node::new();
    let archive = Arc::new(node.archive());
    let pod = node.pod("a", "web-1");
    pod.say("c", 0, &[(1, "one"), (2, "two")]);
    let mut heard = follow(&archive, Query::default());
    assert_eq!(heard.before, ["one", "two"]);
    pod.say("c", 0, &[(3, "three")]);
    assert_eq!(heard.hear(1).await, ["three"]);
    pod.say("side", 0, &[(4, "a container that comes")]);
    assert_eq!(heard.hear(1).await, ["a container that comes"]);
    node.pod("a", "web-2").say("c", 0, &[(5, "a pod that comes")]);
    assert_eq!(heard.hear(1).await, ["a pod that comes"]);
    pod.say("c", 1, &[(6, "a restart")]);
    pod.say("c", 1, &[(7, "goes on")]);
    assert_eq!(heard.hear(2).await, ["a restart", "goes on"]);
}

#[tokio::test]
async fn filters_hold_for_what_comes() {
    let node = Node::new();
    let archive = Arc::new(node.archive());
    let query = Query {
        namespaces: BTreeSet::from(["a".to_owned()]),
        labels: Some(Arc::new(|labels| labels.get("app").is_some_and(|app| app == "web"))),
        patterns: vec!["yes".into()],
        ..Query::default()
    };
    let mut heard = follow(&archive, query);
    node.pod("b", "web-1").say("c", 0, &[(1, "yes, in another namespace")]);
    node.pod("a", "db-1").say("c", 0, &[(1, "yes, with another label")]);
    node.pod("a", "web-1").say("c", 0, &[(1, "no"), (2, "yes")]);
    assert_eq!(heard.hear(1).await, ["yes"]);
}

#[tokio::test]
async fn the_last_words_of_a_pod_are_heard() {
    for archived in [false, true] {
        let node = Node::new();
        let archive = Arc::new(node.archive());
        let pod = node.pod("a", "web-1");
        pod.say("c", 0, &[(1, "one")]);
        let mut heard = follow(&archive, Query::default());
        assert_eq!(heard.before, ["one"]);
        pod.say("c", 0, &[(2, "two")]);
        pod.rotate(&archive, "c", 0);
        pod.say("c", 0, &[(3, "three")]);
        archive.take_over(&pod.directory).unwrap();
        if archived {
            archive.settle();
        }
        assert_eq!(heard.hear(2).await, ["two", "three"], "archived: {archived}");
        node.pod("a", "web-2").say("c", 0, &[(5, "next")]);
        assert_eq!(heard.hear(1).await, ["next"], "nothing is told twice, archived: {archived}");
        assert!(!heard.follower.pods.contains_key("a_web-1_uid-web-1"), "what is over is forgotten");
    }
}

#[tokio::test]
async fn pods_and_containers_that_came_and_went_between_two_looks_are_heard_once() {
    for archived in [false, true] {
        let node = Node::new();
        let archive = Arc::new(node.archive());
        let old = node.pod("a", "old-1");
        old.say("c", 0, &[(1, "before")]);
        archive.take_over(&old.directory).unwrap();
        let known = node.pod("a", "known-1");
        known.say("c", 0, &[(2, "known")]);
        let mut heard = follow(&archive, Query::default());
        assert_eq!(heard.before, ["before", "known"]);
        let short = node.pod("a", "short-1");
        short.say("c", 0, &[(3, "a short life")]);
        archive.take_over(&short.directory).unwrap();
        known.say("new", 0, &[(4, "a new container's")]);
        archive.take_over(&known.directory).unwrap();
        if archived {
            archive.settle();
        }
        let mut lines = heard.hear(2).await;
        lines.sort();
        assert_eq!(lines, ["a new container's", "a short life"], "archived: {archived}");
        node.pod("a", "web-2").say("c", 0, &[(5, "next")]);
        assert_eq!(heard.hear(1).await, ["next"], "nothing is told twice, archived: {archived}");
    }
}

/// What was archived while a follower was away comes in looks that are bounded, as all does.
#[tokio::test]
async fn what_was_written_meanwhile_is_taken_in_bounded_looks() {
    const LINES: usize = 30_000;
    let node = Node::new();
    let archive = Arc::new(node.archive());
    let pod = node.pod("a", "web-1");
    pod.say("c", 0, &[(1, "begun")]);
    let mut heard = follow(&archive, Query::default());
    let text = "x".repeat(1000);
    let mut written = 0;
    for attempt in 0..5 {
        let lines: Vec<String> = (0..LINES / 5).map(|line| format!("{} {text}", written + line)).collect();
        let lines: Vec<(i64, &str)> = lines.iter().map(|line| (1, line.as_str())).collect();
        written += lines.len();
        pod.say("c", attempt, &lines);
        pod.rotate(&archive, "c", attempt);
    }
    // Instances 0 to 2 are archived whole, the others' rotated files too.
    pod.say("c", 4, &[(2, "end")]);
    archive.settle();
    let mut lines = Vec::new();
    loop {
        let mut bytes = 0;
        let look = |entry: Entry<'_>| {
            bytes += entry.text.len();
            lines.push(text_of(&entry).split(' ').next().unwrap().to_owned());
        };
        heard.follower.take(look).unwrap();
        assert!(bytes <= LOOK_BYTES_MAX + (1 << 20), "{bytes} bytes in one look");
        if lines.last().is_some_and(|last| last == "end") {
            break;
        }
        let woken = tokio::time::timeout(Duration::from_secs(60), heard.follower.wake.notified()).await;
        assert!(woken.is_ok(), "{} lines", lines.len());
    }
    let wanted: Vec<String> = (0..LINES).map(|line| line.to_string()).chain(["end".to_owned()]).collect();
    assert!(lines == wanted, "{} lines", lines.len());
}

/// A writer rotates and restarts as fast as it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_under_a_follower_loses_and_doubles_nothing() {
    const LINES: usize = 6000;
    let node = Node::new();
    let archive = Arc::new(node.archive());
    let pod = node.pod("a", "web-1");
    pod.say("c", 0, &[(1, "0")]);
    let mut heard = follow(&archive, Query::default());
    assert_eq!(heard.before, ["0"]);
    let done = AtomicBool::new(false);
    let lines = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut attempt = 0;
            for number in 1..LINES {
                pod.say("c", attempt, &[(1, &number.to_string())]);
                if number % 17 == 0 {
                    pod.rotate(&archive, "c", attempt);
                    archive.look();
                }
                if number % 501 == 0 {
                    attempt += 1;
                }
            }
            done.store(true, Ordering::SeqCst);
        });
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async { heard.hear(LINES - 1).await })
        })
    });
    let wanted: Vec<String> = (1..LINES).map(|number| number.to_string()).collect();
    assert!(lines == wanted, "{} lines", lines.len());
}
