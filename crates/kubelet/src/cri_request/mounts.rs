//! What a container sees of its pod's volumes.

use crate::environment::Environment;
use crate::environment::expansion::expand;
use crate::pod;
use cri::v1::{Mount, MountPropagation};
use k8s_openapi::api::core::v1::{Container, Pod, Volume, VolumeMount};
use std::path::PathBuf;

/// One mount with what it shows, before subpaths are bound.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Planned {
    pub(crate) volume: Volume,
    /// Empty: the volume itself.
    pub(crate) sub_path: String,
    pub(crate) mount: Mount,
}

/// The mounts of `volumeMounts`; the error is what the user reads. `source` finds a volume's place on the node.
pub(crate) fn plan(
    pod: &Pod,
    container: &Container,
    environment: &Environment,
    source: impl Fn(&Volume) -> Option<PathBuf>,
) -> Result<Vec<Planned>, String> {
    let volumes = pod::spec(pod).volumes.as_deref().unwrap_or_default();
    let mut planned = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let volume = volumes.iter().find(|volume| volume.name == mount.name);
        let volume = volume.ok_or_else(|| {
            format!("cannot find volume {:?} to mount into container {:?}", mount.name, container.name)
        })?;
        let host_path = source(volume).ok_or_else(|| format!("volume {:?} has no place on this node", volume.name))?;
        planned.push(Planned {
            volume: volume.clone(),
            sub_path: sub_path(mount, environment)?,
            mount: Mount {
                container_path: absolute(&mount.mount_path),
                host_path: host_path.to_string_lossy().into_owned(),
                readonly: mount.read_only.unwrap_or(false) || shows_objects(volume),
                propagation: propagation(mount) as i32,
                ..Mount::default()
            },
        });
    }
    Ok(planned)
}

/// Volumes that show API objects are read-only, whatever the mount says, as upstream.
fn shows_objects(volume: &Volume) -> bool {
    volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.downward_api.is_some()
        || volume.projected.is_some()
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn propagation(mount: &VolumeMount) -> MountPropagation {
    match mount.mount_propagation.as_deref() {
        Some("HostToContainer") => MountPropagation::PropagationHostToContainer,
        Some("Bidirectional") => MountPropagation::PropagationBidirectional,
        _ => MountPropagation::PropagationPrivate,
    }
}

fn sub_path(mount: &VolumeMount, environment: &Environment) -> Result<String, String> {
    if let Some(expression) = mount.sub_path_expr.as_deref().filter(|expression| !expression.is_empty()) {
        let missing = std::cell::RefCell::new(None);
        let expanded = expand(expression, |name| {
            let value = environment.get(name);
            if value.is_none() {
                missing.replace(Some(name.to_owned()));
            }
            value
        });
        return match missing.into_inner() {
            Some(name) => {
                Err(format!("failed to expand subPath for volumeMount {:?}: missing value for {name:?}", mount.name))
            }
            None => Ok(expanded),
        };
    }
    Ok(mount.sub_path.clone().unwrap_or_default())
}
