//! ClusterRole: what may be done, everywhere or wherever it is bound.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use k8s_openapi::api::rbac::v1::ClusterRole;

impl Kind for ClusterRole {
    const DEF: ResourceDef = ResourceDef::new(
            "rbac.authorization.k8s.io",
            "v1",
            "ClusterRole",
            "clusterroles",
            "clusterrole",
            Scope::Cluster,
            "k8s.io.api.rbac.v1.ClusterRole",
        );
}
