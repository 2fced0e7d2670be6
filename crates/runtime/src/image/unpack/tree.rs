//! Writes a layer's entries below one directory, whatever their names and links say.
//!
//! Every directory is opened with `openat2(RESOLVE_IN_ROOT)`: the kernel resolves links and `..` as if the layer's
//! directory were `/`. The last component is then made, replaced or linked relative to that open directory and never
//! followed. So nothing outside can be named.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::attributes::{set_on_file, set_on_node, through, times};
use super::path::{Marker, clean, marker};
use super::tar::{Entry, Kind};
use super::{Digest, UnpackError, Unpacked};

const COPY_BYTES: usize = 128 << 10;
/// Files take whole blocks; 4 KiB is what ext4, xfs and btrfs use.
const BLOCK_BYTES: u64 = 4096;
const OPAQUE_XATTR: &str = "trusted.overlay.opaque";
/// The kernel gives up with EAGAIN when something was renamed or mounted anywhere meanwhile, and asks to try again
/// (openat2(2)). Each try is short, so that many in a row do not happen.
const RESOLVE_ATTEMPTS: usize = 1000;

/// A layer in the making.
pub(super) struct Tree<'a> {
    layer: &'a Digest,
    root: Rc<OwnedFd>,
    /// The last parent: entries come directory by directory. Dropped whenever something was replaced.
    recent: Option<(PathBuf, Rc<OwnedFd>)>,
    /// Times are set last, because every file made in a directory changes them.
    directory_times: Vec<(PathBuf, Timestamps)>,
    unpacked: Unpacked,
    buffer: Vec<u8>,
}

impl<'a> Tree<'a> {
    pub(super) fn open(root: &Path, layer: &'a Digest) -> Result<Self, UnpackError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(root, flags, Mode::empty()).map_err(|source| UnpackError::Write {
            layer: layer.clone(),
            path: root.display().to_string(),
            source: source.into(),
        })?;
        let unpacked = Unpacked { inodes: 1, bytes: BLOCK_BYTES, ..Unpacked::default() };
        Ok(Tree {
            layer,
            root: Rc::new(opened),
            recent: None,
            directory_times: Vec::new(),
            unpacked,
            buffer: vec![0; COPY_BYTES],
        })
    }

    /// Makes one entry; `data` is its content.
    pub(super) fn apply(&mut self, entry: &Entry, data: &mut dyn Read) -> Result<(), UnpackError> {
        let path = clean(&entry.path).map_err(|reason| self.refuse(entry, reason))?;
        match marker(&path).map_err(|reason| self.refuse(entry, reason))? {
            Marker::Ignored => Ok(()),
            Marker::Opaque => {
                let directory = path.parent().unwrap_or(Path::new("")).to_owned();
                self.make_opaque(&directory).map_err(|source| self.write_error(entry, source))
            }
            Marker::Whiteout(hidden) => self.hide(&hidden, entry).map_err(|source| self.write_error(entry, source)),
            Marker::None if path.as_os_str().is_empty() => self.apply_root(entry),
            Marker::None => self.make(&path, entry, data),
        }
    }

    /// Sets the directories' times, and says what was made.
    pub(super) fn finish(mut self) -> Result<Unpacked, UnpackError> {
        for (path, times) in std::mem::take(&mut self.directory_times).iter().rev() {
            let set = match resolve(&self.root, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW) {
                Ok(directory) => rustix::fs::futimens(directory, times),
                // A later entry put something else there.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
                Err(error) => Err(error),
            };
            set.map_err(|source| UnpackError::Write {
                layer: self.layer.clone(),
                path: path.display().to_string(),
                source: source.into(),
            })?;
        }
        Ok(self.unpacked)
    }

    fn apply_root(&mut self, entry: &Entry) -> Result<(), UnpackError> {
        if entry.kind != Kind::Directory {
            return Err(self.refuse(entry, "the layer's root must be a directory".to_owned()));
        }
        self.directory_times.push((PathBuf::new(), times(entry)));
        set_on_file(self.root.as_fd(), entry).map_err(|source| self.write_error(entry, source))
    }

    fn make(&mut self, path: &Path, entry: &Entry, data: &mut dyn Read) -> Result<(), UnpackError> {
        // Checked before anything is touched.
        let link = match entry.kind {
            Kind::HardLink => {
                let reason = |_| format!("invalid hardlink -> {:?}", String::from_utf8_lossy(&entry.link));
                Some(clean(&entry.link).map_err(reason).map_err(|reason| self.refuse(entry, reason))?)
            }
            _ => None,
        };
        let failed = |tree: &Self, source| tree.write_error(entry, source);
        let (parent, name) = self.parent(path).map_err(|source| failed(self, source))?;
        let existing = lookup(&parent, name).map_err(|source| failed(self, source))?;
        let made = match (entry.kind, link) {
            (Kind::HardLink, Some(target)) => self.make_link(&parent, name, &target, existing),
            (Kind::Directory, _) => self.make_directory(&parent, path, entry, existing),
            (Kind::File, _) => return self.make_file(&parent, name, entry, data, existing),
            _ => self.make_node(&parent, name, entry, existing),
        };
        made.map_err(|source| failed(self, source))
    }

    fn make_directory(
        &mut self,
        parent: &Rc<OwnedFd>,
        path: &Path,
        entry: &Entry,
        existing: Option<Stat>,
    ) -> io::Result<()> {
        let name = Path::new(path.file_name().unwrap_or_default());
        if !existing.as_ref().is_some_and(is_directory) {
            let hidden = existing.as_ref().is_some_and(is_whiteout);
            self.clear(parent, name, existing)?;
            rustix::fs::mkdirat(&**parent, name, Mode::RWXU)?;
            self.count(0);
            if hidden {
                // This layer hid what lies below before it made the directory anew.
                self.make_opaque(path)?;
            }
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(&**parent, name, flags, Mode::empty())?;
        self.directory_times.push((path.to_owned(), times(entry)));
        self.unpacked.implied.remove(path);
        set_on_file(directory.as_fd(), entry)
    }

    fn make_file(
        &mut self,
        parent: &Rc<OwnedFd>,
        name: &Path,
        entry: &Entry,
        data: &mut dyn Read,
        existing: Option<Stat>,
    ) -> Result<(), UnpackError> {
        let failed = |tree: &Self, source| tree.write_error(entry, source);
        self.clear(parent, name, existing).map_err(|source| failed(self, source))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&**parent, name, flags, Mode::RUSR | Mode::WUSR);
        let mut file = File::from(opened.map_err(|source| failed(self, source.into()))?);
        loop {
            let read = match data.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(UnpackError::Read { layer: self.layer.clone(), source }),
            };
            file.write_all(&self.buffer[..read]).map_err(|source| failed(self, source))?;
        }
        self.count(entry.size);
        let set = set_on_file(file.as_fd(), entry);
        set.and_then(|()| Ok(rustix::fs::futimens(&file, &times(entry))?)).map_err(|source| failed(self, source))
    }

    fn make_link(
        &mut self,
        parent: &Rc<OwnedFd>,
        name: &Path,
        target: &Path,
        existing: Option<Stat>,
    ) -> io::Result<()> {
        let (target_parent, target_name) = self.parent(target)?;
        let Some(found) = lookup(&target_parent, target_name)? else {
            let reason = format!("hard link to {}, which is not in the layer", target.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, reason));
        };
        if existing.as_ref().is_some_and(|existing| (existing.st_dev, existing.st_ino) == (found.st_dev, found.st_ino))
        {
            return Ok(());
        }
        self.clear(parent, name, existing)?;
        // Without SYMLINK_FOLLOW, a link to a symbolic link links to that itself.
        rustix::fs::linkat(&*target_parent, target_name, &**parent, name, AtFlags::empty())?;
        Ok(())
    }

    fn make_node(
        &mut self,
        parent: &Rc<OwnedFd>,
        name: &Path,
        entry: &Entry,
        existing: Option<Stat>,
    ) -> io::Result<()> {
        self.clear(parent, name, existing)?;
        let node = |file_type, device| rustix::fs::mknodat(&**parent, name, file_type, Mode::RUSR | Mode::WUSR, device);
        let device = rustix::fs::makedev(entry.device.0, entry.device.1);
        match entry.kind {
            Kind::Symlink => rustix::fs::symlinkat(entry.link.as_slice(), &**parent, name)?,
            Kind::Character => node(FileType::CharacterDevice, device)?,
            Kind::Block => node(FileType::BlockDevice, device)?,
            Kind::Fifo => node(FileType::Fifo, 0)?,
            Kind::File | Kind::HardLink | Kind::Directory => return Err(io::ErrorKind::InvalidInput.into()),
        }
        self.count(0);
        set_on_node(parent.as_fd(), name, entry, entry.kind == Kind::Symlink)
    }

    /// Hides what layers below have at `path`: overlayfs' whiteout is a character device 0/0.
    fn hide(&mut self, path: &Path, entry: &Entry) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        match lookup(&parent, name)? {
            // This layer's own file already stands in front of what is below; a directory would let it through.
            Some(existing) if is_directory(&existing) => return self.make_opaque(path),
            Some(_) => return Ok(()),
            None => {}
        }
        rustix::fs::mknodat(&*parent, name, FileType::CharacterDevice, Mode::empty(), 0)?;
        self.count(0);
        let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
        Ok(rustix::fs::chownat(&*parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn make_opaque(&mut self, path: &Path) -> io::Result<()> {
        self.directory(path)?;
        let directory = resolve(&self.root, path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        Ok(rustix::fs::fsetxattr(directory, OPAQUE_XATTR, b"y", XattrFlags::empty())?)
    }

    /// The open directory that `path` lies in, made where it is missing, and the last component.
    fn parent<'p>(&mut self, path: &'p Path) -> io::Result<(Rc<OwnedFd>, &'p Path)> {
        let directory = path.parent().unwrap_or(Path::new(""));
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let opened = match &self.recent {
            Some((recent, opened)) if recent == directory => Rc::clone(opened),
            _ => {
                let opened = self.directory(directory)?;
                self.recent = Some((directory.to_owned(), Rc::clone(&opened)));
                opened
            }
        };
        Ok((opened, Path::new(name)))
    }

    fn directory(&mut self, path: &Path) -> io::Result<Rc<OwnedFd>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match resolve(&self.root, path, flags) {
            Ok(opened) => return Ok(Rc::new(opened)),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let above = self.directory(path.parent().ok_or(Errno::NOENT)?)?;
        let name = path.file_name().ok_or(Errno::NOENT)?;
        rustix::fs::mkdirat(&*above, name, Mode::from_raw_mode(0o755)).map_err(|error| match error {
            Errno::EXIST => {
                let reason = format!("{} is a symbolic link to what is not in the layer", path.display());
                io::Error::new(io::ErrorKind::NotFound, reason)
            }
            other => other.into(),
        })?;
        self.count(0);
        self.unpacked.implied.insert(path.to_owned());
        Ok(Rc::new(resolve(&self.root, path, flags)?))
    }

    /// Removes what stands where an entry goes.
    fn clear(&mut self, parent: &Rc<OwnedFd>, name: &Path, existing: Option<Stat>) -> io::Result<()> {
        let Some(existing) = existing else { return Ok(()) };
        self.recent = None;
        if is_directory(&existing) {
            return std::fs::remove_dir_all(through(&**parent, name));
        }
        Ok(rustix::fs::unlinkat(&**parent, name, AtFlags::empty())?)
    }

    fn count(&mut self, size: u64) {
        self.unpacked.inodes += 1;
        // Sizes were read from disk: they cannot come near overflow.
        self.unpacked.bytes += size.div_ceil(BLOCK_BYTES).max(1) * BLOCK_BYTES;
    }

    fn refuse(&self, entry: &Entry, reason: String) -> UnpackError {
        UnpackError::Entry { layer: self.layer.clone(), path: entry.path_lossy(), reason }
    }

    fn write_error(&self, entry: &Entry, source: io::Error) -> UnpackError {
        UnpackError::Write { layer: self.layer.clone(), path: entry.path_lossy(), source }
    }
}

/// Gives directories that a layer only implied the owner, mode and times that they have in the layers below
/// (`below`, topmost first): overlayfs shows the topmost directory's.
pub(crate) fn inherit_directories(root: &Path, implied: &BTreeSet<PathBuf>, below: &[PathBuf]) -> io::Result<()> {
    let open = |path: &Path| rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    if implied.is_empty() || below.is_empty() {
        return Ok(());
    }
    let root = open(root)?;
    let below = below.iter().map(|path| open(path)).collect::<Result<Vec<_>, _>>()?;
    for path in implied {
        let directory = resolve(&root, path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        for layer in &below {
            let found = match resolve(layer, path, OFlags::PATH | OFlags::NOFOLLOW) {
                Ok(found) => rustix::fs::fstat(found)?,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                Err(error) => return Err(error.into()),
            };
            if is_directory(&found) {
                inherit(&directory, &found)?;
            }
            break;
        }
    }
    Ok(())
}

fn inherit(directory: &OwnedFd, from: &Stat) -> io::Result<()> {
    rustix::fs::fchown(directory, Some(Uid::from_raw(from.st_uid)), Some(Gid::from_raw(from.st_gid)))?;
    rustix::fs::fchmod(directory, Mode::from_raw_mode(from.st_mode & 0o7777))?;
    let nanoseconds = i64::try_from(from.st_mtime_nsec).unwrap_or_default();
    let time = rustix::fs::Timespec { tv_sec: from.st_mtime, tv_nsec: nanoseconds };
    Ok(rustix::fs::futimens(directory, &Timestamps { last_access: time, last_modification: time })?)
}

/// Opens a path as if `root` were `/`.
fn resolve(root: &OwnedFd, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..RESOLVE_ATTEMPTS {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), how) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

fn lookup(parent: &OwnedFd, name: &Path) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}
