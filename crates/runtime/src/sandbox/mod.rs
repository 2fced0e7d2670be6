//! Sandboxes: what a pod's containers share.

mod files;
mod run;
mod status;
mod stop;

pub(crate) use files::FILES;
pub(crate) use run::cgroup_spec;
pub(crate) use status::status;

use cri::v1::{self, NamespaceMode};

/// The namespaces that a pod asks for. Absent options mean its own ones, as containerd has it.
pub(crate) fn namespaces(config: &v1::PodSandboxConfig) -> v1::NamespaceOption {
    let context = config.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
    context.and_then(|context| context.namespace_options.clone()).unwrap_or_default()
}

/// Whether the pod uses the node's network.
pub(crate) fn on_host_network(config: &v1::PodSandboxConfig) -> bool {
    namespaces(config).network() == NamespaceMode::Node
}

/// The absolute cgroup that the pod's containers are below.
pub(crate) fn cgroup_parent(config: &v1::PodSandboxConfig) -> Option<&str> {
    let parent = config.linux.as_ref().map(|linux| linux.cgroup_parent.as_str());
    parent.filter(|parent| !parent.is_empty())
}
