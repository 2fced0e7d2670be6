//! One file or directory of a volume, bound apart so that it can be mounted by itself.
//!
//! Invariants: what a pod can put into its volume (symlinks above all) never leads out of it: the kernel resolves
//! the path beneath the volume's root, and what is bound is the opened file itself, not its name.

use rustix::fs::{Mode, OFlags, ResolveFlags, fstat, mkdirat, openat2};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// Opens `path` in the volume, making the directories that are missing if `create`, and binds it at `target`.
pub(crate) fn bind(volume: &Path, path: &str, create: bool, target: &Path) -> Result<(), String> {
    let opened = open(volume, path, create).map_err(|errno| match errno {
        Errno::XDEV | Errno::LOOP => format!("subPath {path:?} leads out of its volume"),
        errno => format!("failed to prepare subPath {path:?}: {}", io::Error::from(errno)),
    })?;
    make_target(&opened, target).map_err(|error| format!("failed to prepare subPath {path:?}: {error}"))?;
    let source = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()));
    kernel::mount::bind(&source, target).map_err(|error| format!("failed to bind subPath {path:?}: {error}"))
}

fn open(volume: &Path, path: &str, create: bool) -> Result<OwnedFd, Errno> {
    let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !plain {
        return Err(Errno::XDEV);
    }
    let root = rustix::fs::open(volume, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    match beneath(&root, Path::new(path)) {
        Err(Errno::NOENT) if create => make(&root, path),
        result => result,
    }
}

fn beneath(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// Makes what is missing, with the volume's own permissions.
fn make(root: &OwnedFd, path: &str) -> Result<OwnedFd, Errno> {
    let mode = Mode::from_raw_mode(
        std::fs::metadata(format!("/proc/self/fd/{}", root.as_raw_fd()))
            .map_or(0o755, |meta| meta.permissions().mode() & 0o7777),
    );
    let mut made = PathBuf::new();
    for part in Path::new(path).components() {
        let Component::Normal(name) = part else { continue };
        let parent = if made.as_os_str().is_empty() { None } else { Some(beneath(root, &made)?) };
        match mkdirat(parent.as_ref().unwrap_or(root), name, mode) {
            Ok(()) | Err(Errno::EXIST) => made.push(name),
            Err(errno) => return Err(errno),
        }
    }
    beneath(root, &made)
}

/// An empty file or directory to bind on. What an earlier instance had bound there is taken away first.
fn make_target(source: &OwnedFd, target: &Path) -> io::Result<()> {
    while kernel::mount::unmount(target).map_err(io::Error::other)? {}
    let is_directory = rustix::fs::FileType::from_raw_mode(fstat(source)?.st_mode).is_dir();
    match std::fs::symlink_metadata(target) {
        Ok(meta) if meta.is_dir() => std::fs::remove_dir(target)?,
        Ok(_) => std::fs::remove_file(target)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if is_directory {
        return std::fs::create_dir_all(target);
    }
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::File::create(target).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn check(volume: &Path, path: &str, create: bool) -> Result<PathBuf, Errno> {
        let opened = open(volume, path, create)?;
        Ok(std::fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd())).unwrap())
    }

    #[test]
    fn paths_are_opened_beneath_their_volume() {
        let dir = tempfile::tempdir().unwrap();
        let volume = dir.path().canonicalize().unwrap().join("v");
        std::fs::create_dir(&volume).unwrap();
        std::fs::create_dir(dir.path().join("outside")).unwrap();
        std::fs::create_dir(volume.join("real")).unwrap();
        symlink("real", volume.join("inner")).unwrap();
        symlink("../outside", volume.join("up")).unwrap();
        symlink("/etc", volume.join("absolute")).unwrap();
        assert_eq!(check(&volume, "inner", false), Ok(volume.join("real")));
        assert_eq!(check(&volume, "new/deep", true), Ok(volume.join("new/deep")));
        assert_eq!(check(&volume, "inner/made", true), Ok(volume.join("real/made")));
        assert_eq!(check(&volume, "missing", false), Err(Errno::NOENT));
        for out in ["up", "absolute", "../outside", "up/x", "absolute/x"] {
            assert_eq!(check(&volume, out, true), Err(Errno::XDEV), "{out}");
        }
        assert!(!dir.path().join("outside/x").exists());
    }
}
