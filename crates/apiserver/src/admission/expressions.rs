//! What expressions of webhooks and policies may use: `object`, `oldObject`, `request`, `namespaceObject`, `authorizer`.
//!
//! Bounds: `PER_CALL_LIMIT` per expression, and per write what each place allows them together.

use super::request::{Judged, Seen, request};
use crate::authz::{Attributes, Authorizer};
use api::user::User;
use api::{Object, Status};
use cel::authorizer::{AUTHORIZER, RESOURCE_CHECK, authorizer_value, resource_check_value};
use cel::limits::PER_CALL_LIMIT;
use cel::{Activation, Env, Limits, ListIdentity, Program, Schema, Type, Value as Cel};
use k8s_openapi::api::admissionregistration::v1::MatchCondition;
use k8s_openapi::api::core::v1::Namespace;
use registry::Registry;
use serde_json::Value;
use std::sync::{Arc, OnceLock};

pub(crate) const OBJECT: &str = "object";
pub(crate) const OLD_OBJECT: &str = "oldObject";
pub(crate) const REQUEST: &str = "request";
pub(crate) const NAMESPACE_OBJECT: &str = "namespaceObject";
pub(crate) const AUTHORIZER_VARIABLE: &str = "authorizer";
pub(crate) const REQUEST_RESOURCE: &str = "authorizer.requestResource";
/// What a write's match conditions may cost together, of one webhook or policy.
const CONDITIONS_BUDGET: u64 = 2_500_000;

type Field = (&'static str, Arc<Schema>);

fn object(name: &'static str, fields: Vec<Field>) -> Arc<Schema> {
    let fields = fields.into_iter().map(|(name, schema)| (Arc::from(name), schema));
    Arc::new(Schema::object(name, fields.collect()))
}

fn texts(names: &[&'static str]) -> Vec<Field> {
    names.iter().map(|name| (*name, text())).collect()
}

fn text() -> Arc<Schema> {
    Arc::new(Schema::string(None))
}

fn list(items: Arc<Schema>) -> Arc<Schema> {
    Arc::new(Schema::list(items, None, ListIdentity::Atomic))
}

fn map(values: Arc<Schema>) -> Arc<Schema> {
    Arc::new(Schema::map(values, None))
}

fn request_schema() -> &'static Arc<Schema> {
    static SCHEMA: OnceLock<Arc<Schema>> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let kind = object("kubernetes.GroupVersionKind", texts(&["group", "version", "kind"]));
        let resource = object("kubernetes.GroupVersionResource", texts(&["group", "version", "resource"]));
        let mut user = texts(&["username", "uid"]);
        user.extend([("groups", list(text())), ("extra", map(list(text())))]);
        let mut fields = texts(&["subResource", "requestSubResource", "name", "namespace", "operation"]);
        fields.extend([
            ("kind", kind.clone()),
            ("resource", resource.clone()),
            ("requestKind", kind),
            ("requestResource", resource),
            ("userInfo", object("kubernetes.UserInfo", user)),
            ("dryRun", Arc::new(Schema::bool())),
            ("options", Arc::new(Schema::any())),
        ]);
        object("kubernetes.AdmissionRequest", fields)
    })
}

fn namespace_schema() -> &'static Arc<Schema> {
    static SCHEMA: OnceLock<Arc<Schema>> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let time = || Arc::new(Schema::timestamp());
        let number = || Arc::new(Schema::int());
        let spec = object("kubernetes.NamespaceSpec", vec![("finalizers", list(text()))]);
        let mut condition = texts(&["status", "type", "message", "reason"]);
        condition.push(("lastTransitionTime", time()));
        let condition = object("kubernetes.NamespaceCondition", condition);
        let status = vec![("conditions", list(condition)), ("phase", text())];
        let mut meta = texts(&["name", "generateName", "namespace", "UID", "resourceVersion"]);
        meta.extend([
            ("labels", map(text())),
            ("annotations", map(text())),
            ("finalizers", list(text())),
            ("creationTimestamp", time()),
            ("deletionTimestamp", time()),
            ("deletionGracePeriodSeconds", number()),
            ("generation", number()),
        ]);
        let meta = object("kubernetes.NamespaceMetadata", meta);
        let status = object("kubernetes.NamespaceStatus", status);
        object("kubernetes.Namespace", vec![("metadata", meta), ("spec", spec), ("status", status)])
    })
}

/// What every expression of a webhook or a policy may use.
pub(crate) fn env() -> Env {
    env_without_authorizer()
        .variable(AUTHORIZER_VARIABLE, Type::Opaque(AUTHORIZER))
        .variable(REQUEST_RESOURCE, Type::Opaque(RESOURCE_CHECK))
}

pub(crate) fn env_without_authorizer() -> Env {
    Env::kubernetes()
        .variable(OBJECT, Type::Dyn)
        .variable(OLD_OBJECT, Type::Dyn)
        .object(REQUEST, request_schema().clone())
        .object(NAMESPACE_OBJECT, namespace_schema().clone())
}

/// Who asks the authorizers: the requester, or a service account in their place.
struct Asker {
    authorizer: Arc<Authorizer>,
    user: User,
}

impl cel::authorizer::Authorizer for Asker {
    fn authorize(&self, asked: &cel::authorizer::Attributes) -> cel::authorizer::CheckDecision {
        let account = asked.service_account.as_ref().map(|(namespace, name)| User {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                User::AUTHENTICATED.to_owned(),
            ],
            ..User::default()
        });
        let attributes = Attributes {
            verb: &asked.verb,
            group: &asked.group,
            // Rules name no versions.
            version: "*",
            resource: &asked.resource,
            subresource: &asked.subresource,
            namespace: &asked.namespace,
            name: &asked.name,
            path: asked.path.as_deref().unwrap_or_default(),
            is_resource: asked.path.is_none(),
            field_selector: &asked.field_selector,
            label_selector: &asked.label_selector,
        };
        // An expression cannot wait for another server's opinion.
        let allowed = self.authorizer.allows(account.as_ref().unwrap_or(&self.user), &attributes);
        cel::authorizer::CheckDecision { allowed, ..Default::default() }
    }
}

/// One write's values of the variables, in one version.
pub(crate) struct Inputs {
    pub(crate) object: Value,
    pub(crate) old: Value,
    request: Value,
    /// Of the namespace that the object is in; null for none.
    namespace: Value,
    asker: Arc<Asker>,
    resource: cel::authorizer::Attributes,
}

impl Inputs {
    pub(crate) async fn of(
        registry: &Registry,
        judged: &Judged<'_>,
        seen: &Seen,
        namespace: Option<&Namespace>,
        authorizer: &Arc<Authorizer>,
    ) -> Result<Inputs, Status> {
        let namespace = namespace.map_or(Ok(Value::Null), Object::to_value).map_err(Status::internal)?;
        let resource = cel::authorizer::Attributes {
            group: seen.resource.group.to_owned(),
            resource: seen.resource.plural.to_owned(),
            subresource: judged.subresource().to_owned(),
            namespace: judged.namespace().to_owned(),
            name: judged.name().to_owned(),
            ..Default::default()
        };
        let (object, old) = seen.show_both(registry, judged).await?;
        Ok(Inputs {
            object,
            old,
            request: Value::Object(request(judged, seen)),
            namespace,
            asker: Arc::new(Asker { authorizer: authorizer.clone(), user: judged.attempt.user.clone() }),
            resource,
        })
    }

    /// To be extended by what else an expression's place has.
    pub(crate) fn activation(&self) -> Activation<'_> {
        Activation::new()
            .bind(OBJECT, Cel::from_json(&self.object, None))
            .bind(OLD_OBJECT, Cel::from_json(&self.old, None))
            .bind(REQUEST, Cel::from_json(&self.request, Some(request_schema())))
            .bind(NAMESPACE_OBJECT, Cel::from_json(&self.namespace, Some(namespace_schema())))
            .bind(AUTHORIZER_VARIABLE, authorizer_value(self.asker.clone()))
            .bind(REQUEST_RESOURCE, resource_check_value(self.asker.clone(), self.resource.clone()))
    }
}

/// An expression that must come to a value of one of these types, or of any where none is said; `Err` has upstream's
/// words.
pub(crate) fn compile(env: &Env, source: &str, wanted: &[Type]) -> Result<Program, String> {
    let program = env.compile(source).map_err(|issues| format!("compilation failed: {issues}"))?;
    let found = program.output_type();
    if wanted.is_empty() || wanted.contains(found) {
        return Ok(program);
    }
    let names: Vec<String> = wanted.iter().map(named).collect();
    let found = named(found);
    match names.as_slice() {
        [one] => Err(format!("must evaluate to {one} but got {found}")),
        many => Err(format!("must evaluate to one of [{}] but got {found}", many.join(" "))),
    }
}

/// A type as these messages call it, which is not always as the checker's do.
fn named(found: &Type) -> String {
    match found {
        Type::Null => "null_type".to_owned(),
        other => other.to_string(),
    }
}

/// Conditions that a write must meet to be judged at all.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    conditions: Vec<Condition>,
}

#[derive(Debug)]
struct Condition {
    name: String,
    source: String,
    program: Result<Program, String>,
}

/// Whether a write meets conditions.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Met {
    Yes,
    /// The name of the first that it does not meet.
    No(String),
    /// What went wrong, none being unmet.
    Failed(String),
}

impl Conditions {
    pub(crate) fn compile(env: &Env, conditions: &[MatchCondition]) -> Conditions {
        let compiled = conditions.iter().map(|condition| Condition {
            name: condition.name.clone(),
            source: condition.expression.clone(),
            program: compile(env, &condition.expression, &[Type::Bool]),
        });
        Conditions { conditions: compiled.collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// The places of those that do not compile, and why.
    pub(crate) fn errors(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        self.conditions.iter().enumerate().filter_map(|(index, condition)| {
            let why = condition.program.as_ref().err()?;
            Some((index, condition.source.as_str(), why.as_str()))
        })
    }

    pub(crate) fn judge(&self, activation: &Activation<'_>) -> Met {
        let mut budget = CONDITIONS_BUDGET;
        let mut failures = Vec::new();
        for condition in &self.conditions {
            let failed =
                |why: &dyn std::fmt::Display| format!("expression '{}' resulted in error: {why}", condition.source);
            let program = match &condition.program {
                Ok(program) => program,
                Err(why) => {
                    failures.push(failed(why));
                    continue;
                }
            };
            let (answer, cost) = ask(program, activation, budget);
            match answer {
                Ok(true) => {}
                Ok(false) => return Met::No(condition.name.clone()),
                Err(why) => failures.push(failed(&why)),
            }
            match budget.checked_sub(cost) {
                Some(rest) => budget = rest,
                None => return Met::Failed(OUT_OF_BUDGET.to_owned()),
            }
        }
        match failures.as_slice() {
            [] => Met::Yes,
            [one] => Met::Failed(one.clone()),
            many => Met::Failed(format!("[{}]", many.join(", "))),
        }
    }
}

pub(crate) const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

fn ask(program: &Program, activation: &Activation<'_>, budget: u64) -> (Result<bool, String>, u64) {
    let outcome = program.evaluate(activation, Limits { cost: PER_CALL_LIMIT.min(budget), interrupt: None });
    let answer = match outcome.result {
        Ok(value) => value.as_bool().ok_or_else(|| "the value is no bool".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    (answer, outcome.cost)
}
