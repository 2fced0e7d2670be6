//! Vars: fields of objects by a name, and `$(NAME)` in other objects' fields that stands for them.
//!
//! Invariants: a name is defined once; what no var is called stays as it is; `$$(NAME)` reads `$(NAME)`.

use super::file::{Spec, Var};
use super::path::Made;
use super::resource::{Kinds, Resource, Set};
use crate::failure::{Failure, Result};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Where upstream looks for vars: the kinds of a group, the place of their pods, and paths that are only theirs.
const PODS: [(&str, &str, &str); 7] = [
    ("CronJob", "spec/jobTemplate/spec/template/spec", "spec/jobTemplate/spec/template/volumes/nfs/server"),
    ("DaemonSet", "spec/template/spec", "spec/template/spec/volumes/nfs/server"),
    ("Deployment", "spec/template/spec", "spec/template/spec/volumes/nfs/server"),
    ("Job", "spec/template/spec", "spec/template/spec/volumes/nfs/server"),
    ("Pod", "spec", "spec/volumes/nfs/server"),
    ("ReplicaSet", "spec/template/spec", "spec/template/spec/volumes/nfs/server"),
    ("StatefulSet", "spec/template/spec", "spec/volumeClaimTemplates/spec/nfs/server"),
];
const OF_CONTAINERS: [&str; 4] = ["args", "command", "env/value", "volumeMounts/mountPath"];
const OTHERS: [(&str, &str); 9] = [
    ("Deployment", "spec/template/metadata/annotations"),
    ("Ingress", "spec/rules/host"),
    ("Ingress", "spec/tls/hosts"),
    ("Ingress", "spec/tls/secretName"),
    ("Service", "spec/ports/port"),
    ("Service", "spec/ports/targetPort"),
    ("PersistentVolume", "spec/nfs/server"),
    ("", "metadata/labels"),
    ("", "metadata/annotations"),
];

fn places(own: &[Spec]) -> Vec<Spec> {
    let spec = |kind: &str, path: String| Spec { kind: kind.to_owned(), path, ..Spec::default() };
    let mut all = Vec::new();
    for (kind, pod, further) in PODS {
        for list in ["containers", "initContainers"] {
            all.extend(OF_CONTAINERS.iter().map(|field| spec(kind, format!("{pod}/{list}/{field}"))));
        }
        all.push(spec(kind, further.to_owned()));
    }
    all.extend(OTHERS.iter().map(|(kind, path)| spec(kind, (*path).to_owned())));
    all.extend(own.iter().cloned());
    all
}

/// Takes in vars of a kustomization, and marks the objects that they are about while they have their first names.
pub(super) fn define(set: &mut Set, known: &mut Vec<Var>, vars: &[Var]) -> Result<()> {
    for var in vars {
        if known.iter().any(|other| other.name == var.name) {
            return Err(Failure::message(format!("var '{}' already encountered", var.name)));
        }
        let mut meant: Vec<&mut Resource> = set.iter_mut().filter(|resource| is_about(var, resource)).collect();
        match meant.as_mut_slice() {
            [] => {}
            [one] => one.vars.push(var.name.clone()),
            many => {
                return Err(Failure::message(format!(
                    "found {} resId matches for var {} (unable to disambiguate)",
                    many.len(),
                    var.name
                )));
            }
        }
        known.push(var.clone());
    }
    Ok(())
}

fn is_about(var: &Var, resource: &Resource) -> bool {
    let about = &var.objref;
    let (group, version) = match about.api_version.split_once('/') {
        Some((group, version)) => (group, version),
        None => (about.group.as_str(), about.api_version.as_str()),
    };
    let version = if about.version.is_empty() { version } else { &about.version };
    let id = resource.original();
    let beside = about.namespace.is_empty() || id.effective_namespace() == about.namespace;
    id.is_of(Kinds { group: "", version, kind: &about.kind }) && id.group == group && id.name == about.name && beside
}

/// Writes the vars' values where they are asked for; answers the names that nobody asked for.
pub(super) fn resolve(set: &mut Set, vars: &[Var], own: &[Spec]) -> Result<Vec<String>> {
    let mut values = BTreeMap::new();
    for var in vars {
        values.insert(var.name.as_str(), value(set, var)?);
    }
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let mut used = BTreeSet::new();
    let places = places(own);
    for resource in set.iter_mut() {
        for place in &places {
            let mut write = |found: &mut Value| {
                replace(found, &values, &mut used);
                Ok(())
            };
            place.each(resource, Made::Scalar, &mut write)?;
        }
    }
    Ok(values.keys().filter(|name| !used.contains(**name)).map(|name| (*name).to_owned()).collect())
}

fn value(set: &Set, var: &Var) -> Result<Value> {
    let Some(resource) = set.iter().find(|resource| resource.vars.contains(&var.name)) else {
        return Err(Failure::message(format!(
            "var '{}' cannot be mapped to a field in the set of known resources",
            var.described()
        )));
    };
    let path = var.field_path();
    let mut found = &resource.object;
    for part in parts(path) {
        let next = match (found, part.strip_prefix('[').and_then(|part| part.strip_suffix(']'))) {
            (Value::Array(elements), Some(index)) => index.parse::<usize>().ok().and_then(|index| elements.get(index)),
            (other, _) => other.get(&part),
        };
        found = next.ok_or_else(|| {
            Failure::message(format!(
                "field specified in var '{}' not found in corresponding resource",
                var.described()
            ))
        })?;
    }
    Ok(found.clone())
}

/// `spec.ports[0].port`; `\.` is a dot in a name.
fn parts(path: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = path.chars().peekable();
    while let Some(character) = characters.next() {
        let last = parts.last_mut().expect("there is always one");
        match character {
            '\\' if characters.peek() == Some(&'.') => last.extend(characters.next()),
            '.' => parts.push(String::new()),
            '[' => parts.push("[".to_owned()),
            other => last.push(other),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn replace(found: &mut Value, values: &BTreeMap<&str, Value>, used: &mut BTreeSet<String>) {
    match found {
        Value::String(text) => *found = expanded(text, values, used),
        Value::Array(elements) => elements.iter_mut().for_each(|element| replace(element, values, used)),
        Value::Object(members) => {
            members.values_mut().filter(|member| member.is_string()).for_each(|member| replace(member, values, used))
        }
        _ => {}
    }
}

/// A text that is one var alone takes its value's type.
fn expanded(text: &str, values: &BTreeMap<&str, Value>, used: &mut BTreeSet<String>) -> Value {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(escaped) = after.strip_prefix('$') {
            out.push('$');
            rest = escaped;
            continue;
        }
        let Some((name, behind)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')')) else {
            out.push('$');
            rest = after;
            continue;
        };
        match values.get(name) {
            Some(value) => {
                used.insert(name.to_owned());
                let whole = out.is_empty() && behind.is_empty() && at == 0;
                if whole && !value.is_string() {
                    return value.clone();
                }
                out.push_str(&crate::print::display(value));
            }
            None => out.push_str(&format!("$({name})")),
        }
        rest = behind;
    }
    out.push_str(rest);
    Value::String(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn vars_stand_for_their_values() {
        let values = BTreeMap::from([("A", json!("x")), ("P", json!(80))]);
        let mut used = BTreeSet::new();
        for (text, expected) in [
            ("$(A)-$(A)", json!("x-x")),
            ("$(P)", json!(80)),
            (":$(P)", json!(":80")),
            ("$$(A) $(GONE) $A $", json!("$(A) $(GONE) $A $")),
        ] {
            assert_eq!(expanded(text, &values, &mut used), expected, "{text}");
        }
        assert_eq!(used.len(), 2);
        assert_eq!(parts("spec.ports[0].a\\.b"), ["spec", "ports", "[0]", "a.b"]);
    }
}
