//! ConfigMap: settings as files and variables.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use k8s_openapi::api::core::v1::ConfigMap;

impl Kind for ConfigMap {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["cm"],
        ..ResourceDef::new(
            "",
            "v1",
            "ConfigMap",
            "configmaps",
            "configmap",
            Scope::Namespaced,
            "k8s.io.api.core.v1.ConfigMap",
        )
    };
}
