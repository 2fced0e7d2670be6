//! StatefulSet: pods with lasting names and storage.

use super::replicas;
use crate::check::{self, Errors};
use crate::core::persistent_volume_claim;
use crate::core::{columns, pod};
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::apps::v1::StatefulSet;
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
        self.status.get_or_insert_default();
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
        check::non_negative(&mut errors, path.child("replicas"), spec.replicas);
        check::non_negative(&mut errors, path.child("minReadySeconds"), spec.min_ready_seconds);
        if let Some(selector) = replicas::selector(&mut errors, &path.child("selector"), &spec.selector, "statefulset")
        {
            let template = Some(&spec.template);
            replicas::template(&mut errors, &path.child("template"), template, &selector, "StatefulSet");
        }
        errors
    }

    fn validate_update(&self, old: &StatefulSet) -> Vec<FieldError> {
        let (mut rest, before) = (self.spec.clone(), &old.spec);
        rest.replicas = before.replicas;
        rest.template.clone_from(&before.template);
        rest.update_strategy.clone_from(&before.update_strategy);
        rest.min_ready_seconds = before.min_ready_seconds;
        rest.ordinals.clone_from(&before.ordinals);
        rest.revision_history_limit = before.revision_history_limit;
        rest.persistent_volume_claim_retention_policy.clone_from(&before.persistent_volume_claim_retention_policy);
        if check::same(&rest, before) {
            return Vec::new();
        }
        let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                      'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                      'minReadySeconds' are forbidden";
        vec![FieldError::forbidden(FieldPath::new("spec"), detail)]
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
