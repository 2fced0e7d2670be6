//! A policy's parameters: objects of any served kind, as they are when the write is judged.
//!
//! Invariant: read from the registry's own caches, which have every write that was answered: nothing is waited for.

use api::selector::{FieldSelector, Selector};
use k8s_openapi::api::admissionregistration::v1::{ParamKind, ParamRef};
use registry::{Entry, ListQuery, ReadVersion, Registry, Resource, Selection};
use serde_json::Value;
use std::sync::Arc;

/// The resource of a kind that a policy names.
pub(super) fn resource(registry: &Registry, kind: &ParamKind) -> Result<Arc<Resource>, String> {
    let version = kind.api_version.as_deref().unwrap_or_default();
    let name = kind.kind.as_deref().unwrap_or_default();
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let is_it = |def: &api::ResourceDef| (def.group, def.version, def.kind) == (group, version, name);
    let builtin = api::object::builtin().iter().map(|row| row.def()).find(|def| is_it(def));
    let found = match builtin {
        Some(def) => registry.find(def.group, def.version, def.plural),
        None => registry.served().into_iter().find(|resource| is_it(resource.def)),
    };
    found.ok_or_else(|| format!("failed to find resource referenced by paramKind: '{group}/{version}, Kind={name}'"))
}

/// The objects that a binding gives to its policy, each of which the policy is asked with: `null` for a policy without
/// parameters or a binding that names none, and nothing at all where the binding allows that none are found.
pub(super) async fn collect(
    registry: &Registry,
    resource: Option<&Resource>,
    reference: Option<&ParamRef>,
    namespace: &str,
) -> Result<Vec<Value>, String> {
    let (Some(resource), Some(reference)) = (resource, reference) else { return Ok(vec![Value::Null]) };
    let namespace = namespace_of(resource, reference, namespace)?;
    let found = match (reference.name.as_deref().filter(|name| !name.is_empty()), &reference.selector) {
        (Some(name), _) => registry.shown(resource, resource.get(namespace, name).into_iter().collect()).await,
        (None, Some(selector)) => {
            let labels = Selector::from_label_selector(selector).map_err(|error| error.to_string())?;
            let selection = Selection::new(namespace, "", labels, FieldSelector::default());
            let query = ListQuery { version: ReadVersion::Any, ..ListQuery::all(selection) };
            registry.list(resource, &query).await.map(|listing| listing.entries)
        }
        (None, None) => return Err("one of name or selector must be provided".to_owned()),
    };
    let found = found.map_err(|status| status.message)?;
    if found.is_empty() && reference.parameter_not_found_action.as_deref() == Some("Deny") {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned());
    }
    found.iter().map(|entry| shown(entry)).collect()
}

fn namespace_of<'a>(resource: &Resource, reference: &'a ParamRef, namespace: &'a str) -> Result<&'a str, String> {
    let own = reference.namespace.as_deref().unwrap_or_default();
    match (resource.def.namespaced(), own, namespace) {
        (false, "", _) => Ok(""),
        (false, _, _) => Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned()),
        (true, "", "") => {
            Err("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources".to_owned())
        }
        (true, "", namespace) => Ok(namespace),
        (true, own, _) => Ok(own),
    }
}

fn shown(entry: &Entry) -> Result<Value, String> {
    serde_json::from_slice(&entry.unmanaged_json()).map_err(|error| format!("decoding a parameter: {error}"))
}
