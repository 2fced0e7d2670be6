//! What is wrong with one version of a definition.

use super::{schema, structural};
use crate::check::Errors;
use crate::field::{FieldError, FieldPath};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinitionVersion, JSONSchemaProps,
};

const WARNING_BYTES_MAX: usize = 256;
const SELECTABLE_MAX: usize = 8;
const COLUMN_TYPES: &[&str] = &["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: &[&str] = &["byte", "date", "date-time", "double", "float", "int32", "int64", "name", "password"];

/// What a root schema may have where the status is a subresource, as upstream's structs and as JSON name it.
const ROOT_FIELDS: &[(&str, &str)] = &[
    ("Description", "description"),
    ("Type", "type"),
    ("Format", "format"),
    ("Title", "title"),
    ("Maximum", "maximum"),
    ("ExclusiveMaximum", "exclusiveMaximum"),
    ("Minimum", "minimum"),
    ("ExclusiveMinimum", "exclusiveMinimum"),
    ("MaxLength", "maxLength"),
    ("MinLength", "minLength"),
    ("Pattern", "pattern"),
    ("MaxItems", "maxItems"),
    ("MinItems", "minItems"),
    ("UniqueItems", "uniqueItems"),
    ("MultipleOf", "multipleOf"),
    ("Required", "required"),
    ("Items", "items"),
    ("Properties", "properties"),
    ("ExternalDocs", "externalDocs"),
    ("Example", "example"),
    ("XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields"),
    ("XValidations", "x-kubernetes-validations"),
];

pub(super) fn deprecation(errors: &mut Errors, path: &FieldPath, version: &CustomResourceDefinitionVersion) {
    let Some(warning) = &version.deprecation_warning else { return };
    let path = path.child("deprecationWarning");
    if !version.deprecated.unwrap_or_default() {
        errors.push(FieldError::invalid(path, warning, "can only be set for deprecated versions"));
        return;
    }
    if warning.len() > WARNING_BYTES_MAX {
        let detail = format!("must be <= {WARNING_BYTES_MAX} characters long");
        errors.push(FieldError::invalid(path.clone(), warning, detail));
    }
    if warning.is_empty() {
        errors.push(FieldError::invalid(path.clone(), warning, "must not be an empty string"));
    }
    if let Some((at, _)) = warning.char_indices().find(|(_, character)| character.is_control()) {
        let words = "must only contain printable UTF-8 characters; non-printable character found at index";
        errors.push(FieldError::invalid(path, warning, format!("{words} {at}")));
    }
}

pub(super) fn schema(errors: &mut Errors, path: &FieldPath, version: &CustomResourceDefinitionVersion) {
    let own = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
    let Some(own) = own else { return };
    let path = path.child("openAPIV3Schema");
    if version.subresources.as_ref().is_some_and(|subresources| subresources.status.is_some()) {
        root_fields(errors, &path, own);
    }
    if own.nullable.unwrap_or_default() {
        errors.push(FieldError::forbidden(path.child("nullable"), "nullable cannot be true at the root"));
    }
    let mut broken = Errors::new();
    structural::structural(&mut broken, &path, own);
    broken.sort_by_key(ToString::to_string);
    errors.extend(broken);
    schema::schema(errors, &path, own);
}

/// With a status of its own the schema at the root must not say anything that the status' part would lose.
fn root_fields(errors: &mut Errors, path: &FieldPath, own: &JSONSchemaProps) {
    if let Some(kind) = own.type_.as_deref().filter(|kind| *kind != "object") {
        let detail = "only \"object\" is allowed as the type at the root of the schema if the status subresource is \
                      enabled";
        errors.push(FieldError::invalid(path.child("type"), kind, detail));
        return;
    }
    let fields = serde_json::to_value(own).unwrap_or_default();
    let known = |field: &String| ROOT_FIELDS.iter().any(|(_, name)| name == field);
    if fields.as_object().is_some_and(|fields| !fields.keys().all(known)) {
        let names: Vec<&str> = ROOT_FIELDS.iter().map(|(name, _)| *name).collect();
        let detail = format!(
            "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
            names.join(" ")
        );
        errors.push(FieldError::invalid(path.clone(), own, detail));
    }
}

fn json_path(errors: &mut Errors, path: FieldPath, text: &str) -> bool {
    match text {
        "" => errors.push(FieldError::required(path, "")),
        text if !text.starts_with('.') => {
            errors.push(FieldError::invalid(path, text, "must be a simple json path starting with ."));
        }
        _ => return true,
    }
    false
}

pub(super) fn subresources(errors: &mut Errors, path: &FieldPath, version: &CustomResourceDefinitionVersion) {
    let Some(scale) = version.subresources.as_ref().and_then(|own| own.scale.as_ref()) else { return };
    for (field, text, root) in [
        ("scale.specReplicasPath", &scale.spec_replicas_path, "spec"),
        ("scale.statusReplicasPath", &scale.status_replicas_path, "status"),
    ] {
        let path = path.child(field);
        if json_path(errors, path.clone(), text) && !text.starts_with(&format!(".{root}.")) {
            let detail = format!("should be a json path under .{root}");
            errors.push(FieldError::invalid(path, text, detail));
        }
    }
    let path = path.child("scale.labelSelectorPath");
    if let Some(text) = scale.label_selector_path.as_deref().filter(|text| !text.is_empty())
        && json_path(errors, path.clone(), text)
        && !text.starts_with(".spec.")
        && !text.starts_with(".status.")
    {
        let detail = "should be a json path under either .spec or .status";
        errors.push(FieldError::invalid(path, text, detail));
    }
}

pub(super) fn columns(errors: &mut Errors, path: &FieldPath, version: &CustomResourceDefinitionVersion) {
    for (index, column) in version.additional_printer_columns.iter().flatten().enumerate() {
        let path = path.index(index);
        if column.name.is_empty() {
            errors.push(FieldError::required(path.child("name"), ""));
        }
        let one_of = |names: &[&str]| format!("must be one of {}", names.join(","));
        match column.type_.as_str() {
            "" => errors.push(FieldError::required(path.child("type"), &one_of(COLUMN_TYPES))),
            own if !COLUMN_TYPES.contains(&own) => {
                errors.push(FieldError::invalid(path.child("type"), own, one_of(COLUMN_TYPES)));
            }
            _ => {}
        }
        if let Some(own) = column.format.as_deref().filter(|own| !own.is_empty() && !COLUMN_FORMATS.contains(own)) {
            errors.push(FieldError::invalid(path.child("format"), own, one_of(COLUMN_FORMATS)));
        }
        json_path(errors, path.child("JSONPath"), &column.json_path);
    }
}

/// Fields by which objects can be selected: paths to scalars of the schema.
pub(super) fn selectable(errors: &mut Errors, path: &FieldPath, version: &CustomResourceDefinitionVersion) {
    let fields = version.selectable_fields.as_deref().unwrap_or_default();
    let Some(schema) = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref()) else {
        if !fields.is_empty() {
            let detail = "selectableFields may only be set when version.schema.openAPIV3Schema is not included";
            errors.push(FieldError::invalid(path.clone(), "", detail));
        }
        return;
    };
    for (index, field) in fields.iter().enumerate() {
        let at = path.index(index).child("jsonPath");
        let text = field.json_path.as_str();
        if text.is_empty() {
            errors.push(FieldError::required(at, ""));
            continue;
        }
        let found = match found(schema, text) {
            Ok(found) => found,
            Err(why) => {
                errors.push(FieldError::invalid(at, text, format!("is an invalid path: {why}")));
                continue;
            }
        };
        if text.starts_with(".metadata") {
            errors.push(FieldError::invalid(at.clone(), text, "must not point to fields in metadata"));
        }
        if !matches!(found.type_.as_deref(), Some("string" | "boolean" | "integer")) {
            let detail = "must point to a field of type string, boolean or integer. Enum string fields and strings \
                          with formats are allowed.";
            errors.push(FieldError::invalid(at.clone(), text, detail));
        }
        if fields[..index].iter().any(|other| other.json_path == field.json_path) {
            errors.push(FieldError::duplicate(at, text));
        }
    }
    if fields.len() > SELECTABLE_MAX {
        errors.push(FieldError::too_many(path.clone(), fields.len(), SELECTABLE_MAX));
    }
}

fn found<'a>(schema: &'a JSONSchemaProps, path: &str) -> Result<&'a JSONSchemaProps, String> {
    let Some(rest) = path.strip_prefix('.') else {
        return Err("expected [ or . but got: ".to_owned() + path.get(..1).unwrap_or_default());
    };
    rest.split('.').try_fold(schema, |schema, name| {
        let child = schema.properties.as_ref().and_then(|properties| properties.get(name));
        child.ok_or_else(|| format!("does not refer to a valid field: {name:?}"))
    })
}
