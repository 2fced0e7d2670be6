//! RuntimeClass: how a node runs a pod's containers.

use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::jiff::Timestamp;

impl Kind for RuntimeClass {
    const DEF: ResourceDef = ResourceDef {
        create_on_update: true,
        unconditional_update: false,
        columns: &[Column::NAME, Column::text("Handler").about("The runtime's name for it."), Column::AGE],
        unattended: true,
        ..ResourceDef::new(
            "node.k8s.io",
            "v1",
            "RuntimeClass",
            "runtimeclasses",
            "runtimeclass",
            Scope::Cluster,
            "k8s.io.api.node.v1.RuntimeClass",
        )
    };

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        check::dns1123_label(&mut errors, &FieldPath::new("handler"), &self.handler);
        errors
    }

    fn validate_update(&self, old: &RuntimeClass) -> Vec<FieldError> {
        let mut errors = Errors::new();
        check::immutable(&mut errors, FieldPath::new("handler"), &self.handler, &old.handler);
        errors
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        vec![columns::name(&self.metadata), Cell::from(self.handler.as_str()), columns::created(&self.metadata, now)]
    }
}
