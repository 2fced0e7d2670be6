//! IngressClass: which controller serves an Ingress.

use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::networking::v1::IngressClass;
use k8s_openapi::jiff::Timestamp;

impl Kind for IngressClass {
    const DEF: ResourceDef = ResourceDef {
        columns: &[
            Column::NAME,
            Column::text("Controller").about("Who serves ingresses of this class."),
            Column::text("Parameters").about("Where its settings are."),
            Column::AGE,
        ],
        unattended: true,
        ..ResourceDef::new(
            "networking.k8s.io",
            "v1",
            "IngressClass",
            "ingressclasses",
            "ingressclass",
            Scope::Cluster,
            "k8s.io.api.networking.v1.IngressClass",
        )
    };

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let controller = self.spec.as_ref().and_then(|spec| spec.controller.as_deref());
        check::present(&mut errors, FieldPath::new("spec").child("controller"), controller);
        errors
    }

    fn validate_update(&self, old: &IngressClass) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let controller = |class: &IngressClass| class.spec.as_ref().and_then(|spec| spec.controller.clone());
        let path = FieldPath::new("spec").child("controller");
        check::immutable(&mut errors, path, &controller(self), &controller(old));
        errors
    }

    const GENERATION: bool = true;

    fn spec_differs(&self, old: &IngressClass) -> bool {
        !check::same(&self.spec, &old.spec)
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let spec = self.spec.as_ref();
        let parameters = spec.and_then(|spec| spec.parameters.as_ref()).map(|parameters| {
            let group = parameters.api_group.as_deref().map(|group| format!(".{group}")).unwrap_or_default();
            format!("{}{group}/{}", parameters.kind, parameters.name)
        });
        vec![
            columns::name(&self.metadata),
            Cell::from(spec.and_then(|spec| spec.controller.as_deref()).unwrap_or_default()),
            columns::or_none(parameters.as_deref()),
            columns::created(&self.metadata, now),
        ]
    }
}
