//! Log files on their way into the archive.

use super::Shared;
use super::catalog::Held;
use crate::identity::{Identity, Part, Rotation};
use crate::segment;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Moves a pod's directory. Where there is one of that name already, what an earlier try left, its files come first.
pub(super) fn move_over(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if is_occupied(&error) => merge(from, to),
        Err(error) => Err(error),
    }
}

fn is_occupied(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists)
}

fn merge(from: &Path, to: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if !entry.file_type()?.is_dir() || !target.exists() {
            std::fs::rename(entry.path(), target)?;
            continue;
        }
        let container = entry.file_name().to_string_lossy().into_owned();
        for (part, path) in parts_in(&entry.path(), |file| Part::of_log(&container, file))? {
            let Some(name) = path.file_name() else { continue };
            let place = target.join(name);
            if place.exists() {
                // The earlier one of that name was written before this one: it is told from it by a number.
                let before = parts_in(&target, |file| Part::of_log(&container, file))?;
                let number = rotations(before.iter().map(|(own, _)| own), &container, part.attempt) + 1;
                std::fs::rename(&place, target.join(format!("{}.log.{number:06}-merged", part.attempt)))?;
            }
            std::fs::rename(path, place)?;
        }
        std::fs::remove_dir_all(entry.path())?;
    }
    std::fs::remove_dir(from)
}

/// The files of a directory that `parse` knows; none where there is no directory.
pub(crate) fn parts_in(directory: &Path, parse: impl Fn(&str) -> Option<Part>) -> io::Result<Vec<(Part, PathBuf)>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut parts = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Some(part) = entry.file_name().to_str().and_then(&parse) {
            parts.push((part, entry.path()));
        }
    }
    parts.sort();
    Ok(parts)
}

/// A container's log files. One that is moving while there is no other to write to is still the live one.
pub(crate) fn logs_in(directory: &Path, container: &str) -> io::Result<Vec<(Part, PathBuf)>> {
    let mut parts = parts_in(directory, |file| Part::of_log(container, file))?;
    let live: Vec<u32> =
        parts.iter().filter(|(part, _)| part.rotation == Rotation::Live).map(|(part, _)| part.attempt).collect();
    for (part, _) in &mut parts {
        if part.rotation == Rotation::Moving && !live.contains(&part.attempt) {
            part.rotation = Rotation::Live;
        }
    }
    Ok(parts)
}

/// See `Archive::claim_rotation`. `archived` is where the pod's segments are, `ended` where logs of an earlier time of it
/// wait. The number that was given last stands in a
/// file beside the log, as segments go when they are old.
pub(super) fn claim_rotation(log: &Path, archived: &Path, ended: &Path) -> io::Result<u64> {
    let names = (|| {
        let directory = log.parent()?;
        let container = name_of(directory)?;
        Some((directory, container, Part::of_log(container, name_of(log)?)?.attempt))
    })();
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "not a container's log");
    let (directory, container, attempt) = names.ok_or_else(wrong)?;
    let given = directory.join(format!("{attempt}.rotations"));
    let ended = ended.join(container);
    let last = given_last(&given)?.max(given_last(&ended.join(format!("{attempt}.rotations")))?);
    let rotated = parts_in(directory, |file| Part::of_log(container, file))?;
    let waiting = parts_in(&ended, |file| Part::of_log(container, file))?;
    let archived = parts_in(archived, Part::of_segment)?;
    let parts = rotated.iter().chain(&waiting).chain(&archived).map(|(part, _)| part);
    let number = last.max(rotations(parts, container, attempt)) + 1;
    std::fs::write(given, number.to_string())?;
    Ok(number)
}

fn given_last(file: &Path) -> io::Result<u64> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(text.trim().parse().unwrap_or(0)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// The greatest number of an instance's rotated logs.
pub(crate) fn rotations<'a>(parts: impl Iterator<Item = &'a Part>, container: &str, attempt: u32) -> u64 {
    let own = parts.filter(|part| *part.container == *container && part.attempt == attempt);
    let numbers = own.filter_map(|part| match part.rotation {
        Rotation::Number(number) => Some(number),
        Rotation::Moving | Rotation::Live => None,
    });
    numbers.max().unwrap_or(0)
}

/// The directories in a directory; none where there is no directory.
pub(crate) fn directories_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut directories = Vec::new();
    for entry in entries {
        let entry = entry?;
        // Gone in between is as good as never there.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            directories.push(entry.path());
        }
    }
    directories.sort();
    Ok(directories)
}

fn name_of(path: &Path) -> Option<&str> {
    path.file_name().and_then(|name| name.to_str())
}

impl Shared {
    /// Archives all logs of a pod that is gone, and removes what it left.
    pub(super) fn take_ended(&self, directory: &Path) -> io::Result<()> {
        for container in directories_in(directory)? {
            let Some(name) = name_of(&container) else { continue };
            for (part, path) in logs_in(&container, name)? {
                self.take(directory, part, &path)?;
            }
        }
        std::fs::remove_dir_all(directory)
    }

    /// Archives of a pod that is there what is no longer written and no longer asked for by its name: rotated files, and
    /// logs of instances before the one before the present one.
    pub(super) fn take_rotated(&self, directory: &Path) -> io::Result<()> {
        for container in directories_in(directory)? {
            let Some(name) = name_of(&container) else { continue };
            let parts = logs_in(&container, name)?;
            let last = parts.iter().map(|(part, _)| part.attempt).max().unwrap_or(0);
            for (part, path) in parts {
                if matches!(part.rotation, Rotation::Number(_)) || part.attempt + 1 < last {
                    self.take(directory, part, &path)?;
                }
            }
        }
        Ok(())
    }

    fn take(&self, directory: &Path, part: Part, path: &Path) -> io::Result<()> {
        let Some((pod, identity)) = name_of(directory).zip(Identity::read(directory)) else { return Ok(()) };
        let log = File::open(path)?;
        let is_empty = log.metadata()?.len() == 0;
        let present = self.catalog.lock().has(pod, &part);
        let is_done = is_empty || (present && self.is_archived(pod, &part, &log)?);
        if !is_done {
            let part = if present { self.make_way(pod, part)? } else { part };
            self.archive(pod, &identity, part, path)?;
        }
        std::fs::remove_file(path)
    }

    /// Whether the segment of that name is this very file's: that a crash came between archiving and removing it.
    fn is_archived(&self, pod: &str, part: &Part, log: &File) -> io::Result<bool> {
        match segment::Segment::open(&self.segment_path(pod, part)) {
            Ok(segment) => segment.index().is_of(log),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes a place for a file whose name another's segment has, as happens when a container's numbers begin anew. That
    /// one is older, and so is what has the last name: it gets the next number. Answers which part the file is.
    fn make_way(&self, pod: &str, part: Part) -> io::Result<Part> {
        let mut catalog = self.catalog.lock();
        let number = rotations(catalog.parts(pod), &part.container, part.attempt) + 1;
        let numbered = Part { rotation: Rotation::Number(number), ..part.clone() };
        if matches!(part.rotation, Rotation::Number(_)) {
            return Ok(numbered);
        }
        match std::fs::rename(self.segment_path(pod, &part), self.segment_path(pod, &numbered)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        catalog.rename(pod, &part, numbered);
        Ok(part)
    }

    fn archive(&self, pod: &str, identity: &Identity, part: Part, path: &Path) -> io::Result<()> {
        let place = self.segment_path(pod, &part);
        let parent = self.options.archive.join(pod);
        std::fs::create_dir_all(&parent)?;
        let log = File::open(path)?;
        let written = match segment::write(&place, identity, &part.container, &log) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                self.make_room(log.metadata()?.len());
                segment::write(&place, identity, &part.container, &File::open(path)?)
            }
            written => written,
        };
        let index = match written {
            Ok(index) => index,
            Err(error) => {
                remove_if_there(&place.with_extension("part"))?;
                return Err(error);
            }
        };
        // Durable before the log is removed: the file is, now its name.
        File::open(&parent)?.sync_all()?;
        let held = Held::new(&index, &place.metadata()?);
        self.catalog.lock().insert(pod, identity, part, held);
        Ok(())
    }

    /// Reads what the archive holds; what a crash left half written is removed.
    pub(super) fn load(&self) -> io::Result<()> {
        let mut catalog = Vec::new();
        for directory in directories_in(&self.options.archive)? {
            // What is wrong with one pod's costs nothing of the others'.
            match self.load_pod(&directory) {
                Ok(found) => catalog.extend(found),
                Err(error) => tracing::warn!(path = %directory.display(), %error, "archived logs are not read"),
            }
        }
        let mut own = self.catalog.lock();
        for (pod, part, held, identity) in catalog {
            own.insert(&pod, &identity, part, held);
        }
        Ok(())
    }

    fn load_pod(&self, directory: &Path) -> io::Result<Vec<(String, Part, Held, Identity)>> {
        let mut found = Vec::new();
        let Some(pod) = name_of(directory) else { return Ok(found) };
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            let Some(part) = name_of(&path).and_then(Part::of_segment) else {
                if path.extension().is_some_and(|extension| extension == "part") {
                    tracing::info!(path = %path.display(), "removing a segment of logs that was not finished");
                    remove_if_there(&path)?;
                } else {
                    tracing::warn!(path = %path.display(), "this is none of the log archive's; it is left alone");
                }
                continue;
            };
            match segment::Segment::open(&path).and_then(|open| Ok((open.into_index(), path.metadata()?))) {
                Ok((index, file)) => found.push((pod.to_owned(), part, Held::new(&index, &file), index.pod)),
                Err(error) => tracing::warn!(path = %path.display(), %error, "a segment of logs is not read"),
            }
        }
        Ok(found)
    }
}

pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
