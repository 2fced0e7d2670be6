//! Refuses policies whose expressions do not compile, with all else that is wrong with them.

use super::composition::Composition;
use super::environment::{Types, environment, of_messages, with_patches};
use super::expression::{Expression, Wanted};
use super::mutating::compiled::expression as mutation_expression;
use crate::admission::expressions::Conditions;
use api::{FieldError, FieldPath, Kind, Object, Status};
use cel::Env;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MutatingAdmissionPolicy, MutatingAdmissionPolicySpec, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicySpec, Variable,
};
use registry::{Claim, Hook};

/// The check of both kinds of policies when they are written.
pub(crate) struct PolicyCheck;

impl Hook for PolicyCheck {
    /// Claims nothing. What an update leaves as it was is not judged again.
    fn claim(&self, object: &mut dyn Object, old: Option<&dyn Object>, _: bool) -> Result<Option<Claim>, Status> {
        if old.is_some_and(|old| !object.spec_differs(old)) {
            return Ok(None);
        }
        let path = FieldPath::new("spec");
        let (def, own) = if let Some(policy) = object.downcast::<ValidatingAdmissionPolicy>() {
            (&ValidatingAdmissionPolicy::DEF, validating(&path, &policy.spec.clone().unwrap_or_default()))
        } else if let Some(policy) = object.downcast::<MutatingAdmissionPolicy>() {
            (&MutatingAdmissionPolicy::DEF, mutating(&path, &policy.spec.clone().unwrap_or_default()))
        } else {
            return Ok(None);
        };
        if own.is_empty() {
            return Ok(None);
        }
        let mut errors = object.validate();
        errors.extend(own);
        Err(Status::invalid(def, object.name(), &errors))
    }
}

/// Compiles a policy's expressions for what is wrong with them. An empty one is refused by the kind's own validation.
struct Check {
    errors: Vec<FieldError>,
}

impl Check {
    fn expression(&mut self, env: &Env, source: &str, path: FieldPath, wanted: Wanted) {
        if source.trim().is_empty() {
            return;
        }
        if let Err(why) = Expression::compile(env, source, wanted).program {
            self.errors.push(FieldError::invalid(path, source, why));
        }
    }

    /// They do not see the policy's variables when they are checked, as upstream has it.
    fn conditions(&mut self, env: &Env, conditions: &[MatchCondition], path: &FieldPath) {
        let trimmed = |condition: &MatchCondition| MatchCondition {
            expression: condition.expression.trim().to_owned(),
            ..condition.clone()
        };
        let trimmed: Vec<MatchCondition> = conditions.iter().map(trimmed).collect();
        for (index, source, why) in Conditions::compile(env, &trimmed).errors() {
            if !source.is_empty() {
                self.errors.push(FieldError::invalid(path.index(index).child("expression"), source, why));
            }
        }
    }

    fn variables(&mut self, env: &Env, variables: &[Variable], path: &FieldPath) -> Composition {
        let mut composition = Composition::default();
        for (index, variable) in variables.iter().enumerate() {
            composition.add(env, variable);
            let added = composition.variables.last().map(|added| &added.expression);
            let Some(Err(why)) = added.map(|expression| &expression.program) else { continue };
            if !variable.expression.trim().is_empty() {
                let path = path.index(index).child("expression");
                self.errors.push(FieldError::invalid(path, &variable.expression, why.clone()));
            }
        }
        composition
    }
}

fn validating(path: &FieldPath, spec: &ValidatingAdmissionPolicySpec) -> Vec<FieldError> {
    let mut check = Check { errors: Vec::new() };
    let has_params = spec.param_kind.is_some();
    let plain = environment(has_params, &Types::default());
    check.conditions(&plain, spec.match_conditions.as_deref().unwrap_or_default(), &path.child("matchConditions"));
    let variables = spec.variables.as_deref().unwrap_or_default();
    let composition = check.variables(&plain, variables, &path.child("variables"));
    let (env, of_messages) = (composition.extended(&plain), composition.extended(&of_messages(has_params)));
    for (index, validation) in spec.validations.iter().flatten().enumerate() {
        let path = path.child("validations").index(index);
        check.expression(&env, &validation.expression, path.child("expression"), Wanted::Condition);
        let message = validation.message_expression.as_deref().unwrap_or_default();
        check.expression(&of_messages, message, path.child("messageExpression"), Wanted::Text);
    }
    for (index, annotation) in spec.audit_annotations.iter().flatten().enumerate() {
        let path = path.child("auditAnnotations").index(index).child("valueExpression");
        check.expression(&env, &annotation.value_expression, path, Wanted::TextOrNothing);
    }
    check.errors
}

fn mutating(path: &FieldPath, spec: &MutatingAdmissionPolicySpec) -> Vec<FieldError> {
    let mut check = Check { errors: Vec::new() };
    let plain = environment(spec.param_kind.is_some(), &Types::default());
    check.conditions(&plain, spec.match_conditions.as_deref().unwrap_or_default(), &path.child("matchConditions"));
    let variables = spec.variables.as_deref().unwrap_or_default();
    let composition = check.variables(&plain, variables, &path.child("variables"));
    let env = with_patches(composition.extended(&plain));
    for (index, mutation) in spec.mutations.iter().flatten().enumerate() {
        let Some((source, wanted)) = mutation_expression(mutation) else { continue };
        let field = if wanted == Wanted::Patches { "jsonPatch" } else { "applyConfiguration" };
        let path = path.child("mutations").index(index).child(field).child("expression");
        check.expression(&env, source, path, wanted);
    }
    check.errors
}
