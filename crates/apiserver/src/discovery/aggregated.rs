//! Aggregated discovery: every group in one document.

use super::{Group, Version as Served, groups, subresource_verbs, tagged, verbs};
use crate::aggregation::{Discovered, Table};
use crate::http::Answer;
use api::{ResourceDef, Status};
use bytes::Bytes;
use serde::Serialize;

/// The version of the document's own group that a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V2,
    V2Beta1,
}

impl Version {
    fn name(self) -> &'static str {
        match self {
            Version::V2 => "apidiscovery.k8s.io/v2",
            Version::V2Beta1 => "apidiscovery.k8s.io/v2beta1",
        }
    }
    fn content_type(self) -> &'static str {
        match self {
            Version::V2 => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            Version::V2Beta1 => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        }
    }
}

/// The first aggregated form in an Accept header, unless plain JSON comes before it.
pub(super) fn wanted(accept: &str) -> Option<Version> {
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        if parts.next() != Some("application/json") {
            continue;
        }
        let parameters: Vec<&str> = parts.collect();
        if parameters.iter().all(|parameter| parameter.starts_with("q=")) {
            return None;
        }
        let asks = |parameter: &str| parameters.contains(&parameter);
        if asks("g=apidiscovery.k8s.io") && asks("as=APIGroupDiscoveryList") {
            if asks("v=v2") {
                return Some(Version::V2);
            }
            if asks("v=v2beta1") {
                return Some(Version::V2Beta1);
            }
        }
    }
    None
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: Empty,
    items: Vec<GroupDiscovery<'a>>,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct GroupDiscovery<'a> {
    metadata: Name<'a>,
    versions: Vec<VersionDiscovery<'a>>,
}

#[derive(Serialize)]
struct Name<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
}

#[derive(Serialize)]
struct VersionDiscovery<'a> {
    version: &'a str,
    resources: Resources<'a>,
    /// `Stale`: what was served when its server last answered.
    freshness: &'static str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Resources<'a> {
    Own(Vec<ResourceDiscovery<'a>>),
    Others(&'a [Discovered]),
}

#[derive(Serialize)]
struct GroupVersionKind<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceDiscovery<'a> {
    resource: &'a str,
    response_kind: GroupVersionKind<'a>,
    scope: &'static str,
    singular_resource: &'a str,
    verbs: &'a [&'a str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    short_names: &'a [&'a str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    categories: &'a [&'a str],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subresources: Vec<SubresourceDiscovery<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SubresourceDiscovery<'a> {
    subresource: &'a str,
    response_kind: GroupVersionKind<'a>,
    verbs: &'a [&'a str],
}

/// With `core` the document at `/api`, else the one at `/apis`.
pub(super) fn answer(
    defs: &[&ResourceDef],
    table: &Table,
    version: Version,
    core: bool,
    if_none_match: &str,
) -> Result<Answer, Status> {
    let groups = groups(defs, table);
    let items = groups.iter().filter(|group| group.name.is_empty() == core).map(group_discovery).collect();
    let list = List { kind: "APIGroupDiscoveryList", api_version: version.name(), metadata: Empty {}, items };
    let body = Bytes::from(serde_json::to_vec(&list).map_err(Status::internal)?);
    let tag = api::openapi::hash(&body);
    Ok(tagged(body, version.content_type(), &tag, if_none_match))
}

fn group_discovery<'a>(group: &'a Group<'a>) -> GroupDiscovery<'a> {
    GroupDiscovery {
        metadata: Name { name: group.name },
        versions: group.versions.iter().map(version_discovery).collect(),
    }
}

fn version_discovery<'a>(version: &'a Served<'a>) -> VersionDiscovery<'a> {
    let Some(remote) = &version.remote else {
        let resources = version.resources.iter().map(|def| resource_discovery(def)).collect();
        return VersionDiscovery { version: version.name, resources: Resources::Own(resources), freshness: "Current" };
    };
    let is_current = remote.is_available && remote.discovered.is_some();
    let resources = remote.discovered.as_ref().map_or(&[][..], |discovered| discovered.as_slice());
    let freshness = if is_current { "Current" } else { "Stale" };
    VersionDiscovery { version: version.name, resources: Resources::Others(resources), freshness }
}

fn resource_discovery(def: &ResourceDef) -> ResourceDiscovery<'_> {
    let own = |kind| GroupVersionKind { group: def.group, version: def.version, kind };
    let subresources = def.subresources.iter().map(|subresource| SubresourceDiscovery {
        subresource: subresource.name(),
        response_kind: match def.subresource_kind(*subresource) {
            Some((group, version, kind)) => GroupVersionKind { group, version, kind },
            None => own(def.kind),
        },
        verbs: subresource_verbs(*subresource),
    });
    ResourceDiscovery {
        resource: def.plural,
        response_kind: own(def.kind),
        scope: if def.namespaced() { "Namespaced" } else { "Cluster" },
        singular_resource: def.singular,
        verbs: verbs(def),
        short_names: def.short_names,
        categories: def.categories,
        subresources: subresources.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aggregation_is_served_to_those_who_ask_first() {
        let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        let beta = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
        assert_eq!(wanted(&format!("{aggregated},{beta},application/json")), Some(Version::V2));
        assert_eq!(wanted(&format!("{beta},application/json")), Some(Version::V2Beta1));
        assert_eq!(wanted("application/json"), None);
        assert_eq!(wanted(&format!("application/json,{aggregated}")), None);
        assert_eq!(wanted("*/*"), None);
    }
}
