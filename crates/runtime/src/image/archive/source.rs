//! Files by name out of a directory or a tar, in any order.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::ArchiveError;
use crate::image::digest::Hashed;
use crate::image::unpack::path::clean;
use crate::image::unpack::tar::{Archive as Tar, Kind};
use crate::image::unpack::{decompress, is_compressed};

/// An image has a handful of files; this bounds the table of a tar that is none.
const ENTRIES_MAX: usize = 100_000;
/// Old `docker save` writes a layer that two images share as a symbolic link.
const LINKS_MAX: usize = 5;
const BUFFER_BYTES: usize = 64 << 10;

/// Where an archive's files are.
pub(super) enum Source {
    Directory(OwnedFd),
    Tar { file: Arc<File>, places: HashMap<PathBuf, Place> },
}

/// What a tar has under one name.
pub(super) enum Place {
    Data { offset: u64, size: u64 },
    Link(PathBuf),
}

impl Source {
    pub(super) fn open(path: &Path, scratch: &Path, bytes_max: u64) -> Result<Source, ArchiveError> {
        let failed = |source| ArchiveError::Read { path: path.display().to_string(), source };
        if path.is_dir() {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let directory = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
            return Ok(Source::Directory(directory));
        }
        let file = File::open(path).map_err(failed)?;
        let file = plain(file, scratch, bytes_max).map_err(failed)?;
        let places = index(&file).map_err(failed)?;
        Ok(Source::Tar { file: Arc::new(file), places })
    }

    /// Whether there is a file of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.read(name).is_ok()
    }

    /// The file's content.
    pub(super) fn read(&self, name: &str) -> Result<Box<dyn Read + Send>, ArchiveError> {
        let missing = || ArchiveError::Missing(name.to_owned());
        let path = clean(name.as_bytes()).map_err(|_| missing())?;
        match self {
            Source::Directory(directory) => {
                let file = open_beneath(directory, &path).map_err(|source| match source.kind() {
                    io::ErrorKind::NotFound => missing(),
                    _ => ArchiveError::Read { path: name.to_owned(), source },
                })?;
                Ok(Box::new(file))
            }
            Source::Tar { file, places } => {
                let (offset, size) = find(places, path).ok_or_else(missing)?;
                Ok(Box::new(Section { file: Arc::clone(file), offset, left: size }))
            }
        }
    }
}

fn open_beneath(directory: &OwnedFd, path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let file = File::from(rustix::fs::openat2(directory, path, flags, Mode::empty(), how)?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}

/// The file itself if it is not compressed, else its content in a file without a name.
fn plain(mut file: File, scratch: &Path, bytes_max: u64) -> io::Result<File> {
    let mut magic = [0; 4];
    let mut filled = 0;
    while filled < magic.len() {
        match file.read(&mut magic[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    file.rewind()?;
    if !is_compressed(&magic[..filled]) {
        return Ok(file);
    }
    let mut content = tempfile::tempfile_in(scratch)?;
    io::copy(&mut Hashed::new(decompress(file)?, bytes_max), &mut content)?;
    content.rewind()?;
    Ok(content)
}

fn index(file: &File) -> io::Result<HashMap<PathBuf, Place>> {
    let mut places = HashMap::new();
    let mut tar = Tar::new(BufReader::with_capacity(BUFFER_BYTES, file.try_clone()?));
    while let Some(entry) = tar.next_entry()? {
        let named = |raw: &[u8]| clean(raw).map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason));
        let path = named(&entry.path)?;
        let place = match entry.kind {
            Kind::File => Place::Data { offset: tar.position(), size: entry.size },
            Kind::HardLink => Place::Link(named(&entry.link)?),
            Kind::Symlink => {
                let beside = path.parent().unwrap_or(Path::new("")).as_os_str().as_bytes();
                match named(&[beside, b"/", &entry.link].concat()) {
                    Ok(target) => Place::Link(target),
                    Err(_) => continue,
                }
            }
            _ => continue,
        };
        if places.len() >= ENTRIES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("more than {ENTRIES_MAX} files")));
        }
        places.insert(path, place);
        tar.seek_past_data()?;
    }
    Ok(places)
}

fn find(places: &HashMap<PathBuf, Place>, mut path: PathBuf) -> Option<(u64, u64)> {
    for _ in 0..=LINKS_MAX {
        match places.get(&path)? {
            Place::Data { offset, size } => return Some((*offset, *size)),
            Place::Link(target) => path = target.clone(),
        }
    }
    None
}

/// Part of a file; several can be read at once.
struct Section {
    file: Arc<File>,
    offset: u64,
    left: u64,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read_at(&mut buffer[..length], self.offset)?;
        if read == 0 && length > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}
