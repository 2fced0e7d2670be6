//! Files on their way, and crashes between the steps.

use super::*;
use crate::identity::Rotation;
use crate::query::Query;
use crate::segment;
use crate::test_node::{Node, found};
use std::fs::File;

fn all() -> Query {
    Query::default()
}

#[test]
fn logs_outlive_their_pod() {
    let node = Node::new();
    let archive = node.archive();
    let pod = node.pod("shop", "web-1");
    pod.say("main", 0, &[(1, "one"), (2, "two")]);
    pod.say("side", 0, &[(3, "three")]);
    archive.take_over(&pod.directory).unwrap();
    assert!(!pod.directory.exists());
    assert_eq!(found(&archive, all()), ["1 one", "2 two", "3 three"]);
    archive.settle();
    assert_eq!(std::fs::read_dir(node.options().ended).unwrap().count(), 0);
    assert_eq!(found(&archive, all()), ["1 one", "2 two", "3 three"]);
    drop(archive);
    assert_eq!(found(&node.archive(), all()), ["1 one", "2 two", "3 three"], "also after a restart");
}

#[test]
fn rotated_and_old_logs_go_to_the_archive_and_the_present_ones_stay() {
    let node = Node::new();
    let archive = node.archive();
    let pod = node.pod("shop", "web-1");
    for attempt in 0..3 {
        pod.say("main", attempt, &[(i64::from(attempt) * 10, "begun")]);
    }
    pod.rotate(&archive, "main", 2);
    pod.say("main", 2, &[(21, "more")]);
    archive.settle();
    let left: Vec<_> = intake::parts_in(&pod.directory.join("main"), |file| Part::of_log("main", file)).unwrap();
    let left: Vec<_> = left.iter().map(|(part, _)| (part.attempt, part.rotation)).collect();
    assert_eq!(left, [(1, Rotation::Live), (2, Rotation::Live)], "kubectl logs and logs -p read these");
    assert_eq!(found(&archive, all()), ["0 begun", "10 begun", "20 begun", "21 more"]);
    std::fs::remove_dir_all(node.options().archive).unwrap();
    assert_eq!(archive.claim_rotation(&pod.log("main", 2)).unwrap(), 2, "a number is not given again");
    assert_eq!(archive.claim_rotation(&pod.log("main", 1)).unwrap(), 1);
}

/// Puts the directories into the state that a kill leaves at one step, and looks at what the next start makes of it.
#[test]
fn a_kill_between_the_steps_loses_nothing_and_doubles_nothing() {
    for step in ["moved", "half a segment", "segment whole", "one log removed"] {
        let node = Node::new();
        let pod = node.pod("shop", "web-1");
        pod.say("main", 0, &[(1, "one"), (2, "two")]);
        pod.say("side", 0, &[(3, "three")]);
        let options = node.options();
        std::fs::create_dir_all(&options.ended).unwrap();
        let name = pod.directory.file_name().unwrap();
        let (ended, archived) = (options.ended.join(name), options.archive.join(name));
        std::fs::rename(&pod.directory, &ended).unwrap();
        std::fs::create_dir_all(&archived).unwrap();
        let (log, place) = (ended.join("main/0.log"), archived.join("main.0.live.seg"));
        let identity = Identity::read(&ended).unwrap();
        match step {
            "half a segment" => std::fs::write(place.with_extension("part"), "half").unwrap(),
            "segment whole" | "one log removed" => {
                segment::write(&place, &identity, "main", &File::open(&log).unwrap()).unwrap();
            }
            _ => {}
        }
        if step == "one log removed" {
            std::fs::remove_file(&log).unwrap();
        }
        let archive = node.archive();
        assert_eq!(found(&archive, all()), ["1 one", "2 two", "3 three"], "{step}");
        archive.settle();
        assert_eq!(found(&archive, all()), ["1 one", "2 two", "3 three"], "{step}");
        assert!(!ended.exists() && !place.with_extension("part").exists(), "{step}");
    }
}

#[test]
fn a_second_directory_of_a_pod_comes_behind_the_first() {
    let node = Node::new();
    let options = node.options();
    std::fs::create_dir_all(&options.ended).unwrap();
    for round in 0..3 {
        let pod = node.pod("shop", "web-1");
        pod.say("main", 0, &[(5, &format!("round {round}"))]);
        intake::move_over(&pod.directory, &options.ended.join(pod.directory.file_name().unwrap())).unwrap();
    }
    let archive = node.archive();
    archive.settle();
    assert_eq!(found(&archive, all()), ["5 round 0", "5 round 1", "5 round 2"]);
}

#[test]
fn a_million_lines_are_kept_in_their_order() {
    const LINES: usize = 1_000_000;
    let node = Node::new();
    let archive = node.archive();
    let pod = node.pod("shop", "web-1");
    for part in 0..10 {
        let begin = part * LINES / 10;
        // The clock jumps back with every file.
        let time = format!("2026-01-{:02}T00:00:00Z", 20 - part);
        let lines: String = (begin..begin + LINES / 10).map(|line| format!("{time} stdout F {line}\n")).collect();
        std::fs::write(pod.log("main", 0), lines).unwrap();
        pod.rotate(&archive, "main", 0);
        archive.look();
    }
    archive.take_over(&pod.directory).unwrap();
    archive.settle();
    let mut search = crate::search::Search::new(&archive, crate::query::Filter::new(all()).unwrap()).unwrap();
    let mut next = 0;
    while let Some(entry) = search.next_entry() {
        assert_eq!(std::str::from_utf8(entry.text).unwrap().parse(), Ok(next));
        next += 1;
    }
    assert_eq!(next, LINES);
}

#[test]
fn the_oldest_goes_when_there_is_too_much() {
    let node = Node::new();
    let archive = Archive::open(Options { bytes_max: Some(64 << 10), ..node.options() }).unwrap();
    for number in 0..40_i64 {
        let pod = node.pod("shop", &format!("job-{number}"));
        pod.say("main", 0, &[(number, "done")]);
        archive.take_over(&pod.directory).unwrap();
        // One by one, so that they are archived in this order.
        archive.settle();
    }
    let left = found(&archive, all());
    assert!((8..=16).contains(&left.len()), "{left:?}");
    assert_eq!(left.last().unwrap(), "39 done");
    let first = 40 - left.len();
    assert_eq!(left.first(), Some(&format!("{first} done")), "the newest are left");
    let directories = std::fs::read_dir(node.options().archive).unwrap().count();
    assert_eq!(directories, left.len(), "nothing is left of the others");
}

/// A container whose numbers begin anew writes files of names that are in the archive already.
#[test]
fn a_log_of_a_name_that_is_archived_already_is_archived_too() {
    let node = Node::new();
    let archive = node.archive();
    let pod = node.pod("shop", "web-1");
    for text in ["first", "again", "third"] {
        pod.say("main", 0, &[(1, text)]);
        std::fs::write(pod.log("main", 0).with_file_name("0.log.000001-x"), crate::test_node::line(0, text)).unwrap();
        // A later instance, so that the one before is taken from below its pod.
        pod.say("main", 2, &[]);
        archive.settle();
    }
    let mut lines = found(&archive, all());
    lines.sort();
    assert_eq!(lines, ["0 again", "0 first", "0 third", "1 again", "1 first", "1 third"]);
}

#[test]
fn a_rotation_gets_no_number_that_waits_to_be_archived() {
    let node = Node::new();
    let pod = node.pod("shop", "web-1");
    pod.say("main", 0, &[(1, "one")]);
    let (archived, ended) = (node.dir.path().join("archived"), node.dir.path().join("waiting"));
    std::fs::create_dir_all(ended.join("main")).unwrap();
    let claim = || intake::claim_rotation(&pod.log("main", 0), &archived, &ended).unwrap();
    std::fs::write(ended.join("main/0.log.000007-x"), "").unwrap();
    assert_eq!(claim(), 8);
    std::fs::write(ended.join("main/0.rotations"), "20").unwrap();
    assert_eq!(claim(), 21);
}

#[test]
fn what_is_none_of_the_archives_hides_nothing() {
    let node = Node::new();
    for pod in ["a-1", "b-1"] {
        let archive = node.archive();
        let pod = node.pod("shop", pod);
        pod.say("main", 0, &[(1, pod.directory.to_str().unwrap())]);
        archive.take_over(&pod.directory).unwrap();
        archive.settle();
    }
    let first = node.options().archive.join("shop_a-1_uid-a-1");
    std::fs::create_dir(first.join("a stray directory")).unwrap();
    std::fs::write(first.join("notes.txt"), "a stray file").unwrap();
    std::fs::create_dir(first.join("x.part")).unwrap();
    assert_eq!(found(&node.archive(), all()).len(), 1, "of the pod whose directory cannot be cleaned nothing is read");
    std::fs::remove_dir(first.join("x.part")).unwrap();
    assert_eq!(found(&node.archive(), all()).len(), 2);
    assert!(first.join("notes.txt").exists());
}

/// The archive's directory is a file, so that nothing can be archived, as on a disk that is full.
#[test]
fn what_cannot_be_archived_is_bounded_too() {
    let node = Node::new();
    let archive = Archive::open(Options { bytes_max: Some(64 << 10), ..node.options() }).unwrap();
    std::fs::remove_dir(node.options().archive).unwrap();
    std::fs::write(node.options().archive, "").unwrap();
    let text = "x".repeat(20 << 10);
    for number in 0..10 {
        let pod = node.pod("shop", &format!("job-{number}"));
        pod.say("main", 0, &[(number, &text)]);
        archive.take_over(&pod.directory).unwrap();
        archive.settle();
    }
    let waiting = intake::directories_in(&node.options().ended).unwrap();
    assert_eq!(waiting.len(), 3, "{waiting:?}");
    assert!(waiting.iter().any(|path| path.ends_with("shop_job-9_uid-job-9")), "{waiting:?}");
    std::fs::remove_file(node.options().archive).unwrap();
    std::fs::create_dir(node.options().archive).unwrap();
    archive.settle();
    assert_eq!(found(&archive, all()).len(), 3, "what is left is archived when it can be");
}

#[test]
fn room_is_made_of_what_there_is() {
    let node = Node::new();
    let archive = node.archive();
    for number in 0..10 {
        let pod = node.pod("shop", &format!("job-{number}"));
        pod.say("main", 0, &[(number, "done")]);
        archive.take_over(&pod.directory).unwrap();
        archive.settle();
    }
    archive.shared.make_room(10 << 10);
    let left = found(&archive, all()).len();
    assert!((5..10).contains(&left), "{left} of 10, each of 4 KiB, though the archive is far from its bound");
}

#[test]
fn what_is_too_old_goes() {
    let node = Node::new();
    let archive = Archive::open(Options { age_max: Duration::ZERO, ..node.options() }).unwrap();
    let pod = node.pod("shop", "web-1");
    pod.say("main", 0, &[(1, "one")]);
    archive.take_over(&pod.directory).unwrap();
    archive.settle();
    assert_eq!(found(&archive, all()), Vec::<String>::new());
}

#[test]
fn bytes_that_are_no_text_are_kept() {
    let node = Node::new();
    let archive = node.archive();
    let pod = node.pod("shop", "web-1");
    let path = pod.log("main", 0);
    let junk: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
    let entry = [b"2026-01-01T00:00:00Z stdout F ".as_slice(), &junk, b"\n\x00\x00 torn\n"].concat();
    std::fs::write(path, entry).unwrap();
    archive.take_over(&pod.directory).unwrap();
    archive.settle();
    let filter = crate::query::Filter::new(all()).unwrap();
    let mut search = crate::search::Search::new(&archive, filter).unwrap();
    let mut texts = Vec::new();
    while let Some(entry) = search.next_entry() {
        texts.push(entry.text.to_vec());
    }
    assert_eq!(texts, [junk, b"\x00\x00 torn".to_vec()]);
}
