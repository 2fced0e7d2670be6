//! The kustomization file and its fields.
//!
//! Invariant: a field that is not known is an error, and so is one that is known and not built.

use super::loader::Root;
use crate::failure::{Failure, Result};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
const KIND: &str = "Kustomization";
const COMPONENT: &str = "Component";
/// What can be asked to be written into objects about how they were built.
const MANAGED_BY: &str = "managedByLabel";
const ORIGINS: &str = "originAnnotations";
const TRANSFORMERS: &str = "transformerAnnotations";
const FIX: &str = "Run 'kustomize edit fix' to update your Kustomization automatically.";

/// Gone from kustomize.
const REFUSED: [(&str, &str); 1] = [("inventory", "inventories are gone from kustomize")];
/// Of `openapi`: a file with schemas. A `version` names one of those that upstream has, whose lists merge as ours do.
const SCHEMA_FILE: &str = "path";

type Texts = BTreeMap<String, String>;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct File {
    /// What the file itself is called.
    #[serde(skip)]
    pub(super) name: String,
    pub(super) api_version: String,
    pub(super) kind: String,
    #[serde(rename = "metadata")]
    _metadata: Value,
    pub(super) resources: Vec<String>,
    bases: Vec<String>,
    pub(super) components: Vec<String>,
    pub(super) name_prefix: String,
    pub(super) name_suffix: String,
    pub(super) namespace: String,
    pub(super) labels: Vec<Labels>,
    pub(super) common_labels: Texts,
    pub(super) common_annotations: Texts,
    pub(super) images: Vec<Image>,
    image_tags: Vec<Image>,
    pub(super) replicas: Vec<Replicas>,
    pub(super) patches: Vec<Patch>,
    pub(super) patches_strategic_merge: Vec<String>,
    pub(super) patches_json6902: Vec<Patch>,
    pub(super) config_map_generator: Vec<Generator>,
    pub(super) secret_generator: Vec<Generator>,
    pub(super) generator_options: Option<Options>,
    pub(super) replacements: Vec<Replacement>,
    pub(super) sort_options: Option<SortOptions>,
    pub(super) build_metadata: Vec<String>,
    pub(super) configurations: Vec<String>,
    pub(super) crds: Vec<String>,
    pub(super) openapi: Texts,
    pub(super) vars: Vec<Var>,
    pub(super) generators: Vec<String>,
    pub(super) transformers: Vec<String>,
    pub(super) validators: Vec<String>,
    pub(super) helm_charts: Vec<Value>,
    pub(super) helm_globals: Option<HelmGlobals>,
    helm_chart_inflation_generator: Vec<Value>,
}

/// Where charts are, and what helm remembers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct HelmGlobals {
    pub(super) chart_home: String,
    pub(super) config_home: String,
}

/// A field of an object, by a name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Var {
    pub(super) name: String,
    #[serde(alias = "objRef")]
    pub(super) objref: About,
    #[serde(alias = "fieldRef")]
    fieldref: FieldRef,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct About {
    pub(super) api_version: String,
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) namespace: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct FieldRef {
    #[serde(alias = "fieldPath")]
    fieldpath: String,
}

impl Var {
    pub(super) fn field_path(&self) -> &str {
        if self.fieldref.fieldpath.is_empty() { "metadata.name" } else { &self.fieldref.fieldpath }
    }

    /// As upstream prints it: its name, the kind that it is about, and the field.
    pub(super) fn described(&self) -> String {
        let about = &self.objref;
        let (group, version) = about.api_version.split_once('/').unwrap_or((&about.group, &about.api_version));
        let or = |text: &str, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text.to_owned() };
        let (version, group) = (or(version, "[noVer]"), or(group, "[noGrp]"));
        format!("{{{} {}.{version}.{group} {{{}}}}}", self.name, about.kind, self.field_path())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Labels {
    pub(super) pairs: Texts,
    pub(super) include_selectors: bool,
    pub(super) include_templates: bool,
    pub(super) fields: Vec<Spec>,
}

/// Where in which kinds something is set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Spec {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) path: String,
    pub(super) create: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Image {
    pub(super) name: String,
    pub(super) new_name: String,
    pub(super) new_tag: String,
    pub(super) tag_suffix: String,
    pub(super) digest: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Replicas {
    pub(super) name: String,
    pub(super) count: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Patch {
    pub(super) path: String,
    pub(super) patch: String,
    pub(super) target: Option<Selector>,
    pub(super) options: BTreeMap<String, bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Selector {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) label_selector: String,
    pub(super) annotation_selector: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Generator {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) behavior: String,
    pub(super) literals: Vec<String>,
    pub(super) files: Vec<String>,
    pub(super) envs: Vec<String>,
    pub(super) env: String,
    pub(super) options: Option<Options>,
    /// Of a secret.
    #[serde(rename = "type")]
    pub(super) kind: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Options {
    pub(super) labels: Texts,
    pub(super) annotations: Texts,
    pub(super) disable_name_suffix_hash: bool,
    pub(super) immutable: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Replacement {
    pub(super) path: String,
    pub(super) source: Option<Source>,
    pub(super) source_value: Option<String>,
    pub(super) targets: Vec<Target>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Source {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) field_path: String,
    pub(super) options: Option<FieldOptions>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Target {
    pub(super) select: Option<Selector>,
    pub(super) reject: Vec<Selector>,
    pub(super) field_paths: Vec<String>,
    pub(super) options: Option<FieldOptions>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct FieldOptions {
    pub(super) delimiter: String,
    pub(super) index: i64,
    pub(super) encoding: String,
    pub(super) create: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct SortOptions {
    pub(super) order: String,
    pub(super) legacy_sort_options: Option<LegacySortOptions>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct LegacySortOptions {
    pub(super) order_first: Vec<String>,
    pub(super) order_last: Vec<String>,
}

impl File {
    pub(super) fn read(root: &Root, warnings: &mut Vec<String>) -> Result<File> {
        let place = root.path.display();
        let read = |name: &&'static str| Some(((*name).to_owned(), root.read(name).ok()?));
        let found: Vec<(String, Vec<u8>)> = NAMES.iter().filter_map(read).collect();
        let text = match found.as_slice() {
            [] => {
                let text = format!(
                    "unable to find one of 'kustomization.yaml', 'kustomization.yml' or 'Kustomization' in directory '{place}'"
                );
                return Err(Failure::message(text));
            }
            [(_, one)] => String::from_utf8_lossy(one).into_owned(),
            _ => return Err(Failure::message(format!("Found multiple kustomization files under: {place}\n"))),
        };
        let documents = crate::manifest::parse(&text, &format!("{place}"))?;
        let mut documents = documents.into_iter();
        let Some(Value::Object(members)) = documents.next() else {
            return Err(Failure::message("kustomization.yaml is empty"));
        };
        let mut file = File::of(members)?;
        file.check(&place)?;
        file.warn(warnings);
        file.resources.append(&mut file.bases);
        file.images.append(&mut file.image_tags);
        file.helm_charts.append(&mut file.helm_chart_inflation_generator);
        file.name = found.into_iter().map(|(name, _)| name).next().unwrap_or_default();
        Ok(file)
    }

    fn of(mut members: Map<String, Value>) -> Result<File> {
        for (field, why) in REFUSED {
            let empty = |value: &Value| match value {
                Value::Null => true,
                Value::Array(elements) => elements.is_empty(),
                Value::Object(members) => members.is_empty(),
                _ => false,
            };
            if members.shift_remove(field).is_some_and(|value| !empty(&value)) {
                return Err(Failure::message(format!("{field} of a kustomization: {why}")));
            }
        }
        // What is written and left empty is as if it were not there.
        members.retain(|_, value| !value.is_null());
        if members.is_empty() {
            return Err(Failure::message("kustomization.yaml is empty"));
        }
        serde_json::from_value(without_nulls(Value::Object(members))).map_err(|error| {
            let text = error.to_string();
            let unknown = text.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
            let text = unknown.map_or(text.clone(), |field| format!("json: unknown field {field:?}"));
            Failure::message(format!("invalid Kustomization: {text}"))
        })
    }

    /// Whether objects say by what they were made.
    pub(super) fn is_signed(&self) -> bool {
        self.build_metadata.iter().any(|option| option == MANAGED_BY)
    }

    /// Whether objects say where they are from.
    pub(super) fn tells_origins(&self) -> bool {
        self.build_metadata.iter().any(|option| option == ORIGINS)
    }

    /// Whether objects say what changed them.
    pub(super) fn tells_changes(&self) -> bool {
        self.build_metadata.iter().any(|option| option == TRANSFORMERS)
    }

    pub(super) fn is_component(&self) -> bool {
        self.kind == COMPONENT
    }

    fn check(&self, place: &dyn std::fmt::Display) -> Result<()> {
        let (version, kind) = if self.is_component() {
            ("kustomize.config.k8s.io/v1alpha1", COMPONENT)
        } else {
            ("kustomize.config.k8s.io/v1beta1", KIND)
        };
        let mut faults = Vec::new();
        if !matches!(self.kind.as_str(), "" | KIND | COMPONENT) {
            faults.push(format!("kind should be {KIND} or {COMPONENT}"));
        }
        if !self.api_version.is_empty() && self.api_version != version {
            faults.push(format!("apiVersion for {kind} should be {version}"));
        }
        if self.openapi.contains_key(SCHEMA_FILE) {
            return Err(Failure::message(
                "openapi of a kustomization: schemas of your own are not built in: lists of custom kinds are replaced by patches",
            ));
        }
        if faults.is_empty() {
            return Ok(());
        }
        Err(Failure::message(format!("Failed to read kustomization file under {place}:\n{}", faults.join("\n"))))
    }

    fn warn(&self, warnings: &mut Vec<String>) {
        for (used, field, instead) in [
            (!self.bases.is_empty(), "bases", "resources"),
            (!self.common_labels.is_empty(), "commonLabels", "labels"),
            (!self.image_tags.is_empty(), "imageTags", "images"),
            (!self.patches_json6902.is_empty(), "patchesJson6902", "patches"),
            (!self.patches_strategic_merge.is_empty(), "patchesStrategicMerge", "patches"),
        ] {
            if used {
                warnings.push(format!("# Warning: '{field}' is deprecated. Please use '{instead}' instead. {FIX}"));
            }
        }
        if !self.vars.is_empty() {
            warnings.push(format!(
                "# Warning: 'vars' is deprecated. Please use 'replacements' instead. [EXPERIMENTAL] {FIX}"
            ));
        }
    }
}

/// A field that is null is not set.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(_, member)| !member.is_null());
            Value::Object(kept.map(|(key, member)| (key, without_nulls(member))).collect())
        }
        Value::Array(elements) => elements.into_iter().map(without_nulls).collect(),
        other => other,
    }
}
