//! Role: what may be done in one namespace.

use super::rules;
use crate::core::columns;
use crate::field::FieldError;
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::rbac::v1::Role;
use k8s_openapi::jiff::Timestamp;

impl Kind for Role {
    const DEF: ResourceDef = ResourceDef {
        create_on_update: true,
        columns: &[Column::NAME, Column::CREATED_AT],
        ..ResourceDef::new(super::GROUP, "v1", "Role", "roles", "role", Scope::Namespaced, "k8s.io.api.rbac.v1.Role")
    };

    fn validate(&self) -> Vec<FieldError> {
        rules::validate(self.rules.as_ref(), true)
    }

    fn row(&self, _now: Timestamp) -> Vec<Cell> {
        vec![columns::name(&self.metadata), columns::created_at(&self.metadata)]
    }

    fn validate_name(name: &str, _prefix_only: bool) -> Vec<String> {
        crate::labels::path_segment(name, false)
    }
}
