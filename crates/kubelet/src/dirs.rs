//! Where the node keeps pods' files, in upstream's layout below one data directory.

use crate::pod;
use k8s_openapi::api::core::v1::{Pod, Volume};
use std::path::{Path, PathBuf};

#[derive(Clone, Debug)]
pub(crate) struct Dirs {
    root: PathBuf,
}

impl Dirs {
    pub(crate) fn new(root: &Path) -> Dirs {
        Dirs { root: root.to_owned() }
    }

    pub(crate) fn pods(&self) -> PathBuf {
        self.root.join("pods")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("pod-logs")
    }

    pub(crate) fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    /// Profiles that `seccompProfile.localhostProfile` names.
    pub(crate) fn seccomp(&self) -> PathBuf {
        self.root.join("seccomp")
    }

    /// A pod's own directory. Uids come from the API server; one with a path in it names a directory that is not there.
    pub(crate) fn pod(&self, uid: &str) -> PathBuf {
        self.pods().join(uid.replace('/', "_"))
    }

    pub(crate) fn hosts_file(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("etc-hosts")
    }

    pub(crate) fn volumes(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("volumes")
    }

    pub(crate) fn volume(&self, uid: &str, plugin: &str, name: &str) -> PathBuf {
        self.volumes(uid).join(format!("kubernetes.io~{plugin}")).join(name)
    }

    pub(crate) fn subpaths(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("volume-subpaths")
    }

    pub(crate) fn container(&self, uid: &str, container: &str) -> PathBuf {
        self.pod(uid).join("containers").join(container)
    }

    /// The directory of a pod's logs, which the runtime is told.
    pub(crate) fn pod_logs(&self, pod: &Pod) -> PathBuf {
        self.logs().join(format!("{}_{}_{}", pod::namespace(pod), pod::name(pod), pod::uid(pod)))
    }

    /// One instance's log file, as the runtime writes it.
    pub(crate) fn log_file(&self, pod: &Pod, container: &str, attempt: u32) -> PathBuf {
        self.pod_logs(pod).join(log_path(container, attempt))
    }

    /// What a volume's mounts bind; `None` for kinds that this node cannot mount.
    pub(crate) fn volume_source(&self, pod: &Pod, volume: &Volume) -> Option<PathBuf> {
        if let Some(host) = &volume.host_path {
            return Some(PathBuf::from(&host.path));
        }
        plugin(volume).map(|plugin| self.volume(pod::uid(pod), plugin, &volume.name))
    }
}

/// A log's path below the pod's log directory.
pub(crate) fn log_path(container: &str, attempt: u32) -> String {
    format!("{container}/{attempt}.log")
}

/// The directory name of a volume's kind, for kinds that have one.
pub(crate) fn plugin(volume: &Volume) -> Option<&'static str> {
    let kinds = [
        (volume.empty_dir.is_some(), "empty-dir"),
        (volume.config_map.is_some(), "configmap"),
        (volume.secret.is_some(), "secret"),
        (volume.downward_api.is_some(), "downward-api"),
        (volume.projected.is_some(), "projected"),
    ];
    kinds.iter().find(|(is, _)| *is).map(|(_, plugin)| *plugin)
}
