//! Paths inside the new root, made when they are missing, never outside it.
//!
//! The image decides what is there: a symbolic link at any part of the path leads elsewhere *in the root*, even one
//! that points to nothing yet (`/var/run -> /run` in an image without `/run`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{During, Step};
use crate::sys;

/// Links followed on one path, as the kernel's own limit.
const LINKS_MAX: u32 = 40;

/// Opens the directory or file `path` of the container, as a reference, making what is missing.
pub(super) fn open_or_make(root: BorrowedFd<'_>, path: &str, directory: bool) -> Step<OwnedFd> {
    resolve(root, path, directory, LINKS_MAX).during(|| format!("make {path} in the container"))
}

/// Opens `path` of the container; `None` when it is not there.
pub(super) fn open_existing(root: BorrowedFd<'_>, path: &str) -> Step<Option<OwnedFd>> {
    match sys::open_in_root(root, path, libc::O_PATH) {
        Ok(fd) => Ok(Some(fd)),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(None),
        Err(error) => Err(error).during(|| format!("open {path} in the container")),
    }
}

/// The directory that holds `path`, made when it is missing, and the last part of `path`.
pub(super) fn parent_of<'a>(root: BorrowedFd<'_>, path: &'a str) -> Step<(OwnedFd, &'a str)> {
    let (parent, name) = split(path);
    Ok((open_or_make(root, parent, true)?, name))
}

fn resolve(root: BorrowedFd<'_>, path: &str, directory: bool, links: u32) -> io::Result<OwnedFd> {
    match sys::open_in_root(root, path, libc::O_PATH) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        result => return result,
    }
    let (parent_path, name) = split(path);
    if name.is_empty() {
        return Err(io::Error::from_raw_os_error(libc::ENOENT));
    }
    let parent = resolve(root, parent_path, true, links)?;
    if name == ".." {
        return sys::open_in_root(root, path, libc::O_PATH);
    }
    let made = match directory {
        true => sys::make_directory(parent.as_fd(), name),
        false => sys::make_file(parent.as_fd(), name),
    };
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            through_link(root, parent_path, parent.as_fd(), name, directory, links)
        }
        Err(error) => Err(error),
        // One component without a way up: opening it below its parent stays below.
        Ok(()) => sys::open_in_root(parent.as_fd(), name, libc::O_PATH | libc::O_NOFOLLOW),
    }
}

/// `name` is there and yet was not found: a link to nothing. What it points to is made instead.
fn through_link(
    root: BorrowedFd<'_>,
    parent_path: &str,
    parent: BorrowedFd<'_>,
    name: &str,
    directory: bool,
    links: u32,
) -> io::Result<OwnedFd> {
    let links = links.checked_sub(1).ok_or_else(|| io::Error::from_raw_os_error(libc::ELOOP))?;
    match sys::read_link(parent, name) {
        Ok(target) if target.starts_with('/') => resolve(root, &target, directory, links),
        Ok(target) => resolve(root, &format!("{parent_path}/{target}"), directory, links),
        // Not a link: somebody made it since we looked.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            sys::open_in_root(parent, name, libc::O_PATH | libc::O_NOFOLLOW)
        }
        Err(error) => Err(error),
    }
}

/// `/a/b/` as `/a` and `b`; the root has no name.
fn split(path: &str) -> (&str, &str) {
    let path = path.trim_end_matches('/');
    let trimmed = path.strip_suffix("/.").unwrap_or(path);
    match trimmed.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((parent, name)) => (parent, name),
        None => ("/", trimmed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes `path` in a root prepared by `prepare`, and answers where it really is, below the root.
    fn check(path: &str, prepare: impl FnOnce(&std::path::Path)) -> Result<String, String> {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let outer = std::env::temp_dir().join(format!("shim-target-{}-{number}", std::process::id()));
        let root = outer.join("root");
        std::fs::create_dir_all(&root).unwrap();
        prepare(&root);
        let fd = sys::open_path(root.to_str().unwrap()).unwrap();
        let made = open_or_make(fd.as_fd(), path, true).map_err(|failure| failure.to_string());
        let real = made.map(|fd| std::fs::read_link(sys::path_of(&fd)).unwrap().to_str().unwrap().to_owned());
        let entries = std::fs::read_dir(&outer).unwrap().count();
        std::fs::remove_dir_all(&outer).unwrap();
        assert_eq!(entries, 1, "nothing appears beside the root");
        real.map(|real| real.strip_prefix(root.to_str().unwrap()).expect("inside the root").to_owned())
    }

    #[test]
    fn links_stay_inside_the_root() {
        use std::os::unix::fs::symlink;
        assert_eq!(check("/a/b/c", |_| ()), Ok("/a/b/c".into()));
        assert_eq!(check("/a/../../x", |_| ()), Ok("/x".into()));
        assert_eq!(check("/etc/x", |root| symlink("/../../", root.join("etc")).unwrap()), Ok("/x".into()));
        assert_eq!(check("/etc/x", |root| symlink("../../../tmp", root.join("etc")).unwrap()), Ok("/tmp/x".into()));
        let var_run = |root: &std::path::Path| {
            std::fs::create_dir(root.join("var")).unwrap();
            symlink("/run", root.join("var/run")).unwrap();
        };
        assert_eq!(check("/var/run/secrets/x", var_run), Ok("/run/secrets/x".into()));
        let relative = |root: &std::path::Path| {
            std::fs::create_dir(root.join("var")).unwrap();
            symlink("../run/./now/", root.join("var/run")).unwrap();
        };
        assert_eq!(check("/var/run/x", relative), Ok("/run/now/x".into()));
        let circle = check("/a/x", |root| symlink("b", root.join("a")).and(symlink("a", root.join("b"))).unwrap());
        assert!(circle.unwrap_err().contains("symbolic links"));
        assert!(check("/file/x", |root| std::fs::write(root.join("file"), "").unwrap()).is_err());
    }
}
