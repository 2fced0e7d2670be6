//! CSINode: which storage drivers a node has.

use crate::core::columns;
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::storage::v1::CSINode;
use k8s_openapi::jiff::Timestamp;

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

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        vec![
            columns::name(&self.metadata),
            Cell::Integer(self.spec.drivers.len() as i64),
            columns::created(&self.metadata, now),
        ]
    }
}
