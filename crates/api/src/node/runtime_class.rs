//! RuntimeClass: how a node runs a pod's containers.

use crate::check::{self, Errors};
use crate::core::resources::{self, Holder};
use crate::core::{columns, pod};
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::core::v1::{ResourceRequirements, Toleration};
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
        if let Some(overhead) = &self.overhead {
            let limits = ResourceRequirements { limits: overhead.pod_fixed.clone(), ..ResourceRequirements::default() };
            resources::requirements(&mut errors, &FieldPath::new("overhead"), &limits, Holder::Container, &[]);
        }
        if let Some(scheduling) = &self.scheduling {
            let path = FieldPath::new("scheduling");
            check::label_map(&mut errors, &path.child("nodeSelector"), scheduling.node_selector.as_ref());
            let tolerations = scheduling.tolerations.as_deref().unwrap_or_default();
            self::tolerations(&mut errors, &path.child("tolerations"), tolerations);
        }
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

/// Each by itself, and none twice.
fn tolerations(errors: &mut Errors, path: &FieldPath, tolerations: &[Toleration]) {
    pod::scheduling::tolerations(errors, path, tolerations);
    let key = |own: &Toleration| (own.key.clone(), own.operator.clone(), own.value.clone(), own.effect.clone());
    for (index, toleration) in tolerations.iter().enumerate() {
        if tolerations[..index].iter().any(|other| key(other) == key(toleration)) {
            errors.push(FieldError::duplicate(path.index(index), toleration));
        }
    }
}
