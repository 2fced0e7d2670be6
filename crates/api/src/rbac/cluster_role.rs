//! ClusterRole: what may be done, everywhere or wherever it is bound.

use super::rules;
use crate::check;
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::jiff::Timestamp;

impl Kind for ClusterRole {
    const DEF: ResourceDef = ResourceDef {
        create_on_update: true,
        columns: &[Column::NAME, Column::CREATED_AT],
        ..ResourceDef::new(
            super::GROUP,
            "v1",
            "ClusterRole",
            "clusterroles",
            "clusterrole",
            Scope::Cluster,
            "k8s.io.api.rbac.v1.ClusterRole",
        )
    };

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = rules::validate(self.rules.as_ref(), false);
        let Some(aggregation) = &self.aggregation_rule else { return errors };
        let path = FieldPath::new("aggregationRule").child("clusterRoleSelectors");
        let selectors = aggregation.cluster_role_selectors.as_deref().unwrap_or_default();
        if selectors.is_empty() {
            let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            errors.push(FieldError::required(path.clone(), detail));
        }
        for (index, selector) in selectors.iter().enumerate() {
            check::label_selector(&mut errors, &path.index(index), selector);
        }
        errors
    }

    fn row(&self, _now: Timestamp) -> Vec<Cell> {
        vec![columns::name(&self.metadata), columns::created_at(&self.metadata)]
    }

    fn validate_name(name: &str, _prefix_only: bool) -> Vec<String> {
        crate::labels::path_segment(name, false)
    }
}
