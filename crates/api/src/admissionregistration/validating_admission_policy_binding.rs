//! ValidatingAdmissionPolicyBinding: where a policy applies, and with which parameters.

use super::bindings::{binding, param_ref_cell};
use super::rules;
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::{Kind, generation_of_spec};
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use k8s_openapi::jiff::Timestamp;

impl Kind for ValidatingAdmissionPolicyBinding {
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
            "ValidatingAdmissionPolicyBinding",
            "validatingadmissionpolicybindings",
            "validatingadmissionpolicybinding",
            Scope::Cluster,
            "k8s.io.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding",
        )
    };

    fn defaults(&mut self) {
        if let Some(resources) = &mut self.spec.match_resources {
            rules::default_resources(resources);
        }
    }

    generation_of_spec!(ValidatingAdmissionPolicyBinding);

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = &self.spec;
        let path = FieldPath::new("spec");
        let resources = spec.match_resources.as_ref();
        binding(&mut errors, &path, &spec.policy_name, spec.param_ref.as_ref(), resources);
        actions(&mut errors, &path.child("validationActions"), &spec.validation_actions);
        errors
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        vec![
            columns::name(&self.metadata),
            Cell::from(self.spec.policy_name.as_str()),
            param_ref_cell(self.spec.param_ref.as_ref()),
            columns::created(&self.metadata, now),
        ]
    }
}

/// At least one, each once; refusing and warning at once says the same twice.
fn actions(errors: &mut Errors, path: &FieldPath, actions: &[String]) {
    for (index, action) in actions.iter().enumerate() {
        let path = path.index(index);
        check::supported_if_set(errors, &path, Some(action), &["Audit", "Deny", "Warn"]);
        if actions[..index].contains(action) {
            errors.push(FieldError::duplicate(path, action));
        }
    }
    let has = |wanted: &str| actions.iter().any(|action| action == wanted);
    if has("Deny") && has("Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the \
                      API response and headers serves no purpose)";
        errors.push(FieldError::invalid(path.clone(), actions, detail));
    }
    if actions.is_empty() {
        errors.push(FieldError::required(path.clone(), "at least one validation action is required"));
    }
}
