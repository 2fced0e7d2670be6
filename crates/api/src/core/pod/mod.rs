//! Pod: containers that share a node, an address and volumes.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Subresource};
use k8s_openapi::api::core::v1::Pod;

impl Kind for Pod {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["po"],
        categories: &["all"],
        subresources: &[Subresource::Status, Subresource::Log, Subresource::Exec, Subresource::Attach, Subresource::PortForward, Subresource::Proxy, Subresource::Binding, Subresource::Eviction, Subresource::EphemeralContainers, Subresource::Resize],
        ..ResourceDef::new(
            "",
            "v1",
            "Pod",
            "pods",
            "pod",
            Scope::Namespaced,
            "k8s.io.api.core.v1.Pod",
        )
    };
}
