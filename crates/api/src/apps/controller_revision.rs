//! ControllerRevision: a past state of a controller's template.

use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::jiff::Timestamp;

impl Kind for ControllerRevision {
    const DEF: ResourceDef = ResourceDef {
        columns: &[
            Column::NAME,
            Column::text("Controller").about("Whose state it is."),
            Column::text("Revision").about("Which of its states it is."),
            Column::AGE,
        ],
        ..ResourceDef::new(
            "apps",
            "v1",
            "ControllerRevision",
            "controllerrevisions",
            "controllerrevision",
            Scope::Namespaced,
            "k8s.io.api.apps.v1.ControllerRevision",
        )
    };

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if self.data.0.is_null() {
            errors.push(FieldError::required(FieldPath::new("data"), "data is mandatory"));
        }
        check::non_negative(&mut errors, FieldPath::new("revision"), self.revision);
        errors
    }

    fn validate_update(&self, old: &ControllerRevision) -> Vec<FieldError> {
        let mut errors = Errors::new();
        check::immutable(&mut errors, FieldPath::new("data"), &self.data, &old.data);
        errors
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let mut owners = self.metadata.owner_references.iter().flatten();
        let controller = owners.find(|owner| owner.controller == Some(true)).map(|owner| {
            let group = owner.api_version.split_once('/').map(|(group, _)| format!(".{group}")).unwrap_or_default();
            format!("{}{group}/{}", owner.kind.to_lowercase(), owner.name)
        });
        vec![
            columns::name(&self.metadata),
            columns::or_none(controller.as_deref()),
            Cell::from(self.revision.unwrap_or_default()),
            columns::created(&self.metadata, now),
        ]
    }
}
