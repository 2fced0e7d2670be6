//! StorageVersionMigration: asks that all objects of a resource be written again in the version that is stored now.

use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::{Kind, status_apart};
use crate::labels;
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::storagemigration::v1::StorageVersionMigration;
use k8s_openapi::jiff::Timestamp;

impl Kind for StorageVersionMigration {
    const DEF: ResourceDef = ResourceDef {
        subresources: &[Subresource::Status],
        columns: &[
            Column { format: "", ..Column::NAME },
            Column::text("Resource").about("Whose objects are written again."),
        ],
        ..ResourceDef::new(
            "storagemigration.k8s.io",
            "v1",
            "StorageVersionMigration",
            "storageversionmigrations",
            "storageversionmigration",
            Scope::Cluster,
            "k8s.io.api.storagemigration.v1.StorageVersionMigration",
        )
    };

    fn defaults(&mut self) {
        self.spec.get_or_insert_default();
        self.status.get_or_insert_default();
    }

    status_apart!(StorageVersionMigration);

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec").child("resource");
        let wanted = self.spec.clone().unwrap_or_default().resource;
        if wanted.resource.is_empty() {
            errors.push(FieldError::required(path.child("resource"), "resource is required to be set"));
        } else {
            joined(
                &mut errors,
                path.child("resource"),
                &wanted.resource,
                labels::dns1035_label(&wanted.resource, false),
            );
        }
        if !wanted.group.is_empty() {
            joined(&mut errors, path.child("group"), &wanted.group, labels::dns1123_subdomain(&wanted.group, false));
        }
        one_outcome(&mut errors, self);
        errors
    }

    fn validate_update(&self, old: &StorageVersionMigration) -> Vec<FieldError> {
        let mut errors = Errors::new();
        check::immutable(&mut errors, FieldPath::new("spec"), &self.spec, &old.spec);
        let path = FieldPath::new("status");
        let version = |own: &StorageVersionMigration| {
            own.status.as_ref().and_then(|status| status.resource_version.clone()).unwrap_or_default()
        };
        if !version(old).is_empty() && version(self) != version(old) {
            let detail = "field is immutable";
            errors.push(FieldError::invalid(path.child("resourceVersion"), &version(self), detail));
        }
        for (kind, words) in [("Succeeded", "Success"), ("Failed", "Failed")] {
            if holds(old, kind) && !holds(self, kind) {
                let detail = format!("{words} condition cannot be set to false once it is true");
                errors.push(FieldError::invalid(path.child("conditions"), &conditions(self), detail));
            }
        }
        errors
    }

    fn row(&self, _now: Timestamp) -> Vec<Cell> {
        let wanted = self.spec.clone().unwrap_or_default().resource;
        let group = if wanted.group.is_empty() { String::new() } else { format!(".{}", wanted.group) };
        vec![columns::name(&self.metadata), Cell::Text(format!("{}{group}", wanted.resource))]
    }
}

type Condition = k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

fn conditions(migration: &StorageVersionMigration) -> &[Condition] {
    migration.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default()
}

fn holds(migration: &StorageVersionMigration, kind: &str) -> bool {
    conditions(migration).iter().any(|condition| condition.type_ == kind && condition.status == "True")
}

/// One error of all complaints about a value.
fn joined(errors: &mut Errors, path: FieldPath, value: &str, complaints: Vec<String>) {
    if !complaints.is_empty() {
        errors.push(FieldError::invalid(path, value, complaints.join(",")));
    }
}

fn one_outcome(errors: &mut Errors, migration: &StorageVersionMigration) {
    let path = FieldPath::new("status").child("conditions");
    let both = |one: &str, other: &str| holds(migration, one) && holds(migration, other);
    for (contradict, detail) in [
        (both("Succeeded", "Failed"), "Both success and failed conditions cannot be true at the same time"),
        (both("Succeeded", "Running"), "Running condition cannot be true when success condition is true"),
        (both("Failed", "Running"), "Running condition cannot be true when failed condition is true"),
    ] {
        if contradict {
            errors.push(FieldError::invalid(path.clone(), conditions(migration), detail));
        }
    }
}
