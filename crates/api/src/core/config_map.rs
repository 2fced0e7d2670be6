//! ConfigMap: settings as files and variables.

use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::labels;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::jiff::Timestamp;

/// All the bytes that a ConfigMap or a Secret may hold.
pub(super) const BYTES_MAX: usize = 1024 * 1024;

/// What may no longer change once an object has said so of itself.
pub(super) const IMMUTABLE: &str = "field is immutable when `immutable` is set";

impl Kind for ConfigMap {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["cm"],
        columns: &[Column::NAME, Column::integer("Data").about("How many entries it has."), Column::AGE],
        ..ResourceDef::new(
            "",
            "v1",
            "ConfigMap",
            "configmaps",
            "configmap",
            Scope::Namespaced,
            "k8s.io.api.core.v1.ConfigMap",
        )
    };

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let (data, binary) = (FieldPath::new("data"), FieldPath::new("binaryData"));
        let mut bytes = 0;
        for (key, value) in self.data.iter().flatten() {
            check::each(&mut errors, &data.key(key), key, labels::config_key(key));
            if self.binary_data.as_ref().is_some_and(|binary| binary.contains_key(key)) {
                let detail = "duplicate of key present in binaryData";
                errors.push(FieldError::invalid(data.key(key), key, detail));
            }
            bytes += value.len();
        }
        for (key, value) in self.binary_data.iter().flatten() {
            check::each(&mut errors, &binary.key(key), key, labels::config_key(key));
            bytes += value.0.len();
        }
        if bytes > BYTES_MAX {
            // Upstream's path without a name is an index without one.
            errors.push(FieldError::too_long(FieldPath::new("[]"), BYTES_MAX));
        }
        errors
    }

    fn validate_update(&self, old: &ConfigMap) -> Vec<FieldError> {
        if old.immutable != Some(true) {
            return Vec::new();
        }
        [
            ("immutable", self.immutable == Some(true)),
            ("data", check::same(&self.data, &old.data)),
            ("binaryData", check::same(&self.binary_data, &old.binary_data)),
        ]
        .into_iter()
        .filter(|(_, kept)| !kept)
        .map(|(field, _)| FieldError::forbidden(FieldPath::new(field), IMMUTABLE))
        .collect()
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let entries =
            self.data.as_ref().map_or(0, |data| data.len()) + self.binary_data.as_ref().map_or(0, |data| data.len());
        vec![columns::name(&self.metadata), Cell::Integer(entries as i64), columns::created(&self.metadata, now)]
    }
}
