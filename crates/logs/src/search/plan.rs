//! Which files a search reads.
//!
//! Invariant: logs move from `live` to `ended` to the archive, and are looked for in that order, so that none is missed
//! between two places; one that is met twice is read once. Files that can still move are opened here.

use super::Source;
use crate::archive::{Held, Shared, directories_in, logs_in, parts_in, rotations};
use crate::identity::{Identity, Part, Rotation};
use crate::query::Filter;
use crate::segment::Span;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A container's directory changes while it is listed only when a log is rotated; each try takes microseconds.
const TRIES_MAX: usize = 64;

/// A part of a log that is to be read.
pub(crate) enum Piece {
    Archived {
        path: PathBuf,
        span: Span,
    },
    /// `length` is what is read of it.
    Raw {
        file: File,
        length: u64,
    },
}

/// A container and the parts of its log, in order.
pub(crate) struct Found {
    pub(crate) source: Arc<Source>,
    pub(crate) pieces: Vec<Piece>,
    /// The file that is still written, where there is one.
    pub(crate) live: Option<Live>,
}

pub(crate) struct Live {
    pub(crate) path: PathBuf,
    pub(crate) part: Part,
    pub(crate) file: File,
    /// Up to where it is in the pieces.
    pub(crate) length: u64,
    pub(crate) rotated: Rotated,
}

/// How far an instance's rotations had come when its live file was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rotated {
    /// The greatest number: what gets a greater one is that file, or later, or was moving.
    pub(crate) last: u64,
    /// The file before was about to get its number.
    pub(crate) moving: bool,
}

impl Rotated {
    fn of<'a>(parts: impl Iterator<Item = &'a Part> + Clone, container: &str, attempt: u32) -> Rotated {
        let is_moving =
            |part: &Part| *part.container == *container && part.attempt == attempt && part.rotation == Rotation::Moving;
        Rotated { last: rotations(parts.clone(), container, attempt), moving: parts.clone().any(is_moving) }
    }
}

impl Live {
    fn is_before(&self, part: &Part) -> bool {
        (part.attempt, part.rotation) > (self.part.attempt, Rotation::Number(self.rotated.last))
    }
}

/// A part that a follower has not read yet.
pub(crate) enum Later {
    Archived(Part, PathBuf),
    Raw { part: Part, file: File, rotated: Rotated },
}

impl Later {
    pub(crate) fn part(&self) -> &Part {
        match self {
            Later::Archived(part, _) | Later::Raw { part, .. } => part,
        }
    }
}

type Parts = BTreeMap<Part, Piece>;

#[derive(Default)]
struct Pod {
    identity: Arc<Identity>,
    containers: BTreeMap<Box<str>, Parts>,
    live: BTreeMap<Box<str>, Live>,
}

/// All parts of all containers that the filter wants.
pub(crate) fn plan(shared: &Shared, filter: &Filter) -> io::Result<Vec<Found>> {
    let mut pods: BTreeMap<String, Pod> = BTreeMap::new();
    for root in [&shared.options.live, &shared.options.ended] {
        for directory in directories_in(root)? {
            let is_live = root == &shared.options.live;
            if let Some((name, identity)) = wanted(&directory, filter) {
                let pod = pods.entry(name).or_insert_with(|| Pod { identity: Arc::new(identity), ..Pod::default() });
                add_raw(pod, shared, &directory, filter, is_live)?;
            }
        }
    }
    for (identity, parts) in shared.held(|pod| filter.wants_pod(pod)) {
        let pod = pods.entry(identity.directory());
        let pod = pod.or_insert_with(|| Pod { identity: identity.clone(), ..Pod::default() });
        add_archived(pod, shared, parts, filter);
    }
    Ok(pods.into_values().flat_map(found).collect())
}

fn wanted(directory: &Path, filter: &Filter) -> Option<(String, Identity)> {
    let name = directory.file_name()?.to_str()?;
    let named = Identity::of_directory(name)?;
    if !filter.wants_named(&named.namespace, &named.pod) {
        return None;
    }
    let identity = Identity::read(directory).filter(|identity| filter.wants_pod(identity))?;
    Some((name.to_owned(), identity))
}

fn add_raw(pod: &mut Pod, shared: &Shared, directory: &Path, filter: &Filter, is_live: bool) -> io::Result<()> {
    let archive = shared.options.archive.join(pod.identity.directory());
    for container in directories_in(directory)? {
        let Some(name) = container.file_name().and_then(|name| name.to_str()) else { continue };
        if !filter.wants_container(name) {
            continue;
        }
        let (archived, opened) = at_one_moment(&archive, Part::of_segment, || open_all(name, &container))?;
        let newest = opened.iter().map(|(part, _)| part.attempt).max();
        for (part, file) in &opened {
            let status = file.metadata()?;
            let mut length = status.len();
            let is_written = is_live && part.rotation == Rotation::Live && newest == Some(part.attempt);
            if is_written {
                length = end_of_lines(file, length)?;
                let before = opened.iter().map(|(part, _)| part).chain(archived.iter().map(|(part, _)| part));
                let rotated = Rotated::of(before, name, part.attempt);
                let file = file.try_clone()?;
                let path = container.join(format!("{}.log", part.attempt));
                pod.live.insert(name.into(), Live { path, part: part.clone(), file, length, rotated });
            }
            // The last write is the time of its last line, unless the clock jumps: a day's doubt costs nothing.
            const DOUBT: i64 = 24 * 3600 * 1_000_000_000;
            let written = status.mtime().saturating_mul(1_000_000_000).saturating_add(DOUBT);
            if filter.query.since.is_some_and(|since| written < since) {
                continue;
            }
            let parts = pod.containers.entry(name.into()).or_default();
            parts.entry(part.clone()).or_insert(Piece::Raw { file: file.try_clone()?, length });
        }
    }
    Ok(())
}

/// The archive's parts and what `open` opens, as they are at one moment: a part that were archived in between would be
/// met in neither place, and those after it taken for it.
fn at_one_moment<T>(
    archive: &Path,
    named: impl Fn(&str) -> Option<Part> + Copy,
    mut open: impl FnMut() -> io::Result<T>,
) -> io::Result<(Vec<(Part, PathBuf)>, T)> {
    let mut before = parts_in(archive, named)?;
    let mut tries = 0;
    loop {
        let opened = open()?;
        let after = parts_in(archive, named)?;
        tries += 1;
        if after == before || tries == TRIES_MAX {
            return Ok((after, opened));
        }
        before = after;
    }
}

/// Opens all parts of a container's log as they are at one moment.
fn open_all(name: &str, directory: &Path) -> io::Result<Vec<(Part, File)>> {
    let mut listed = logs_in(directory, name)?;
    let mut tries = 0;
    loop {
        let mut opened = Vec::with_capacity(listed.len());
        for (part, path) in &listed {
            match File::open(path) {
                Ok(file) => opened.push((part.clone(), file)),
                // Moved or archived meanwhile: it is met where it went.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let again = logs_in(directory, name)?;
        tries += 1;
        // A rotation makes a new name, and every later one too: no new name, no rotation in between.
        if again.iter().all(|found| listed.contains(found)) || tries == TRIES_MAX {
            return Ok(opened);
        }
        listed = again;
    }
}

/// The writer may be in the middle of a line: it is read when it is whole.
fn end_of_lines(file: &File, length: u64) -> io::Result<u64> {
    use std::os::unix::fs::FileExt;
    let mut to = length;
    let mut bytes = vec![0; 4096];
    while to > 0 {
        let from = to.saturating_sub(bytes.len() as u64);
        let part = &mut bytes[..(to - from) as usize];
        file.read_exact_at(part, from)?;
        if let Some(at) = memchr::memrchr(b'\n', part) {
            return Ok(from + at as u64 + 1);
        }
        to = from;
    }
    Ok(0)
}

/// The parts of a container's log, in order, wherever they are.
pub(crate) fn parts(shared: &Shared, pod: &str, container: &str) -> io::Result<Vec<Later>> {
    let archive = shared.options.archive.join(pod);
    let of_container = |file: &str| Part::of_segment(file).filter(|part| *part.container == *container);
    let directories = [&shared.options.live, &shared.options.ended].map(|root| root.join(pod).join(container));
    let (archived, opened) = at_one_moment(&archive, of_container, || {
        let mut opened: BTreeMap<Part, File> = BTreeMap::new();
        for directory in &directories {
            for (part, file) in open_all(container, directory)? {
                opened.entry(part).or_insert(file);
            }
        }
        Ok(opened)
    })?;
    let known: Vec<Part> = opened.keys().chain(archived.iter().map(|(part, _)| part)).cloned().collect();
    let rotated = |part: &Part| Rotated::of(known.iter(), container, part.attempt);
    let archived = archived.into_iter().filter(|(part, _)| !opened.contains_key(part));
    let mut parts: Vec<Later> = archived.map(|(part, path)| Later::Archived(part, path)).collect();
    let rotated: Vec<Rotated> = opened.keys().map(rotated).collect();
    parts.extend(opened.into_iter().zip(rotated).map(|((part, file), rotated)| Later::Raw { part, file, rotated }));
    parts.sort_by(|one, two| one.part().cmp(two.part()));
    Ok(parts)
}

fn add_archived(pod: &mut Pod, shared: &Shared, parts: BTreeMap<Part, Held>, filter: &Filter) {
    for (part, held) in parts {
        let Some(span) = held.span.filter(|_| filter.wants_container(&part.container)) else { continue };
        if pod.live.get(&part.container).is_some_and(|live| live.is_before(&part)) {
            continue;
        }
        if let Some(parts) = pod.containers.get_mut(&part.container) {
            parts.remove(&part);
        }
        if !filter.wants_any_of(span.first, span.last, held.levels) {
            continue;
        }
        let path = shared.path_of(&pod.identity, &part);
        pod.containers.entry(part.container.clone()).or_default().insert(part, Piece::Archived { path, span });
    }
}

fn found(pod: Pod) -> Vec<Found> {
    let Pod { identity, mut containers, mut live } = pod;
    for name in live.keys() {
        containers.entry(name.clone()).or_default();
    }
    let chains = containers.into_iter().map(|(container, parts)| Found {
        live: live.remove(&container),
        source: Arc::new(Source { pod: identity.clone(), container }),
        pieces: parts.into_values().collect(),
    });
    chains.collect()
}
