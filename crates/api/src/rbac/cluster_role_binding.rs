//! ClusterRoleBinding: gives a role to subjects, everywhere.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;

impl Kind for ClusterRoleBinding {
    const DEF: ResourceDef = ResourceDef::new(
            "rbac.authorization.k8s.io",
            "v1",
            "ClusterRoleBinding",
            "clusterrolebindings",
            "clusterrolebinding",
            Scope::Cluster,
            "k8s.io.api.rbac.v1.ClusterRoleBinding",
        );
}
