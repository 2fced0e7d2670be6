//! What another server says that it serves, in the form of aggregated discovery.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIResource, APIResourceList};
use serde::Serialize;

const NAMESPACED: &str = "Namespaced";

/// A resource of another server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Discovered {
    resource: String,
    response_kind: Kind,
    scope: &'static str,
    singular_resource: String,
    verbs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    short_names: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    categories: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subresources: Vec<Subresource>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Kind {
    group: String,
    version: String,
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Subresource {
    subresource: String,
    response_kind: Kind,
    verbs: Vec<String>,
}

impl Discovered {
    pub(super) fn name(&self) -> &str {
        &self.resource
    }

    pub(super) fn kind(&self) -> &str {
        &self.response_kind.kind
    }

    pub(super) fn is_namespaced(&self) -> bool {
        self.scope == NAMESPACED
    }

    pub(super) fn verbs(&self) -> &[String] {
        &self.verbs
    }
}

/// Reads an `APIResourceList`. A subresource whose resource is not in the list gets one without verbs, as upstream has
/// it.
///
/// # Errors
/// For what is no such list.
pub(super) fn parse(group: &str, version: &str, body: &[u8]) -> Result<Vec<Discovered>, serde_json::Error> {
    let list: APIResourceList = serde_json::from_slice(body)?;
    let mut all: Vec<Discovered> = Vec::with_capacity(list.resources.len());
    let (resources, subresources): (Vec<_>, Vec<_>) =
        list.resources.into_iter().partition(|resource| !resource.name.contains('/'));
    all.extend(resources.into_iter().map(|resource| discovered(group, version, resource)));
    for own in subresources {
        let Some((parent, name)) = own.name.split_once('/') else { continue };
        let subresource = Subresource {
            subresource: name.to_owned(),
            response_kind: kind(group, version, &own),
            verbs: own.verbs.clone(),
        };
        match all.iter_mut().find(|resource| resource.resource == parent) {
            Some(resource) => resource.subresources.push(subresource),
            None => {
                let bare =
                    APIResource { name: parent.to_owned(), namespaced: own.namespaced, ..APIResource::default() };
                let bare = discovered(group, version, bare);
                all.push(Discovered { subresources: vec![subresource], ..bare });
            }
        }
    }
    Ok(all)
}

fn kind(group: &str, version: &str, resource: &APIResource) -> Kind {
    let own = |own: &Option<String>, other: &str| own.clone().filter(|own| !own.is_empty()).unwrap_or(other.to_owned());
    Kind { group: own(&resource.group, group), version: own(&resource.version, version), kind: resource.kind.clone() }
}

fn discovered(group: &str, version: &str, resource: APIResource) -> Discovered {
    Discovered {
        response_kind: kind(group, version, &resource),
        scope: if resource.namespaced { NAMESPACED } else { "Cluster" },
        resource: resource.name,
        singular_resource: resource.singular_name,
        verbs: resource.verbs,
        short_names: resource.short_names.unwrap_or_default(),
        categories: resource.categories.unwrap_or_default(),
        subresources: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn subresources_are_below_their_resource() {
        let list = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "wardle.io/v1", "resources": [
            {"name": "flunders/status", "singularName": "", "namespaced": true, "kind": "Flunder", "verbs": ["get"]},
            {"name": "flunders", "singularName": "flunder", "namespaced": true, "kind": "Flunder",
                "verbs": ["get", "list"], "shortNames": ["fl"]},
            {"name": "pods/usage", "singularName": "", "namespaced": false, "group": "other.io", "version": "v2",
                "kind": "Usage", "verbs": ["create"]},
        ]});
        let parsed = parse("wardle.io", "v1", list.to_string().as_bytes()).unwrap();
        let flunder = json!({"group": "wardle.io", "version": "v1", "kind": "Flunder"});
        let wanted = json!([
            {"resource": "flunders", "responseKind": flunder, "scope": "Namespaced", "singularResource": "flunder",
                "verbs": ["get", "list"], "shortNames": ["fl"],
                "subresources": [{"subresource": "status", "responseKind": flunder, "verbs": ["get"]}]},
            {"resource": "pods", "responseKind": {"group": "wardle.io", "version": "v1", "kind": ""},
                "scope": "Cluster", "singularResource": "", "verbs": [],
                "subresources": [{"subresource": "usage", "verbs": ["create"],
                    "responseKind": {"group": "other.io", "version": "v2", "kind": "Usage"}}]},
        ]);
        assert_eq!(serde_json::to_value(parsed).unwrap(), wanted);
        assert!(parse("wardle.io", "v1", b"<html>").is_err());
    }
}
