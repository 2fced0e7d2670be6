//! DaemonSet: one pod on every node.

use super::replicas;
use crate::check::{self, Errors};
use crate::core::{columns, pod};
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::selector;
use crate::table::Cell;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus, RollingUpdateDaemonSet};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::Timestamp;

impl Kind for DaemonSet {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["ds"],
        categories: &["all"],
        subresources: &[Subresource::Status],
        columns: &[
            Column::NAME,
            Column::integer("Desired").about("How many nodes are to have its pod."),
            Column::integer("Current").about("How many have it."),
            Column::integer("Ready").about("How many of those pods are ready."),
            Column::integer("Up-to-date").about("How many pods have the newest template."),
            Column::integer("Available").about("How many pods have been ready for long enough."),
            Column::text("Node Selector").about("Which nodes are to have it."),
            Column::AGE,
            columns::CONTAINERS,
            columns::IMAGES,
            columns::SELECTOR,
        ],
        unattended: true,
        ..ResourceDef::new(
            "apps",
            "v1",
            "DaemonSet",
            "daemonsets",
            "daemonset",
            Scope::Namespaced,
            "k8s.io.api.apps.v1.DaemonSet",
        )
    };

    fn defaults(&mut self) {
        let spec = &mut self.spec;
        spec.revision_history_limit.get_or_insert(10);
        let strategy = spec.update_strategy.get_or_insert_default();
        if strategy.type_.as_deref().unwrap_or_default().is_empty() {
            strategy.type_ = Some("RollingUpdate".to_owned());
        }
        if strategy.type_.as_deref() == Some("RollingUpdate") {
            let rolling = strategy.rolling_update.get_or_insert_default();
            rolling.max_unavailable.get_or_insert(IntOrString::Int(1));
            rolling.max_surge.get_or_insert(IntOrString::Int(0));
        }
        pod::defaults::template(&mut spec.template);
        self.status.get_or_insert_default();
    }

    fn prepare_create(&mut self) {
        self.status = None;
    }

    fn prepare_update(&mut self, old: &DaemonSet) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &DaemonSet) {
        self.spec.clone_from(&old.spec);
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec");
        let spec = &self.spec;
        if let Some(selector) = replicas::selector(&mut errors, &path.child("selector"), &spec.selector, "daemonset") {
            let template = Some(&spec.template);
            replicas::template(&mut errors, &path.child("template"), template, &selector, "DaemonSet");
        }
        check::non_negative(&mut errors, path.child("minReadySeconds"), spec.min_ready_seconds);
        check::non_negative(&mut errors, path.child("revisionHistoryLimit"), spec.revision_history_limit);
        let strategy = spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()).unwrap_or_default();
        let strategies = &["OnDelete", "RollingUpdate"];
        check::supported_if_set(&mut errors, &path.child("updateStrategy").child("type"), Some(strategy), strategies);
        let rolling = spec.update_strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
        if let Some(rolling) = rolling.filter(|_| strategy == "RollingUpdate") {
            self::rolling(&mut errors, &path.child("updateStrategy").child("rollingUpdate"), rolling);
        }
        errors
    }

    fn validate_update(&self, old: &DaemonSet) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec").child("selector");
        check::immutable(&mut errors, path, &self.spec.selector, &old.spec.selector);
        if let Some(status) = self.status.as_ref().filter(|_| self.status != old.status) {
            counts(&mut errors, &FieldPath::new("status"), status);
        }
        errors
    }

    const GENERATION: bool = true;

    fn spec_differs(&self, old: &DaemonSet) -> bool {
        !check::same(&self.spec, &old.spec)
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let empty = DaemonSetStatus::default();
        let status = self.status.as_ref().unwrap_or(&empty);
        let [names, images] = columns::containers(Some(&self.spec.template));
        let pod = self.spec.template.spec.as_ref();
        vec![
            columns::name(&self.metadata),
            Cell::from(status.desired_number_scheduled),
            Cell::from(status.current_number_scheduled),
            Cell::from(status.number_ready),
            Cell::from(status.updated_number_scheduled.unwrap_or_default()),
            Cell::from(status.number_available.unwrap_or_default()),
            columns::labels(pod.and_then(|pod| pod.node_selector.as_ref())),
            columns::created(&self.metadata, now),
            names,
            images,
            Cell::Text(selector::printed(Some(&self.spec.selector))),
        ]
    }
}

/// One of the two bounds must let something happen, and not both.
fn rolling(errors: &mut Errors, path: &FieldPath, rolling: &RollingUpdateDaemonSet) {
    for (field, value) in [("maxUnavailable", &rolling.max_unavailable), ("maxSurge", &rolling.max_surge)] {
        if let Some(value) = value {
            check::count_or_percent(errors, &path.child(field), value);
            check::at_most_all(errors, &path.child(field), value);
        }
    }
    let is_some = |bound: &Option<IntOrString>| bound.as_ref().is_some_and(|bound| !check::is_nothing(bound));
    let (unavailable, surge) = (is_some(&rolling.max_unavailable), is_some(&rolling.max_surge));
    if unavailable && surge {
        let detail = "may not be set when maxUnavailable is non-zero";
        errors.push(FieldError::invalid(path.child("maxSurge"), &rolling.max_surge, detail));
    }
    if !unavailable && !surge {
        errors.push(FieldError::required(path.child("maxUnavailable"), "cannot be 0 when maxSurge is 0"));
    }
}

fn counts(errors: &mut Errors, path: &FieldPath, status: &DaemonSetStatus) {
    for (field, count) in [
        ("currentNumberScheduled", Some(status.current_number_scheduled)),
        ("numberMisscheduled", Some(status.number_misscheduled)),
        ("desiredNumberScheduled", Some(status.desired_number_scheduled)),
        ("numberReady", Some(status.number_ready)),
        ("updatedNumberScheduled", status.updated_number_scheduled),
        ("numberAvailable", status.number_available),
        ("numberUnavailable", status.number_unavailable),
        ("collisionCount", status.collision_count),
    ] {
        check::non_negative(errors, path.child(field), count);
    }
    check::non_negative(errors, path.child("observedGeneration"), status.observed_generation);
}
