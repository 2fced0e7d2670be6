//! Validation of the metadata that every kind has. The registry calls it once for every write, whatever the kind.

use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::labels;
use crate::object::Registered;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, OwnerReference};

const FIELD_MANAGER_BYTES_MAX: usize = 128;
const SUBRESOURCE_BYTES_MAX: usize = 256;
/// Groups whose kinds take finalizers of any name; the others' are either Kubernetes' own or have a domain.
const GROUPS_OF_FREE_FINALIZERS: &[&str] = &[
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "coordination.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "policy",
];
const STANDARD_FINALIZERS: &[&str] = &["kubernetes", "orphan", "foregroundDeletion"];

/// All errors of an object's metadata as it stands, after its name was generated.
pub fn validate(row: &dyn Registered, meta: &ObjectMeta) -> Vec<FieldError> {
    let path = FieldPath::new("metadata");
    let mut errors = Errors::new();
    let prefix = meta.generate_name.as_deref().unwrap_or_default();
    if !prefix.is_empty() {
        check::each(&mut errors, &path.child("generateName"), prefix, row.validate_name(prefix, true));
    }
    match meta.name.as_deref().unwrap_or_default() {
        "" => errors.push(FieldError::required(path.child("name"), "name or generateName is required")),
        name => check::each(&mut errors, &path.child("name"), name, row.validate_name(name, false)),
    }
    namespace(&mut errors, &path.child("namespace"), row.def().namespaced(), meta.namespace.as_deref());
    check::non_negative(&mut errors, path.child("generation"), meta.generation);
    check::label_map(&mut errors, &path.child("labels"), meta.labels.as_ref());
    check::annotations(&mut errors, &path.child("annotations"), meta.annotations.as_ref());
    owners(&mut errors, &path.child("ownerReferences"), meta.owner_references.as_deref().unwrap_or_default());
    finalizers(&mut errors, &path.child("finalizers"), row, meta.finalizers.as_deref().unwrap_or_default());
    managed_fields(&mut errors, &path.child("managedFields"), meta.managed_fields.as_deref().unwrap_or_default());
    errors
}

/// Errors of the change only; `validate` is called as well.
pub fn validate_update(new: &ObjectMeta, old: &ObjectMeta) -> Vec<FieldError> {
    let path = FieldPath::new("metadata");
    let mut errors = Errors::new();
    if old.deletion_timestamp.is_some() {
        let known = old.finalizers.as_deref().unwrap_or_default();
        let mut added: Vec<&String> = new.finalizers.iter().flatten().filter(|name| !known.contains(name)).collect();
        added.sort();
        added.dedup();
        if !added.is_empty() {
            let list: Vec<String> = added.iter().map(|name| format!("{name:?}")).collect();
            let words = "no new finalizers can be added if the object is being deleted, found new finalizers";
            let detail = format!("{words} []string{{{}}}", list.join(", "));
            errors.push(FieldError::forbidden(path.child("finalizers"), detail));
        }
    }
    if new.resource_version.as_deref().unwrap_or_default().is_empty() {
        let detail = "must be specified for an update";
        errors.push(FieldError::invalid(path.child("resourceVersion"), "", detail));
    }
    if new.generation < old.generation {
        let generation = new.generation.unwrap_or_default();
        errors.push(FieldError::invalid(path.child("generation"), &generation, "must not be decremented"));
    }
    check::immutable(&mut errors, path.child("name"), &new.name, &old.name);
    check::immutable(&mut errors, path.child("namespace"), &new.namespace, &old.namespace);
    check::immutable(&mut errors, path.child("uid"), &new.uid, &old.uid);
    let created = (&new.creation_timestamp, &old.creation_timestamp);
    check::immutable(&mut errors, path.child("creationTimestamp"), created.0, created.1);
    let deleted = (&new.deletion_timestamp, &old.deletion_timestamp);
    check::immutable(&mut errors, path.child("deletionTimestamp"), deleted.0, deleted.1);
    let grace = (&new.deletion_grace_period_seconds, &old.deletion_grace_period_seconds);
    check::immutable(&mut errors, path.child("deletionGracePeriodSeconds"), grace.0, grace.1);
    errors
}

fn namespace(errors: &mut Errors, path: &FieldPath, namespaced: bool, namespace: Option<&str>) {
    match (namespaced, namespace.unwrap_or_default()) {
        (true, "") => errors.push(FieldError::required(path.clone(), "")),
        (true, name) => check::dns1123_label(errors, path, name),
        (false, "") => {}
        (false, _) => errors.push(FieldError::forbidden(path.clone(), "not allowed on this type")),
    }
}

fn owners(errors: &mut Errors, path: &FieldPath, owners: &[OwnerReference]) {
    let mut controller: Option<String> = None;
    for owner in owners {
        for (field, value, detail) in [
            ("apiVersion", &owner.api_version, "version must not be empty"),
            ("kind", &owner.kind, "must not be empty"),
            ("name", &owner.name, "must not be empty"),
            ("uid", &owner.uid, "must not be empty"),
        ] {
            if value.is_empty() {
                errors.push(FieldError::invalid(path.child(field), value, detail));
            }
        }
        if owner.api_version == "v1" && owner.kind == "Event" {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(FieldError::invalid(path.clone(), owner, detail));
        }
        if owner.controller == Some(true) {
            let name = format!("{}/{}", owner.kind, owner.name);
            if let Some(first) = &controller {
                let words = "Only one reference can have Controller set to true. Found \"true\" in references for";
                errors.push(FieldError::invalid(path.clone(), owners, format!("{words} {first} and {name}")));
            } else {
                controller = Some(name);
            }
        }
    }
}

fn finalizers(errors: &mut Errors, path: &FieldPath, row: &dyn Registered, finalizers: &[String]) {
    let def = row.def();
    // Kinds that users define have no message.
    let are_free = def.message.is_empty() || GROUPS_OF_FREE_FINALIZERS.contains(&def.group);
    for (index, finalizer) in finalizers.iter().enumerate() {
        check::each(errors, path, finalizer, labels::label_key(finalizer));
        if !are_free && !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer.as_str()) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(path.index(index), finalizer, detail));
        }
    }
    let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
    if has("orphan") && has("foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid(path.clone(), finalizers, detail));
    }
}

fn managed_fields(errors: &mut Errors, path: &FieldPath, entries: &[ManagedFieldsEntry]) {
    for (index, entry) in entries.iter().enumerate() {
        let path = path.index(index);
        let operation = entry.operation.as_deref().unwrap_or_default();
        if !matches!(operation, "Apply" | "Update") {
            let detail = "must be `Apply` or `Update`";
            errors.push(FieldError::invalid(path.child("operation"), operation, detail));
        }
        if let Some(fields_type) = entry.fields_type.as_deref().filter(|text| !text.is_empty() && *text != "FieldsV1") {
            errors.push(FieldError::invalid(path.child("fieldsType"), fields_type, "must be `FieldsV1`"));
        }
        field_manager(errors, &path.child("manager"), entry.manager.as_deref().unwrap_or_default());
        if entry.subresource.as_ref().is_some_and(|name| name.len() > SUBRESOURCE_BYTES_MAX) {
            errors.push(FieldError::too_long(path.child("subresource"), SUBRESOURCE_BYTES_MAX));
        }
    }
}

/// A field manager's name, as requests and managed fields carry it.
pub fn field_manager(errors: &mut Vec<FieldError>, path: &FieldPath, name: &str) {
    if name.len() > FIELD_MANAGER_BYTES_MAX {
        errors.push(FieldError::too_long(path.clone(), FIELD_MANAGER_BYTES_MAX));
    }
    for (at, character) in name.char_indices().filter(|(_, character)| character.is_control()) {
        let detail = format!("invalid character U+{:04X} (at position {at})", u32::from(character));
        errors.push(FieldError::invalid(path.clone(), name, detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::texts;
    use serde_json::json;

    fn meta(value: serde_json::Value) -> ObjectMeta {
        serde_json::from_value(value).unwrap()
    }

    fn check(plural: &str, value: serde_json::Value, expected: &[&str]) {
        let row = crate::object::find("", "v1", plural).unwrap();
        assert_eq!(texts(&validate(row, &meta(value.clone()))), expected, "{plural} {value}");
    }

    #[test]
    fn finalizers_are_known_or_have_a_domain() {
        let held = |names: &[&str]| json!({"name": "a", "namespace": "b", "finalizers": names});
        check("pods", held(&["kubernetes", "orphan", "a.io/b"]), &[]);
        check(
            "pods",
            held(&["foregroundDeletion", "x"]),
            &[
                "metadata.finalizers[1]: Invalid value: \"x\": name is neither a standard finalizer name nor is it fully \
               qualified",
            ],
        );
        let leases = crate::object::find("coordination.k8s.io", "v1", "leases").unwrap();
        assert_eq!(texts(&validate(leases, &meta(held(&["x"])))), [""; 0]);
    }

    #[test]
    fn metadata_is_validated_in_upstreams_words() {
        check("pods", json!({"name": "a", "namespace": "b"}), &[]);
        check("nodes", json!({"name": "a"}), &[]);
        check(
            "pods",
            json!({}),
            &["metadata.name: Required value: name or generateName is required", "metadata.namespace: Required value"],
        );
        check(
            "nodes",
            json!({"name": "a", "namespace": "b"}),
            &["metadata.namespace: Forbidden: not allowed on this type"],
        );
        check(
            "nodes",
            json!({"name": "a", "labels": {"a/b": "c d"}}),
            &[
                "metadata.labels: Invalid value: \"c d\": a valid label must be an empty string or consist of alphanumeric \
               characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
               'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            ],
        );
        check(
            "nodes",
            json!({"name": "a", "annotations": {"X.io/a": "x".repeat(300_000)}}),
            &["metadata.annotations: Too long: may not be more than 262144 bytes"],
        );
        check(
            "nodes",
            json!({"name": "a", "ownerReferences": [
                {"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "1", "controller": true},
                {"apiVersion": "v1", "kind": "Pod", "name": "", "uid": "1"},
            ]}),
            &["metadata.ownerReferences.name: Invalid value: \"\": must not be empty"],
        );
        check(
            "nodes",
            json!({"name": "a", "finalizers": ["orphan", "foregroundDeletion"]}),
            &["metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\"]: finalizer orphan and \
               foregroundDeletion cannot be both set"],
        );
        check(
            "nodes",
            json!({"name": "a", "managedFields": [{"operation": "x", "manager": "a\nb"}]}),
            &[
                "metadata.managedFields[0].operation: Invalid value: \"x\": must be `Apply` or `Update`",
                "metadata.managedFields[0].manager: Invalid value: \"a\\nb\": invalid character U+000A (at position 1)",
            ],
        );
    }

    #[test]
    fn what_may_not_change_is_refused() {
        let old = meta(json!({"name": "a", "uid": "1", "resourceVersion": "1", "generation": 2,
                              "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]}));
        let new = meta(json!({"name": "a", "uid": "2", "generation": 1,
                              "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b", "a/c"]}));
        assert_eq!(
            texts(&validate_update(&new, &old)),
            [
                "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found \
                 new finalizers []string{\"a/c\"}",
                "metadata.resourceVersion: Invalid value: \"\": must be specified for an update",
                "metadata.generation: Invalid value: 1: must not be decremented",
                "metadata.uid: Invalid value: \"2\": field is immutable",
            ]
        );
        assert_eq!(texts(&validate_update(&old, &old)), Vec::<String>::new());
    }
}
