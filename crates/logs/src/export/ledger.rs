//! Up to where each container's log has been delivered, on disk.
//!
//! Invariants: a position is written only after what is before it was acknowledged, and the file is replaced whole: a kill
//! at any moment costs lines that are sent twice, never one that is not sent. What the archive lets go of before it was
//! delivered is counted.

use crate::follow::Position;
use crate::identity::Part;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const FILE: &str = "positions.json";

/// A container of a pod, which is known by the directory of its logs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) pod: Box<str>,
    pub(super) container: Box<str>,
}

impl Key {
    pub(super) fn new(pod: &str, container: &str) -> Key {
        Key { pod: pod.into(), container: container.into() }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Delivered {
    position: Option<Position>,
    /// The pod is gone, and this was all.
    finished: bool,
}

/// How many lines came to which end since the export began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub sent: u64,
    /// The receiver will not have them.
    pub refused: u64,
    /// The archive's bounds passed before they could be delivered.
    pub lost: u64,
    /// The archive is damaged there.
    pub unreadable: u64,
    /// Requests that were not taken and made again.
    pub retries: u64,
}

impl Counts {
    /// In Prometheus' text format.
    pub fn exposition(&self) -> String {
        let (lines, requests) = ("sampan_log_export_lines_total", "sampan_log_export_retries_total");
        format!(
            "# HELP {lines} Lines of containers' logs by what became of their export\n# TYPE {lines} counter\n\
             {lines}{{result=\"sent\"}} {}\n{lines}{{result=\"refused\"}} {}\n{lines}{{result=\"lost\"}} {}\n\
             {lines}{{result=\"unreadable\"}} {}\n\
             # HELP {requests} Requests that the receiver did not take and that were made again\n\
             # TYPE {requests} counter\n{requests} {}\n",
            self.sent, self.refused, self.lost, self.unreadable, self.retries
        )
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) sent: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) unreadable: AtomicU64,
    pub(super) retries: AtomicU64,
}

pub(crate) struct Ledger {
    path: PathBuf,
    delivered: Mutex<BTreeMap<Key, Delivered>>,
    changed: AtomicBool,
    pub(super) counters: Counters,
}

impl Ledger {
    /// Reads what an earlier process wrote.
    pub(super) fn open(directory: &Path) -> io::Result<Ledger> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join(FILE);
        let entries: Vec<(Key, Delivered)> = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::error!(path = %path.display(), %error, "what was delivered is not known: all logs are sent again");
                Vec::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let delivered = Mutex::new(entries.into_iter().collect());
        Ok(Ledger { path, delivered, changed: false.into(), counters: Counters::default() })
    }

    pub(super) fn position(&self, key: &Key) -> Option<Position> {
        self.delivered.lock().get(key).and_then(|own| own.position)
    }

    pub(super) fn is_finished(&self, key: &Key) -> bool {
        self.delivered.lock().get(key).is_some_and(|own| own.finished)
    }

    /// What is before these positions was delivered.
    pub(super) fn advance(&self, positions: BTreeMap<Key, Position>) {
        let mut delivered = self.delivered.lock();
        for (key, position) in positions {
            delivered.insert(key, Delivered { position: Some(position), finished: false });
        }
        self.changed.store(true, Ordering::Release);
    }

    pub(super) fn finish(&self, keys: Vec<Key>) {
        let mut delivered = self.delivered.lock();
        for key in keys {
            delivered.entry(key).or_default().finished = true;
        }
        self.changed.store(true, Ordering::Release);
    }

    /// Forgets pods of which nothing is left on the node.
    pub(super) fn keep(&self, pods: &BTreeSet<String>) {
        self.delivered.lock().retain(|key, _| pods.contains(&*key.pod));
    }

    pub(crate) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            sent: read(&self.counters.sent),
            refused: read(&self.counters.refused),
            lost: read(&self.counters.lost),
            unreadable: read(&self.counters.unreadable),
            retries: read(&self.counters.retries),
        }
    }

    /// The archive lets go of a part that has so many lines.
    pub(crate) fn expired(&self, pod: &str, part: &Part, lines: u64) {
        let key = Key::new(pod, &part.container);
        let delivered = self.delivered.lock();
        let lost = match delivered.get(&key) {
            Some(own) if own.finished => 0,
            Some(Delivered { position: Some(position), .. }) => position.beyond(part, lines),
            _ => lines,
        };
        if lost > 0 {
            let total = self.counters.lost.fetch_add(lost, Ordering::Relaxed) + lost;
            tracing::error!(pod, container = &*part.container, lost, total, "logs went before they were delivered");
        }
    }

    pub(super) fn is_changed(&self) -> bool {
        self.changed.load(Ordering::Acquire)
    }

    /// Blocks until it is on disk; answers how many bytes that took.
    pub(super) fn save(&self) -> io::Result<usize> {
        self.changed.store(false, Ordering::Release);
        let entries: Vec<(Key, Delivered)> =
            self.delivered.lock().iter().map(|(key, own)| (key.clone(), own.clone())).collect();
        let bytes = serde_json::to_vec(&entries)?;
        let saved = self.replace(&bytes);
        if saved.is_err() {
            self.changed.store(true, Ordering::Release);
        }
        saved.map(|()| bytes.len())
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.path.with_extension("new");
        std::fs::write(&temporary, bytes)?;
        File::open(&temporary)?.sync_all()?;
        std::fs::rename(&temporary, &self.path)?;
        self.path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Rotation;
    use crate::search::Rotated;

    fn part(attempt: u32, rotation: Rotation) -> Part {
        Part { container: "c".into(), attempt, rotation }
    }

    #[test]
    fn positions_outlive_the_process_and_damage_is_no_loss() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(directory.path()).unwrap();
        let (one, two) = (Key::new("a_one_u", "c"), Key::new("a_two_u", "c"));
        let at = position(Rotation::Number(3), 0, 7);
        ledger.advance(BTreeMap::from([(one.clone(), at), (two.clone(), at)]));
        ledger.finish(vec![two.clone()]);
        assert!(ledger.is_changed());
        ledger.save().unwrap();
        let again = Ledger::open(directory.path()).unwrap();
        assert_eq!((again.position(&one), again.is_finished(&one), again.is_finished(&two)), (Some(at), false, true));
        again.keep(&BTreeSet::from(["a_one_u".to_owned()]));
        assert_eq!(again.position(&two), None);
        std::fs::write(directory.path().join(FILE), "[{").unwrap();
        assert_eq!(Ledger::open(directory.path()).unwrap().position(&one), None);
    }

    fn position(rotation: Rotation, last: u64, lines: u64) -> Position {
        Position { attempt: 1, rotation, rotated: Rotated { last, moving: false }, print: None, lines, bytes: 0 }
    }

    #[test]
    fn what_expires_undelivered_is_counted() {
        use Rotation::{Live, Number};
        for (at, expired, lost) in [
            (None, part(1, Number(1)), 100),
            (Some(position(Number(3), 0, 70)), part(0, Live), 0),
            (Some(position(Number(3), 0, 70)), part(1, Number(2)), 0),
            (Some(position(Number(3), 0, 70)), part(1, Number(3)), 30),
            (Some(position(Number(3), 0, 70)), part(1, Number(4)), 100),
            (Some(position(Number(3), 0, 70)), part(2, Number(1)), 100),
            // The live file after the third was being read: it has become the fourth.
            (Some(position(Live, 3, 70)), part(1, Number(3)), 0),
            (Some(position(Live, 3, 70)), part(1, Number(4)), 30),
            (Some(position(Live, 3, 70)), part(1, Number(5)), 100),
            (Some(position(Live, 3, 70)), part(1, Live), 30),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let ledger = Ledger::open(directory.path()).unwrap();
            let key = Key::new("a_p_u", "c");
            ledger.advance(at.map(|at| (key.clone(), at)).into_iter().collect());
            ledger.expired("a_p_u", &expired, 100);
            assert_eq!(ledger.counters.lost.load(Ordering::Relaxed), lost, "{at:?} {expired:?}");
            ledger.finish(vec![key]);
            ledger.expired("a_p_u", &part(9, Live), 100);
            assert_eq!(ledger.counters.lost.load(Ordering::Relaxed), lost, "what was delivered whole is not lost");
        }
    }
}
