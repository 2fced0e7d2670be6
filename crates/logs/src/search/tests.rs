//! Order, filters, both ends, and logs that move while they are read.

use super::*;
use crate::query::{Order, Query};
use crate::test_node::{Node, found};
use std::collections::BTreeSet;

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn containers_are_merged_by_time_and_keep_their_own_order() {
    let node = Node::new();
    let archive = node.archive();
    let (one, two) = (node.pod("a", "one"), node.pod("b", "two"));
    one.say("c", 0, &[(1, "a"), (9, "b"), (3, "the clock went back"), (10, "d")]);
    two.say("c", 0, &[(2, "v"), (9, "w"), (9, "  at x"), (11, "z")]);
    let forwards = ["1 a", "2 v", "9 b", "3 the clock went back", "9 w", "9   at x", "10 d", "11 z"];
    assert_eq!(found(&archive, Query::default()), forwards);
    let newest = Query { order: Order::NewestFirst, ..Query::default() };
    let backwards = ["11 z", "10 d", "9   at x", "9 w", "2 v", "3 the clock went back", "9 b", "1 a"];
    let newest = found(&archive, newest);
    assert_eq!(newest[0..2], backwards[0..2]);
    let of_one: Vec<_> = newest.iter().filter(|line| !line.contains(['v', 'w', 'z', 'x'])).collect();
    assert_eq!(of_one.len(), 3, "{newest:?}");
    let position = |line: &str| newest.iter().position(|own| own == line).unwrap();
    assert!(position("10 d") < position("3 the clock went back"));
    assert!(position("3 the clock went back") < position("9 b"));
    assert_eq!(newest.len(), 8);
}

/// The clock jumps a year ahead, and back behind where it was; nothing is hidden, and each container keeps its order.
#[test]
fn clocks_may_jump() {
    const YEAR: i64 = 365 * 24 * 3600;
    let node = Node::new();
    let archive = node.archive();
    let (one, two) = (node.pod("a", "one"), node.pod("b", "two"));
    one.say("c", 0, &[(100, "a"), (YEAR, "ahead"), (101, "b"), (50, "c"), (YEAR + 1, "d")]);
    two.say("c", 0, &[(99, "x"), (102, "y"), (YEAR + 2, "z")]);
    for archived in [false, true] {
        if archived {
            archive.take_over(&one.directory).unwrap();
            archive.take_over(&two.directory).unwrap();
            archive.settle();
        }
        let texts = |query: Query| -> String {
            let lines = found(&archive, query);
            lines.iter().map(|line| line.split(' ').nth(1).unwrap()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(texts(Query::default()), "x a y ahead b c d z", "archived: {archived}");
        assert_eq!(texts(Query { order: Order::NewestFirst, ..Query::default() }), "z d y x c b ahead a");
        let (since, until) = (Some(100 * 1_000_000_000), Some(103 * 1_000_000_000));
        assert_eq!(texts(Query { since, until, ..Query::default() }), "a b y");
        assert_eq!(texts(Query { until: since, ..Query::default() }), "c x");
    }
}

#[test]
fn filters_choose() {
    let node = Node::new();
    let archive = node.archive();
    let (web, db) = (node.pod("a", "web-1"), node.pod("b", "db-1"));
    web.say("main", 0, &[(1, "INFO hello"), (2, r#"{"level":"error","user":"ann"}"#)]);
    web.say("side", 0, &[(3, "level=warn user=bob")]);
    db.say("main", 0, &[(4, "FATAL broken"), (5, "hello")]);
    for archived in [false, true] {
        if archived {
            archive.take_over(&web.directory).unwrap();
            archive.take_over(&db.directory).unwrap();
            archive.settle();
        }
        let check = |query: Query, seconds: &[&str]| {
            let lines = found(&archive, query);
            let own: Vec<&str> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
            assert_eq!(own, seconds, "archived: {archived}");
        };
        let any = Query::default;
        check(any(), &["1", "2", "3", "4", "5"]);
        check(Query { namespaces: set(&["a"]), ..any() }, &["1", "2", "3"]);
        check(Query { pods: set(&["db-1", "none"]), ..any() }, &["4", "5"]);
        check(Query { containers: set(&["side"]), ..any() }, &["3"]);
        check(Query { workloads: set(&["statefulset/db"]), ..any() }, &["4", "5"]);
        check(Query { workloads: set(&["web"]), ..any() }, &["1", "2", "3"]);
        check(Query { workloads: set(&["job/web"]), ..any() }, &[]);
        check(Query { names: set(&["web", "db-1"]), ..any() }, &["1", "2", "3", "4", "5"]);
        check(Query { names: set(&["sts/web", "pod/db-2"]), ..any() }, &["1", "2", "3"]);
        check(Query { labels: Some(Arc::new(|labels| labels["app"] == "db")), ..any() }, &["4", "5"]);
        check(Query { patterns: vec!["hello$".into()], ..any() }, &["1", "5"]);
        check(Query { patterns: vec!["hello".into(), "INFO".into()], ..any() }, &["1"]);
        check(Query { level: Some(Level::Warn), ..any() }, &["2", "3", "4"]);
        check(Query { fields: vec![("user".into(), "ann".into())], ..any() }, &["2"]);
        check(Query { since: Some(2_000_000_000), until: Some(4_000_000_000), ..any() }, &["2", "3"]);
        check(Query { limit: Some(2), ..any() }, &["1", "2"]);
        check(Query { limit: Some(2), order: Order::NewestFirst, ..any() }, &["5", "4"]);
        check(Query { stderr: Some(true), ..any() }, &[]);
    }
}

#[test]
fn patterns_are_bounded() {
    let bad = |patterns: Vec<String>| Filter::new(Query { patterns, ..Query::default() }).is_err();
    assert!(bad(vec!["(".into()]));
    assert!(bad(vec![r"\w{1000}{1000}".into()]), "too large when compiled");
    assert!(bad(vec!["x".into(); 9]));
}

#[test]
fn paths_of_fields_are_bounded() {
    let new = |path: String| Filter::new(Query { fields: vec![(path, "x".into())], ..Query::default() });
    assert!(new(vec!["a"; 16].join(".")).is_ok() && new("a".repeat(256)).is_ok());
    for path in [vec!["a"; 17].join("."), "a".repeat(257)] {
        let error = new(path).err().unwrap().to_string();
        assert_eq!(error, "a field's path has at most 16 parts and 256 bytes");
    }
}

/// A pause between any two blocks changes nothing of what is found, and nothing is read after it.
#[test]
fn a_search_that_is_paused_goes_on() {
    let node = Node::new();
    let archive = node.archive();
    let text = "x".repeat(1000);
    for pod in ["one", "two"] {
        let pod = node.pod("a", pod);
        pod.say("c", 0, &(0..1000).map(|second| (second, text.as_str())).collect::<Vec<_>>());
    }
    for (pattern, wanted) in [("x", 2000), ("nowhere", 0)] {
        let query = Query { patterns: vec![pattern.into()], ..Query::default() };
        let mut search = Search::new(&archive, Filter::new(query).unwrap()).unwrap();
        let (mut lines, mut pauses) = (0, 0);
        loop {
            let mut may = 1;
            let mut asked = 0;
            let step = search.step(&mut || {
                asked += 1;
                may -= 1;
                may >= 0
            });
            match step {
                Step::Line(_) => lines += 1,
                Step::Paused => {
                    pauses += 1;
                    assert_eq!(asked, 2, "what is refused is not asked for again");
                }
                Step::End => break,
            }
        }
        assert_eq!(lines, wanted, "{pattern}");
        assert!(wanted > 0 || pauses >= 6, "{pauses} pauses: a block is 256 KiB, and there are 2 MB");
    }
}

/// Lines that fill many blocks, so that every boundary is met in both directions.
#[test]
fn large_logs_read_the_same_from_both_ends_live_and_archived() {
    let node = Node::new();
    let archive = node.archive();
    let pod = node.pod("a", "web-1");
    let text = |number: usize| format!("{number} {}", "x".repeat(number % 997));
    let lines: Vec<String> = (0..4000).map(text).collect();
    let lines: Vec<(i64, &str)> = lines.iter().enumerate().map(|(at, line)| (at as i64, line.as_str())).collect();
    pod.say("c", 0, &lines);
    let wanted: Vec<String> = lines.iter().map(|(second, text)| format!("{second} {text}")).collect();
    let reversed: Vec<String> = wanted.iter().rev().cloned().collect();
    for archived in [false, true] {
        if archived {
            archive.take_over(&pod.directory).unwrap();
            archive.settle();
        }
        assert!(found(&archive, Query::default()) == wanted, "archived: {archived}");
        let newest = Query { order: Order::NewestFirst, ..Query::default() };
        assert!(found(&archive, newest) == reversed, "archived: {archived}");
    }
}

/// With so many containers none may keep a whole block: the rest of a block is read again.
#[test]
fn memory_is_shared_by_the_containers() {
    let node = Node::new();
    let pod = node.pod("a", "web-1");
    let text = "y".repeat(500);
    for container in 0..3 {
        let lines: Vec<(i64, &str)> = (0..1500).map(|second| (second * 3 + container, text.as_str())).collect();
        pod.say(&format!("c{container}"), 0, &lines);
    }
    let archive = node.archive();
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let filter = Filter::new(Query { order, ..Query::default() }).unwrap();
        let found = plan(archive.shared(), &filter).unwrap();
        let mut search = Search::over(filter, found).unwrap();
        search.chains.iter_mut().for_each(|chain| chain.set_budget(16 << 10));
        let mut seen = Vec::new();
        while let Some(entry) = search.next_entry() {
            seen.push(entry.time / 1_000_000_000);
            assert!(search.chains.iter().all(|chain| chain.buffered() < 32 << 10));
        }
        if order == Order::NewestFirst {
            seen.reverse();
        }
        assert!(seen == (0..4500).collect::<Vec<i64>>(), "{order:?}");
    }
}

/// A writer rotates as fast as it can while others search: every search sees a prefix of what was written, whole.
#[test]
fn rotation_under_a_search_loses_and_doubles_nothing() {
    let node = Node::new();
    let archive = node.archive();
    let pod = node.pod("a", "web-1");
    let writer_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..200 {
                let texts: Vec<String> = (0..20).map(|line| format!("{}", round * 20 + line)).collect();
                let lines: Vec<(i64, &str)> = texts.iter().map(|text| (1, text.as_str())).collect();
                pod.say("c", 0, &lines);
                if round % 3 == 0 {
                    pod.rotate(&archive, "c", 0);
                    archive.look();
                }
            }
            writer_done.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        let mut searches = 0;
        loop {
            let last = writer_done.load(std::sync::atomic::Ordering::SeqCst);
            let lines = found(&archive, Query::default());
            let wanted: Vec<String> = (0..lines.len()).map(|number| format!("1 {number}")).collect();
            assert!(lines == wanted, "search {searches}: {} lines", lines.len());
            searches += 1;
            if last {
                assert_eq!(lines.len(), 4000);
                break;
            }
        }
    });
}
