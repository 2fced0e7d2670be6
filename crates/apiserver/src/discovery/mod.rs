//! What is served, for clients to find out: plain and aggregated discovery, from the kinds' rows.

mod aggregated;
mod plain;

use crate::aggregation::{State, Table};
use crate::catalog::Priority;
use crate::http::{Answer, AnswerBody};
use api::{ResourceDef, Status, Subresource};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use std::cmp::Reverse;
use std::sync::Arc;

/// A group with its versions, in order of preference.
pub(crate) struct Group<'a> {
    pub name: &'a str,
    pub versions: Vec<Version<'a>>,
}

pub(crate) struct Version<'a> {
    pub name: &'a str,
    /// Of this server.
    pub resources: Vec<&'a ResourceDef>,
    /// Of the server that answers in its place.
    pub remote: Option<Arc<State>>,
}

/// The group of this name, made where there is none yet.
fn group<'a, 'g>(groups: &'g mut Vec<Group<'a>>, name: &'a str) -> &'g mut Group<'a> {
    let at = match groups.iter().position(|group| group.name == name) {
        Some(at) => at,
        None => {
            groups.push(Group { name, versions: Vec::new() });
            groups.len() - 1
        }
    };
    &mut groups[at]
}

/// The served groups and their versions, as APIServices order them.
pub(crate) fn groups<'a>(defs: &[&'a ResourceDef], table: &'a Table) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for def in defs.iter().copied().filter(|def| !table.is_remote(def.group, def.version)) {
        let versions = &mut group(&mut groups, def.group).versions;
        match versions.iter_mut().find(|version| version.name == def.version) {
            Some(version) => version.resources.push(def),
            None => versions.push(Version { name: def.version, resources: vec![def], remote: None }),
        }
    }
    for (name, version, remote) in table.remotes() {
        let version = Version { name: version, resources: Vec::new(), remote: Some(remote.state()) };
        group(&mut groups, name).versions.push(version);
    }
    for group in &mut groups {
        let place = |version: &str| (table.priority(group.name, version).version, Priority::of(version));
        group.versions.sort_by_cached_key(|version| Reverse(place(version.name)));
    }
    groups.sort_by_cached_key(|group| {
        let priorities = group.versions.iter().map(|version| table.priority(group.name, version.name).group);
        (Reverse(priorities.max()), group.name)
    });
    groups
}

pub(crate) fn verbs(def: &ResourceDef) -> &'static [&'static str] {
    def.verbs.names()
}

pub(crate) fn subresource_verbs(subresource: Subresource) -> &'static [&'static str] {
    match subresource {
        Subresource::Status
        | Subresource::Scale
        | Subresource::EphemeralContainers
        | Subresource::Resize
        | Subresource::Approval => &["get", "patch", "update"],
        Subresource::Finalize => &["update"],
        Subresource::Log => &["get"],
        Subresource::Exec | Subresource::Attach | Subresource::PortForward => &["create", "get"],
        Subresource::Proxy => &["create", "delete", "get", "patch", "update"],
        Subresource::Binding | Subresource::Eviction | Subresource::Token => &["create"],
    }
}

/// The discovery document of a path, if it is one.
pub(crate) fn answer(
    defs: &[&ResourceDef],
    table: &Table,
    path: &str,
    accept: &str,
    host: &str,
    if_none_match: &str,
) -> Option<Result<Answer, Status>> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let aggregated = aggregated::wanted(accept);
    let answer = match (parts.as_slice(), aggregated) {
        (["api"], Some(version)) => aggregated::answer(defs, table, version, true, if_none_match),
        (["apis"], Some(version)) => aggregated::answer(defs, table, version, false, if_none_match),
        (["api"], None) => plain::versions(host),
        (["apis"], None) => plain::group_list(defs, table),
        (["api", version], _) => plain::resources(defs, "", version)?,
        (["apis", group], _) => plain::group(defs, table, group)?,
        (["apis", group, version], _) => plain::resources(defs, group, version)?,
        _ => return None,
    };
    Some(answer)
}

/// A document that has an ETag, unless the client has it already.
pub(crate) fn tagged(body: Bytes, content_type: &'static str, tag: &str, if_none_match: &str) -> Answer {
    let quoted = format!("\"{tag}\"");
    let known = if_none_match.split(',').any(|known| known.trim() == quoted);
    let mut answer = Answer::of(content_type, AnswerBody::Bytes(if known { Bytes::new() } else { body }));
    if known {
        answer = answer.code(StatusCode::NOT_MODIFIED);
    }
    if let Ok(value) = HeaderValue::from_str(&quoted) {
        answer = answer.header(header::ETAG, value).header(header::VARY, HeaderValue::from_static("Accept"));
    }
    answer
}
