//! Deployment: replicas of a template, changed by rolling updates.

use super::replicas;
use crate::check::{self, Errors};
use crate::core::{columns, pod};
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::selector;
use crate::table::Cell;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::Timestamp;

const SHARE: &str = "25%";
const HISTORY: i32 = 10;
const PROGRESS_SECONDS: i32 = 600;

impl Kind for Deployment {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["deploy"],
        categories: &["all"],
        subresources: &[Subresource::Status, Subresource::Scale],
        columns: &[
            Column::NAME,
            Column::text("Ready").about("How many pods are ready, of how many."),
            Column::text("Up-to-date").about("How many pods have the newest template."),
            Column::text("Available").about("How many pods have been ready for long enough."),
            Column::AGE,
            columns::CONTAINERS,
            columns::IMAGES,
            columns::SELECTOR,
        ],
        ..ResourceDef::new(
            "apps",
            "v1",
            "Deployment",
            "deployments",
            "deployment",
            Scope::Namespaced,
            "k8s.io.api.apps.v1.Deployment",
        )
    };

    fn defaults(&mut self) {
        let spec = &mut self.spec;
        spec.replicas.get_or_insert(1);
        let strategy = spec.strategy.get_or_insert_default();
        if strategy.type_.as_deref().unwrap_or_default().is_empty() {
            strategy.type_ = Some("RollingUpdate".to_owned());
        }
        if strategy.type_.as_deref() == Some("RollingUpdate") {
            let rolling = strategy.rolling_update.get_or_insert_default();
            rolling.max_unavailable.get_or_insert_with(|| IntOrString::String(SHARE.to_owned()));
            rolling.max_surge.get_or_insert_with(|| IntOrString::String(SHARE.to_owned()));
        }
        spec.revision_history_limit.get_or_insert(HISTORY);
        spec.progress_deadline_seconds.get_or_insert(PROGRESS_SECONDS);
        pod::defaults::template(&mut spec.template);
        self.status.get_or_insert_default();
    }

    fn prepare_create(&mut self) {
        self.status = None;
    }

    fn prepare_update(&mut self, old: &Deployment) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &Deployment) {
        self.spec.clone_from(&old.spec);
        self.metadata.labels.clone_from(&old.metadata.labels);
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec");
        let spec = &self.spec;
        check::non_negative(&mut errors, path.child("replicas"), spec.replicas);
        if let Some(selector) = replicas::selector(&mut errors, &path.child("selector"), &spec.selector, "deployment") {
            replicas::template(&mut errors, &path.child("template"), Some(&spec.template), &selector, "ReplicaSet");
        }
        strategy(&mut errors, &path.child("strategy"), &spec.strategy.clone().unwrap_or_default());
        check::non_negative(&mut errors, path.child("minReadySeconds"), spec.min_ready_seconds);
        check::non_negative(&mut errors, path.child("revisionHistoryLimit"), spec.revision_history_limit);
        if let Some(seconds) = spec.progress_deadline_seconds {
            check::non_negative(&mut errors, path.child("progressDeadlineSeconds"), Some(seconds));
            if seconds <= spec.min_ready_seconds.unwrap_or_default() {
                let detail = "must be greater than minReadySeconds";
                errors.push(FieldError::invalid(path.child("progressDeadlineSeconds"), &seconds, detail));
            }
        }
        errors
    }

    fn validate_update(&self, old: &Deployment) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec").child("selector");
        check::immutable(&mut errors, path, &self.spec.selector, &old.spec.selector);
        if let (Some(status), true) = (&self.status, self.status != old.status) {
            let before = old.status.as_ref().and_then(|status| status.collision_count);
            self::status(&mut errors, &FieldPath::new("status"), status, before);
        }
        errors
    }

    const GENERATION: bool = true;

    /// Annotations count as well: the controller copies them to its replica sets.
    fn spec_differs(&self, old: &Deployment) -> bool {
        !check::same(&self.spec, &old.spec) || !check::same(&self.metadata.annotations, &old.metadata.annotations)
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let empty = DeploymentStatus::default();
        let status = self.status.as_ref().unwrap_or(&empty);
        let [names, images] = columns::containers(Some(&self.spec.template));
        let desired = self.spec.replicas.unwrap_or_default();
        vec![
            columns::name(&self.metadata),
            Cell::Text(format!("{}/{desired}", status.ready_replicas.unwrap_or_default())),
            Cell::from(status.updated_replicas.unwrap_or_default()),
            Cell::from(status.available_replicas.unwrap_or_default()),
            columns::created(&self.metadata, now),
            names,
            images,
            Cell::Text(selector::printed(Some(&self.spec.selector))),
        ]
    }
}

fn strategy(errors: &mut Errors, path: &FieldPath, strategy: &DeploymentStrategy) {
    match (strategy.type_.as_deref(), &strategy.rolling_update) {
        (Some("Recreate"), Some(_)) => {
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            errors.push(FieldError::forbidden(path.child("rollingUpdate"), detail));
        }
        (Some("Recreate"), None) => {}
        (Some("RollingUpdate"), Some(rolling)) => rolling_update(errors, &path.child("rollingUpdate"), rolling),
        (Some("RollingUpdate"), None) => {
            let detail = "this should be defaulted and never be nil";
            errors.push(FieldError::required(path.child("rollingUpdate"), detail));
        }
        (other, _) => {
            let other = Some(other.unwrap_or_default());
            check::supported_if_set(errors, &path.child("type"), other, &["Recreate", "RollingUpdate"]);
        }
    }
}

fn rolling_update(errors: &mut Errors, path: &FieldPath, rolling: &RollingUpdateDeployment) {
    let none = IntOrString::Int(0);
    let unavailable = rolling.max_unavailable.as_ref().unwrap_or(&none);
    let surge = rolling.max_surge.as_ref().unwrap_or(&none);
    check::count_or_percent(errors, &path.child("maxUnavailable"), unavailable);
    check::count_or_percent(errors, &path.child("maxSurge"), surge);
    if check::is_nothing(unavailable) && check::is_nothing(surge) {
        let detail = "may not be 0 when `maxSurge` is 0";
        errors.push(FieldError::invalid(path.child("maxUnavailable"), unavailable, detail));
    }
    check::at_most_all(errors, &path.child("maxUnavailable"), unavailable);
}

fn status(errors: &mut Errors, path: &FieldPath, status: &DeploymentStatus, collisions: Option<i32>) {
    check::non_negative(errors, path.child("observedGeneration"), status.observed_generation);
    check::non_negative(errors, path.child("unavailableReplicas"), status.unavailable_replicas);
    check::non_negative(errors, path.child("terminatingReplicas"), status.terminating_replicas);
    replicas::counts(
        errors,
        path,
        status.replicas.unwrap_or_default(),
        &[
            ("updatedReplicas", status.updated_replicas),
            ("readyReplicas", status.ready_replicas),
            ("availableReplicas", status.available_replicas),
        ],
    );
    check::non_negative(errors, path.child("collisionCount"), status.collision_count);
    let own = status.collision_count.unwrap_or_default();
    if collisions.is_some_and(|before| own < before) {
        errors.push(FieldError::invalid(path.child("collisionCount"), &own, "cannot be decremented"));
    }
}
