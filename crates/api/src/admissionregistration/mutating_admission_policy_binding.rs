//! MutatingAdmissionPolicyBinding: where a policy applies, and with which parameters.

use super::bindings::{binding, param_ref_cell};
use super::rules;
use crate::check::Errors;
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::{Kind, generation_of_spec};
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::admissionregistration::v1::MutatingAdmissionPolicyBinding;
use k8s_openapi::jiff::Timestamp;

impl Kind for MutatingAdmissionPolicyBinding {
    const DEF: ResourceDef = ResourceDef {
        unconditional_update: false,
        categories: &["api-extensions"],
        columns: &[
            Column::NAME,
            Column::text("PolicyName").about("The policy that it applies."),
            Column::text("ParamRef").about("The parameters that it gives."),
            Column::AGE,
        ],
        ..ResourceDef::new(
            "admissionregistration.k8s.io",
            "v1",
            "MutatingAdmissionPolicyBinding",
            "mutatingadmissionpolicybindings",
            "mutatingadmissionpolicybinding",
            Scope::Cluster,
            "k8s.io.api.admissionregistration.v1.MutatingAdmissionPolicyBinding",
        )
    };

    fn defaults(&mut self) {
        if let Some(resources) = &mut self.spec.get_or_insert_default().match_resources {
            rules::default_resources(resources);
        }
    }

    generation_of_spec!(MutatingAdmissionPolicyBinding);

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = self.spec.clone().unwrap_or_default();
        let policy = spec.policy_name.as_deref().unwrap_or_default();
        let (param, resources) = (spec.param_ref.as_ref(), spec.match_resources.as_ref());
        binding(&mut errors, &FieldPath::new("spec"), policy, param, resources);
        errors
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let spec = self.spec.as_ref();
        vec![
            columns::name(&self.metadata),
            Cell::from(spec.and_then(|spec| spec.policy_name.as_deref()).unwrap_or_default()),
            param_ref_cell(spec.and_then(|spec| spec.param_ref.as_ref())),
            columns::created(&self.metadata, now),
        ]
    }
}
