//! MutatingAdmissionPolicy: expressions that change objects before they are stored.

use super::policies::{Policy, param_kind_cell, policy};
use super::rules;
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::{Kind, generation_of_spec};
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::admissionregistration::v1::{MutatingAdmissionPolicy, Mutation};
use k8s_openapi::jiff::Timestamp;

impl Kind for MutatingAdmissionPolicy {
    const DEF: ResourceDef = ResourceDef {
        unconditional_update: false,
        categories: &["api-extensions"],
        columns: &[
            Column::NAME,
            Column::integer("Mutations").about("How many changes it makes."),
            Column::text("ParamKind").about("The kind of its parameters."),
            Column::AGE,
        ],
        ..ResourceDef::new(
            "admissionregistration.k8s.io",
            "v1",
            "MutatingAdmissionPolicy",
            "mutatingadmissionpolicies",
            "mutatingadmissionpolicy",
            Scope::Cluster,
            "k8s.io.api.admissionregistration.v1.MutatingAdmissionPolicy",
        )
    };

    fn defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        spec.failure_policy.get_or_insert_with(|| "Fail".to_owned());
        if let Some(constraints) = &mut spec.match_constraints {
            rules::default_resources(constraints);
        }
    }

    generation_of_spec!(MutatingAdmissionPolicy);

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = self.spec.clone().unwrap_or_default();
        let path = FieldPath::new("spec");
        let common = Policy {
            failure_policy: spec.failure_policy.as_deref(),
            param_kind: spec.param_kind.as_ref(),
            constraints: spec.match_constraints.as_ref(),
            conditions: spec.match_conditions.as_deref().unwrap_or_default(),
            variables: spec.variables.as_deref().unwrap_or_default(),
        };
        policy(&mut errors, &path, &common);
        let mutations = spec.mutations.as_deref().unwrap_or_default();
        if mutations.is_empty() {
            let detail = "mutations must contain at least one item";
            errors.push(FieldError::required(path.child("mutations"), detail));
        }
        for (index, mutation) in mutations.iter().enumerate() {
            self::mutation(&mut errors, &path.child("mutations").index(index), mutation);
        }
        let policy = spec.reinvocation_policy.as_deref();
        check::supported(&mut errors, &path.child("reinvocationPolicy"), policy, &["IfNeeded", "Never"]);
        errors
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let spec = self.spec.as_ref();
        let mutations = spec.and_then(|spec| spec.mutations.as_ref()).map_or(0, Vec::len);
        vec![
            columns::name(&self.metadata),
            Cell::Integer(mutations as i64),
            param_kind_cell(spec.and_then(|spec| spec.param_kind.as_ref())),
            columns::created(&self.metadata, now),
        ]
    }
}

/// Exactly the part that the type names, with an expression.
fn mutation(errors: &mut Errors, path: &FieldPath, mutation: &Mutation) {
    let kinds = &["ApplyConfiguration", "JSONPatch"];
    check::supported(errors, &path.child("patchType"), Some(&mutation.patch_type), kinds);
    let expressions = [
        ("ApplyConfiguration", "applyConfiguration", mutation.apply_configuration.as_ref().map(|own| &own.expression)),
        ("JSONPatch", "jsonPatch", mutation.json_patch.as_ref().map(|own| &own.expression)),
    ];
    for (kind, field, expression) in expressions {
        let path = path.child(field);
        match expression {
            Some(_) if kind != mutation.patch_type => {
                let detail = format!("must not be specified when patchType is {}", mutation.patch_type);
                errors.push(FieldError::invalid(path, &format!("{{{field}}}"), detail));
            }
            None if kind == mutation.patch_type => {
                let detail = format!("must be specified when patchType is {kind}");
                errors.push(FieldError::required(path, &detail));
            }
            Some(expression) => {
                let text = expression.as_deref().unwrap_or_default().trim();
                if text.is_empty() {
                    errors.push(FieldError::required(path.child("expression"), "expression is not specified"));
                }
            }
            None => {}
        }
    }
}
