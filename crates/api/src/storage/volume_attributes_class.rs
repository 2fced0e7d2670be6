//! VolumeAttributesClass: what may be changed of a volume while it is in use.

use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::storage::v1::VolumeAttributesClass;
use k8s_openapi::jiff::Timestamp;

/// Of keys and values together, and how many.
const PARAMETERS_BYTES_MAX: usize = 256 * 1024;
const PARAMETERS_MAX: usize = 512;

impl Kind for VolumeAttributesClass {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["vac"],
        columns: &[Column::NAME, Column::text("DriverName").about("The driver whose volumes it is for."), Column::AGE],
        unattended: true,
        ..ResourceDef::new(
            "storage.k8s.io",
            "v1",
            "VolumeAttributesClass",
            "volumeattributesclasses",
            "volumeattributesclass",
            Scope::Cluster,
            "k8s.io.api.storage.v1.VolumeAttributesClass",
        )
    };

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("driverName");
        check::present(&mut errors, path.clone(), Some(&self.driver_name));
        if !self.driver_name.is_empty() {
            check::label_key(&mut errors, &path, &self.driver_name.to_lowercase());
        }
        let path = FieldPath::new("parameters");
        let parameters = self.parameters.clone().unwrap_or_default();
        if parameters.is_empty() {
            errors.push(FieldError::required(path.clone(), "must contain at least one key/value pair"));
        }
        if parameters.len() > PARAMETERS_MAX {
            errors.push(FieldError::too_many(path.clone(), parameters.len(), PARAMETERS_MAX));
        }
        for key in parameters.keys().filter(|key| key.is_empty()) {
            errors.push(FieldError::invalid(path.clone(), key, "field can not be empty."));
        }
        if parameters.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > PARAMETERS_BYTES_MAX {
            errors.push(FieldError::too_long(path, PARAMETERS_BYTES_MAX));
        }
        errors
    }

    fn validate_update(&self, old: &VolumeAttributesClass) -> Vec<FieldError> {
        let mut errors = Errors::new();
        for (field, kept) in [
            ("driverName", self.driver_name == old.driver_name),
            ("parameters", check::same(&self.parameters, &old.parameters)),
        ] {
            if !kept {
                let detail = format!("updates to {field} are forbidden.");
                errors.push(FieldError::forbidden(FieldPath::new(field), detail));
            }
        }
        errors
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        vec![
            columns::name(&self.metadata),
            Cell::from(self.driver_name.as_str()),
            columns::created(&self.metadata, now),
        ]
    }
}
