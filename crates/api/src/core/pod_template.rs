//! PodTemplate: a pod template kept by itself.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use k8s_openapi::api::core::v1::PodTemplate;

impl Kind for PodTemplate {
    const DEF: ResourceDef = ResourceDef::new(
            "",
            "v1",
            "PodTemplate",
            "podtemplates",
            "podtemplate",
            Scope::Namespaced,
            "k8s.io.api.core.v1.PodTemplate",
        );
}
