//! A container's environment: services, then `envFrom`, then `env`, each overriding what came before.
//!
//! Invariants: pure; references are only expanded with variables that come earlier in `env` or from `envFrom` and
//! services, as upstream; a missing object or key is an error unless it is optional.

pub(crate) mod expansion;
pub(crate) mod field_ref;
pub(crate) mod resource_field;
mod service_links;

use crate::objects::Objects;
use crate::pod;
use crate::pod::resources::Amounts;
use expansion::expand;
use field_ref::Addresses;
use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVarSource, Pod, Service};
use std::collections::HashMap;
use std::sync::Arc;

/// Where values come from.
pub(crate) struct Sources<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) objects: &'a Objects,
    /// Of the pod's namespace, and `default/kubernetes`.
    pub(crate) services: &'a [Arc<Service>],
    pub(crate) addresses: &'a Addresses,
    /// What the node can give, which stands for a limit that is not set.
    pub(crate) node: &'a Amounts,
}

/// Variables in order; a later one of the same name has taken the earlier one's place.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    pub(crate) variables: Vec<(String, String)>,
    places: HashMap<String, usize>,
}

impl Environment {
    fn set(&mut self, name: &str, value: String) {
        match self.places.get(name) {
            Some(place) => self.variables[*place].1 = value,
            None => {
                self.places.insert(name.to_owned(), self.variables.len());
                self.variables.push((name.to_owned(), value));
            }
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.places.get(name).map(|place| self.variables[*place].1.clone())
    }
}

/// The whole environment; the error is what the user reads (`CreateContainerConfigError`).
pub(crate) fn build(sources: &Sources<'_>, container: &Container) -> Result<Environment, String> {
    let mut environment = Environment::default();
    for service in linked_services(sources) {
        for (name, value) in service_links::variables(service) {
            environment.set(&name, value);
        }
    }
    for source in container.env_from.iter().flatten() {
        take_all(sources, source, &mut environment)?;
    }
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (Some(value), _) if !value.is_empty() => Some(expand(value, |name| environment.get(name))),
            (_, Some(from)) => from_source(sources, container, from)?,
            _ => Some(String::new()),
        };
        if let Some(value) = value {
            environment.set(&variable.name, value);
        }
    }
    Ok(environment)
}

/// The API's own service always; the namespace's where the pod wants links.
fn linked_services<'a>(sources: &'a Sources<'_>) -> impl Iterator<Item = &'a Service> {
    let links = pod::spec(sources.pod).enable_service_links.unwrap_or(true);
    let own = pod::namespace(sources.pod);
    let chosen = move |service: &&Service| {
        let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
        let name = service.metadata.name.as_deref().unwrap_or_default();
        (links && namespace == own) || (namespace == "default" && name == "kubernetes")
    };
    // The namespace's own `kubernetes` service, should there be one, overrides the API's.
    let mut services: Vec<&Service> = sources.services.iter().map(|service| &**service).filter(chosen).collect();
    services.sort_by_key(|service| service.metadata.namespace.as_deref() == Some(own));
    services.into_iter()
}

fn take_all(sources: &Sources<'_>, from: &EnvFromSource, environment: &mut Environment) -> Result<(), String> {
    let prefix = from.prefix.as_deref().unwrap_or_default();
    if let Some(reference) = &from.config_map_ref {
        let optional = reference.optional.unwrap_or(false);
        if let Some(map) = sources.objects.config_map(&reference.name, optional)? {
            for (key, value) in map.data.iter().flatten() {
                environment.set(&format!("{prefix}{key}"), value.clone());
            }
        }
    }
    if let Some(reference) = &from.secret_ref {
        let optional = reference.optional.unwrap_or(false);
        if let Some(secret) = sources.objects.secret(&reference.name, optional)? {
            for (key, value) in secret.data.iter().flatten() {
                environment.set(&format!("{prefix}{key}"), String::from_utf8_lossy(&value.0).into_owned());
            }
        }
    }
    Ok(())
}

/// `None`: the source is optional and absent, so the variable is not set at all.
fn from_source(sources: &Sources<'_>, container: &Container, from: &EnvVarSource) -> Result<Option<String>, String> {
    let namespace = pod::namespace(sources.pod);
    if let Some(field) = &from.field_ref {
        return field_ref::value(sources.pod, &field.field_path, sources.addresses).map(Some);
    }
    if let Some(selector) = &from.resource_field_ref {
        return resource_field::value(sources.pod, &container.name, selector, sources.node).map(Some);
    }
    if let Some(selector) = &from.config_map_key_ref {
        let optional = selector.optional.unwrap_or(false);
        let Some(map) = sources.objects.config_map(&selector.name, optional)? else { return Ok(None) };
        let value = map.data.as_ref().and_then(|data| data.get(&selector.key)).cloned();
        let missing = || format!("couldn't find key {} in ConfigMap {namespace}/{}", selector.key, selector.name);
        return if optional { Ok(value) } else { value.map(Some).ok_or_else(missing) };
    }
    if let Some(selector) = &from.secret_key_ref {
        let optional = selector.optional.unwrap_or(false);
        let Some(secret) = sources.objects.secret(&selector.name, optional)? else { return Ok(None) };
        let value = secret.data.as_ref().and_then(|data| data.get(&selector.key));
        let value = value.map(|value| String::from_utf8_lossy(&value.0).into_owned());
        let missing = || format!("couldn't find key {} in Secret {namespace}/{}", selector.key, selector.name);
        return if optional { Ok(value) } else { value.map(Some).ok_or_else(missing) };
    }
    if from.file_key_ref.is_some() {
        return Err("fileKeyRef is not implemented by this node".to_owned());
    }
    Ok(Some(String::new()))
}

#[cfg(test)]
mod tests;
