//! What is bound into a container: volumes, files of the pod, masks.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use shim::protocol::{ContainerSpec, MountSpec, PROPAGATION_BOTH, PROPAGATION_FROM_HOST};

use super::{During, Step, target};
use crate::sys;

/// A volume's tree, taken from the host and not yet in place.
pub(super) struct Taken<'a> {
    spec: &'a MountSpec,
    tree: OwnedFd,
}

/// Takes every volume's tree. Before the host's mounts are cut off, so that a tree stays a peer of its source.
pub(super) fn take(spec: &ContainerSpec) -> Step<Vec<Taken<'_>>> {
    spec.mounts.iter().map(take_one).collect()
}

fn take_one(spec: &MountSpec) -> Step<Taken<'_>> {
    let tree = sys::clone_tree(&spec.source, true).during(|| format!("bind {}", spec.source))?;
    let propagation = match spec.propagation {
        PROPAGATION_BOTH => libc::MS_SHARED,
        PROPAGATION_FROM_HOST => libc::MS_SLAVE,
        _ => libc::MS_PRIVATE,
    };
    let tree = Taken { spec, tree };
    sys::set_propagation(tree.tree.as_fd(), propagation)
        .during(|| format!("set the propagation of {}", spec.source))?;
    if spec.readonly || spec.readonly_recursive {
        sys::set_read_only(tree.tree.as_fd(), spec.readonly_recursive)
            .during(|| format!("make {} read-only", spec.source))?;
    }
    Ok(tree)
}

/// Puts the volumes in place, parents before children as they come.
pub(super) fn place(root: BorrowedFd<'_>, volumes: &[Taken<'_>]) -> Step<()> {
    for Taken { spec, tree } in volumes {
        let directory = sys::is_directory(tree.as_fd()).during(|| format!("look at {}", spec.source))?;
        let place = target::open_or_make(root, &spec.target, directory)?;
        sys::move_tree(tree.as_fd(), place.as_fd()).during(|| format!("mount {} on {}", spec.source, spec.target))?;
    }
    Ok(())
}

/// Hides paths and makes others read-only; those that this kernel or image lacks are passed over.
pub(super) fn mask(root: BorrowedFd<'_>, spec: &ContainerSpec) -> Step<()> {
    for path in &spec.readonly_paths {
        if let Some(place) = target::open_existing(root, path)? {
            let tree = sys::clone_tree_at(place.as_fd(), true).during(|| format!("bind {path} on itself"))?;
            sys::set_read_only(tree.as_fd(), true).during(|| format!("make {path} read-only"))?;
            sys::move_tree(tree.as_fd(), place.as_fd()).during(|| format!("mount {path} on itself"))?;
        }
    }
    for path in &spec.masked_paths {
        if let Some(place) = target::open_existing(root, path)? {
            hide(place.as_fd()).during(|| format!("hide {path}"))?;
        }
    }
    Ok(())
}

/// A directory becomes an empty one, anything else `/dev/null`.
fn hide(place: BorrowedFd<'_>) -> std::io::Result<()> {
    if sys::is_directory(place)? {
        return sys::mount("tmpfs", &sys::path_of(&place), "tmpfs", libc::MS_RDONLY, "size=0k,nr_inodes=1");
    }
    let null = sys::clone_tree("/dev/null", false)?;
    sys::move_tree(null.as_fd(), place)
}
