//! A container's `/dev`: its own tmpfs with the usual nodes, terminals and shared memory.

use std::os::fd::{AsFd, BorrowedFd};

use shim::protocol::DeviceSpec;

use super::{During, Step, target};
use crate::sys;

/// Links that programs expect.
const LINKS: [(&std::ffi::CStr, &str); 6] = [
    (c"/proc/self/fd", "fd"),
    (c"/proc/self/fd/0", "stdin"),
    (c"/proc/self/fd/1", "stdout"),
    (c"/proc/self/fd/2", "stderr"),
    (c"/proc/kcore", "core"),
    (c"pts/ptmx", "ptmx"),
];

/// Mounts and fills `/dev`. `shm` is the pod's shared memory, a tree not yet in place.
pub(super) fn fill(root: BorrowedFd<'_>, devices: &[DeviceSpec], shm: BorrowedFd<'_>) -> Step<()> {
    mount(root, "/dev", "tmpfs", libc::MS_NOSUID | libc::MS_STRICTATIME, "mode=755,size=65536k")?;
    let options = "newinstance,ptmxmode=0666,mode=0620,gid=5";
    mount(root, "/dev/pts", "devpts", libc::MS_NOSUID | libc::MS_NOEXEC, options)?;
    let flags = libc::MS_NOSUID | libc::MS_NOEXEC | libc::MS_NODEV;
    mount(root, "/dev/mqueue", "mqueue", flags, "")?;
    let place = target::open_or_make(root, "/dev/shm", true)?;
    sys::move_tree(shm, place.as_fd()).during(|| "mount /dev/shm".into())?;
    let dev = target::open_or_make(root, "/dev", true)?;
    for (to, name) in LINKS {
        sys::make_link(to, dev.as_fd(), name).during(|| format!("link /dev/{name}"))?;
    }
    devices.iter().try_for_each(|device| make(root, device))
}

/// Mounts a new file system at a path of the container.
pub(super) fn mount(root: BorrowedFd<'_>, path: &str, fs_type: &str, flags: libc::c_ulong, data: &str) -> Step<()> {
    let place = target::open_or_make(root, path, true)?;
    sys::mount(fs_type, &sys::path_of(&place), fs_type, flags, data).during(|| format!("mount {path}"))
}

fn make(root: BorrowedFd<'_>, device: &DeviceSpec) -> Step<()> {
    let (parent, name) = target::parent_of(root, &device.path)?;
    let (number, owner) = ((device.major, device.minor), (device.uid, device.gid));
    match sys::make_device(parent.as_fd(), name, device.mode, number, owner) {
        // Listed twice, as a default and by the pod.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        result => result.during(|| format!("make the device {}", device.path)),
    }
}

/// Shows the container's terminal as `/dev/console`. Inside the container's root.
pub(super) fn console(terminal: BorrowedFd<'_>) -> Step<()> {
    let root = sys::open_path("/").during(|| "open /".into())?;
    let place = target::open_or_make(root.as_fd(), "/dev/console", false)?;
    let tree = sys::clone_tree(&sys::path_of(&terminal), false).during(|| "bind the terminal".into())?;
    sys::move_tree(tree.as_fd(), place.as_fd()).during(|| "mount /dev/console".into())
}
