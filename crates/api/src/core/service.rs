//! Service: one name and address for many pods.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Subresource};
use k8s_openapi::api::core::v1::Service;

impl Kind for Service {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["svc"],
        categories: &["all"],
        subresources: &[Subresource::Status, Subresource::Proxy],
        ..ResourceDef::new(
            "",
            "v1",
            "Service",
            "services",
            "service",
            Scope::Namespaced,
            "k8s.io.api.core.v1.Service",
        )
    };
}
