//! ReplicaSet: so many pods of one template.

use super::replicas;
use crate::check::{self, Errors};
use crate::core::{columns, pod};
use crate::field::{FieldError, FieldPath};
use crate::kind::{FieldValues, Kind};
use crate::resource::{ResourceDef, Scope, Subresource};
use crate::selector;
use crate::table::Cell;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};
use k8s_openapi::jiff::Timestamp;

impl Kind for ReplicaSet {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["rs"],
        categories: &["all"],
        subresources: &[Subresource::Status, Subresource::Scale],
        columns: replicas::COLUMNS,
        selectable: &["status.replicas"],
        ..ResourceDef::new(
            "apps",
            "v1",
            "ReplicaSet",
            "replicasets",
            "replicaset",
            Scope::Namespaced,
            "k8s.io.api.apps.v1.ReplicaSet",
        )
    };

    fn defaults(&mut self) {
        let spec = &mut self.spec;
        spec.replicas.get_or_insert(1);
        if let Some(template) = &mut spec.template {
            pod::defaults::template(template);
        }
        self.status.get_or_insert_default();
    }

    fn prepare_create(&mut self) {
        self.status = None;
    }

    fn prepare_update(&mut self, old: &ReplicaSet) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &ReplicaSet) {
        self.spec.clone_from(&old.spec);
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec");
        let spec = &self.spec;
        check::non_negative(&mut errors, path.child("replicas"), spec.replicas);
        check::non_negative(&mut errors, path.child("minReadySeconds"), spec.min_ready_seconds);
        // Upstream says "deployment" here as well.
        if let Some(selector) = replicas::selector(&mut errors, &path.child("selector"), &spec.selector, "deployment") {
            let template = spec.template.as_ref();
            replicas::template(&mut errors, &path.child("template"), template, &selector, "ReplicaSet");
        }
        errors
    }

    fn validate_update(&self, old: &ReplicaSet) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec").child("selector");
        check::immutable(&mut errors, path, &self.spec.selector, &old.spec.selector);
        if let (Some(status), true) = (&self.status, self.status != old.status) {
            let path = FieldPath::new("status");
            check::non_negative(&mut errors, path.child("observedGeneration"), status.observed_generation);
            replicas::counts(
                &mut errors,
                &path,
                status.replicas,
                &[
                    ("fullyLabeledReplicas", status.fully_labeled_replicas),
                    ("readyReplicas", status.ready_replicas),
                    ("availableReplicas", status.available_replicas),
                ],
            );
        }
        errors
    }

    const GENERATION: bool = true;

    fn spec_differs(&self, old: &ReplicaSet) -> bool {
        !check::same(&self.spec, &old.spec)
    }

    fn fields(&self) -> FieldValues {
        let replicas = self.status.as_ref().map_or(0, |status| status.replicas);
        std::iter::once(("status.replicas", replicas.to_string())).collect()
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let empty = ReplicaSetStatus::default();
        let status = self.status.as_ref().unwrap_or(&empty);
        let [names, images] = columns::containers(self.spec.template.as_ref());
        vec![
            columns::name(&self.metadata),
            Cell::from(self.spec.replicas.unwrap_or_default()),
            Cell::from(status.replicas),
            Cell::from(status.ready_replicas.unwrap_or_default()),
            columns::created(&self.metadata, now),
            names,
            images,
            Cell::Text(selector::printed(Some(&self.spec.selector))),
        ]
    }
}
