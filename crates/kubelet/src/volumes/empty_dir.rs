//! emptyDir: a directory on the node's disk, or a tmpfs counted as the pod's memory.

use super::payload::fs_group;
use crate::pod::resources::pod_limits;
use api::quantity::Quantity;
use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Pod};
use std::io;
use std::os::unix::fs::chown;
use std::path::Path;

const MODE_DEFAULT: i32 = 0o777;

pub(super) fn make(path: &Path, source: &EmptyDirVolumeSource, pod: &Pod) -> Result<(), String> {
    let failed = |error: io::Error| format!("preparing emptyDir: {error}");
    let mode = u32::try_from(source.mode.unwrap_or(MODE_DEFAULT)).unwrap_or_default() & 0o7777;
    let group = fs_group(pod);
    let mode = if group.is_some() { mode | 0o2770 } else { mode };
    match source.medium.as_deref().unwrap_or_default() {
        "" => on_disk(path, mode, group).map_err(failed),
        "Memory" => {
            let mounted = path.exists() && kernel::mount::is_mount_point(path).map_err(|error| error.to_string())?;
            if mounted {
                return Ok(());
            }
            std::fs::create_dir_all(path).map_err(failed)?;
            kernel::mount::tmpfs(path, size_max(source, pod), mode).map_err(|error| error.to_string())?;
            own(path, mode, group).map_err(failed)
        }
        other => Err(format!("unknown storage medium {other:?}")),
    }
}

/// Appears with its owner and mode, and is never touched again: the pod may have changed them since.
fn on_disk(path: &Path, mode: u32, group: Option<u32>) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let fresh = path.with_extension("new~");
    super::make_dir(&fresh, mode)?;
    own(&fresh, mode, group)?;
    std::fs::rename(fresh, path)
}

fn own(path: &Path, mode: u32, group: Option<u32>) -> io::Result<()> {
    if group.is_some() {
        chown(path, None, group)?;
    }
    // After the owner: the kernel takes the setgid bit away when the group changes.
    super::make_dir(path, mode)
}

/// The volume's own limit or the pod's memory limit, whichever is less; 0 is the kernel's default.
fn size_max(source: &EmptyDirVolumeSource, pod: &Pod) -> u64 {
    let own = source.size_limit.as_ref().and_then(|limit| Quantity::parse(&limit.0).ok()).map(Quantity::value);
    let own = own.filter(|own| *own > 0);
    let limit = pod_limits(pod).1;
    let least = own.into_iter().chain(limit).min().unwrap_or_default();
    u64::try_from(least).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_by_the_volume_and_the_pod() {
        let check = |limits: &str, size: &str, wanted: u64| {
            let pod =
                crate::pod::tests::from_yaml(&format!("spec: {{containers: [{{name: a, resources: {{{limits}}}}}]}}"));
            let source: EmptyDirVolumeSource = serde_saphyr::from_str(&format!("{{medium: Memory{size}}}")).unwrap();
            assert_eq!(size_max(&source, &pod), wanted);
        };
        check("", "", 0);
        check("", ", sizeLimit: 1Mi", 1 << 20);
        check("limits: {memory: 512Ki}", ", sizeLimit: 1Mi", 512 << 10);
        check("limits: {memory: 2Mi}", "", 2 << 20);
    }
}
