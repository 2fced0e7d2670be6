//! EndpointSlice: some of the addresses behind a service.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use k8s_openapi::api::discovery::v1::EndpointSlice;

impl Kind for EndpointSlice {
    const DEF: ResourceDef = ResourceDef::new(
            "discovery.k8s.io",
            "v1",
            "EndpointSlice",
            "endpointslices",
            "endpointslice",
            Scope::Namespaced,
            "k8s.io.api.discovery.v1.EndpointSlice",
        );
}
