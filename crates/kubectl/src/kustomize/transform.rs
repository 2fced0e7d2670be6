//! What a kustomization changes in all its objects: namespaces, names, labels, annotations, replicas, images.

use super::config::Config;
use super::file::{File, Image, Labels, Replicas, Spec};
use super::path::{self, Made};
use super::resource::{Kinds, Resource, Set};
use super::specs;
use crate::failure::{Failure, Result};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Which accounts of bindings get the namespace too.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(super) enum Subjects {
    None,
    #[default]
    DefaultOnly,
    AllServiceAccounts,
}

/// How a namespace is set.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NamespaceOptions {
    /// Only where there is none.
    pub(super) unset_only: bool,
    pub(super) subjects: Subjects,
}

pub(super) fn namespace(namespace: &str, specs: &[Spec], options: NamespaceOptions, set: &mut Set) -> Result<()> {
    if namespace.is_empty() {
        return Ok(());
    }
    for index in 0..set.len() {
        let resource = &mut set[index];
        resource.remember();
        let is_free = !options.unset_only || resource.id().namespace.is_empty();
        if !resource.id().is_cluster_scoped() && is_free {
            resource.set_metadata("namespace", namespace);
        }
        if matches!(resource.kind(), "RoleBinding" | "ClusterRoleBinding") {
            subjects(&mut resource.object, namespace, options);
        }
        for spec in specs {
            let mut set = |value: &mut Value| {
                if !options.unset_only || value.as_str().is_none_or(str::is_empty) {
                    *value = namespace.into();
                }
                Ok(())
            };
            spec.each(resource, Made::Scalar, &mut set)?;
        }
        let id = set[index].id();
        let same = set.iter().filter(|resource| resource.id().is(&id)).count();
        if same != 1 {
            return Err(Failure::message(format!("namespace transformation produces ID conflict: {id}")));
        }
    }
    Ok(())
}

fn subjects(binding: &mut Value, namespace: &str, options: NamespaceOptions) {
    let chosen = |subject: &Value| match options.subjects {
        Subjects::None => false,
        Subjects::DefaultOnly => subject["name"] == "default",
        Subjects::AllServiceAccounts => subject["kind"] == "ServiceAccount",
    };
    let subjects = binding.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten();
    for subject in subjects.filter(|subject| chosen(subject)) {
        if !options.unset_only || subject["namespace"].as_str().is_none_or(str::is_empty) {
            subject["namespace"] = namespace.into();
        }
    }
}

/// Which end of names.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum End {
    Prefix,
    Suffix,
}

/// Adds a text to names, and to whatever else the specs name.
pub(super) fn affix(end: End, text: &str, specs: &[Spec], set: &mut Set) -> Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let joined = |name: &str| match end {
        End::Prefix => format!("{text}{name}"),
        End::Suffix => format!("{name}{text}"),
    };
    for resource in set {
        let original = resource.original();
        if specs::NAMED.iter().any(|(group, kind)| original.is_of(Kinds { group, kind, version: "" })) {
            continue;
        }
        for spec in specs.iter().filter(|spec| original.is_of(spec.kinds())) {
            if spec.path == specs::NAME {
                resource.remember();
                match end {
                    End::Prefix => resource.prefixes.push(text.to_owned()),
                    End::Suffix => resource.suffixes.push(text.to_owned()),
                }
                let name = joined(&resource.id().name);
                resource.set_metadata("name", &name);
                continue;
            }
            path::each(&mut resource.object, &spec.path, &mut |value| {
                *value = joined(value.as_str().unwrap_or_default()).into();
                Ok(())
            })?;
        }
    }
    Ok(())
}

pub(super) fn labels(labels: &Labels, config: &Config, set: &mut Set) -> Result<()> {
    let mut specs = labels.fields.clone();
    specs.push(specs::own("labels"));
    if labels.include_selectors {
        specs.extend(specs::selectors());
        specs.extend(config.common_labels.iter().cloned());
    }
    if labels.include_selectors || labels.include_templates {
        specs.extend(specs::template_labels());
        specs.extend(config.template_labels.iter().cloned());
    }
    texts(&specs, &labels.pairs, set)
}

pub(super) fn common_labels(file: &File, config: &Config, set: &mut Set) -> Result<()> {
    let mut specs = specs::selectors();
    specs.push(specs::own("labels"));
    specs.extend(specs::template_labels());
    specs.extend(config.common_labels.iter().cloned());
    texts(&specs, &file.common_labels, set)
}

pub(super) fn annotations(file: &File, config: &Config, set: &mut Set) -> Result<()> {
    let mut specs = vec![specs::own("annotations")];
    specs.extend(specs::templates("annotations"));
    specs.extend(config.common_annotations.iter().cloned());
    texts(&specs, &file.common_annotations, set)
}

pub(super) fn texts(specs: &[Spec], texts: &BTreeMap<String, String>, set: &mut Set) -> Result<()> {
    if texts.is_empty() {
        return Ok(());
    }
    let mut add = |value: &mut Value| {
        if value.is_null() {
            *value = Value::Object(Map::new());
        }
        let map = value.as_object_mut().ok_or_else(|| Failure::message("expected a map of labels or annotations"))?;
        for (key, text) in texts {
            map.insert(key.clone(), text.as_str().into());
        }
        Ok(())
    };
    for resource in set.iter_mut() {
        for spec in specs {
            spec.each(resource, Made::Map, &mut add)?;
        }
    }
    Ok(())
}

pub(super) fn scale(replicas: &Replicas, specs: &[Spec], set: &mut Set) -> Result<()> {
    let mut found = false;
    for spec in specs {
        let mut write = |value: &mut Value| {
            *value = replicas.count.into();
            Ok(())
        };
        let meant = |resource: &Resource| resource.ids().any(|id| id.name == replicas.name && id.is_of(spec.kinds()));
        for resource in set.iter_mut().filter(|resource| meant(resource)) {
            found = true;
            spec.each(resource, Made::Scalar, &mut write)?;
        }
    }
    if found {
        return Ok(());
    }
    let or = |text: &str, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text.to_owned() };
    let kind = |spec: &Spec| format!("{}.{}.{}", spec.kind, or(&spec.version, "[noVer]"), or(&spec.group, "[noGrp]"));
    let kinds: Vec<String> = specs.iter().map(kind).collect();
    let name = &replicas.name;
    Err(Failure::message(format!(
        "resource with name {name} does not match a config with the following GVK [{}]",
        kinds.join(" ")
    )))
}

pub(super) fn image(image: &Image, specs: &[Spec], set: &mut Set) -> Result<()> {
    for resource in set.iter_mut().filter(|resource| resource.kind() != "CustomResourceDefinition") {
        in_containers(&mut resource.object, image);
        for spec in specs {
            let mut rename = |value: &mut Value| {
                renamed(value, image);
                Ok(())
            };
            spec.each(resource, Made::Scalar, &mut rename)?;
        }
    }
    Ok(())
}

/// Every list of containers, wherever a kind has it.
fn in_containers(value: &mut Value, image: &Image) {
    match value {
        Value::Object(members) => {
            for (key, member) in members.iter_mut() {
                match member {
                    Value::Array(containers) if matches!(key.as_str(), "containers" | "initContainers") => {
                        for container in containers {
                            if let Some(own) = container.get_mut("image") {
                                renamed(own, image);
                            }
                        }
                    }
                    member => in_containers(member, image),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| in_containers(element, image)),
        _ => {}
    }
}

fn renamed(value: &mut Value, image: &Image) {
    let Some(text) = value.as_str() else { return };
    let (name, tag, digest) = taken_apart(text);
    if name != image.name {
        return;
    }
    let name = if image.new_name.is_empty() { name } else { &image.new_name };
    let (mut tag, digest) = match (image.new_tag.as_str(), image.digest.as_str()) {
        ("", "") => (tag.to_owned(), digest),
        (tag, digest) => (tag.to_owned(), digest),
    };
    if !image.tag_suffix.is_empty() && !tag.is_empty() {
        tag.push_str(&image.tag_suffix);
    }
    let tag = if tag.is_empty() { String::new() } else { format!(":{tag}") };
    let digest = if digest.is_empty() { String::new() } else { format!("@{digest}") };
    *value = format!("{name}{tag}{digest}").into();
}

/// `host:1/name:tag@digest`: a colon before a slash is a port's.
fn taken_apart(image: &str) -> (&str, &str, &str) {
    let (rest, digest) = image.split_once('@').unwrap_or((image, ""));
    let begin = rest.rfind('/').map_or(0, |slash| slash + 1);
    match rest[begin..].split_once(':') {
        Some((last, tag)) => (&rest[..begin + last.len()], tag, digest),
        None => (rest, "", digest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_renamed_by_their_whole_name() {
        let image = |name: &str, new_name: &str, new_tag: &str, digest: &str| Image {
            name: name.into(),
            new_name: new_name.into(),
            new_tag: new_tag.into(),
            digest: digest.into(),
            ..Image::default()
        };
        for (text, image, expected) in [
            ("nginx:1", image("nginx", "", "2", ""), "nginx:2"),
            ("host:5/nginx", image("host:5/nginx", "my", "", ""), "my"),
            ("nginx:1@sha256:a", image("nginx", "", "", "sha256:b"), "nginx@sha256:b"),
            ("nginx:1@sha256:a", image("nginx", "x", "", ""), "x:1@sha256:a"),
            ("my/nginx:1", image("nginx", "x", "2", ""), "my/nginx:1"),
        ] {
            let mut value = Value::from(text);
            renamed(&mut value, &image);
            assert_eq!(value, expected, "{text}");
        }
    }
}
