//! ClusterRoleBinding: gives a role to subjects, everywhere.

use super::bindings;
use crate::field::FieldError;
use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use k8s_openapi::jiff::Timestamp;

impl Kind for ClusterRoleBinding {
    const DEF: ResourceDef = ResourceDef {
        create_on_update: true,
        columns: bindings::COLUMNS,
        ..ResourceDef::new(
            super::GROUP,
            "v1",
            "ClusterRoleBinding",
            "clusterrolebindings",
            "clusterrolebinding",
            Scope::Cluster,
            "k8s.io.api.rbac.v1.ClusterRoleBinding",
        )
    };

    fn defaults(&mut self) {
        bindings::defaults(&mut self.role_ref, self.subjects.as_mut());
    }

    fn validate(&self) -> Vec<FieldError> {
        bindings::validate(&self.role_ref, self.subjects.as_ref(), false)
    }

    fn validate_update(&self, old: &ClusterRoleBinding) -> Vec<FieldError> {
        bindings::validate_update(&self.role_ref, &old.role_ref)
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        bindings::row(&self.metadata, &self.role_ref, self.subjects.as_ref(), now)
    }

    fn validate_name(name: &str, _prefix_only: bool) -> Vec<String> {
        crate::labels::path_segment(name, false)
    }
}
