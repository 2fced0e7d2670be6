//! PodDisruptionBudget: how many of some pods may be evicted at once.

use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::jiff::Timestamp;

impl Kind for PodDisruptionBudget {
    const DEF: ResourceDef = ResourceDef {
        unconditional_update: false,
        short_names: &["pdb"],
        subresources: &[Subresource::Status],
        columns: &[
            Column::NAME,
            Column::text("Min Available").about("How many pods must stay."),
            Column::text("Max Unavailable").about("How many pods may be gone."),
            Column::integer("Allowed Disruptions").about("How many pods may be evicted now."),
            Column::AGE,
        ],
        ..ResourceDef::new(
            "policy",
            "v1",
            "PodDisruptionBudget",
            "poddisruptionbudgets",
            "poddisruptionbudget",
            Scope::Namespaced,
            "k8s.io.api.policy.v1.PodDisruptionBudget",
        )
    };

    fn defaults(&mut self) {
        self.status.get_or_insert_default();
    }

    fn prepare_create(&mut self) {
        self.status = None;
    }

    fn prepare_update(&mut self, old: &PodDisruptionBudget) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &PodDisruptionBudget) {
        self.spec.clone_from(&old.spec);
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec");
        let spec = self.spec.clone().unwrap_or_default();
        if spec.min_available.is_some() && spec.max_unavailable.is_some() {
            let detail = "minAvailable and maxUnavailable cannot be both set";
            errors.push(FieldError::invalid(path.clone(), &spec, detail));
        }
        for (field, value) in [("minAvailable", &spec.min_available), ("maxUnavailable", &spec.max_unavailable)] {
            if let Some(value) = value {
                check::count_or_percent(&mut errors, &path.child(field), value);
                check::at_most_all(&mut errors, &path.child(field), value);
            }
        }
        let policies = &["AlwaysAllow", "IfHealthyBudget"];
        let policy = spec.unhealthy_pod_eviction_policy.as_deref();
        check::supported_if_set(&mut errors, &path.child("unhealthyPodEvictionPolicy"), policy, policies);
        if let Some(selector) = &spec.selector {
            check::label_selector(&mut errors, &path.child("selector"), selector);
        }
        if let Some(status) = &self.status {
            let path = FieldPath::new("status");
            for (field, count) in [
                ("disruptionsAllowed", status.disruptions_allowed),
                ("currentHealthy", status.current_healthy),
                ("desiredHealthy", status.desired_healthy),
                ("expectedPods", status.expected_pods),
            ] {
                check::non_negative(&mut errors, path.child(field), count);
            }
            let conditions = status.conditions.as_deref().unwrap_or_default();
            check::conditions(&mut errors, &path.child("conditions"), conditions);
        }
        errors
    }

    const GENERATION: bool = true;

    fn spec_differs(&self, old: &PodDisruptionBudget) -> bool {
        !check::same(&self.spec, &old.spec)
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let spec = self.spec.as_ref();
        let allowed = self.status.as_ref().and_then(|status| status.disruptions_allowed);
        vec![
            columns::name(&self.metadata),
            columns::count_or_share(spec.and_then(|spec| spec.min_available.as_ref())),
            columns::count_or_share(spec.and_then(|spec| spec.max_unavailable.as_ref())),
            Cell::from(allowed.unwrap_or_default()),
            columns::created(&self.metadata, now),
        ]
    }
}
