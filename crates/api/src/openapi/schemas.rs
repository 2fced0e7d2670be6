//! Schemas of messages, and the set of those that a document refers to.

use super::custom;
use super::descriptions::Descriptions;
use super::{CustomSchemas, Dialect};
use crate::resource::ResourceDef;
use crate::schema::{self, Codec, Field, ListType, MapType, Message, Shape, Type};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const META: &str = "k8s.io.apimachinery.pkg.apis.meta.v1";

/// Collects the definitions that paths refer to, and those that these refer to.
pub(super) struct Schemas<'a> {
    dialect: Dialect,
    descriptions: &'a Descriptions,
    customs: CustomSchemas<'a>,
    /// Group and version of every served resource; options are kinds of all of them.
    group_versions: Vec<(String, String)>,
    definitions: BTreeMap<String, Value>,
}

impl<'a> Schemas<'a> {
    pub(super) fn new(
        dialect: Dialect,
        descriptions: &'a Descriptions,
        defs: &[&ResourceDef],
        customs: CustomSchemas<'a>,
    ) -> Self {
        let mut group_versions: Vec<_> =
            defs.iter().map(|def| (def.group.to_string(), def.version.to_string())).collect();
        group_versions.sort();
        group_versions.dedup();
        Schemas { dialect, descriptions, customs, group_versions, definitions: BTreeMap::new() }
    }

    pub(super) fn finish(self) -> Map<String, Value> {
        self.definitions.into_iter().collect()
    }

    /// A reference to what a resource's bodies are.
    pub(super) fn resource(&mut self, def: &ResourceDef) -> Value {
        if def.message.is_empty() { self.custom(def) } else { self.named(def.message) }
    }

    /// A reference to the list of a resource.
    pub(super) fn list(&mut self, def: &ResourceDef) -> Value {
        let list = format!("{}List", def.message);
        if !def.message.is_empty() && schema::message(&list).is_some() {
            self.named(&list)
        } else {
            self.made_list(def)
        }
    }

    /// A reference to a message of the meta group, `DeleteOptions`.
    pub(super) fn meta(&mut self, name: &str) -> Value {
        self.named(&format!("{META}.{name}"))
    }

    /// A reference to the message of this full name; an open object where the table does not know it.
    pub(super) fn named(&mut self, message: &str) -> Value {
        match schema::message(message) {
            Some(message) => self.message(message),
            None => json!({"type": "object"}),
        }
    }

    fn message(&mut self, message: &'static Message) -> Value {
        if message.codec == Codec::Items {
            return self.array(json!({"type": "string"}));
        }
        let name = message.openapi_name();
        if !self.definitions.contains_key(&name) {
            // Claimed first: messages refer to themselves.
            self.definitions.insert(name.clone(), Value::Null);
            let definition = self.definition(message, &name);
            self.definitions.insert(name.clone(), definition);
        }
        self.reference(&name)
    }

    fn reference(&self, name: &str) -> Value {
        match self.dialect {
            Dialect::V2 => json!({"$ref": format!("#/definitions/{name}")}),
            Dialect::V3 => json!({"$ref": format!("#/components/schemas/{name}")}),
        }
    }

    fn definition(&mut self, message: &'static Message, name: &str) -> Value {
        let mut definition = Map::new();
        if let Some(description) = self.descriptions.definition(name) {
            definition.insert("description".into(), description.into());
        }
        match message.codec {
            Codec::Object | Codec::Items => self.object(message, name, &mut definition),
            codec => definition.extend(self.special(codec, message.name)),
        }
        let kinds = self.kinds(message);
        if !kinds.is_empty() {
            definition.insert("x-kubernetes-group-version-kind".into(), kinds.into());
        }
        Value::Object(definition)
    }

    fn object(&mut self, message: &'static Message, name: &str, definition: &mut Map<String, Value>) {
        definition.insert("type".into(), "object".into());
        let fields = || message.fields.iter().filter(|field| !field.inline);
        let properties: Map<String, Value> =
            fields().map(|field| (field.name.to_owned(), self.property(name, field))).collect();
        if !properties.is_empty() {
            definition.insert("properties".into(), properties.into());
        }
        let required: Vec<&str> = fields().filter(|field| field.required).map(|field| field.name).collect();
        if !required.is_empty() {
            definition.insert("required".into(), required.into());
        }
        if message.atomic {
            definition.insert("x-kubernetes-map-type".into(), "atomic".into());
        }
    }

    fn property(&mut self, definition: &str, field: &Field) -> Value {
        let described = self.descriptions.field(definition, field.name);
        let element = self.element(field.kind);
        let schema = match field.shape {
            Shape::One => element,
            Shape::List => self.array(element),
            Shape::Map => json!({"type": "object", "additionalProperties": self.nested(element)}),
        };
        let mut property = Map::new();
        if let Some(description) = described {
            property.insert("description".into(), description.into());
        }
        if let Value::Object(members) = self.nested(schema) {
            property.extend(members);
        }
        if let Some(default) = field.default.and_then(|text| serde_json::from_str::<Value>(text).ok()) {
            property.insert("default".into(), default);
        }
        add_extensions(field, &mut property);
        Value::Object(property)
    }

    fn array(&self, element: Value) -> Value {
        json!({"type": "array", "items": self.nested(element)})
    }

    /// In v3 what stands beside a `$ref` is ignored, so that properties refer through `allOf`.
    fn nested(&self, schema: Value) -> Value {
        let is_reference = schema.get("$ref").is_some();
        if self.dialect == Dialect::V3 && is_reference { json!({"allOf": [schema]}) } else { schema }
    }

    fn element(&mut self, kind: Type) -> Value {
        match kind {
            Type::String => json!({"type": "string"}),
            Type::Int32 => json!({"type": "integer", "format": "int32"}),
            Type::Int64 => json!({"type": "integer", "format": "int64"}),
            Type::Bool => json!({"type": "boolean"}),
            Type::Bytes => json!({"type": "string", "format": "byte"}),
            Type::Double => json!({"type": "number", "format": "double"}),
            Type::Message(id) => self.message(id.get()),
        }
    }

    /// Messages whose JSON is no object of their fields.
    fn special(&self, codec: Codec, name: &str) -> Map<String, Value> {
        let schema = match (codec, self.dialect) {
            (Codec::Quantity, Dialect::V2) => json!({"type": "string"}),
            (Codec::Quantity, Dialect::V3) => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
            (Codec::IntOrString, Dialect::V2) => json!({"type": "string", "format": "int-or-string"}),
            (Codec::IntOrString, Dialect::V3) => {
                json!({"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"})
            }
            (Codec::Time | Codec::MicroTime, _) => json!({"type": "string", "format": "date-time"}),
            (Codec::Duration, _) => json!({"type": "string"}),
            // Any JSON at all, where RawExtension and FieldsV1 are objects.
            _ if name.starts_with("JSON") => json!({}),
            _ => json!({"type": "object"}),
        };
        schema.as_object().cloned().unwrap_or_default()
    }

    fn kinds(&self, message: &Message) -> Vec<Value> {
        if message.package == META && matches!(message.name, "DeleteOptions" | "WatchEvent") {
            let all = self.group_versions.iter();
            return all.map(|(group, version)| kind_value(group, version, message.name)).collect();
        }
        let kind = message.group_version.and_then(|group_version| group_version.split_once('/'));
        kind.map(|(group, version)| kind_value(group, version, message.name)).into_iter().collect()
    }

    /// An object of a kind that has no message: metadata is known, the rest is as its definition says.
    fn custom(&mut self, def: &ResourceDef) -> Value {
        let name = custom_name(def, def.kind);
        if !self.definitions.contains_key(&name) {
            let metadata = self.meta("ObjectMeta");
            let open = || Arc::new(json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
            let schema = (self.customs)(def).unwrap_or_else(open);
            let mut definition = custom::object(self.dialect, &schema, self.nested(metadata));
            definition.insert(
                "x-kubernetes-group-version-kind".into(),
                json!([kind_value(def.group, def.version, def.kind)]),
            );
            self.definitions.insert(name.clone(), Value::Object(definition));
        }
        self.reference(&name)
    }

    fn made_list(&mut self, def: &ResourceDef) -> Value {
        let kind = format!("{}List", def.kind);
        let name = custom_name(def, &kind);
        if !self.definitions.contains_key(&name) {
            let (metadata, items) = (self.meta("ListMeta"), self.resource(def));
            let definition = json!({
                "description": format!("{kind} is a list of {}", def.kind),
                "type": "object",
                "required": ["items"],
                "properties": {
                    "apiVersion": {"type": "string"},
                    "kind": {"type": "string"},
                    "metadata": self.nested(metadata),
                    "items": self.array(items),
                },
                "x-kubernetes-group-version-kind": [kind_value(def.group, def.version, &kind)],
            });
            self.definitions.insert(name.clone(), definition);
        }
        self.reference(&name)
    }
}

pub(super) fn kind_value(group: &str, version: &str, kind: &str) -> Value {
    json!({"group": group, "version": version, "kind": kind})
}

/// `com.example.stable.v1.CronTab`: the group's segments reversed.
fn custom_name(def: &ResourceDef, kind: &str) -> String {
    let group: Vec<&str> = def.group.rsplit('.').collect();
    format!("{}.{}.{kind}", group.join("."), def.version)
}

fn add_extensions(field: &Field, property: &mut Map<String, Value>) {
    let list_type = match field.list_type {
        ListType::Unset => None,
        ListType::Atomic => Some("atomic"),
        ListType::Set => Some("set"),
        ListType::Map(_) => Some("map"),
    };
    if let ListType::Map(keys) = field.list_type {
        let keys: Vec<&str> = keys.split(',').collect();
        property.insert("x-kubernetes-list-map-keys".into(), keys.into());
    }
    if let Some(list_type) = list_type {
        property.insert("x-kubernetes-list-type".into(), list_type.into());
    }
    match field.map_type {
        MapType::Unset => {}
        MapType::Atomic => drop(property.insert("x-kubernetes-map-type".into(), "atomic".into())),
        MapType::Granular => drop(property.insert("x-kubernetes-map-type".into(), "granular".into())),
    }
    if !field.merge_key.is_empty() {
        property.insert("x-kubernetes-patch-merge-key".into(), field.merge_key.into());
    }
    let strategies =
        [(field.patch_merge, "merge"), (field.patch_replace, "replace"), (field.patch_retain_keys, "retainKeys")];
    let strategies: Vec<&str> = strategies.iter().filter(|(has, _)| *has).map(|(_, name)| *name).collect();
    if !strategies.is_empty() {
        property.insert("x-kubernetes-patch-strategy".into(), strategies.join(",").into());
    }
}
