//! ReplicationController: the older ReplicaSet.

use super::pod;
use crate::apps::replicas;
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::{FieldValues, Kind};
use crate::resource::{ResourceDef, Scope, Subresource};
use crate::selector::Selector;
use crate::table::Cell;
use k8s_openapi::api::core::v1::ReplicationController;
use k8s_openapi::jiff::Timestamp;

impl Kind for ReplicationController {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["rc"],
        categories: &["all"],
        subresources: &[Subresource::Status, Subresource::Scale],
        columns: replicas::COLUMNS,
        selectable: &["status.replicas"],
        unattended: true,
        ..ResourceDef::new(
            "",
            "v1",
            "ReplicationController",
            "replicationcontrollers",
            "replicationcontroller",
            Scope::Namespaced,
            "k8s.io.api.core.v1.ReplicationController",
        )
    };

    fn defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        spec.replicas.get_or_insert(1);
        if let Some(template) = &mut spec.template {
            pod::defaults::template(template);
            if let Some(labels) = template.metadata.as_ref().and_then(|meta| meta.labels.clone()) {
                if spec.selector.as_ref().is_none_or(|selector| selector.is_empty()) {
                    spec.selector = Some(labels.clone());
                }
                if self.metadata.labels.as_ref().is_none_or(|own| own.is_empty()) {
                    self.metadata.labels = Some(labels);
                }
            }
        }
        self.status.get_or_insert_default();
    }

    fn prepare_create(&mut self) {
        self.status = None;
    }

    fn prepare_update(&mut self, old: &ReplicationController) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &ReplicationController) {
        self.spec.clone_from(&old.spec);
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec");
        let spec = self.spec.clone().unwrap_or_default();
        check::non_negative(&mut errors, path.child("minReadySeconds"), spec.min_ready_seconds);
        check::non_negative(&mut errors, path.child("replicas"), spec.replicas);
        let selector = spec.selector.unwrap_or_default();
        if selector.is_empty() {
            errors.push(FieldError::required(path.child("selector"), ""));
        }
        let selector = Selector::from_map(&selector);
        let template = path.child("template");
        replicas::template(&mut errors, &template, spec.template.as_ref(), &selector, "ReplicationController");
        errors
    }

    fn validate_update(&self, old: &ReplicationController) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if let Some(status) = self.status.as_ref().filter(|_| self.status != old.status) {
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

    fn spec_differs(&self, old: &ReplicationController) -> bool {
        !check::same(&self.spec, &old.spec)
    }

    fn fields(&self) -> FieldValues {
        let replicas = self.status.as_ref().map_or(0, |status| status.replicas);
        std::iter::once(("status.replicas", replicas.to_string())).collect()
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let (spec, status) = (self.spec.as_ref(), self.status.as_ref());
        let [names, images] = columns::containers(spec.and_then(|spec| spec.template.as_ref()));
        vec![
            columns::name(&self.metadata),
            Cell::from(spec.and_then(|spec| spec.replicas).unwrap_or_default()),
            Cell::from(status.map_or(0, |status| status.replicas)),
            Cell::from(status.and_then(|status| status.ready_replicas).unwrap_or_default()),
            columns::created(&self.metadata, now),
            names,
            images,
            columns::labels(spec.and_then(|spec| spec.selector.as_ref())),
        ]
    }
}
