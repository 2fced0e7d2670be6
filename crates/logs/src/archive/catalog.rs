//! What the archive holds, in memory: about 200 bytes for each segment.

use crate::identity::{Identity, Part};
use crate::segment::{Index, Span};
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Segments that are held: beyond, the oldest go, however small. They take some 8 MiB of memory.
pub(super) const SEGMENTS_MAX: usize = 32 << 10;

/// A segment, as far as it is known without opening it.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// `None` without lines.
    pub(crate) span: Option<Span>,
    /// Bit n: there are lines of the nth level.
    pub(crate) levels: u8,
    pub(crate) lines: u64,
    disk_bytes: u64,
    made: SystemTime,
}

impl Held {
    pub(super) fn new(index: &Index, file: &Metadata) -> Held {
        Held {
            span: index.span(),
            levels: index.level_bits(),
            lines: index.lines,
            disk_bytes: file.blocks() * 512,
            made: file.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        }
    }
}

struct Pod {
    identity: Arc<Identity>,
    parts: BTreeMap<Part, Held>,
}

#[derive(Default)]
pub(crate) struct Catalog {
    loaded: bool,
    pods: BTreeMap<String, Pod>,
    segments: usize,
    bytes: u64,
}

impl Catalog {
    pub(super) fn is_loaded(&self) -> bool {
        self.loaded
    }

    pub(super) fn set_loaded(&mut self) {
        self.loaded = true;
    }

    pub(super) fn has(&self, directory: &str, part: &Part) -> bool {
        self.pods.get(directory).is_some_and(|pod| pod.parts.contains_key(part))
    }

    pub(super) fn insert(&mut self, directory: &str, identity: &Identity, part: Part, held: Held) {
        let pod = self.pods.entry(directory.to_owned());
        let pod = pod.or_insert_with(|| Pod { identity: Arc::new(identity.clone()), parts: BTreeMap::new() });
        // The last word counts: labels change while a pod lives.
        if *pod.identity != *identity {
            pod.identity = Arc::new(identity.clone());
        }
        self.bytes += held.disk_bytes;
        self.segments += 1;
        if let Some(before) = pod.parts.insert(part, held) {
            self.bytes -= before.disk_bytes;
            self.segments -= 1;
        }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.pods.keys().cloned().collect()
    }

    pub(super) fn parts(&self, directory: &str) -> impl Iterator<Item = &Part> {
        self.pods.get(directory).into_iter().flat_map(|pod| pod.parts.keys())
    }

    /// How much of the disk it takes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives a segment another name.
    pub(super) fn rename(&mut self, directory: &str, from: &Part, to: Part) {
        if let Some(pod) = self.pods.get_mut(directory)
            && let Some(held) = pod.parts.remove(from)
        {
            pod.parts.insert(to, held);
        }
    }

    fn remove(&mut self, directory: &str, part: &Part) -> Option<Held> {
        let pod = self.pods.get_mut(directory)?;
        let held = pod.parts.remove(part)?;
        self.bytes -= held.disk_bytes;
        self.segments -= 1;
        if pod.parts.is_empty() {
            self.pods.remove(directory);
        }
        Some(held)
    }

    pub(super) fn select(&self, wanted: impl Fn(&Identity) -> bool) -> Vec<(Arc<Identity>, BTreeMap<Part, Held>)> {
        let pods = self.pods.values().filter(|pod| wanted(&pod.identity));
        pods.map(|pod| (pod.identity.clone(), pod.parts.clone())).collect()
    }

    /// Takes out what is too old, and the oldest of what is too much; names what is to be removed, and how
    /// many lines that has.
    pub(super) fn expire(&mut self, now: SystemTime, age_max: Duration, bytes_max: u64) -> Vec<(String, Part, u64)> {
        let mut by_age: Vec<(SystemTime, u64, &String, &Part)> = Vec::new();
        let is_old = |held: &Held| now.duration_since(held.made).is_ok_and(|age| age > age_max);
        let too_much = self.bytes > bytes_max || self.segments > SEGMENTS_MAX;
        for (directory, pod) in &self.pods {
            let gone = pod.parts.iter().filter(|(_, held)| too_much || is_old(held));
            by_age.extend(gone.map(|(part, held)| (held.made, held.disk_bytes, directory, part)));
        }
        by_age.sort();
        let (mut bytes, mut segments) = (self.bytes, self.segments);
        // A little below the bound, so that not every segment makes all be sorted.
        let (bytes_goal, segments_goal) = (bytes_max - bytes_max / 16, SEGMENTS_MAX - SEGMENTS_MAX / 16);
        let mut gone = Vec::new();
        for (made, disk_bytes, directory, part) in by_age {
            let old = now.duration_since(made).is_ok_and(|age| age > age_max);
            let excess = too_much && (bytes > bytes_goal || segments > segments_goal);
            if !old && !excess {
                break;
            }
            bytes -= disk_bytes;
            segments -= 1;
            gone.push((directory.clone(), part.clone()));
        }
        let removed = gone.into_iter().map(|(directory, part)| {
            let lines = self.remove(&directory, &part).map_or(0, |held| held.lines);
            (directory, part, lines)
        });
        removed.collect()
    }
}
