//! Generators, transformers and validators that stand in files of their own: upstream's builtin ones.
//!
//! Invariant: no program is run for them; what would need one is refused by name.

use super::file::{Generator, Image, Options, Patch, Replacement, Replicas, Selector, SortOptions, Spec};
use super::helm::Helm;
use super::loader::Root;
use super::resource::{Resource, Set};
use super::transform::{self, End, NamespaceOptions, Subjects};
use super::{generate, hash, order, patches, replacements};
use crate::failure::{Failure, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

const BUILTIN: &str = "builtin";

/// Fields of all builtin transformers; each reads its own.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Settings {
    field_specs: Vec<Spec>,
    annotations: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    prefix: String,
    suffix: String,
    unset_only: bool,
    set_role_binding_subjects: Subjects,
    replica: Replicas,
    image_tag: Image,
    path: String,
    patch: String,
    json_op: String,
    target: Option<Selector>,
    options: BTreeMap<String, bool>,
    paths: Vec<String>,
    patches: Value,
    replacements: Vec<Replacement>,
    sort_options: Option<SortOptions>,
}

fn read<T: DeserializeOwned>(plugin: &Resource) -> Result<T> {
    serde_json::from_value(plugin.object.clone()).map_err(|error| {
        let id = plugin.id();
        Failure::message(format!("plugin {id} fails configuration: {error}"))
    })
}

fn is_builtin(plugin: &Resource) -> bool {
    plugin.object["apiVersion"] == BUILTIN
}

fn foreign(plugin: &Resource) -> Failure {
    Failure::message(format!("external plugins disabled; unable to load external plugin '{}'", plugin.kind()))
}

fn unknown(plugin: &Resource) -> Failure {
    Failure::message(format!("unable to load builtin plugin '{}': it is not built in", plugin.kind()))
}

/// What a generator makes.
pub(super) fn generated(root: &Root, helm: &Helm, plugin: &Resource) -> Result<Set> {
    if !is_builtin(plugin) {
        return Err(foreign(plugin));
    }
    let made = |kind: &str| {
        let mut generator: Generator = read(&Resource::new(without_head(plugin)))?;
        generator.name = plugin.id().name;
        generator.namespace = plugin.id().namespace;
        Ok(vec![generate::generated(root, kind, &generator, None::<&Options>)?])
    };
    match plugin.kind() {
        "ConfigMapGenerator" => made("ConfigMap"),
        "SecretGenerator" => made("Secret"),
        "HelmChartInflationGenerator" => helm.inflate(root, &without_head(plugin), None),
        _ => Err(unknown(plugin)),
    }
}

/// What a plugin's object has beside what every object has.
fn without_head(plugin: &Resource) -> Value {
    let mut object = plugin.object.clone();
    if let Some(members) = object.as_object_mut() {
        for member in ["apiVersion", "kind", "metadata"] {
            members.shift_remove(member);
        }
    }
    object
}

/// Changes all objects as a transformer says.
pub(super) fn transform(root: &Root, plugin: &Resource, set: &mut Set) -> Result<()> {
    if !is_builtin(plugin) {
        return Err(foreign(plugin));
    }
    let own: Settings = read(plugin)?;
    let one = |patch: String| Patch {
        path: own.path.clone(),
        patch,
        target: own.target.clone(),
        options: own.options.clone(),
    };
    match plugin.kind() {
        "AnnotationsTransformer" => transform::texts(&own.field_specs, &own.annotations, set),
        "LabelTransformer" => transform::texts(&own.field_specs, &own.labels, set),
        "NamespaceTransformer" => {
            let options = NamespaceOptions { unset_only: own.unset_only, subjects: own.set_role_binding_subjects };
            transform::namespace(&plugin.id().namespace, &own.field_specs, options, set)
        }
        "PrefixTransformer" => transform::affix(End::Prefix, &own.prefix, &own.field_specs, set),
        "SuffixTransformer" => transform::affix(End::Suffix, &own.suffix, &own.field_specs, set),
        "ReplicaCountTransformer" => transform::scale(&own.replica, &own.field_specs, set),
        "ImageTagTransformer" => transform::image(&own.image_tag, &own.field_specs, set),
        "PatchTransformer" => patches::apply(root, set, &one(own.patch.clone())),
        "PatchJson6902Transformer" => patches::apply(root, set, &one(own.json_op.clone())),
        "PatchStrategicMergeTransformer" => {
            let inline = own.patches.as_str().map(str::to_owned);
            patches::strategic(root, own.paths.iter().chain(&inline), set)
        }
        "ReplacementTransformer" => replacements::apply(root, &own.replacements, set),
        "HashTransformer" => hash::rename(set),
        "SortOrderTransformer" => order::sort(set, own.sort_options.as_ref()),
        _ => Err(unknown(plugin)),
    }
}

/// Lets a validator look at the objects: it may refuse them, and change nothing.
pub(super) fn validate(root: &Root, plugin: &Resource, set: &Set) -> Result<()> {
    let mut seen = set.clone();
    transform(root, plugin, &mut seen)?;
    let changed = seen.len() != set.len() || seen.iter().zip(set).any(|(after, before)| after.object != before.object);
    if changed {
        return Err(Failure::message("validator shouldn't modify the resource map"));
    }
    Ok(())
}
