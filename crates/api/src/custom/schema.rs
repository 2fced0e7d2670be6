//! A structural schema, compiled: what pruning, defaulting and validation walk.

use super::prune;
use super::validate::{NO_PATH, validate};
use crate::field::{FieldError, FieldPath};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;

/// A JSON type as schemas name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Array,
    Boolean,
    Integer,
    Number,
    Object,
    String,
}

impl Type {
    fn parse(name: &str) -> Option<Type> {
        Some(match name {
            "array" => Type::Array,
            "boolean" => Type::Boolean,
            "integer" => Type::Integer,
            "number" => Type::Number,
            "object" => Type::Object,
            "string" => Type::String,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Type::Array => "array",
            Type::Boolean => "boolean",
            Type::Integer => "integer",
            Type::Number => "number",
            Type::Object => "object",
            Type::String => "string",
        }
    }
}

/// What the members of a map that the schema does not name are.
#[derive(Debug, Default)]
pub(super) enum Members {
    /// Unknown fields.
    #[default]
    None,
    Anything,
    Of(Box<Schema>),
}

/// How the items of a list are told apart.
#[derive(Debug, Default)]
pub(super) enum Identity {
    #[default]
    Places,
    /// Each is its own name.
    Values,
    /// By these members.
    Keys(Vec<String>),
}

/// One node of a schema.
#[derive(Debug, Default)]
pub struct Schema {
    pub(super) kind: Option<Type>,
    pub(super) nullable: bool,
    pub(super) int_or_string: bool,
    /// A whole object, with its own `apiVersion`, `kind` and `metadata`.
    pub(super) embedded: bool,
    pub(super) preserves_unknown: bool,
    pub(super) default: Option<Value>,
    /// Boxed, as a map's node has room for eleven, and most objects have few properties.
    pub(super) properties: BTreeMap<String, Box<Schema>>,
    pub(super) members: Members,
    pub(super) items: Option<Box<Schema>>,
    pub(super) identity: Identity,
    pub(super) bounds: Bounds,
}

/// What values are judged by.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    pub(super) required: Vec<String>,
    pub(super) allowed: Vec<Value>,
    pub(super) format: Option<String>,
    pub(super) pattern: Option<Regex>,
    pub(super) minimum: Option<f64>,
    pub(super) maximum: Option<f64>,
    pub(super) above_minimum: bool,
    pub(super) below_maximum: bool,
    pub(super) multiple_of: Option<f64>,
    pub(super) length: Range,
    pub(super) items: Range,
    pub(super) properties: Range,
    pub(super) all_of: Vec<Schema>,
    pub(super) any_of: Vec<Schema>,
    pub(super) one_of: Vec<Schema>,
    pub(super) not: Option<Box<Schema>>,
}

/// Least and most of something.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Range {
    pub(super) least: Option<usize>,
    pub(super) most: Option<usize>,
}

impl Range {
    fn of(least: Option<i64>, most: Option<i64>) -> Range {
        // A negative bound is as good as zero.
        let size = |bound: i64| usize::try_from(bound).unwrap_or_default();
        Range { least: least.map(size), most: most.map(size) }
    }
}

fn set(flag: Option<bool>) -> bool {
    flag.unwrap_or_default()
}

impl Schema {
    /// # Errors
    /// When a pattern is no regular expression.
    pub fn compile(source: &JSONSchemaProps) -> Result<Schema, regex::Error> {
        let each = |list: &Option<Vec<JSONSchemaProps>>| -> Result<Vec<Schema>, regex::Error> {
            list.iter().flatten().map(Schema::compile).collect()
        };
        let mut properties = BTreeMap::new();
        for (name, property) in source.properties.iter().flatten() {
            properties.insert(name.clone(), Box::new(Schema::compile(property)?));
        }
        let members = match &source.additional_properties {
            Some(JSONSchemaPropsOrBool::Schema(schema)) => Members::Of(Box::new(Schema::compile(schema)?)),
            Some(JSONSchemaPropsOrBool::Bool(true)) => Members::Anything,
            _ => Members::None,
        };
        let items = match &source.items {
            Some(JSONSchemaPropsOrArray::Schema(schema)) => Some(Box::new(Schema::compile(schema)?)),
            _ => None,
        };
        let identity = match source.x_kubernetes_list_type.as_deref() {
            Some("set") => Identity::Values,
            Some("map") => Identity::Keys(source.x_kubernetes_list_map_keys.clone().unwrap_or_default()),
            _ => Identity::Places,
        };
        let bounds = Bounds {
            all_of: each(&source.all_of)?,
            any_of: each(&source.any_of)?,
            one_of: each(&source.one_of)?,
            not: source.not.as_deref().map(Schema::compile).transpose()?.map(Box::new),
            ..Bounds::simple(source)?
        };
        Ok(Schema {
            kind: source.type_.as_deref().and_then(Type::parse),
            nullable: set(source.nullable),
            int_or_string: set(source.x_kubernetes_int_or_string),
            embedded: set(source.x_kubernetes_embedded_resource),
            preserves_unknown: set(source.x_kubernetes_preserve_unknown_fields),
            default: source.default.as_ref().map(|JSON(value)| value.clone()),
            properties,
            members,
            items,
            identity,
            bounds,
        })
    }

    /// What is wrong with this default of it, in upstream's words; `path` is the default's.
    pub fn judge(&self, default: &Value, path: &FieldPath) -> Vec<FieldError> {
        let mut pruned = default.clone();
        prune::prune_value(self, &mut pruned);
        let mut errors = Vec::new();
        if pruned != *default {
            errors.push(FieldError::invalid(path.clone(), default, "must be pruned"));
        }
        errors.extend(validate(self, default, None).into_iter().map(|error| {
            let below = error.path.as_str();
            let whole = match below {
                NO_PATH => path.clone(),
                below if below.starts_with('[') => FieldPath::new(&format!("{path}{below}")),
                below => path.child(below),
            };
            FieldError { path: whole, ..error }
        }));
        errors
    }

    /// A schema that keeps everything and judges nothing.
    pub(super) fn open() -> Schema {
        Schema { preserves_unknown: true, ..Schema::default() }
    }

    /// The schema of a member, if it is known.
    pub(super) fn member(&self, name: &str) -> Option<&Schema> {
        self.properties.get(name).map(|property| &**property).or(match &self.members {
            Members::Of(schema) => Some(schema),
            Members::None | Members::Anything => None,
        })
    }
}

impl Bounds {
    fn simple(source: &JSONSchemaProps) -> Result<Bounds, regex::Error> {
        let pattern = source.pattern.as_deref().filter(|pattern| !pattern.is_empty());
        Ok(Bounds {
            required: source.required.clone().unwrap_or_default(),
            allowed: source.enum_.iter().flatten().map(|JSON(value)| value.clone()).collect(),
            format: source.format.clone().filter(|format| !format.is_empty()),
            pattern: pattern.map(Regex::new).transpose()?,
            minimum: source.minimum,
            maximum: source.maximum,
            above_minimum: set(source.exclusive_minimum),
            below_maximum: set(source.exclusive_maximum),
            multiple_of: source.multiple_of,
            length: Range::of(source.min_length, source.max_length),
            items: Range::of(source.min_items, source.max_items),
            properties: Range::of(source.min_properties, source.max_properties),
            ..Bounds::default()
        })
    }
}
