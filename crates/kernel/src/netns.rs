//! Network namespaces: made, kept alive by a bind mount, entered by a thread of their own.
//!
//! A thread that entered another namespace never goes back to a pool: the functions here start one and end it.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags};
use nix::sched::CloneFlags;

use crate::{Error, Result};

/// Makes a network namespace and pins it to `path`, a file that is created; loopback in it is still down.
///
/// On an error nothing is left behind.
pub fn create(path: &Path) -> Result<()> {
    File::create_new(path).map_err(Error::file("create", path))?;
    let pinned = in_thread(|| {
        nix::sched::unshare(CloneFlags::CLONE_NEWNET)
            .map_err(|errno| Error::call("unshare the network namespace")(errno.into()))?;
        nix::mount::mount(Some("/proc/thread-self/ns/net"), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .map_err(|errno| Error::file("bind a network namespace to", path)(errno.into()))
    });
    if pinned.is_err() {
        std::fs::remove_file(path).map_err(Error::file("remove", path))?;
    }
    pinned
}

/// Unpins a namespace; it ends with its last process. A path that is gone already is no error.
pub fn remove(path: &Path) -> Result<()> {
    match nix::mount::umount2(path, MntFlags::MNT_DETACH) {
        Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => {}
        Err(errno) => return Err(Error::file("unmount", path)(errno.into())),
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Runs `work` on a thread that has entered the network namespace at `path` and waits for it.
///
/// Sockets opened inside stay in that namespace wherever they are used later. Blocks the caller.
pub fn in_netns<T: Send>(path: &Path, work: impl FnOnce() -> T + Send) -> Result<T> {
    let namespace = File::open(path).map_err(Error::file("open", path))?;
    in_thread(move || {
        nix::sched::setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)
            .map_err(|errno| Error::file("enter the network namespace", path)(errno.into()))?;
        Ok(work())
    })
}

/// Runs `work` on a fresh thread, so that what it does to its own namespaces ends with it.
fn in_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("netns".into()).spawn_scoped(scope, work);
        match thread.map_err(Error::call("start a thread"))?.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interfaces() -> Vec<String> {
        let text = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
        text.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect()
    }

    #[test]
    fn a_namespace_is_empty_and_leaves_with_its_file() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ns");
        create(&path).unwrap();
        assert!(create(&path).is_err(), "a path is used once");
        assert_eq!(in_netns(&path, interfaces).unwrap(), ["lo"]);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
        assert!(in_netns(&path, || ()).is_err());
    }
}
