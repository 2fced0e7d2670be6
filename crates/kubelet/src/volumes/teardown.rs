//! Takes a pod's volumes away.

use crate::dirs::Dirs;
use std::io;
use std::path::{Path, PathBuf};

/// Unmounts and removes everything of the pod but its logs. Idempotent. Blocks.
pub(crate) fn tear_down(dirs: &Dirs, uid: &str) -> io::Result<()> {
    let root = dirs.pod(uid);
    if !root.exists() {
        return Ok(());
    }
    unmount_below(&root)?;
    let left = mounts_below(&root)?;
    if let Some(first) = left.first() {
        return Err(io::Error::other(format!("{} is still mounted", first.display())));
    }
    for part in [dirs.subpaths(uid), dirs.volumes(uid)] {
        match std::fs::remove_dir_all(&part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Deepest first, so that nothing is covered by what is taken away before it.
fn unmount_below(root: &Path) -> io::Result<()> {
    let mut targets = mounts_below(root)?;
    targets.sort_by_key(|target| std::cmp::Reverse(target.as_os_str().len()));
    for target in targets {
        kernel::mount::unmount(&target).map_err(io::Error::other)?;
    }
    Ok(())
}

fn mounts_below(root: &Path) -> io::Result<Vec<PathBuf>> {
    let root = root.canonicalize()?;
    let table = kernel::mount::table().map_err(io::Error::other)?;
    Ok(table.into_iter().map(|mount| mount.target).filter(|target| target.starts_with(&root)).collect())
}
