//! RoleBinding: gives a role to subjects, in one namespace.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use k8s_openapi::api::rbac::v1::RoleBinding;

impl Kind for RoleBinding {
    const DEF: ResourceDef = ResourceDef::new(
            "rbac.authorization.k8s.io",
            "v1",
            "RoleBinding",
            "rolebindings",
            "rolebinding",
            Scope::Namespaced,
            "k8s.io.api.rbac.v1.RoleBinding",
        );
}
