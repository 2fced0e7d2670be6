//! What is bound into a container.

use std::path::{Path, PathBuf};

use ::shim::protocol::{MountSpec, PROPAGATION_BOTH, PROPAGATION_FROM_HOST, PROPAGATION_PRIVATE};
use cri::v1::{self, MountPropagation};
use tonic::Status;

use super::internal;
use crate::sandbox::FILES;

/// The pod's own files and the kubelet's volumes, parents before children.
pub(super) fn mounts(config: &v1::ContainerConfig, sandbox: &Path, readonly: bool) -> Result<Vec<MountSpec>, Status> {
    let given = config.mounts.iter().map(mount).collect::<Result<Vec<_>, _>>()?;
    let is_given = |path: &str| config.mounts.iter().any(|mount| mount.container_path.trim_end_matches('/') == path);
    let own = FILES.iter().filter(|(_, path)| !is_given(path)).map(|(file, path)| MountSpec {
        source: sandbox.join(file).to_string_lossy().into_owned(),
        target: (*path).into(),
        readonly,
        readonly_recursive: false,
        propagation: PROPAGATION_PRIVATE,
    });
    let mut all: Vec<MountSpec> = own.chain(given).collect();
    // Stable: what is mounted twice at one place is seen as the kubelet ordered it.
    all.sort_by_key(|mount| depth(&mount.target));
    Ok(all)
}

fn depth(path: &str) -> usize {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").count()
}

fn mount(mount: &v1::Mount) -> Result<MountSpec, Status> {
    if mount.image.as_ref().is_some_and(|image| !image.image.is_empty()) {
        return Err(Status::unimplemented("image volumes are not supported by this runtime yet"));
    }
    if !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty() {
        return Err(Status::unimplemented("id-mapped mounts are not supported by this runtime yet"));
    }
    if depth(&mount.container_path) == 0 {
        return Err(Status::invalid_argument(format!("cannot mount on {:?}", mount.container_path)));
    }
    if mount.recursive_read_only && (!mount.readonly || mount.propagation() != MountPropagation::PropagationPrivate) {
        return Err(Status::invalid_argument("recursive read-only mounts must be read-only and private"));
    }
    let source = source(&mount.host_path)?;
    let propagation = propagation(mount.propagation(), &source)?;
    Ok(MountSpec {
        source: source.to_string_lossy().into_owned(),
        target: mount.container_path.clone(),
        readonly: mount.readonly,
        readonly_recursive: mount.recursive_read_only,
        propagation,
    })
}

/// The host's path without links. As with other runtimes, a directory that is missing is made.
fn source(path: &str) -> Result<PathBuf, Status> {
    if !path.starts_with('/') {
        return Err(Status::invalid_argument(format!("host path {path:?} is not absolute")));
    }
    match std::fs::canonicalize(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            std::fs::create_dir_all(path).map_err(|error| internal(&format!("mkdir {path:?}"), error))?;
            std::fs::canonicalize(path).map_err(|error| internal(&format!("find {path:?}"), error))
        }
        result => result.map_err(|error| internal(&format!("find {path:?}"), error)),
    }
}

/// Refuses a propagation that the host's mount cannot give.
fn propagation(wanted: MountPropagation, source: &Path) -> Result<u8, Status> {
    if wanted == MountPropagation::PropagationPrivate {
        return Ok(PROPAGATION_PRIVATE);
    }
    let mount = kernel::mount::holding(source).map_err(|error| internal("read the mount table", error))?;
    let (shared, slave) = mount.as_ref().map_or((false, false), |mount| (mount.shared, mount.slave));
    let at = mount.map(|mount| mount.target).unwrap_or_default();
    let refuse = |kind: &str| {
        let (source, at) = (source.display(), at.display());
        Err(Status::failed_precondition(format!("path {source:?} is mounted on {at:?} but it is not a {kind} mount")))
    };
    match wanted {
        MountPropagation::PropagationBidirectional if shared => Ok(PROPAGATION_BOTH),
        MountPropagation::PropagationBidirectional => refuse("shared"),
        _ if shared || slave => Ok(PROPAGATION_FROM_HOST),
        _ => refuse("shared or slave"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str) -> v1::Mount {
        v1::Mount { container_path: path.into(), host_path: "/etc".into(), ..Default::default() }
    }

    #[test]
    fn parents_come_before_children_and_own_files_yield() {
        let config =
            v1::ContainerConfig { mounts: vec![at("/a/b/c"), at("/etc/hosts"), at("/a")], ..Default::default() };
        let all = mounts(&config, Path::new("/s"), true).unwrap();
        let targets: Vec<_> = all.iter().map(|mount| (mount.target.as_str(), mount.source.as_str())).collect();
        let expected = [
            ("/a", "/etc"),
            ("/etc/resolv.conf", "/s/resolv.conf"),
            ("/etc/hostname", "/s/hostname"),
            ("/etc/hosts", "/etc"),
            ("/a/b/c", "/etc"),
        ];
        assert_eq!(targets, expected);
    }

    #[test]
    fn impossible_mounts_are_refused() {
        let relative = v1::Mount { host_path: "etc".into(), ..at("/a") };
        let recursive = v1::Mount { recursive_read_only: true, ..at("/a") };
        let image = v1::ImageSpec { image: "x".into(), ..Default::default() };
        let image = v1::Mount { image: Some(image), ..at("/a") };
        for bad in [relative, recursive, image, at("/"), at("")] {
            assert!(mount(&bad).is_err(), "{bad:?}");
        }
    }
}
