//! Configuration of a kustomization's own: further places of names, labels and references, from `configurations` files
//! and from the schemas under `crds`.
//!
//! Invariant: it is added to the default configuration and to that of every kustomization below, and takes nothing away.

use super::file::{File, Spec};
use super::loader::Root;
use crate::failure::{Failure, Result};
use serde::Deserialize;
use serde_json::Value;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Config {
    pub(super) name_prefix: Vec<Spec>,
    pub(super) name_suffix: Vec<Spec>,
    pub(super) namespace: Vec<Spec>,
    pub(super) common_labels: Vec<Spec>,
    pub(super) template_labels: Vec<Spec>,
    pub(super) common_annotations: Vec<Spec>,
    pub(super) name_reference: Vec<Referred>,
    pub(super) var_reference: Vec<Spec>,
    pub(super) images: Vec<Spec>,
    pub(super) replicas: Vec<Spec>,
}

/// A kind, and the fields that name objects of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Referred {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) field_specs: Vec<Spec>,
}

impl Config {
    /// What a kustomization's files say.
    pub(super) fn read(root: &Root, file: &File) -> Result<Config> {
        let mut all = Config::default();
        for name in &file.configurations {
            for document in crate::manifest::parse(&root.read_text(name)?, name)? {
                let one = serde_json::from_value(document)
                    .map_err(|error| Failure::message(format!("error converting YAML to JSON in {name}: {error}")))?;
                all.add(one);
            }
        }
        for name in &file.crds {
            for schemas in crate::manifest::parse(&root.read_text(name)?, name)? {
                all.add(of_schemas(&schemas));
            }
        }
        Ok(all)
    }

    pub(super) fn add(&mut self, other: Config) {
        self.name_prefix.extend(other.name_prefix);
        self.name_suffix.extend(other.name_suffix);
        self.namespace.extend(other.namespace);
        self.common_labels.extend(other.common_labels);
        self.template_labels.extend(other.template_labels);
        self.common_annotations.extend(other.common_annotations);
        self.name_reference.extend(other.name_reference);
        self.var_reference.extend(other.var_reference);
        self.images.extend(other.images);
        self.replicas.extend(other.replicas);
    }
}

/// Definitions by their names, `group.version.Kind`, whose fields say by extensions what they are.
fn of_schemas(schemas: &Value) -> Config {
    let mut config = Config::default();
    for (name, definition) in schemas.as_object().into_iter().flatten() {
        let properties = &definition["Schema"]["properties"];
        if ["kind", "apiVersion", "metadata"].iter().all(|member| properties.get(member).is_some()) {
            let kind = name.rsplit('.').next().unwrap_or(name);
            of_properties(schemas, properties, kind, &mut vec![name], &mut Vec::new(), &mut config);
        }
    }
    config
}

/// `seen`: definitions that are being walked; one that refers to itself ends there.
fn of_properties<'a>(
    schemas: &'a Value,
    properties: &'a Value,
    kind: &str,
    seen: &mut Vec<&'a str>,
    path: &mut Vec<&'a str>,
    config: &mut Config,
) {
    for (name, property) in properties.as_object().into_iter().flatten() {
        path.push(name);
        let spec = |last: Option<&str>| Spec {
            kind: kind.to_owned(),
            path: path.iter().copied().chain(last).collect::<Vec<_>>().join("/"),
            ..Spec::default()
        };
        let says = |extension: &str| property.get(format!("x-kubernetes-{extension}")).and_then(Value::as_str);
        if says("annotation").is_some() {
            config.common_annotations.push(spec(None));
        }
        if says("label-selector").is_some() {
            config.common_labels.push(spec(None));
        }
        if says("identity").is_some() {
            config.name_prefix.push(spec(None));
        }
        if let (Some(version), Some(referred)) = (says("object-ref-api-version"), says("object-ref-kind")) {
            let key = says("object-ref-name-key").unwrap_or("name");
            config.name_reference.push(Referred {
                kind: referred.to_owned(),
                version: version.to_owned(),
                field_specs: vec![spec(Some(key))],
                ..Referred::default()
            });
        }
        if let Some(below) = property.get("$ref").and_then(Value::as_str).filter(|below| !seen.contains(below)) {
            seen.push(below);
            of_properties(schemas, &schemas[below]["Schema"]["properties"], kind, seen, path, config);
            seen.pop();
        }
        path.pop();
    }
}
