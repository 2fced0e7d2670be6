//! Discovery as it was before aggregation: a document per group and version.

use super::{groups, subresource_verbs, verbs};
use crate::aggregation::Table;
use crate::http::Answer;
use api::{ResourceDef, Status};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions<'a> {
    kind: &'static str,
    versions: [&'static str; 1],
    #[serde(rename = "serverAddressByClientCIDRs")]
    server_addresses: [ServerAddress<'a>; 1],
}

#[derive(Serialize)]
struct ServerAddress<'a> {
    #[serde(rename = "clientCIDR")]
    client_cidr: &'static str,
    #[serde(rename = "serverAddress")]
    server_address: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupList {
    kind: &'static str,
    api_version: &'static str,
    groups: Vec<ApiGroup>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiGroup {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'static str>,
    name: String,
    versions: Vec<GroupVersion>,
    preferred_version: GroupVersion,
}

#[derive(Serialize, Clone)]
#[serde(rename_all = "camelCase")]
struct GroupVersion {
    group_version: String,
    version: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceList<'a> {
    kind: &'static str,
    api_version: &'static str,
    group_version: String,
    resources: Vec<Resource<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource<'a> {
    name: String,
    singular_name: &'a str,
    namespaced: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    kind: &'a str,
    verbs: &'a [&'a str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    short_names: &'a [&'a str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    categories: &'a [&'a str],
}

pub(super) fn versions(host: &str) -> Result<Answer, Status> {
    let server_addresses = [ServerAddress { client_cidr: "0.0.0.0/0", server_address: host }];
    Answer::serialized(&Versions { kind: "APIVersions", versions: ["v1"], server_addresses })
}

fn api_group(group: &super::Group<'_>) -> Option<ApiGroup> {
    let versions: Vec<GroupVersion> = group
        .versions
        .iter()
        .map(|version| GroupVersion {
            group_version: format!("{}/{}", group.name, version.name),
            version: version.name.to_owned(),
        })
        .collect();
    let preferred_version = versions.first()?.clone();
    Some(ApiGroup { kind: None, api_version: None, name: group.name.to_owned(), versions, preferred_version })
}

pub(super) fn group_list(defs: &[&ResourceDef], table: &Table) -> Result<Answer, Status> {
    let groups = groups(defs, table);
    let groups = groups.iter().filter(|group| !group.name.is_empty()).filter_map(api_group).collect();
    Answer::serialized(&GroupList { kind: "APIGroupList", api_version: "v1", groups })
}

pub(super) fn group(defs: &[&ResourceDef], table: &Table, name: &str) -> Option<Result<Answer, Status>> {
    let groups = groups(defs, table);
    let group = groups.iter().find(|group| group.name == name && !name.is_empty()).and_then(api_group)?;
    Some(Answer::serialized(&ApiGroup { kind: Some("APIGroup"), api_version: Some("v1"), ..group }))
}

pub(super) fn resources(defs: &[&ResourceDef], group: &str, version: &str) -> Option<Result<Answer, Status>> {
    let mut resources: Vec<Resource<'_>> = Vec::new();
    for def in defs.iter().filter(|def| def.group == group && def.version == version) {
        resources.push(Resource {
            name: def.plural.to_owned(),
            singular_name: def.singular,
            namespaced: def.namespaced(),
            group: "",
            version: "",
            kind: def.kind,
            verbs: verbs(def),
            short_names: def.short_names,
            categories: def.categories,
        });
        resources.extend(def.subresources.iter().map(|subresource| {
            let (group, version, kind) = def.subresource_kind(*subresource).unwrap_or(("", "", def.kind));
            Resource {
                name: format!("{}/{}", def.plural, subresource.name()),
                singular_name: "",
                namespaced: def.namespaced(),
                // Core kinds are those of the list itself.
                group,
                version: if group.is_empty() { "" } else { version },
                kind,
                verbs: subresource_verbs(*subresource),
                short_names: &[],
                categories: &[],
            }
        }));
    }
    if resources.is_empty() {
        return None;
    }
    resources.sort_by(|a, b| a.name.cmp(&b.name));
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(Answer::serialized(&ResourceList { kind: "APIResourceList", api_version: "v1", group_version, resources }))
}
