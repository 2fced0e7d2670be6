//! Objects of custom kinds: typed metadata, and all else as JSON.
//!
//! Here versions differ as upstream's strategy `None` has it: in `apiVersion`, and in what their schemas name. Where a
//! webhook converts, the registry asks it.

use super::definition::Definition;
use super::names::CustomKind;
use super::validate::{NO_PATH, blocks_rules, validate};
use super::{defaults, prune, versions};
use crate::field::{FieldError, FieldErrorKind, FieldPath};
use crate::kind::FieldValues;
use crate::object::{Object, Registered, json};
use crate::resource::ResourceDef;
use crate::schema::decode::{Checked, DecodeError, check_custom};
use crate::table::{self, Cell};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Error, Map, Value, json};
use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;

/// An object of a custom kind.
#[derive(Clone, Debug)]
pub struct CustomObject {
    definition: Arc<Definition>,
    /// Of the kind it was decoded by: names of selectable fields live there.
    row: &'static ResourceDef,
    meta: ObjectMeta,
    /// All but `apiVersion`, `kind` and `metadata`.
    body: Map<String, Value>,
    /// The body that an update replaces: what stays as it was is not judged again.
    before: Option<Arc<Map<String, Value>>>,
}

const STATUS: &str = "status";
const BY_WEBHOOK: &str = "objects of this kind are converted by a webhook";
/// What upstream says beside errors of types, when there are rules too.
const RULES_NOT_ASKED: &str = "some validation rules were not checked because the object was invalid; correct the \
                               existing errors to complete validation";

impl CustomObject {
    /// The object as a tree, without metadata but its names.
    fn tree(&self, body: &Map<String, Value>) -> Value {
        let mut tree = Map::with_capacity(body.len() + 3);
        tree.insert("apiVersion".to_owned(), self.definition.api_version().into());
        tree.insert("kind".to_owned(), self.row.kind.into());
        let mut metadata = Map::new();
        for (name, value) in [("name", &self.meta.name), ("generateName", &self.meta.generate_name)] {
            metadata.extend(value.clone().map(|value| (name.to_owned(), Value::String(value))));
        }
        tree.insert("metadata".to_owned(), Value::Object(metadata));
        tree.extend(body.iter().map(|(name, value)| (name.clone(), value.clone())));
        Value::Object(tree)
    }

    /// The object as a tree, metadata and all.
    pub fn whole(&self) -> Value {
        let mut tree = self.tree(&self.body);
        tree["metadata"] = serde_json::to_value(&self.meta).unwrap_or_default();
        tree
    }

    /// `group/version` that the object is of, as it is in hand.
    pub fn api_version(&self) -> String {
        self.definition.api_version()
    }

    pub fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    /// Sets a value below fields, making those on the way that are not there.
    pub fn set(&mut self, fields: &[&str], value: Value) {
        let Some((last, way)) = fields.split_last() else { return };
        let mut map = &mut self.body;
        for field in way {
            let below = map.entry(*field).or_insert_with(|| json!({}));
            if !below.is_object() {
                *below = json!({});
            }
            let Value::Object(below) = below else { return };
            map = below;
        }
        map.insert((*last).to_owned(), value);
    }

    fn remember(&mut self, old: &dyn Object) {
        self.before = old.as_any().downcast_ref::<CustomObject>().map(|old| Arc::new(old.body.clone()));
    }

    fn cell(&self, whole: &Value, at: usize, now: Timestamp) -> Option<Cell> {
        let column = self.definition.columns.get(at)?;
        let found = column.path.find(whole);
        let first = *found.first()?;
        match (column.kind.as_str(), first) {
            (_, Value::Null) => None,
            ("integer", Value::Number(number)) => {
                number.as_i64().or_else(|| number.as_f64().map(|number| number as i64)).map(Cell::Integer)
            }
            ("integer", _) => None,
            ("date", Value::String(text)) => Some(match text.parse::<Timestamp>() {
                Ok(time) => table::age(Some(&Time(time)), now),
                Err(_) => Cell::from("<invalid>"),
            }),
            ("date", _) => None,
            ("number", Value::Number(number)) => Some(Cell::Number(number.clone())),
            ("boolean", Value::Bool(flag)) => Some(Cell::Flag(*flag)),
            ("number" | "boolean", _) => None,
            ("string", _) => Some(Cell::Text(found.iter().map(|own| shown(own)).collect::<Vec<_>>().join(" "))),
            _ => None,
        }
    }
}

/// A value as a column of strings shows it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Serialize for CustomObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.body.len() + 3))?;
        map.serialize_entry("apiVersion", &self.definition.api_version())?;
        map.serialize_entry("kind", self.row.kind)?;
        map.serialize_entry("metadata", &self.meta)?;
        for (name, value) in &self.body {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

fn same(old: &dyn Object) -> &CustomObject {
    old.as_any().downcast_ref().expect("the registry compares objects of one resource only")
}

impl Object for CustomObject {
    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }

    fn defaults(&mut self) {
        defaults::fill(&self.definition.schema, &mut self.body);
    }

    fn prepare_create(&mut self) {
        if self.definition.has_status() {
            self.body.shift_remove(STATUS);
        }
    }

    fn prepare_update(&mut self, old: &dyn Object) {
        if self.definition.has_status() {
            match same(old).body.get(STATUS) {
                Some(status) => drop(self.body.insert(STATUS.to_owned(), status.clone())),
                None => drop(self.body.shift_remove(STATUS)),
            }
        }
        self.remember(old);
    }

    fn prepare_status(&mut self, old: &dyn Object) {
        let before = same(old);
        let status = self.body.shift_remove(STATUS);
        self.body.clone_from(&before.body);
        match status {
            Some(status) => drop(self.body.insert(STATUS.to_owned(), status)),
            None => drop(self.body.shift_remove(STATUS)),
        }
        let resource_version = self.meta.resource_version.take();
        let managed_fields = self.meta.managed_fields.take();
        self.meta = ObjectMeta { resource_version, managed_fields, ..before.meta.clone() };
        self.remember(old);
    }

    fn validate(&self) -> Vec<FieldError> {
        let object = self.tree(&self.body);
        let old = self.before.as_deref().map(|body| self.tree(body));
        let mut errors = validate(&self.definition.schema, &object, old.as_ref());
        let Some(rules) = &self.definition.rules else { return errors };
        if blocks_rules(&errors) {
            errors.push(FieldError {
                path: FieldPath::new(NO_PATH),
                kind: FieldErrorKind::Invalid,
                value: Some("null".to_owned()),
                detail: RULES_NOT_ASKED.to_owned(),
            });
            return errors;
        }
        errors.extend(rules.check(&object, old.as_ref()));
        errors
    }

    fn validate_update(&self, _old: &dyn Object) -> Vec<FieldError> {
        Vec::new()
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn spec_differs(&self, old: &dyn Object) -> bool {
        let old = same(old);
        if !self.definition.has_status() {
            return self.body != old.body;
        }
        let rest = |body: &Map<String, Value>| body.len() - usize::from(body.contains_key(STATUS));
        rest(&self.body) != rest(&old.body)
            || self.body.iter().any(|(name, value)| name != STATUS && old.body.get(name) != Some(value))
    }

    fn fields(&self) -> FieldValues {
        if self.definition.selectable.is_empty() {
            return FieldValues::new();
        }
        let whole = self.whole();
        let paths = self.row.selectable.iter().zip(&self.definition.selectable);
        paths.map(|(name, path)| (*name, path.find(&whole).first().map(|own| shown(own)).unwrap_or_default())).collect()
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let whole = self.whole();
        let name = Cell::from(self.meta.name.as_deref().unwrap_or_default());
        let others = (0..self.definition.columns.len()).map(|at| self.cell(&whole, at, now).unwrap_or(Cell::Missing));
        std::iter::once(name).chain(others).collect()
    }

    fn default_grace_seconds(&self) -> Option<i64> {
        None
    }

    fn deletes_at_once(&self, grace_seconds: i64) -> bool {
        grace_seconds == 0
    }

    fn encode(&self) -> Result<Vec<u8>, Error> {
        json(self)
    }

    fn to_value(&self) -> Result<Value, Error> {
        serde_json::to_value(self)
    }

    fn equals(&self, other: &dyn Object) -> bool {
        let other = other.as_any().downcast_ref::<CustomObject>();
        other.is_some_and(|other| self.meta == other.meta && self.body == other.body)
    }

    fn boxed(&self) -> Box<dyn Object> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl CustomKind {
    fn object(&self, mut body: Map<String, Value>) -> Result<Box<dyn Object>, Error> {
        let definition = self.definition();
        let row = self.row;
        let kind = body.shift_remove("kind");
        if kind.as_ref().and_then(Value::as_str).is_some_and(|kind| !kind.is_empty() && kind != row.kind) {
            return Err(Error::custom(format_args!("the object is no {}", row.kind)));
        }
        body.shift_remove("apiVersion");
        let metadata = body.shift_remove("metadata").unwrap_or_else(|| json!({}));
        let meta: ObjectMeta = serde_json::from_value(metadata)?;
        Ok(Box::new(CustomObject { definition, row, meta, body, before: None }))
    }
}

impl Registered for CustomKind {
    fn def(&self) -> &'static ResourceDef {
        self.row
    }

    fn decode(&self, json: &[u8]) -> Result<Box<dyn Object>, Error> {
        self.object(serde_json::from_slice(json)?)
    }

    fn from_value(&self, value: Value) -> Result<Box<dyn Object>, Error> {
        self.object(serde_json::from_value(value)?)
    }

    fn validate_name(&self, name: &str, prefix_only: bool) -> Vec<String> {
        crate::labels::dns1123_subdomain(name, prefix_only)
    }

    fn converts(&self) -> bool {
        let definition = self.definition();
        !definition.is_storage || definition.is_mixed
    }

    fn is_own(&self, stored: &[u8]) -> bool {
        versions::api_version_of(stored).is_some_and(|own| own == self.definition().api_version())
    }

    fn present(&self, stored: &[u8]) -> Result<Vec<u8>, Error> {
        let definition = self.definition();
        if definition.needs_webhook && !self.is_own(stored) {
            return Err(Error::custom(BY_WEBHOOK));
        }
        let schema = definition.differs_from(versions::api_version_of(stored));
        versions::renamed(stored, &definition.api_version(), schema)
    }

    fn keep(&self, own: Vec<u8>) -> Result<Vec<u8>, Error> {
        let definition = self.definition();
        if definition.is_storage {
            return Ok(own);
        }
        if definition.needs_webhook {
            return Err(Error::custom(BY_WEBHOOK));
        }
        let stored = definition.schemas.get(&definition.stored_version);
        let schema = stored.filter(|stored| !Arc::ptr_eq(stored, &definition.schema));
        versions::renamed(&own, &definition.stored_api_version(), schema.map(|schema| &**schema))
    }

    fn normalized(&self, stored: &[u8]) -> Option<Vec<u8>> {
        versions::normalized(stored, &self.definition().schemas)
    }

    fn deprecation(&self) -> Option<String> {
        self.definition().deprecation.clone()
    }

    fn check<'a>(&self, json: &'a [u8]) -> Result<Checked<'a>, DecodeError> {
        let definition = self.definition();
        let mut checked = check_custom(json)?;
        let malformed = |error: Error| DecodeError::Syntax(error.to_string());
        let mut object: Map<String, Value> = serde_json::from_slice(&checked.json).map_err(malformed)?;
        let own = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        if !own.is_empty() && own != definition.api_version() {
            return Err(DecodeError::Type(format!("the object is of version {own}")));
        }
        let unknown = prune::prune(&definition.schema, &mut object);
        if !unknown.is_empty() {
            checked.strict_errors.extend(unknown.iter().map(|path| format!("unknown field {path:?}")));
            checked.json = Cow::Owned(serde_json::to_vec(&object).map_err(malformed)?);
        }
        Ok(checked)
    }

    fn open_schema(&self) -> Option<Arc<Value>> {
        Some(self.definition().open.clone())
    }

    fn is_ending(&self) -> bool {
        self.definition().is_ending
    }

    fn is_served(&self) -> bool {
        self.definition().is_served
    }
}
