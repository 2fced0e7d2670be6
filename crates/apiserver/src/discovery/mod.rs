//! What is served, for clients to find out: plain and aggregated discovery, from the kinds' rows.

mod aggregated;
mod plain;

use crate::http::{Answer, AnswerBody};
use api::{ResourceDef, Status, Subresource};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

/// A group with its versions, in order of preference.
pub(crate) struct Group<'a> {
    pub name: &'a str,
    pub versions: Vec<(&'a str, Vec<&'a ResourceDef>)>,
}

/// The served groups, core first, in the table's order.
pub(crate) fn groups<'a>(defs: &[&'a ResourceDef]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for def in defs.iter().copied() {
        let at = match groups.iter().position(|group| group.name == def.group) {
            Some(at) => at,
            None => {
                groups.push(Group { name: def.group, versions: Vec::new() });
                groups.len() - 1
            }
        };
        let versions = &mut groups[at].versions;
        match versions.iter_mut().find(|(version, _)| *version == def.version) {
            Some((_, resources)) => resources.push(def),
            None => versions.push((def.version, vec![def])),
        }
    }
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
    path: &str,
    accept: &str,
    host: &str,
    if_none_match: &str,
) -> Option<Result<Answer, Status>> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let aggregated = aggregated::wanted(accept);
    let answer = match (parts.as_slice(), aggregated) {
        (["api"], Some(version)) => aggregated::answer(defs, version, true, if_none_match),
        (["apis"], Some(version)) => aggregated::answer(defs, version, false, if_none_match),
        (["api"], None) => plain::versions(host),
        (["apis"], None) => plain::group_list(defs),
        (["api", version], _) => plain::resources(defs, "", version)?,
        (["apis", group], _) => plain::group(defs, group)?,
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
