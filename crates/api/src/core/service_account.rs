//! ServiceAccount: who a pod is to the API.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Subresource};
use k8s_openapi::api::core::v1::ServiceAccount;

impl Kind for ServiceAccount {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["sa"],
        subresources: &[Subresource::Token],
        ..ResourceDef::new(
            "",
            "v1",
            "ServiceAccount",
            "serviceaccounts",
            "serviceaccount",
            Scope::Namespaced,
            "k8s.io.api.core.v1.ServiceAccount",
        )
    };
}
