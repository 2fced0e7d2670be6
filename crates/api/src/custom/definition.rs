//! One version of a CustomResourceDefinition, compiled.

use super::json_path::{BadPath, JsonPath};
use super::names::{ColumnText, Row};
use super::schema::Schema;
use super::versions::{self, ByVersion, Unfit};
use crate::field::FieldError;
use crate::resource::{Scope, Subresource};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// The rules of a schema that are expressions. They are judged outside of this crate, which knows no language.
pub trait Rules: Send + Sync + std::fmt::Debug {
    /// What is wrong with an object, `old` being what an update replaces.
    fn check(&self, object: &Value, old: Option<&Value>) -> Vec<FieldError>;
}

/// Where the numbers of the scale subresource stand.
#[derive(Clone, Debug)]
pub struct ScalePaths {
    pub wanted: JsonPath,
    pub observed: JsonPath,
    pub selector: Option<JsonPath>,
}

/// A table column's source.
#[derive(Clone, Debug)]
pub(super) struct Cells {
    pub(super) path: JsonPath,
    pub(super) kind: String,
}

/// What one version of a definition says.
#[derive(Debug)]
pub struct Definition {
    pub(super) row: Row,
    /// In which the objects are stored.
    pub(super) stored_version: String,
    /// Whether the store may hold objects that say they are of other versions.
    pub(super) is_mixed: bool,
    pub(super) is_storage: bool,
    /// Versions differ in more than their names: a webhook converts them.
    pub(super) needs_webhook: bool,
    pub(super) is_served: bool,
    /// What is to be said to whoever asks for this version.
    pub(super) deprecation: Option<String>,
    /// The definition is being deleted, and takes its objects with it.
    pub(super) is_ending: bool,
    pub(super) schema: Arc<Schema>,
    /// Of all versions, this one's among them.
    pub(super) schemas: Arc<ByVersion>,
    pub(super) open: Arc<Value>,
    pub(super) columns: Vec<Cells>,
    pub(super) selectable: Vec<JsonPath>,
    pub(super) scale: Option<ScalePaths>,
    pub(super) rules: Option<Arc<dyn Rules>>,
}

/// Why a definition cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    #[error("version {version} has a pattern that is no regular expression: {source}")]
    Pattern { version: String, source: regex::Error },
    #[error("version {version} has a path that is not understood: {source}")]
    Path { version: String, source: BadPath },
    #[error("encoding the schema of version {version}: {source}")]
    Encode { version: String, source: serde_json::Error },
}

/// The compiled schemas of a definition's versions. Those that are equal are one.
#[derive(Debug)]
pub struct Schemas(Arc<ByVersion>);

fn source(version: &CustomResourceDefinitionVersion) -> Option<&JSONSchemaProps> {
    version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref())
}

impl Schemas {
    /// Of these versions: to judge a definition, of one at a time.
    pub fn of(versions: &[CustomResourceDefinitionVersion]) -> Result<Schemas, DefinitionError> {
        let mut compiled = ByVersion::new();
        for (index, version) in versions.iter().enumerate() {
            let twin = versions[..index].iter().find(|other| other.schema == version.schema);
            let schema = match twin.and_then(|twin| compiled.get(&twin.name)) {
                Some(schema) => schema.clone(),
                None => Arc::new(Self::compile(version)?),
            };
            compiled.insert(version.name.clone(), schema);
        }
        Ok(Schemas(Arc::new(compiled)))
    }

    fn compile(version: &CustomResourceDefinitionVersion) -> Result<Schema, DefinitionError> {
        let Some(source) = source(version) else { return Ok(Schema::open()) };
        Schema::compile(source).map_err(|source| DefinitionError::Pattern { version: version.name.clone(), source })
    }
}

impl Definition {
    /// Compiles a version of a definition; its schema is among `schemas`.
    pub fn of(
        definition: &CustomResourceDefinition,
        version: &CustomResourceDefinitionVersion,
        schemas: &Schemas,
        rules: Option<Arc<dyn Rules>>,
    ) -> Result<Definition, DefinitionError> {
        let name = || version.name.clone();
        let bad_path = |source| DefinitionError::Path { version: name(), source };
        let source = source(version);
        let schema = schemas.0.get(&version.name).cloned().unwrap_or_else(|| Arc::new(Schema::open()));
        let open = open(source).map_err(|source| DefinitionError::Encode { version: name(), source })?;
        let selectable = version.selectable_fields.iter().flatten().map(|field| JsonPath::parse(&field.json_path));
        let stored = definition.status.as_ref().and_then(|status| status.stored_versions.as_ref());
        let storage = definition.spec.versions.iter().find(|version| version.storage);
        Ok(Definition {
            row: row(definition, version),
            stored_version: storage.map_or_else(String::new, |version| version.name.clone()),
            is_mixed: stored.is_some_and(|stored| stored.len() > 1),
            is_storage: version.storage,
            needs_webhook: definition.spec.conversion.as_ref().is_some_and(|own| own.strategy == "Webhook"),
            is_served: version.served,
            deprecation: deprecation(definition, version),
            is_ending: definition.metadata.deletion_timestamp.is_some(),
            schema,
            schemas: schemas.0.clone(),
            open: Arc::new(open),
            columns: columns(version).map_err(bad_path)?,
            selectable: selectable.collect::<Result<_, _>>().map_err(bad_path)?,
            scale: scale(version).map_err(bad_path)?,
            rules,
        })
    }

    /// `group/version` as the objects are stored.
    pub(super) fn stored_api_version(&self) -> String {
        format!("{}/{}", self.row.group, self.stored_version)
    }

    /// `group/version` as this version shows them.
    pub(super) fn api_version(&self) -> String {
        format!("{}/{}", self.row.group, self.row.version)
    }

    /// This version's schema, where objects of that `group/version` may have what it does not name.
    pub(super) fn differs_from(&self, api_version: Option<&str>) -> Option<&Schema> {
        let (_, version) = api_version?.rsplit_once('/')?;
        let other = self.schemas.get(version)?;
        (!Arc::ptr_eq(other, &self.schema)).then_some(&*self.schema)
    }

    /// What a webhook made of a stored or shown object, as an object of this version.
    ///
    /// # Errors
    /// When it is not the same object in this version.
    pub fn accept(&self, original: &[u8], converted: Value) -> Result<Vec<u8>, Unfit> {
        versions::accepted(original, converted, &self.api_version(), &self.schema)
    }

    pub(super) fn has_status(&self) -> bool {
        self.row.subresources.contains(&Subresource::Status)
    }

    pub fn is_storage(&self) -> bool {
        self.is_storage
    }

    pub fn scale(&self) -> Option<&ScalePaths> {
        self.scale.as_ref()
    }

    /// The schema in OpenAPI's form.
    pub fn open_schema(&self) -> &Arc<Value> {
        &self.open
    }
}

fn deprecation(definition: &CustomResourceDefinition, version: &CustomResourceDefinitionVersion) -> Option<String> {
    let spec = &definition.spec;
    let own = version.deprecation_warning.clone();
    let usual = || format!("{}/{} {} is deprecated", spec.group, version.name, spec.names.kind);
    version.deprecated.unwrap_or_default().then(|| own.unwrap_or_else(usual))
}

fn open(source: Option<&JSONSchemaProps>) -> Result<Value, serde_json::Error> {
    match source {
        Some(source) => serde_json::to_value(source),
        None => Ok(json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})),
    }
}

pub(super) fn row(definition: &CustomResourceDefinition, version: &CustomResourceDefinitionVersion) -> Row {
    let (spec, names) = (&definition.spec, &definition.spec.names);
    let subresources = version.subresources.as_ref();
    let has = [
        (Subresource::Scale, subresources.is_some_and(|own| own.scale.is_some())),
        (Subresource::Status, subresources.is_some_and(|own| own.status.is_some())),
    ];
    let name = ColumnText {
        name: "Name".to_owned(),
        kind: "string".to_owned(),
        format: "name".to_owned(),
        description: String::new(),
        priority: 0,
    };
    let own = version.additional_printer_columns.iter().flatten().map(|column| ColumnText {
        name: column.name.clone(),
        kind: column.type_.clone(),
        format: column.format.clone().unwrap_or_default(),
        description: column.description.clone().unwrap_or_default(),
        priority: column.priority.unwrap_or_default(),
    });
    let mut columns: Vec<ColumnText> = std::iter::once(name).chain(own).collect();
    if columns.len() == 1 {
        columns.push(ColumnText {
            name: "Age".to_owned(),
            kind: "date".to_owned(),
            format: String::new(),
            description: String::new(),
            priority: 0,
        });
    }
    let field = |path: &str| path.trim_start_matches('.').to_owned();
    Row {
        group: spec.group.clone(),
        version: version.name.clone(),
        kind: names.kind.clone(),
        plural: names.plural.clone(),
        singular: names.singular.clone().unwrap_or_default(),
        short_names: names.short_names.clone().unwrap_or_default(),
        categories: names.categories.clone().unwrap_or_default(),
        scope: if spec.scope == "Namespaced" { Scope::Namespaced } else { Scope::Cluster },
        subresources: has.into_iter().filter(|(_, has)| *has).map(|(subresource, _)| subresource).collect(),
        columns,
        selectable: version.selectable_fields.iter().flatten().map(|own| field(&own.json_path)).collect(),
    }
}

fn columns(version: &CustomResourceDefinitionVersion) -> Result<Vec<Cells>, BadPath> {
    let own = version.additional_printer_columns.iter().flatten();
    let columns = own.map(|column| Ok(Cells { path: JsonPath::parse(&column.json_path)?, kind: column.type_.clone() }));
    let mut columns: Vec<Cells> = columns.collect::<Result<_, BadPath>>()?;
    if columns.is_empty() {
        columns.push(Cells { path: JsonPath::parse(".metadata.creationTimestamp")?, kind: "date".to_owned() });
    }
    Ok(columns)
}

fn scale(version: &CustomResourceDefinitionVersion) -> Result<Option<ScalePaths>, BadPath> {
    let Some(scale) = version.subresources.as_ref().and_then(|own| own.scale.as_ref()) else { return Ok(None) };
    let selector = scale.label_selector_path.as_deref().filter(|path| !path.is_empty());
    Ok(Some(ScalePaths {
        wanted: JsonPath::parse(&scale.spec_replicas_path)?,
        observed: JsonPath::parse(&scale.status_replicas_path)?,
        selector: selector.map(JsonPath::parse).transpose()?,
    }))
}
