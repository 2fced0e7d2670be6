//! ResourceQuota: how much a namespace may hold.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Subresource};
use k8s_openapi::api::core::v1::ResourceQuota;

impl Kind for ResourceQuota {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["quota"],
        subresources: &[Subresource::Status],
        unattended: true,
        ..ResourceDef::new(
            "",
            "v1",
            "ResourceQuota",
            "resourcequotas",
            "resourcequota",
            Scope::Namespaced,
            "k8s.io.api.core.v1.ResourceQuota",
        )
    };
}
