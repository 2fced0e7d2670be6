//! PriorityClass: how important pods are.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use k8s_openapi::api::scheduling::v1::PriorityClass;

impl Kind for PriorityClass {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["pc"],
        unattended: true,
        ..ResourceDef::new(
            "scheduling.k8s.io",
            "v1",
            "PriorityClass",
            "priorityclasses",
            "priorityclass",
            Scope::Cluster,
            "k8s.io.api.scheduling.v1.PriorityClass",
        )
    };
}
