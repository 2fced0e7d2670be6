//! Recovery: from the files to the newest durable state, its history, and a log that can be appended to.
//!
//! Invariants: nothing acknowledged is dropped. What is dropped is a torn last frame, which nobody was told about; any
//! other damage is an error that names file and offset. What recovery found is durable before it returns, because the
//! page cache may know a frame that the disk does not.

use super::frame::{FILE_HEADER, Next, Reader};
use super::history::{Batch, History};
use super::log::{self, Log, Segment};
use super::record::{Malformed, Payload};
use super::tree::Tree;
use super::{Options, snapshot};
use crate::files::{File, Files, attempted};
use crate::{Event, Revision, StoreError};
use std::io;
use std::sync::Arc;

pub(super) struct Recovered {
    pub(super) tree: Tree,
    pub(super) revision: u64,
    pub(super) history: History,
    pub(super) log: Log,
    pub(super) snapshot: u64,
}

/// The files of ours in a directory.
struct Found {
    /// The newest snapshot; 0: none.
    snapshot: u64,
    /// First revisions, ascending, of the segments that the snapshot does not cover.
    segments: Vec<u64>,
    superfluous: Vec<String>,
}

fn find(files: &dyn Files) -> Result<Found, StoreError> {
    let names = files.names().map_err(attempted(format!("list {}", files.place())))?;
    let mut superfluous: Vec<String> = names.iter().filter(|n| n.ends_with(snapshot::TEMPORARY)).cloned().collect();
    let mut snapshots: Vec<u64> = names.iter().filter_map(|name| snapshot::revision_of(name)).collect();
    snapshots.sort_unstable();
    let newest = snapshots.pop().unwrap_or(0);
    superfluous.extend(snapshots.into_iter().map(snapshot::name));

    let mut segments: Vec<u64> = names.iter().filter_map(|name| log::first_of(name)).collect();
    segments.sort_unstable();
    let covered = segments.windows(2).take_while(|pair| pair[1] <= newest + 1).count();
    superfluous.extend(segments.drain(..covered).map(log::name));
    Ok(Found { snapshot: newest, segments, superfluous })
}

/// Refuses a directory that holds a store, or half of one.
pub(super) fn check_empty(files: &dyn Files) -> Result<(), StoreError> {
    let Found { snapshot, segments, superfluous } = find(files)?;
    if snapshot == 0 && segments.is_empty() && superfluous.is_empty() {
        return Ok(());
    }
    let reason = io::Error::new(io::ErrorKind::AlreadyExists, "it holds a store already");
    Err(attempted(format!("make a new store in {}", files.place()))(reason))
}

/// Brings back what is in `files`, or makes an empty store there.
pub(super) fn recover(files: Arc<dyn Files>, options: &Options) -> Result<Recovered, StoreError> {
    let found = find(&*files)?;
    let tree = if found.snapshot > 0 { snapshot::read(&*files, found.snapshot)? } else { Tree::default() };
    let history = History::starting_at(found.snapshot);
    let mut replay = Replay { files: &*files, options, tree, history, revision: found.snapshot, next: None };

    let mut closed = Vec::new();
    let mut active = None;
    for (at, first) in found.segments.iter().copied().enumerate() {
        let is_last = at + 1 == found.segments.len();
        match replay.segment(first, is_last)? {
            Some((file, len)) if is_last => active = Some((file, first, len)),
            Some((_, len)) => closed.push(Segment { first, last: found.segments[at + 1] - 1, bytes: len }),
            // A segment that a crash left without a header: made anew below, under the same name.
            None => {}
        }
    }
    if replay.next.is_some_and(|next| next != replay.revision + 1) {
        return Err(missing(&*files, replay.revision));
    }
    let nothing_before = found.snapshot == 0 || !found.segments.is_empty();
    let (active, first, len) = match active {
        Some(active) => active,
        None if nothing_before => {
            let first = replay.revision + 1;
            (log::create_segment(&*files, first)?, first, FILE_HEADER as u64)
        }
        None => return Err(missing(&*files, replay.revision + 1)),
    };
    active.sync().and_then(|()| files.sync_names()).map_err(attempted(format!("sync {}", files.place())))?;
    remove(&*files, &found.superfluous)?;

    let Replay { tree, history, revision, .. } = replay;
    let log = Log::resume(files.clone(), closed, active, first, len, options.segment_bytes_max);
    Ok(Recovered { tree, revision, history, log, snapshot: found.snapshot })
}

fn missing(files: &dyn Files, revision: u64) -> StoreError {
    let reason = format!("the segment that holds revision {revision} is missing");
    StoreError::Corrupt { attempted: format!("read the log in {}", files.place()), reason }
}

fn remove(files: &dyn Files, names: &[String]) -> Result<(), StoreError> {
    names.iter().try_for_each(|name| {
        files.remove(name).map_err(attempted(format!("remove the superfluous {}/{name}", files.place())))
    })
}

struct Replay<'a> {
    files: &'a dyn Files,
    options: &'a Options,
    tree: Tree,
    history: History,
    revision: u64,
    /// The first revision that the next segment must have; `None` before the first segment.
    next: Option<u64>,
}

impl Replay<'_> {
    /// Replays one segment and gives it back with its whole length; `None`: it never got as far as a header.
    fn segment(&mut self, first: u64, is_last: bool) -> Result<Option<(Box<dyn File>, u64)>, StoreError> {
        let follows = self.next.map_or(first <= self.revision + 1, |next| first == next);
        if !follows {
            return Err(missing(self.files, self.next.unwrap_or(self.revision + 1)));
        }
        let name = format!("{}/{}", self.files.place(), log::name(first));
        let file = self.files.open(&log::name(first)).map_err(attempted(format!("open {name}")))?;
        let mut reader = Reader::new(&*file, &name)?;
        if reader.file_header(log::MAGIC)?.is_none_or(|(number, _)| number != first) {
            // The header is durable before the first frame is written, so no frame can be lost with it.
            let len = file.len().map_err(attempted(format!("read the length of {name}")))?;
            return match is_last && first == self.revision + 1 && len <= FILE_HEADER as u64 {
                true => Ok(None),
                false => Err(reader.corrupt(0, "the segment's header is damaged")),
            };
        }
        let len = self.frames(&mut reader, first, is_last)?;
        let Some(torn_at) = len.torn_at else { return Ok(Some((file, len.whole))) };
        tracing::warn!(segment = name, offset = torn_at, "dropping a torn write that was never acknowledged");
        file.set_len(len.whole).map_err(attempted(format!("cut the torn end of {name}")))?;
        Ok(Some((file, len.whole)))
    }

    fn frames(&mut self, reader: &mut Reader<'_>, first: u64, is_last: bool) -> Result<Length, StoreError> {
        let mut expected = first;
        let mut whole = FILE_HEADER as u64;
        loop {
            match reader.next()? {
                Next::End => {
                    self.next = Some(expected);
                    return Ok(Length { whole, torn_at: None });
                }
                Next::Bad { offset, torn: true, .. } if is_last => {
                    self.next = Some(expected);
                    return Ok(Length { whole, torn_at: Some(offset) });
                }
                Next::Bad { offset, reason, .. } => return Err(reader.corrupt(offset, reason)),
                Next::Frame { tag, offset, .. } if tag != expected => {
                    let reason = format!("revision {expected} should follow, but {tag} does");
                    return Err(reader.corrupt(offset, &reason));
                }
                Next::Frame { count, offset, payload, .. } => {
                    let log_bytes = (payload.len() + super::frame::FRAME_HEADER) as u64;
                    let replayed = self.transactions(expected, count, payload, log_bytes);
                    replayed.map_err(|Malformed(reason)| reader.corrupt(offset, reason))?;
                    expected += u64::from(count);
                    whole = offset + log_bytes;
                }
            }
        }
    }

    fn transactions(&mut self, first: u64, count: u32, payload: &[u8], log_bytes: u64) -> Result<(), Malformed> {
        let mut payload = Payload::new(payload);
        let mut events: Vec<Event> = Vec::new();
        for revision in first..first + u64::from(count) {
            let ops = payload.transaction()?;
            // What the snapshot already has is skipped: it usually lies inside a segment.
            if revision > self.revision {
                self.tree.apply(Revision(revision), ops, &mut events);
                self.revision = revision;
            }
        }
        payload.end()?;
        if !events.is_empty() {
            let now = self.options.clock.now();
            self.history.push(Arc::new(Batch::new(events, now, log_bytes)));
            drop(self.history.trim(self.options, now));
        }
        Ok(())
    }
}

struct Length {
    whole: u64,
    torn_at: Option<u64>,
}
