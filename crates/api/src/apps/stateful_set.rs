//! StatefulSet: pods with lasting names and storage.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Subresource};
use k8s_openapi::api::apps::v1::StatefulSet;

impl Kind for StatefulSet {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["sts"],
        categories: &["all"],
        subresources: &[Subresource::Status, Subresource::Scale],
        unattended: true,
        ..ResourceDef::new(
            "apps",
            "v1",
            "StatefulSet",
            "statefulsets",
            "statefulset",
            Scope::Namespaced,
            "k8s.io.api.apps.v1.StatefulSet",
        )
    };
}
