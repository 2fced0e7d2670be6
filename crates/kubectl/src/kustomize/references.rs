//! Names in objects that are names of other objects: they follow when those are renamed.
//!
//! Invariant: a name is changed only where one object alone can be meant.

use super::config::Config;
use super::path;
use super::resource::{Id, Kinds, Resource, Set};
use crate::failure::{Failure, Result};
use serde_json::Value;

/// One line a kind that is referred to: group, version, kind; and one, indented, a field: kind, group, version, path.
/// `-` is any. `POD/` stands for the places of a pod's specification.
static TABLE: &str = include_str!("references.txt");

/// Where the specification of pods stands in which kinds.
const PODS: [(&str, &str); 8] = [
    ("Pod", "spec"),
    ("PodTemplate", "template/spec"),
    ("Deployment", "spec/template/spec"),
    ("ReplicaSet", "spec/template/spec"),
    ("DaemonSet", "spec/template/spec"),
    ("StatefulSet", "spec/template/spec"),
    ("Job", "spec/template/spec"),
    ("CronJob", "spec/jobTemplate/spec/template/spec"),
];

struct Field<'a> {
    target: Kinds<'a>,
    referrer: Kinds<'a>,
    path: String,
}

/// Those of the table, and a configuration's own.
fn all(config: &Config) -> Vec<Field<'_>> {
    let mut all = fields();
    for referred in &config.name_reference {
        let target = Kinds { group: &referred.group, version: &referred.version, kind: &referred.kind };
        let of = |spec: &'_ super::file::Spec| spec.path.clone();
        all.extend(referred.field_specs.iter().map(|spec| Field { target, referrer: spec.kinds(), path: of(spec) }));
    }
    all
}

fn fields() -> Vec<Field<'static>> {
    let mut target = Kinds::default();
    let mut fields = Vec::new();
    let any = |word: &'static str| if word == "-" { "" } else { word };
    for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&'static str> = line.split_whitespace().map(any).collect();
        match words.as_slice() {
            [group, version, kind] => target = Kinds { group, version, kind },
            ["POD", path] => {
                let of = |(kind, place): &(&'static str, &str)| Field {
                    target,
                    referrer: Kinds { kind, ..Kinds::default() },
                    path: format!("{place}/{path}"),
                };
                fields.extend(PODS.iter().map(of));
            }
            [kind, group, version, path] => {
                let referrer = Kinds { group, version, kind };
                fields.push(Field { target, referrer, path: (*path).to_owned() });
            }
            _ => unreachable!("the table's lines have two, three or four words"),
        }
    }
    fields
}

/// What can be referred to, as it is before any reference is changed.
struct Candidate {
    previous: Vec<Id>,
    id: Id,
    original: Id,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
}

impl Candidate {
    fn of(resource: &Resource) -> Candidate {
        Candidate {
            previous: resource.previous.clone(),
            id: resource.id(),
            original: resource.original(),
            prefixes: resource.prefixes.clone(),
            suffixes: resource.suffixes.clone(),
        }
    }
}

pub(super) fn fix(set: &mut Set, config: &Config) -> Result<()> {
    let fields = all(config);
    let candidates: Vec<Candidate> = set.iter().map(Candidate::of).collect();
    for (resource, own) in set.iter_mut().zip(&candidates) {
        for field in fields.iter().filter(|field| own.original.is_of(field.referrer)) {
            let referrer = Referrer::new(own, resource, field, &candidates);
            let mut set = |value: &mut Value| referrer.set(value);
            path::each(&mut resource.object, &field.path, &mut set).map_err(|failure| {
                Failure::message(format!(
                    "updating name reference in '{}' field of '{}': {failure}",
                    field.path, own.id
                ))
            })?;
        }
    }
    Ok(())
}

/// A field of an object, and what it may refer to.
struct Referrer<'a> {
    own: &'a Candidate,
    possible: Vec<&'a Candidate>,
}

impl<'a> Referrer<'a> {
    fn new(own: &'a Candidate, resource: &Resource, field: &Field<'_>, all: &'a [Candidate]) -> Referrer<'a> {
        let namespaces = subjects_namespaces(resource);
        let role = field.path.ends_with("roleRef/name").then(|| role(&resource.object)).flatten();
        let reachable = |one: &&Candidate| {
            own.id.is_cluster_scoped()
                || one.id.is_cluster_scoped()
                || one.id.is_beside(&own.id)
                || namespaces.contains(&one.id.namespace)
        };
        let of_kind = |one: &&Candidate| one.previous.iter().any(|id| id.is_of(field.target));
        let of_role = |one: &&Candidate| {
            role.as_ref()
                .is_none_or(|(group, kind)| one.previous.iter().any(|id| id.is_of(Kinds { group, kind, version: "" })))
        };
        Referrer { own, possible: all.iter().filter(reachable).filter(of_kind).filter(of_role).collect() }
    }

    fn set(&self, value: &mut Value) -> Result<()> {
        match value {
            Value::String(_) => self.set_name(value),
            Value::Object(_) => self.set_map(value),
            Value::Array(elements) => elements.iter_mut().try_for_each(|element| self.set(element)),
            _ => Ok(()),
        }
    }

    fn set_name(&self, value: &mut Value) -> Result<()> {
        let old = value.as_str().unwrap_or_default();
        if let Some(found) = self.meant(old, &self.possible, |a, b| a.name == b.name)? {
            *value = found.id.name.as_str().into();
        }
        Ok(())
    }

    /// A name and a namespace.
    fn set_map(&self, map: &mut Value) -> Result<()> {
        let Some(old) = map["name"].as_str().map(str::to_owned) else {
            return Err(Failure::message("path config error; no 'name' field in node"));
        };
        let possible = match map.get("namespace").and_then(Value::as_str) {
            None => self.possible.clone(),
            Some(namespace) => {
                let of = |id: fn(&Candidate) -> &Id| {
                    let fits = |one: &&&Candidate| id(one).effective_namespace() == namespace;
                    self.possible.iter().filter(fits).copied().collect::<Vec<_>>()
                };
                let by_original = of(|one| &one.original);
                if by_original.is_empty() { of(|one| &one.id) } else { by_original }
            }
        };
        let same = |a: &Id, b: &Id| a.name == b.name && a.namespace == b.namespace;
        let Some(found) = self.meant(&old, &possible, same)? else { return Ok(()) };
        map["name"] = found.id.name.as_str().into();
        if !found.id.namespace.is_empty() {
            map["namespace"] = found.id.namespace.as_str().into();
        }
        Ok(())
    }

    /// The one that was called so; `None` where there is none.
    fn meant<'b>(
        &self,
        old: &str,
        possible: &[&'b Candidate],
        same: impl Fn(&Id, &Id) -> bool,
    ) -> Result<Option<&'b Candidate>> {
        let named = |one: &&Candidate| one.previous.iter().any(|id| id.name == old);
        let beside = |one: &&Candidate| {
            self.own.id.is_cluster_scoped()
                || one.id.is_cluster_scoped()
                || one.id.kind == "ServiceAccount"
                || one.id.is_beside(&self.own.id)
        };
        let mut left: Vec<&'b Candidate> = possible.iter().copied().filter(named).filter(beside).collect();
        for exact in [false, true] {
            if left.len() > 1 {
                left.retain(|one| self.is_of_one_context(one, exact));
            }
        }
        match left.as_slice() {
            [] => Ok(None),
            [first, rest @ ..] if rest.iter().all(|other| same(&first.id, &other.id)) => Ok(Some(first)),
            many => {
                let ids: Vec<String> = many.iter().map(|one| one.id.to_string()).collect();
                Err(Failure::message(format!("found multiple possible referrals: {}", ids.join(", "))))
            }
        }
    }

    /// Whether both were renamed by the same kustomizations.
    fn is_of_one_context(&self, one: &Candidate, exact: bool) -> bool {
        let alike = |a: &[String], b: &[String]| {
            let either_empty = a.is_empty() || b.is_empty();
            if either_empty { !exact || a.len() == b.len() } else { a.ends_with(b) || b.ends_with(a) }
        };
        alike(&self.own.prefixes, &one.prefixes) && alike(&self.own.suffixes, &one.suffixes)
    }
}

/// A role binding's accounts may be elsewhere.
fn subjects_namespaces(resource: &Resource) -> Vec<String> {
    if resource.kind() != "RoleBinding" {
        return Vec::new();
    }
    let subjects = resource.object["subjects"].as_array().into_iter().flatten();
    let accounts = subjects.filter(|subject| subject["kind"] == "ServiceAccount");
    accounts.filter_map(|subject| subject["namespace"].as_str().map(str::to_owned)).collect()
}

/// Which kind of role a binding refers to.
fn role(object: &Value) -> Option<(String, String)> {
    let part = |key: &str| object["roleRef"][key].as_str().map(str::to_owned);
    Some((part("apiGroup")?, part("kind")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sound() {
        let fields = fields();
        assert!(fields.len() > 150, "{}", fields.len());
        assert!(fields.iter().all(|field| !field.target.kind.is_empty() && !field.referrer.kind.is_empty()));
    }
}
