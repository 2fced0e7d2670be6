//! A pod's volumes on this node: made before its first container, kept current while it runs, gone with it.
//!
//! Invariants: setting up is idempotent, as it is done again whenever this process restarts; nothing below a mount
//! is ever deleted: what cannot be unmounted stops the cleaning with an error.

pub(crate) mod atomic_writer;
mod empty_dir;
mod host_path;
pub(crate) mod keeper;
pub(crate) mod payload;
pub(crate) mod subpath;
mod teardown;
pub(crate) mod tokens;

use crate::dirs::{Dirs, plugin};
use crate::pod;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Volume};
use payload::{Payload, fs_group};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

pub(crate) use teardown::tear_down;

/// A volume that could not be made, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("MountVolume.SetUp failed for volume {volume:?} : {message}")]
pub(crate) struct Failure {
    pub(crate) volume: String,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn of(volume: &Volume, message: impl ToString) -> Failure {
        Failure { volume: volume.name.clone(), message: message.to_string() }
    }
}

/// Makes everything that needs no object of the API: directories, tmpfs, checks. Blocks.
pub(crate) fn make(dirs: &Dirs, pod: &Pod) -> Result<(), Failure> {
    for volume in pod::spec(pod).volumes.iter().flatten() {
        let failed = |message: String| Failure::of(volume, message);
        if let Some(source) = &volume.host_path {
            host_path::check(source).map_err(failed)?;
        } else if let Some(source) = &volume.empty_dir {
            let path = dirs.volume(pod::uid(pod), "empty-dir", &volume.name);
            empty_dir::make(&path, source, pod).map_err(failed)?;
        } else if let Some(kind) = plugin(volume) {
            make_files_root(dirs, pod, volume, kind).map_err(|error| Failure::of(volume, error))?;
        } else {
            return Err(failed("no volume plugin matched".to_owned()));
        }
    }
    Ok(())
}

/// Secrets and tokens live in memory only.
fn make_files_root(dirs: &Dirs, pod: &Pod, volume: &Volume, kind: &str) -> io::Result<()> {
    const SIZE_BYTES_MAX: u64 = 16 << 20;
    let path = dirs.volume(pod::uid(pod), kind, &volume.name);
    std::fs::create_dir_all(&path)?;
    let in_memory = volume.secret.is_some() || volume.projected.is_some();
    if in_memory && !kernel::mount::is_mount_point(&path).map_err(io::Error::other)? {
        return kernel::mount::tmpfs(&path, SIZE_BYTES_MAX, 0o777).map_err(io::Error::other);
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777))
}

/// Writes a volume's files. Blocks.
pub(crate) fn write_files(dirs: &Dirs, pod: &Pod, files: &[(Volume, Payload)], now: Timestamp) -> Result<(), Failure> {
    for (volume, payload) in files {
        let Some(path) = dirs.volume_source(pod, volume) else { continue };
        let written = atomic_writer::write(&path, payload, fs_group(pod), now);
        written.map_err(|error| Failure::of(volume, error))?;
    }
    Ok(())
}

/// Makes a directory with exactly this mode, whatever the umask.
fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::create_dir_all(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}
