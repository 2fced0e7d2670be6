//! StatefulSet: pods with lasting names and storage.

use super::replicas;
use crate::check::{self, Errors};
use crate::core::persistent_volume_claim;
use crate::core::{columns, pod};
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::apps::v1::{RollingUpdateStatefulSetStrategy, StatefulSet, StatefulSetStatus};
use k8s_openapi::jiff::Timestamp;

impl Kind for StatefulSet {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["sts"],
        categories: &["all"],
        subresources: &[Subresource::Status, Subresource::Scale],
        columns: &[
            Column::NAME,
            Column::text("Ready").about("How many pods are ready, of how many."),
            Column::AGE,
            columns::CONTAINERS,
            columns::IMAGES,
        ],
        unattended: true,
        ..ResourceDef::new(
            "apps",
            "v1",
            "StatefulSet",
            "statefulsets",
            "statefulset",
            Scope::Namespaced,
            "k8s.io.api.apps.v1.StatefulSet",
        )
    };

    fn defaults(&mut self) {
        let spec = &mut self.spec;
        spec.replicas.get_or_insert(1);
        spec.revision_history_limit.get_or_insert(10);
        spec.service_name.get_or_insert_default();
        let text = |field: &mut Option<String>, value: &str| {
            if field.as_deref().unwrap_or_default().is_empty() {
                *field = Some(value.to_owned());
            }
        };
        text(&mut spec.pod_management_policy, "OrderedReady");
        let strategy = spec.update_strategy.get_or_insert_default();
        if strategy.type_.as_deref().unwrap_or_default().is_empty() {
            strategy.type_ = Some("RollingUpdate".to_owned());
            strategy.rolling_update.get_or_insert_default();
        }
        if let Some(rolling) =
            strategy.rolling_update.as_mut().filter(|_| strategy.type_.as_deref() == Some("RollingUpdate"))
        {
            rolling.partition.get_or_insert(0);
        }
        let retention = spec.persistent_volume_claim_retention_policy.get_or_insert_default();
        text(&mut retention.when_deleted, "Retain");
        text(&mut retention.when_scaled, "Retain");
        pod::defaults::template(&mut spec.template);
        spec.volume_claim_templates.iter_mut().flatten().for_each(persistent_volume_claim::defaults);
        let status = self.status.get_or_insert_default();
        status.available_replicas.get_or_insert_default();
    }

    fn prepare_create(&mut self) {
        self.status = None;
    }

    fn prepare_update(&mut self, old: &StatefulSet) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &StatefulSet) {
        self.spec.clone_from(&old.spec);
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec");
        let spec = &self.spec;
        let policy = spec.pod_management_policy.as_deref().unwrap_or_default();
        if !matches!(policy, "OrderedReady" | "Parallel") {
            let detail = "must be 'OrderedReady' or 'Parallel'";
            errors.push(FieldError::invalid(path.child("podManagementPolicy"), policy, detail));
        }
        let strategy = spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()).unwrap_or_default();
        if !matches!(strategy, "RollingUpdate" | "OnDelete") {
            let detail = "must be 'RollingUpdate' or 'OnDelete'";
            errors.push(FieldError::invalid(path.child("updateStrategy"), &spec.update_strategy, detail));
        }
        let rolling = spec.update_strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
        if let Some(rolling) = rolling {
            self::rolling(&mut errors, &path.child("updateStrategy").child("rollingUpdate"), strategy, rolling);
        }
        if let Some(retention) = &spec.persistent_volume_claim_retention_policy {
            let path = path.child("persistentVolumeClaimRetentionPolicy");
            for (field, policy) in [("whenDeleted", &retention.when_deleted), ("whenScaled", &retention.when_scaled)] {
                let policies = &["Retain", "Delete"];
                check::supported_if_set(&mut errors, &path.child(field), policy.as_deref(), policies);
            }
        }
        let start = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start);
        check::non_negative(&mut errors, path.child("ordinals.start"), start);
        check::non_negative(&mut errors, path.child("replicas"), spec.replicas);
        check::non_negative(&mut errors, path.child("minReadySeconds"), spec.min_ready_seconds);
        if let Some(selector) = replicas::selector(&mut errors, &path.child("selector"), &spec.selector, "statefulset")
        {
            let template = Some(&spec.template);
            replicas::template(&mut errors, &path.child("template"), template, &selector, "StatefulSet");
        }
        errors
    }

    fn validate_create(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        // It becomes the domain of its pods, which have to be labels.
        if let Some(name) = self.spec.service_name.as_deref().filter(|name| !name.is_empty()) {
            check::dns1123_label(&mut errors, &FieldPath::new("spec").child("serviceName"), name);
        }
        history_limit(&mut errors, self.spec.revision_history_limit);
        for (index, claim) in self.spec.volume_claim_templates.iter().flatten().enumerate() {
            let path = FieldPath::new("spec").child("volumeClaimTemplates").index(index).child("spec");
            persistent_volume_claim::spec(&mut errors, &path, claim.spec.as_ref().unwrap_or(&Default::default()));
        }
        errors
    }

    fn validate_update(&self, old: &StatefulSet) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if let Some(status) = self.status.as_ref().filter(|_| self.status != old.status) {
            self::status(&mut errors, &FieldPath::new("status"), status);
        }
        // One that was taken before there was a rule stays.
        if self.spec.revision_history_limit != old.spec.revision_history_limit {
            history_limit(&mut errors, self.spec.revision_history_limit);
        }
        let (mut rest, before) = (self.spec.clone(), &old.spec);
        rest.replicas = before.replicas;
        rest.template.clone_from(&before.template);
        rest.update_strategy.clone_from(&before.update_strategy);
        rest.min_ready_seconds = before.min_ready_seconds;
        rest.ordinals.clone_from(&before.ordinals);
        rest.revision_history_limit = before.revision_history_limit;
        rest.persistent_volume_claim_retention_policy.clone_from(&before.persistent_volume_claim_retention_policy);
        if check::same(&rest, before) {
            return errors;
        }
        let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                      'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                      'minReadySeconds' are forbidden";
        errors.push(FieldError::forbidden(FieldPath::new("spec"), detail));
        errors
    }

    const GENERATION: bool = true;

    fn spec_differs(&self, old: &StatefulSet) -> bool {
        !check::same(&self.spec, &old.spec)
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let desired = self.spec.replicas.unwrap_or_default();
        let ready = self.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or_default();
        let [names, images] = columns::containers(Some(&self.spec.template));
        vec![
            columns::name(&self.metadata),
            Cell::Text(format!("{ready}/{desired}")),
            columns::created(&self.metadata, now),
            names,
            images,
        ]
    }

    fn validate_name(name: &str, prefix_only: bool) -> Vec<String> {
        crate::labels::dns1123_label(name, prefix_only)
    }
}

fn history_limit(errors: &mut Errors, limit: Option<i32>) {
    check::non_negative(errors, FieldPath::new("spec").child("revisionHistoryLimit"), limit);
}

fn rolling(errors: &mut Errors, path: &FieldPath, strategy: &str, rolling: &RollingUpdateStatefulSetStrategy) {
    if strategy == "OnDelete" {
        let detail = "only allowed for updateStrategy 'RollingUpdate'";
        errors.push(FieldError::invalid(path.clone(), rolling, detail));
        return;
    }
    check::non_negative(errors, path.child("partition"), rolling.partition);
    let Some(most) = &rolling.max_unavailable else { return };
    let path = path.child("maxUnavailable");
    check::count_or_percent(errors, &path, most);
    if check::is_nothing(most) {
        errors.push(FieldError::invalid(path.clone(), most, "cannot be 0"));
    }
    check::at_most_all(errors, &path, most);
}

fn status(errors: &mut Errors, path: &FieldPath, status: &StatefulSetStatus) {
    check::non_negative(errors, path.child("observedGeneration"), status.observed_generation);
    check::non_negative(errors, path.child("collisionCount"), status.collision_count);
    replicas::counts(
        errors,
        path,
        status.replicas,
        &[
            ("readyReplicas", status.ready_replicas),
            ("currentReplicas", status.current_replicas),
            ("updatedReplicas", status.updated_replicas),
            ("availableReplicas", status.available_replicas),
        ],
    );
}
