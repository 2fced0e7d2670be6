//! Role: what may be done in one namespace.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use k8s_openapi::api::rbac::v1::Role;

impl Kind for Role {
    const DEF: ResourceDef = ResourceDef::new(
            "rbac.authorization.k8s.io",
            "v1",
            "Role",
            "roles",
            "role",
            Scope::Namespaced,
            "k8s.io.api.rbac.v1.Role",
        );
}
