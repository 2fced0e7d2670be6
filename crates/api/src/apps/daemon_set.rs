//! DaemonSet: one pod on every node.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Subresource};
use k8s_openapi::api::apps::v1::DaemonSet;

impl Kind for DaemonSet {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["ds"],
        categories: &["all"],
        subresources: &[Subresource::Status],
        unattended: true,
        ..ResourceDef::new(
            "apps",
            "v1",
            "DaemonSet",
            "daemonsets",
            "daemonset",
            Scope::Namespaced,
            "k8s.io.api.apps.v1.DaemonSet",
        )
    };
}
