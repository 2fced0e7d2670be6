//! ValidatingAdmissionPolicy: expressions that every write it is about must meet.
//!
//! Invariants: every policy that concerns the write is asked, so that all warn and annotate; the first that denies
//! words the refusal. What a policy cannot answer counts as its `failurePolicy` says.

use super::asked::{Asked, Selected};
use super::composition::Composition;
use super::environment::{Types, environment, of_messages};
use super::evaluation::{Evaluation, Failure, Variable};
use super::expression::{Expression, Wanted};
use super::follow::{Bound, Followed, Policy, name};
use super::{is_excluded, type_checking};
use crate::admission::expressions::{Conditions, Inputs, Met, OUT_OF_BUDGET};
use crate::admission::matching::World;
use crate::admission::measures::{Measures, Owner, Trouble};
use crate::admission::request::Judged;
use crate::admission::{Plugin, Sources, refused};
use crate::authz::Authorizer;
use api::{Object, Reason, Status};
use async_trait::async_trait;
use cel::Value;
use cel::limits::RUNTIME_BUDGET;
use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, ParamKind, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::StatusCause;
use registry::{Attempt, Registry};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::task::AbortOnDropHandle;

/// A message that an expression makes, as upstream bounds it.
const MESSAGE_BYTES_MAX: usize = 5 * 1024;
/// An audit annotation's value, as upstream bounds it.
const ANNOTATION_BYTES_MAX: usize = 10 * 1024;
const FAILURE_KEY: &str = "validation.policy.admission.k8s.io/validation_failure";

/// A policy ready to be asked.
pub(super) struct Compiled {
    conditions: Conditions,
    variables: Vec<Variable>,
    validations: Vec<Validation>,
    annotations: Vec<(String, Expression)>,
    /// Whether what cannot be answered is refused.
    fails: bool,
}

struct Validation {
    expression: Expression,
    message_expression: Option<Expression>,
    message: String,
    reason: Option<String>,
}

impl Policy for ValidatingAdmissionPolicy {
    type Binding = ValidatingAdmissionPolicyBinding;
    type Compiled = Compiled;

    fn compile(&self) -> Compiled {
        let spec = self.spec.clone().unwrap_or_default();
        let has_params = spec.param_kind.is_some();
        let plain = environment(has_params, &Types::default());
        let composition = Composition::of(&plain, spec.variables.as_deref().unwrap_or_default());
        let (env, of_messages) = (composition.extended(&plain), composition.extended(&of_messages(has_params)));
        let validations = spec.validations.into_iter().flatten().map(|own| Validation {
            expression: Expression::compile(&env, &own.expression, Wanted::Condition),
            message_expression: own
                .message_expression
                .filter(|text| !text.is_empty())
                .map(|text| Expression::compile(&of_messages, &text, Wanted::Text)),
            message: own.message.unwrap_or_default(),
            reason: own.reason,
        });
        let annotations = spec.audit_annotations.into_iter().flatten();
        let annotation = |expression: &str| Expression::compile(&env, expression, Wanted::TextOrNothing);
        Compiled {
            conditions: Conditions::compile(&env, spec.match_conditions.as_deref().unwrap_or_default()),
            validations: validations.collect(),
            annotations: annotations.map(|own| (own.key, annotation(&own.value_expression))).collect(),
            fails: spec.failure_policy.as_deref() != Some("Ignore"),
            variables: composition.variables,
        }
    }

    fn constraints(&self) -> Option<&MatchResources> {
        self.spec.as_ref()?.match_constraints.as_ref()
    }

    fn param_kind(&self) -> Option<&ParamKind> {
        self.spec.as_ref()?.param_kind.as_ref()
    }

    fn of_binding(binding: &ValidatingAdmissionPolicyBinding) -> Bound<'_> {
        let spec = &binding.spec;
        Bound { policy: &spec.policy_name, params: spec.param_ref.as_ref(), resources: spec.match_resources.as_ref() }
    }
}

/// What a policy says of a write.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    /// Of each validation.
    decisions: Vec<Checked>,
    /// By key: the value, or why there is none.
    annotations: Vec<(String, Result<String, String>)>,
}

/// A decision, what went wrong on the way to it, and how long that took.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Checked {
    decision: Decision,
    trouble: Trouble,
    took: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Decision {
    Admit,
    Deny { message: String, reason: Option<String> },
}

impl Compiled {
    fn error(&self, message: String) -> Decision {
        if self.fails { Decision::Deny { message, reason: None } } else { Decision::Admit }
    }

    fn failed(&self, message: String, trouble: Trouble) -> Answer {
        let checked = Checked { decision: self.error(message), trouble, took: Duration::ZERO };
        Answer { decisions: vec![checked], annotations: Vec::new() }
    }

    fn ask<'v>(&'v self, evaluation: &'v Evaluation<'v>, met: Met) -> Answer {
        match met {
            Met::Yes => {}
            Met::No(_) => return Answer::default(),
            Met::Failed(_) if !self.fails => return Answer::default(),
            Met::Failed(why) => return self.failed(why, Trouble::Evaluating),
        }
        let mut budget = RUNTIME_BUDGET;
        let mut answer = Answer::default();
        for validation in &self.validations {
            let begun = Instant::now();
            let (decision, trouble) = match evaluation.ask(&validation.expression, &mut budget) {
                Ok(value) if value.as_bool() == Some(true) => (Decision::Admit, Trouble::None),
                Ok(_) => (self.deny(validation, evaluation, &mut budget), Trouble::None),
                Err(Failure::Expression(why)) if validation.expression.program.is_err() => {
                    (self.error(why), Trouble::Compiling)
                }
                Err(Failure::Expression(why)) => (self.error(why), Trouble::Evaluating),
                Err(failure @ Failure::Budget) => return self.failed(failure.to_string(), Trouble::Budget),
            };
            answer.decisions.push(Checked { decision, trouble, took: begun.elapsed() });
        }
        let mut budget = RUNTIME_BUDGET;
        for (key, expression) in &self.annotations {
            let value = match evaluation.ask(expression, &mut budget) {
                Ok(Value::String(text)) => Ok(text.trim().to_owned()),
                Ok(_) => Ok(String::new()),
                Err(Failure::Expression(_)) if !self.fails => Ok(String::new()),
                Err(Failure::Expression(why)) => Err(why),
                Err(failure @ Failure::Budget) => return self.failed(failure.to_string(), Trouble::Budget),
            };
            answer.annotations.push((key.clone(), value));
        }
        answer
    }

    fn deny<'v>(&'v self, validation: &'v Validation, evaluation: &'v Evaluation<'v>, budget: &mut u64) -> Decision {
        let made = match &validation.message_expression {
            Some(expression) => match evaluation.ask(expression, budget) {
                Ok(value) => value.as_str().unwrap_or_default().trim().to_owned(),
                Err(Failure::Expression(why)) => {
                    tracing::debug!(why, "a policy's message was not made");
                    String::new()
                }
                Err(Failure::Budget) => return self.error(format!("failed messageExpression: {OUT_OF_BUDGET}")),
            },
            None => String::new(),
        };
        let is_good = !made.is_empty() && made.len() <= MESSAGE_BYTES_MAX && !made.contains('\n');
        let message = match validation.message.trim() {
            _ if is_good => made,
            "" => format!("failed expression: {}", validation.expression.source.trim()),
            fixed => fixed.to_owned(),
        };
        Decision::Deny { message, reason: validation.reason.clone() }
    }
}

/// What all policies say of one write.
struct Report<'a> {
    attempt: &'a Attempt<'a>,
    measures: &'a Measures,
    denied: Option<Denial>,
}

struct Denial {
    message: String,
    reason: Option<String>,
}

impl Report<'_> {
    /// The first denial counts.
    fn deny(&mut self, policy: &str, binding: Option<&str>, why: &str, reason: Option<String>) {
        let with = binding.map(|name| format!(" with binding '{name}'")).unwrap_or_default();
        let message = format!("ValidatingAdmissionPolicy '{policy}'{with} denied request: {why}");
        self.denied.get_or_insert(Denial { message, reason });
    }

    fn take(
        &mut self,
        policy: &str,
        binding: &ValidatingAdmissionPolicyBinding,
        answer: Answer,
        annotations: &mut BTreeMap<String, Vec<String>>,
    ) {
        for (index, checked) in answer.decisions.into_iter().enumerate() {
            let Checked { decision, trouble, took } = checked;
            match decision {
                Decision::Deny { message, reason } => {
                    for action in &binding.spec.validation_actions {
                        self.measures.validated(policy, name(binding), trouble, &action.to_lowercase(), took);
                    }
                    self.act(policy, binding, index, &message, reason.as_ref());
                }
                // As upstream: what was simply admitted is not counted.
                Decision::Admit if trouble != Trouble::None => {
                    self.measures.validated(policy, name(binding), trouble, "allow", took);
                }
                Decision::Admit => {}
            }
        }
        for (key, value) in answer.annotations {
            match value {
                Ok(value) if value.is_empty() => {}
                Ok(value) => {
                    let values = annotations.entry(key).or_default();
                    let value = cut(value);
                    if !values.contains(&value) {
                        values.push(value);
                    }
                }
                Err(why) => self.deny(policy, Some(name(binding)), &why, None),
            }
        }
    }

    fn act(
        &mut self,
        policy: &str,
        binding: &ValidatingAdmissionPolicyBinding,
        index: usize,
        message: &str,
        reason: Option<&String>,
    ) {
        let own = name(binding);
        for action in &binding.spec.validation_actions {
            match action.as_str() {
                "Deny" => self.deny(policy, Some(own), message, reason.cloned()),
                "Warn" => self.attempt.notes.warn(format!(
                    "Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{own}': {message}"
                )),
                "Audit" => self.audit(binding, index, message),
                other => tracing::warn!(policy, binding = own, action = other, "an unknown validation action"),
            }
        }
    }

    /// Upstream keeps the first.
    fn audit(&self, binding: &ValidatingAdmissionPolicyBinding, index: usize, message: &str) {
        let notes = self.attempt.notes;
        if !notes.annotations().contains_key(FAILURE_KEY) {
            let failure = json!([{
                "message": message,
                "policy": binding.spec.policy_name,
                "binding": name(binding),
                "expressionIndex": index,
                "validationActions": binding.spec.validation_actions,
            }]);
            notes.annotate(FAILURE_KEY, failure.to_string());
        }
    }

    fn finish(self, object: Option<&dyn Object>) -> Result<(), Status> {
        let Some(Denial { message, reason }) = self.denied else { return Ok(()) };
        let mut status = refused(self.attempt, object, &message);
        status.reason = reason.map_or(Reason::Invalid, |reason| Reason::parse(&reason));
        status.code = status.reason.code();
        let cause = StatusCause { message: Some(message), ..StatusCause::default() };
        status.details.get_or_insert_default().causes.get_or_insert_default().push(cause);
        Err(status)
    }
}

fn cut(mut value: String) -> String {
    let mut end = ANNOTATION_BYTES_MAX.min(value.len());
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    value.truncate(end);
    value
}

pub(crate) fn make(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(ValidatingPolicies {
        followed: Followed::start(sources.client),
        world: World::new(sources.client, sources.registry),
        registry: sources.registry.clone(),
        authorizer: sources.authorizer.clone(),
        measures: sources.measures.clone(),
        _checker: type_checking::start(sources.client, sources.registry),
    })
}

struct ValidatingPolicies {
    followed: Followed<ValidatingAdmissionPolicy>,
    world: World,
    registry: Arc<Registry>,
    authorizer: Arc<Authorizer>,
    measures: Arc<Measures>,
    _checker: AbortOnDropHandle<()>,
}

#[async_trait]
impl Plugin for ValidatingPolicies {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        !self.followed.is_quiet() && !is_excluded(attempt)
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let mut asked = Asked::new(Judged { attempt, object, old }, &self.world, &self.registry, &self.authorizer);
        let mut report = Report { attempt, measures: &self.measures, denied: None };
        for policy in self.followed.all().await?.iter() {
            let own = name(policy.policy.as_ref());
            let mut annotations = BTreeMap::new();
            for selected in asked.select(policy).await? {
                match selected {
                    Selected::Failed { binding, why } if policy.compiled.fails => {
                        report.deny(own, binding.as_deref(), &why, None);
                    }
                    Selected::Failed { .. } => {}
                    Selected::With { binding, params, seen } => {
                        let inputs = asked.inputs(&seen).await?;
                        for params in &params {
                            let answer = self.answer(own, attempt, &policy.compiled, inputs, params);
                            report.take(own, &binding.object, answer, &mut annotations);
                        }
                    }
                }
            }
            for (key, values) in annotations {
                attempt.notes.annotate(&format!("{own}/{key}"), values.join(", "));
            }
        }
        report.finish(object)
    }
}

impl ValidatingPolicies {
    fn answer(
        &self,
        policy: &str,
        attempt: &Attempt<'_>,
        compiled: &Compiled,
        inputs: &Inputs,
        params: &Json,
    ) -> Answer {
        let evaluation = Evaluation::new(inputs, params, &compiled.variables);
        let owner = Owner { name: policy, kind: "policy", may_change: false, operation: attempt.operation };
        let met = self.measures.met(owner, &compiled.conditions, evaluation.activation());
        compiled.ask(&evaluation, met)
    }
}
