//! RuntimeClass: how a node runs a pod's containers.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use k8s_openapi::api::node::v1::RuntimeClass;

impl Kind for RuntimeClass {
    const DEF: ResourceDef = ResourceDef {
        unattended: true,
        ..ResourceDef::new(
            "node.k8s.io",
            "v1",
            "RuntimeClass",
            "runtimeclasses",
            "runtimeclass",
            Scope::Cluster,
            "k8s.io.api.node.v1.RuntimeClass",
        )
    };
}
