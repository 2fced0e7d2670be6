//! VolumeAttributesClass: what may be changed of a volume while it is in use.

use super::rules;
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::storage::v1::VolumeAttributesClass;
use k8s_openapi::jiff::Timestamp;

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
        if self.parameters.as_ref().is_none_or(|parameters| parameters.is_empty()) {
            errors.push(FieldError::required(path.clone(), "must contain at least one key/value pair"));
        }
        rules::parameters(&mut errors, &path, self.parameters.as_ref());
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
