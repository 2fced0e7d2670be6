//! Checks of what the requester, or a service account, may do. Who decides is the caller's.

use super::{NO_OVERLOAD, Result, bool, text};
use crate::error::EvalError;
use crate::functions::Row;
use crate::value::{Opaque, Value};
use std::sync::Arc;

pub(crate) const ROWS: &[Row] = &[
    ("path", "authorizer_path", "Authorizer.(string) PathCheck", path),
    ("group", "authorizer_group", "Authorizer.(string) GroupCheck", group),
    ("serviceAccount", "authorizer_serviceaccount", "Authorizer.(string, string) Authorizer", service_account),
    ("resource", "groupcheck_resource", "GroupCheck.(string) ResourceCheck", resource),
    ("subresource", "resourcecheck_subresource", "ResourceCheck.(string) ResourceCheck", subresource),
    ("namespace", "resourcecheck_namespace", "ResourceCheck.(string) ResourceCheck", namespace),
    ("name", "resourcecheck_name", "ResourceCheck.(string) ResourceCheck", name),
    ("fieldSelector", "authorizer_fieldselector", "ResourceCheck.(string) ResourceCheck", field_selector),
    ("labelSelector", "authorizer_labelselector", "ResourceCheck.(string) ResourceCheck", label_selector),
    ("check", "pathcheck_check", "PathCheck.(string) Decision", check),
    ("check", "resourcecheck_check", "ResourceCheck.(string) Decision", check),
    ("allowed", "decision_allowed", "Decision.() bool", allowed),
    ("reason", "decision_reason", "Decision.() string", reason),
    ("errored", "decision_errored", "Decision.() bool", errored),
    ("error", "decision_error", "Decision.() string", error),
];

/// The name of the type of the variable `authorizer`.
pub const AUTHORIZER: &str = crate::value::opaque::AUTHORIZER;

/// The name of the type of the variable `authorizer.requestResource`.
pub const RESOURCE_CHECK: &str = crate::value::opaque::RESOURCE_CHECK;

/// Decides what one who asks may do.
pub trait Authorizer: Send + Sync {
    fn authorize(&self, attributes: &Attributes) -> CheckDecision;
}

/// What is asked for. Empty texts are unset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The namespace and name of the service account that is asked about, if it is not the requester.
    pub service_account: Option<(String, String)>,
    pub verb: String,
    /// A path that is no resource's; the fields below are empty then.
    pub path: Option<String>,
    pub group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    /// As written: one that does not parse counts for nothing.
    pub field_selector: String,
    pub label_selector: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckDecision {
    pub allowed: bool,
    pub reason: String,
    pub error: Option<String>,
}

/// Who decides, about whom.
pub struct Checker {
    authorizer: Arc<dyn Authorizer>,
    service_account: Option<(String, String)>,
}

impl std::fmt::Debug for Checker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checker").field("service_account", &self.service_account).finish_non_exhaustive()
    }
}

/// A check in the making.
#[derive(Clone, Debug)]
pub struct Check {
    checker: Arc<Checker>,
    attributes: Attributes,
}

/// The value of the variable `authorizer`, whose type is `Type::Opaque(AUTHORIZER)`.
pub fn authorizer_value<'v>(authorizer: Arc<dyn Authorizer>) -> Value<'v> {
    Value::Opaque(Opaque::Authorizer(Arc::new(Checker { authorizer, service_account: None })))
}

/// The value of the variable `authorizer.requestResource`: a check of the resource of the request.
pub fn resource_check_value<'v>(authorizer: Arc<dyn Authorizer>, attributes: Attributes) -> Value<'v> {
    let checker = Arc::new(Checker { authorizer, service_account: attributes.service_account.clone() });
    Value::Opaque(Opaque::ResourceCheck(Arc::new(Check { checker, attributes })))
}

impl Check {
    fn of(checker: &Arc<Checker>) -> Check {
        let attributes = Attributes { service_account: checker.service_account.clone(), ..Attributes::default() };
        Check { checker: checker.clone(), attributes }
    }

    fn with(&self, set: impl FnOnce(&mut Attributes)) -> Arc<Check> {
        let mut check = self.clone();
        set(&mut check.attributes);
        Arc::new(check)
    }
}

fn present(text: &str, what: &str) -> std::result::Result<(), EvalError> {
    if text.trim().is_empty() { Err(EvalError::failed(format!("{what} must not be empty"))) } else { Ok(()) }
}

fn path<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    let [Value::Opaque(Opaque::Authorizer(checker)), Value::String(path)] = arguments else { return Err(NO_OVERLOAD) };
    present(path, "path")?;
    let check = Check::of(checker).with(|attributes| attributes.path = Some(path.to_string()));
    Ok(Value::Opaque(Opaque::PathCheck(check)))
}

fn group<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    let [Value::Opaque(Opaque::Authorizer(checker)), Value::String(group)] = arguments else { return Err(NO_OVERLOAD) };
    let check = Check::of(checker).with(|attributes| attributes.group = group.to_string());
    Ok(Value::Opaque(Opaque::GroupCheck(check)))
}

fn service_account<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    let [Value::Opaque(Opaque::Authorizer(checker)), Value::String(namespace), Value::String(name)] = arguments else {
        return Err(NO_OVERLOAD);
    };
    if let Some(why) = api::labels::dns1123_subdomain(name, false).first() {
        return Err(EvalError::failed(format!("Invalid service account name: {why}")));
    }
    if let Some(why) = api::labels::dns1123_label(namespace, false).first() {
        return Err(EvalError::failed(format!("Invalid service account namespace: {why}")));
    }
    let service_account = Some((namespace.to_string(), name.to_string()));
    let checker = Checker { authorizer: checker.authorizer.clone(), service_account };
    Ok(Value::Opaque(Opaque::Authorizer(Arc::new(checker))))
}

fn resource<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    let [Value::Opaque(Opaque::GroupCheck(check)), Value::String(resource)] = arguments else {
        return Err(NO_OVERLOAD);
    };
    present(resource, "resource")?;
    Ok(Value::Opaque(Opaque::ResourceCheck(check.with(|attributes| attributes.resource = resource.to_string()))))
}

fn with<'v>(arguments: &[Value<'v>], set: fn(&mut Attributes, String)) -> Result<'v> {
    match arguments {
        [Value::Opaque(Opaque::ResourceCheck(check)), Value::String(text)] => {
            Ok(Value::Opaque(Opaque::ResourceCheck(check.with(|attributes| set(attributes, text.to_string())))))
        }
        _ => Err(NO_OVERLOAD),
    }
}

fn subresource<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    with(arguments, |attributes, text| attributes.subresource = text)
}

fn namespace<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    with(arguments, |attributes, text| attributes.namespace = text)
}

fn name<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    with(arguments, |attributes, text| attributes.name = text)
}

fn field_selector<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    with(arguments, |attributes, text| attributes.field_selector = text)
}

fn label_selector<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    with(arguments, |attributes, text| attributes.label_selector = text)
}

fn check<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::Opaque(Opaque::PathCheck(check) | Opaque::ResourceCheck(check)), Value::String(verb)] => {
            let attributes = Attributes { verb: verb.to_string(), ..check.attributes.clone() };
            let decision = check.checker.authorizer.authorize(&attributes);
            Ok(Value::Opaque(Opaque::Decision(Arc::new(decision))))
        }
        _ => Err(NO_OVERLOAD),
    }
}

fn decision<'a>(arguments: &'a [Value<'_>]) -> std::result::Result<&'a CheckDecision, EvalError> {
    match arguments {
        [Value::Opaque(Opaque::Decision(decision))] => Ok(decision),
        _ => Err(NO_OVERLOAD),
    }
}

fn allowed<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    bool(decision(arguments)?.allowed)
}

fn reason<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    text(decision(arguments)?.reason.clone())
}

fn errored<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    bool(decision(arguments)?.error.is_some())
}

fn error<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    text(decision(arguments)?.error.clone().unwrap_or_default())
}
