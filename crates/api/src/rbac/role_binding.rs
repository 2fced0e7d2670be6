//! RoleBinding: gives a role to subjects, in one namespace.

use super::bindings;
use crate::field::FieldError;
use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::jiff::Timestamp;

impl Kind for RoleBinding {
    const DEF: ResourceDef = ResourceDef {
        create_on_update: true,
        columns: bindings::COLUMNS,
        ..ResourceDef::new(
            super::GROUP,
            "v1",
            "RoleBinding",
            "rolebindings",
            "rolebinding",
            Scope::Namespaced,
            "k8s.io.api.rbac.v1.RoleBinding",
        )
    };

    fn defaults(&mut self) {
        bindings::defaults(&mut self.role_ref, self.subjects.as_mut());
    }

    fn validate(&self) -> Vec<FieldError> {
        bindings::validate(&self.role_ref, self.subjects.as_ref(), true)
    }

    fn validate_update(&self, old: &RoleBinding) -> Vec<FieldError> {
        bindings::validate_update(&self.role_ref, &old.role_ref)
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        bindings::row(&self.metadata, &self.role_ref, self.subjects.as_ref(), now)
    }

    fn validate_name(name: &str, _prefix_only: bool) -> Vec<String> {
        crate::labels::path_segment(name, false)
    }
}
