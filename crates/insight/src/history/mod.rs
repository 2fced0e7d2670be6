//! What was measured in the past: one file, a ring of slots, the oldest of which go first.
//!
//! Each slot holds the rows of one target (a container, pod or node) and says itself whose they are, so there is no
//! second file that could disagree. A row is written with one `pwrite` and ends where the next begins, so that a kill
//! at any moment costs at most that row.
//!
//! Bounds: the file has at most the slots that it was opened with; in memory 24 bytes a slot, some 700 bytes a target
//! that is being measured and 400 for others, and `TARGETS_MAX` targets. A target that is measured every 10 s fills a
//! slot in about an hour.

mod identity;
mod index;
mod ring;
mod row;
mod slot;

pub use identity::Identity;

use crate::metric::{Metric, Scope};
use crate::sample::NodeSample;
use index::Index;
use parking_lot::Mutex;
use ring::Ring;
use row::Decoder;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What has not been measured for so long goes first where there are more.
const TARGETS_MAX: usize = 20_000;

/// Why the history cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("opening {path}: {source}")]
    Open { path: std::path::PathBuf, source: io::Error },
    #[error("writing the history: {0}")]
    Write(#[source] io::Error),
    #[error("reading the history: {0}")]
    Read(#[source] io::Error),
}

pub struct History {
    ring: Ring,
    index: Mutex<Index>,
}

/// Points of one amount of one target, by time: milliseconds since 1970 and the amount in its shown unit.
pub type Points = Vec<(i64, f64)>;

/// A part of the history of one target, to be read without holding anything up.
#[derive(Clone, Debug)]
pub struct Past {
    pub identity: Arc<Identity>,
    /// The amounts that it has ever had, a bit each.
    has: u32,
    /// Sequence and place of slots, oldest first.
    slots: Vec<(u64, u32)>,
}

impl History {
    /// Opens or makes the file at `path`, which is to hold at most `bytes_max`. Blocks: some 0.3 s for each 512 MiB
    /// that are there.
    pub fn open(path: &Path, bytes_max: u64) -> Result<History, HistoryError> {
        let opened = |source| HistoryError::Open { path: path.to_owned(), source };
        let ring = Ring::open(path, bytes_max).map_err(opened)?;
        let mut index = Index::new(ring.capacity());
        ring.scan(|place, found| index.found(place, found)).map_err(opened)?;
        index.scanned();
        Ok(History { ring, index: Mutex::new(index) })
    }

    /// Takes a sample over. Blocks for some 2 µs a container.
    pub fn record(&self, sample: &NodeSample) -> Result<(), HistoryError> {
        let mut index = self.index.lock();
        let written = self.record_all(&mut index, sample).map_err(HistoryError::Write);
        // Targets that could not be written are known too.
        index.forget_beyond(TARGETS_MAX);
        written
    }

    fn record_all(&self, index: &mut Index, sample: &NodeSample) -> io::Result<()> {
        let node = Identity::node(&sample.node);
        index.record(&self.ring, node, sample.time_ms, &sample.reading)?;
        for pod in &sample.pods {
            let of_pod = Identity::pod(&sample.node, pod);
            for container in &pod.containers {
                let identity = of_pod.container(&container.name);
                index.record(&self.ring, identity, sample.time_ms, &container.reading)?;
            }
            index.record(&self.ring, of_pod, sample.time_ms, &pod.reading)?;
        }
        Ok(())
    }

    /// Every target that `wanted` takes and that may have been measured between the two moments.
    pub fn select(&self, from_ms: i64, to_ms: i64, wanted: impl Fn(&Identity) -> bool) -> Vec<Past> {
        let index = self.index.lock();
        let targets = index.targets().filter(|target| wanted(&target.identity));
        let pasts = targets.map(|target| Past {
            identity: target.identity.clone(),
            has: target.has,
            slots: target.between(from_ms, to_ms),
        });
        pasts.filter(|past| !past.slots.is_empty()).collect()
    }

    /// The points of one amount between two moments, both included.
    pub fn points(&self, past: &Past, metric: Metric, from_ms: i64, to_ms: i64) -> Result<Points, HistoryError> {
        let mut points = Points::new();
        let about = metric.about();
        for (sequence, place) in &past.slots {
            let Some(slot) = self.ring.read(*place, *sequence).map_err(HistoryError::Read)? else {
                // It went to another target meanwhile: what it held was the oldest.
                continue;
            };
            let mut decoder = Decoder::new(slot.first_ms);
            let mut rows = slot.rows();
            while let Some(time_ms) = decoder.next(&mut rows) {
                if time_ms > to_ms {
                    break;
                }
                let amount = decoder.reading().get(metric).filter(|_| time_ms >= from_ms);
                points.extend(amount.map(|amount| (time_ms, about.shown(amount))));
            }
        }
        Ok(points)
    }

    /// The moments of the oldest slot's first row and of the newest row, if there are any.
    pub fn span(&self) -> Option<(i64, i64)> {
        self.index.lock().span()
    }

    /// Keeps everybody else from the history.
    #[cfg(test)]
    pub(crate) fn hold(&self) -> impl Sized + '_ {
        self.index.lock()
    }

    /// Targets, and slots in use.
    pub fn size(&self) -> (usize, usize) {
        let index = self.index.lock();
        (index.targets().count(), index.slots())
    }
}

impl Past {
    pub fn has(&self, metric: Metric) -> bool {
        self.has >> metric as u8 & 1 == 1
    }

    pub fn scope(&self) -> Scope {
        self.identity.scope
    }
}

#[cfg(test)]
mod tests;
