//! CSINode: which storage drivers a node has.

use super::rules;
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::storage::v1::{CSINode, CSINodeDriver};
use k8s_openapi::jiff::Timestamp;

const NODE_ID_BYTES_MAX: usize = 256;

impl Kind for CSINode {
    const DEF: ResourceDef = ResourceDef {
        unconditional_update: false,
        columns: &[Column::NAME, Column::integer("Drivers").about("How many drivers it has."), Column::AGE],
        unattended: true,
        ..ResourceDef::new(
            "storage.k8s.io",
            "v1",
            "CSINode",
            "csinodes",
            "csinode",
            Scope::Cluster,
            "k8s.io.api.storage.v1.CSINode",
        )
    };

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let drivers = &self.spec.drivers;
        for (index, driver) in drivers.iter().enumerate() {
            let path = FieldPath::new("spec").child("drivers").index(index);
            self::driver(&mut errors, &path, driver);
            if drivers[..index].iter().any(|other| other.name == driver.name) {
                errors.push(FieldError::duplicate(path.child("name"), &driver.name));
            }
        }
        errors
    }

    /// A driver stays what it said when it came, but for how many volumes fit.
    fn validate_update(&self, old: &CSINode) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let fixed = |driver: &CSINodeDriver| CSINodeDriver { allocatable: None, ..driver.clone() };
        for before in &old.spec.drivers {
            for driver in self.spec.drivers.iter().filter(|driver| driver.name == before.name) {
                let path = FieldPath::new("spec").child("drivers");
                check::immutable(&mut errors, path, &fixed(driver), &fixed(before));
            }
        }
        errors
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        vec![
            columns::name(&self.metadata),
            Cell::Integer(self.spec.drivers.len() as i64),
            columns::created(&self.metadata, now),
        ]
    }
}

fn driver(errors: &mut Errors, path: &FieldPath, driver: &CSINodeDriver) {
    rules::driver_name(errors, &path.child("name"), &driver.name);
    let id = path.child("nodeID");
    check::present(errors, id.clone(), Some(&driver.node_id));
    if driver.node_id.len() > NODE_ID_BYTES_MAX {
        let detail = format!("must be {NODE_ID_BYTES_MAX} characters or less");
        errors.push(FieldError::invalid(id, &driver.node_id, detail));
    }
    let count = driver.allocatable.as_ref().and_then(|allocatable| allocatable.count);
    check::non_negative(errors, path.child("allocatable").child("count"), count);
    let keys = driver.topology_keys.as_deref().unwrap_or_default();
    for (index, key) in keys.iter().enumerate() {
        check::present(errors, path.clone(), Some(key));
        if keys[..index].contains(key) {
            errors.push(FieldError::duplicate(path.clone(), key));
        }
        check::label_key(errors, path, key);
    }
}
