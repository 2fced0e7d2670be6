//! A container's root: layers, kernel file systems, devices, volumes, masks; then nothing of the host is left.
//!
//! All of it happens in the container's own mount namespace, so that the host's mount table never grows and nothing
//! remains when the container's last process ends.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use shim::protocol::{ContainerSpec, RootfsSpec};

use super::{During, Step, dev, mounts, target};
use crate::sys;

/// Builds the root and makes it this process's. `shm` is the mount namespace of the pod's shared memory, `None` for
/// the host's.
pub(super) fn enter(spec: &ContainerSpec, shm: Option<BorrowedFd<'_>>) -> Step<()> {
    sys::set_umask(0);
    let volumes = mounts::take(spec)?;
    let shm = take_shm(shm)?;
    sys::make_all_slave().during(|| "cut off the host's mounts".into())?;
    let root = mount_root(&spec.rootfs)?;
    let root = root.as_fd();
    kernel_file_systems(root, spec)?;
    dev::fill(root, &spec.devices, shm.as_fd())?;
    mounts::place(root, &volumes)?;
    mounts::mask(root, spec)?;
    if !spec.process.cwd.is_empty() {
        // As runc does: a working directory that the image forgot is made.
        sys::set_umask(0o022);
        target::open_or_make(root, &spec.process.cwd, true)?;
    }
    if spec.rootfs.readonly {
        let top = sys::open_in_root(root, "/", libc::O_PATH).during(|| "open the root".into())?;
        sys::set_read_only(top.as_fd(), false).during(|| "make the root read-only".into())?;
    }
    sys::pivot(root).during(|| "enter the root".into())?;
    sys::set_umask(0o022);
    Ok(())
}

/// A copy of the pod's `/dev/shm`. It lives in a mount namespace of its own, where nothing else is.
fn take_shm(namespace: Option<BorrowedFd<'_>>) -> Step<OwnedFd> {
    let Some(namespace) = namespace else {
        return sys::clone_tree("/dev/shm", false).during(|| "bind the host's /dev/shm".into());
    };
    let own = sys::open("/proc/self/ns/mnt", libc::O_RDONLY).during(|| "open the mount namespace".into())?;
    sys::enter(namespace, libc::CLONE_NEWNS).during(|| "enter the shared memory's namespace".into())?;
    let tree = sys::clone_tree("/", false).during(|| "bind the shared memory".into())?;
    sys::enter(own.as_fd(), libc::CLONE_NEWNS).during(|| "return from the shared memory's namespace".into())?;
    Ok(tree)
}

/// Mounts the layers and opens the result.
///
/// Layers are named by descriptor: mount options end at a page, which 40 long paths would fill, and the container
/// sees these options in its mount table.
fn mount_root(spec: &RootfsSpec) -> Step<OwnedFd> {
    let open = |path: &String| sys::open_path(path).during(|| format!("open the layer {path}"));
    let lower = spec.lower.iter().map(open).collect::<Step<Vec<_>>>()?;
    let (upper, work) = (open(&spec.upper)?, open(&spec.work)?);
    let lower: Vec<String> = lower.iter().map(sys::path_of).collect();
    // `volatile`: what a container wrote is thrown away after a crash, so nobody need sync it at the end.
    let options = format!(
        "volatile,lowerdir={},upperdir={},workdir={}",
        lower.join(":"),
        sys::path_of(&upper),
        sys::path_of(&work)
    );
    if options.len() >= 4096 {
        return Err(std::io::Error::from_raw_os_error(libc::E2BIG))
            .during(|| format!("mount {} layers", spec.lower.len()));
    }
    sys::mount("overlay", &spec.target, "overlay", 0, &options).during(|| "mount the layers".into())?;
    sys::open(&spec.target, libc::O_PATH | libc::O_DIRECTORY).during(|| "open the root".into())
}

fn kernel_file_systems(root: BorrowedFd<'_>, spec: &ContainerSpec) -> Step<()> {
    let flags = libc::MS_NOSUID | libc::MS_NOEXEC | libc::MS_NODEV;
    dev::mount(root, "/proc", "proc", flags, "")?;
    dev::mount(root, "/sys", "sysfs", flags, "")?;
    if target::open_existing(root, "/sys/fs/cgroup")?.is_some() {
        match spec.cgroup_views.is_empty() {
            true => {
                // The container sees its own group as the root of the tree.
                sys::unshare(libc::CLONE_NEWCGROUP).during(|| "unshare the cgroup namespace".into())?;
                dev::mount(root, "/sys/fs/cgroup", "cgroup2", flags, "")?;
            }
            false => cgroup_views(root, spec)?,
        }
        read_only(root, "/sys/fs/cgroup", spec)?;
    }
    read_only(root, "/sys", spec)
}

/// Shows each v1 hierarchy from the container's own group on.
fn cgroup_views(root: BorrowedFd<'_>, spec: &ContainerSpec) -> Step<()> {
    let flags = libc::MS_NOSUID | libc::MS_NOEXEC | libc::MS_NODEV;
    dev::mount(root, "/sys/fs/cgroup", "tmpfs", flags, "mode=755")?;
    for (name, directory) in &spec.cgroup_views {
        let path = format!("/sys/fs/cgroup/{name}");
        let tree = sys::clone_tree(directory, false).during(|| format!("bind {directory}"))?;
        let place = target::open_or_make(root, &path, true)?;
        sys::move_tree(tree.as_fd(), place.as_fd()).during(|| format!("show the cgroup {name}"))?;
        read_only(root, &path, spec)?;
    }
    Ok(())
}

/// Makes one mount read-only, not its file system, which other mounts show too.
fn read_only(root: BorrowedFd<'_>, path: &str, spec: &ContainerSpec) -> Step<()> {
    if spec.writable_sys {
        return Ok(());
    }
    let mount = sys::open_in_root(root, path, libc::O_PATH).during(|| format!("open {path}"))?;
    sys::set_read_only(mount.as_fd(), false).during(|| format!("make {path} read-only"))
}
