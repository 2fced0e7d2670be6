//! ControllerRevision: a past state of a controller's template.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use k8s_openapi::api::apps::v1::ControllerRevision;

impl Kind for ControllerRevision {
    const DEF: ResourceDef = ResourceDef::new(
            "apps",
            "v1",
            "ControllerRevision",
            "controllerrevisions",
            "controllerrevision",
            Scope::Namespaced,
            "k8s.io.api.apps.v1.ControllerRevision",
        );
}
