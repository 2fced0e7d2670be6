//! ValidatingAdmissionPolicy: expressions that objects must satisfy to be stored.

use super::policies::{Policy, param_kind_cell, policy};
use super::rules;
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::{Kind, generation_of_spec, status_apart};
use crate::labels;
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::admissionregistration::v1::{
    AuditAnnotation, ValidatingAdmissionPolicy, ValidatingAdmissionPolicySpec, Validation,
};
use k8s_openapi::jiff::Timestamp;

const AUDIT_ANNOTATIONS_MAX: usize = 20;
const VALUE_EXPRESSION_BYTES_MAX: usize = 5 * 1024;
const REASONS: &[&str] = &["Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized"];

impl Kind for ValidatingAdmissionPolicy {
    const DEF: ResourceDef = ResourceDef {
        unconditional_update: false,
        categories: &["api-extensions"],
        subresources: &[Subresource::Status],
        columns: &[
            Column::NAME,
            Column::integer("Validations").about("How many expressions it has."),
            Column::text("ParamKind").about("The kind of its parameters."),
            Column::AGE,
        ],
        ..ResourceDef::new(
            "admissionregistration.k8s.io",
            "v1",
            "ValidatingAdmissionPolicy",
            "validatingadmissionpolicies",
            "validatingadmissionpolicy",
            Scope::Cluster,
            "k8s.io.api.admissionregistration.v1.ValidatingAdmissionPolicy",
        )
    };

    fn defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        spec.failure_policy.get_or_insert_with(|| "Fail".to_owned());
        if let Some(constraints) = &mut spec.match_constraints {
            rules::default_resources(constraints);
        }
        self.status.get_or_insert_default();
    }

    status_apart!(ValidatingAdmissionPolicy);
    generation_of_spec!(ValidatingAdmissionPolicy);

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
        expressions(&mut errors, &path, &spec, self.metadata.name.as_deref().unwrap_or_default());
        let checking = self.status.as_ref().and_then(|status| status.type_checking.as_ref());
        let warnings = checking.and_then(|checking| checking.expression_warnings.as_deref()).unwrap_or_default();
        for (index, warning) in warnings.iter().enumerate() {
            let path = FieldPath::new("status").child("typeChecking").child("expressionWarnings").index(index);
            check::present(&mut errors, path.child("warning"), Some(&warning.warning));
            check::present(&mut errors, path.child("fieldRef"), Some(warning.field_ref.trim()));
        }
        errors
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let spec = self.spec.as_ref();
        let validations = spec.and_then(|spec| spec.validations.as_ref()).map_or(0, Vec::len);
        vec![
            columns::name(&self.metadata),
            Cell::Integer(validations as i64),
            param_kind_cell(spec.and_then(|spec| spec.param_kind.as_ref())),
            columns::created(&self.metadata, now),
        ]
    }
}

fn expressions(errors: &mut Errors, path: &FieldPath, spec: &ValidatingAdmissionPolicySpec, name: &str) {
    let validations = spec.validations.as_deref().unwrap_or_default();
    let annotations = spec.audit_annotations.as_deref().unwrap_or_default();
    if validations.is_empty() && annotations.is_empty() {
        let detail = "validations or auditAnnotations must contain at least one item";
        errors.push(FieldError::required(path.child("validations"), detail));
        errors.push(FieldError::required(path.child("auditAnnotations"), detail));
        return;
    }
    for (index, validation) in validations.iter().enumerate() {
        self::validation(errors, &path.child("validations").index(index), validation);
    }
    let path = path.child("auditAnnotations");
    if annotations.len() > AUDIT_ANNOTATIONS_MAX {
        let detail = format!("must not have more than {AUDIT_ANNOTATIONS_MAX} auditAnnotations");
        errors.push(FieldError::invalid(path.clone(), annotations, detail));
    }
    for (index, annotation) in annotations.iter().enumerate() {
        let path = path.index(index);
        audit_annotation(errors, &path, annotation, name);
        if annotations[..index].iter().any(|other| other.key == annotation.key) {
            errors.push(FieldError::duplicate(path.child("key"), &annotation.key));
        }
    }
}

fn validation(errors: &mut Errors, path: &FieldPath, validation: &Validation) {
    if validation.expression.trim().is_empty() {
        errors.push(FieldError::required(path.child("expression"), "expression is not specified"));
    }
    if let Some(text) = validation.message_expression.as_deref().filter(|text| !text.is_empty())
        && text.trim().is_empty()
    {
        let detail = "must be non-empty if specified";
        errors.push(FieldError::invalid(path.child("messageExpression"), text, detail));
    }
    let message = validation.message.as_deref().unwrap_or_default();
    if !message.is_empty() && message.trim().is_empty() {
        let detail = "message must be non-empty if specified";
        errors.push(FieldError::invalid(path.child("message"), message, detail));
    } else if message.trim().contains(['\n', '\r']) {
        let detail = "message must not contain line breaks";
        errors.push(FieldError::invalid(path.child("message"), message, detail));
    }
    check::supported_if_set(errors, &path.child("reason"), validation.reason.as_deref(), REASONS);
}

fn audit_annotation(errors: &mut Errors, path: &FieldPath, annotation: &AuditAnnotation, name: &str) {
    let key = format!("{name}/{}", annotation.key);
    check::each(errors, &path.child("key"), &key, labels::label_key(&key));
    let expression = annotation.value_expression.trim();
    let path = path.child("valueExpression");
    if expression.is_empty() {
        errors.push(FieldError::required(path, "valueExpression is not specified"));
    } else if expression.len() > VALUE_EXPRESSION_BYTES_MAX {
        let detail = format!("must not exceed {VALUE_EXPRESSION_BYTES_MAX} bytes in length");
        errors.push(FieldError::required(path, &detail));
    }
}
