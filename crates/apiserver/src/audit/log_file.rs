//! The audit log's file: lines are appended, and a full file is put aside.
//!
//! Invariants: a line is never split over two files; a file that is put aside is never written again. Old files are
//! named, packed and removed as upstream's rotation does: `audit-2006-01-02T15-04-05.000.log[.gz]`.

use super::old_files::OldFiles;
use bytes::Bytes;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tokio::task::JoinHandle;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    #[default]
    Json,
    Legacy,
}

/// What becomes of a file that is full.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rotation {
    pub(super) bytes_max: u64,
    /// Old files that are kept, and how long; zero: all, for ever.
    pub(super) files_max: usize,
    pub(super) days_max: u64,
    pub(super) compress: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum LogFileError {
    #[error("opening the audit log {path}: {source}")]
    Open { path: PathBuf, source: std::io::Error },
    #[error("putting the full audit log {path} aside: {source}")]
    Rotate { path: PathBuf, source: std::io::Error },
    #[error("writing the audit log {path}: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("the task that writes the audit log failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

enum Place {
    Stdout,
    /// `None` after a failure: the next write opens it again.
    File {
        open: Option<(File, u64)>,
        old: OldFiles,
    },
}

pub(super) struct LogFile {
    /// Taken while a write is under way on another thread.
    place: Option<Place>,
    path: PathBuf,
    format: Format,
    rotation: Rotation,
    /// Packs and removes old files.
    tidying: Option<JoinHandle<()>>,
}

fn open(path: &Path) -> Result<(File, u64), LogFileError> {
    let failed = |source| LogFileError::Open { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    Ok((file, bytes))
}

impl LogFile {
    /// `-` is standard output.
    pub(super) fn open(path: &Path, format: Format, rotation: Rotation) -> Result<LogFile, LogFileError> {
        let place = match path.as_os_str() == "-" {
            true => Place::Stdout,
            false => Place::File { open: Some(open(path)?), old: OldFiles::of(path) },
        };
        Ok(LogFile { place: Some(place), path: path.to_owned(), format, rotation, tidying: None })
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Writes on another thread: a disk may take its time.
    pub(super) async fn write(&mut self, lines: Vec<Bytes>) -> Result<(), LogFileError> {
        let mut place = self.place.take().unwrap_or_else(|| Place::File { open: None, old: OldFiles::of(&self.path) });
        let (path, rotation) = (self.path.clone(), self.rotation);
        let (place, written) = tokio::task::spawn_blocking(move || {
            let written = place.write(&path, rotation.bytes_max, &lines);
            (place, written)
        })
        .await?;
        let Place::File { old, .. } = self.place.insert(place) else { return written.map(|_| ()) };
        if matches!(written, Ok(true)) && self.tidying.as_ref().is_none_or(JoinHandle::is_finished) {
            let old = old.clone();
            self.tidying = Some(tokio::task::spawn_blocking(move || old.tidy(rotation)));
        }
        written.map(|_| ())
    }

    /// Returns when nothing is done to the files any more.
    pub(super) async fn end(self) {
        if let Some(tidying) = self.tidying
            && let Err(error) = tidying.await
        {
            tracing::error!(%error, "the task that tidies old audit logs failed");
        }
    }
}

impl Place {
    /// Whether a file was put aside.
    fn write(&mut self, path: &Path, bytes_max: u64, lines: &[Bytes]) -> Result<bool, LogFileError> {
        let failed = |source| LogFileError::Write { path: path.to_owned(), source };
        let (current, old) = match self {
            Place::Stdout => {
                let mut out = std::io::stdout().lock();
                out.write_all(&joined(lines)).and_then(|()| out.flush()).map_err(failed)?;
                return Ok(false);
            }
            Place::File { open, old } => (open, old),
        };
        let mut rotated = false;
        let mut rest = lines;
        while !rest.is_empty() {
            let (mut file, bytes) = match current.take() {
                Some(open) => open,
                None => open(path)?,
            };
            let fitting = fitting(rest, bytes_max.saturating_sub(bytes));
            // A line that no file would hold has one of its own.
            let fitting = if bytes == 0 { fitting.max(1) } else { fitting };
            if fitting == 0 {
                drop(file);
                old.put_aside().map_err(|source| LogFileError::Rotate { path: path.to_owned(), source })?;
                rotated = true;
                continue;
            }
            let (now, later) = rest.split_at(fitting);
            let text = joined(now);
            file.write_all(&text).map_err(failed)?;
            *current = Some((file, bytes + text.len() as u64));
            rest = later;
        }
        Ok(rotated)
    }
}

/// How many of the lines fit.
fn fitting(lines: &[Bytes], bytes: u64) -> usize {
    let mut left = bytes;
    let fits = lines.iter().take_while(|line| match left.checked_sub(line.len() as u64 + 1) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    });
    fits.count()
}

fn joined(lines: &[Bytes]) -> Vec<u8> {
    let mut text = Vec::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
    for line in lines {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn line(number: usize) -> Bytes {
        Bytes::from(format!("line {number:03}"))
    }

    async fn write(file: &mut LogFile, numbers: std::ops::Range<usize>) {
        file.write(numbers.map(line).collect()).await.unwrap();
    }

    #[tokio::test]
    async fn a_full_file_is_put_aside_and_no_line_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/audit.log");
        // Three lines of nine bytes fit.
        let rotation = Rotation { bytes_max: 28, files_max: 0, days_max: 0, compress: false };
        let mut file = LogFile::open(&path, Format::Json, rotation).unwrap();
        write(&mut file, 0..2).await;
        file.end().await;
        let mut file = LogFile::open(&path, Format::Json, rotation).unwrap();
        write(&mut file, 2..7).await;
        let long = Bytes::from("x".repeat(100));
        file.write(vec![long.clone(), line(7)]).await.unwrap();
        file.end().await;
        let folder = path.parent().unwrap();
        let names = names(folder);
        assert_eq!(names.len(), 5, "{names:?}");
        let texts: Vec<String> = names.iter().map(|name| std::fs::read_to_string(folder.join(name)).unwrap()).collect();
        assert_eq!(texts[0], "line 000\nline 001\nline 002\n");
        assert_eq!(texts[1], "line 003\nline 004\nline 005\n");
        assert_eq!(texts[2], "line 006\n");
        assert_eq!(texts[3], format!("{}\n", "x".repeat(100)));
        assert_eq!(texts[4], "line 007\n");
        assert_eq!(names[4], "audit.log");
        assert!(names[0].starts_with("audit-20") && names[0].ends_with(".log"), "{names:?}");
    }

    #[tokio::test]
    async fn old_files_are_packed_and_only_the_newest_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        std::fs::write(folder.path().join("audit-notes.log"), "mine").unwrap();
        std::fs::write(folder.path().join("audit-2020-01-02T03-04-05.678.log"), "ancient").unwrap();
        let rotation = Rotation { bytes_max: 10, files_max: 2, days_max: 30, compress: true };
        let mut file = LogFile::open(&path, Format::Json, rotation).unwrap();
        write(&mut file, 0..4).await;
        file.end().await;
        let names = names(folder.path());
        assert_eq!(names.len(), 4, "{names:?}");
        assert_eq!(names[2..], ["audit-notes.log", "audit.log"]);
        let mut text = String::new();
        let packed = File::open(folder.path().join(&names[1])).unwrap();
        flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        assert_eq!(text, "line 002\n");
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/audit.log");
        let rotation = Rotation { bytes_max: 10, files_max: 0, days_max: 0, compress: false };
        let mut file = LogFile::open(&path, Format::Json, rotation).unwrap();
        write(&mut file, 0..1).await;
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
        let error = file.write(vec![line(1)]).await.unwrap_err().to_string();
        assert!(error.starts_with("putting the full audit log"), "{error}");
        write(&mut file, 2..3).await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "line 002\n");
        let error = LogFile::open(folder.path(), Format::Json, rotation).err().unwrap().to_string();
        assert!(error.contains(&folder.path().display().to_string()), "{error}");
    }
}
