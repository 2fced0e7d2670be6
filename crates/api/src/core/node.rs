//! Node: a machine that runs pods.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Subresource};
use k8s_openapi::api::core::v1::Node;

impl Kind for Node {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["no"],
        subresources: &[Subresource::Status, Subresource::Proxy],
        ..ResourceDef::new(
            "",
            "v1",
            "Node",
            "nodes",
            "node",
            Scope::Cluster,
            "k8s.io.api.core.v1.Node",
        )
    };
}
