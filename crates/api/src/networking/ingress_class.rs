//! IngressClass: which controller serves an Ingress.

use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::labels;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::networking::v1::{IngressClass, IngressClassParametersReference};
use k8s_openapi::jiff::Timestamp;

const CONTROLLER_BYTES_MAX: usize = 250;

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

    fn defaults(&mut self) {
        if let Some(parameters) = self.spec.as_mut().and_then(|spec| spec.parameters.as_mut()) {
            parameters.scope.get_or_insert_with(|| "Cluster".to_owned());
        }
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec");
        let controller = self.spec.as_ref().and_then(|spec| spec.controller.as_deref()).unwrap_or_default();
        if controller.len() > CONTROLLER_BYTES_MAX {
            errors.push(FieldError::too_long(path.child("controller"), CONTROLLER_BYTES_MAX));
        }
        check::domain_prefixed_path(&mut errors, &path.child("controller"), controller);
        if let Some(parameters) = self.spec.as_ref().and_then(|spec| spec.parameters.as_ref()) {
            self::parameters(&mut errors, &path.child("parameters"), parameters);
        }
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

fn parameters(errors: &mut Errors, path: &FieldPath, parameters: &IngressClassParametersReference) {
    if let Some(group) = &parameters.api_group {
        check::dns1123_subdomain(errors, &path.child("apiGroup"), group);
    }
    for (field, value) in [("kind", &parameters.kind), ("name", &parameters.name)] {
        if value.is_empty() {
            errors.push(FieldError::required(path.child(field), &format!("{field} is required")));
        }
        check::each(errors, &path.child(field), value, labels::path_segment(value, false));
    }
    let (at, namespace) = (path.child("namespace"), parameters.namespace.as_deref());
    match (parameters.scope.as_deref().unwrap_or_default(), namespace) {
        ("Namespace", None) => errors.push(FieldError::required(at, "`parameters.scope` is set to 'Namespace'")),
        ("Namespace", Some(namespace)) => check::dns1123_label(errors, &at, namespace),
        ("Cluster", Some(_)) => errors.push(FieldError::forbidden(at, "`parameters.scope` is set to 'Cluster'")),
        (scope, _) => check::supported(errors, &path.child("scope"), Some(scope), &["Cluster", "Namespace"]),
    }
}
