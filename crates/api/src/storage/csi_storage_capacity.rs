//! CSIStorageCapacity: how much room a storage class has for some nodes.

use crate::check::{self, Errors};
use crate::core::{columns, resources};
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::storage::v1::CSIStorageCapacity;
use k8s_openapi::jiff::Timestamp;

impl Kind for CSIStorageCapacity {
    const DEF: ResourceDef = ResourceDef {
        unconditional_update: false,
        columns: &[
            Column::NAME,
            Column::text("StorageClassName").about("The class whose room it is."),
            Column::text("Capacity").about("How much room there is."),
        ],
        unattended: true,
        ..ResourceDef::new(
            "storage.k8s.io",
            "v1",
            "CSIStorageCapacity",
            "csistoragecapacities",
            "csistoragecapacity",
            Scope::Namespaced,
            "k8s.io.api.storage.v1.CSIStorageCapacity",
        )
    };

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if let Some(topology) = &self.node_topology {
            check::label_selector(&mut errors, &FieldPath::new("nodeTopology"), topology);
        }
        check::dns1123_subdomain(&mut errors, &FieldPath::new("storageClassName"), &self.storage_class_name);
        if let Some(capacity) = &self.capacity {
            resources::amount(&mut errors, &FieldPath::new("capacity"), "storage", capacity);
        }
        errors
    }

    fn validate_update(&self, old: &CSIStorageCapacity) -> Vec<FieldError> {
        let mut errors = Errors::new();
        check::immutable(&mut errors, FieldPath::new("nodeTopology"), &self.node_topology, &old.node_topology);
        let path = FieldPath::new("storageClassName");
        check::immutable(&mut errors, path, &self.storage_class_name, &old.storage_class_name);
        errors
    }

    fn row(&self, _now: Timestamp) -> Vec<Cell> {
        vec![
            columns::name(&self.metadata),
            Cell::from(self.storage_class_name.as_str()),
            Cell::from(self.capacity.as_ref().map_or("<unset>", |capacity| capacity.0.as_str())),
        ]
    }
}
