//! The history as a whole: what is recorded is found, after a restart too, and the oldest goes first.

use super::*;
use crate::Reading;
use crate::sample::{ContainerSample, PodSample};

fn reading(cpu: u64) -> Reading {
    let mut reading = Reading::default();
    reading.set(Metric::CpuUsage, cpu * 1_000_000);
    reading.set(Metric::MemoryWorkingSet, 4096 * cpu);
    reading
}

fn sample(time_ms: i64, cpu: u64, pods: usize) -> NodeSample {
    let pod = |number: usize| PodSample {
        namespace: "shop".into(),
        name: format!("web-{number}"),
        uid: format!("u{number}"),
        reading: reading(cpu),
        containers: vec![ContainerSample { name: "web".into(), reading: reading(cpu), ..Default::default() }],
        ..PodSample::default()
    };
    NodeSample { node: "n1".into(), time_ms, reading: reading(cpu), pods: (0..pods).map(pod).collect() }
}

fn points(history: &History, container: &str, from: i64, to: i64) -> Points {
    let pasts = history.select(from, to, |identity| identity.pod == "web-0" && identity.container == container);
    assert_eq!(pasts.len(), 1);
    history.points(&pasts[0], Metric::CpuUsage, from, to).unwrap()
}

#[test]
fn what_was_recorded_is_found_after_a_restart_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("insight/history");
    let history = History::open(&path, 1 << 20).unwrap();
    (1..=5).for_each(|step| history.record(&sample(step * 10_000, step as u64, 2)).unwrap());
    assert_eq!(points(&history, "web", 20_000, 40_000), [(20_000, 2.0), (30_000, 3.0), (40_000, 4.0)]);
    assert_eq!(history.size(), (5, 5));
    history.record(&sample(30_000, 99, 2)).unwrap();
    drop(history);
    // Nothing was said at the end: as after a kill.
    let history = History::open(&path, 1 << 20).unwrap();
    assert_eq!(points(&history, "", 0, i64::MAX).len(), 5, "a late sample was passed over");
    history.record(&sample(60_000, 6, 2)).unwrap();
    assert_eq!(points(&history, "web", 50_000, 60_000), [(50_000, 5.0), (60_000, 6.0)]);
    assert_eq!(history.span(), Some((10_000, 60_000)));
}

#[test]
fn the_oldest_goes_first_and_the_file_does_not_grow() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let bytes = 32 * slot::SLOT_BYTES as u64;
    let history = History::open(&path, bytes).unwrap();
    for step in 1..=20_000 {
        history.record(&sample(step * 10_000, step as u64 * step as u64 % 977, 1)).unwrap();
    }
    assert_eq!(std::fs::metadata(&path).unwrap().len(), bytes);
    let found = points(&history, "web", 0, i64::MAX);
    assert!(found.len() > 1000 && found[0].0 > 10_000, "{}", found.len());
    assert_eq!(found.last().unwrap().0, 200_000_000);
    assert!(found.windows(2).all(|pair| pair[1].0 - pair[0].0 == 10_000), "there are no gaps");
    drop(history);
    // A smaller file keeps what lies in it.
    let history = History::open(&path, bytes / 2).unwrap();
    history.record(&sample(200_010_000, 1, 1)).unwrap();
    assert_eq!(points(&history, "web", 200_010_000, i64::MAX).len(), 1);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), bytes / 2);
}

#[test]
fn targets_that_ended_are_forgotten_with_their_slots() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(&folder.path().join("history"), 16 * slot::SLOT_BYTES as u64).unwrap();
    history.record(&sample(10_000, 1, 4)).unwrap();
    assert_eq!(history.size(), (9, 9));
    for step in 2..10_000 {
        history.record(&sample(step * 10_000, step as u64, 1)).unwrap();
    }
    let others = history.select(0, i64::MAX, |identity| !matches!(identity.pod.as_str(), "" | "web-0"));
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn a_torn_file_gives_what_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let history = History::open(&path, 1 << 20).unwrap();
    (1..=3).for_each(|step| history.record(&sample(step * 10_000, step as u64, 1)).unwrap());
    drop(history);
    let mut bytes = std::fs::read(&path).unwrap();
    // The head of the node's slot, and the tail of the file.
    bytes[30] ^= 0xff;
    bytes.truncate(bytes.len() - slot::SLOT_BYTES / 2);
    std::fs::write(&path, &bytes).unwrap();
    let history = History::open(&path, 1 << 20).unwrap();
    assert!(history.select(0, i64::MAX, |identity| identity.scope == Scope::Node).is_empty());
    assert_eq!(points(&history, "web", 0, i64::MAX).len(), 3);
    history.record(&sample(40_000, 4, 1)).unwrap();
    assert_eq!(points(&history, "web", 0, i64::MAX).len(), 4);
}

#[test]
fn a_write_that_fails_costs_only_what_it_would_have_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let mut history = History::open(&path, 16 * slot::SLOT_BYTES as u64).unwrap();
    let record = |history: &History, step: i64| history.record(&sample(step * 10_000, step as u64 * step as u64, 1));
    (1..=3).for_each(|step| record(&history, step).unwrap());
    // A file that cannot be written stands for a disk that fails.
    let whole = std::mem::replace(&mut history.ring.file, std::fs::File::open(&path).unwrap());
    for step in 4..=6 {
        assert!(matches!(record(&history, step), Err(HistoryError::Write(_))), "{step}");
    }
    let before: Points = (1..=3).map(|step| (step * 10_000, (step * step) as f64)).collect();
    assert_eq!(points(&history, "web", 0, i64::MAX), before, "nothing of the failed is there");
    history.ring.file = whole;
    (7..=9).for_each(|step| record(&history, step).unwrap());
    let after: Points = [1, 2, 3, 7, 8, 9].map(|step: i64| (step * 10_000, (step * step) as f64)).into();
    assert_eq!(points(&history, "web", 0, i64::MAX), after);
    drop(history);
    assert_eq!(points(&History::open(&path, 16 * slot::SLOT_BYTES as u64).unwrap(), "web", 0, i64::MAX), after);
}

#[test]
fn a_slot_that_cannot_be_begun_stays_whose_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let mut history = History::open(&path, 16 * slot::SLOT_BYTES as u64).unwrap();
    history.record(&sample(10_000, 1, 7)).unwrap();
    let (targets, slots) = history.size();
    assert_eq!((targets, slots), (15, 15));
    let whole = std::mem::replace(&mut history.ring.file, std::fs::File::open(&path).unwrap());
    for step in 2..100 {
        let other = NodeSample { node: format!("other-{step}"), ..sample(step * 10_000, 1, 0) };
        assert!(history.record(&other).is_err());
    }
    assert_eq!(history.size().1, slots, "the ring does not turn by failing");
    history.ring.file = whole;
    assert_eq!(points(&history, "web", 0, i64::MAX), [(10_000, 1.0)]);
}

/// What a busy pod and its container take in a day at the usual interval: a thousand of them fit the usual file twice.
const POD_DAY_BYTES_MAX: usize = 256 << 10;

/// The figure that the size of the file follows from: what a busy pod's row takes.
#[test]
fn a_day_of_a_thousand_pods_fits_its_bound() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(&folder.path().join("history"), 64 << 20).unwrap();
    let mut random = 1u64;
    let mut next = |most: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % most
    };
    let (mut cpu, mut memory, mut sent) = (0, 40 << 20, 0);
    let rows = 8640;
    for step in 0..rows {
        cpu += 200_000 + next(50_000);
        memory = (memory + next(64) * 4096).saturating_sub(31 * 4096);
        sent += 20_000 + next(2_000);
        let mut used = Reading::default();
        for (metric, amount) in [
            (Metric::CpuUsage, cpu),
            (Metric::CpuPeriods, step * 100),
            (Metric::MemoryUsage, memory),
            (Metric::MemoryWorkingSet, memory),
            (Metric::MemoryRss, memory - (10 << 20)),
            (Metric::MemoryLimit, 128 << 20),
            (Metric::Threads, 9),
            (Metric::OomKills, 0),
            (Metric::Processes, 3),
            // It is measured once a minute.
            (Metric::LayerUsage, step / 6 * 8192),
        ] {
            used.set(metric, amount);
        }
        let mut whole = used;
        for metric in [Metric::NetworkReceived, Metric::NetworkSent, Metric::PacketsReceived, Metric::PacketsSent] {
            whole.set(metric, sent);
        }
        let container = ContainerSample { name: "web".into(), reading: used, ..ContainerSample::default() };
        let pod = PodSample { uid: "u".into(), reading: whole, containers: vec![container], ..PodSample::default() };
        let time_ms = 1_700_000_000_000 + step as i64 * 10_000 + next(5) as i64;
        history.record(&NodeSample { node: "n1".into(), time_ms, pods: vec![pod], ..NodeSample::default() }).unwrap();
    }
    let pods = history.select(0, i64::MAX, |identity| identity.scope != Scope::Node);
    let bytes: usize = pods.iter().map(|past| past.slots.len() * slot::SLOT_BYTES).sum();
    eprintln!("a busy pod's day: {} KiB, {:.1} bytes a row", bytes >> 10, bytes as f64 / (2 * rows) as f64);
    assert!(bytes <= POD_DAY_BYTES_MAX, "{bytes} bytes a pod");
}
