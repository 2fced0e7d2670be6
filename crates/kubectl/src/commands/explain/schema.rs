//! Looking things up in an OpenAPI v3 document.

use api::ResourceDef;
use serde_json::Value;

static NONE: Value = Value::Null;

pub(super) struct Schemas {
    document: Value,
}

impl Schemas {
    pub(super) fn of(document: Value) -> Schemas {
        Schemas { document }
    }

    fn all(&self) -> impl Iterator<Item = &Value> {
        self.document
            .pointer("/components/schemas")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(_, one)| one)
    }

    pub(super) fn of_kind(&self, def: &ResourceDef) -> Option<&Value> {
        let is = |schema: &&Value| {
            let kinds = schema["x-kubernetes-group-version-kind"].as_array();
            // Options of requests are listed under every group: they have no kind of their own.
            kinds.is_some_and(|kinds| {
                kinds.iter().any(|kind| {
                    kind["group"].as_str().unwrap_or_default() == def.group
                        && kind["version"] == def.version
                        && kind["kind"] == def.kind
                })
            })
        };
        self.all().find(is)
    }

    /// What a reference leads to, or the schema itself.
    fn followed<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match reference(schema).and_then(|text| text.strip_prefix('#')) {
            Some(pointer) => self.document.pointer(pointer).unwrap_or(&NONE),
            None => schema,
        }
    }

    /// The schema whose properties are meant: of a list or a map, that of its elements.
    pub(super) fn object<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let mut schema = self.followed(schema);
        while let Some(inner) = element(schema) {
            schema = self.followed(inner);
        }
        schema
    }

    /// What is said of the field, then of its type and its elements' type.
    pub(super) fn descriptions<'a>(&'a self, schema: &'a Value) -> Vec<&'a str> {
        let mut texts = Vec::new();
        let mut schema = schema;
        loop {
            texts.push(self.descriptions_of_own(schema));
            let followed = self.followed(schema);
            schema = if std::ptr::eq(followed, schema) {
                match element(schema) {
                    Some(inner) => inner,
                    None => break,
                }
            } else {
                followed
            };
        }
        texts.retain(|text| !text.is_empty());
        texts
    }

    pub(super) fn descriptions_of_own<'a>(&self, schema: &'a Value) -> &'a str {
        schema["description"].as_str().unwrap_or_default()
    }

    /// `[]Container`, `map[string]string`, `ObjectMeta`; what a reference leads to has a name of its own unless it is
    /// a plain text or number.
    pub(super) fn type_name(&self, schema: &Value) -> String {
        if let Some(reference) = reference(schema) {
            return match self.followed(schema)["type"].as_str() {
                Some(plain) if plain != "object" => plain.to_owned(),
                _ => reference.rsplit(['/', '.']).next().unwrap_or_default().to_owned(),
            };
        }
        match schema["type"].as_str() {
            Some("array") => format!("[]{}", self.type_name(&schema["items"])),
            Some("object") => match schema.get("additionalProperties").filter(|inner| inner.is_object()) {
                Some(inner) => format!("map[string]{}", self.type_name(inner)),
                None => "Object".to_owned(),
            },
            Some(other) => other.to_owned(),
            None if schema["x-kubernetes-int-or-string"] == true => "IntOrString".to_owned(),
            None => "Object".to_owned(),
        }
    }

    /// The values that a field may have, where they are counted.
    pub(super) fn values(&self, schema: &Value) -> Vec<String> {
        let list = schema["enum"].as_array().into_iter().flatten();
        list.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect()
    }
}

fn reference(schema: &Value) -> Option<&str> {
    let own = schema["$ref"].as_str();
    own.or_else(|| schema["allOf"].as_array()?.first()?["$ref"].as_str())
}

fn element(schema: &Value) -> Option<&Value> {
    let inner = schema.get("items").or_else(|| schema.get("additionalProperties"));
    inner.filter(|inner| inner.is_object())
}
